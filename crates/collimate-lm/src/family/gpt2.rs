use super::layers::alike;
use super::sizes::{head_dim, num_hidden_layers};
use super::{Family, Names, activation};
use crate::config::{
    AttentionConfig, BlockKind, DecoderConfig, Fields, MlpConfig, MlpKind, NormConfig, NormKind,
    QkvLayout,
};
use crate::error::Result;

pub(super) const NAMES: Names = Names {
    embedding: "transformer.wte",
    positions: Some("transformer.wpe"),
    final_norm: "transformer.ln_f",
    head: "lm_head",
    layers: "transformer.h",
    input_norm: "ln_1",
    post_attention_norm: None,
    mlp_norm: "ln_2",
    post_mlp_norm: None,
    qkv: &["attn.c_attn"],
    attention_output: "attn.c_proj",
    query_norm: None,
    key_norm: None,
    mlp_input: &["mlp.c_fc"],
    mlp_output: "mlp.c_proj",
    transposed: true,
    buffers: &[".attn.bias", ".attn.masked_bias"],
};

/// As `GPT2Config`; its `reorder_and_upcast_attn` is nothing but an order of computation.
pub(super) fn read(fields: &Fields<'_>) -> Result<DecoderConfig> {
    if fields.is_set("scale_attn_by_inverse_layer_idx") {
        return Err(fields.unsupported("scale_attn_by_inverse_layer_idx"));
    }
    // transformers takes both names.
    let size = |name, other, default| {
        let size = fields.size(name, fields.size(other, default)?)?;
        if fields.size(other, size)? != size {
            return Err(fields.error(other, format!("expected {size}, as {name} says")));
        }
        Ok(size)
    };
    let hidden_size = size("n_embd", "hidden_size", 768)?;
    let heads = size("n_head", "num_attention_heads", 12)?;
    let head_dim = head_dim(fields, "n_head", hidden_size, heads)?;
    let scaled = fields.flag("scale_attn_weights", true)?;
    let layers = size("n_layer", "num_hidden_layers", 12)?;
    let layers = num_hidden_layers(fields, "n_layer", layers)?;
    Ok(DecoderConfig {
        family: Family::Gpt2,
        vocab_size: fields.size("vocab_size", 50_257)?,
        hidden_size,
        intermediate_size: fields
            .size_or_none("n_inner", None)?
            .unwrap_or_else(|| hidden_size.saturating_mul(4)),
        max_position_embeddings: size("n_positions", "max_position_embeddings", 1_024)?,
        embedding_scale: None,
        learned_positions: true,
        norm: NormConfig {
            kind: NormKind::Layer,
            eps: fields.positive("layer_norm_epsilon", 1e-5)?,
        },
        block: BlockKind::PreNorm,
        attention: AttentionConfig {
            num_attention_heads: heads,
            num_key_value_heads: heads,
            head_dim,
            scale: if scaled { (head_dim as f64).powf(-0.5) } else { 1.0 },
            softcap: None,
            qk_norm: None,
            qkv_bias: true,
            output_bias: true,
            qkv: QkvLayout::Concatenated,
        },
        mlp: MlpConfig {
            kind: MlpKind::Plain,
            activation: activation(fields, "activation_function", "gelu_new")?,
            bias: true,
        },
        rotaries: Vec::new(),
        layers: alike(fields, layers, None, None)?,
        logit_softcap: None,
        tie_word_embeddings: fields.flag("tie_word_embeddings", true)?,
        eos_token_ids: fields.token_ids("eos_token_id", &[50_256])?,
    })
}
