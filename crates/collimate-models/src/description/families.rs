//! What the configuration classes of transformers 5.23 take for what a file does not state. The
//! fixture that `conformance/model_configs.py` writes holds the same, and a test compares them.

use Unstated::{Derived, Is, Unknown};

/// What is taken where a configuration doesn't state a size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unstated {
    /// It follows from the other sizes.
    Derived,
    /// A number of this family.
    Is(u64),
    /// A rule of this family that is not known here.
    Unknown,
}

/// The defaults of one family (`model_type`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    /// Derived: as many as there are query heads.
    pub(super) key_value_heads: Unstated,
    /// Derived: the hidden size divided by the number of heads.
    pub(super) head_dim: Unstated,
    /// Whether the output head is the embedding matrix.
    pub(super) tied: Option<bool>,
}

/// The defaults of a family, if it is known.
pub(super) fn find(model_type: &str) -> Option<Family> {
    let index = FAMILIES.binary_search_by(|row| row.0.cmp(model_type)).ok()?;
    let &(_, key_value_heads, head_dim, tied) = FAMILIES.get(index)?;
    Some(Family { key_value_heads, head_dim, tied })
}

const TIED: Option<bool> = Some(true);
const UNTIED: Option<bool> = Some(false);

/// Family, key and value heads, width of a head, tied embeddings; sorted.
static FAMILIES: &[(&str, Unstated, Unstated, Option<bool>)] = &[
    ("afmoe", Derived, Is(128), UNTIED),
    ("apertus", Derived, Derived, UNTIED),
    ("arcee", Derived, Derived, UNTIED),
    ("aria_text", Derived, Derived, UNTIED),
    ("axk1", Is(64), Unknown, UNTIED),
    ("axk2", Is(32), Unknown, UNTIED),
    ("bailing_hybrid", Is(32), Unknown, UNTIED),
    ("bert", Derived, Derived, TIED),
    ("bert-generation", Derived, Derived, TIED),
    ("big_bird", Derived, Derived, TIED),
    ("biogpt", Derived, Derived, TIED),
    ("bitnet", Is(5), Derived, UNTIED),
    ("bloom", Derived, Derived, TIED),
    ("blt", Derived, Derived, UNTIED),
    ("camembert", Derived, Derived, TIED),
    ("codegen", Derived, Derived, UNTIED),
    ("cohere", Derived, Derived, TIED),
    ("cohere2", Derived, Derived, TIED),
    ("cohere2_moe", Derived, Is(128), TIED),
    ("cohere_compass_text", Derived, Derived, TIED),
    ("cpmant", Derived, Derived, TIED),
    ("ctrl", Derived, Derived, TIED),
    ("cwm", Is(8), Is(128), UNTIED),
    ("data2vec-text", Derived, Derived, TIED),
    ("dbrx", Unknown, Derived, UNTIED),
    ("deepseek_v2", Derived, Unknown, UNTIED),
    ("deepseek_v3", Is(128), Unknown, UNTIED),
    ("deepseek_v32", Is(128), Unknown, UNTIED),
    ("deepseek_v4", Is(1), Unknown, UNTIED),
    ("diffllama", Derived, Derived, UNTIED),
    ("doge", Derived, Derived, UNTIED),
    ("dots1", Is(32), Derived, UNTIED),
    ("electra", Derived, Derived, TIED),
    ("emu3", Is(8), Derived, UNTIED),
    ("ernie", Derived, Derived, TIED),
    ("ernie4_5", Is(2), Is(128), TIED),
    ("ernie4_5_moe", Is(4), Derived, TIED),
    ("exaone4", Is(32), Derived, UNTIED),
    ("exaone_moe", Is(32), Derived, UNTIED),
    ("falcon", Derived, Derived, TIED),
    ("falcon_h1", Is(8), Derived, UNTIED),
    ("falcon_mamba", Derived, Derived, TIED),
    ("flex_olmo", Derived, Derived, UNTIED),
    ("flint", Is(4), Is(128), UNTIED),
    ("fuyu", Derived, Derived, UNTIED),
    ("gemma", Is(16), Is(256), TIED),
    ("gemma2", Is(4), Is(256), TIED),
    ("gemma3", Is(4), Is(256), TIED),
    ("gemma3_text", Is(4), Is(256), TIED),
    ("gemma3n", Is(2), Is(256), TIED),
    ("gemma3n_text", Is(2), Is(256), TIED),
    ("gemma4", Is(4), Unknown, TIED),
    ("gemma4_text", Is(4), Unknown, TIED),
    ("gemma4_unified", Is(4), Unknown, TIED),
    ("gemma4_unified_assistant", Is(4), Unknown, TIED),
    ("gemma4_unified_text", Is(4), Unknown, TIED),
    ("git", Derived, Derived, UNTIED),
    ("glm", Is(2), Is(128), UNTIED),
    ("glm4", Is(2), Is(128), UNTIED),
    ("glm4_moe", Is(8), Derived, UNTIED),
    ("glm4_moe_lite", Is(20), Unknown, UNTIED),
    ("glm_moe_dsa", Is(64), Unknown, UNTIED),
    ("got_ocr2", Is(32), Derived, TIED),
    ("gpt-sw3", Derived, Derived, TIED),
    ("gpt2", Derived, Derived, TIED),
    ("gpt_bigcode", Unknown, Derived, TIED),
    ("gpt_neo", Derived, Derived, TIED),
    ("gpt_neox", Derived, Derived, UNTIED),
    ("gpt_neox_japanese", Derived, Derived, TIED),
    ("gpt_oss", Is(8), Is(64), UNTIED),
    ("gptj", Derived, Derived, UNTIED),
    ("granite", Derived, Derived, UNTIED),
    ("granite_swa", Is(4), Derived, TIED),
    ("granitemoe", Derived, Derived, UNTIED),
    ("granitemoe_swa", Derived, Derived, UNTIED),
    ("granitemoeshared", Derived, Derived, UNTIED),
    ("helium", Is(20), Is(128), UNTIED),
    ("hrm_text", Derived, Is(128), UNTIED),
    ("hunyuan_v1_dense", Derived, Derived, UNTIED),
    ("hunyuan_v1_moe", Derived, Derived, UNTIED),
    ("hy_v3", Is(8), Is(128), UNTIED),
    ("hy_v4", Derived, Unknown, UNTIED),
    ("hyperclovax", Derived, Derived, UNTIED),
    ("inkling2_text", Is(8), Is(128), None),
    ("inkling_text", Is(8), Is(128), None),
    ("internlm3", Is(2), Is(128), UNTIED),
    ("iquestcoder", Is(8), Is(128), UNTIED),
    ("jais2", Derived, Derived, UNTIED),
    ("jamba", Is(8), Derived, UNTIED),
    ("jetmoe", Is(16), Is(128), TIED),
    ("kimi_linear", Is(32), Unknown, UNTIED),
    ("kolibri1", Is(4), Is(128), UNTIED),
    ("laguna", Is(8), Is(128), UNTIED),
    ("lfm2", Is(8), Derived, TIED),
    ("lfm2_moe", Is(8), Derived, TIED),
    ("lfm3", Is(4), Is(128), TIED),
    ("llama", Derived, Derived, UNTIED),
    ("llama4", Is(8), Is(128), UNTIED),
    ("llama4_text", Is(8), Is(128), UNTIED),
    ("longcat_flash", Derived, Unknown, UNTIED),
    ("mamba", Derived, Derived, TIED),
    ("megatron-bert", Derived, Derived, TIED),
    ("mellum", Is(4), Is(128), UNTIED),
    ("mimo_v2_flash", Is(4), Is(192), UNTIED),
    ("minicpm3", Is(40), Unknown, TIED),
    ("minimax", Is(8), Derived, UNTIED),
    ("minimax_m2", Is(8), Is(128), UNTIED),
    ("minimax_m3_vl_text", Is(4), Is(128), UNTIED),
    ("ministral", Is(8), Derived, UNTIED),
    ("ministral3", Is(8), Is(128), UNTIED),
    ("mistral", Is(8), Derived, UNTIED),
    ("mixtral", Is(8), Derived, UNTIED),
    ("mllama", Is(8), Derived, None),
    ("modernbert-decoder", Derived, Derived, TIED),
    ("moshi", Derived, Derived, UNTIED),
    ("moss_transcribe_diarize", Is(32), Is(128), TIED),
    ("mpt", Derived, Derived, TIED),
    ("nanochat", Derived, Derived, UNTIED),
    ("nemotron", Derived, Derived, UNTIED),
    ("nemotron_h", Is(8), Is(128), UNTIED),
    ("olmo", Derived, Derived, UNTIED),
    ("olmo2", Derived, Derived, UNTIED),
    ("olmo3", Derived, Derived, UNTIED),
    ("olmo_hybrid", Derived, Derived, UNTIED),
    ("olmoe", Derived, Derived, UNTIED),
    ("openai-gpt", Derived, Derived, TIED),
    ("opt", Derived, Derived, TIED),
    ("persimmon", Derived, Derived, UNTIED),
    ("phi", Derived, Derived, UNTIED),
    ("phi3", Derived, Derived, UNTIED),
    ("phi4_multimodal", Is(8), Derived, UNTIED),
    ("phimoe", Is(8), Derived, UNTIED),
    ("qwen2", Is(32), Derived, UNTIED),
    ("qwen2_moe", Is(16), Derived, UNTIED),
    ("qwen3", Is(32), Is(128), UNTIED),
    ("qwen3_5", Is(4), Is(256), UNTIED),
    ("qwen3_5_moe", Is(2), Is(256), UNTIED),
    ("qwen3_5_moe_text", Is(2), Is(256), UNTIED),
    ("qwen3_5_text", Is(4), Is(256), UNTIED),
    ("qwen3_moe", Is(4), Derived, UNTIED),
    ("qwen3_next", Is(2), Is(256), UNTIED),
    ("qwen4_exp", Is(2), Is(256), UNTIED),
    ("qwen4_exp_text", Is(2), Is(256), UNTIED),
    ("recurrent_gemma", Derived, Derived, TIED),
    ("reformer", Derived, Derived, UNTIED),
    ("rembert", Derived, Derived, UNTIED),
    ("roberta", Derived, Derived, TIED),
    ("roberta-prelayernorm", Derived, Derived, TIED),
    ("roc_bert", Derived, Derived, TIED),
    ("roformer", Derived, Derived, TIED),
    ("rwkv", Derived, Derived, UNTIED),
    ("seed_oss", Is(8), Is(128), UNTIED),
    ("smollm3", Is(4), Derived, TIED),
    ("solar_open", Is(8), Is(128), UNTIED),
    ("stablelm", Is(32), Derived, UNTIED),
    ("starcoder2", Is(2), Derived, TIED),
    ("trocr", Derived, Derived, TIED),
    ("vaultgemma", Is(4), Is(256), TIED),
    ("xglm", Derived, Derived, TIED),
    ("xlm", Derived, Derived, TIED),
    ("xlm-roberta", Derived, Derived, TIED),
    ("xlm-roberta-xl", Derived, Derived, TIED),
    ("xlnet", Derived, Derived, TIED),
    ("xlstm", Derived, Derived, UNTIED),
    ("xmod", Derived, Derived, TIED),
    ("youtu", Is(16), Unknown, TIED),
    ("zamba", Is(16), Unknown, TIED),
    ("zamba2", Derived, Unknown, TIED),
    ("zaya", Is(2), Is(128), TIED),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_sorted() {
        assert!(FAMILIES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn families_are_found() {
        assert_eq!(find("gemma").unwrap().head_dim, Is(256));
        assert!(find("").is_none());
        assert!(find("of-someone").is_none());
    }
}
