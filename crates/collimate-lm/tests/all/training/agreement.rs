//! Ways to compute the same thing, against each other.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Tensor};
use collimate_lm::{Batch, Decoder, LossConfig, LowRank, Targets, Training};

use super::{
    Expected, Leaf, Leaves, MODELS, TOLERANCE, attach_random, folder, load, run, track_all,
};
use crate::fixture::{assert_close, rounded};

#[test]
fn layers_that_run_again_give_the_same_bits() {
    let expected = Expected::read();
    let short = expected.rows.iter().map(|row| row[..3].to_vec()).collect();
    let packed = Batch::packed(&[expected.rows.clone(), short]).unwrap();
    let packed = (packed.clone(), Targets::all(&packed));
    let few = Batch::padded(&[&expected.rows[0][..3]]).unwrap();
    let few = (few.clone(), Targets::all(&few));
    let some = ["q_proj", "v_proj", "down_proj", "c_attn", "mlp.c_proj", "query_key_value"];
    let prepare: [fn(&mut Decoder, &[&str]) -> Leaves; 4] = [
        |decoder, ends| attach_random(decoder, ends, 0.3, false),
        |decoder, ends| attach_random(decoder, ends, 0.3, true),
        |decoder, _| {
            track_all(decoder);
            Leaves::new()
        },
        |decoder, ends| {
            track_all(decoder);
            attach_random(decoder, ends, 0.3, true)
        },
    ];
    for name in MODELS.into_iter().chain(["qwen3", "gpt_neox", "phi3"]) {
        for (way, prepare) in prepare.iter().enumerate() {
            let mut decoder = load(name);
            let some = if name == "phi3" { &["qkv_proj", "down_proj"][..] } else { &some };
            let leaves = prepare(&mut decoder, some);
            for rows in [&packed, &few, &expected.batch()] {
                let kept = Training::new(3).with_neftune_alpha(Some(5.0));
                let config = LossConfig::default();
                let [one, two] = [kept, kept.with_recompute(true)]
                    .map(|training| run(&decoder, &leaves, rows, &training, &config));
                assert_eq!(one.0.sum, two.0.sum, "{name} {way}");
                for (parameter, gradient) in &one.1 {
                    assert_eq!(gradient, &two.1[parameter], "{name} {way}: {parameter}");
                }
            }
        }
    }
}

#[test]
fn a_loss_in_chunks_is_the_whole_loss() {
    let expected = Expected::read();
    let rows = expected.batch();
    let prepare: [fn(&mut Decoder) -> Leaves; 4] = [
        |decoder| attach_random(decoder, &["q_proj"], 0.0, false),
        |decoder| attach_random(decoder, &["q_proj", "lm_head"], 0.4, false),
        |decoder| attach_random(decoder, &["lm_head"], 0.4, true),
        |decoder| {
            track_all(decoder);
            Leaves::new()
        },
    ];
    for name in ["llama2", "gemma2"] {
        for (way, prepare) in prepare.iter().enumerate() {
            let mut decoder = load(name);
            if way == 1 || way == 2 {
                decoder.untie_head().unwrap();
            }
            let leaves = prepare(&mut decoder);
            let config = LossConfig::default().with_label_smoothing(0.2).with_key(Some(9));
            let of = |chunk| {
                let config = config.with_chunk(chunk);
                run(&decoder, &leaves, &rows, &Training::new(3), &config)
            };
            let whole = of(None);
            for chunk in [1, 5, 16] {
                let chunked = of(Some(chunk));
                let off = (whole.0.sum - chunked.0.sum).abs();
                assert!(off < 1e-6 * whole.0.sum, "{name} {way} {chunk}");
                for (parameter, gradient) in &whole.1 {
                    let what = format!("{name} {way} {chunk}: {parameter}");
                    assert_close(&what, &chunked.1[parameter], gradient, 2e-6);
                }
            }
            let sum: f64 = whole.0.rows.iter().sum();
            assert!((sum - whole.0.sum).abs() < 1e-9 && whole.0.rows.len() == 3);
        }
    }
}

