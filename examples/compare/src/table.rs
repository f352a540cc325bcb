//! A report as a table on a terminal.

use collimate_report::{CheckedReport, Estimate, Measure};

/// Everything that was measured, one line each, and what can be said of it.
pub fn table(report: &CheckedReport) -> String {
    let data = report.report();
    let mut rows: Vec<[String; 5]> =
        vec![["", "before", "after", "change", "95% interval"].map(str::to_owned)];
    if let Some(aqi) = &data.aqi {
        rows.push(row("", &aqi.overall));
        rows.extend(aqi.axioms.iter().map(|axiom| row("  ", axiom)));
        rows.extend(aqi.layers.values().map(|layer| row("  ", layer)));
    }
    for group in &data.groups {
        rows.extend(group.measures.iter().map(|measure| row("", measure)));
    }
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    let mut text = String::new();
    for [name, before, after, change, interval] in &rows {
        let [a, b, c, d] = widths;
        let line = format!("{name:<a$}  {before:>b$}  {after:>c$}  {change:>d$}  {interval}");
        text += line.trim_end();
        text.push('\n');
    }
    text.push('\n');
    for finding in report.findings() {
        text += &finding.text;
        text.push('\n');
    }
    text
}

fn row(indent: &str, measure: &Measure) -> [String; 5] {
    let unit = measure.unit.as_ref().map(|unit| format!(" ({unit})")).unwrap_or_default();
    let name = format!("{indent}{}{unit}", measure.name);
    let values = [measure.before, measure.after, measure.change];
    let largest = values.iter().flatten().map(|of| of.value.abs()).fold(0.0, f64::max);
    let decimals = if largest >= 100.0 {
        1
    } else if largest >= 10.0 {
        2
    } else {
        4
    };
    let number = |of: Option<Estimate>| match of {
        Some(of) => format!("{:.decimals$}", of.value),
        None => "-".to_owned(),
    };
    let interval = match measure.change {
        Some(Estimate { interval: Some([low, high]), p_value, .. }) => {
            let p = p_value.map(|p| match p < 0.0001 {
                true => "  p < 0.0001".to_owned(),
                false => format!("  p = {p:.4}"),
            });
            format!("{low:+.decimals$} to {high:+.decimals$}{}", p.unwrap_or_default())
        }
        _ => measure.absent.clone().unwrap_or_default(),
    };
    let change = match measure.change {
        Some(change) => format!("{:+.decimals$}", change.value),
        None => match (measure.before, measure.after) {
            (Some(before), Some(after)) => format!("{:+.decimals$}", after.value - before.value),
            _ => "-".to_owned(),
        },
    };
    [name, number(measure.before), number(measure.after), change, interval]
}
