use super::gemma2::{self, gemma};
use super::layers::Alternating;
use super::sizes::{Defaults, Sizes};
use super::{Family, Names};
use crate::config::{DecoderConfig, Fields, Rope, RotaryConfig};
use crate::error::Result;

pub(super) const NAMES: Names = Names {
    query_norm: Some("self_attn.q_norm"),
    key_norm: Some("self_attn.k_norm"),
    ..gemma2::NAMES
};

/// As `Gemma3TextConfig`.
pub(super) fn read(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::read(
        fields,
        &Defaults {
            vocab_size: 262_208,
            hidden_size: 2_304,
            intermediate_size: 9_216,
            num_hidden_layers: 26,
            num_attention_heads: 8,
            num_key_value_heads: Some(4),
            head_dim: Some(256),
            max_position_embeddings: 131_072,
        },
    )?;
    let mut config = gemma(Family::Gemma3, &sizes, fields)?;
    config.attention.qk_norm = Some(config.norm);
    // Its class has this field, and its attention doesn't do it.
    if fields.has("attn_logit_softcapping") {
        return Err(fields.unsupported("attn_logit_softcapping"));
    }
    config.logit_softcap = fields.positive_or_none("final_logit_softcapping", None)?;
    config.rotaries = rotaries(&sizes, fields)?;
    let layers = Alternating {
        count: sizes.num_hidden_layers,
        sliding_window: fields.size_or_none("sliding_window", Some(4_096))?,
        rotary: [0, 1],
    };
    let pattern = fields.size("sliding_window_pattern", 6)?;
    config.layers = layers.read(fields, |layer| !(layer + 1).is_multiple_of(pattern))?;
    Ok(config)
}

/// Of layers with a window, and of those without.
fn rotaries(sizes: &Sizes, fields: &Fields<'_>) -> Result<Vec<RotaryConfig>> {
    let local = Rope { theta: "rope_local_base_freq", ..sizes.rope() };
    let global = Rope { default_theta: 1_000_000.0, ..sizes.rope() };
    // transformers leaves these out of account.
    if fields.has("original_max_position_embeddings") {
        return Err(fields.unsupported("original_max_position_embeddings"));
    }
    let (mut sliding, mut full) = (None, None);
    if let Some(parameters) = fields.object("rope_parameters")? {
        for name in ["rope_type", "type", "rope_theta", "factor"] {
            if parameters.has(name) {
                let message = "expected inside of full_attention or sliding_attention".to_owned();
                return Err(parameters.error(name, message));
            }
        }
        sliding = parameters.object("sliding_attention")?;
        full = parameters.object("full_attention")?;
    }
    if let Some(scaling) = fields.object("rope_scaling")? {
        if full.is_some() {
            let message = "expected either this or rope_parameters".to_owned();
            return Err(fields.error("rope_scaling", message));
        }
        if !scaling.has("rope_type") {
            return Err(scaling.error("rope_type", "is missing".to_owned()));
        }
        full = Some(scaling);
    }
    Ok(vec![local.of(sliding.as_ref(), fields)?, global.of(full.as_ref(), fields)?])
}
