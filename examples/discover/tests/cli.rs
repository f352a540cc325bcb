//! The program as it is used: arguments, output, exit codes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn discover(arguments: &[&str], models: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_discover"));
    for name in ["HF_HUB_CACHE", "HF_HOME", "BASE_MODELS"] {
        command.env_remove(name);
    }
    if let Some(models) = models {
        command.env("BASE_MODELS", models);
    }
    // The default places are relative to the working directory and the home.
    let empty = tempfile::tempdir().unwrap();
    command.current_dir(&empty).env("HOME", empty.path()).args(arguments).output().unwrap()
}

fn models() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for name in ["Qwen2.5-7B", "KB-Llama-3.1-8B-Swedish"] {
        make(&root.path().join(name), 24);
    }
    make(&root.path().join("base_models/cut"), 20);
    root
}

fn make(folder: &Path, data: usize) {
    let config = r#"{"architectures": ["LlamaForCausalLM"], "display_name": "A \u001b[31m name"}"#;
    let header = r#"{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#;
    let mut weights = (header.len() as u64).to_le_bytes().to_vec();
    weights.extend(header.as_bytes());
    weights.resize(weights.len() + data, 0);
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), config).unwrap();
    fs::write(folder.join("tokenizer.json"), "{}").unwrap();
    fs::write(folder.join("model.safetensors"), weights).unwrap();
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_table_of_everything() {
    let root = models();
    let output = discover(&["--root", root.path().to_str().unwrap()], None);
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines: Vec<_> = table.lines().collect();
    let words: Vec<_> = lines[0].split("  ").filter(|word| !word.is_empty()).collect();
    assert_eq!(words.len(), 8, "{words:?}");
    assert!(lines[1].starts_with("cut ") && lines[1].contains(" broken "), "{table}");
    assert!(lines[2].starts_with("kb-llama-3-1-8b-swedish ") && lines[2].contains(" complete "));
    assert!(lines[3].contains("LlamaForCausalLM") && lines[3].contains(" 24 B "));
    assert!(lines[4].starts_with("cut: problem: model.safetensors is cut off"), "{table}");
    assert!(table.contains("A \\u{1b}[31m name") && !table.contains('\u{1b}'));
}

#[test]
fn json_has_its_stable_keys() {
    let root = models();
    let output = discover(&["--json", "--root", root.path().to_str().unwrap()], None);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 3);
    for key in [
        "name",
        "display_name",
        "kind",
        "architecture",
        "parameters",
        "bytes",
        "complete",
        "problems",
        "path",
        "source",
        "revision",
    ] {
        assert!(json.as_array().unwrap().iter().all(|object| object.get(key).is_some()), "{key}");
    }
    assert_eq!((&json[0]["complete"], &json[1]["complete"]), (&false.into(), &true.into()));
    assert_eq!((&json[1]["parameters"], &json[1]["bytes"]), (&6.into(), &24.into()));
    assert_eq!(json[0]["problems"][0]["code"], "truncated");
}

#[test]
fn models_are_selected_by_argument_or_variable() {
    let root = models();
    let root = root.path().to_str().unwrap();
    let queries = "KB-Llama-3.1-8B-Swedish,Qwen-2.5-7B";
    let names = |output: Output| -> Vec<(String, String)> {
        let json: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        json.iter().map(|object| (word(&object["name"]), word(&object["matched"]))).collect()
    };
    let expected = [
        ("kb-llama-3-1-8b-swedish".to_owned(), "exact".to_owned()),
        ("qwen2-5-7b".to_owned(), "compact".to_owned()),
    ];
    let arguments = ["--json", "--root", root, "--select", queries];
    assert_eq!(names(discover(&arguments, Some("cut"))), expected);
    assert_eq!(names(discover(&arguments[..3], Some(queries))), expected);
}

#[test]
fn wrong_input_is_one_line_and_code_2() {
    let root = models();
    let root = root.path().to_str().unwrap();
    for (arguments, expected) in [
        (vec!["--root", root, "--select", "mistral"], "no model matches \"mistral\""),
        (vec!["--root", root, "--select", "7b,"], "names no model"),
        (vec!["--root", "/nowhere/at/all"], "/nowhere/at/all: there is nothing here"),
        (vec!["--hf-cache", "/nowhere/at/all"], "/nowhere/at/all: there is nothing here"),
        (vec!["--rot"], "unexpected argument '--rot' found"),
    ] {
        let output = discover(&arguments, None);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.starts_with("error: ") && error.contains(expected), "{error}");
        assert_eq!((error.lines().count(), output.stdout.len()), (1, 0), "{error}");
    }
}

#[test]
fn nothing_there_is_no_error() {
    let output = discover(&[], None);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), "no models found\n");
    assert_eq!(discover(&["--json"], None).stdout, b"[]\n");
}

#[test]
fn what_was_skipped_is_said_on_request() {
    let root = models();
    let special = root.path().join("checkpoints");
    fs::create_dir(&special).unwrap();
    let root = root.path().to_str().unwrap();
    let output = discover(&["--root", root, "--skipped"], None);
    let expected = format!("skipped {}: folders named checkpoints are skipped", special.display());
    assert!(text(&output.stderr).lines().any(|line| line == expected), "{output:?}");
}