/// Along a gradient the loss grows as the gradient says.
#[test]
fn gradients_are_those_of_finite_differences() {
    let expected = Expected::read();
    let rows = expected.batch();
    let prepare: [fn(&mut Decoder) -> Leaves; 3] = [
        |decoder| attach_random(decoder, &["q_proj", "down_proj"], 0.3, false),
        // The norm of DoRA is a constant to its gradient, but not to differences: magnitudes alone.
        |decoder| attach_random(decoder, &["q_proj", "down_proj"], 0.3, true),
        |decoder| {
            track_all(decoder);
            Leaves::new()
        },
    ];
    let training = Training::new(5).with_neftune_alpha(Some(3.0));
    let config = LossConfig::default().with_label_smoothing(0.1);
    for name in ["gemma2", "qwen2"] {
        for (way, prepare) in prepare.iter().enumerate() {
            let mut decoder = load(name);
            let leaves = prepare(&mut decoder);
            let (_, gradients) = run(&decoder, &leaves, &rows, &training, &config);
            let of_way = |parameter: &str| way != 1 || parameter.ends_with(".m");
            for (parameter, gradient) in gradients.iter().filter(|(name, _)| of_way(name)) {
                let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
                // So far that the loss changes by more than its last digits, but no curve shows.
                let step = (0.2 / norm).min(2e-2);
                let along = |sign: f64| {
                    let scale = (sign * step / norm) as f32;
                    let moved = moved(&decoder, &leaves, parameter, gradient, scale);
                    let hidden = moved.forward_training(&rows.0, &training).unwrap();
                    moved.token_loss(hidden, &rows.1, &config).unwrap().sum
                };
                let slope = (along(1.0) - along(-1.0)) / (2.0 * step);
                let off = (slope - norm).abs();
                assert!(off < 0.02 * norm + 2e-3, "{name} {way} {parameter}: {slope} and {norm}");
            }
        }
    }
}

/// The decoder with one parameter moved.
fn moved(decoder: &Decoder, leaves: &Leaves, parameter: &str, by: &[f32], scale: f32) -> Decoder {
    let mut decoder = decoder.clone();
    let by = Tensor::<1>::from_floats(by, &Device::flex()) * scale;
    if !leaves.contains_key(parameter) {
        let value = decoder.parameter(parameter).unwrap() + by;
        decoder.set_parameters(BTreeMap::from([(parameter.to_owned(), value)])).unwrap();
        return decoder;
    }
    let (module, _) = parameter.rsplit_once('.').unwrap();
    let value = |part: &str| {
        let name = format!("{module}.{part}");
        let by = by.clone();
        leaves.get(&name).map(|leaf| match leaf {
            Leaf::Matrix(leaf) if name == parameter => {
                Leaf::Matrix(leaf.clone().inner() + by.reshape(leaf.dims()))
            }
            Leaf::Vector(leaf) if name == parameter => Leaf::Vector(leaf.clone().inner() + by),
            other => other.clone(),
        })
    };
    let (Some(Leaf::Matrix(a)), Some(Leaf::Matrix(b))) = (value("a"), value("b")) else {
        panic!("{module}")
    };
    let mut branch = LowRank::new(module, a, b, 0.7).with_dropout(0.3);
    if let Some(Leaf::Vector(magnitude)) = value("m") {
        branch = branch.with_magnitude(magnitude);
    }
    // Whatever else is attached stays.
    let others =
        leaves.keys().filter_map(|name| name.strip_suffix(".a")).filter(|name| *name != module);
    let mut branches: Vec<LowRank> = others
        .map(|module| {
            let of = |part: &str| leaves.get(&format!("{module}.{part}")).cloned();
            let (Some(Leaf::Matrix(a)), Some(Leaf::Matrix(b))) = (of("a"), of("b")) else {
                panic!("{module}")
            };
            let branch = LowRank::new(module, a, b, 0.7).with_dropout(0.3);
            match of("m") {
                Some(Leaf::Vector(magnitude)) => branch.with_magnitude(magnitude),
                _ => branch,
            }
        })
        .collect();
    branches.push(branch);
    decoder.attach("trained", branches).unwrap();
    decoder
}

#[test]
fn packed_rows_have_the_loss_and_the_gradients_of_rows_alone() {
    let expected = Expected::read();
    let packed = Batch::packed(std::slice::from_ref(&expected.rows)).unwrap();
    let masks = [expected.masks.concat()];
    let packed = (packed.clone(), Targets::masked(&packed, &masks).unwrap());
    for name in MODELS {
        let mut decoder = load(name);
        track_all(&mut decoder);
        let [one, two] = [&expected.batch(), &packed].map(|rows| {
            run(&decoder, &Leaves::new(), rows, &Training::default(), &LossConfig::default())
        });
        assert!((one.0.sum - two.0.sum).abs() < 2e-6 * one.0.sum, "{name}");
        assert_eq!((one.0.tokens, one.0.weight), (two.0.tokens, two.0.weight));
        for (parameter, gradient) in &one.1 {
            assert_close(&format!("{name}: {parameter}"), &two.1[parameter], gradient, TOLERANCE);
        }
    }
}

