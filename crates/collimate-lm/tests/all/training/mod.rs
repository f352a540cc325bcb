//! Losses and gradients; `conformance/lm_train.py` made the fixtures.

mod agreement;
mod behaviour;
mod reference;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use collimate_lm::{Batch, Decoder, LossConfig, LowRank, Targets, TokenLoss, Training};
use collimate_peft::{Adapter, AdapterKey, AdapterPart};
use collimate_tensors::TensorFile;

use crate::fixture::{assert_close, numbers};

const MODELS: [&str; 5] = ["llama2", "llama2_tied", "qwen2", "gemma2", "gpt2"];
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
