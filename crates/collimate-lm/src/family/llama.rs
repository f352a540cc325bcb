use super::layers::alike;
use super::sizes::{Defaults, Sizes};
use super::{Family, Names, activation};
use crate::config::{BlockKind, DecoderConfig, Fields, MlpConfig, MlpKind, NormConfig, NormKind};
use crate::error::Result;

pub(super) const NAMES: Names = Names {
    embedding: "model.embed_tokens",
    positions: None,
    final_norm: "model.norm",
    head: "lm_head",
    layers: "model.layers",
    input_norm: "input_layernorm",
    post_attention_norm: None,
    mlp_norm: "post_attention_layernorm",
    post_mlp_norm: None,
    qkv: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    attention_output: "self_attn.o_proj",
    query_norm: None,
    key_norm: None,
    mlp_input: &["mlp.gate_proj", "mlp.up_proj"],
    mlp_output: "mlp.down_proj",
    transposed: false,
    buffers: &[".rotary_emb.inv_freq"],
};

/// As `LlamaConfig`.
pub(super) fn read(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::read(
        fields,
        &Defaults {
            vocab_size: 32_000,
            hidden_size: 4_096,
            intermediate_size: 11_008,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: None,
            head_dim: None,
            max_position_embeddings: 2_048,
        },
    )?;
    let mut config = decoder(Family::Llama, &sizes, fields)?;
    let bias = fields.flag("attention_bias", false)?;
    (config.attention.qkv_bias, config.attention.output_bias) = (bias, bias);
    config.mlp.bias = fields.flag("mlp_bias", false)?;
    config.rotaries = vec![sizes.rope().read(fields)?];
    config.layers = alike(fields, sizes.num_hidden_layers, Some(0), None)?;
    config.eos_token_ids = fields.token_ids("eos_token_id", &[2])?;
    Ok(config)
}

/// What those that follow Llama have in common with it, without layers.
pub(super) fn decoder(family: Family, sizes: &Sizes, fields: &Fields<'_>) -> Result<DecoderConfig> {
    Ok(DecoderConfig {
        family,
        vocab_size: sizes.vocab_size,
        hidden_size: sizes.hidden_size,
        intermediate_size: sizes.intermediate_size,
        max_position_embeddings: sizes.max_position_embeddings,
        embedding_scale: None,
        learned_positions: false,
        norm: NormConfig { kind: NormKind::Rms, eps: fields.positive("rms_norm_eps", 1e-6)? },
        block: BlockKind::PreNorm,
        attention: sizes.attention(),
        mlp: MlpConfig {
            kind: MlpKind::Gated,
            activation: activation(fields, "hidden_act", "silu")?,
            bias: false,
        },
        rotaries: Vec::new(),
        layers: Vec::new(),
        logit_softcap: None,
        tie_word_embeddings: fields.flag("tie_word_embeddings", false)?,
        eos_token_ids: Vec::new(),
    })
}
