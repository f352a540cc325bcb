//! The families of models: their configurations and the names of their tensors.

mod gemma2;
mod gemma3;
mod gpt2;
mod gpt_neox;
mod layers;
mod llama;
mod mistral;
mod phi3;
mod qwen2;
mod qwen3;
mod sizes;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{Activation, DecoderConfig, Fields};
use crate::error::{LmError, Result};

/// A family of models: how a `config.json` is read, and what tensors are called.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Family {
    /// Llama 2, 3 and 3.x.
    Llama,
    /// Mistral.
    Mistral,
    /// Qwen 2 and 2.5.
    Qwen2,
    /// Qwen 3.
    Qwen3,
    /// Gemma 2.
    Gemma2,
    /// Gemma 3, text only.
    Gemma3,
    /// Phi-3.
    Phi3,
    /// GPT-2 and DialoGPT.
    Gpt2,
    /// GPT-NeoX and Pythia.
    #[serde(rename = "gpt_neox")]
    GptNeoX,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Llama,
        Self::Mistral,
        Self::Qwen2,
        Self::Qwen3,
        Self::Gemma2,
        Self::Gemma3,
        Self::Phi3,
        Self::Gpt2,
        Self::GptNeoX,
    ];

    /// The family of a `config.json`, by its `model_type`; `path` is for errors.
    ///
    /// # Errors
    ///
    /// The model is of no family that is known, or not one that predicts the next token.
    pub fn of(config: &Value, path: &Path) -> Result<Self> {
        let unknown = |found: &str| LmError::Architecture {
            path: path.to_owned(),
            found: found.chars().take(60).flat_map(char::escape_debug).collect(),
            supported: Self::ALL.map(Self::model_type).join(", "),
        };
        let class = config.pointer("/architectures/0").and_then(Value::as_str).unwrap_or_default();
        let model_type = config.get("model_type").and_then(Value::as_str);
        let family = match model_type {
            Some(name) => Self::ALL.into_iter().find(|family| family.model_type() == name),
            // As written by versions that had none.
            None => Self::ALL.into_iter().find(|family| family.class() == class),
        };
        let family = family.ok_or_else(|| unknown(model_type.unwrap_or(class)))?;
        // Classifiers and the like have the same model type.
        if class.contains("For") && !class.ends_with("ForCausalLM") {
            return Err(unknown(class));
        }
        Ok(family)
    }

    /// The `model_type` of its configurations.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma2 => "gemma2",
            Self::Gemma3 => "gemma3_text",
            Self::Phi3 => "phi3",
            Self::Gpt2 => "gpt2",
            Self::GptNeoX => "gpt_neox",
        }
    }

    /// Its class in transformers.
    fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Gemma2 => "Gemma2ForCausalLM",
            Self::Gemma3 => "Gemma3ForCausalLM",
            Self::Phi3 => "Phi3ForCausalLM",
            Self::Gpt2 => "GPT2LMHeadModel",
            Self::GptNeoX => "GPTNeoXForCausalLM",
        }
    }

    pub(crate) fn names(self) -> &'static Names {
        match self {
            Self::Llama | Self::Mistral | Self::Qwen2 => &llama::NAMES,
            Self::Qwen3 => &qwen3::NAMES,
            Self::Gemma2 => &gemma2::NAMES,
            Self::Gemma3 => &gemma3::NAMES,
            Self::Phi3 => &phi3::NAMES,
            Self::Gpt2 => &gpt2::NAMES,
            Self::GptNeoX => &gpt_neox::NAMES,
        }
    }

    pub(crate) fn read(self, fields: &Fields<'_>) -> Result<DecoderConfig> {
        match self {
            Self::Llama => llama::read(fields),
            Self::Mistral => mistral::read(fields),
            Self::Qwen2 => qwen2::read(fields),
            Self::Qwen3 => qwen3::read(fields),
            Self::Gemma2 => gemma2::read(fields),
            Self::Gemma3 => gemma3::read(fields),
            Self::Phi3 => phi3::read(fields),
            Self::Gpt2 => gpt2::read(fields),
            Self::GptNeoX => gpt_neox::read(fields),
        }
    }
}

/// The activation that a field names.
fn activation(fields: &Fields<'_>, name: &str, default: &'static str) -> Result<Activation> {
    Activation::named(fields.text(name, default)?).ok_or_else(|| fields.unsupported(name))
}

