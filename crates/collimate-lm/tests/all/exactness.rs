//! Every family against transformers: what it computes is in the fixtures, `conformance/lm.py` made them.

use burn::tensor::{DType, Device};
use collimate_lm::{Batch, Decoder, HiddenSource, Pooling};
use collimate_peft::Adapter;
use collimate_tensors::Checkpoint;

use crate::fixture::{self, Fixture, assert_close, distance, fixtures, greedy, numbers, rounded};
#[cfg(feature = "autodiff")]
use crate::fixture::{cross_entropy, gradients};

/// Float32 sums in another order: some units in the last place of the largest number.
const TOLERANCE: f32 = 2e-5;

fn load(fixture: &Fixture, dtype: DType) -> Decoder {
    Decoder::load(&fixture.folder, &Device::flex(), dtype).unwrap()
}

#[test]
fn logits_are_those_of_transformers() {
    for fixture in fixtures() {
        let decoder = load(&fixture, DType::F32);
        let batch = Batch::padded(&fixture.rows("input_ids")).unwrap();
        let logits = numbers(decoder.logits(&batch).unwrap());
        assert_close(&fixture.name, &logits, &fixture.floats("logits"), TOLERANCE);
    }
}

#[test]
fn weights_in_a_pickle_are_those_of_the_safetensors() {
    let fixture = fixture::fixture("llama2");
    let folder = fixture.folder.with_file_name("llama2_pickled");
    let pickled = Decoder::load(folder, &Device::flex(), DType::F32).unwrap();
    let batch = Batch::padded(&fixture.rows("input_ids")).unwrap();
    let [found, expected] =
        [pickled, load(&fixture, DType::F32)].map(|model| numbers(model.logits(&batch).unwrap()));
    assert_eq!(found, expected);
}

#[test]
fn hidden_states_of_every_layer_are_those_of_transformers() {
    for fixture in fixtures() {
        let decoder = load(&fixture, DType::F32);
        let batch = Batch::padded(&fixture.rows("input_ids")).unwrap();
        let layers: Vec<_> = decoder.hidden_layers(HiddenSource::Residual).collect();
        let states = decoder.hidden_states(&batch, &layers, HiddenSource::Residual).unwrap();
        let expected = fixture.floats("hidden_states");
        let each = expected.len() / layers.len();
        for ((layer, states), expected) in layers.iter().zip(states).zip(expected.chunks(each)) {
            let what = format!("{}, layer {layer}", fixture.name);
            assert_close(&what, &numbers(states), expected, TOLERANCE);
        }
    }
}

#[test]
fn log_probabilities_are_those_of_transformers() {
    for fixture in fixtures() {
        let decoder = load(&fixture, DType::F32);
        let batch = Batch::padded(&fixture.rows("input_ids")).unwrap();
        let found = decoder.log_probs(&batch).unwrap().concat();
        assert_close(&fixture.name, &found, &fixture.floats("log_probs"), TOLERANCE);
    }
}

#[test]
fn adapters_change_logits_as_peft_does() {
    let mut adapted = 0;
    for fixture in fixtures().iter().filter(|fixture| fixture.has("lora_logits")) {
        let mut decoder = load(fixture, DType::F32);
        let batch = Batch::padded(&fixture.rows("input_ids")).unwrap();
        let adapter = Adapter::read(fixture.folder.join("adapter")).unwrap();
        decoder.attach_adapter("peft", &adapter).unwrap();
        let logits = numbers(decoder.logits(&batch).unwrap());
        assert_close(&fixture.name, &logits, &fixture.floats("lora_logits"), TOLERANCE);

        // Neither unused nor detached does it change anything.
        decoder.activate(&[]).unwrap();
        let unused = numbers(decoder.logits(&batch).unwrap());
        decoder.detach("peft").unwrap();
        let detached = numbers(decoder.logits(&batch).unwrap());
        assert_close(&fixture.name, &unused, &fixture.floats("logits"), TOLERANCE);
        assert_eq!(unused, detached);
        adapted += 1;
    }
    assert!(adapted >= 3);
}

#[test]
fn halves_are_near_float32() {
    for fixture in fixtures().iter().filter(|fixture| fixture.has("logits_bf16")) {
        let batch = Batch::padded(&fixture.rows("input_ids")).unwrap();
        let exact = fixture.floats("logits");
        let theirs = fixture.floats("logits_bf16");
        let ours = numbers(load(fixture, DType::BF16).logits(&batch).unwrap());
        // Each rounds at other places: ours is as near to the truth as theirs is.
        let [ours, theirs] = [ours, theirs].map(|found| distance(&found, &exact));
        assert!(ours < 1.5 * theirs, "{}: {ours} is farther off than {theirs}", fixture.name);
        assert!(ours > 0.0, "{}: nothing was rounded", fixture.name);
    }
}

#[test]
fn halves_are_computed_with_as_float32() {
    for fixture in fixtures() {
        for dtype in [DType::BF16, DType::F16] {
            let half = load(&fixture, dtype);
            let rounded = rounded(&half, load(&fixture, DType::F32));
            assert_eq!((half.dtype(), half.activation_dtype()), (dtype, DType::F32));
            let batch = Batch::padded(&fixture.rows("input_ids")).unwrap();
            let [found, expected] = [&half, &rounded].map(|decoder| {
                let logits = decoder.logits(&batch).unwrap();
                assert_eq!(logits.dtype(), DType::F32);
                numbers(logits)
            });
            assert_eq!(found, expected, "{} {dtype:?}", fixture.name);
            let prompts = fixture.rows("prompt_ids");
            let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
            assert_eq!(greedy(&half, &prompts, 9), greedy(&rounded, &prompts, 9));

            let scratch = tempfile::tempdir().unwrap();
            half.write_weights(scratch.path().join("model.safetensors")).unwrap();
            let written = Checkpoint::open(scratch.path()).unwrap();
            for parameter in half.parameters() {
                let written = written.get(&parameter.name).unwrap();
                assert_eq!(
                    written.byte_len(),
                    2 * parameter.shape.iter().product::<usize>() as u64
                );
                let expected = numbers(half.parameter(&parameter.name).unwrap());
                assert_eq!(written.to_f32().unwrap(), expected, "{}", parameter.name);
            }
        }
    }
}

