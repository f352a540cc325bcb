//! The models in `tests/fixtures` and what transformers computes of them.
#![allow(dead_code, reason = "not every test file uses all of it")]

#[cfg(feature = "autodiff")]
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use burn::tensor::{DType, Tensor};
#[cfg(feature = "autodiff")]
use collimate_lm::Batch;
use collimate_lm::{Decoder, GenerationConfig};
use collimate_tensors::TensorFile;

/// A model and what is expected of it.
pub struct Fixture {
    pub name: String,
    pub folder: PathBuf,
    expected: TensorFile,
}

/// All of them, sorted by name.
pub fn fixtures() -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut found: Vec<Fixture> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("expected.safetensors").is_file())
        .map(|folder| Fixture {
            name: folder.file_name().unwrap().to_str().unwrap().to_owned(),
            expected: TensorFile::open(folder.join("expected.safetensors")).unwrap(),
            folder,
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(found.len() >= 12);
    found
}

pub fn fixture(name: &str) -> Fixture {
    fixtures().into_iter().find(|fixture| fixture.name == name).unwrap()
}

impl Fixture {
    pub fn has(&self, tensor: &str) -> bool {
        self.expected.get(tensor).is_some()
    }

    pub fn names(&self) -> Vec<String> {
        self.expected.names().map(str::to_owned).collect()
    }

    pub fn floats(&self, tensor: &str) -> Vec<f32> {
        self.expected.get(tensor).unwrap().to_f32().unwrap()
    }

    pub fn shape(&self, tensor: &str) -> Vec<usize> {
        let tensor = self.expected.get(tensor).unwrap();
        tensor.shape().iter().map(|&size| size as usize).collect()
    }

    /// Rows of ids.
    pub fn rows(&self, tensor: &str) -> Vec<Vec<u32>> {
        let tensor = self.expected.get(tensor).unwrap();
        let length = *tensor.shape().last().unwrap() as usize;
        let bytes = tensor.bytes().unwrap();
        let ids: Vec<u32> =
            bytes.as_chunks::<8>().0.iter().map(|&id| i64::from_le_bytes(id) as u32).collect();
        ids.chunks(length).map(<[u32]>::to_vec).collect()
    }
}

pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.cast(DType::F32).into_data().try_into_vec().unwrap()
}

/// That numbers differ by at most `tolerance` of the largest.
pub fn assert_close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1.0_f32, |most, number| most.max(number.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let off = (found - expected).abs();
        assert!(off <= tolerance * largest, "{what}: number {at} is {found}, expected {expected}");
    }
}

/// A model in float32 with the numbers of one in half precision.
pub fn rounded(half: &Decoder, mut whole: Decoder) -> Decoder {
    let names = half.parameters().into_iter().map(|parameter| parameter.name);
    let values = names.map(|name| (name.clone(), half.parameter(&name).unwrap()));
    whole.set_parameters(values.collect()).unwrap();
    whole
}

/// The Euclidean distance.
pub fn distance(found: &[f32], expected: &[f32]) -> f64 {
    let squares = found.iter().zip(expected).map(|(a, b)| f64::from(a - b).powi(2));
    squares.sum::<f64>().sqrt()
}

/// The likeliest next tokens, as many for each prompt.
pub fn greedy(decoder: &Decoder, prompts: &[&[u32]], tokens: usize) -> Vec<Vec<u32>> {
    let generator = GenerationConfig::default().with_max_new_tokens(tokens).check().unwrap();
    let decode = |_: &[u32]| Ok(String::new());
    let never = AtomicBool::new(false);
    let mut model = decoder.continuation();
    let texts = generator.generate(&mut model, prompts, &decode, &never, &mut |_| {}).unwrap();
    texts.into_iter().map(|text| text.tokens).collect()
}

/// The mean cross entropy of the next token, composed of burn's operations.
#[cfg(feature = "autodiff")]
pub fn cross_entropy(decoder: &Decoder, rows: &[Vec<u32>]) -> Tensor<1> {
    use burn::tensor::{Int, TensorData, activation};

    let logits = decoder.logits(&Batch::padded(rows).unwrap()).unwrap();
    let [count, length, vocabulary] = logits.dims();
    let log_probs = activation::log_softmax(logits.narrow(1, 0, length - 1), 2);
    let next: Vec<i64> =
        rows.iter().flat_map(|row| row[1..].iter().map(|&id| i64::from(id))).collect();
    let next = TensorData::new(next, [count * (length - 1), 1]);
    let log_probs = log_probs.reshape([count * (length - 1), vocabulary]);
    let next = Tensor::<2, Int>::from_data(next, decoder.device());
    log_probs.gather(1, next).mean().neg()
}

/// The gradients of a loss in the tensors of a model's adapter, under the names that they have in the
/// fixture; none if it has none.
#[cfg(feature = "autodiff")]
pub fn gradients(
    fixture: &Fixture,
    mut decoder: Decoder,
    loss: impl FnOnce(&Decoder, &[Vec<u32>]) -> Tensor<1>,
) -> BTreeMap<String, Vec<f32>> {
    use burn::tensor::TensorData;
    use collimate_lm::LowRank;
    use collimate_peft::{Adapter, AdapterKey, AdapterPart};

    if !fixture.names().iter().any(|name| name.starts_with("grad.")) {
        return BTreeMap::new();
    }
    let device = decoder.device().clone().autodiff();
    let adapter = Adapter::read(fixture.folder.join("adapter")).unwrap();
    let targets = adapter.check(decoder.module_tree()).unwrap();
    let mut leaves = BTreeMap::new();
    let branches = targets.modules.iter().map(|target| {
        let [a, b] = [AdapterPart::A, AdapterPart::B].map(|part| {
            let key = AdapterKey::new(&target.module, part);
            let tensor = adapter.get(&key).unwrap().unwrap();
            let bytes = tensor.bytes().as_chunks::<4>().0;
            let values: Vec<f32> = bytes.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            let shape: Vec<usize> = tensor.shape().iter().map(|&size| size as usize).collect();
            let leaf = Tensor::<2>::from_data(TensorData::new(values, shape), &device);
            let leaf = leaf.require_grad();
            leaves.insert(format!("grad.{key}"), leaf.clone());
            leaf
        });
        LowRank::new(&target.module, a, b, target.scale)
    });
    let branches = branches.collect();
    decoder.attach("trained", branches).unwrap();
    let gradients = loss(&decoder, &fixture.rows("input_ids")).backward();
    let found = |(name, leaf): (String, Tensor<2>)| {
        let gradient = leaf.grad(&gradients).unwrap();
        (name, numbers(gradient))
    };
    leaves.into_iter().map(found).collect()
}
