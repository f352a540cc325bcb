//! The program as it is used: arguments, output, exit codes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn format(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_format")).args(arguments).output().unwrap()
}

/// A model's folder: a tokenizer of words.
fn model(folder: &Path) -> String {
    let tokenizer = serde_json::json!({
        "version": "1.0", "added_tokens": [], "pre_tokenizer": { "type": "Whitespace" },
        "model": { "type": "WordLevel", "vocab": { "?": 0, "Count": 1, "to": 2, "three": 3, ".": 4,
            "One": 5, "two": 6 }, "unk_token": "?" },
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    folder.to_str().unwrap().to_owned()
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
    assert!(report["packing"]["train"]["efficiency"].as_f64().unwrap() > 0.7);
    let lines = |name: &str| fs::read_to_string(out.join(name)).unwrap().lines().count();
    assert_eq!((lines("train.jsonl"), lines("validation.jsonl")), (9, 1));
    let packed = fs::read_to_string(out.join("train.packed.jsonl")).unwrap();
    let packed: serde_json::Value = serde_json::from_str(packed.lines().next().unwrap()).unwrap();
    for name in ["input_ids", "labels", "position_ids", "segment_ids"] {
        let length = packed[name].as_array().unwrap().len();
        assert!((200..=256).contains(&length), "{name}: {length}");
    }
    for (name, rows) in [("train.safetensors", 9), ("validation.safetensors", 1)] {
        assert_eq!(collimate_data::PreparedRows::open(out.join(name)).unwrap().len(), rows);
    }
    let written: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(written["prepared"], report["prepared"]);
}

/// Conversations, of which each twentieth is a copy, and each twentieth nearly one.
fn conversations(folder: &Path, count: usize) -> String {
    let words =
        |row: usize| (0..30).map(move |word| format!("w{} ", (row * 30 + word) * 7919 % 100_003));
    let line = |row: usize| {
        let answer: String = words(if row % 10 == 9 { row - 3 } else { row }).collect();
        let end = if row % 20 == 19 { "!" } else { "" };
        serde_json::json!({ "messages": [
            { "role": "user", "content": "Go on." },
            { "role": "assistant", "content": answer + end },
        ] })
    };
    let path = folder.join("conversations.jsonl");
    fs::write(&path, (0..count).map(|row| line(row).to_string() + "\n").collect::<String>())
        .unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn duplicates_stay_together_and_a_second_run_uses_the_rows_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let data = conversations(folder.path(), 200);
    let model = model(folder.path());
    let out = folder.path().join("out");
    let run = || {
        let out = out.to_str().unwrap();
        let mut arguments = vec!["--data", &data, "--model", &model, "--template", "chatml"];
        arguments.extend(["--json", "--labels", "--split", "0.5", "--out", out]);
        let output = format(&arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        (output.stdout, text(&output.stderr).to_owned())
    };
    let (first, said) = run();
    assert_eq!(said, "");
    let report: serde_json::Value = serde_json::from_slice(&first).unwrap();
    assert_eq!(report["duplicates"]["exact_duplicates"], 10);
    assert_eq!(report["duplicates"]["near_duplicates"], 10);
    let repeated = &report["first_duplicates"][0];
    assert!(repeated[0].as_str().unwrap().ends_with("line 10"), "{repeated}");
    assert!(repeated[1].as_str().unwrap().ends_with("line 7"), "{repeated}");
    assert_eq!(report["statistics"]["balance"]["keyword_label"]["counts"]["safe"], 200);

    let part = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let (train, validation) = (part("train.jsonl"), part("validation.jsonl"));
    assert_eq!(train.lines().count() + validation.lines().count(), 200);
    let kept = |text: &str| text.trim_end_matches(['!', ' ', '"', '}', ']']).to_owned();
    let train: HashSet<String> = train.lines().map(kept).collect();
    assert!(validation.lines().all(|line| !train.contains(&kept(line))));

    let (second, said) = run();
    assert!(said.starts_with("rows of an earlier run: ") && said.lines().count() == 1, "{said}");
    assert_eq!(second, first);
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_and_leaves_no_part_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = conversations(folder.path(), 60_000);
    let model = model(folder.path());
    let out = folder.path().join("out");
    let arguments = ["--data", &data, "--model", &model, "--template", "chatml", "--out"];
    let mut running = Command::new(env!("CARGO_BIN_EXE_format"))
        .args(arguments)
        .arg(&out)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !out.join("prepared").exists() {
        assert!(running.try_wait().unwrap().is_none(), "it ended before it could be stopped");
        std::thread::sleep(Duration::from_millis(1));
    }
    Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap();
    let output = running.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), "error: cancelled\n"));
    assert_eq!(fs::read_dir(out.join("prepared")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
}

#[test]
fn columns_are_named_where_their_names_say_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.csv");
    fs::write(&data, "goal,target\nCount to three.,One two three.\n").unwrap();
    let (data, model) = (data.to_str().unwrap(), model(folder.path()));
    let columns = "prompt=goal,completion=target";
    let output = format(&["--data", data, "--model", &model, "--columns", columns]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("Count to three .⟦One two three ."));
    assert!(text(&output.stderr).starts_with("no split: "), "{}", text(&output.stderr));
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
    let conversation = &conversations(folder.path(), 1);
    let model = model(folder.path());
    for (arguments, expected) in [
        (vec!["--data", "/nowhere.jsonl"], "/nowhere.jsonl"),
        (vec!["--data", odd], "odd.jsonl: the records can't be recognized"),
        (vec!["--template", "clingon"], "clingon"),
        (vec!["--max-length", "40"], "max_length allows 40"),
        (vec!["--split", "2"], "is 2"),
        (vec!["--pack"], "--max-length"),
        (vec!["--columns", "question=a"], "no `question`"),
        (vec!["--data", conversation, "--model", &model], "--template is needed"),
    ] {
        let output = format(&arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.starts_with("error: ") && error.contains(expected), "{arguments:?}: {error}");
        assert_eq!((error.lines().count(), output.stdout.len()), (1, 0), "{error}");
    }
}
