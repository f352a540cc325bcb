//! Scores embeddings with the Alignment Quality Index: reads files, calls `collimate-aqi`, prints
//! a table or JSON. `aqi --help` describes the arguments.
//!
//! The JSON is one object. Of one sample: its `Report`; `layer`, `layers` and `layer_weights` are
//! added where embeddings have layers (the report is then that of `layer`), `reference` in the
//! mode of that name. Of two samples: `before` and `after`, two such objects, and `delta`. Of a
//! cross-fitted sample: the means over `folds`, and a report for each fold. Of the embedded data:
//! the report after, with `before` and `delta`.

mod arguments;
mod embedded;
mod failure;
mod input;
mod table;

use crate::arguments::{Arguments, ModeName};
use crate::embedded::Demonstration;
use crate::failure::{Failure, Result};
use crate::input::{Embeddings, Pair, RowFiles, Rows, with_type};
use collimate_aqi::{
    Aqi, AqiError, Element, Flag, LayerFit, LayerObjective, LayerReport, LayerScaling, Report,
    fit_and_score, split_rows,
};
use ndarray::Axis;
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = Arguments::from_command_line().and_then(|arguments| match arguments {
        Some(arguments) => run(&arguments),
        None => Ok(()),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing can be done about a standard error that is closed.
            writeln!(io::stderr(), "{failure}").ok();
            failure.exit_code()
        }
    }
}

/// The results in both forms.
struct Output {
    table: String,
    json: Map<String, Value>,
}

fn run(arguments: &Arguments) -> Result<()> {
    let aqi = arguments.evaluation()?;
    let mut output = match (&arguments.embeddings, &arguments.before, &arguments.after) {
        (Some(file), ..) => {
            let loaded = input::load(file)?;
            let files = RowFiles::of_all(arguments);
            let rows = Rows::read(&files, arguments.safe.as_deref(), file, loaded.rows())?;
            with_type!(loaded, embeddings => one_sample(arguments, &aqi, embeddings, rows))?
        }
        (None, Some(before), Some(after)) => {
            match Pair::new(input::load(before)?, input::load(after)?) {
                Pair::F32(before, after) => two_samples(arguments, &aqi, &before, &after)?,
                Pair::F64(before, after) => two_samples(arguments, &aqi, &before, &after)?,
            }
        }
        _ => demonstration(arguments, &aqi)?,
    };
    if let Some(safe) = &arguments.safe {
        output.json.insert("safe".to_owned(), json!(safe));
    }
    deliver(&output, arguments.json.as_deref())
}

fn one_sample<F: Element>(
    arguments: &Arguments,
    aqi: &Aqi,
    embeddings: Embeddings<F>,
    rows: Rows,
) -> Result<Output> {
    if embeddings.layered && arguments.layer.is_none() {
        return all_layers(arguments, aqi, embeddings, rows);
    }
    let fail = |error| rows.failure(&embeddings.file, error);
    let (layer, values) = embeddings.layer(arguments.layer)?;
    if !arguments.skip_non_finite {
        embeddings.check_finite(Some(layer))?;
    }
    let sample = rows.sample(values).map_err(fail)?;
    let mut table = String::new();
    table::sources(&mut table, &[("embeddings", embeddings.description(layer))], &rows);
    let mut json = Map::new();
    if arguments.cross_fits()? {
        let folds = arguments.folds.unwrap_or(2);
        let report = aqi.cross_fit(&sample, folds).map_err(fail)?;
        table::cross_fit(&mut table, &report);
        for name in ["chi", "xbi", "dbs", "silhouette", "dunn", "rho_local", "ci95", "p_value"] {
            json.insert(name.to_owned(), Value::Null);
        }
        let counts = rows.labels.classes().iter().zip(rows.labels.counts());
        let counts: Map<String, Value> = counts.map(|(name, n)| (name.clone(), n.into())).collect();
        json.insert("n_per_class".to_owned(), counts.into());
        json.insert("mode".to_owned(), json!("aqi-s"));
        let mut flags: Vec<&Flag> = report.folds.iter().flat_map(|fold| &fold.flags).collect();
        flags.sort();
        flags.dedup();
        json.insert("flags".to_owned(), value(&flags)?);
        json.insert("aqi".to_owned(), json!(report.aqi_s));
        json.extend(object(&report)?);
    } else {
        let report = aqi.evaluate(&sample).map_err(fail)?;
        table::report(&mut table, &report);
        json.extend(object(&report)?);
        reference(arguments, &report, &mut table, &mut json)?;
    }
    if embeddings.layered {
        json.insert("layer".to_owned(), layer.into());
    }
    Ok(Output { table, json })
}

