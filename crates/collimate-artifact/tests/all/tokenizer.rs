//! The tokenizer of a model: what is built, copied and refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use collimate_artifact::{Replace, SourceFolder, Staging, TokenizerSuite, check_tokenizer};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenizers::Tokenizer;

/// A vocabulary with settings, and what transformers makes of them.
#[derive(Deserialize)]
struct Expected {
    name: String,
    vocabulary: String,
    files: BTreeMap<String, Value>,
    tokens: u64,
    special_tokens: BTreeMap<String, String>,
    /// Texts with their ids and what these are decoded to.
    cases: Vec<(String, Vec<u32>, String)>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers")
}

fn expected() -> Vec<Expected> {
    serde_json::from_slice(&fs::read(fixtures().join("expected.json")).unwrap()).unwrap()
}

/// A folder with a vocabulary, and with files of settings.
fn model<'a>(vocabulary: &str, files: impl IntoIterator<Item = (&'a str, Value)>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixtures().join(vocabulary)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    for (name, value) in files {
        fs::write(folder.path().join(format!("{name}.json")), value.to_string()).unwrap();
    }
    folder
}

fn suite(folder: &TempDir) -> collimate_artifact::Result<TokenizerSuite> {
    TokenizerSuite::of(&SourceFolder::open(folder.path())?)
}

fn build(folder: &TempDir) -> collimate_artifact::Result<Vec<u8>> {
    Ok(suite(folder)?.build()?.unwrap())
}

/// Why no `tokenizer.json` can be built.
fn refused(folder: &TempDir) -> String {
    build(folder).unwrap_err().to_string()
}

fn write_into(suite: &TokenizerSuite, place: &TempDir) -> PathBuf {
    let target = place.path().join("target");
    let staging = Staging::begin(&target, Replace::Never, &mut ()).unwrap();
    suite.write_into(&staging, "", &AtomicBool::new(false)).unwrap();
    staging.publish().unwrap()
}

#[test]
fn what_is_built_gives_the_ids_that_transformers_gives() {
    for expected in expected() {
        let name = &expected.name;
        let files = expected.files.iter().map(|(name, value)| (&**name, value.clone()));
        let folder = model(&expected.vocabulary, files);
        let bytes = build(&folder).unwrap();
        assert_eq!(bytes, build(&folder).unwrap(), "{name}");
        fs::write(folder.path().join("tokenizer.json"), &bytes).unwrap();

        let tokenizer = Tokenizer::from_bytes(&bytes).unwrap();
        for (text, ids, decoded) in &expected.cases {
            let encoded = tokenizer.encode(&**text, true).unwrap();
            assert_eq!(encoded.get_ids(), ids, "{name}: {text:?}");
            assert_eq!(tokenizer.decode(ids, true).unwrap(), *decoded, "{name}: {text:?}");
        }

        let check = check_tokenizer(folder.path(), Some(expected.tokens)).unwrap();
        assert_eq!(check.tokens, expected.tokens, "{name}");
        for (role, id) in &check.special_tokens {
            if let Some(content) = expected.special_tokens.get(role) {
                assert_eq!(tokenizer.token_to_id(content), Some(*id), "{name}: {role}");
            }
        }
    }
}

#[test]
fn models_of_llama_and_gemma_begin_with_a_bos_unless_told_otherwise() {
    for (vocabulary, class) in [("llama", "LlamaTokenizer"), ("gemma", "GemmaTokenizer")] {
        let with = |settings: Value| {
            let mut settings = settings;
            settings["tokenizer_class"] = json!(class);
            build(&model(vocabulary, [("tokenizer_config", settings)])).unwrap()
        };
        assert_eq!(with(json!({})), with(json!({"add_bos_token": true})));
        assert_ne!(with(json!({})), with(json!({"add_bos_token": false})));
    }
}

