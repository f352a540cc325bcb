use super::layers::Alternating;
use super::llama::{self, decoder};
use super::sizes::{Defaults, Sizes};
use super::{Family, Names, activation};
use crate::config::{BlockKind, DecoderConfig, Fields, NormKind};
use crate::error::Result;

pub(super) const NAMES: Names = Names {
    post_attention_norm: Some("post_attention_layernorm"),
    mlp_norm: "pre_feedforward_layernorm",
    post_mlp_norm: Some("post_feedforward_layernorm"),
    ..llama::NAMES
};

/// As `Gemma2Config`.
pub(super) fn read(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::read(
        fields,
        &Defaults {
            vocab_size: 256_000,
            hidden_size: 2_304,
            intermediate_size: 9_216,
            num_hidden_layers: 26,
            num_attention_heads: 8,
            num_key_value_heads: Some(4),
            head_dim: Some(256),
            max_position_embeddings: 8_192,
        },
    )?;
    let mut config = gemma(Family::Gemma2, &sizes, fields)?;
    config.attention.softcap = fields.positive_or_none("attn_logit_softcapping", Some(50.0))?;
    config.logit_softcap = fields.positive_or_none("final_logit_softcapping", Some(30.0))?;
    config.rotaries = vec![sizes.rope().read(fields)?];
    let layers = Alternating {
        count: sizes.num_hidden_layers,
        sliding_window: fields.size_or_none("sliding_window", Some(4_096))?,
        rotary: [0, 0],
    };
    config.layers = layers.read(fields, |layer| layer % 2 == 0)?;
    Ok(config)
}

/// What Gemma 2 and 3 have in common, without layers.
pub(super) fn gemma(family: Family, sizes: &Sizes, fields: &Fields<'_>) -> Result<DecoderConfig> {
    let mut config = decoder(family, sizes, fields)?;
    config.embedding_scale = Some((sizes.hidden_size as f64).sqrt());
    config.norm.kind = NormKind::RmsPlusOne;
    config.block = BlockKind::SandwichNorm;
    let bias = fields.flag("attention_bias", false)?;
    (config.attention.qkv_bias, config.attention.output_bias) = (bias, bias);
    config.attention.scale = (fields.size("query_pre_attn_scalar", 256)? as f64).powf(-0.5);
    config.mlp.activation = activation(fields, "hidden_activation", "gelu_pytorch_tanh")?;
    config.tie_word_embeddings = fields.flag("tie_word_embeddings", true)?;
    config.eos_token_ids = fields.token_ids("eos_token_id", &[1])?;
    Ok(config)
}
