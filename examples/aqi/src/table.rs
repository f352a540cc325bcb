//! Results as text for people.

use crate::input::Rows;
use collimate_aqi::{
    AqiError, AxiomReport, CrossFitReport, Delta, Flag, IntervalMethod, LayerFit, LayerReport,
    Outcome, ReferenceScores, Report,
};

/// Where the rows come from.
pub fn sources(out: &mut String, embeddings: &[(&str, String)], rows: &Rows) {
    let mut lines: Vec<(&str, String)> = embeddings.to_vec();
    if let Some(safe) = rows.labels.safe() {
        lines.push(("safe", rows.labels.classes()[safe].clone()));
    }
    let files = &rows.files;
    for (name, file) in [
        ("labels", &files.labels),
        ("ids", &files.ids),
        ("axioms", &files.axioms),
        ("groups", &files.groups),
    ] {
        if let Some(file) = file {
            lines.push((name, file.display().to_string()));
        }
    }
    for (name, text) in lines {
        line(out, &format!("{name:<11} {text}"));
    }
    out.push('\n');
}

/// One sample: headline, indices, settings, axioms, notes.
pub fn report(out: &mut String, report: &Report) {
    headline(out, "", report);
    out.push('\n');
    indices(out, &[("", report)]);
    settings(out, report);
    axioms(out, report);
    notes(out, &[report]);
}

/// Two samples of the same prompts.
pub fn comparison(out: &mut String, before: &Report, after: &Report, delta: &Delta) {
    headline(out, "before  ", before);
    headline(out, "after   ", after);
    let p = format!("{}; sign flips: {}", p(delta.p_value), p(delta.sign_flip_p_value));
    let ends = format!("{} to {}", signed(100.0 * delta.lower), signed(100.0 * delta.upper));
    let interval = format!("95% interval {ends}; {p}");
    let two = before.n_per_class.len() == 2;
    let change = if two && (delta.delta_aqi_s - 100.0 * delta.delta).abs() < 1e-9 {
        format!("AQI-S {}  ({interval})", signed(delta.delta_aqi_s))
    } else if two {
        let rho = signed(100.0 * delta.delta);
        format!("AQI-S {}  (100 rho {rho}, {interval})", signed(delta.delta_aqi_s))
    } else {
        format!("100 rho {}  ({interval})", signed(100.0 * delta.delta))
    };
    line(out, &format!("delta   {change}"));
    if delta.lower <= 0.0 && delta.upper >= 0.0 {
        line(out, "        no detectable change: the interval contains zero");
    }
    line(out, &format!("        {} rows paired", delta.paired_rows));
    for (sample, ids) in [("before", &delta.only_before), ("after", &delta.only_after)] {
        if !ids.is_empty() {
            let shown: Vec<&str> = ids.iter().take(3).map(String::as_str).collect();
            let more = if ids.len() > shown.len() { ", ..." } else { "" };
            let (count, shown) = (ids.len(), shown.join(", "));
            line(out, &format!("        {count} only {sample}: {shown}{more}"));
        }
    }
    out.push('\n');
    indices(out, &[("before", before), ("after", after)]);
    settings(out, after);
    for (name, report) in [("before", before), ("after", after)] {
        if !report.axioms.is_empty() {
            line(out, &format!("\nAxioms {name}:"));
            axioms(out, report);
        }
    }
    notes(out, &[before, after]);
}

/// The layers of a model.
pub fn layers(out: &mut String, layers: &[LayerReport]) {
    let rows = layers.iter().map(|layer| {
        let mut cells = vec![layer.layer.to_string()];
        cells.extend(scores(&layer.report));
        cells.push(layer.p_max_t.map_or("-".to_owned(), p_value));
        cells
    });
    line(out, "\nLayers, each by itself (p max-T: adjusted for the number of layers):");
    let mut header = vec!["layer"];
    header.extend(SCORES);
    header.push("p max-T");
    columns(out, &header, rows.collect());
}

