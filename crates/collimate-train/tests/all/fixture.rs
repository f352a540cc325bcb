//! Tiny models with the rows and the adapters that training starts from, made by `conformance/train.py`.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use burn::tensor::{DType, Device};
use collimate_data::Row;
use collimate_lm::Decoder;
use collimate_peft::Adapter;
use collimate_tensors::{Dtype, TensorFile};
use collimate_train::{
    AdamWConfig, Arrangement, Method, Observer, ScheduleConfig, ScheduleKind, TrainConfig,
    TrainEvent, TrainResult, Trainer, Warmup,
};
use serde_json::Value;

pub struct Fixture {
    pub name: &'static str,
    pub folder: PathBuf,
    expected: TensorFile,
}

pub fn fixture(name: &'static str) -> Fixture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let expected = TensorFile::open(folder.join("expected.safetensors")).unwrap();
    Fixture { name, folder, expected }
}

impl Fixture {
    pub fn decoder(&self) -> Decoder {
        Decoder::load(&self.folder, &Device::flex(), DType::F32).unwrap()
    }

    pub fn start(&self) -> Option<Adapter> {
        let folder = self.folder.join("start");
        folder.is_dir().then(|| Adapter::read(folder).unwrap())
    }

    pub fn rows(&self) -> Vec<Row> {
        let text = std::fs::read_to_string(self.folder.join("rows.json")).unwrap();
        let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
        let numbers = |row: &Value| -> Vec<u32> {
            row["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
        };
        let mask = |row: &Value| -> Vec<bool> {
            row["trained"].as_array().unwrap().iter().map(|on| on.as_bool().unwrap()).collect()
        };
        rows.iter().map(|row| Row::new(numbers(row), mask(row))).collect()
    }

    /// The settings that all runs of the script have in common.
    pub fn config(&self) -> TrainConfig {
        let method = match self.start() {
            Some(start) => Method::lora(start.config().clone()),
            None => Method::Full,
        };
        TrainConfig::default()
            .with_method(method)
            .with_optimizer(AdamWConfig::default().with_weight_decay(0.1))
            .with_learning_rate(1e-2)
            .with_schedule(schedule(ScheduleKind::Linear))
            .with_batch_size(2)
            .with_accumulation(2)
            .with_max_steps(20)
            .with_arrangement(Arrangement::Sequential)
    }

    /// Names of expected tensors, without this before them.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let names = self.expected.names().filter_map(|name| name.strip_prefix(prefix));
        names.map(str::to_owned).collect()
    }

    pub fn floats(&self, tensor: &str) -> Vec<f32> {
        self.expected.get(tensor).unwrap().to_f32().unwrap()
    }

    pub fn doubles(&self, tensor: &str) -> Vec<f64> {
        let tensor = self.expected.get(tensor).unwrap();
        assert_eq!(tensor.dtype(), Dtype::F64);
        let bytes = tensor.bytes().unwrap();
        bytes.as_chunks::<8>().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()
    }
}

pub fn schedule(kind: ScheduleKind) -> ScheduleConfig {
    ScheduleConfig::default().with_kind(kind).with_warmup(Warmup::Steps(3))
}

/// The steps of a run, and its result.
pub fn run(
    trainer: Trainer<'_>,
    decoder: &mut Decoder,
) -> (Vec<collimate_train::Step>, TrainResult) {
    let mut steps = Vec::new();
    let mut observer = |event: &TrainEvent| {
        if let TrainEvent::Step(step) = event {
            steps.push(step.clone());
        }
    };
    let observer: &mut dyn Observer = &mut observer;
    let result = trainer.run(decoder, observer, &AtomicBool::new(false)).unwrap();
    (steps, result)
}

/// The tensors of an adapter by name.
pub fn tensors(adapter: &Adapter) -> Vec<(String, Vec<f32>)> {
    let tensor = |key| {
        let tensor = adapter.get(key).unwrap().unwrap();
        let bytes = tensor.bytes().as_chunks::<4>().0;
        bytes.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    };
    adapter.keys().map(|key| (key.to_string(), tensor(key))).collect()
}

/// The parameters of a model by name.
pub fn parameters(decoder: &Decoder) -> Vec<(String, Vec<f32>)> {
    let value = |name: &str| decoder.parameter(name).unwrap().into_data().try_into_vec().unwrap();
    let names = decoder.parameters().into_iter().map(|parameter| parameter.name);
    names.map(|name| (name.clone(), value(&name))).collect()
}

/// How far numbers are from others at most, as a share of the largest.
pub fn distance(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(f32::MIN_POSITIVE, |most, number| most.max(number.abs()));
    let off = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
    off.fold(0.0, f32::max) / largest
}
