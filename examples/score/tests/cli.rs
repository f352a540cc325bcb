//! The program as others run it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Command, Output};

use burn::tensor::{DType, Device};
use collimate_lm::{Batch, Decoder};
use serde_json::Value;
use shell::Demonstration;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_score")).args(arguments).output().unwrap()
}

#[test]
fn scores_are_those_of_the_library() {
    let demonstration = Demonstration::write().unwrap();
    let model = demonstration.path();
    let texts = demonstration.texts();
    let arguments = ["--model", model.to_str().unwrap(), "--texts", texts.to_str().unwrap()];
    let output = run(&[&arguments[..], &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let decoder = Decoder::load(model, &Device::flex(), DType::F32).unwrap();
    let (mut all, mut count) = (0.0, 0);
    for (at, text) in
        ["The model has learned nothing.", "Its numbers are random."].iter().enumerate()
    {
        let row: Vec<u32> = text.bytes().map(|byte| u32::from(byte - b' ')).collect();
        let log_probs = decoder.log_probs(&Batch::padded(&[row]).unwrap()).unwrap().remove(0);
        let nll = -log_probs.iter().map(|&number| f64::from(number)).sum::<f64>();
        (all, count) = (all + nll, count + log_probs.len());
        let found = &found["texts"][at];
        assert_eq!(found["log_probs"].as_array().unwrap().len(), text.len() - 1);
        assert!((found["nll"].as_f64().unwrap() - nll).abs() < 1e-3);
        let perplexity = (nll / log_probs.len() as f64).exp();
        assert!((found["perplexity"].as_f64().unwrap() / perplexity - 1.0).abs() < 1e-4);
    }
    let perplexity = found["all"]["perplexity"].as_f64().unwrap();
    assert!((perplexity / (all / f64::from(count as u32)).exp() - 1.0).abs() < 1e-4);

    let table = String::from_utf8(run(&arguments).stdout).unwrap();
    assert_eq!(table.lines().count(), 3);
    assert!(table.contains(&format!("perplexity {perplexity:.4}")), "{table}");
}

#[test]
fn a_text_of_one_token_has_nothing_to_score() {
    let demonstration = Demonstration::write().unwrap();
    let texts = demonstration.path().join("short.txt");
    std::fs::write(&texts, "long enough\nx\n").unwrap();
    let (model, texts) = (demonstration.path().to_str().unwrap(), texts.to_str().unwrap());
    let output = run(&["--model", model, "--texts", texts]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("line 2"), "{error}");
}
