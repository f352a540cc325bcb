use super::Family;
use super::layers::alike;
use super::llama::decoder;
use super::sizes::{Defaults, Sizes};
use crate::config::{DecoderConfig, Fields};
use crate::error::Result;

/// As `MistralConfig`.
pub(super) fn read(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::read(
        fields,
        &Defaults {
            vocab_size: 32_000,
            hidden_size: 4_096,
            intermediate_size: 14_336,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: Some(8),
            head_dim: None,
            max_position_embeddings: 131_072,
        },
    )?;
    let window = fields.size_or_none("sliding_window", Some(4_096))?;
    let mut config = decoder(Family::Mistral, &sizes, fields)?;
    config.rotaries = vec![sizes.rope().read(fields)?];
    config.layers = alike(fields, sizes.num_hidden_layers, Some(0), window)?;
    config.eos_token_ids = fields.token_ids("eos_token_id", &[2])?;
    Ok(config)
}