/// Fitted layer weights, or why there are none.
pub fn layer_weights(out: &mut String, fit: &Result<LayerFit, AqiError>) {
    let fit = match fit {
        Ok(fit) => fit,
        Err(reason) => return line(out, &format!("\nLayer weights not fitted: {reason}")),
    };
    let (fitted, held_out) = (fit.train_rows, fit.held_out_rows);
    line(
        out,
        &format!(
            "\nLayer weights (Rayleigh objective, layers as they are but divided by their RMS), fitted on {fitted} rows:"
        ),
    );
    let weights = fit.weights.values().iter().enumerate();
    let shown: Vec<String> = weights
        .filter(|(_, weight)| **weight >= 0.0005)
        .map(|(layer, weight)| format!("{layer}: {weight:.3}"))
        .collect();
    line(out, &format!("  weight of layer   {}", shown.join(", ")));
    line(
        out,
        &format!(
            "  AQI-S             {:.1} on the {held_out} other rows ({:.1} on the rows that chose the weights: optimistic)",
            fit.held_out.aqi_s, fit.train.aqi_s
        ),
    );
    let uniform = fit.uniform_held_out.aqi_s;
    let best = fit.profile_held_out.get(fit.best_layer).and_then(Option::as_ref);
    let best = best.map_or_else(String::new, |score| {
        format!("; best single layer ({}) {:.1}", fit.best_layer, score.aqi_s)
    });
    line(
        out,
        &format!("  by comparison     uniform weights {uniform:.1}{best}, on the same other rows"),
    );
    for flag in &fit.flags {
        line(out, &format!("  note: {}", words(flag)));
    }
}

/// A cross-fitted score.
pub fn cross_fit(out: &mut String, report: &CrossFitReport) {
    let folds = report.folds.len();
    match report.aqi_s {
        Some(score) => line(out, &format!("AQI-S {score:.1}  (mean of {folds} folds)")),
        None => line(out, "AQI-S not defined: a class has too few rows in a fold"),
    }
    let transform = report.folds.first().and_then(|fold| fold.transform.as_ref());
    let transform = transform.map_or("none", |transform| transform.chain.as_str());
    line(out, &format!("transform {transform}, fitted for each fold on the rows of the others\n"));
    let rows = report.folds.iter().enumerate().map(|(fold, report)| {
        let mut cells = vec![fold.to_string()];
        cells.extend(scores(report));
        cells.push(report.p_value.map_or("-".to_owned(), p_value));
        cells
    });
    let mut header = vec!["fold"];
    header.extend(SCORES);
    header.push("p");
    columns(out, &header, rows.collect());
    for (fold, report) in report.folds.iter().enumerate() {
        if !report.axioms.is_empty() {
            line(out, &format!("\nAxioms of fold {fold}:"));
            axioms(out, report);
        }
    }
    notes(out, &report.folds.iter().collect::<Vec<_>>());
}

/// The scores of the published t-SNE script.
pub fn reference(out: &mut String, scores: &ReferenceScores, gamma: f64) {
    line(out, &format!("\nReference scores (gamma {gamma} weights CHI):"));
    let rows = scores.scores.iter().map(|score| {
        let one_digit = |value: f64| format!("{value:.2}");
        vec![
            score.name.clone(),
            one_digit(score.chi_norm),
            one_digit(score.xb_norm),
            one_digit(score.aqi),
        ]
    });
    columns(out, &["group", "CHI norm", "XB norm", "AQI"], rows.collect());
    for group in &scores.skipped {
        line(out, &format!("{}: skipped: {}", group.name, group.reason));
    }
    line(
        out,
        "warning: a score is a rank inside this set of groups: never compare scores of two sets, and do\n         not publish them; the distances of t-SNE coordinates are not metric, either",
    );
    for flag in &scores.flags {
        line(out, &format!("note: {}", words(flag)));
    }
}

/// Decimals that show two digits of an interval of that width, at least one.
fn decimals_for(width: f64) -> usize {
    (1..6).find(|&decimals| width >= 10_f64.powi(1 - decimals)).map_or(6, |d| d as usize)
}

