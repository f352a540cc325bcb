//! Tables.

use crate::finding::{Read, Verdict, difference, level};
use crate::markup::Markup;
use crate::measure::{Better, Estimate};
use crate::number::{count, fixed, p_digits, signed, whole};
use crate::report::{Fact, Reading, Table};
use crate::text::one_line;

/// More rows of a table than this are not shown.
pub(crate) const TABLE_ROWS: usize = 1000;

/// One cell: a number or a word, and what stands below it.
pub(super) struct Cell {
    pub(super) label: &'static str,
    pub(super) class: &'static str,
    pub(super) text: String,
    pub(super) about: Vec<String>,
}

impl Cell {
    pub(super) fn new(label: &'static str, text: impl Into<String>) -> Self {
        Self { label, class: "", text: text.into(), about: Vec::new() }
    }

    /// A number with its interval and its rows.
    pub(super) fn estimate(
        label: &'static str,
        estimate: Option<Estimate>,
        shown: impl Fn(f64) -> String,
    ) -> Self {
        let Some(estimate) = estimate else {
            return Self { class: "muted", ..Self::new(label, "–") };
        };
        let interval = estimate.interval.map(|ends| ends.map(&shown).join(" to "));
        let n = estimate.n.map(|n| format!("n = {}", whole(n)));
        let about = interval.into_iter().chain(n).collect();
        Self { about, ..Self::new(label, shown(estimate.value)) }
    }
}

/// A row for each thing that was measured; on a phone, a block for each. The first cell of a row is
/// its heading.
pub(super) fn blocks(m: &mut Markup, caption: Option<&str>, rows: &[Vec<Cell>]) {
    // Phones lay rows out as blocks, and some readers then forget that it is a table.
    m.element("table", &[("class", "measures"), ("role", "table")], |m| {
        if let Some(caption) = caption {
            m.leaf("caption", &[], caption);
        }
        m.element("thead", &[("role", "rowgroup")], |m| {
            m.element("tr", &[("role", "row")], |m| {
                for cell in rows.iter().take(1).flatten() {
                    m.leaf("th", &[("scope", "col"), ("role", "columnheader")], cell.label);
                }
            });
        });
        m.element("tbody", &[("role", "rowgroup")], |m| {
            for row in rows {
                m.element("tr", &[("role", "row")], |m| {
                    for (index, cell) in row.iter().enumerate() {
                        let (tag, role) = match index {
                            0 => ("th", [("scope", "row"), ("role", "rowheader")]),
                            _ => ("td", [("data-label", cell.label), ("role", "cell")]),
                        };
                        m.element(tag, &role, |m| {
                            m.leaf("span", &[("class", cell.class)], &cell.text);
                            if !cell.about.is_empty() {
                                m.element("span", &[("class", "below")], |m| {
                                    for (index, about) in cell.about.iter().enumerate() {
                                        let comma = if index == 0 { "" } else { ", " };
                                        m.text(comma);
                                        m.leaf("span", &[], about);
                                    }
                                });
                            }
                        });
                    }
                });
            }
        });
    });
}

