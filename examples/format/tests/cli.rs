//! The program as it is used: arguments, output, exit codes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::process::{Command, Output};

fn format(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_format")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_demonstration_shows_rows_and_numbers() {
    let output = format(&[]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(shown.contains("<|im_start|>assistant\n⟦Stockholm.<|im_end|>\n⟧"), "{shown}");
    assert!(shown.contains("split       9 train, 1 validation"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colour off a terminal");
}

#[test]
fn splits_are_written_with_a_report() {
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("out");
    let output =
        format(&["--json", "--pack", "--max-length", "256", "--out", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["prepared"]["rows"], 10);
    assert_eq!(report["split"]["parts"]["train"]["rows"], 9);
    assert!(report["packing"]["efficiency"].as_f64().unwrap() > 0.7);
    let lines = |name: &str| fs::read_to_string(out.join(name)).unwrap().lines().count();
    assert_eq!((lines("train.jsonl"), lines("validation.jsonl")), (9, 1));
    for (name, rows) in [("train.safetensors", 9), ("validation.safetensors", 1)] {
        assert_eq!(collimate_data::PreparedRows::open(out.join(name)).unwrap().len(), rows);
    }
    let written: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(written["prepared"], report["prepared"]);
}

#[test]
fn rendering_needs_a_template_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.jsonl");
    let conversation = |content: &str| {
        serde_json::json!({ "messages": [
            { "role": "user", "content": content }, { "role": "assistant", "content": "b" },
        ] })
    };
    fs::write(&data, format!("{}\n{}\n", conversation("a"), conversation("bad"))).unwrap();
    let template = folder.path().join("own.jinja");
    let source = "{% for m in messages %}{% if m.content == 'bad' %}{{ raise_exception('no') }}\
        {% endif %}[{{ m.content }}]{% endfor %}";
    fs::write(&template, source).unwrap();
    let [data, template] = [data, template].map(|path| path.to_string_lossy().into_owned());
    let output = format(&["--data", &data, "--template", &template, "--render"]);
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], "[a][b]");
    assert!(lines[1]["error"].as_str().unwrap().ends_with("no"), "{}", lines[1]);
    assert_eq!((lines.len(), output.status.code()), (2, Some(0)));
}

#[test]
fn wrong_input_is_one_line_and_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("odd.jsonl");
    fs::write(&odd, "{\"a\": 1}\n").unwrap();
    let odd = odd.to_str().unwrap();
    for (arguments, expected) in [
        (vec!["--data", "/nowhere.jsonl"], "/nowhere.jsonl"),
        (vec!["--data", odd], "odd.jsonl: the records can't be recognized"),
        (vec!["--template", "clingon"], "clingon"),
        (vec!["--max-length", "40"], "max_length allows 40"),
        (vec!["--split", "2"], "is 2"),
        (vec!["--pack"], "--max-length"),
    ] {
        let output = format(&arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.starts_with("error: ") && error.contains(expected), "{arguments:?}: {error}");
        assert_eq!((error.lines().count(), output.stdout.len()), (1, 0), "{error}");
    }
}
