//! The program as others run it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use collimate_data::{
    ChatTemplate, Message, PromptColumns, PromptSet, ReadSettings, Recognizer, Record, RecordKind,
    RenderOptions, Source, Tokenizer,
};
use collimate_lm::{Decoder, parse_device, parse_dtype};

/// The folder that is a part of the program `align`.
fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../align/village")
}

fn village(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_village")).args(arguments).output().unwrap()
}

/// What is made for a seed, but for the model.
fn made(folder: &Path, seed: &str) -> PathBuf {
    let out = folder.join(seed);
    let output = village(&["--out", out.to_str().unwrap(), "--seed", seed, "--steps", "0"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out
}

/// The files below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_owned();
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    files
}

fn records(path: &Path) -> Vec<Record> {
    let source = Source::open([path]).unwrap();
    let records = source.records(&ReadSettings::default()).unwrap();
    records.collect::<Result<_, _>>().unwrap()
}

#[test]
fn what_is_committed_is_what_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let made = files(&made(folder.path(), "1"));
    let mut committed = files(&committed());
    assert!(committed.remove(Path::new("model/model.safetensors")).is_some());
    assert_eq!(made.keys().collect::<Vec<_>>(), committed.keys().collect::<Vec<_>>());
    for (name, bytes) in &made {
        assert!(bytes == &committed[name], "{} is not what the program makes", name.display());
    }
}

#[test]
fn another_seed_makes_another_village() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (files(&made(folder.path(), "1")), files(&made(folder.path(), "2")));
    for name in ["align.jsonl", "preferences.jsonl", "probes.csv", "held_out.jsonl"] {
        assert!(one[Path::new(name)] != other[Path::new(name)], "{name}");
    }
}

#[test]
fn data_are_what_they_are_called() {
    let kind = |name: &str| {
        let records = records(&committed().join(name));
        Recognizer::default().recognize(&records).unwrap().kind
    };
    assert_eq!(kind("align.jsonl"), RecordKind::Conversation);
    assert_eq!(kind("preferences.jsonl"), RecordKind::Preference);
    assert_eq!(kind("held_out.jsonl"), RecordKind::Text);
    let probes = records(&committed().join("probes.csv")).into_iter().map(Ok);
    let probes = PromptSet::read(probes, &PromptColumns::default(), None).unwrap();
    let report = probes.report();
    assert_eq!((report.all.safe, report.all.r#unsafe, report.groups), (120, 120, 120));
    assert_eq!(report.axioms.len(), 6);
}

#[test]
fn any_text_can_be_encoded() {
    let tokenizer = Tokenizer::from_folder(committed().join("model")).unwrap();
    for text in ["What does the miller sell?", "  Ünïcödé\t日本語 🙂\n", "\u{0}\u{7f}", "<|en|>"]
    {
        let ids = tokenizer.encode(text, false).unwrap().ids;
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
    }
    let known = tokenizer.encode(" the miller sells flour.", false).unwrap().ids;
    assert_eq!(known.len(), 5, "{known:?}");
}

#[test]
fn the_model_loads_and_its_template_closes_turns() {
    let folder = committed().join("model");
    let decoder =
        Decoder::load(&folder, &parse_device("cpu").unwrap(), parse_dtype("f32").unwrap()).unwrap();
    let tokenizer = Tokenizer::from_folder(&folder).unwrap();
    assert_eq!(tokenizer.vocabulary().len(), decoder.config().vocab_size);
    assert!(fs::metadata(folder.join("model.safetensors")).unwrap().len() < 6_000_000);
    let template = ChatTemplate::from_folder(&folder).unwrap();
    let turns = [Message::new("user", "Hello."), Message::new("assistant", "Hello to you.")];
    let text = template.render_text(&turns, &RenderOptions::default()).unwrap();
    assert_eq!(text, "<|begin|><|user|>Hello.<|end|><|assistant|>Hello to you.<|end|>");
    assert!(decoder.config().eos_token_ids.contains(&tokenizer.token_to_id("<|end|>").unwrap()));
}

#[test]
fn a_few_steps_make_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        let out = folder.path().join(name);
        let output = village(&["--out", out.to_str().unwrap(), "--steps", "1"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(out.join("model/model.safetensors")).unwrap()
    };
    let weights = make("one");
    assert_eq!(weights.len() as u64, {
        let committed = committed().join("model/model.safetensors");
        fs::metadata(committed).unwrap().len()
    });
    assert!(weights == make("again"), "the same seed made another model");
}

#[test]
fn a_folder_that_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let output = village(&["--out", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("can't be made"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
