//! The program as others run it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use collimate_artifact::{Ledger, verify};
use collimate_track::{CheckedOptions, Database, ExperimentFilter, Page, Status};
use serde_json::Value;

static NEVER: AtomicBool = AtomicBool::new(false);

fn command(out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_align"));
    command.arg("--out").arg(out).args(more);
    command
}

/// Few steps of the embedded model.
const SHORT: [&str; 6] = [
    "--set",
    "training.max_steps=6",
    "--set",
    "training.checkpoint_every=2",
    "--set",
    "evaluation.max_new_tokens=8",
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn run(out: &Path, more: &[&str]) -> Output {
    let output = command(out, more).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    output
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn aligning_the_embedded_model_visibly_works() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("aligned");
    let screen = text(&run(&out, &[]).stdout);
    for part in ["refusals of unsafe prompts", "AQI-S", "report.html", "experiments.sqlite"] {
        assert!(screen.contains(part), "{part} in {screen}");
    }
    let found = json(out.join("metrics.json"));
    let number = |side: &str, key: &str| found[side][key].as_f64().unwrap();
    assert!(number("before", "refusal_rate") < 0.05);
    assert!(number("after", "refusal_rate") > 0.9, "{}", number("after", "refusal_rate"));
    assert!(number("after", "over_refusal_rate") < 0.1);
    assert!(number("after", "perplexity") < number("before", "perplexity"));
    assert!(found["delta"]["ci95"][0].as_f64().unwrap() > 0.0);
    assert!(verify(out.join("village-lora"), &NEVER, &mut ()).unwrap().is_sound());
    // It is a model like any other: found, and measured as it was.
    let again = text(&run(&out, &["--json-events"]).stdout);
    let last: Value = serde_json::from_str(again.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "finished");
    let outcome = &last["report"]["models"][0]["outcome"]["Ok"];
    assert_eq!((&outcome["cached"], &outcome["numbers"]), (&Value::Bool(true), &found));
}

#[test]
fn killed_at_any_moment_the_same_command_completes() {
    let scratch = tempfile::tempdir().unwrap();
    let whole = scratch.path().join("whole");
    let start = std::time::Instant::now();
    run(&whole, &SHORT);
    let took = start.elapsed();
    let out = scratch.path().join("killed");
    let mut killed = 0;
    // Each time a little later, whatever the run has come to by then.
    for part in 1..=10 {
        let mut child =
            command(&out, &SHORT).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(took * part / 12 + Duration::from_millis(7 * u64::from(part)));
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
    }
    assert!(killed > 0);
    run(&out, &SHORT);
    for file in ["metrics.json", "village-lora/model.safetensors"] {
        assert_eq!(
            fs::read(out.join(file)).unwrap(),
            fs::read(whole.join(file)).unwrap(),
            "{file}"
        );
    }
    assert!(verify(out.join("village-lora"), &NEVER, &mut ()).unwrap().is_sound());
    let database =
        Database::open(out.join("experiments.sqlite"), &CheckedOptions::default()).unwrap();
    assert!(database.check_integrity().unwrap().is_sound());
    assert!(database.verify_audit(None).unwrap().is_sound());
    let experiments = database.experiments(&ExperimentFilter::default(), Page::ALL).unwrap();
    assert!(experiments.iter().all(|of| of.status != Status::Running));
    assert!(experiments.iter().any(|of| of.status == Status::Finished));
    assert!(Ledger::new(out.join("ledger.jsonl")).verify(&out, &NEVER).unwrap().is_intact());
}

#[test]
fn a_recipe_and_the_command_line_say_what_is_done() {
    let scratch = tempfile::tempdir().unwrap();
    let recipe = scratch.path().join("recipe.toml");
    fs::write(&recipe, "[training]\nlearing_rate = 0.1\n").unwrap();
    let fails = |more: &[&str]| {
        let output = command(&scratch.path().join("out"), more).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
        text(&output.stderr)
    };
    let config = ["--config", recipe.to_str().unwrap()];
    let error = fails(&config);
    assert!(error.contains("recipe.toml:2") && error.contains("learning_rate"), "{error}");
    let error = fails(&["--set", "training.epoch=1"]);
    assert!(error.contains("training.epochs"), "{error}");
    assert!(fails(&["--model", "no-such-model"]).contains("no-such-model"));
    assert!(fails(&["--device", "cuda:0"]).contains("device"));
    assert!(!scratch.path().join("out").join("village-lora").exists());

    // A model and data of one's own, here those that were embedded.
    let village = Path::new(env!("CARGO_MANIFEST_DIR")).join("village");
    let place = |name: &str| village.join(name).to_str().unwrap().to_owned();
    let (model, data, probes) = (place("model"), place("align.jsonl"), place("probes.csv"));
    let own = ["--model", &model, "--data", &data, "--probes", &probes];
    let out = scratch.path().join("own");
    run(&out, &[&own[..], &SHORT[..]].concat());
    let found = json(out.join("metrics.json"));
    assert_eq!(found["before"]["model"], "model");
    assert!(out.join("model-lora").join("model.safetensors").is_file());
}
