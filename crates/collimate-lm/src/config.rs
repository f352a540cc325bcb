//! What a decoder is made of.

mod check;
mod fields;
mod rope;
mod rotary;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use fields::Fields;
pub(crate) use rope::Rope;
pub use rotary::{Frequencies, RopeScaling, RotaryConfig};

use crate::error::{LmError, Result};
use crate::family::Family;

/// Most bytes of a `config.json`.
const MAX_BYTES: u64 = 16 << 20;
/// Fields that say that something else is computed, unless they are null, false, 0 or empty.
const UNSUPPORTED: [&str; 11] = [
    "add_cross_attention",
    "compression_config",
    "is_encoder_decoder",
    "num_experts",
    "num_local_experts",
    "per_layer_config",
    "pruned_heads",
    "quantization_config",
    "use_bidirectional_attention",
    "use_mrope",
    "vision_config",
];

/// The parts of a decoder, as its family reads them from a `config.json`.
///
/// Everything that the forward pass depends on is here, and nothing else.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DecoderConfig {
    /// The family whose names the tensors have.
    pub family: Family,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Most positions that the model was made for.
    pub max_position_embeddings: usize,
    /// What embeddings are multiplied by, rounded to the type of the weights first.
    pub embedding_scale: Option<f64>,
    /// Whether positions have an embedding of their own, which is added.
    pub learned_positions: bool,
    /// The norms of the residual stream.
    pub norm: NormConfig,
    /// Where norms stand in a layer.
    pub block: BlockKind,
    /// Attention, alike in all layers.
    pub attention: AttentionConfig,
    /// The MLP, alike in all layers.
    pub mlp: MlpConfig,
    /// The rotary embeddings that layers choose from.
    pub rotaries: Vec<RotaryConfig>,
    /// What differs from layer to layer.
    pub layers: Vec<LayerConfig>,
    /// `c` in `c·tanh(logits/c)`.
    pub logit_softcap: Option<f64>,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// The tokens that end a text, of `config.json`.
    pub eos_token_ids: Vec<u32>,
}

impl DecoderConfig {
    /// Of a `config.json`.
    ///
    /// # Errors
    ///
    /// The file is not a regular one, has more than 16 MiB or can't be read; and as
    /// [`Self::from_json`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |source| LmError::Io { path: path.to_owned(), source };
        // What is not a regular file is never opened: a pipe would block.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(LmError::NotAFile { path: path.to_owned() });
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(LmError::TooLarge { path: path.to_owned(), limit: MAX_BYTES });
        }
        Self::from_json(bytes, path)
    }

    /// Of the text of a `config.json`; `path` is for errors.
    ///
    /// What is not stated is as in transformers. Both forms of rotary settings are read:
    /// `rope_parameters`, and `rope_theta` with `rope_scaling`.
    ///
    /// ```
    /// use collimate_lm::{DecoderConfig, Family};
    ///
    /// let config = r#"{"model_type": "mistral", "num_hidden_layers": 2, "sliding_window": 64}"#;
    /// let config = DecoderConfig::from_json(config, "config.json")?;
    /// assert_eq!(config.family, Family::Mistral);
    /// assert_eq!(config.layers[1].sliding_window, Some(64));
    ///
    /// let error = DecoderConfig::from_json(r#"{"model_type": "bert"}"#, "config.json");
    /// assert!(error.unwrap_err().to_string().contains("'bert' is not supported"));
    /// # Ok::<_, collimate_lm::LmError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// It is not JSON, the architecture is not known, or a field has a value that is impossible or
    /// that stands for something that is not computed here.
    pub fn from_json(json: impl AsRef<[u8]>, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |source| LmError::Json { path: path.to_owned(), source };
        let value: Value = serde_json::from_slice(json.as_ref()).map_err(failed)?;
        let family = Family::of(&value, path)?;
        let Some(object) = value.as_object() else {
            return Err(LmError::Config {
                path: path.to_owned(),
                field: "config".to_owned(),
                message: "expected an object".to_owned(),
            });
        };
        let fields = Fields::new(path, object);
        if let Some(name) = UNSUPPORTED.iter().find(|name| fields.is_set(name)) {
            return Err(fields.unsupported(name));
        }
        let config = family.read(&fields)?;
        config.check(path)?;
        Ok(config)
    }
}

/// A norm over the last dimension.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NormConfig {
    /// Its formula.
    pub kind: NormKind,
    /// What is added to the mean square, or to the variance.
    pub eps: f64,
}

/// The formula of a norm.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NormKind {
    /// `x / sqrt(mean(x²) + eps) · weight`; computed in float32, and rounded before the weight.
    Rms,
    /// As [`NormKind::Rms`] with `1 + weight`; rounded after the weight (Gemma).
    RmsPlusOne,
    /// `(x − mean) / sqrt(variance + eps) · weight + bias`.
    Layer,
}

/// Where norms stand in a layer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BlockKind {
    /// `x += attention(norm(x)); x += mlp(norm(x))`.
    PreNorm,
    /// `x += norm(attention(norm(x))); x += norm(mlp(norm(x)))` (Gemma 2 and 3).
    SandwichNorm,
    /// `x += attention(norm(x)) + mlp(norm'(x))` (GPT-NeoX).
    Parallel,
}

/// Causal self-attention.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AttentionConfig {
    /// Heads of queries.
    pub num_attention_heads: usize,
    /// Heads of keys and values; divides the heads of queries.
    pub num_key_value_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// What scores are multiplied by.
    pub scale: f64,
    /// `c` in `c·tanh(scores/c)`.
    pub softcap: Option<f64>,
    /// The norm of each head of queries and keys, before the rotary embedding.
    pub qk_norm: Option<NormConfig>,
    /// Whether queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// Whether the output projection has a bias.
    pub output_bias: bool,
    /// How the projections to queries, keys and values are stored.
    pub qkv: QkvLayout,
}

/// How the projections to queries, keys and values are stored.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum QkvLayout {
    /// Three projections.
    Separate,
    /// One: all queries, then all keys, then all values (GPT-2, Phi-3).
    Concatenated,
    /// One: head by head its query, key and value (GPT-NeoX).
    PerHead,
}

/// The MLP of a layer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MlpConfig {
    /// Its form.
    pub kind: MlpKind,
    /// Its activation.
    pub activation: Activation,
    /// Whether its projections have a bias.
    pub bias: bool,
}

/// The form of an MLP.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MlpKind {
    /// `down(activation(gate(x)) · up(x))`.
    Gated,
    /// As [`MlpKind::Gated`], gate and up being one projection, gate first (Phi-3).
    GatedFused,
    /// `down(activation(up(x)))`.
    Plain,
}

/// An activation.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// `x · sigmoid(x)`.
    Silu,
    /// `x · Φ(x)`, with the error function.
    Gelu,
    /// `x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³)))`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// By its name in transformers.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "silu" | "swish" => Self::Silu,
            "gelu" | "gelu_python" => Self::Gelu,
            "gelu_accurate" | "gelu_fast" | "gelu_new" | "gelu_python_tanh"
            | "gelu_pytorch_tanh" => Self::GeluTanh,
            "relu" => Self::Relu,
            _ => return None,
        })
    }
}

/// What differs from layer to layer.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LayerConfig {
    /// Which of [`DecoderConfig::rotaries`]; none has no rotary embedding.
    pub rotary: Option<usize>,
    /// How many positions a query sees, itself included; all before it if none.
    pub sliding_window: Option<usize>,
}