#[test]
fn halves_learn_in_the_same_direction() {
    let expected = Expected::read();
    let rows = expected.batch();
    for name in ["qwen2", "gemma2"] {
        let ends = ["q_proj", "v_proj", "down_proj"];
        let config = LossConfig::default().with_label_smoothing(0.1);
        let mut exact = load(name);
        let leaves = attach_random(&mut exact, &ends, 0.3, true);
        let (loss, exact) = run(&exact, &leaves, &rows, &Training::new(1), &config);
        for dtype in [DType::BF16, DType::F16] {
            let mut decoder = Decoder::load(folder(name), &Device::flex(), dtype).unwrap();
            let leaves = attach_random(&mut decoder, &ends, 0.3, true);
            let [kept, again] = [Training::new(1), Training::new(1).with_recompute(true)]
                .map(|training| run(&decoder, &leaves, &rows, &training, &config));
            assert!((kept.0.sum - loss.sum).abs() < 0.01 * loss.sum, "{name}: {}", kept.0.sum);
            assert_eq!(kept.1, again.1, "{name}");
            for (parameter, found) in &kept.1 {
                let exact = &exact[parameter];
                let product = |a: &[f32], b: &[f32]| -> f64 {
                    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
                };
                let cosine =
                    product(found, exact) / (product(found, found) * product(exact, exact)).sqrt();
                assert!(cosine > 0.95, "{name} {dtype:?} {parameter}: {cosine}");
            }
        }
    }
}

#[test]
fn halves_have_the_gradients_of_float32() {
    let expected = Expected::read();
    let rows = expected.batch();
    let some =
        ["q_proj", "v_proj", "down_proj", "c_attn", "mlp.c_proj", "query_key_value", "lm_head"];
    let prepare: [fn(&mut Decoder, &[&str]) -> Leaves; 4] = [
        |decoder, ends| attach_random(decoder, ends, 0.3, false),
        |decoder, ends| attach_random(decoder, ends, 0.3, true),
        |decoder, ends| {
            track_all(decoder);
            attach_random(decoder, ends, 0.3, true)
        },
        |decoder, _| {
            decoder.untie_head().unwrap();
            track_all(decoder);
            // As a trainer does at each step.
            let values = decoder.parameters().into_iter().map(|parameter| {
                let value = decoder.parameter(&parameter.name).unwrap();
                (parameter.name, value.cast(DType::F32) * 1.01)
            });
            let values = values.collect();
            decoder.set_parameters(values).unwrap();
            Leaves::new()
        },
    ];
    for name in ["llama2", "qwen2", "gemma2", "gpt2", "gpt_neox"] {
        for dtype in [DType::BF16, DType::F16] {
            for (way, prepare) in prepare.iter().enumerate() {
                let mut half = Decoder::load(folder(name), &Device::flex(), dtype).unwrap();
                let leaves = prepare(&mut half, &some);
                let mut whole = load(name);
                if way == 3 {
                    whole.untie_head().unwrap();
                }
                let mut whole = rounded(&half, whole);
                if way >= 2 {
                    track_all(&mut whole);
                }
                let whole_leaves = match way {
                    3 => Leaves::new(),
                    _ => attach_random(&mut whole, &some, 0.3, way > 0),
                };
                let config = LossConfig::default().with_chunk(Some(7)).with_key(Some(3));
                for recompute in [false, true] {
                    let training = Training::new(3).with_recompute(recompute);
                    let found = run(&half, &leaves, &rows, &training, &config);
                    let expected = run(&whole, &whole_leaves, &rows, &training, &config);
                    assert_eq!(found.0.sum, expected.0.sum, "{name} {dtype:?} {way}");
                    assert_eq!(found.1, expected.1, "{name} {dtype:?} {way}");
                }
                // What is no longer trained is as it was loaded.
                half.track::<&str>([]).unwrap();
                assert_eq!(half.parameter(&half.parameters()[0].name).unwrap().dtype(), dtype);
            }
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let expected = Expected::read();
    let rows = expected.batch();
    let mut decoder = load("llama2");
    let leaves = attach_random(&mut decoder, &["q_proj", "down_proj"], 0.3, false);
    let [one, two] = [1, 2].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(&decoder, &leaves, &rows, &Training::new(1), &LossConfig::default()))
    });
    assert_eq!((one.0.sum, one.1), (two.0.sum, two.1));
}
