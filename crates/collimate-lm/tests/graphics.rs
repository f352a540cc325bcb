//! What `all/exactness.rs` tests on the processor, on a graphics card, where every operator is composed
//! of burn's. A program of its own, because it is built with other features.
//!
//! It runs on the first of the devices that were built in. Without a card, a software Vulkan device
//! will do; README.md says how.
#![cfg(any(feature = "cuda", feature = "metal", feature = "vulkan", feature = "wgpu"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "all/fixture.rs"]
mod fixture;

use burn::tensor::{DType, Device};
use collimate_lm::{Batch, Decoder, HiddenSource, LmError, Pooling, devices, parse_device};
use collimate_peft::Adapter;
use fixture::{Fixture, assert_close, distance, fixtures, greedy, numbers};
#[cfg(feature = "autodiff")]
use fixture::{cross_entropy, gradients};

/// Of the largest number. Vulkan lets `exp` be wrong by 3 + 2·|x| units in the last place, and
/// quotients by 2.5, where the processor has one; sums have another order.
const TOLERANCE: f32 = 1e-4;

/// Tokens that texts are continued by: a few, because a software device takes long for each.
const TOKENS: usize = 8;

fn device() -> Device {
    let name = devices().into_iter().find(|&name| name != "cpu").unwrap();
    parse_device(name).unwrap()
}

fn load(fixture: &Fixture, dtype: DType) -> Decoder {
    Decoder::load(&fixture.folder, &device(), dtype).unwrap()
}

#[test]
#[ignore = "needs a graphics card, or a software Vulkan device"]
fn logits_and_hidden_states_are_those_of_transformers() {
    for fixture in fixtures() {
        let decoder = load(&fixture, DType::F32);
        let batch = Batch::padded(&fixture.rows("input_ids")).unwrap();
        let logits = numbers(decoder.logits(&batch).unwrap());
        assert_close(&fixture.name, &logits, &fixture.floats("logits"), TOLERANCE);
        let log_probs = decoder.log_probs(&batch).unwrap().concat();
        assert_close(&fixture.name, &log_probs, &fixture.floats("log_probs"), TOLERANCE);
        let layers: Vec<_> = decoder.hidden_layers(HiddenSource::Residual).collect();
        let states = decoder.hidden_states(&batch, &layers, HiddenSource::Residual).unwrap();
        let states: Vec<f32> = states.into_iter().flat_map(numbers).collect();
        assert_close(&fixture.name, &states, &fixture.floats("hidden_states"), TOLERANCE);
    }
}

#[test]
#[ignore = "needs a graphics card, or a software Vulkan device"]
fn texts_are_continued_as_transformers_does() {
    for fixture in fixtures() {
        let prompts = fixture.rows("prompt_ids");
        let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        let mut expected = fixture.rows("greedy_ids");
        expected.iter_mut().for_each(|ids| ids.truncate(TOKENS));
        let found = greedy(&load(&fixture, DType::F32), &prompts, TOKENS);
        assert_eq!(found, expected, "{}", fixture.name);
    }
}

#[test]
#[ignore = "needs a graphics card, or a software Vulkan device"]
fn texts_are_alone_in_every_kind_of_batch() {
    for fixture in fixtures() {
        let decoder = load(&fixture, DType::F32);
        let rows = fixture.rows("input_ids");
        let texts = [rows[0].clone(), rows[1][..5].to_vec()];
        let alone = texts.each_ref().map(|text| {
            let batch = Batch::padded(&[text]).unwrap();
            let pooled = decoder.pooled(&batch, &[1], HiddenSource::Residual, &Pooling::Mean);
            (numbers(decoder.logits(&batch).unwrap()), numbers(pooled.unwrap()))
        });
        let packed = numbers(decoder.logits(&Batch::packed(&[texts.to_vec()]).unwrap()).unwrap());
        let logits = alone.each_ref().map(|(logits, _)| logits.as_slice()).concat();
        assert_close(&fixture.name, &packed, &logits, TOLERANCE);
        let padded = Batch::padded(&texts).unwrap();
        let pooled = decoder.pooled(&padded, &[1], HiddenSource::Residual, &Pooling::Mean).unwrap();
        let states = alone.each_ref().map(|(_, states)| states.as_slice()).concat();
        assert_close(&fixture.name, &numbers(pooled), &states, TOLERANCE);
        let prompts = texts.each_ref().map(Vec::as_slice);
        let continued = prompts.map(|prompt| greedy(&decoder, &[prompt], 2)).concat();
        assert_eq!(greedy(&decoder, &prompts, 2), continued, "{}", fixture.name);
    }
}

