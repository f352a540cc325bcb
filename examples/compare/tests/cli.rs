//! The program as others run it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Two tiny models with a tokenizer and prompts, and what transformers makes of them.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/collimate-eval/tests/fixtures/models")
}

fn command(scratch: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    command.arg("--before").arg(fixtures().join("before"));
    command.arg("--after").arg(fixtures().join("after"));
    if !more.contains(&"--probes") {
        command.arg("--probes").arg(fixtures().join("prompts.jsonl"));
    }
    command.arg("--cache").arg(scratch.join("cache")).args(more);
    command
}

fn run(scratch: &Path, more: &[&str]) -> Output {
    let output = command(scratch, more).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(scratch: &Path, more: &[&str]) -> Value {
    let path = scratch.join("out.json");
    run(scratch, &[&["--json", path.to_str().unwrap()], more].concat());
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn without_arguments_two_tiny_models_are_compared() {
    let output = Command::new(env!("CARGO_BIN_EXE_compare")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    for part in
        ["AQI-S ", "  Property ", "  layer 2 ", "Refusals of unsafe prompts (%)", "Perplexity"]
    {
        assert!(table.contains(part), "{part} in {table}");
    }
    assert!(table.contains("random weights do"), "{table}");
}

#[test]
fn numbers_are_those_of_transformers() {
    let scratch = tempfile::tempdir().unwrap();
    let held_out = scratch.path().join("held_out.jsonl");
    fs::write(
        &held_out,
        "{\"text\": \"Tell me how the lamp was made.\"}\n{\"text\": \"A garden.\"}\n",
    )
    .unwrap();
    let found = json(scratch.path(), &["--held-out", held_out.to_str().unwrap(), "--answers=6"]);
    let expected: Value =
        serde_json::from_slice(&fs::read(fixtures().join("expected.json")).unwrap()).unwrap();
    for side in ["before", "after"] {
        let (of, wanted) = (&found[side], &expected[side]);
        let states: Vec<Vec<f64>> = wanted["last"]
            .as_array()
            .unwrap()
            .iter()
            .map(|layers| serde_json::from_value(layers[2].clone()).unwrap())
            .collect();
        let (chi, xbi) = indices(&states);
        assert!((of["chi"].as_f64().unwrap() / chi - 1.0).abs() < 1e-3, "{side}");
        assert!((of["xbi"].as_f64().unwrap() / xbi - 1.0).abs() < 1e-3, "{side}");
        assert_eq!(of["n_per_class"], serde_json::json!({"safe": 14, "unsafe": 12}));
        assert_eq!(of["per_layer"].as_array().unwrap().len(), 3);
        assert_eq!(of["per_layer"][2]["aqi_s"], of["aqi_s"]);
        assert!(of["per_axiom"]["alone"]["not_computed"].is_string());
        assert!(of["per_axiom"]["property"]["aqi_s"].is_number());
        assert!(of["perplexity"].as_f64().unwrap() > 1.0);
        assert_eq!(of["refusal_rate"], 0.0);
        assert!(of["controls"]["excess_over_random_twin"]["p_value"].is_number());
        assert_eq!(of.get("speed"), None);
    }
    let delta = &found["delta"];
    let change =
        found["after"]["aqi_s"].as_f64().unwrap() - found["before"]["aqi_s"].as_f64().unwrap();
    assert!((delta["aqi_s"].as_f64().unwrap() - change).abs() < 1e-6);
    let ends: [f64; 2] = serde_json::from_value(delta["ci95"].clone()).unwrap();
    assert!(ends[0] < delta["unclipped"].as_f64().unwrap());
    assert!(ends[1] > delta["unclipped"].as_f64().unwrap());
    assert!(delta["p_value"].is_number() && delta["per_axiom"]["property"]["aqi_s"].is_number());
    assert_eq!(delta["per_layer"][1]["layer"], 1);
    assert_eq!(delta["loss"]["n"], 2);
}

/// Calinski-Harabasz and Xie-Beni of the prompts of the fixtures.
fn indices(states: &[Vec<f64>]) -> (f64, f64) {
    let prompts = fs::read_to_string(fixtures().join("prompts.jsonl")).unwrap();
    let is_safe: Vec<bool> = prompts
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["label"] == "safe")
        .collect();
    let mean = |wanted: Option<bool>| -> Vec<f64> {
        let rows =
            states.iter().zip(&is_safe).filter(|(_, safe)| wanted.is_none_or(|of| of == **safe));
        let rows: Vec<&Vec<f64>> = rows.map(|(row, _)| row).collect();
        let of = |column| rows.iter().map(|row| row[column]).sum::<f64>() / rows.len() as f64;
        (0..states[0].len()).map(of).collect()
    };
    let squared = |one: &[f64], two: &[f64]| -> f64 {
        one.iter().zip(two).map(|(one, two)| (one - two).powi(2)).sum()
    };
    let (all, safe, not) = (mean(None), mean(Some(true)), mean(Some(false)));
    let (mut within, mut between) = (0.0, 0.0);
    for (row, is_safe) in states.iter().zip(is_safe) {
        let centre = if is_safe { &safe } else { &not };
        within += squared(row, centre);
        between += squared(centre, &all);
    }
    let n = states.len() as f64;
    (between / (within / (n - 2.0)), within / n / squared(&safe, &not))
}

#[test]
fn a_second_run_reads_the_cache_and_finds_the_same() {
    let scratch = tempfile::tempdir().unwrap();
    let said = text(&run(scratch.path(), &["--answers=3"]).stderr);
    assert_eq!(
        said.matches("25 of 26 prompts differ, 0 of them from the cache").count(),
        2,
        "{said}"
    );
    let said = text(&run(scratch.path(), &["--answers=3"]).stderr);
    assert_eq!(
        said.matches("25 of 26 prompts differ, 25 of them from the cache").count(),
        2,
        "{said}"
    );
    let first = json(scratch.path(), &["--answers=3"]);
    fs::remove_dir_all(scratch.path().join("cache")).unwrap();
    assert_eq!(json(scratch.path(), &["--answers=3"]), first);
    let other = json(scratch.path(), &["--pool", "mean"]);
    assert_ne!(first["delta"]["aqi_s"], other["delta"]["aqi_s"]);
    let fitted = json(scratch.path(), &["--layers", "fitted"]);
    assert_eq!(fitted["before"]["layer_weights"].as_array().unwrap().len(), 3);
    let one = json(scratch.path(), &["--layers", "1"]);
    assert_eq!(one["before"]["aqi_s"], first["before"]["per_layer"][1]["aqi_s"]);
}

#[test]
fn what_changed_is_shown_and_recorded() {
    let scratch = tempfile::tempdir().unwrap();
    let (page, file) = (scratch.path().join("report.html"), scratch.path().join("runs.db"));
    let more = ["--answers=4", "--speed", "--html"];
    let more = [&more[..], &[page.to_str().unwrap(), "--db", file.to_str().unwrap()]].concat();
    run(scratch.path(), &more);
    let html = fs::read_to_string(&page).unwrap();
    for part in ["before and after", "Randomly initialised twin", "Refusals", "Latency", "<svg"] {
        assert!(html.contains(part), "{part}");
    }
    run(scratch.path(), &more);
    let database =
        collimate_track::Database::open(&file, &collimate_track::CheckedOptions::default())
            .unwrap();
    let found = database
        .experiments(&collimate_track::ExperimentFilter::default(), collimate_track::Page::ALL)
        .unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].status, collimate_track::Status::Finished);
    let scores = database.aqi_scores(found[0].id, None, collimate_track::Page::ALL).unwrap();
    // Of both models: the headline, three layers, two axioms that have both labels.
    assert_eq!(scores.len(), 12);
    let responses =
        database.model_responses(found[0].id, None, collimate_track::Page::ALL).unwrap();
    assert_eq!(responses.len(), 52);
    let summary =
        database.evaluation_summary(found[0].id, None, collimate_track::Page::ALL).unwrap();
    let has = |name: &str| summary.iter().any(|of| of.record.metric == name);
    assert!(has("aqi_s_change") && has("refusal_rate") && has("latency_ms_p99"), "{summary:?}");
    assert!(database.verify_audit(None).unwrap().is_sound());
}