#[test]
fn the_class_comes_from_the_settings_else_from_the_model_type() {
    let with = |files: &[(&'static str, Value)]| build(&model("llama", files.to_vec())).unwrap();
    let mistral = ("config", json!({"model_type": "mistral"}));
    let named = with(&[("tokenizer_config", json!({"tokenizer_class": "LlamaTokenizerFast"}))]);
    assert_eq!(named, with(std::slice::from_ref(&mistral)));
    let general = json!({"tokenizer_class": "PreTrainedTokenizerFast"});
    assert_eq!(named, with(&[("tokenizer_config", general), mistral]));
    assert_eq!(named, with(&[("config", json!({"tokenizer_class": "LlamaTokenizer"}))]));
}

#[test]
fn what_can_not_be_built_is_an_error_that_says_what_to_do() {
    let with = |vocabulary: &str, class: &str| {
        refused(&model(vocabulary, [("tokenizer_config", json!({"tokenizer_class": class}))]))
    };
    let unknown = with("llama", "XLNetTokenizer");
    assert!(unknown.contains("'XLNetTokenizer'") && unknown.contains("save it again"), "{unknown}");
    assert!(with("llama", "GPT2Tokenizer").contains("vocab.json and merges.txt"));
    assert!(
        with("llama", "GPT2Tokenizer").contains("found tokenizer.model, tokenizer_config.json")
    );
    assert!(with("llama", "GemmaTokenizer").contains("space before each text"));
    assert!(with("llama", "T5Tokenizer").contains("Unigram"));
    assert!(refused(&model("llama", [])).contains("neither tokenizer_config.json nor config.json"));
    let silent = refused(&model("llama", [("config", json!({"model_type": "new"}))]));
    assert!(silent.contains("'new'"), "{silent}");

    let tekken = tempfile::tempdir().unwrap();
    fs::write(tekken.path().join("tekken.json"), "{}").unwrap();
    fs::write(tekken.path().join("config.json"), r#"{"model_type": "mistral"}"#).unwrap();
    let message = refused(&tekken);
    assert!(message.contains("tekken.json") && message.contains("save it again"), "{message}");

    let unigram = model("t5", [("tokenizer_config", json!({"tokenizer_class": "LlamaTokenizer"}))]);
    fs::rename(unigram.path().join("spiece.model"), unigram.path().join("tokenizer.model"))
        .unwrap();
    assert!(refused(&unigram).contains("byte pair encoding"));
    fs::write(unigram.path().join("tokenizer.model"), "IQ== 0\nIg== 1\n").unwrap();
    assert!(refused(&unigram).contains("not a SentencePiece model"));
}

#[test]
fn settings_that_do_not_fit_are_errors() {
    let with = |name: &'static str, value: Value| {
        let class = ("config", json!({"tokenizer_class": "LlamaTokenizer"}));
        refused(&model("llama", [class, (name, value)]))
    };
    let decoder = |token: Value| json!({"added_tokens_decoder": {"7000": token}});
    assert!(with("tokenizer_config", decoder(json!({"content": "<x>"}))).contains("7000"));
    assert!(with("tokenizer_config", decoder(json!({"content": 1}))).contains("a token"));
    assert!(
        with("tokenizer_config", decoder(json!({"content": "<x>", "lstrip": 1})))
            .contains("lstrip")
    );
    assert!(with("tokenizer_config", json!({"added_tokens_decoder": 1})).contains("an object"));
    assert!(
        with("tokenizer_config", json!({"added_tokens_decoder": {"-1": "x"}})).contains("an id")
    );
    let twice = json!({"added_tokens_decoder": {"450": "x", "0450": "y"}});
    assert!(with("tokenizer_config", twice).contains("the only one of its id"));
    assert!(with("tokenizer_config", json!({"legacy": "yes"})).contains("true or false"));
    assert!(with("tokenizer_config", json!({"additional_special_tokens": "x"})).contains("a list"));
    assert!(with("tokenizer_config", json!([])).contains("tokenizer_config.json"));
    assert!(with("added_tokens", json!({"<x>": 450, "<y>": 450})).contains("the id 450"));
    assert!(with("added_tokens", json!({"<x>": -1})).contains("an id"));
}

#[test]
fn a_vocabulary_that_does_not_fit_is_an_error() {
    let gpt2 = || model("byte_level", [("config", json!({"model_type": "gpt2"}))]);
    let folder = gpt2();
    fs::write(folder.path().join("merges.txt"), "#version: 0.2\nno_such no_token\n").unwrap();
    assert!(build(&folder).is_err());
    let folder = gpt2();
    fs::write(folder.path().join("merges.txt"), b"\xff").unwrap();
    assert!(refused(&folder).contains("UTF-8"));
    let folder = gpt2();
    fs::write(folder.path().join("vocab.json"), "[]").unwrap();
    assert!(build(&folder).is_err());
    let folder = model("word_piece", [("config", json!({"model_type": "bert"}))]);
    fs::write(folder.path().join("vocab.txt"), "a\nb\n").unwrap();
    assert!(refused(&folder).contains("[UNK]"));
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_refused() {
    let outside = model("llama", []);
    let folder = model("byte_level", [("config", json!({"model_type": "llama"}))]);
    let link = |name| {
        std::os::unix::fs::symlink(outside.path().join("tokenizer.model"), folder.path().join(name))
    };
    link("tokenizer.model").unwrap();
    assert!(refused(&folder).contains("leads out"));
    link("tokenizer_config.json").unwrap();
    assert!(refused(&folder).contains("leads out"));
}

#[test]
fn files_are_copied_as_they_are_and_what_is_missing_is_added() {
    let folder = model("llama", [("config", json!({"model_type": "llama"}))]);
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("chat_template.jinja", "{{ x }}\r\n");
    fs::create_dir(folder.path().join("additional_chat_templates")).unwrap();
    write("additional_chat_templates/tool.jinja", "{{ tool }}");
    write("additional_chat_templates/notes.txt", "not a template");
    write("README.md", "not of the tokenizer");

    let found = suite(&folder).unwrap();
    let files = ["additional_chat_templates/tool.jinja", "chat_template.jinja", "tokenizer.model"];
    assert_eq!(found.files, files);
    assert_eq!(found.built_from, Some(vec!["tokenizer.model".to_owned()]));
    let place = tempfile::tempdir().unwrap();
    let target = write_into(&found, &place);
    for file in files {
        let read = |folder: &Path| fs::read(folder.join(file)).unwrap();
        assert_eq!(read(folder.path()), read(&target), "{file}");
    }
    assert!(!target.join("README.md").exists());

    // What was written is a suite that lacks nothing.
    let again = TokenizerSuite::of(&SourceFolder::open(&target).unwrap()).unwrap();
    assert_eq!((again.files.len(), again.built_from.clone()), (4, None));
    assert_eq!(again.build().unwrap(), None);
    let check = serde_json::to_value(check_tokenizer(&target, Some(450)).unwrap()).unwrap();
    assert_eq!(check["chat_template"], json!({"in": "file", "names": ["tool"]}));
    assert_eq!((&check["tokens"], &check["largest_id"]), (&json!(450), &json!(449)));
}

#[test]
fn the_check_finds_what_does_not_work() {
    let folder = model("byte_level", [("config", json!({"model_type": "gpt2"}))]);
    assert!(check_tokenizer(folder.path(), None).is_err());
    let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
    write("tokenizer.json", &build(&folder).unwrap());
    let check = |rows| check_tokenizer(folder.path(), rows);
    let refused = |rows| check(rows).unwrap_err().to_string();

    assert!(check(None).is_ok() && check(Some(380)).is_ok());
    assert!(refused(Some(379)).contains("the id 379, but the embedding of the model has 379 rows"));

    write("tokenizer_config.json", br#"{"pad_token": "<|pad|>", "add_bos_token": false}"#);
    assert!(refused(None).contains("the pad_token '<|pad|>'"));
    write("tokenizer_config.json", br#"{"extra_special_tokens": ["<|x|>"]}"#);
    assert!(refused(None).contains("extra_special_tokens[0] '<|x|>'"));
    let settings = json!({"pad_token": "<|pad|>", "added_tokens_decoder": {"380": "<|pad|>"}});
    write("tokenizer_config.json", settings.to_string().as_bytes());
    assert_eq!(check(Some(381)).unwrap().special_tokens["pad_token"], 380);
    assert!(check(Some(380)).is_err());

    for (template, found) in [
        (json!("{{ x }}"), json!({"in": "tokenizer_config"})),
        (json!([{"name": "tool"}]), json!({"in": "tokenizer_config_named", "names": ["tool"]})),
        (json!([]), Value::Null),
        (Value::Null, Value::Null),
    ] {
        let settings = json!({"chat_template": template});
        write("tokenizer_config.json", settings.to_string().as_bytes());
        let check = check(None).unwrap();
        assert_eq!(serde_json::to_value(check.chat_template).unwrap(), found);
    }
    write("tokenizer_config.json", br#"{"chat_template": [{"template": "x"}]}"#);
    assert!(refused(None).contains("without a name"));
    write("tokenizer_config.json", b"{}");

    for text in ["", "{}", "version https://git-lfs.github.com/spec/v1\n"] {
        write("tokenizer.json", text.as_bytes());
        assert!(check(None).is_err(), "{text}");
    }
    // No merges, no single characters: nothing can be encoded.
    let empty =
        json!({"version": "1.0", "model": {"type": "BPE", "vocab": {"x": 0}, "merges": []}});
    write("tokenizer.json", empty.to_string().as_bytes());
    assert!(refused(None).contains("nothing is left"));
}
