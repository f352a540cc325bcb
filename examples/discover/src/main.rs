//! Lists the language models on this machine: finds them with `collimate-models`, selects some of
//! them by name, prints a table or JSON. `discover --help` describes the arguments.

mod table;

use std::env;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use collimate_models::{
    Catalog, Entry, MatchRule, ScanConfig, Selected, SkipReason, Skipped, printable,
};
use serde_json::{Value, json};

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
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // The help, or the version.
        Err(error) if !error.use_stderr() => {
            error.print().ok();
            return ExitCode::SUCCESS;
        }
        Err(error) => return wrong_input(first_line(&error)),
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Input(message)) => wrong_input(message),
        // Whoever read the output has read enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(Failure::Output(error)) => {
            note(format_args!("error: can't write the output: {error}"));
            ExitCode::FAILURE
        }
    }
}

enum Failure {
    Input(String),
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// A model to print, with how it was selected.
struct Row<'a> {
    entry: &'a Entry,
    selected: Option<(String, MatchRule)>,
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
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
    match arguments.hf_cache.clone().or_else(default_cache) {
        Some(cache) => config.with_hub_cache(cache),
        None => config,
    }
}

fn default_cache() -> Option<PathBuf> {
    let cache = || variable("HF_HUB_CACHE").map(PathBuf::from);
    let home = || variable("HF_HOME").map(|home| PathBuf::from(home).join("hub"));
    let user = || env::home_dir().map(|home| home.join(".cache/huggingface/hub"));
    cache().or_else(home).or_else(user)
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// A place that was asked for has to be there; the default ones need not.
fn check_readable(catalog: &Catalog, place: &PathBuf) -> Result<(), Failure> {
    let of_place = |path: &&Skipped| path.path == *place;
    match catalog.skipped().iter().find(of_place).map(|skipped| &skipped.reason) {
        Some(reason @ (SkipReason::NotFound | SkipReason::Unreadable { .. })) => {
            let place = place.to_string_lossy();
            Err(Failure::Input(format!("{}: {reason}", printable(&place))))
        }
        _ => Ok(()),
    }
}

fn selected<'a>(catalog: &'a Catalog, queries: &str) -> Result<Vec<Row<'a>>, Failure> {
    let selected = catalog.select(queries).map_err(|error| Failure::Input(error.to_string()))?;
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
    path == Path::new(DEFAULT_ROOT) || default_cache().is_some_and(|cache| path == cache)
}

fn wrong_input(message: String) -> ExitCode {
    note(format_args!("error: {message}"));
    ExitCode::from(2)
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

fn note(message: impl Display) {
    // Nothing can be done about a standard error that is closed.
    writeln!(io::stderr(), "{message}").ok();
}