fn headline(out: &mut String, name: &str, report: &Report) {
    let p = report.p_value.map(p);
    let two = report.n_per_class.len() == 2;
    let decimals = report.aqi_s_ci95.map_or(1, |[lower, upper]| decimals_for(upper - lower));
    let interval = match (report.aqi_s_ci95, report.ci95) {
        (Some([lower, upper]), _) if two => {
            Some(format!("95% interval {lower:.decimals$} to {upper:.decimals$}"))
        }
        (_, Some([lower, upper])) => {
            let estimate = report.interval.as_ref().map_or("-".into(), |i| share(i.estimate));
            let (lower, upper) = (share(lower), share(upper));
            Some(format!("rho_global {estimate}, 95% interval {lower} to {upper}"))
        }
        _ => None,
    };
    let around: Vec<String> = interval.into_iter().chain(p).collect();
    let around =
        if around.is_empty() { String::new() } else { format!("  ({})", around.join("; ")) };
    match report.aqi_s {
        Some(score) => line(out, &format!("{name}AQI-S {score:.decimals$}{around}")),
        None => line(out, &format!("{name}AQI-S not defined: a class has a single row{around}")),
    }
    let indent = " ".repeat(name.len());
    match report.ci95 {
        Some([lower, _]) if lower <= 0.0 => {
            line(out, &format!("{indent}no detectable separation: the interval contains zero"));
        }
        None if report.aqi_s.is_some() => {
            line(out, &format!("{indent}no interval: a class has too few rows or groups"));
        }
        _ => {}
    }
    if !report.mode.is_size_invariant() {
        let (mode, value) = (report.mode.name(), digits(report.aqi));
        line(out, &format!("{indent}AQI {value}  ({mode})"));
    }
}

fn indices(out: &mut String, reports: &[(&str, &Report)]) {
    type Value = fn(&Report) -> Option<String>;
    let rows: [(&str, Value, &str); 8] = [
        ("Calinski-Harabasz (CHI)", |r| r.chi.map(digits), "higher is better"),
        ("Xie-Beni (XBI)", |r| Some(digits(r.xbi)), "lower is better"),
        ("Davies-Bouldin (DBS)", |r| Some(digits(r.dbs)), "lower is better"),
        ("silhouette", |r| r.silhouette.map(share), "-1 to 1"),
        ("Dunn", |r| r.dunn.map(digits), "higher is better"),
        ("rho_global", |r| r.rho_global.map(share), "share of variance, at most 1"),
        ("rho_local", |r| r.rho_local.map(share), "of the closest two classes"),
        (
            "participation ratio",
            |r| r.participation_ratio.map(digits),
            "dimensions that carry the variance",
        ),
    ];
    let mut header = vec!["index"];
    header.extend(reports.iter().map(|(name, _)| if name.is_empty() { "value" } else { *name }));
    header.push("");
    let mut lines: Vec<Vec<String>> = Vec::new();
    for (name, value, meaning) in rows {
        let mut cells = vec![name.to_owned()];
        cells.extend(reports.iter().map(|(_, report)| value(report).unwrap_or_else(|| "-".into())));
        cells.push(meaning.to_owned());
        lines.push(cells);
    }
    let mut classes: Vec<&String> =
        reports.iter().flat_map(|(_, r)| r.n_per_class.keys()).collect();
    classes.sort();
    classes.dedup();
    for class in classes {
        let count = |report: &Report| report.n_per_class.get(class).map_or(0, |&n| n).to_string();
        let mut cells = vec![format!("rows of {class}")];
        cells.extend(reports.iter().map(|(_, report)| count(report)));
        cells.push(String::new());
        lines.push(cells);
    }
    columns(out, &header, lines);
}

fn settings(out: &mut String, report: &Report) {
    let (lambda, term) = report.mode.lambda();
    let effect = if report.mode.is_size_invariant() && report.n_per_class.len() == 2 {
        ", without effect for two classes"
    } else {
        ""
    };
    let name = report.mode.name();
    line(out, &format!("\nmode       {name} (lambda {} weights {term}{effect})", lambda.value()));
    let transform = report.transform.as_ref().map_or("none".to_owned(), |transform| {
        let (before, after) = (transform.input_dim, transform.output_dim);
        let dims = if before == after {
            String::new()
        } else {
            format!(", {before} dimensions to {after}")
        };
        format!(
            "{} (fitted on {} rows without labels{dims})",
            transform.chain, transform.fitted_rows
        )
    });
    line(out, &format!("transform  {transform}"));
    if let Some(interval) = &report.interval {
        let method = match interval.method {
            IntervalMethod::Score => "score interval".to_owned(),
            IntervalMethod::Centered { resamples, .. } => {
                format!("centred bootstrap, {resamples} resamples")
            }
            other => format!("{other:?}"),
        };
        line(out, &format!("interval   {method}"));
    }
    if let Some(test) = &report.permutation_test {
        let how = if test.exact { "all" } else { "random" };
        line(out, &format!("test       {} {how} labelings", test.permutations));
    }
}