#[test]
fn a_shorter_row_of_a_batch_is_what_it_is_alone() {
    for fixture in fixtures() {
        let decoder = load(&fixture, DType::F32);
        let rows = fixture.rows("input_ids");
        let short = rows[1][..rows[1].len() / 2].to_vec();
        let together = Batch::padded(&[rows[0].clone(), short.clone()]).unwrap();
        let alone = Batch::padded(&[short]).unwrap();
        let pooled = |batch: &Batch, pooling: Pooling| {
            let last = decoder.config().layers.len();
            numbers(decoder.pooled(batch, &[1, last], HiddenSource::Residual, &pooling).unwrap())
        };
        for pooling in [Pooling::Last, Pooling::Mean] {
            let together = pooled(&together, pooling.clone());
            let alone = pooled(&alone, pooling);
            assert_close(&fixture.name, &together[alone.len()..], &alone, TOLERANCE);
        }
    }
}

#[test]
fn packed_texts_are_what_they_are_alone() {
    for fixture in fixtures() {
        let decoder = load(&fixture, DType::F32);
        let rows = fixture.rows("input_ids");
        let (one, two) = (rows[0].clone(), rows[1][..5].to_vec());
        let packed = Batch::packed(&[vec![one.clone(), two.clone()]]).unwrap();
        let packed = numbers(decoder.logits(&packed).unwrap());
        let mut alone = Vec::new();
        for text in [one, two] {
            let batch = Batch::padded(&[text]).unwrap();
            alone.extend(numbers(decoder.logits(&batch).unwrap()));
        }
        assert_close(&fixture.name, &packed, &alone, TOLERANCE);
    }
}

#[test]
fn activations_inside_the_mlp_are_those_of_transformers() {
    for fixture in fixtures() {
        let decoder = load(&fixture, DType::F32);
        let batch = Batch::padded(&fixture.rows("input_ids")).unwrap();
        let layers: Vec<_> = decoder.hidden_layers(HiddenSource::Mlp).collect();
        let states = decoder.hidden_states(&batch, &layers, HiddenSource::Mlp).unwrap();
        let found: Vec<f32> = states.into_iter().flat_map(numbers).collect();
        assert_close(&fixture.name, &found, &fixture.floats("mlp"), TOLERANCE);
    }
}

#[test]
fn texts_are_continued_as_transformers_does() {
    for fixture in fixtures() {
        let decoder = load(&fixture, DType::F32);
        let prompts = fixture.rows("prompt_ids");
        let expected = fixture.rows("greedy_ids");
        let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        assert_eq!(greedy(&decoder, &prompts, expected[0].len()), expected, "{}", fixture.name);
    }
}

#[test]
fn texts_of_a_batch_are_continued_as_if_alone() {
    for fixture in fixtures() {
        let decoder = load(&fixture, DType::F32);
        let rows = fixture.rows("input_ids");
        let prompts: [&[u32]; 3] = [&rows[0][..7], &rows[1][..2], &rows[1]];
        let together = greedy(&decoder, &prompts, 8);
        let alone: Vec<_> = prompts.iter().flat_map(|one| greedy(&decoder, &[one], 8)).collect();
        assert_eq!(together, alone, "{}", fixture.name);
    }
}

#[test]
fn weights_are_written_back_as_they_were() {
    for fixture in fixtures() {
        let decoder = load(&fixture, DType::F32);
        let scratch = tempfile::tempdir().unwrap();
        decoder.write_weights(scratch.path().join("model.safetensors")).unwrap();
        let before = Checkpoint::open(&fixture.folder).unwrap();
        let after = Checkpoint::open(scratch.path()).unwrap();
        for name in after.names() {
            // Some models are saved from inside.
            let inner = name.split_once('.').map_or(name, |(_, inner)| inner);
            let original = before.get(name).or_else(|| before.get(inner)).unwrap();
            let written = after.get(name).unwrap();
            assert_eq!(original.shape(), written.shape(), "{}: {name}", fixture.name);
            assert_eq!(original.to_f32().unwrap(), written.to_f32().unwrap(), "{name}");
        }
        std::fs::copy(fixture.folder.join("config.json"), scratch.path().join("config.json"))
            .unwrap();
        let again = Decoder::load(scratch.path(), &Device::flex(), DType::F32).unwrap();
        let batch = Batch::padded(&fixture.rows("input_ids")).unwrap();
        let [one, two] = [decoder, again].map(|model| numbers(model.logits(&batch).unwrap()));
        assert_eq!(one, two, "{}", fixture.name);
    }
}

#[cfg(feature = "autodiff")]
#[test]
fn gradients_of_adapters_are_those_of_torch() {
    let mut compared = 0;
    for fixture in fixtures() {
        for (name, found) in gradients(&fixture, load(&fixture, DType::F32), cross_entropy) {
            let what = format!("{}: {name}", fixture.name);
            assert_close(&what, &found, &fixture.floats(&name), 1e-5);
            compared += 1;
        }
    }
    assert!(compared > 20);
}
