//! What a `config.json` says, against transformers: `fixtures/model_configs.json` is written by
//! `conformance/model_configs.py` with transformers 5.23.0.

use collimate_models::{Architecture, Problem};
use proptest::prelude::*;
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("../fixtures/model_configs.json")).unwrap()
}

#[test]
fn configurations_that_transformers_wrote_are_read_as_it_reads_them() {
    let fixture = fixture();
    let cases = fixture["configs"].as_array().unwrap();
    for case in cases {
        let config = case["config"].as_str().unwrap();
        let found = Architecture::from_config(config.as_bytes()).unwrap();
        assert_eq!(found.quantization, None);
        let found = serde_json::to_value(found).unwrap();
        for (field, expected) in case["expected"].as_object().unwrap() {
            assert_eq!(&found[field], expected, "{field} of {}", case["name"]);
        }
    }
    assert!(cases.len() > 40);
}

#[test]
fn defaults_of_every_family_are_those_of_transformers() {
    let fixture = fixture();
    let families = fixture["families"].as_array().unwrap();
    let mut known = 0;
    for family in families {
        let name = family["family"].as_str().unwrap();
        let config = serde_json::to_vec(&family["config"]).unwrap();
        let found = Architecture::from_config(&config).unwrap();
        let expected = |field: &str, derived: u64| match &family[field] {
            Value::String(rule) if rule == "derived" => Some(derived),
            // Absent rather than wrong.
            Value::String(_) => None,
            number => number.as_u64(),
        };
        // The attention of these shares one head, whatever the configuration says.
        let shared = ["falcon", "gpt_bigcode"].contains(&name);
        let heads = if shared { Some(1) } else { expected("key_value_heads", 6) };
        assert_eq!(found.key_value_heads, heads, "{name}");
        assert_eq!(found.head_dim, expected("head_dim", 16), "{name}");
        assert_eq!(found.tied_embeddings, family["tied_embeddings"].as_bool(), "{name}");
        known += 1;
    }
    assert!(known > 150);
}

#[test]
fn sizes_go_by_many_names() {
    // Keys as published with BLOOM, the first Falcon, ChatGLM, MPT, T5 and GPT-Neo.
    for (config, expected) in [
        (
            r#"{"n_layer": 3, "n_embed": 8, "num_attention_heads": 4, "seq_length": 64}"#,
            [3, 8, 4, 4, 2],
        ),
        (r#"{"n_layer": 3, "hidden_size": 8, "n_head": 4, "n_head_kv": 2}"#, [3, 8, 4, 2, 2]),
        (
            r#"{"num_layers": 3, "hidden_size": 8, "num_attention_heads": 4, "kv_channels": 5,
                "multi_query_attention": true, "multi_query_group_num": 2}"#,
            [3, 8, 4, 2, 5],
        ),
        (r#"{"n_layers": 3, "d_model": 8, "n_heads": 4}"#, [3, 8, 4, 4, 2]),
        (r#"{"num_layers": 3, "d_model": 8, "num_heads": 4, "d_kv": 5}"#, [3, 8, 4, 4, 5]),
        (r#"{"n_layers": 3, "dim": 8, "n_heads": 4, "num_kv_heads": 2}"#, [3, 8, 4, 2, 2]),
    ] {
        let found = Architecture::from_config(config.as_bytes()).unwrap();
        let sizes = [
            found.layers,
            found.hidden_size,
            found.attention_heads,
            found.key_value_heads,
            found.head_dim,
        ];
        assert_eq!(sizes, expected.map(Some), "{config}");
    }
    let config = br#"{"padded_vocab_size": 7, "ffn_hidden_size": 9, "max_sequence_length": 5}"#;
    let found = Architecture::from_config(config).unwrap();
    assert_eq!(found.vocabulary, Some(7));
    assert_eq!(found.intermediate_size, Some(9));
    assert_eq!(found.context_length, Some(5));
}

#[test]
fn hostile_bytes_are_named_errors() {
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    let deep = [br#"{"x": "#.as_slice(), &deep, b"}"].concat();
    let cases: [(&[u8], &str); 7] = [
        (b"", "EOF while parsing a value at line 1 column 0"),
        (b"null", "expected an object"),
        (b"{\"model_type\": \"a\",}", "trailing comma at line 1 column 20"),
        (b"{\"x\": \"\xc3\x28\"}", "not UTF-8 at byte 7"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"PK\x03\x04", "expected value at line 1 column 1"),
        (&deep, "nested more than 100 deep at line 1 column 106"),
    ];
    for (bytes, part) in cases {
        let problem = Architecture::from_config(bytes).unwrap_err();
        assert!(matches!(problem, Problem::Invalid { .. }), "{problem}");
        assert!(problem.blocks_loading());
        assert!(problem.to_string().contains(part), "{problem}");
    }
}

#[test]
fn numbers_that_are_no_sizes_are_named_errors() {
    for number in
        ["0", "-1", "0.5", "1e30", "99999999999999999999", "4294967296", "NaN", "-Infinity"]
    {
        let config = format!("{{\"vocab_size\": {number}}}");
        let problem = Architecture::from_config(config.as_bytes()).unwrap_err();
        assert!(
            matches!(&problem, Problem::Field { field, .. } if field == "vocab_size"),
            "{problem}"
        );
        assert!(!problem.blocks_loading());
    }
    let huge = r#"{"vocab_size": 3, "x": NaN, "y": [1e999, -Infinity], "z": 123456789012345678901234567890}"#;
    assert_eq!(Architecture::from_config(huge.as_bytes()).unwrap().vocabulary, Some(3));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Architecture::from_config(&bytes);
    }

    #[test]
    fn a_configuration_that_is_cut_anywhere_is_an_error(length in 0_usize..700) {
        let fixture = fixture();
        let config = fixture["configs"][0]["config"].as_str().unwrap().trim_end();
        let cut = &config.as_bytes()[..length.min(config.len() - 1)];
        let problem = Architecture::from_config(cut).unwrap_err();
        prop_assert_eq!(problem.code(), "invalid");
    }
}
