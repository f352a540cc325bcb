use serde::Serialize;

use super::config::Config;
use crate::problem::Problem;

/// Layers, sizes and types of a model. A field is absent where the configuration doesn't state it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Architecture {
    /// The class that transformers would use (`LlamaForCausalLM`), or GGUF's architecture (`llama`).
    pub name: Option<String>,
    /// The family (`model_type`).
    pub model_type: Option<String>,
    /// Number of decoder layers.
    pub layers: Option<u64>,
    /// Width of the residual stream.
    pub hidden_size: Option<u64>,
    /// Width inside the feed-forward part.
    pub intermediate_size: Option<u64>,
    /// Query heads of each layer.
    pub attention_heads: Option<u64>,
    /// Key and value heads of each layer; equal to the query heads where nothing else is stated.
    pub key_value_heads: Option<u64>,
    /// Width of one head.
    pub head_dim: Option<u64>,
    /// Rows of the embedding matrix.
    pub vocabulary: Option<u64>,
    /// Most tokens that the model was configured for.
    pub context_length: Option<u64>,
    /// Type that the weights are to be loaded as (`bfloat16`), as the configuration states it.
    pub dtype: Option<String>,
    /// Whether the output head is the embedding matrix.
    pub tied_embeddings: Option<bool>,
    /// How the weights are quantized.
    pub quantization: Option<Quantization>,
}

impl Architecture {
    /// Reads the bytes of a `config.json` of any family.
    ///
    /// Sizes go by several names (`hidden_size`, `n_embd`, `d_model`, …), and those of a model for
    /// several kinds of input stand in its `text_config`. Key and value heads and the width of a
    /// head are derived from the other sizes where they are not stated, unless the family's
    /// configuration class in transformers has a default of its own, which then counts; so does
    /// its default for tied embeddings. Everything else that is not stated is absent, and so is a
    /// size that differs from layer to layer.
    ///
    /// The bytes are read as Python reads them: the last of two equal keys counts, and `NaN` is a
    /// value.
    ///
    /// # Errors
    ///
    /// [`Problem::Invalid`] with line and column for what is not an object in JSON,
    /// [`Problem::LfsPointer`], or [`Problem::Field`] for the first field of the wrong kind.
    ///
    /// # Examples
    ///
    /// ```
    /// use collimate_models::Architecture;
    ///
    /// let config = br#"{"model_type": "llama", "hidden_size": 2048, "num_attention_heads": 32}"#;
    /// let architecture = Architecture::from_config(config)?;
    /// assert_eq!(architecture.head_dim, Some(64));
    /// assert_eq!(architecture.tied_embeddings, Some(false));
    /// assert_eq!(architecture.layers, None);
    ///
    /// let wrong = Architecture::from_config(br#"{"hidden_size": "2048"}"#).unwrap_err();
    /// assert_eq!(
    ///     wrong.to_string(),
    ///     "config.json: hidden_size is \"2048\"; a whole number from 1 to 4294967295 is expected",
    /// );
    /// # Ok::<(), collimate_models::Problem>(())
    /// ```
    pub fn from_config(bytes: &[u8]) -> Result<Self, Problem> {
        let mut problems = Vec::new();
        let architecture = Config::parse(bytes)?.architecture(&mut problems);
        match problems.into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(architecture),
        }
    }
}

/// How weights are quantized.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Quantization {
    /// `gptq`, `awq`, `bitsandbytes`, … (`quant_method`; `unknown` where it is not stated), or
    /// GGUF's file type (`Q4_K_M`).
    pub method: String,
    /// Bits of one weight, where stated.
    pub bits: Option<u64>,
}