fn all_layers<F: Element>(
    arguments: &Arguments,
    aqi: &Aqi,
    mut embeddings: Embeddings<F>,
    mut rows: Rows,
) -> Result<Output> {
    if arguments.cross_fits()? {
        let message = "a cross-fitted transform scores one layer: choose it with --layer";
        return Err(Failure::in_file(&embeddings.file, message));
    }
    let (last, _) = embeddings.layer(None)?;
    let mut table = String::new();
    table::sources(&mut table, &[("embeddings", embeddings.description(last))], &rows);
    let mut skipped = 0;
    if arguments.skip_non_finite {
        let finite = embeddings.finite_rows();
        skipped = rows.labels.len() - finite.len();
        if skipped > 0 {
            rows = rows.select(&finite).map_err(|error| rows.failure(&embeddings.file, error))?;
            embeddings.values = embeddings.values.select(Axis(0), &finite);
        }
    } else {
        embeddings.check_finite(None)?;
    }
    let fail = |error| rows.failure(&embeddings.file, error);
    let (_, values) = embeddings.layer(None)?;
    let sample = rows.sample(values).map_err(fail)?;
    let mut layers = aqi.profile(&sample, embeddings.values.view()).map_err(fail)?;
    if skipped > 0 {
        for layer in &mut layers {
            layer.report.flags.push(Flag::SkippedRows { rows: skipped });
        }
    }
    let weights = layer_weights(arguments, &embeddings, &rows);
    let LayerReport { report: headline, .. } = &layers[last];
    table::report(&mut table, headline);
    let mut json = object(headline)?;
    reference(arguments, headline, &mut table, &mut json)?;
    table::layers(&mut table, &layers);
    table::layer_weights(&mut table, &weights);
    json.insert("layer".to_owned(), last.into());
    json.insert("layers".to_owned(), value(&layers)?);
    let weights = match &weights {
        Ok(fit) => value(fit)?,
        Err(reason) => json!({ "skipped": reason.to_string() }),
    };
    json.insert("layer_weights".to_owned(), weights);
    Ok(Output { table, json })
}

/// Weights of the layers, fitted on one half of the rows and scored on the other.
fn layer_weights<F: Element>(
    arguments: &Arguments,
    embeddings: &Embeddings<F>,
    rows: &Rows,
) -> Result<LayerFit, AqiError> {
    let groups = rows.groups.as_ref().map(|groups| groups.codes());
    let (fit, score) = split_rows(&rows.labels, groups, 0.5, arguments.seed)?;
    let objective = LayerObjective::default();
    let values = embeddings.values.view();
    fit_and_score(values, &rows.labels, &fit, &score, &objective, LayerScaling::Rms)
}

fn two_samples<F: Element>(
    arguments: &Arguments,
    aqi: &Aqi,
    before: &Embeddings<F>,
    after: &Embeddings<F>,
) -> Result<Output> {
    let safe = arguments.safe.as_deref();
    let (layer_a, a) = before.layer(arguments.layer)?;
    let (layer_b, b) = after.layer(arguments.layer)?;
    if arguments.ids.is_none() && a.nrows() != b.nrows() {
        return Err(Failure::Input(format!(
            "{} has {} rows, {} has {}: without --ids rows are paired by position and must be equally many",
            before.file.display(),
            a.nrows(),
            after.file.display(),
            b.nrows(),
        )));
    }
    let mut rows_a = Rows::read(&RowFiles::of_all(arguments), safe, &before.file, a.nrows())?;
    let mut rows_b = Rows::read(&RowFiles::of_after(arguments), safe, &after.file, b.nrows())?;
    if arguments.ids.is_none() {
        (rows_a, rows_b) = (rows_a.with_positions_as_ids(), rows_b.with_positions_as_ids());
    }
    if !arguments.skip_non_finite {
        before.check_finite(Some(layer_a))?;
        after.check_finite(Some(layer_b))?;
    }
    let fail_before = |error| rows_a.failure(&before.file, error);
    let fail_after = |error| rows_b.failure(&after.file, error);
    let sample_a = rows_a.sample(a).map_err(fail_before)?;
    let sample_b = rows_b.sample(b).map_err(fail_after)?;
    let report_a = aqi.evaluate(&sample_a).map_err(fail_before)?;
    let report_b = aqi.evaluate(&sample_b).map_err(fail_after)?;
    let config = arguments.comparison();
    let delta = aqi.delta(&sample_a, &sample_b, &config).map_err(fail_after)?;

    let mut table = String::new();
    let sources = [("before", before.description(layer_a)), ("after", after.description(layer_b))];
    table::sources(&mut table, &sources, &rows_a);
    table::comparison(&mut table, &report_a, &report_b, &delta);
    let mut json = Map::new();
    for (name, report, layer) in [
        ("before", &report_a, before.layered.then_some(layer_a)),
        ("after", &report_b, after.layered.then_some(layer_b)),
    ] {
        let mut report = object(report)?;
        if let Some(layer) = layer {
            report.insert("layer".to_owned(), layer.into());
        }
        json.insert(name.to_owned(), report.into());
    }
    json.insert("delta".to_owned(), value(&delta)?);
    Ok(Output { table, json })
}