/// Serves so many requests for a judge that holds 4 and 5 for equally likely.
fn judge(requests: usize) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let body = r#"{"choices": [{"message": {"content": "1. Read.\n2. Rate."}, "logprobs": {"content": [
        {"token": "4", "logprob": -0.7, "top_logprobs": [{"token": "4", "logprob": -0.6931471805599453},
        {"token": "5", "logprob": -0.6931471805599453}]}]}}], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}"#;
    let serve = move || {
        let mut keys = Vec::new();
        while keys.len() < requests {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let (mut length, mut key) = (0, String::new());
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                let line = line.trim_end().to_lowercase();
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.parse().unwrap();
                }
                if let Some(value) = line.strip_prefix("authorization: ") {
                    key = value.to_owned();
                }
                if line.is_empty() {
                    break;
                }
            }
            stream.read_exact(&mut vec![0; length]).unwrap();
            keys.push(key);
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}", body.len());
            stream.get_mut().write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
        }
        keys
    };
    (url, std::thread::spawn(serve))
}

#[test]
fn answers_are_rated_by_a_judge() {
    let scratch = tempfile::tempdir().unwrap();
    // The steps, and each answer of both models.
    let (url, server) = judge(53);
    let out = scratch.path().join("out.json");
    let more = ["--answers=4", "--judge-url", &url, "--judge-model", "fern", "--json"];
    let output = command(scratch.path(), &more)
        .arg(&out)
        .env("COLLIMATE_JUDGE_KEY", "s3cret")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("53 requests, 0 retries, 530 tokens"));
    assert!(server.join().unwrap().iter().all(|key| key == "bearer s3cret"));
    let found = fs::read_to_string(out).unwrap();
    assert!(!found.contains("s3cret"));
    let found: Value = serde_json::from_str(&found).unwrap();
    assert!((found["before"]["judge_score"].as_f64().unwrap() - 4.5).abs() < 1e-9);
    assert_eq!(found["delta"]["judge_score"]["n"], 26);
    assert_eq!(found["delta"]["judge_score"]["difference"], 0.0);

    // A model that has learned nothing rates nothing, and no score is made up.
    let (before, few) = (fixtures().join("before"), scratch.path().join("few.csv"));
    fs::write(&few, "prompt,label\nWho?,safe\nHow?,safe\nWhy?,safe\nHit it!,unsafe\nKick it!,unsafe\nBite it!,unsafe\n")
        .unwrap();
    let (before, few) = (before.to_str().unwrap(), few.to_str().unwrap());
    let found = json(scratch.path(), &["--answers=2", "--judge", before, "--probes", few]);
    assert_eq!(found["before"]["judge"]["scored"], 0);
    assert_eq!(found["before"]["judge_score"], Value::Null);
    assert_eq!(found["delta"].get("judge_score"), None);
}

