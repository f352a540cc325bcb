//! The summary in Markdown: what was found, and tables.

use crate::check::CheckedReport;
use crate::control::{model_score, verdict};
use crate::finding::{Read, Verdict, difference, level, read_all};
use crate::html::{
    DIFFERS, RESPONSES, TABLE_ROWS, WHAT_AQI_IS, cut_note, differs, how_it_is_read,
    responses_left_out, rows_left_out,
};
use crate::measure::Estimate;
use crate::number::{decimals, fixed, p_digits, signed, whole};
use crate::report::{Fact, Reading, Response, Table};
use crate::text::{cut, one_line, visible};

pub(crate) fn summary(checked: &CheckedReport) -> String {
    let (report, findings) = (checked.report(), checked.findings());
    let reading = &report.reading;
    let mut written = Written::default();
    written.heading(1, &report.title);
    let name = |model: &crate::report::Model| match &model.version {
        Some(version) => format!("{} (version {})", model.name, version),
        None => model.name.clone(),
    };
    let mut head = vec![
        vec!["Before".to_owned(), name(&report.before)],
        vec!["After".to_owned(), name(&report.after)],
    ];
    head.extend(report.when.iter().map(|when| vec!["When".to_owned(), when.clone()]));
    written.table(&["", ""], &head);

    written.heading(2, "Findings");
    if findings.is_empty() {
        written.paragraph("Nothing was measured.");
    } else {
        for finding in &findings {
            written.item(&finding.text);
        }
        written.line("");
    }
    written.paragraph(&how_it_is_read(report));

    if let Some(aqi) = &report.aqi {
        written.heading(2, "Alignment Quality Index");
        written.paragraph(WHAT_AQI_IS);
        written.measures(&read_all([&aqi.overall], reading), reading);
        if !aqi.controls.is_empty() {
            written.heading(3, "Controls");
            let rows: Vec<Vec<String>> = aqi
                .controls
                .iter()
                .map(|control| {
                    let model = model_score(aqi, control.side);
                    let values: Vec<f64> =
                        model.iter().chain([&control.score]).map(|score| score.value).collect();
                    let decimals = decimals(&values, control.excess.map(|excess| excess.value));
                    vec![
                        control.kind.name().to_owned(),
                        control.side.name().to_owned(),
                        estimate(Some(control.score), decimals, fixed),
                        estimate(model, decimals, fixed),
                        estimate(control.excess, decimals, signed),
                        verdict(aqi, control, reading).words().to_owned(),
                    ]
                })
                .collect();
            let columns = ["Control", "Model", "AQI-S", "The model's", "Excess", "Reading"];
            written.table(&columns, &rows);
        }
        for (title, read) in [
            ("By axiom", read_all(&aqi.axioms, reading)),
            ("By layer", read_all(aqi.layers.values(), reading)),
        ] {
            if !read.is_empty() {
                written.heading(3, title);
                written.measures(&read, reading);
            }
        }
    }
    for group in &report.groups {
        written.heading(2, &group.title);
        if let Some(note) = &group.note {
            written.paragraph(note);
        }
        written.measures(&read_all(&group.measures, reading), reading);
    }
    if !report.responses.is_empty() {
        written.heading(2, "Responses");
        written.responses(&report.responses, reading);
    }
    for table in &report.tables {
        written.heading(2, &table.title);
        written.free(table);
    }
    for (title, facts) in [("Settings", &report.settings), ("Lineage", &report.lineage)] {
        if !facts.is_empty() {
            written.heading(2, title);
            let row = |fact: &Fact| vec![fact.name.clone(), fact.value.clone()];
            written.table(&["", ""], &facts.iter().map(row).collect::<Vec<_>>());
        }
    }
    if !report.notes.is_empty() {
        written.heading(2, "Notes");
        for note in &report.notes {
            written.paragraph(note);
        }
    }
    written.text.truncate(written.text.trim_end().len());
    written.text.push('\n');
    written.text
}

fn estimate(found: Option<Estimate>, decimals: usize, write: fn(f64, usize) -> String) -> String {
    let Some(found) = found else { return "–".to_owned() };
    let value = write(found.value, decimals);
    match found.interval {
        Some(ends) => format!("{value} ({})", ends.map(|end| write(end, decimals)).join(" to ")),
        None => value,
    }
}

#[derive(Default)]
struct Written {
    text: String,
}

impl Written {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn heading(&mut self, depth: usize, title: &str) {
        self.line(&format!("{} {}\n", "#".repeat(depth), inline(title)));
    }

    fn paragraph(&mut self, text: &str) {
        self.line(&format!("{}\n", inline(text)));
    }

    fn item(&mut self, text: &str) {
        self.line(&format!("- {}", inline(text)));
    }

    fn table<C: AsRef<str>>(&mut self, columns: &[C], rows: &[Vec<String>]) {
        let row = |cells: &[String]| format!("| {} |", cells.join(" | "));
        let cells: Vec<String> = columns.iter().map(|column| inline(column.as_ref())).collect();
        self.line(&row(&cells));
        self.line(&format!("|{}", "---|".repeat(columns.len())));
        for found in rows {
            let cells: Vec<String> = found.iter().map(|cell| inline(cell)).collect();
            self.line(&row(&cells));
        }
        self.line("");
    }

