use super::llama::{self, decoder};
use super::qwen2::{self, layers};
use super::sizes::{Defaults, Sizes};
use super::{Family, Names};
use crate::config::{DecoderConfig, Fields};
use crate::error::Result;

pub(super) const NAMES: Names = Names {
    query_norm: Some("self_attn.q_norm"),
    key_norm: Some("self_attn.k_norm"),
    ..llama::NAMES
};

/// As `Qwen3Config`.
pub(super) fn read(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::read(fields, &Defaults { head_dim: Some(128), ..qwen2::DEFAULTS })?;
    let mut config = decoder(Family::Qwen3, &sizes, fields)?;
    let bias = fields.flag("attention_bias", false)?;
    (config.attention.qkv_bias, config.attention.output_bias) = (bias, bias);
    config.attention.qk_norm = Some(config.norm);
    config.rotaries = vec![sizes.rope().read(fields)?];
    config.layers = layers(fields, sizes.num_hidden_layers)?;
    config.eos_token_ids = fields.token_ids("eos_token_id", &[])?;
    Ok(config)
}
