//! Checks a folder with a model or an adapter with `collimate-artifact`: that it is complete, agrees
//! with itself, loads, and is as it was written. `verify --help` describes the arguments.

mod demonstration;

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use collimate_artifact::{ArtifactError, Inspection, Severity, Verification, inspect, verify};
use collimate_models::printable;
use serde_json::json;

/// Checks a folder with a model or an adapter, whoever made it. Exits with 1 where something is wrong.
///
/// Without arguments it checks a tiny model that it makes, then damages.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The folder
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let run = |arguments: Arguments, cancelled: &AtomicBool| {
        let sound = match &arguments.folder {
            Some(folder) => check(folder, arguments.json, cancelled),
            None => demonstration::run(cancelled),
        };
        Ok(if sound? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    };
    shell::main(run, |error| matches!(error.downcast_ref(), Some(ArtifactError::Cancelled)))
}

/// Prints what a folder is and what is wrong with it, and says whether nothing is.
fn check(folder: &Path, as_json: bool, cancelled: &AtomicBool) -> Result<bool, Box<dyn Error>> {
    let found = verify(folder, cancelled, &mut ())?;
    let about = inspect(folder)?;
    let output = if as_json {
        format!("{:#}\n", json!({"inspection": about, "verification": found}))
    } else {
        text(&about, &found)
    };
    io::stdout().write_all(output.as_bytes())?;
    Ok(found.is_sound())
}

fn text(about: &Inspection, found: &Verification) -> String {
    let mut text = format!("{}\n", printable(&about.origin));
    for finding in &found.findings {
        let severity = match finding.severity {
            Severity::Error => "error",
            _ => "note",
        };
        text.push_str(&format!("{severity}: {}\n", printable(&finding.to_string())));
    }
    let state = if found.is_sound() { "sound" } else { "not sound" };
    text.push_str(&format!(
        "{state}: {} checksums compared, {} tensors checked\n",
        found.checksums, found.tensors
    ));
    text
}