fn demonstration(arguments: &Arguments, aqi: &Aqi) -> Result<Output> {
    let fail = |error: AqiError| Failure::Input(format!("embedded data: {error}"));
    let Demonstration { before, after, mut labels, ids, axioms, groups } =
        Demonstration::new().map_err(fail)?;
    if let Some(safe) = &arguments.safe {
        labels = labels.with_safe(safe).map_err(fail)?;
    }
    let files = RowFiles::default();
    let rows = Rows { labels, ids: Some(ids), axioms: Some(axioms), groups: Some(groups), files };
    let before = rows.sample(before.view()).map_err(fail)?;
    let after = rows.sample(after.view()).map_err(fail)?;
    let report_before = aqi.evaluate(&before).map_err(fail)?;
    let report_after = aqi.evaluate(&after).map_err(fail)?;
    let delta = aqi.delta(&before, &after, &arguments.comparison()).map_err(fail)?;

    let mut table = format!("{}\n\n", embedded::DESCRIPTION);
    let mut json = object(&report_after)?;
    table::comparison(&mut table, &report_before, &report_after, &delta);
    reference(arguments, &report_after, &mut table, &mut json)?;
    json.insert("data".to_owned(), json!(embedded::DESCRIPTION.replace('\n', " ")));
    json.insert("before".to_owned(), value(&report_before)?);
    json.insert("delta".to_owned(), value(&delta)?);
    Ok(Output { table, json })
}

/// Adds the scores of the reference mode, if it was asked for.
fn reference(
    arguments: &Arguments,
    report: &Report,
    table: &mut String,
    json: &mut Map<String, Value>,
) -> Result<()> {
    if arguments.mode != ModeName::Reference {
        return Ok(());
    }
    let scores = report
        .reference_scores(arguments.lambda()?)
        .map_err(|error| Failure::Input(error.to_string()))?;
    table::reference(table, &scores, arguments.lambda);
    let overall = scores.scores.iter().rfind(|score| score.name == "overall");
    json.insert("mode".to_owned(), json!("reference"));
    json.insert("lambda_weights".to_owned(), json!("chi"));
    json.insert("aqi".to_owned(), json!(overall.map(|score| score.aqi)));
    json.insert("reference".to_owned(), value(&scores)?);
    Ok(())
}

fn value(results: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(results).map_err(|error| Failure::Other(error.to_string()))
}

fn object(results: &impl serde::Serialize) -> Result<Map<String, Value>> {
    match value(results)? {
        Value::Object(object) => Ok(object),
        other => Err(Failure::Other(format!("results are no JSON object but {other}"))),
    }
}

/// Writes the table to standard output and the JSON where it is wanted.
fn deliver(output: &Output, json: Option<&Path>) -> Result<()> {
    let text = || {
        let text = serde_json::to_string_pretty(&output.json);
        text.map(|text| text + "\n").map_err(|error| Failure::Other(error.to_string()))
    };
    match json {
        None => print(&output.table),
        Some(path) if path == Path::new("-") => print(&text()?),
        Some(path) => {
            print(&output.table)?;
            std::fs::write(path, text()?)
                .map_err(|error| Failure::Other(format!("{}: {error}", path.display())))
        }
    }
}

/// Prints; a reader that stops reading early, as `head` does, is no failure.
fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Other(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}