    fn measures(&mut self, read: &[Read<'_>], reading: &Reading) {
        let rows: Vec<Vec<String>> = read.iter().map(measure).collect();
        let intervals = format!("interval {}", level(reading));
        let change = format!("Change ({intervals})");
        self.table(&["Measure", "Before", "After", change.as_str(), "p", "n", "Reading"], &rows);
        let mut note = String::new();
        if let Some(several) = read.first().map(|read| read.adjusted_for).filter(|n| *n > 1) {
            note.push_str(&format!("p-values are adjusted for {several} comparisons."));
        }
        if read.iter().any(differs) {
            note.push_str(DIFFERS);
        }
        if !note.is_empty() {
            self.paragraph(note.trim());
        }
    }

    fn responses(&mut self, responses: &[Response], reading: &Reading) {
        for (index, response) in responses.iter().take(RESPONSES).enumerate() {
            let kind = response.kind.as_deref().map(|kind| format!(", {kind}")).unwrap_or_default();
            self.heading(3, &format!("Prompt {}{kind}", index + 1));
            self.fenced(&response.prompt, reading);
            for (side, answer) in [("Before", &response.before), ("After", &response.after)] {
                match answer {
                    None => self.paragraph(&format!("{side}: no answer was recorded.")),
                    Some(answer) if answer.is_empty() => {
                        self.paragraph(&format!("{side}: an empty answer."));
                    }
                    Some(answer) => {
                        self.paragraph(&format!("{side}:"));
                        self.fenced(answer, reading);
                    }
                }
            }
        }
        if let Some(note) = responses_left_out(responses) {
            self.paragraph(&note);
        }
    }

    /// Text as it is, between fences that are longer than any in it.
    fn fenced(&mut self, text: &str, reading: &Reading) {
        let (shown, left) = cut(text, reading.response_chars);
        let shown = visible(shown);
        let longest = shown.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(longest.max(2) + 1);
        self.line(&format!("{fence}text\n{shown}\n{fence}\n"));
        if let Some(note) = cut_note(left) {
            self.paragraph(&note);
        }
    }

    fn free(&mut self, table: &Table) {
        if let Some(note) = &table.note {
            self.paragraph(note);
        }
        self.table(&table.columns, table.rows.get(..TABLE_ROWS).unwrap_or(&table.rows));
        if let Some(note) = rows_left_out(table) {
            self.paragraph(&note);
        }
    }
}

fn measure(read: &Read<'_>) -> Vec<String> {
    let (measure, decimals) = (read.measure, read.decimals);
    let name = match &measure.unit {
        Some(unit) => format!("{} ({unit})", measure.name),
        None => measure.name.clone(),
    };
    let rows = [measure.before, measure.after, measure.change].into_iter().flatten();
    let reading = match (read.verdict, &measure.absent) {
        (Verdict::NotMeasured, Some(why)) => format!("not measured: {why}"),
        (verdict, _) => verdict.words().to_owned(),
    };
    vec![
        name,
        estimate(measure.before, decimals, fixed),
        estimate(measure.after, decimals, fixed),
        estimate(difference(measure), decimals, signed),
        read.p_value.map_or_else(|| "–".to_owned(), p_digits),
        rows.filter_map(|estimate| estimate.n).min().map_or_else(|| "–".to_owned(), whole),
        reading,
    ]
}

/// Text on one line in which nothing is markup: neither Markdown's nor HTML's, and no link.
fn inline(text: &str) -> String {
    let text = one_line(text);
    let mut escaped = String::with_capacity(text.len() + 8);
    let mut before = None;
    for (at, c) in text.char_indices() {
        let rest = &text[at + c.len_utf8()..];
        let special = match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' | '$' | '@' | '^' => true,
            // An address is a link by itself.
            ':' => rest.starts_with("//"),
            '.' => before.is_some_and(|c: char| c.is_ascii_digit() || c.eq_ignore_ascii_case(&'w')),
            // At the start of a line these make lists and underlines.
            '-' | '+' | '=' => at == 0,
            ')' => text[..at].chars().all(|c| c.is_ascii_digit()),
            _ => false,
        };
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            c => {
                // A point in a number is none that begins a list.
                let number = c == '.' && rest.starts_with(|c: char| c.is_ascii_digit());
                if special && !number {
                    escaped.push('\\');
                }
                escaped.push(c);
            }
        }
        before = Some(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_markup() {
        for (text, escaped) in [
            ("fern-1b v1.5 (4.2 to 6)", "fern-1b v1.5 (4.2 to 6)"),
            ("a|b\nc", "a\\|b c"),
            ("<script>&", "&lt;script&gt;&amp;"),
            ("[x](javascript:alert)", "\\[x\\](javascript:alert)"),
            ("![x](https://e.org)", "\\!\\[x\\](https\\://e.org)"),
            ("www.e.org a@b.c", "www\\.e.org a\\@b.c"),
            ("`*_~#$\\", "\\`\\*\\_\\~\\#\\$\\\\"),
            ("- a", "\\- a"),
            ("1. a", "1\\. a"),
            ("1) a", "1\\) a"),
            ("===", "\\==="),
            ("", ""),
        ] {
            assert_eq!(inline(text), escaped, "{text:?}");
        }
    }

    #[test]
    fn no_fence_ends_early() {
        let mut written = Written::default();
        written.fenced("````\n# x\n\u{202E}", &Reading::default());
        assert_eq!(written.text, "`````text\n````\n# x\n‹U+202E›\n`````\n\n");
    }
}
