//! What is wrong with a folder, and where.

use std::fs;
use std::path::Path;

use collimate_artifact::{ArtifactWriter, Severity, verify};
use serde_json::json;

use super::place::{
    Place, alignment, change, errors, go_on, query_adapter, read_json, standalone, write_json,
};

#[test]
fn verify_finds_what_is_wrong_and_where() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 15] = [
        ("model.safetensors: it changed", |folder| {
            let path = folder.join("model.safetensors");
            let mut bytes = fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("LICENSE: it is missing", |folder| fs::remove_file(folder.join("LICENSE")).unwrap()),
        ("a second time where they are merged", |folder| {
            fs::copy(
                folder.join("adapter/adapter_config.json"),
                folder.join("adapter_config.json"),
            )
            .unwrap();
        }),
        ("it states 3 layers, the weights have 2", |folder| {
            change(&folder.join("config.json"), "num_hidden_layers", json!(3));
        }),
        ("its parent_model is 'other/model'", |folder| {
            change(&folder.join("config.json"), "parent_model", json!("other/model"));
        }),
        ("tokenizer.json: ", |folder| {
            fs::write(folder.join("tokenizer.json"), "{}").unwrap();
            // Else it is enough that the file changed.
            fs::remove_file(folder.join("SHA256SUMS")).unwrap();
        }),
        ("there is no tokenizer", |folder| {
            for file in ["tokenizer.json", "tokenizer_config.json"] {
                fs::remove_file(folder.join(file)).unwrap();
            }
        }),
        ("new: it was not there", |folder| fs::write(folder.join("new"), "").unwrap()),
        ("model.embed_tokens.weight is [4, 8]; [5, 8] follows", |folder| {
            change(&folder.join("config.json"), "vocab_size", json!(5));
        }),
        ("an adapter alone", |folder| {
            change(&folder.join("alignment_info.json"), "standalone", json!(false));
        }),
        ("its technique is 'dpo', elsewhere 'sft'", |folder| {
            change(&folder.join("config.json"), "alignment_technique", json!("dpo"));
        }),
        ("its base_model is 'other/model'", |folder| {
            let card = "---\nbase_model: other/model\n---\n";
            fs::write(folder.join("README.md"), card).unwrap();
        }),
        ("there is no adapter in 'adapter'", |folder| {
            fs::remove_dir_all(folder.join("adapter")).unwrap();
        }),
        ("'../adapter' leads out of the folder", |folder| {
            let adapters = json!([{"path": "../adapter", "weight": 1.0}]);
            change(&folder.join("alignment_info.json"), "adapters", adapters);
        }),
        ("adapter: ", |folder| {
            change(&folder.join("adapter/adapter_config.json"), "r", json!(3));
        }),
    ];
    let place = Place::new();
    for (number, (expected, damage)) in damages.into_iter().enumerate() {
        let name = format!("damaged-{number}");
        standalone(&place, &name);
        let folder = place.path(&name);
        damage(&folder);
        let errors = errors(&folder);
        assert!(errors.iter().any(|error| error.contains(expected)), "{expected}: {errors:?}");
    }
}

#[test]
fn verify_finds_what_is_wrong_with_an_adapter() {
    let place = Place::new();
    let (parent, alignment, adapter) = (place.parent(), alignment(), query_adapter());
    let writer = ArtifactWriter::new(&parent, &alignment).with_adapter(&adapter, 1.0);
    writer.write_adapter(place.out(), &go_on(), &mut ()).unwrap();
    assert_eq!(errors(&place.out()), Vec::<String>::new());
    let config = place.out().join("adapter_config.json");
    change(&config, "base_model_name_or_path", json!("other/model"));
    let found = errors(&place.out());
    let expected = "its base_model_name_or_path is 'other/model', elsewhere 'garden/Fern-1B'";
    assert!(found.iter().any(|error| error.contains(expected)), "{found:?}");
    change(&config, "peft_type", json!("IA3"));
    let found = errors(&place.out());
    assert!(found.iter().any(|error| error.contains("IA3")), "{found:?}");
}

#[test]
fn what_is_worth_knowing_is_noted() {
    let place = Place::new();
    standalone(&place, "out");
    let folder = place.out();
    let notes = || -> Vec<String> {
        let found = verify(&folder, &go_on(), &mut ()).unwrap();
        assert!(found.is_sound(), "{found:?}");
        let is_note = |finding: &&collimate_artifact::Finding| finding.severity == Severity::Note;
        found.findings.iter().filter(is_note).map(ToString::to_string).collect()
    };
    assert_eq!(notes(), Vec::<String>::new());
    fs::remove_file(folder.join("SHA256SUMS")).unwrap();
    let mut tokenizer = read_json(folder.join("tokenizer_config.json"));
    tokenizer.as_object_mut().unwrap().remove("chat_template");
    write_json(&folder.join("tokenizer_config.json"), &tokenizer);
    change(&folder.join("config.json"), "dtype", json!("bfloat16"));
    fs::remove_file(folder.join("alignment_info.json")).unwrap();
    let found = notes();
    for expected in [
        "it has no checksums",
        "config.json: the type of the weights is said to be bfloat16, it is float32",
        "alignment_info.json is not there",
        "tokenizer_config.json: there is no chat template",
    ] {
        assert!(found.iter().any(|note| note.contains(expected)), "{expected}: {found:?}");
    }
}
