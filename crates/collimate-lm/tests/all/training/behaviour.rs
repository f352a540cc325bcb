//! What is trained, what is replaced, and what is refused.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use collimate_lm::{Batch, LossConfig, LowRank, Targets, Training};
use collimate_tensors::TensorFile;

use super::{Expected, Leaves, attach_random, leaf, load, run, track_all};
use crate::fixture::numbers;

#[test]
fn dropout_is_only_for_training_and_follows_its_key() {
    let (batch, _) = Expected::read().batch();
    let mut decoder = load("qwen2");
    attach_random(&mut decoder, &["q_proj"], 0.5, false);
    let of = |key| numbers(decoder.forward_training(&batch, &Training::new(key)).unwrap());
    let kept = numbers(decoder.forward(&batch).unwrap());
    assert_eq!(kept, numbers(decoder.forward(&batch).unwrap()));
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    assert_ne!(of(1), kept);
}

#[test]
fn only_what_is_named_is_trained() {
    let rows = Expected::read().batch();
    let mut decoder = load("qwen2");
    let named = ["model.layers.1.self_attn.k_proj.bias", "model.layers.0.mlp.up_proj.weight"];
    decoder.track(named).unwrap();
    let tracked = decoder.parameters().into_iter().filter(|parameter| parameter.tracked);
    assert_eq!(tracked.count(), 2);
    let (_, found) =
        run(&decoder, &Leaves::new(), &rows, &Training::default(), &LossConfig::default());
    assert_eq!(found.len(), 2);
    let expected = Expected::read();
    for name in named {
        expected.assert_kept(&format!("qwen2.0.0.grad.{name}"), &found[name]);
    }
    // Nothing of it is left.
    decoder.track::<&str>([]).unwrap();
    assert!(!decoder.forward(&rows.0).unwrap().is_tracked());

    let error = decoder.track(["model.layers.0.self_attn.key.weight"]).unwrap_err().to_string();
    assert!(error.contains("there is none of this name"), "{error}");
}

#[test]
fn parameters_are_replaced_under_their_names() {
    for name in ["llama2", "gpt2", "gpt_neox", "phi3", "gemma2"] {
        let mut decoder = load(name);
        track_all(&mut decoder);
        let original = load(name);
        let mut values = BTreeMap::new();
        for (at, parameter) in decoder.parameters().into_iter().enumerate() {
            let value = original.parameter(&parameter.name).unwrap();
            let count: usize = parameter.shape.iter().product();
            assert_eq!(value.dims(), [count]);
            // Each number becomes another one.
            let places = Tensor::<1, burn::tensor::Int>::arange(0..count as i64, &Device::flex());
            values.insert(parameter.name, value + places.float() * 1e-3 + at as f32);
        }
        // Some together, the others one by one.
        let halves =
            values.clone().into_iter().enumerate().partition::<Vec<_>, _>(|(at, _)| at % 2 == 0);
        decoder.set_parameters(halves.0.into_iter().map(|(_, of)| of).collect()).unwrap();
        for (_, of) in halves.1 {
            decoder.set_parameters(BTreeMap::from([of])).unwrap();
        }
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("model.safetensors");
        decoder.write_weights(&path).unwrap();
        let file = TensorFile::open(&path).unwrap();
        for (parameter, value) in values {
            let expected = numbers(value);
            assert_eq!(
                file.get(&parameter).unwrap().to_f32().unwrap(),
                expected,
                "{name} {parameter}"
            );
            assert_eq!(numbers(decoder.parameter(&parameter).unwrap()), expected);
        }
        assert!(decoder.parameters().iter().all(|parameter| parameter.tracked));
        let batch = Batch::padded(&[[5, 8, 13]]).unwrap();
        assert!(decoder.forward(&batch).unwrap().is_tracked());
    }
    let mut decoder = load("qwen2");
    let value = Tensor::zeros([3], &Device::flex());
    let values = BTreeMap::from([("model.norm.weight".to_owned(), value)]);
    let error = decoder.set_parameters(values).unwrap_err().to_string();
    assert_eq!(error, "parameter 'model.norm.weight': expected 32 numbers, found 3");
}