/// Header of [`scores`].
const SCORES: [&str; 6] = ["n", "CHI", "XBI", "rho", "AQI-S", "95% interval"];

fn scores(report: &Report) -> Vec<String> {
    let optional = |value: Option<f64>| value.map_or("-".to_owned(), digits);
    let interval = match (report.aqi_s_ci95, report.ci95) {
        (Some([lower, upper]), _) => format!("{lower:.1} to {upper:.1}"),
        (None, Some([lower, upper])) => format!("rho {} to {}", share(lower), share(upper)),
        (None, None) => "-".to_owned(),
    };
    vec![
        report.n.to_string(),
        optional(report.chi),
        digits(report.xbi),
        report.rho_global.map_or("-".to_owned(), share),
        report.aqi_s.map_or("-".to_owned(), |score| format!("{score:.1}")),
        interval,
    ]
}

fn axioms(out: &mut String, report: &Report) {
    if report.axioms.is_empty() {
        return;
    }
    let paper = !report.mode.is_size_invariant();
    let mut header = vec!["axiom"];
    header.extend(SCORES);
    header.extend(["p", "p (Holm)"]);
    if paper {
        header.push("AQI");
    }
    let mut rows = Vec::new();
    let mut skipped = Vec::new();
    for axiom in &report.axioms {
        let AxiomReport { axiom: name, outcome, p_holm, .. } = axiom;
        match outcome {
            Outcome::Report(report) => {
                let mut cells = vec![name.clone()];
                cells.extend(scores(report));
                cells.extend([report.p_value, *p_holm].map(|p| p.map_or("-".into(), p_value)));
                if paper {
                    cells.push(digits(report.aqi));
                }
                rows.push(cells);
            }
            Outcome::Skipped(reason) => skipped.push(format!("{name}: skipped: {reason}")),
            _ => skipped.push(format!("{name}: skipped")),
        }
    }
    if !out.ends_with(":\n") {
        out.push('\n');
    }
    columns(out, &header, rows);
    skipped.iter().for_each(|text| line(out, text));
}

/// What a reader of the numbers must know, each once.
fn notes(out: &mut String, reports: &[&Report]) {
    let mut notes: Vec<String> = Vec::new();
    let mut add = |note: String| {
        if !notes.contains(&note) {
            notes.push(note);
        }
    };
    for report in reports {
        if !report.mode.is_size_invariant() {
            let name = report.mode.name();
            add(format!(
                "{name} depends on the number of rows and on class balance: never compare it across samples of other sizes"
            ));
        }
        let axioms = report.axioms.iter().filter_map(|axiom| axiom.outcome.report());
        report.flags.iter().for_each(|flag| add(words(flag)));
        let in_axioms: Vec<&Flag> = axioms.flat_map(|axiom| &axiom.flags).collect();
        for flag in in_axioms {
            if !report.flags.contains(flag) {
                add(format!("in an axiom: {}", words(flag)));
            }
        }
    }
    if !notes.is_empty() {
        out.push('\n');
    }
    notes.iter().for_each(|note| line(out, &format!("note: {note}")));
}

