//! Models as a table for people.

use std::fmt::Write;

use collimate_models::{Entry, Kind, State, printable};

use crate::Row;

const HEADINGS: [&str; 8] =
    ["NAME", "DISPLAY NAME", "KIND", "ARCHITECTURE", "PARAMETERS", "SIZE", "STATE", "PATH"];

/// The table, and below it what is wrong with the models of it.
pub fn render(rows: &[Row<'_>]) -> String {
    if rows.is_empty() {
        return "no models found\n".to_owned();
    }
    let cells: Vec<[String; 8]> = rows.iter().map(|row| cells(row.entry)).collect();
    let headings = HEADINGS.map(str::to_owned);
    let width = |column: usize| {
        let all = cells.iter().chain([&headings]);
        all.map(|line| line[column].chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let mut text = String::new();
    for line in [&headings].into_iter().chain(&cells) {
        for (cell, width) in line.iter().zip(&widths).take(HEADINGS.len() - 1) {
            // Writing into a string can't fail.
            let _ = write!(text, "{cell:width$}  ");
        }
        text.push_str(&line[HEADINGS.len() - 1]);
        text.push('\n');
    }
    for row in rows {
        details(row, &mut text);
    }
    text
}

fn cells(entry: &Entry) -> [String; 8] {
    let architecture = entry.description.architecture.as_ref().and_then(|a| a.name.as_deref());
    [
        entry.name.to_string(),
        printable(&entry.display_name).into_owned(),
        kind(entry.kind).to_owned(),
        printable(architecture.unwrap_or("-")).into_owned(),
        entry.parameters().map_or_else(|| "-".to_owned(), grouped),
        entry.bytes().map_or_else(|| "-".to_owned(), size),
        state(entry.state()).to_owned(),
        printable(&entry.path.to_string_lossy()).into_owned(),
    ]
}

fn details(row: &Row<'_>, text: &mut String) {
    let name = &row.entry.name;
    if let Some((query, rule)) = &row.selected {
        let _ = writeln!(text, "{name}: {} matched {rule}", printable(query));
    }
    for problem in &row.entry.problems {
        let weight = if problem.blocks_loading() { "problem" } else { "note" };
        let _ = writeln!(text, "{name}: {weight}: {}", printable(&problem.to_string()));
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Base => "base",
        Kind::Aligned => "aligned",
        Kind::Adapter => "adapter",
        Kind::Gguf => "gguf",
        Kind::Unfinished => "unfinished",
        _ => "other",
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Complete => "complete",
        State::Unfinished => "unfinished",
        State::Broken => "broken",
    }
}

/// `8,030,261,248`.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Decimal, as disks and the Hub count.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ if value < 9.95 => format!("{value:.1} {}", UNITS[unit]),
        _ => format!("{value:.0} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(grouped(8_030_261_248), "8,030,261,248");
        assert_eq!(
            (grouped(0), grouped(999), grouped(1000)),
            ("0".into(), "999".into(), "1,000".into())
        );
        assert_eq!([size(0), size(999), size(1000)], ["0 B", "999 B", "1.0 kB"]);
        assert_eq!([size(16_060_522_496), size(999_999)], ["16 GB", "1.0 MB"]);
    }
}
