//! Bytes from anywhere, read as the `config.json` of a decoder: an error in one line, or parts that fit
//! each other, whose sizes can be multiplied, and frequencies that are finite at any length.

#![no_main]

use std::fmt::Write;

use collimate_lm::{DecoderConfig, LmError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let config = match DecoderConfig::from_json(bytes, "config.json") {
        Ok(config) => config,
        Err(error) => {
            let mut text = error.to_string();
            assert!(text.starts_with("config.json"), "{text}");
            if let LmError::Json { source, .. } = &error {
                write!(text, ": {source}").expect("text has room");
            }
            assert!(!text.contains('\n') && text.len() < 2_000, "{text}");
            return;
        }
    };
    let attention = config.attention;
    let heads = attention.num_attention_heads * attention.head_dim;
    let widest = heads.max(config.intermediate_size).max(config.vocab_size);
    assert!(widest.checked_mul(config.hidden_size).is_some_and(|numbers| numbers <= 1 << 40));
    assert_eq!(attention.num_attention_heads % attention.num_key_value_heads, 0);
    assert!((1..=10_000).contains(&config.layers.len()));
    for layer in &config.layers {
        assert!(layer.rotary.is_none_or(|rotary| rotary < config.rotaries.len()));
        assert_ne!(layer.sliding_window, Some(0));
    }
    for rotary in &config.rotaries {
        assert!(rotary.dim % 2 == 0 && (2..=attention.head_dim).contains(&rotary.dim));
        for sequence in [0, 1, config.max_position_embeddings + 1, 1 << 31] {
            let frequencies = rotary.frequencies(sequence);
            assert_eq!(frequencies.inverse.len(), rotary.dim / 2);
            assert!(frequencies.inverse.iter().all(|f| f.is_finite()), "{rotary:?} {sequence}");
        }
    }
    assert!(attention.scale.is_finite() && config.norm.eps > 0.0);
});
