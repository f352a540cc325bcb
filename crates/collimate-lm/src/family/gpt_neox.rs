use super::layers::alike;
use super::sizes::{Defaults, Sizes, head_dim};
use super::{Family, Names, activation};
use crate::config::{
    AttentionConfig, BlockKind, DecoderConfig, Fields, MlpConfig, MlpKind, NormConfig, NormKind,
    QkvLayout, Rope,
};
use crate::error::Result;

pub(super) const NAMES: Names = Names {
    embedding: "gpt_neox.embed_in",
    positions: None,
    final_norm: "gpt_neox.final_layer_norm",
    head: "embed_out",
    layers: "gpt_neox.layers",
    input_norm: "input_layernorm",
    post_attention_norm: None,
    mlp_norm: "post_attention_layernorm",
    post_mlp_norm: None,
    qkv: &["attention.query_key_value"],
    attention_output: "attention.dense",
    query_norm: None,
    key_norm: None,
    mlp_input: &["mlp.dense_h_to_4h"],
    mlp_output: "mlp.dense_4h_to_h",
    transposed: false,
    buffers: &[".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"],
};

/// As `GPTNeoXConfig`.
pub(super) fn read(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::read(
        fields,
        &Defaults {
            vocab_size: 50_432,
            hidden_size: 6_144,
            intermediate_size: 24_576,
            num_hidden_layers: 44,
            num_attention_heads: 64,
            num_key_value_heads: None,
            head_dim: None,
            max_position_embeddings: 2_048,
        },
    )?;
    // Its attention has heads that share the width, each with keys and values of its own.
    let shared =
        head_dim(fields, "num_attention_heads", sizes.hidden_size, sizes.num_attention_heads)?;
    if sizes.head_dim != shared {
        return Err(fields.unsupported("head_dim"));
    }
    if sizes.num_key_value_heads != sizes.num_attention_heads {
        return Err(fields.unsupported("num_key_value_heads"));
    }
    let rope =
        Rope { theta: "rotary_emb_base", partial: Some(("rotary_pct", 0.25)), ..sizes.rope() };
    let parallel = fields.flag("use_parallel_residual", true)?;
    let bias = fields.flag("attention_bias", true)?;
    Ok(DecoderConfig {
        family: Family::GptNeoX,
        vocab_size: sizes.vocab_size,
        hidden_size: sizes.hidden_size,
        intermediate_size: sizes.intermediate_size,
        max_position_embeddings: sizes.max_position_embeddings,
        embedding_scale: None,
        learned_positions: false,
        norm: NormConfig { kind: NormKind::Layer, eps: fields.positive("layer_norm_eps", 1e-5)? },
        block: if parallel { BlockKind::Parallel } else { BlockKind::PreNorm },
        attention: AttentionConfig {
            qkv_bias: bias,
            output_bias: bias,
            qkv: QkvLayout::PerHead,
            ..sizes.attention()
        },
        mlp: MlpConfig {
            kind: MlpKind::Plain,
            activation: activation(fields, "hidden_act", "gelu")?,
            bias: true,
        },
        rotaries: vec![rope.read(fields)?],
        layers: alike(fields, sizes.num_hidden_layers, Some(0), None)?,
        logit_softcap: None,
        tie_word_embeddings: fields.flag("tie_word_embeddings", false)?,
        eos_token_ids: fields.token_ids("eos_token_id", &[2])?,
    })
}
