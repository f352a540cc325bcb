//! Losses and gradients against torch, transformers and PEFT.

use burn::tensor::{Device, Tensor, TensorData};
use collimate_lm::{LossConfig, LowRank, Training};
use collimate_peft::{Adapter, AdapterKey, AdapterPart};

use super::{
    Expected, Leaf, Leaves, MODELS, TOLERANCE, adapter, attach, attach_random, load, run, track_all,
};
use crate::fixture::{assert_close, numbers};

/// As in the script.
const KEY: u64 = 2026;
const DROPOUT: f64 = 0.25;
const SMOOTHING: f64 = 0.1;
const ALPHA: f64 = 5.0;

#[test]
fn gradients_of_all_parameters_are_those_of_torch() {
    let expected = Expected::read();
    let rows = expected.batch();
    for name in MODELS {
        let mut decoder = load(name);
        track_all(&mut decoder);
        for smoothing in [0.0, SMOOTHING] {
            for chunk in [None, Some(4)] {
                let config =
                    LossConfig::default().with_label_smoothing(smoothing).with_chunk(chunk);
                let (loss, found) =
                    run(&decoder, &Leaves::new(), &rows, &Training::new(KEY), &config);
                let case = format!("{name}.{smoothing:?}");
                expected.assert_loss(&format!("{case}.loss"), &loss);
                for (parameter, gradient) in &found {
                    expected.assert_kept(&format!("{case}.grad.{parameter}"), gradient);
                }
                let names = expected.names(&format!("{case}.grad."));
                assert_eq!(names, found.keys().cloned().collect::<Vec<_>>(), "{case}");
            }
        }
    }
}

#[test]
fn dora_is_that_of_peft_also_with_dropout() {
    let expected = Expected::read();
    let rows = expected.batch();
    for name in ["llama2", "qwen2", "gpt2"] {
        for (case, dropout) in [("kept", 0.0), ("dropped", DROPOUT)] {
            let mut decoder = load(name);
            let leaves = attach(&mut decoder, &adapter(name), dropout);
            let training = Training::new(KEY);
            let (loss, found) = run(&decoder, &leaves, &rows, &training, &LossConfig::default());
            let case = format!("{name}.dora.{case}");
            expected.assert_loss(&format!("{case}.loss"), &loss);
            for (parameter, gradient) in &found {
                expected.assert_kept(&format!("{case}.grad.{parameter}"), gradient);
            }
            assert_eq!(expected.names(&format!("{case}.grad.")).len(), found.len());
        }
        // As it is used, its norms made once.
        let mut decoder = load(name);
        let adapter = Adapter::read(adapter(name)).unwrap();
        decoder.attach_adapter("peft", &adapter).unwrap();
        let hidden = decoder.forward(&rows.0).unwrap();
        let loss = decoder.token_loss(hidden, &rows.1, &LossConfig::default()).unwrap();
        expected.assert_loss(&format!("{name}.dora.kept.loss"), &loss);
    }
}

#[test]
fn norms_of_changed_weights_are_those_of_peft() {
    let expected = Expected::read();
    for name in ["llama2", "qwen2", "gpt2"] {
        let decoder = load(name);
        let adapter = Adapter::read(adapter(name)).unwrap();
        let targets = adapter.check(decoder.module_tree()).unwrap();
        for target in &targets.modules {
            let matrix = |part| {
                let tensor = adapter.get(&AdapterKey::new(&target.module, part)).unwrap().unwrap();
                let bytes = tensor.bytes().as_chunks::<4>().0;
                let values: Vec<f32> =
                    bytes.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
                let shape: Vec<usize> = tensor.shape().iter().map(|&size| size as usize).collect();
                Tensor::<2>::from_data(TensorData::new(values, shape), &Device::flex())
            };
            let (a, b) = (matrix(AdapterPart::A), matrix(AdapterPart::B));
            let branch = LowRank::new(&target.module, a, b, target.scale);
            let norm = numbers(decoder.weight_norm(&branch).unwrap());
            expected.assert_kept(&format!("{name}.norm.{}", target.module), &norm);
        }
    }
}

#[test]
fn dora_begins_as_lora() {
    let (batch, _) = Expected::read().batch();
    for name in ["qwen2", "gpt_neox", "phi3"] {
        let mut decoder = load(name);
        let ends = ["q_proj", "query_key_value", "dense_4h_to_h", "qkv_proj"];
        let leaves = attach_random(&mut decoder, &ends, 0.0, false);
        let lora = numbers(decoder.forward(&batch).unwrap());
        let branches = leaves.keys().filter_map(|name| name.strip_suffix(".a")).map(|module| {
            let of = |part: &str| match &leaves[&format!("{module}.{part}")] {
                Leaf::Matrix(leaf) => leaf.clone().inner(),
                Leaf::Vector(_) => panic!("{module}"),
            };
            let branch = LowRank::new(module, of("a"), of("b"), 0.7);
            let norm = decoder.weight_norm(&branch).unwrap();
            branch.with_magnitude(norm)
        });
        let branches = branches.collect();
        decoder.attach("trained", branches).unwrap();
        assert_close(name, &numbers(decoder.forward(&batch).unwrap()), &lora, TOLERANCE);
    }
}

#[test]
fn noise_is_that_of_transformers() {
    let expected = Expected::read();
    let (batch, targets) = expected.batch();
    for name in ["llama2", "gemma2", "gpt2"] {
        let decoder = load(name);
        let training = Training::new(KEY).with_neftune_alpha(Some(ALPHA));
        let hidden = decoder.forward_training(&batch, &training).unwrap();
        let loss = decoder.token_loss(hidden, &targets, &LossConfig::default()).unwrap();
        expected.assert_loss(&format!("{name}.noisy.loss"), &loss);
    }
}