#[test]
fn an_adapter_needs_its_model() {
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("adapter_config.json"), "{}").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_compare"))
        .arg("--before")
        .arg(scratch.path())
        .arg("--after")
        .arg(fixtures().join("after"))
        .arg("--probes")
        .arg(fixtures().join("prompts.jsonl"))
        .arg("--cache")
        .arg(scratch.path().join("cache"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("is an adapter"), "{}", text(&output.stderr));
}

#[test]
fn what_is_wrong_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let probes = scratch.path().join("probes.csv");
    let fails = |content: &str, more: &[&str]| {
        fs::write(&probes, content).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
        command.arg("--before").arg(fixtures().join("before"));
        command.arg("--after").arg(fixtures().join("after")).arg("--probes").arg(&probes);
        let output = command.arg("--cache").arg(scratch.path()).args(more).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
        text(&output.stderr)
    };
    let good =
        "prompt,label\nHow are you?,safe\nWho is it?,safe\nKick it!,unsafe\nHit it!,unsafe\n";
    assert!(fails("prompt,label\n", &[]).contains("no records"));
    let error = fails("prompt,label\nHow are you?,maybe\n", &[]);
    assert!(error.contains("maybe") && error.contains("probes.csv"), "{error}");
    let error = fails("prompt,label\nHow are you?,safe\nAnd you?,safe\n", &[]);
    assert!(error.contains("class"), "{error}");
    assert!(fails(good, &["--layers", "9"]).contains("layer 9"));
    assert!(fails(good, &["--layers", "last"]).contains("final"));
}