#[test]
#[ignore = "needs a graphics card, or a software Vulkan device"]
fn adapters_change_logits_as_peft_does() {
    let mut adapted = 0;
    for fixture in fixtures().iter().filter(|fixture| fixture.has("lora_logits")) {
        let mut decoder = load(fixture, DType::F32);
        let batch = Batch::padded(&fixture.rows("input_ids")).unwrap();
        let adapter = Adapter::read(fixture.folder.join("adapter")).unwrap();
        decoder.attach_adapter("peft", &adapter).unwrap();
        let logits = numbers(decoder.logits(&batch).unwrap());
        assert_close(&fixture.name, &logits, &fixture.floats("lora_logits"), TOLERANCE);
        adapted += 1;
    }
    assert!(adapted >= 3);
}

#[cfg(feature = "autodiff")]
#[test]
#[ignore = "needs a graphics card, or a software Vulkan device"]
fn gradients_of_adapters_are_those_of_torch() {
    use collimate_lm::{LossConfig, Targets, Training};

    // In chunks, each with its gradient at once, and layers that are run again for theirs.
    let chunked = |decoder: &Decoder, rows: &[Vec<u32>]| {
        let batch = Batch::padded(rows).unwrap();
        let training = Training::new(0).with_recompute(true);
        let hidden = decoder.forward_training(&batch, &training).unwrap();
        let config = LossConfig::default().with_chunk(Some(7));
        let targets = Targets::all(&batch);
        let loss = decoder.token_loss(hidden, &targets, &config).unwrap();
        loss.loss / targets.tokens() as f64
    };
    let mut compared = 0;
    for fixture in fixtures() {
        let whole = gradients(&fixture, load(&fixture, DType::F32), cross_entropy);
        let chunked = gradients(&fixture, load(&fixture, DType::F32), chunked);
        for (name, found) in whole.into_iter().chain(chunked) {
            let what = format!("{}: {name}", fixture.name);
            assert_close(&what, &found, &fixture.floats(&name), TOLERANCE);
            compared += 1;
        }
    }
    assert!(compared > 40);
}

#[test]
#[ignore = "needs a graphics card, or a software Vulkan device"]
fn halves_are_near_float32_or_refused() {
    for fixture in fixtures().iter().filter(|fixture| fixture.has("logits_bf16")) {
        let batch = Batch::padded(&fixture.rows("input_ids")).unwrap();
        let exact = fixture.floats("logits");
        // Each rounds at other places: ours is as near to the truth as theirs is.
        let theirs = distance(&fixture.floats("logits_bf16"), &exact);
        // Float16 has three bits more.
        for (dtype, most) in [(DType::BF16, 1.5 * theirs), (DType::F16, 0.5 * theirs)] {
            match Decoder::load(&fixture.folder, &device(), dtype) {
                Err(LmError::Dtype { .. }) => assert!(!device().supports_dtype(dtype)),
                decoder => {
                    let logits = numbers(decoder.unwrap().logits(&batch).unwrap());
                    let ours = distance(&logits, &exact);
                    let what = format!("{}, {}: {ours}", fixture.name, dtype.name());
                    assert!(ours > 0.0 && ours < most, "{what} is farther off than {most}");
                }
            }
        }
    }
}
