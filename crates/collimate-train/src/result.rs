//! What a run came to.

use std::path::PathBuf;

use burn::tensor::DType;
use collimate_lm::Decoder;
use collimate_peft::Adapter;
use serde::Serialize;
use serde_json::Value;

use crate::config::TrainConfig;
use crate::events::StopReason;
use crate::rows::DataSummary;
use crate::state::TrainState;

/// What a run came to.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct TrainResult {
    /// Why it ended.
    pub reason: StopReason,
    /// The adapter, of the best evaluation if the settings say so; none where all parameters were
    /// trained, which are in the model.
    #[serde(skip)]
    pub adapter: Option<Adapter>,
    /// The latest checkpoint.
    pub checkpoint: Option<PathBuf>,
    /// Epochs that are over.
    pub epoch: f64,
    /// Steps that were to be made.
    pub steps: u64,
    /// The steps that were made, and what was seen on the way.
    pub state: TrainState,
    /// What it was made of.
    pub provenance: Provenance,
}

/// What the result of a run follows from: the same gives the same, bit for bit, on one processor.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Provenance {
    /// The settings, the seed among them.
    pub config: TrainConfig,
    /// The rows that were trained on.
    pub data: DataSummary,
    /// The rows that were evaluated on.
    pub validation: Option<DataSummary>,
    /// The model.
    pub model: ModelSummary,
    /// The SHA-256 of the tensors that training started from, where they were given.
    pub start: Option<String>,
    /// The version of this crate.
    pub version: String,
}

/// Which model was trained.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelSummary {
    /// What the caller calls it.
    pub name: String,
    /// Its family.
    pub family: String,
    /// The type of its weights and activations.
    pub dtype: String,
    /// Its parameters, without adapters.
    pub parameters: u64,
    /// Its layers.
    pub layers: usize,
    /// The width of its hidden states.
    pub hidden_size: usize,
}

impl Provenance {
    pub(crate) fn new(
        config: &TrainConfig,
        data: &DataSummary,
        validation: Option<&DataSummary>,
        decoder: &Decoder,
        name: String,
        start: Option<String>,
    ) -> Self {
        let of = decoder.config();
        let model = ModelSummary {
            name,
            family: format!("{:?}", of.family).to_lowercase(),
            dtype: match decoder.dtype() {
                DType::F16 => "f16",
                DType::BF16 => "bf16",
                _ => "f32",
            }
            .to_owned(),
            parameters: decoder.module_tree().parameters(),
            layers: of.layers.len(),
            hidden_size: of.hidden_size,
        };
        Self {
            config: config.clone(),
            data: data.clone(),
            validation: validation.cloned(),
            model,
            start,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// What a run that goes on has to have in common with the one before: all but when checkpoints are
    /// written, which changes nothing of what comes out.
    pub(crate) fn identity(&self) -> Value {
        let mut value = serde_json::json!(self);
        if let Some(config) = value.get_mut("config").and_then(Value::as_object_mut) {
            config.remove("checkpoints");
        }
        value
    }
}
