use crate::config::{AttentionConfig, Fields, QkvLayout, Rope};
use crate::error::Result;

/// The sizes that most families call by the same names.
pub(super) struct Sizes {
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) num_key_value_heads: usize,
    pub(super) head_dim: usize,
    pub(super) max_position_embeddings: usize,
}

/// What is meant where a size is not stated.
pub(super) struct Defaults {
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    /// As many as there are heads of queries if none.
    pub(super) num_key_value_heads: Option<usize>,
    /// What the width of the model leaves to each head if none.
    pub(super) head_dim: Option<usize>,
    pub(super) max_position_embeddings: usize,
}

impl Sizes {
    pub(super) fn read(fields: &Fields<'_>, default: &Defaults) -> Result<Self> {
        let hidden_size = fields.size("hidden_size", default.hidden_size)?;
        let layers = fields.size("num_hidden_layers", default.num_hidden_layers)?;
        let heads = fields.size("num_attention_heads", default.num_attention_heads)?;
        let key_value_heads =
            fields.size_or_none("num_key_value_heads", default.num_key_value_heads)?;
        let head_dim = match fields.size_or_none("head_dim", default.head_dim)? {
            Some(head_dim) => head_dim,
            None => head_dim(fields, "num_attention_heads", hidden_size, heads)?,
        };
        Ok(Self {
            vocab_size: fields.size("vocab_size", default.vocab_size)?,
            hidden_size,
            intermediate_size: fields.size("intermediate_size", default.intermediate_size)?,
            num_hidden_layers: num_hidden_layers(fields, "num_hidden_layers", layers)?,
            num_attention_heads: heads,
            num_key_value_heads: key_value_heads.unwrap_or(heads),
            head_dim,
            max_position_embeddings: fields
                .size("max_position_embeddings", default.max_position_embeddings)?,
        })
    }

    /// Attention by three projections without biases.
    pub(super) fn attention(&self) -> AttentionConfig {
        AttentionConfig {
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: self.num_key_value_heads,
            head_dim: self.head_dim,
            scale: (self.head_dim as f64).powf(-0.5),
            softcap: None,
            qk_norm: None,
            qkv_bias: false,
            output_bias: false,
            qkv: QkvLayout::Separate,
        }
    }

    /// Rotary embeddings of whole heads.
    pub(super) fn rope(&self) -> Rope<'static> {
        Rope {
            head_dim: self.head_dim,
            theta: "rope_theta",
            default_theta: 10_000.0,
            partial: None,
            max_position_embeddings: self.max_position_embeddings,
            original_max_position_embeddings: None,
            only_longrope: false,
        }
    }
}

/// A number of layers, if it is one that can be.
pub(super) fn num_hidden_layers(fields: &Fields<'_>, name: &str, layers: usize) -> Result<usize> {
    const MAX: usize = 10_000;
    if layers > MAX {
        return Err(fields.error(name, format!("expected at most {MAX}, found {layers}")));
    }
    Ok(layers)
}

/// The width of a head where heads share the width of the model; `name` is that of their number.
pub(super) fn head_dim(
    fields: &Fields<'_>,
    name: &str,
    hidden_size: usize,
    heads: usize,
) -> Result<usize> {
    if !hidden_size.is_multiple_of(heads) {
        let message = format!("{heads} heads don't divide the width {hidden_size}");
        return Err(fields.error(name, message));
    }
    Ok(hidden_size / heads)
}
