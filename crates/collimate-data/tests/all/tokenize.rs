//! Ids, offsets and decoded texts of small tokenizers, as the Python library gives them
//! (`conformance/tokenizer_ids.py`).

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use collimate_data::{DataError, Tokenizer};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Reference {
    special: BTreeMap<String, Option<u32>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    with_special_tokens: Vec<u32>,
    decoded: String,
    offsets: Vec<(usize, usize)>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers")
}

fn references() -> BTreeMap<String, Reference> {
    let text = fs::read_to_string(fixtures().join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn load(name: &str) -> Tokenizer {
    Tokenizer::from_folder(fixtures().join(name)).unwrap()
}

#[test]
fn ids_and_offsets_are_those_of_the_reference() {
    let references = references();
    assert_eq!(references.len(), 5);
    for (name, reference) in references {
        let tokenizer = load(&name);
        for case in &reference.cases {
            let text = &case.text;
            let plain = tokenizer.encode(text, false).unwrap();
            assert_eq!(plain.ids, case.ids, "{name}: {text:?}");
            let offsets: Vec<Range<usize>> = case.offsets.iter().map(|&(a, b)| a..b).collect();
            assert_eq!(plain.offsets, offsets, "{name}: {text:?}");
            let special = tokenizer.encode(text, true).unwrap();
            assert_eq!(special.ids, case.with_special_tokens, "{name}: {text:?}");
            assert_eq!(special.ids.len(), special.offsets.len(), "{name}: {text:?}");
            let decoded = tokenizer.decode(&special.ids, true).unwrap();
            assert_eq!(decoded, case.decoded, "{name}: {text:?}");
        }
    }
}

#[test]
fn a_batch_is_its_texts_in_order() {
    for (name, reference) in references() {
        let tokenizer = load(&name);
        let texts: Vec<&str> = reference.cases.iter().map(|case| case.text.as_str()).collect();
        let batch = tokenizer.encode_batch(&texts, true).unwrap();
        assert_eq!(batch.len(), texts.len());
        for (encoded, case) in batch.iter().zip(&reference.cases) {
            assert_eq!(encoded.ids, case.with_special_tokens, "{name}: {:?}", case.text);
        }
    }
}

#[test]
fn special_tokens_are_those_that_the_files_name() {
    for (name, reference) in references() {
        let tokenizer = load(&name);
        let special = tokenizer.special_tokens();
        for (kind, token) in [
            ("bos", &special.bos),
            ("eos", &special.eos),
            ("pad", &special.pad),
            ("unk", &special.unk),
        ] {
            let id = token.as_ref().map(|token| token.id);
            assert_eq!(id, reference.special[kind], "{name}: {kind}");
            if let Some(token) = token {
                assert_eq!(tokenizer.token_to_id(&token.text), Some(token.id));
                assert_eq!(tokenizer.id_to_token(token.id), Some(token.text.clone()));
            }
        }
    }
}

#[test]
fn saved_truncation_and_padding_are_ignored() {
    let tokenizer = load("byte_level_trimmed");
    let file = fs::read(tokenizer.path()).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    assert_eq!(file["truncation"]["max_length"], 8);
    assert_eq!(tokenizer.encode("", false).unwrap().ids.len(), 0);
    assert_eq!(tokenizer.encode(&"q".repeat(20), true).unwrap().ids.len(), 22);
}

#[test]
fn the_vocabulary_has_every_token() {
    let tokenizer = load("byte_level");
    let vocabulary = tokenizer.vocabulary();
    assert_eq!(vocabulary.len(), 421);
    assert_eq!(vocabulary["<extra>"], 420);
    assert_eq!(tokenizer.token_to_id("<missing>"), None);
    assert_eq!(tokenizer.id_to_token(421), None);
}

#[test]
fn the_digest_changes_with_each_file() {
    let folder = tempfile::tempdir().unwrap();
    let digest = || Tokenizer::from_folder(folder.path()).unwrap().digest();
    let source = fixtures().join("word_piece");
    fs::copy(source.join("tokenizer.json"), folder.path().join("tokenizer.json")).unwrap();
    let mut digests = vec![digest()];
    for name in ["tokenizer_config.json", "special_tokens_map.json"] {
        fs::copy(source.join(name), folder.path().join(name)).unwrap();
        digests.push(digest());
    }
    assert_eq!(digests[2], digest());
    digests.dedup();
    assert_eq!(digests.len(), 3);
}

#[test]
fn an_explicit_bos_wins_over_the_tokenizers_own() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixtures().join("sentencepiece/tokenizer.json");
    fs::copy(source, folder.path().join("tokenizer.json")).unwrap();
    let added = |config: Value| {
        let path = folder.path().join("tokenizer_config.json");
        fs::write(path, config.to_string()).unwrap();
        let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
        let (before, after) = tokenizer.added_tokens();
        (before.to_vec(), after.to_vec())
    };
    let (bos, eos) = (("bos_token", "<s>"), ("eos_token", "</s>"));
    assert_eq!(added(json!({bos.0: bos.1})), (vec![1], vec![]));
    assert_eq!(added(json!({bos.0: bos.1, "add_bos_token": false})), (vec![], vec![]));
    let both = json!({bos.0: bos.1, eos.0: eos.1, "add_bos_token": true, "add_eos_token": true});
    assert_eq!(added(both), (vec![1], vec![2]));
    // There is no token that it could be.
    assert_eq!(added(json!({"add_bos_token": true})), (vec![], vec![]));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = |folder: &Path| match Tokenizer::from_folder(folder) {
        Err(error @ (DataError::Tokenizer { .. } | DataError::Io { .. })) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(error(folder.path()).contains("there is no tokenizer.json;"));
    fs::write(folder.path().join("vocab.json"), "{}").unwrap();
    fs::write(folder.path().join("merges.txt"), "").unwrap();
    let message = error(folder.path());
    assert!(
        message.contains("there is no tokenizer.json, only vocab.json and merges.txt"),
        "{message}"
    );

    let file = folder.path().join("tokenizer.json");
    for content in [
        "",
        "{}",
        "[1, 2",
        "\u{0}",
        r#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}"#,
        r#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]}}"#,
        r#"{"model": {"type": "Unigram", "vocab": [], "unk_id": 7}}"#,
        r#"{"model": {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 7}}"#,
        r#"{"model": {"type": "WordPiece", "vocab": {"a": -1}}}"#,
    ] {
        fs::write(&file, content).unwrap();
        assert!(error(folder.path()).contains("tokenizer.json"), "{content}");
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(error(folder.path()).contains("not a file"));

    fs::remove_dir(&file).unwrap();
    fs::copy(fixtures().join("unigram/tokenizer.json"), &file).unwrap();
    fs::write(folder.path().join("tokenizer_config.json"), "[]").unwrap();
    assert!(error(folder.path()).contains("tokenizer_config.json"));
}

#[test]
fn a_text_that_the_vocabulary_lacks_is_an_error_without_an_unknown_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokenizer.json");
    let model = json!({"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "<unk>"});
    fs::write(&file, json!({"model": model, "added_tokens": []}).to_string()).unwrap();
    let tokenizer = Tokenizer::from_file(&file).unwrap();
    assert_eq!(tokenizer.encode("a", true).unwrap().ids, [0]);
    let error = tokenizer.encode("b", true).unwrap_err();
    assert!(matches!(error, DataError::Tokenizer { .. }), "{error}");
}

#[test]
fn a_post_processor_that_repeats_the_text_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokenizer.json");
    let piece = json!({"Sequence": {"id": "A", "type_id": 0}});
    let file_of = |pieces: Vec<&Value>| {
        json!({
            "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"},
            "post_processor": {
                "type": "TemplateProcessing", "single": pieces, "pair": [], "special_tokens": {},
            },
        })
    };
    fs::write(&file, file_of(vec![&piece]).to_string()).unwrap();
    assert!(Tokenizer::from_file(&file).is_ok());
    fs::write(&file, file_of(vec![&piece, &piece]).to_string()).unwrap();
    let error = Tokenizer::from_file(&file).unwrap_err().to_string();
    assert!(error.contains("post-processor"), "{error}");
}