#[test]
fn a_head_can_be_untied() {
    let rows = Expected::read().batch();
    let mut decoder = load("qwen2");
    let tied = numbers(decoder.logits(&rows.0).unwrap());
    decoder.untie_head().unwrap();
    assert!(!decoder.config().tie_word_embeddings);
    assert_eq!(tied, numbers(decoder.logits(&rows.0).unwrap()));
    assert_eq!(decoder.parameters().last().unwrap().name, "lm_head.weight");
    decoder.track(["lm_head.weight"]).unwrap();
    let (_, found) =
        run(&decoder, &Leaves::new(), &rows, &Training::default(), &LossConfig::default());
    assert_eq!(found.keys().collect::<Vec<_>>(), ["lm_head.weight"]);
    let zeros = Tensor::zeros([96 * 32], &Device::flex());
    decoder.set_parameters(BTreeMap::from([("lm_head.weight".to_owned(), zeros)])).unwrap();
    assert!(numbers(decoder.logits(&rows.0).unwrap()).iter().all(|&logit| logit == 0.0));
}

#[test]
fn a_batch_without_targets_has_no_loss_and_no_gradient() {
    let batch = Batch::padded(&[[5, 8, 13]]).unwrap();
    let targets = Targets::masked(&batch, &[[true, false, false]]).unwrap();
    let mut decoder = load("qwen2");
    let leaves = attach_random(&mut decoder, &["q_proj"], 0.5, false);
    let (loss, found) =
        run(&decoder, &leaves, &(batch, targets), &Training::new(1), &LossConfig::default());
    assert_eq!((loss.sum, loss.weight, loss.tokens), (0.0, 0.0, 0));
    assert!(found.values().flatten().all(|&gradient| gradient == 0.0));
}

#[test]
fn the_row_of_a_loss_that_is_no_number_is_named() {
    let expected = Expected::read();
    let mut decoder = load("qwen2");
    let mut table = numbers(decoder.parameter("model.embed_tokens.weight").unwrap());
    let bad = (0..96).find(|id| {
        let has = |row: &Vec<u32>| row.contains(id);
        has(&expected.rows[1]) && !has(&expected.rows[0]) && !has(&expected.rows[2])
    });
    // Its head is kept as it was.
    decoder.untie_head().unwrap();
    let bad = bad.unwrap() as usize;
    table[bad * 32] = f32::NAN;
    let table = Tensor::from_floats(table.as_slice(), &Device::flex());
    let values = BTreeMap::from([("model.embed_tokens.weight".to_owned(), table)]);
    decoder.set_parameters(values).unwrap();
    let batch = Batch::padded(&expected.rows).unwrap();
    let hidden = decoder.forward(&batch).unwrap();
    let loss = decoder.token_loss(hidden, &Targets::all(&batch), &LossConfig::default()).unwrap();
    assert!(loss.sum.is_nan());
    assert_eq!(loss.rows.iter().map(|row| row.is_nan()).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn settings_out_of_range_are_errors() {
    let (batch, targets) = Expected::read().batch();
    let decoder = load("qwen2");
    let training = Training::new(1).with_neftune_alpha(Some(f64::NAN));
    let error = decoder.forward_training(&batch, &training).unwrap_err().to_string();
    assert_eq!(error, "a neftune_alpha of NaN is no amount of noise");
    let hidden = decoder.forward(&batch).unwrap();
    let message = |targets: &Targets, config: LossConfig| {
        decoder.token_loss(hidden.clone(), targets, &config).unwrap_err().to_string()
    };
    let config = LossConfig::default();
    assert!(message(&targets, config.with_label_smoothing(1.0)).contains("is not in 0..1"));
    assert!(message(&targets, config.with_chunk(Some(0))).contains("at least one token"));
    let other = Targets::all(&Batch::padded(&[[5, 8]]).unwrap());
    assert!(message(&other, config).contains("don't fit targets of [1, 2, 32]"));
    let long = Targets::all(&Batch::padded(&[[5; 12], [96; 12], [5; 12]]).unwrap());
    assert!(message(&long, config).contains("token 1 of row 1 is 96"));
}

#[test]
fn what_is_derived_from_what_is_trained_can_not_run_again() {
    let (batch, _) = Expected::read().batch();
    let mut decoder = load("qwen2");
    let a = leaf(vec![0.1; 64], [2, 32]) * 2.0;
    let b = leaf(vec![0.1; 64], [32, 2]);
    let module = "model.layers.0.self_attn.q_proj";
    decoder.attach("trained", vec![LowRank::new(module, a, b, 1.0)]).unwrap();
    let training = Training::new(1).with_recompute(true);
    let error = decoder.forward_training(&batch, &training).unwrap_err().to_string();
    assert!(error.contains("turn recompute off"), "{error}");
}
