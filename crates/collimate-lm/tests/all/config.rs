//! Configurations, against what transformers reads from them; `conformance/lm_configs.py` made them.

use std::path::Path;

use collimate_lm::{Activation, DecoderConfig, Family, LmError};
use serde_json::{Value, json};

fn cases() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/configs.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn read(config: &Value) -> Result<DecoderConfig, LmError> {
    DecoderConfig::from_json(config.to_string(), "config.json")
}

fn activation(class: &str) -> Activation {
    match class {
        "SiLUActivation" => Activation::Silu,
        "GELUActivation" => Activation::Gelu,
        "GELUTanh" | "NewGELUActivation" => Activation::GeluTanh,
        "ReLU" => Activation::Relu,
        _ => panic!("{class}"),
    }
}

#[test]
fn configurations_are_read_as_transformers_reads_them() {
    for case in cases() {
        let name = case["name"].as_str().unwrap();
        let expected = &case["expected"];
        let config = read(&case["config"]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let attention = config.attention;
        let found = json!({
            "vocab_size": config.vocab_size,
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "max_position_embeddings": config.max_position_embeddings,
            "num_attention_heads": attention.num_attention_heads,
            "num_key_value_heads": attention.num_key_value_heads,
            "head_dim": attention.head_dim,
            "scale": attention.scale,
            "softcap": attention.softcap,
            "logit_softcap": config.logit_softcap,
            "qkv_bias": attention.qkv_bias,
            "output_bias": attention.output_bias,
            "mlp_bias": config.mlp.bias,
            "norm_eps": config.norm.eps,
            "tie_word_embeddings": config.tie_word_embeddings,
            "eos_token_ids": config.eos_token_ids,
            "sliding_windows":
                config.layers.iter().map(|layer| layer.sliding_window).collect::<Vec<_>>(),
        });
        for (field, found) in found.as_object().unwrap() {
            assert_eq!(*found, expected[field], "{name}: {field}");
        }
        let class = expected["activation"].as_str().unwrap();
        assert_eq!(config.mlp.activation, activation(class), "{name}");
    }
}

#[test]
fn every_layer_has_the_rotary_embedding_of_its_kind() {
    for case in cases() {
        let config = read(&case["config"]).unwrap();
        for layer in &config.layers {
            let expected = match config.family {
                Family::Gpt2 => None,
                Family::Gemma3 if layer.sliding_window.is_none() => Some(1),
                _ => Some(0),
            };
            assert_eq!(layer.rotary, expected, "{}", case["name"]);
            assert!(layer.rotary.is_none_or(|rotary| rotary < config.rotaries.len()));
        }
    }
}

#[test]
fn frequencies_are_those_of_transformers() {
    /// Torch's powers are not all correctly rounded, and differences of them amplify that.
    const TOLERANCE: f64 = 5e-7;
    let close = |a: f64, b: f64| (a - b).abs() <= TOLERANCE * b.abs();
    let (mut equal, mut all) = (0, 0);
    for case in cases() {
        let name = case["name"].as_str().unwrap();
        let config = read(&case["config"]).unwrap();
        let rotaries = case["expected"]["rotaries"].as_array().unwrap();
        assert_eq!(config.rotaries.len(), rotaries.len(), "{name}");
        for (rotary, expected) in config.rotaries.iter().zip(rotaries) {
            for expected in expected.as_array().unwrap() {
                let sequence = expected["sequence"].as_u64().unwrap() as usize;
                let found = rotary.frequencies(sequence);
                let factor = expected["attention_factor"].as_f64().unwrap();
                let what = format!("{name}, {sequence} tokens");
                assert!(close(f64::from(found.attention_factor), factor), "{what}");
                let inverse = expected["inverse"].as_array().unwrap();
                assert_eq!(found.inverse.len(), inverse.len(), "{what}");
                for (found, expected) in found.inverse.iter().zip(inverse) {
                    let expected = expected.as_f64().unwrap();
                    assert!(close(f64::from(*found), expected), "{what}: {found} {expected}");
                    equal += usize::from(*found == expected as f32);
                    all += 1;
                }
            }
        }
    }
    assert!(all > 2_000 && equal * 100 > all * 98, "{equal} of {all} are the same");
}

/// The smallest configuration, with a change.
fn llama(change: Value) -> Value {
    let mut config = json!({"model_type": "llama"});
    config.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    config
}

#[test]
fn what_is_not_supported_is_named() {
    let layers =
        |kind| json!({"model_type": "qwen3", "num_hidden_layers": 1, "layer_types": [kind]});
    let rope = |kind| llama(json!({"rope_scaling": {"rope_type": kind, "factor": 2.0}}));
    let of = |family: &str, field: &str, value: Value| json!({"model_type": family, field: value});
    for (config, field) in [
        (llama(json!({"hidden_act": "quick_gelu"})), "hidden_act"),
        (llama(json!({"quantization_config": {"bits": 4}})), "quantization_config"),
        (llama(json!({"num_experts": 8})), "num_experts"),
        (llama(json!({"partial_rotary_factor": 0.5})), "partial_rotary_factor"),
        (llama(json!({"layer_types": ["sliding_attention"]})), "layer_types"),
        (llama(json!({"use_bidirectional_attention": true})), "use_bidirectional_attention"),
        (llama(json!({"pruned_heads": {"0": [1]}})), "pruned_heads"),
        (rope("proportional"), "rope_scaling.rope_type"),
        (rope("ntk"), "rope_scaling.rope_type"),
        (
            llama(json!({"rope_scaling": {"type": "default", "mrope_section": [1]}})),
            "rope_scaling.mrope_section",
        ),
        (
            llama(json!({"rope_parameters": {"full_attention": {"factor": 2}}})),
            "rope_parameters.full_attention",
        ),
        (layers("chunked_attention"), "layer_types"),
        (layers("sliding_attention"), "sliding_window"),
        (
            of("phi3", "rope_scaling", json!({"rope_type": "linear", "factor": 2})),
            "rope_scaling.rope_type",
        ),
        (of("gemma2", "sliding_window", Value::Null), "sliding_window"),
        (of("gemma3_text", "attn_logit_softcapping", json!(50)), "attn_logit_softcapping"),
        (
            of("gemma3_text", "rope_parameters", json!({"rope_type": "linear"})),
            "rope_parameters.rope_type",
        ),
        (
            of("gemma3_text", "rope_scaling", json!({"type": "linear", "factor": 2})),
            "rope_scaling.rope_type",
        ),
        (
            of("gpt2", "scale_attn_by_inverse_layer_idx", json!(true)),
            "scale_attn_by_inverse_layer_idx",
        ),
        (of("gpt2", "add_cross_attention", json!(true)), "add_cross_attention"),
        (of("gpt_neox", "head_dim", json!(7)), "head_dim"),
        (of("gpt_neox", "num_key_value_heads", json!(2)), "num_key_value_heads"),
    ] {
        match read(&config) {
            Err(LmError::Config { field: found, .. }) => assert_eq!(found, field, "{config}"),
            other => panic!("{config}: {other:?}"),
        }
    }
}

#[test]
fn impossible_values_are_named() {
    let rope = |scaling: Value| llama(json!({"rope_scaling": scaling}));
    for (config, field) in [
        (llama(json!({"hidden_size": 0})), "hidden_size"),
        (llama(json!({"hidden_size": -8})), "hidden_size"),
        (llama(json!({"hidden_size": 32.5})), "hidden_size"),
        (llama(json!({"hidden_size": "32"})), "hidden_size"),
        (llama(json!({"hidden_size": null})), "hidden_size"),
        (llama(json!({"hidden_size": 1_u64 << 40})), "hidden_size"),
        (
            llama(json!({"vocab_size": 1 << 30, "hidden_size": 1 << 30, "head_dim": 8})),
            "vocab_size",
        ),
        (llama(json!({"intermediate_size": 1_u64 << 30})), "intermediate_size"),
        (llama(json!({"num_attention_heads": 1 << 26, "head_dim": 8})), "num_attention_heads"),
        (json!({"model_type": "gpt2", "n_positions": 1_u64 << 31}), "max_position_embeddings"),
        (llama(json!({"num_hidden_layers": 10_001})), "num_hidden_layers"),
        (llama(json!({"num_hidden_layers": 0})), "num_hidden_layers"),
        (llama(json!({"num_attention_heads": 33})), "num_attention_heads"),
        (llama(json!({"num_key_value_heads": 33})), "num_key_value_heads"),
        (llama(json!({"num_key_value_heads": 3})), "num_key_value_heads"),
        (llama(json!({"head_dim": 7})), "head_dim"),
        (llama(json!({"head_dim": 1 << 20})), "head_dim"),
        (llama(json!({"rms_norm_eps": 0})), "rms_norm_eps"),
        (llama(json!({"rms_norm_eps": "1e-5"})), "rms_norm_eps"),
        (llama(json!({"attention_bias": 1})), "attention_bias"),
        (llama(json!({"eos_token_id": -1})), "eos_token_id"),
        (llama(json!({"eos_token_id": [1, null]})), "eos_token_id"),
        (llama(json!({"layer_types": "full_attention"})), "layer_types"),
        (llama(json!({"rope_theta": 1})), "rope_theta"),
        (llama(json!({"rope_theta": null})), "rope_theta"),
        (llama(json!({"rope_scaling": 2})), "rope_scaling"),
        (rope(json!({"type": "linear"})), "rope_scaling.factor"),
        (rope(json!({"type": "linear", "factor": 1e-60})), "rope_parameters"),
        (rope(json!({"type": "linear", "factor": -1})), "rope_scaling.factor"),
        (rope(json!({"type": 5})), "rope_scaling.type"),
        (
            rope(
                json!({"type": "llama3", "factor": 2, "low_freq_factor": 4, "high_freq_factor": 4}),
            ),
            "rope_scaling.high_freq_factor",
        ),
        (
            rope(json!({"type": "longrope", "short_factor": [1], "long_factor": [1]})),
            "rope_scaling.short_factor",
        ),
        (json!({"model_type": "gemma2", "num_hidden_layers": 2, "layer_types": []}), "layer_types"),
        (
            json!({"model_type": "gemma3_text", "sliding_window_pattern": 0}),
            "sliding_window_pattern",
        ),
        (json!({"model_type": "phi3", "partial_rotary_factor": 1.5}), "partial_rotary_factor"),
        (json!({"model_type": "phi3", "partial_rotary_factor": 0.01}), "partial_rotary_factor"),
        (json!({"model_type": "gpt_neox", "rotary_pct": 0.02}), "rotary_pct"),
        (json!({"model_type": "gpt2", "n_embd": 10, "n_head": 3}), "n_head"),
        (json!({"model_type": "gpt2", "n_embd": 16, "hidden_size": 8}), "hidden_size"),
        (json!({"model_type": "gpt2", "n_layer": 10_001}), "n_layer"),
    ] {
        match read(&config) {
            Err(LmError::Config { field: found, .. }) => assert_eq!(found, field, "{config}"),
            other => panic!("{config}: {other:?}"),
        }
    }
}

#[test]
fn other_architectures_are_refused() {
    let found = |config: Value| match read(&config) {
        Err(LmError::Architecture { found, supported, .. }) => {
            assert!(supported.starts_with("llama, mistral, "), "{supported}");
            found
        }
        other => panic!("{config}: {other:?}"),
    };
    assert_eq!(found(json!({"model_type": "bert"})), "bert");
    // Its vision tower is no text.
    assert_eq!(found(json!({"model_type": "gemma3", "text_config": {}})), "gemma3");
    assert_eq!(found(json!({"auto_map": {"AutoConfig": "own.Config"}})), "");
    assert_eq!(found(json!([1, 2])), "");
    let classifier =
        json!({"model_type": "llama", "architectures": ["LlamaForTokenClassification"]});
    assert_eq!(found(classifier), "LlamaForTokenClassification");
    let long = found(json!({"model_type": "a\n".repeat(1000)}));
    assert!(long.len() < 200 && !long.contains('\n'), "{long}");
    // Before there were model types.
    let old = read(&json!({"architectures": ["GPT2LMHeadModel"]})).unwrap();
    assert_eq!(old.family, Family::Gpt2);
}

#[test]
fn files_are_read_if_they_are_small_regular_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, r#"{"model_type": "gpt2"}"#).unwrap();
    assert_eq!(DecoderConfig::read(&path).unwrap().family, Family::Gpt2);
    std::fs::write(&path, r#"{"model_type": "gpt2", "layer_norm_epsilon": NaN}"#).unwrap();
    assert!(matches!(DecoderConfig::read(&path), Err(LmError::Json { .. })));
    std::fs::File::create(&path).unwrap().set_len((16 << 20) + 1).unwrap();
    assert!(matches!(DecoderConfig::read(&path), Err(LmError::TooLarge { .. })));
    assert!(matches!(DecoderConfig::read(folder.path()), Err(LmError::NotAFile { .. })));
    assert!(matches!(DecoderConfig::read(folder.path().join("none")), Err(LmError::Io { .. })));
}
