//! Aligns a language model by a recipe, with `collimate-pipeline`. `align --help` describes the arguments.

mod arguments;
mod embedded;
mod progress;
mod screen;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use collimate_pipeline::{PipelineError, RunEvent, RunObserver, Surroundings, run};
use serde_json::json;
use shell::{Outcome, note};

use arguments::Arguments;
use progress::Progress;

fn main() -> ExitCode {
    shell::main(align, |error| match error.downcast_ref::<PipelineError>() {
        Some(PipelineError::Recipe(_) | PipelineError::Select(_)) => false,
        Some(PipelineError::Setting { .. } | PipelineError::NotEmbedded { .. }) => false,
        Some(PipelineError::Data(_) | PipelineError::Models(_)) => false,
        Some(_) => true,
        None => false,
    })
}

fn align(arguments: Arguments, cancelled: &AtomicBool) -> Outcome<ExitCode> {
    let recipe = arguments.recipe()?;
    let out = &recipe.recipe().output.folder;
    let mut surroundings = Surroundings::default().with_places(arguments.places());
    if needs_embedded(recipe.recipe()) {
        let embedded = embedded::unpack(&out.join(".work").join("embedded"))?;
        surroundings = surroundings.with_embedded(embedded);
    }
    let mut progress = Progress::new();
    let mut lines = Lines(arguments.json_events);
    let mut observer = |event: &RunEvent| {
        progress.on_event(event);
        lines.on_event(event);
    };
    let ran = run(&recipe, &surroundings, &mut observer, cancelled);
    progress.end();
    let report = match ran {
        Err(error) if error.is_cancelled() => {
            note(&error);
            return Ok(ExitCode::FAILURE);
        }
        ran => ran?,
    };
    let shown = match arguments.json_events {
        true => format!("{}\n", json!({"event": "finished", "report": report})),
        false => screen::text(&report),
    };
    io::stdout().write_all(shown.as_bytes())?;
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether a recipe asks for the model, the data or the probes of the program.
fn needs_embedded(recipe: &collimate_pipeline::Recipe) -> bool {
    const EMBEDDED: &str = "embedded";
    recipe.models.iter().any(|choice| choice.model == EMBEDDED)
        || recipe.data.paths.iter().any(|path| path == EMBEDDED)
        || recipe.evaluation.probes.as_deref() == Some(EMBEDDED)
}

/// Prints each event as a line of JSON, if so wanted.
struct Lines(bool);

impl RunObserver for Lines {
    fn on_event(&mut self, event: &RunEvent) {
        if self.0
            && let Ok(mut line) = serde_json::to_vec(event)
        {
            line.push(b'\n');
            // Who doesn't listen any more needs no line.
            io::stdout().write_all(&line).ok();
        }
    }
}
