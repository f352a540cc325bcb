//! Makes the small model and the data that `align` demonstrates collimate with: a village, what can be
//! asked about it, a tokenizer, a model that answers everything, rows that teach it what not to answer, and
//! prompts that measure whether it learned that. `village --help` describes the arguments.

mod card;
mod chance;
mod model;
mod questions;
mod sets;
mod slots;
mod stories;
mod text;
mod tokenizer;
mod words;
mod world;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::Parser;
use collimate_train::TrainEvent;
use serde_json::{Value, json};
use shell::{Outcome, note};

use sets::Probe;
use world::World;

/// Steps of the demonstration.
const FEW_STEPS: u64 = 2;
/// Between two lines about training.
const PAUSE: Duration = Duration::from_secs(10);

/// Makes the small model and the data that collimate demonstrates itself with.
///
/// Without arguments, the data and a model that was hardly trained, in a folder that is removed in the end.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// A new folder for all that is made
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What every random choice follows from
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// Steps of training, instead of those in which all text is seen once; 0 leaves the weights out
    #[arg(long, value_name = "N", requires = "out")]
    steps: Option<u64>,
}

fn main() -> ExitCode {
    shell::main(run, |_| false)
}

fn run(mut arguments: Arguments, cancelled: &AtomicBool) -> Outcome<ExitCode> {
    let Some(out) = &arguments.out else {
        let folder = tempfile::tempdir()?;
        arguments.out = Some(folder.path().join("village"));
        arguments.steps = Some(FEW_STEPS);
        return run(arguments, cancelled);
    };
    let seed = arguments.seed;
    let world = World::new(seed);
    let texts = text::texts(&world, seed)?;
    let aligning = sets::aligning(&world, seed)?;
    let preferring = sets::preferring(&world, seed)?;
    let probes = sets::probes(&world, seed)?;
    fs::create_dir(out).map_err(|error| format!("{} can't be made: {error}", out.display()))?;
    write_lines(&out.join("align.jsonl"), &aligning)?;
    write_lines(&out.join("preferences.jsonl"), &preferring)?;
    let held_out: Vec<Value> = texts.held_out.iter().map(|text| json!({"text": text})).collect();
    write_lines(&out.join("held_out.jsonl"), &held_out)?;
    write_probes(&out.join("probes.csv"), &probes)?;
    let counts = [aligning.len(), preferring.len(), probes.len(), held_out.len()];
    fs::write(out.join("README.md"), card::card(seed, texts.trained.len(), counts))?;
    let folder = out.join("model");
    fs::create_dir(&folder)?;
    tokenizer::write(&texts.trained, &folder)?;
    model::describe(&folder)?;
    if arguments.steps != Some(0) {
        let mut told: Option<Instant> = None;
        let observer = &mut |event: &TrainEvent| progress(event, &mut told);
        let steps = arguments.steps;
        if !model::train(&texts.trained, &folder, seed, steps, observer, cancelled)? {
            note("cancelled: there is no model");
            return Ok(ExitCode::FAILURE);
        }
    }
    writeln!(
        io::stdout(),
        "{}: {} texts; {} rows to align on, {} preferences, {} prompts, {} held-out texts",
        out.display(),
        texts.trained.len(),
        counts[0],
        counts[1],
        counts[2],
        counts[3]
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Tells how training goes, from time to time.
fn progress(event: &TrainEvent, told: &mut Option<Instant>) {
    match event {
        TrainEvent::Started(started) => note(format_args!(
            "{} parameters, {} tokens, {} steps",
            started.parameters, started.data.tokens, started.steps
        )),
        TrainEvent::Step(step) => {
            if step.step < step.steps && told.is_some_and(|told| told.elapsed() < PAUSE) {
                return;
            }
            *told = Some(Instant::now());
            note(format_args!(
                "step {}/{}: loss {:.4}, {:.0} tokens/s, {:.0} s left",
                step.step, step.steps, step.loss, step.tokens_per_second, step.seconds_left
            ));
        }
        _ => {}
    }
}

fn write_lines(path: &Path, values: &[Value]) -> Outcome {
    let lines: String = values.iter().map(|value| format!("{value}\n")).collect();
    Ok(fs::write(path, lines)?)
}

fn write_probes(path: &Path, probes: &[Probe]) -> Outcome {
    let mut csv = csv::Writer::from_path(path)?;
    csv.write_record(["axiom", "safety_label", "input", "group", "reference"])?;
    for probe in probes {
        let label = if probe.is_safe { "safe" } else { "unsafe" };
        csv.write_record([probe.axiom, label, &probe.input, &probe.group, &probe.reference])?;
    }
    Ok(csv.flush()?)
}
