//! The program as others run it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use burn::tensor::{DType, Device};
use collimate_lm::{Batch, Decoder, HiddenSource, Pooling};
use collimate_tensors::TensorFile;
use shell::Demonstration;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hidden_states")).args(arguments).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn states_are_those_of_the_library_in_the_order_of_the_texts() {
    let demonstration = Demonstration::write().unwrap();
    let (model, scratch) = (demonstration.path(), tempfile::tempdir().unwrap());
    let texts = scratch.path().join("texts.jsonl");
    let lines = [
        r#"{"text": "b"}"#,
        r#"{"text": "A longer text.", "id": "long"}"#,
        "",
        r#"{"text": "C?", "id": 7}"#,
    ];
    fs::write(&texts, lines.join("\n")).unwrap();
    let out = scratch.path().join("states.safetensors");
    for (pool, source, layers) in
        [("last", "residual", "all"), ("mean", "residual", "2,0"), ("mean", "mlp", "all")]
    {
        let output = run(&[
            "--model",
            text(model),
            "--texts",
            text(&texts),
            "--out",
            text(&out),
            "--pool",
            pool,
            "--source",
            source,
            "--layers",
            layers,
            "--batch-tokens",
            "8",
        ]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = TensorFile::open(&out).unwrap();
        assert_eq!(file.metadata()["ids"], r#"["0","long","7"]"#);
        let decoder = Decoder::load(model, &Device::flex(), DType::F32).unwrap();
        let rows: Vec<Vec<u32>> = ["b", "A longer text.", "C?"]
            .iter()
            .map(|text| text.bytes().map(|byte| u32::from(byte - b' ')).collect())
            .collect();
        let source = if source == "mlp" { HiddenSource::Mlp } else { HiddenSource::Residual };
        let pooling = if pool == "mean" { Pooling::Mean } else { Pooling::Last };
        let numbers: Vec<usize> = match layers {
            "all" => decoder.hidden_layers(source).collect(),
            _ => vec![2, 0],
        };
        let expected =
            decoder.pooled(&Batch::padded(&rows).unwrap(), &numbers, source, &pooling).unwrap();
        let states = file.get("embeddings").unwrap();
        let shape: Vec<u64> = expected.dims().iter().map(|&size| size as u64).collect();
        assert_eq!(states.shape(), shape);
        let expected: Vec<f32> = expected.into_data().try_into_vec().unwrap();
        for (found, expected) in states.to_f32().unwrap().iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
        fs::remove_file(&out).unwrap();
    }
}

#[test]
fn what_is_wrong_is_said_in_a_line_and_nothing_is_written() {
    let demonstration = Demonstration::write().unwrap();
    let (model, scratch) = (demonstration.path(), tempfile::tempdir().unwrap());
    let out = scratch.path().join("states.safetensors");
    let bad = scratch.path().join("bad.jsonl");
    fs::write(&bad, "{\"text\": \"fine\"}\n{\"prompt\": \"no\"}\n").unwrap();
    let good = demonstration.texts();
    let cases: [(&[&str], &str); 5] = [
        (&["--texts", text(&bad)], "bad.jsonl:2"),
        (&["--texts", text(&good), "--layers", "3"], "layer 3"),
        (&["--texts", text(&good), "--layers", "1,1"], "twice"),
        (&["--texts", text(&good), "--device", "cuda"], "cuda"),
        (&["--texts", text(&good), "--dtype", "int8"], "int8"),
    ];
    for (arguments, said) in cases {
        let mut all = vec!["--model", text(model), "--out", text(&out)];
        all.extend(arguments);
        let output = run(&all);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(said) && error.lines().count() == 1, "{error}");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let demonstration = Demonstration::write().unwrap();
    let tokenizer = demonstration.path().join("tokenizer.json");
    let changed = fs::read_to_string(&tokenizer).unwrap().replace("\"a\": 65", "\"a\": 96");
    fs::write(&tokenizer, changed).unwrap();
    let out = demonstration.path().join("states.safetensors");
    let output = run(&[
        "--model",
        text(demonstration.path()),
        "--texts",
        text(&demonstration.texts()),
        "--out",
        text(&out),
    ]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("'a' has the id 96"), "{error}");
}