/// A table of measures that belong together.
pub(super) fn measures(m: &mut Markup, read: &[Read<'_>], reading: &Reading) {
    if read.is_empty() {
        return m.leaf("p", &[("class", "muted")], "no data");
    }
    let mut caption = format!("Intervals are at {}.", level(reading));
    let better = read.first().and_then(|read| read.measure.better);
    let common = read.iter().all(|read| read.measure.better == better);
    if let Some(better) = better.filter(|_| common) {
        caption.push_str(&format!(
            " {}.",
            if better == Better::Higher { "Higher is better" } else { "Lower is better" }
        ));
    }
    let adjusted = read.first().map_or(0, |read| read.adjusted_for);
    if adjusted > 1 {
        caption.push_str(&format!(" p-values are adjusted for {adjusted} comparisons."));
    }
    if read.iter().any(differs) {
        caption.push_str(DIFFERS);
    }
    let rows: Vec<Vec<Cell>> = read.iter().map(|read| measure(read, common)).collect();
    blocks(m, Some(&caption), &rows);
}

/// Said where the change is not the difference of the two numbers beside it.
pub(crate) const DIFFERS: &str = " A change may differ from the difference of the two numbers: it is of the rows that both models \
     have, before any clipping at zero.";

/// Whether the change is visibly not the difference of the two numbers.
pub(crate) fn differs(read: &Read<'_>) -> bool {
    let measure = read.measure;
    let Some(((before, after), change)) = measure.before.zip(measure.after).zip(measure.change)
    else {
        return false;
    };
    let unit = 10_f64.powi(-i32::try_from(read.decimals).unwrap_or(0));
    (after.value - before.value - change.value).abs() > 1.01 * unit
}

fn measure(read: &Read<'_>, better_is_said: bool) -> Vec<Cell> {
    let (measure, decimals) = (read.measure, read.decimals);
    let better = match measure.better.filter(|_| !better_is_said) {
        Some(Better::Higher) => Some("higher is better".to_owned()),
        Some(Better::Lower) => Some("lower is better".to_owned()),
        None => None,
    };
    let unit = measure.unit.as_deref().map(one_line);
    let class = match read.verdict {
        Verdict::Higher | Verdict::Lower => "clear",
        _ => "muted",
    };
    let words = match (read.verdict, &measure.absent) {
        (Verdict::NotMeasured, Some(why)) => format!("not measured: {}", one_line(why)),
        (verdict, _) => verdict.words().to_owned(),
    };
    vec![
        Cell {
            about: unit.into_iter().chain(better).collect(),
            ..Cell::new("Measure", one_line(&measure.name))
        },
        Cell::estimate("Before", measure.before, |x| fixed(x, decimals)),
        Cell::estimate("After", measure.after, |x| fixed(x, decimals)),
        Cell::estimate("Change", difference(measure), |x| signed(x, decimals)),
        Cell::new("p", read.p_value.map_or_else(|| "–".to_owned(), p_digits)),
        Cell { class, ..Cell::new("Reading", words) },
    ]
}

/// Names and what stands beside them.
pub(super) fn facts(m: &mut Markup, facts: &[Fact]) {
    m.element("table", &[("class", "facts")], |m| {
        m.element("tbody", &[], |m| {
            for fact in facts {
                m.element("tr", &[], |m| {
                    m.leaf("th", &[("scope", "row")], &one_line(&fact.name));
                    m.leaf("td", &[], &fact.value);
                });
            }
        });
    });
}

/// A table of the caller's own.
pub(super) fn free(m: &mut Markup, table: &Table) {
    if table.rows.is_empty() {
        return m.leaf("p", &[("class", "muted")], "no data");
    }
    scrolled(m, &one_line(&table.title), |m| {
        if let Some(note) = &table.note {
            m.leaf("caption", &[], note);
        }
        let columns: Vec<String> = table.columns.iter().map(|name| one_line(name)).collect();
        head(m, &columns);
        body(m, table.rows.get(..TABLE_ROWS).unwrap_or(&table.rows));
    });
    if let Some(note) = left_out(table) {
        m.leaf("p", &[("class", "note")], &note);
    }
}

/// What is said of rows that are not shown.
pub(crate) fn left_out(table: &Table) -> Option<String> {
    let more = table.rows.len().saturating_sub(TABLE_ROWS);
    (more > 0).then(|| format!("{} more not shown.", count(more, "row")))
}

/// A table that scrolls by itself where it is wider than the page.
pub(super) fn scrolled(m: &mut Markup, label: &str, content: impl FnOnce(&mut Markup)) {
    let attributes =
        [("class", "scroll"), ("role", "region"), ("aria-label", label), ("tabindex", "0")];
    m.element("div", &attributes, |m| m.element("table", &[], content));
}

pub(super) fn head<S: AsRef<str>>(m: &mut Markup, columns: &[S]) {
    m.element("thead", &[], |m| {
        m.element("tr", &[], |m| {
            for column in columns {
                match column.as_ref() {
                    "" => m.leaf("td", &[], ""),
                    name => m.leaf("th", &[("scope", "col")], name),
                }
            }
        });
    });
}

pub(super) fn body(m: &mut Markup, rows: &[Vec<String>]) {
    m.element("tbody", &[], |m| {
        for row in rows {
            m.element("tr", &[], |m| {
                for (index, cell) in row.iter().enumerate() {
                    match index {
                        0 => m.leaf("th", &[("scope", "row")], cell),
                        _ => m.leaf("td", &[], cell),
                    }
                }
            });
        }
    });
}
