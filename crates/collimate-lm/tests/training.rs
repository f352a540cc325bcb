//! Losses and gradients against torch, PEFT and each other: `conformance/lm_train.py` made the fixtures.
#![cfg(feature = "autodiff")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use collimate_lm::{Batch, Decoder, LossConfig, LowRank, Targets, TokenLoss, Training};
use collimate_peft::{Adapter, AdapterKey, AdapterPart};
use collimate_tensors::TensorFile;
use fixture::{assert_close, numbers};

/// As in the script.
const KEY: u64 = 2026;
const DROPOUT: f64 = 0.25;
const SMOOTHING: f64 = 0.1;
const ALPHA: f64 = 5.0;
const TOLERANCE: f32 = 1e-5;

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// A model of the fixtures.
fn folder(name: &str) -> PathBuf {
    tests().join("fixtures").join(name)
}

/// An adapter of the script.
fn adapter(name: &str) -> PathBuf {
    tests().join("training").join(name)
}

/// A model of the fixtures; with `_tied` at its end as if its head were the embedding.
fn load(name: &str) -> Decoder {
    let load = |folder: &Path| Decoder::load(folder, &Device::flex(), DType::F32).unwrap();
    let Some(name) = name.strip_suffix("_tied") else { return load(&folder(name)) };
    let scratch = tempfile::tempdir().unwrap();
    let config = fs::read_to_string(folder(name).join("config.json")).unwrap();
    let tied = config.replace("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
    assert_ne!(config, tied);
    fs::write(scratch.path().join("config.json"), tied).unwrap();
    let weights = "model.safetensors";
    fs::copy(folder(name).join(weights), scratch.path().join(weights)).unwrap();
    load(scratch.path())
}

/// The rows of the script, and what is expected of them.
struct Expected {
    file: TensorFile,
    rows: Vec<Vec<u32>>,
    masks: Vec<Vec<bool>>,
}

impl Expected {
    fn read() -> Self {
        let file = TensorFile::open(tests().join("training/expected.safetensors")).unwrap();
        let integers = |name: String| -> Option<Vec<i64>> {
            let bytes = file.get(&name)?.bytes().unwrap().into_owned();
            Some(bytes.as_chunks::<8>().0.iter().map(|&id| i64::from_le_bytes(id)).collect())
        };
        let all =
            |name: &str| (0..).map_while(|at| integers(format!("{name}.{at}"))).collect::<Vec<_>>();
        let rows: Vec<Vec<u32>> = all("ids")
            .into_iter()
            .map(|row| row.into_iter().map(|id| id as u32).collect())
            .collect();
        let masks =
            all("trained").into_iter().map(|row| row.into_iter().map(|set| set != 0).collect());
        let masks = masks.collect();
        assert_eq!(rows.len(), 3);
        Self { file, rows, masks }
    }

    fn batch(&self) -> (Batch, Targets) {
        let batch = Batch::padded(&self.rows).unwrap();
        let targets = Targets::masked(&batch, &self.masks).unwrap();
        (batch, targets)
    }

    fn loss(&self, name: &str) -> f64 {
        let bytes = self.file.get(name).unwrap().bytes().unwrap().into_owned();
        f64::from_le_bytes(bytes.try_into().unwrap())
    }

    fn assert_loss(&self, name: &str, found: &TokenLoss) {
        let expected = self.loss(name);
        let off = (found.sum - expected).abs();
        assert!(off <= 2e-6 * expected, "{name}: {} and not {expected}", found.sum);
    }

    /// Compares some numbers of a tensor, evenly spread.
    fn assert_kept(&self, name: &str, found: &[f32]) {
        let expected = self.file.get(name).unwrap_or_else(|| panic!("there is no {name}"));
        let expected = expected.to_f32().unwrap();
        let step = (found.len() / 150).max(1);
        let found: Vec<f32> = found.iter().copied().step_by(step).collect();
        assert_close(name, &found, &expected, TOLERANCE);
    }

    fn names(&self, begin: &str) -> Vec<String> {
        let names = self.file.names().filter_map(|name| name.strip_prefix(begin));
        names.map(str::to_owned).collect()
    }
}

/// Leaves under the names of PEFT.
type Leaves = BTreeMap<String, Leaf>;

#[derive(Clone)]
enum Leaf {
    Matrix(Tensor<2>),
    Vector(Tensor<1>),
}

impl Leaf {
    fn gradient(&self, gradients: &Gradients) -> Vec<f32> {
        match self {
            Self::Matrix(leaf) => numbers(leaf.grad(gradients).unwrap()),
            Self::Vector(leaf) => numbers(leaf.grad(gradients).unwrap()),
        }
    }
}

fn leaf<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    let device = Device::flex().autodiff();
    Tensor::from_data(TensorData::new(values, shape), &device).require_grad()
}

