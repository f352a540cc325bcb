use super::layers::alike;
use super::llama::{self, decoder};
use super::sizes::{Defaults, Sizes};
use super::{Family, Names};
use crate::config::{DecoderConfig, Fields, MlpKind, QkvLayout, Rope};
use crate::error::Result;

pub(super) const NAMES: Names =
    Names { qkv: &["self_attn.qkv_proj"], mlp_input: &["mlp.gate_up_proj"], ..llama::NAMES };

/// As `Phi3Config`.
pub(super) fn read(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::read(
        fields,
        &Defaults {
            vocab_size: 32_064,
            hidden_size: 3_072,
            intermediate_size: 8_192,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: None,
            head_dim: None,
            max_position_embeddings: 4_096,
        },
    )?;
    let original = fields.size("original_max_position_embeddings", 4_096)?;
    let rope = Rope {
        partial: Some(("partial_rotary_factor", 1.0)),
        original_max_position_embeddings: Some(original),
        only_longrope: true,
        ..sizes.rope()
    };
    let window = fields.size_or_none("sliding_window", None)?;
    let mut config = decoder(Family::Phi3, &sizes, fields)?;
    config.norm.eps = fields.positive("rms_norm_eps", 1e-5)?;
    config.attention.qkv = QkvLayout::Concatenated;
    config.mlp.kind = MlpKind::GatedFused;
    config.rotaries = vec![rope.read(fields)?];
    config.layers = alike(fields, sizes.num_hidden_layers, Some(0), window)?;
    config.eos_token_ids = fields.token_ids("eos_token_id", &[32_000])?;
    Ok(config)
}
