use super::Family;
use super::layers::Alternating;
use super::llama::decoder;
use super::sizes::{Defaults, Sizes};
use crate::config::{DecoderConfig, Fields, LayerConfig};
use crate::error::Result;

/// What Qwen 2 and 3 take for sizes that are not stated.
pub(super) const DEFAULTS: Defaults = Defaults {
    vocab_size: 151_936,
    hidden_size: 4_096,
    intermediate_size: 22_016,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: Some(32),
    head_dim: None,
    max_position_embeddings: 32_768,
};

/// As `Qwen2Config`.
pub(super) fn read(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::read(fields, &DEFAULTS)?;
    let mut config = decoder(Family::Qwen2, &sizes, fields)?;
    config.attention.qkv_bias = true;
    config.rotaries = vec![sizes.rope().read(fields)?];
    config.layers = layers(fields, sizes.num_hidden_layers)?;
    config.eos_token_ids = fields.token_ids("eos_token_id", &[])?;
    Ok(config)
}

/// The layers of Qwen 2 and 3: the later ones may have a window.
pub(super) fn layers(fields: &Fields<'_>, count: usize) -> Result<Vec<LayerConfig>> {
    let slide = fields.flag("use_sliding_window", false)?;
    let sliding_window = fields.size_or_none("sliding_window", Some(4_096))?.filter(|_| slide);
    let full = fields.count("max_window_layers", 28)?;
    let layers = Alternating { count, sliding_window, rotary: [0, 0] };
    layers.read(fields, |layer| sliding_window.is_some() && layer >= full)
}