/// What the modules of a family are called, as in `named_modules()` of its class in transformers.
///
/// Those of a layer are relative to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    pub(crate) embedding: &'static str,
    /// The embedding of positions.
    pub(crate) positions: Option<&'static str>,
    pub(crate) final_norm: &'static str,
    pub(crate) head: &'static str,
    /// The list of layers: `model.layers`; a layer is `model.layers.3`.
    pub(crate) layers: &'static str,
    pub(crate) input_norm: &'static str,
    /// After attention, in a sandwich of norms.
    pub(crate) post_attention_norm: Option<&'static str>,
    pub(crate) mlp_norm: &'static str,
    /// After the MLP, in a sandwich of norms.
    pub(crate) post_mlp_norm: Option<&'static str>,
    /// One name where the three are one projection.
    pub(crate) qkv: &'static [&'static str],
    pub(crate) attention_output: &'static str,
    pub(crate) query_norm: Option<&'static str>,
    pub(crate) key_norm: Option<&'static str>,
    /// Gate and up, or the one projection into the MLP.
    pub(crate) mlp_input: &'static [&'static str],
    pub(crate) mlp_output: &'static str,
    /// Whether projections are stored `[in, out]`.
    pub(crate) transposed: bool,
    /// Ends of the names of tensors that are computed, not learned; older versions saved them.
    pub(crate) buffers: &'static [&'static str],
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use collimate_tensors::Checkpoint;

    use super::*;
    use crate::config::{MlpKind, NormKind};

    /// The names of all tensors that a model of this configuration has.
    fn tensors(config: &DecoderConfig) -> BTreeSet<String> {
        let names = config.family.names();
        let mut tensors = BTreeSet::new();
        let mut module = |name: &str, bias: bool| {
            tensors.insert(format!("{name}.weight"));
            if bias {
                tensors.insert(format!("{name}.bias"));
            }
        };
        let norm_bias = config.norm.kind == NormKind::Layer;
        module(names.embedding, false);
        if config.learned_positions {
            module(names.positions.unwrap(), false);
        }
        module(names.final_norm, norm_bias);
        if !config.tie_word_embeddings {
            module(names.head, false);
        }
        for layer in 0..config.layers.len() {
            let mut part =
                |name: &str, bias| module(&format!("{}.{layer}.{name}", names.layers), bias);
            part(names.input_norm, norm_bias);
            part(names.mlp_norm, norm_bias);
            for name in [names.post_attention_norm, names.post_mlp_norm].into_iter().flatten() {
                part(name, norm_bias);
            }
            for name in [names.query_norm, names.key_norm].into_iter().flatten() {
                assert!(config.attention.qk_norm.is_some());
                part(name, false);
            }
            names.qkv.iter().for_each(|name| part(name, config.attention.qkv_bias));
            part(names.attention_output, config.attention.output_bias);
            assert_eq!(names.mlp_input.len(), 1 + usize::from(config.mlp.kind == MlpKind::Gated));
            names.mlp_input.iter().for_each(|name| part(name, config.mlp.bias));
            part(names.mlp_output, config.mlp.bias);
        }
        tensors
    }

    #[test]
    fn names_are_those_of_the_files_no_more_and_no_less() {
        let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let mut families = BTreeSet::new();
        let mut buffers = 0;
        for entry in std::fs::read_dir(fixtures).unwrap() {
            let folder = entry.unwrap().path();
            if !folder.is_dir() {
                continue;
            }
            let config = DecoderConfig::read(folder.join("config.json")).unwrap();
            let names = config.family.names();
            let checkpoint = Checkpoint::open(&folder).unwrap();
            let mut found: BTreeSet<String> = checkpoint.names().map(str::to_owned).collect();
            let all = found.len();
            found.retain(|name| !names.buffers.iter().any(|buffer| name.ends_with(buffer)));
            buffers += all - found.len();
            // As published, GPT-2 lacks the first name.
            let inner = config.family == Family::Gpt2;
            let expected = tensors(&config).into_iter();
            let expected: BTreeSet<String> = expected
                .map(|name| {
                    name.strip_prefix("transformer.").filter(|_| inner).unwrap_or(&name).to_owned()
                })
                .collect();
            assert_eq!(found, expected, "{}", folder.display());
            families.insert(config.family);
        }
        assert_eq!(families, BTreeSet::from(Family::ALL));
        assert!(buffers >= 3, "{buffers}");
    }

    #[test]
    fn families_are_written_by_their_names() {
        let written = serde_json::to_value(Family::ALL).unwrap();
        let names =
            ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "gpt2", "gpt_neox"];
        assert_eq!(written, serde_json::json!(names));
    }
}
