//! The program as others run it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use shell::Demonstration;

/// A tiny model and a file of records.
struct Place {
    demonstration: Demonstration,
}

impl Place {
    fn new() -> Self {
        let demonstration = Demonstration::write().unwrap();
        let records: String = (0..40)
            .map(|at| {
                let completion = format!(" it is {}{}", at * at, "!".repeat(at % 7));
                let prompt = format!("What is {at} times {at}?");
                format!("{}\n", json!({"prompt": prompt, "completion": completion}))
            })
            .collect();
        fs::write(demonstration.path().join("data.jsonl"), records).unwrap();
        Self { demonstration }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.demonstration.path().join(name)
    }

    fn command(&self, out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_finetune"));
        command.arg("--model").arg(self.demonstration.path());
        command.arg("--data").arg(self.path("data.jsonl"));
        command.arg("--out").arg(self.path(out)).args(more);
        command
    }

    fn run(&self, out: &str, more: &[&str]) -> Output {
        self.command(out, more).output().unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn adapter(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("adapter_model.safetensors")).unwrap()
}

#[test]
fn without_arguments_a_tiny_model_learns_a_few_words() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_finetune")).arg("--json-events").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let events: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let losses: Vec<f64> = events.iter().filter_map(|event| event["loss"].as_f64()).collect();
    assert!(losses.len() > 5 && losses[losses.len() - 1] < losses[0], "{losses:?}");
    assert_eq!(events.last().unwrap()["event"], "finished");
}

#[test]
fn what_is_written_is_an_adapter_with_the_tokenizer_of_the_model() {
    let place = Place::new();
    fs::write(
        place.path("settings.yaml"),
        "schedule:\n  kind: cosine\nmax_steps: 7\nbatch_size: 3\n",
    )
    .unwrap();
    let settings = place.path("settings.yaml");
    let more =
        ["--config", settings.to_str().unwrap(), "--rank", "2", "--targets", "q_proj,v_proj"];
    let output = place.run("out", &[&more[..], &["--max-length", "24", "--pack"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let out = place.path("out");
    let said = text(&output.stderr);
    assert!(said.contains("4 of 16 modules") && said.contains("rows cut to 24 tokens"), "{said}");
    assert!(text(&output.stdout).contains("7 steps"), "{}", text(&output.stdout));
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(out.join(name)).unwrap()).unwrap()
    };
    let config = read("adapter_config.json");
    assert_eq!((config["r"].as_u64(), config["lora_alpha"].as_f64()), (Some(2), Some(32.0)));
    assert_eq!(config["base_model_name_or_path"], place.demonstration.path().to_str().unwrap());
    let training = read("training.json");
    assert_eq!(training["provenance"]["config"]["schedule"]["kind"], "cosine");
    assert_eq!(training["provenance"]["config"]["pack"], 24);
    assert_eq!(training["provenance"]["data"]["sha256"].as_str().unwrap().len(), 64);
    let tokenizer = |folder: &Path| fs::read(folder.join("tokenizer.json")).unwrap();
    assert_eq!(tokenizer(&out), tokenizer(place.demonstration.path()));

    // A second run would not know what to make of the first one's checkpoints.
    let output = place.run("out", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("has checkpoints; resume"), "{}", text(&output.stderr));
    let output = place.run("out", &["--resume", "--lr", "0.5"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("config.learning_rate was 0.0002 and is 0.5"), "{said}");
}

/// Settings under which everything draws, and a checkpoint after each third step.
const BUSY: [&str; 12] = [
    "--batch",
    "2",
    "--accumulate",
    "2",
    "--epochs",
    "2",
    "--dropout",
    "0.2",
    "--lr",
    "0.01",
    "--max-length",
    "40",
];

fn busy(place: &Place) -> Vec<String> {
    let settings = place.path("busy.json");
    fs::write(&settings, r#"{"checkpoints": {"every": {"steps": 3}}, "neftune_alpha": 5}"#)
        .unwrap();
    let own = ["--config", settings.to_str().unwrap(), "--pack", "--resume"];
    BUSY.iter().chain(&own).map(|argument| (*argument).to_owned()).collect()
}

#[test]
fn killed_at_any_moment_it_comes_to_the_same_bytes() {
    let place = Place::new();
    let arguments = busy(&place);
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    arguments.push("--json-events");
    let output = place.run("whole", &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let expected = adapter(&place.path("whole"));
    let events = text(&output.stdout).lines().count();
    // Twenty moments; five runs one after the other don't come to the end.
    let mut kills = 0;
    for folder in 0..4 {
        let out = format!("killed-{folder}");
        for attempt in 0..5 {
            let mut command = place.command(&out, &arguments);
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let seen = lines.by_ref().take(1 + (folder * 5 + attempt) * 7 % (events / 6)).count();
            kills += u32::from(seen > 0 && child.try_wait().unwrap().is_none());
            // SIGKILL.
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let output = place.run(&out, &arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(adapter(&place.path(&out)) == expected, "{out}");
    }
    assert!(kills > 5, "{kills}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_writes_a_checkpoint() {
    let place = Place::new();
    let arguments = busy(&place);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let with_events = [&arguments[..], &["--json-events"]].concat();
    let mut child = place
        .command("out", &with_events)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("\"event\":\"step\"")));
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{rest:?}");
    assert!(rest.last().unwrap().contains("\"reason\":\"cancelled\""), "{rest:?}");
    assert!(text(&output.stderr).contains("--resume goes on"), "{}", text(&output.stderr));
    let names = fs::read_dir(place.path("out")).unwrap();
    let names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().any(|name| name.starts_with("checkpoint-")), "{names:?}");
    assert!(!names.iter().any(|name| name == "adapter_model.safetensors"), "{names:?}");
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let place = Place::new();
    let wrong = |more: &[&str]| {
        let output = place.run("out", more);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""));
        let said = text(&output.stderr);
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    };
    assert!(wrong(&["--targets", "query"]).contains("no module matches \"query\"; it has"));
    assert!(wrong(&["--batch", "0"]).contains("batch_size is 0"));
    assert!(wrong(&["--device", "tpu"]).contains("'tpu' names no device"));
    fs::write(place.path("settings.yaml"), "lerning_rate: 1\n").unwrap();
    let settings = place.path("settings.yaml");
    assert!(wrong(&["--config", settings.to_str().unwrap()]).contains("lerning_rate"));
    fs::write(place.path("data.jsonl"), "{\"chosen\": \"a\", \"rejected\": \"b\"}\n").unwrap();
    assert!(wrong(&[]).contains("records are preferences"));
}
