//! Lists the language models on this machine: finds them with `collimate-models`, selects some of
//! them by name, prints a table or JSON. `discover --help` describes the arguments.

mod table;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use collimate_models::{
    Catalog, Entry, MatchRule, ScanConfig, Selected, SkipReason, Skipped, printable,
};
use serde_json::{Value, json};
use shell::{Outcome, hub_cache, note, variable};

/// Lists the language models on this machine.
///
/// Looks into the roots, into base_models, base and pretrained below them, and into the Hugging Face
/// cache. Weights are not read.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Folder to look in, or a model; may be given several times [default: ./models]
    #[arg(long, value_name = "DIR")]
    root: Vec<PathBuf>,
    /// Hugging Face cache to look in [default: $HF_HUB_CACHE, $HF_HOME/hub, ~/.cache/huggingface/hub]
    #[arg(long, value_name = "DIR")]
    hf_cache: Option<PathBuf>,
    /// Models to select, separated by commas: a name in any spelling, owner/name, name@revision, or a
    /// path that begins with / or . [default: $BASE_MODELS]
    #[arg(long, value_name = "NAMES")]
    select: Option<String>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    /// Say of each folder that is not listed why
    #[arg(long)]
    skipped: bool,
}

const DEFAULT_ROOT: &str = "models";

fn main() -> ExitCode {
    shell::main(|arguments, _| run(&arguments), |_| false)
}

/// A model to print, with how it was selected.
struct Row<'a> {
    entry: &'a Entry,
    selected: Option<(String, MatchRule)>,
}

fn run(arguments: &Arguments) -> Outcome {
    let catalog = Catalog::scan(&places(arguments));
    for root in arguments.root.iter().chain(&arguments.hf_cache) {
        check_readable(&catalog, root)?;
    }
    let selection = arguments.select.clone().or_else(|| variable("BASE_MODELS"));
    let rows = match &selection {
        Some(queries) => selected(&catalog, queries)?,
        None => catalog.entries().iter().map(|entry| Row { entry, selected: None }).collect(),
    };
    let output = if arguments.json { json(&rows) } else { table::render(&rows) };
    io::stdout().write_all(output.as_bytes())?;
    if catalog.entries().is_empty() && arguments.root.is_empty() {
        note("looked in ./models and in the Hugging Face cache; --root DIR looks elsewhere");
    }
    report(&catalog, arguments);
    Ok(())
}

fn places(arguments: &Arguments) -> ScanConfig {
    let mut config = ScanConfig::new();
    if arguments.root.is_empty() {
        config = config.with_root(DEFAULT_ROOT);
    }
    for root in &arguments.root {
        config = config.with_root(root);
    }
    match arguments.hf_cache.clone().or_else(hub_cache) {
        Some(cache) => config.with_hub_cache(cache),
        None => config,
    }
}

/// A place that was asked for has to be there; the default ones need not.
fn check_readable(catalog: &Catalog, place: &PathBuf) -> Outcome {
    let of_place = |path: &&Skipped| path.path == *place;
    match catalog.skipped().iter().find(of_place).map(|skipped| &skipped.reason) {
        Some(reason @ (SkipReason::NotFound | SkipReason::Unreadable { .. })) => {
            let place = place.to_string_lossy();
            Err(format!("{}: {reason}", printable(&place)).into())
        }
        _ => Ok(()),
    }
}

fn selected<'a>(catalog: &'a Catalog, queries: &str) -> Outcome<Vec<Row<'a>>> {
    let selected = catalog.select(queries)?;
    let row =
        |found: Selected<'a>| Row { entry: found.entry, selected: Some((found.query, found.rule)) };
    Ok(selected.into_iter().map(row).collect())
}

fn json(rows: &[Row<'_>]) -> String {
    let objects: Vec<Value> = rows
        .iter()
        .map(|row| {
            let mut object = json!(row.entry);
            if let Some((query, rule)) = &row.selected {
                object["query"] = json!(query);
                object["matched"] = json!(rule);
            }
            object
        })
        .collect();
    format!("{:#}\n", Value::Array(objects))
}

/// What is worth knowing beside the models, on standard error.
fn report(catalog: &Catalog, arguments: &Arguments) {
    for collision in catalog.collisions() {
        let paths: Vec<_> = collision.paths.iter().map(|path| path.to_string_lossy()).collect();
        let paths = paths.join(", ");
        note(format_args!(
            "note: several models are called {}: {}",
            collision.name,
            printable(&paths)
        ));
    }
    let skipped: Vec<_> = catalog.skipped().iter().filter(|s| !is_absent_default(s)).collect();
    match skipped.len() {
        _ if arguments.skipped => {
            for skipped in skipped {
                let path = skipped.path.to_string_lossy();
                note(format_args!("skipped {}: {}", printable(&path), skipped.reason));
            }
        }
        0 => {}
        1 => note("1 folder was skipped; --skipped says why"),
        count => note(format_args!("{count} folders were skipped; --skipped says why")),
    }
}

/// The default places need not be there; those that were asked for are checked.
fn is_absent_default(skipped: &Skipped) -> bool {
    skipped.reason == SkipReason::NotFound && is_default(&skipped.path)
}

fn is_default(path: &Path) -> bool {
    path == Path::new(DEFAULT_ROOT) || hub_cache().is_some_and(|cache| path == cache)
}