/// Attaches an adapter of a folder as leaves.
fn attach(decoder: &mut Decoder, folder: &Path, dropout: f64) -> Leaves {
    let adapter = Adapter::read(folder).unwrap();
    let mut leaves = Leaves::new();
    let targets = adapter.check(decoder.module_tree()).unwrap();
    let branches = targets.modules.iter().map(|target| {
        let values = |part: AdapterPart| {
            let key = AdapterKey::new(&target.module, part);
            let tensor = adapter.get(&key).unwrap().unwrap();
            let bytes = tensor.bytes().as_chunks::<4>().0;
            let values: Vec<f32> = bytes.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            values
        };
        let (rank, [out, width]) =
            (target.rank as usize, [target.out_features, target.in_features].map(|n| n as usize));
        let a = leaf(values(AdapterPart::A), [rank, width]);
        let b = leaf(values(AdapterPart::B), [out, rank]);
        let magnitude = leaf(values(AdapterPart::Magnitude), [out]);
        let module = &target.module;
        leaves.insert(format!("{module}.lora_A.weight"), Leaf::Matrix(a.clone()));
        leaves.insert(format!("{module}.lora_B.weight"), Leaf::Matrix(b.clone()));
        let name = format!("{module}.lora_magnitude_vector.weight");
        leaves.insert(name, Leaf::Vector(magnitude.clone()));
        LowRank::new(module, a, b, target.scale).with_dropout(dropout).with_magnitude(magnitude)
    });
    let branches = branches.collect();
    decoder.attach("trained", branches).unwrap();
    leaves
}

/// Attaches branches of random numbers to these projections.
fn attach_random(decoder: &mut Decoder, ends: &[&str], dropout: f64, dora: bool) -> Leaves {
    let mut leaves = Leaves::new();
    let mut state = 7_u32;
    let mut random = |count: usize, size: f32| -> Vec<f32> {
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * size
        };
        std::iter::repeat_with(next).take(count).collect()
    };
    let mut branches = Vec::new();
    for (module, [out, width]) in decoder.projections() {
        if !ends.iter().any(|end| module.ends_with(end)) {
            continue;
        }
        let a = leaf(random(3 * width, 0.3), [3, width]);
        let b = leaf(random(out * 3, 0.3), [out, 3]);
        leaves.insert(format!("{module}.a"), Leaf::Matrix(a.clone()));
        leaves.insert(format!("{module}.b"), Leaf::Matrix(b.clone()));
        let mut branch = LowRank::new(&module, a, b, 0.7).with_dropout(dropout);
        if dora {
            let norm = numbers(decoder.weight_norm(&branch).unwrap());
            let magnitude =
                norm.iter().zip(random(out, 0.3)).map(|(norm, more)| norm * (1.0 + more));
            let magnitude = leaf(magnitude.collect(), [out]);
            leaves.insert(format!("{module}.m"), Leaf::Vector(magnitude.clone()));
            branch = branch.with_magnitude(magnitude);
        }
        branches.push(branch);
    }
    assert!(!branches.is_empty());
    decoder.attach("trained", branches).unwrap();
    leaves
}

fn track_all(decoder: &mut Decoder) {
    let names: Vec<String> = decoder.parameters().into_iter().map(|of| of.name).collect();
    decoder.track(names).unwrap();
}

/// The loss and all gradients.
fn run(
    decoder: &Decoder,
    leaves: &Leaves,
    (batch, targets): &(Batch, Targets),
    training: &Training,
    config: &LossConfig,
) -> (TokenLoss, BTreeMap<String, Vec<f32>>) {
    let hidden = decoder.forward_training(batch, training).unwrap();
    let loss = decoder.token_loss(hidden, targets, config).unwrap();
    let mut gradients = loss.loss.backward();
    let mut found: BTreeMap<String, Vec<f32>> =
        leaves.iter().map(|(name, leaf)| (name.clone(), leaf.gradient(&gradients))).collect();
    let of_weights = decoder.take_gradients(&mut gradients).into_iter();
    found.extend(of_weights.map(|(name, gradient)| (name, numbers(gradient))));
    assert!(!found.is_empty());
    (loss, found)
}

const MODELS: [&str; 5] = ["llama2", "llama2_tied", "qwen2", "gemma2", "gpt2"];

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