fn words(flag: &Flag) -> String {
    match flag {
        Flag::CoincidentCentroids { a, b } => {
            format!("classes {a} and {b} have the same centroid: Xie-Beni is infinite")
        }
        Flag::NoWithinScatter => {
            "every row equals its class's centroid: Calinski-Harabasz is infinite".to_owned()
        }
        Flag::Singleton { class } => {
            format!("class {class} has a single row: rho and AQI-S can't be estimated")
        }
        Flag::RhoLocalUndefined => "rho_local is undefined, and given as -1".to_owned(),
        Flag::ChiAboveMaximum => "CHI lies above --chi-max, and was clipped to it".to_owned(),
        Flag::ZeroInterquartileRange => {
            "Xie-Beni has no spread over the groups: its normalization is a step".to_owned()
        }
        Flag::ConstantGroups => {
            "only one group, or one value for all: the reference score is a constant".to_owned()
        }
        Flag::ConstantAnchors => "the anchors have one value: the score is a step".to_owned(),
        Flag::DuplicateRows { rows, across_classes } => format!(
            "{rows} rows repeat an earlier one, {across_classes} of them one of another class: repeated prompts are no independent evidence"
        ),
        Flag::SkippedRows { rows } => {
            format!("{rows} rows with NaN or infinite values were left out, as asked for")
        }
        Flag::ConstantLayer { layer } => {
            format!("layer {layer} is the same for all rows that weights were fitted on")
        }
        Flag::CollapsedOnLayer { layer } => {
            format!("the weights put more than 0.99 on layer {layer}")
        }
        Flag::LegacyInterval => {
            "the interval is of the legacy kind, which covers less than it says".to_owned()
        }
        other => format!("{other:?}"),
    }
}

/// Pads columns: the first to the right, the others to the left, a last one without a name not.
fn columns(out: &mut String, header: &[&str], rows: Vec<Vec<String>>) {
    let header = header.iter().map(|&name| name.to_owned()).collect();
    let lines: Vec<Vec<String>> = [header].into_iter().chain(rows).collect();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|cells| cells.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    for cells in &lines {
        let mut text = String::new();
        for (column, (cell, &width)) in cells.iter().zip(&widths).enumerate() {
            let comment = column + 1 == cells.len() && lines[0][column].is_empty();
            let padding = " ".repeat(width - cell.chars().count());
            match column {
                0 => text += &format!("{cell}{padding}"),
                _ if comment => text += &format!("  {cell}"),
                _ => text += &format!("  {padding}{cell}"),
            }
        }
        line(out, text.trim_end());
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// A number with four significant digits.
fn digits(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "infinite" } else { "-infinite" }.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let rounded = format!("{value:.3e}");
    let exponent = rounded.split_once('e').and_then(|(_, e)| e.parse::<i32>().ok()).unwrap_or(0);
    match exponent {
        -4..=3 => {
            let places = usize::try_from(3 - exponent).unwrap_or(0);
            format!("{value:.places$}")
        }
        4 | 5 => format!("{value:.0}"),
        _ => rounded,
    }
}

/// A share of variance, or another number between -1 and 1.
fn share(value: f64) -> String {
    let text = if value.is_finite() { format!("{value:.4}") } else { digits(value) };
    if text == "-0.0000" { "0.0000".to_owned() } else { text }
}

/// A difference with its sign.
fn signed(value: f64) -> String {
    let text = format!("{value:+.1}");
    if text == "-0.0" { "+0.0".to_owned() } else { text }
}

fn p(value: f64) -> String {
    if value < 0.001 { "p < 0.001".to_owned() } else { format!("p = {value:.3}") }
}

/// The same for a column that is headed p.
fn p_value(value: f64) -> String {
    if value < 0.001 { "< 0.001".to_owned() } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_four_digits() {
        for (value, text) in [
            (50.0, "50.00"),
            (0.01, "0.01000"),
            (0.797_979, "0.7980"),
            (1234.56, "1235"),
            (123_456.7, "123457"),
            (9_999_999.0, "1.000e7"),
            (-0.333_333, "-0.3333"),
            (0.000_012_34, "1.234e-5"),
            (f64::INFINITY, "infinite"),
            (0.0, "0"),
        ] {
            assert_eq!(digits(value), text);
        }
        assert_eq!((p(0.000_9), p(0.001)), ("p < 0.001".to_owned(), "p = 0.001".to_owned()));
    }

    #[test]
    fn columns_are_aligned() {
        let mut out = String::new();
        let rows = vec![
            vec!["ä".to_owned(), "1.5".to_owned(), "x".to_owned()],
            vec!["abc".to_owned(), "10".to_owned(), String::new()],
        ];
        columns(&mut out, &["name", "n", ""], rows);
        assert_eq!(out, "name    n\nä     1.5  x\nabc    10\n");
    }
}
