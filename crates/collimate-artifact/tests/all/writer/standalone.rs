//! Whole models.

use std::collections::BTreeMap;
use std::fs;

use collimate_artifact::{
    Alignment, ArtifactEvent, ArtifactWriter, Parent, Replace, Sharding, Technique, inspect,
};
use collimate_peft::MergeDtype;
use collimate_tensors::{Checkpoint, Dtype, Layout, shards, write_safetensors};
use serde_json::{Value, json};

use super::place::{
    Place, adapter, alignment, all, change, errors, go_on, query_adapter, read_json, standalone,
    tensors, write_json,
};

#[test]
fn a_standalone_folder_has_everything_and_the_parent_stays() {
    let place = Place::new();
    let before = all(&place.base());
    let written = standalone(&place, "out");
    assert_eq!(all(&place.base()), before);
    assert_eq!(written.left_out, ["README.md", "optimizer.pt"]);
    let files = all(&place.out());
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    let expected = [
        "LICENSE",
        "README.md",
        "SHA256SUMS",
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "alignment_info.json",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "model_card.json",
        "sft_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "training_config.json",
    ];
    assert_eq!(names, expected);
    assert_eq!(place.others(), ["out"]);
    for copied in ["LICENSE", "tokenizer.json", "tokenizer_config.json"] {
        assert_eq!(files[copied], before[copied]);
    }

    let config = read_json(place.out().join("config.json"));
    for (key, value) in read_json(place.base().join("config.json")).as_object().unwrap() {
        assert_eq!(&config[key], value);
    }
    assert_eq!(config["aligned_model"], true);
    assert_eq!(config["alignment_technique"], "sft");
    assert_eq!(config["parent_model"], "garden/Fern-1B");
    assert_eq!(config["parent_model_name"], "Fern-1B");
    assert_eq!(config["alignment_timestamp"], "2026-01-31T12:00:00Z");
    assert_eq!(config["model_name"], "Fern: tamed");
    assert_eq!(config["peft_config"]["r"], 2);
    assert_eq!(config["peft_config"]["base_model_name_or_path"], "garden/Fern-1B");
    assert_eq!(read_json(place.out().join("training_config.json")), json!({"seed": 42}));
    assert_eq!(read_json(place.out().join("generation_config.json"))["eos_token_id"], 1);

    assert_eq!(errors(&place.out()), Vec::<String>::new());
    let about = inspect(place.out()).unwrap();
    assert!(about.is_aligned);
    assert_eq!(
        about.origin,
        "Fern: tamed, made from Fern-1B (garden/Fern-1B) with Supervised fine-tuning on 2026-01-31"
    );
}

#[test]
fn the_weights_are_merged_and_the_rest_is_copied() {
    let place = Place::new();
    standalone(&place, "out");
    let (base, merged) =
        (Checkpoint::open(place.base()).unwrap(), Checkpoint::open(place.out()).unwrap());
    let mut changed = Vec::new();
    for tensor in base.tensors() {
        if merged.get(tensor.name()).unwrap().bytes().unwrap() != tensor.bytes().unwrap() {
            changed.push(tensor.name());
        }
    }
    assert_eq!(
        changed,
        ["model.layers.0.self_attn.q_proj.weight", "model.layers.1.self_attn.q_proj.weight"]
    );
}

#[test]
fn weights_of_which_all_were_trained_make_a_model_of_their_own() {
    let place = Place::new();
    // Trained in another type, with all matrices in one file that has another order, and without a card.
    let trained = place.path("trained");
    fs::create_dir(&trained).unwrap();
    let of_f32 = |bytes: Vec<u8>| -> Vec<u8> {
        let number = |at: &[u8]| f32::from_le_bytes(at.try_into().unwrap()) + 1.0;
        bytes.chunks(4).flat_map(|at| number(at).to_le_bytes()).collect()
    };
    let changed = tensors()
        .into_iter()
        .rev()
        .map(|(name, dtype, shape, bytes)| (name, dtype, shape, of_f32(bytes)));
    write_safetensors(trained.join("model.safetensors"), &BTreeMap::new(), changed).unwrap();
    let (parent, alignment) = (place.parent(), alignment());
    let writer = ArtifactWriter::new(&parent, &alignment).with_trained_weights(&trained);
    let written = writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap();
    assert!(written.merge.unwrap().adapters.is_empty());
    assert_eq!(written.left_out, ["README.md", "optimizer.pt"]);
    let (here, there) =
        (Checkpoint::open(place.out()).unwrap(), Checkpoint::open(&trained).unwrap());
    assert_eq!(here.names().len(), tensors().len());
    for tensor in there.tensors() {
        let written = here.get(tensor.name()).unwrap();
        assert_eq!(written.bytes().unwrap(), tensor.bytes().unwrap());
    }
    assert!(!place.out().join("adapter").exists());
    assert!(read_json(place.out().join("config.json")).get("peft_config").is_none());
    let card = read_json(place.out().join("model_card.json"));
    assert_eq!((&card["adapters"], &card["parameters"]), (&json!(0), &card["trained_parameters"]));
    assert_eq!(card["parameters"], here.parameters());
    let text = fs::read_to_string(place.out().join("README.md")).unwrap();
    assert!(text.contains("(100.000%)") && !text.contains("`adapter/`"), "{text}");
    assert_eq!(errors(&place.out()), Vec::<String>::new());

    // In a type of its own, and where the parent's is to be kept in that.
    let of =
        |out: &str| Checkpoint::open(place.path(out)).unwrap().tensors().next().unwrap().dtype();
    let narrow = writer.clone().with_dtype(MergeDtype::Bf16);
    narrow.write_standalone(place.path("narrow"), &go_on(), &mut ()).unwrap();
    assert_eq!(of("narrow"), Dtype::BF16);
    assert_eq!(read_json(place.path("narrow").join("config.json"))["dtype"], "bfloat16");
    let parent = Parent::open(place.path("narrow")).unwrap();
    let kept = ArtifactWriter::new(&parent, &alignment).with_trained_weights(&trained);
    kept.write_standalone(place.path("kept"), &go_on(), &mut ()).unwrap();
    assert_eq!(of("kept"), Dtype::BF16);
}

#[test]
fn the_card_says_what_was_given_and_nothing_else() {
    let place = Place::new();
    standalone(&place, "out");
    let card = fs::read_to_string(place.out().join("README.md")).unwrap();
    let head = "---\nbase_model: garden/Fern-1B\nbase_model_relation: finetune\ndatasets:\n\
                - garden/seeds\nlanguage:\n- en\nlibrary_name: transformers\nlicense: apache-2.0\n\
                metrics:\n- perplexity\npipeline_tag: text-generation\ntags:\n- aligned\n\
                - collimate\n- sft\nmodel-index:\n- name: \"Fern: tamed\"\n  results:\n  - task:\n\
                \x20     type: text-generation\n    dataset:\n      name: Seeds\n\
                \x20     type: garden/seeds\n      split: train\n    metrics:\n\
                \x20   - type: perplexity\n      value: 12.5\n---\n\n# Fern: tamed\n";
    assert!(card.starts_with(head), "{card}");
    assert!(card.contains("folder = \".\"\n"), "{card}");
    assert!(card.contains("apply_chat_template"), "{card}");
    assert!(card.contains("| perplexity | 12.5 |  | Seeds |"), "{card}");
    let json = read_json(place.out().join("model_card.json"));
    assert_eq!(json["evaluations"][0]["measurement"]["value"], 12.5);
    assert_eq!(json["description"], Value::Null);
}

#[test]
fn equal_input_gives_equal_bytes() {
    let (one, two) = (Place::new(), Place::new());
    standalone(&one, "out");
    standalone(&two, "out");
    assert_eq!(all(&one.out()), all(&two.out()));
}

#[test]
fn shards_are_those_of_the_parent_or_of_a_size() {
    let place = Place::new();
    let mut layout = Layout::new();
    let tensors = tensors();
    for (name, dtype, shape, _) in &tensors {
        layout.push(name, *dtype, shape.as_slice()).unwrap();
    }
    let split = shards(&layout, 2000);
    assert!(split.files.len() > 1);
    for shard in &split.files {
        let of_shard = |name: &str| shard.layout.tensors().iter().any(|t| t.name == name);
        let part = tensors.iter().filter(|(name, ..)| of_shard(name)).cloned();
        write_safetensors(place.base().join(&shard.file), &BTreeMap::new(), part).unwrap();
    }
    fs::remove_file(place.base().join("model.safetensors")).unwrap();
    let index = split.index.as_ref().unwrap();
    fs::write(place.base().join("model.safetensors.index.json"), index.to_json()).unwrap();

    let written = standalone(&place, "out");
    assert_eq!(written.left_out, ["README.md", "optimizer.pt"]);
    let found = read_json(place.out().join("model.safetensors.index.json"));
    assert_eq!(found["weight_map"], json!(index.weight_map));
    assert_eq!(found["metadata"]["total_size"], layout.data_len());

    let (parent, alignment, adapter) = (place.parent(), alignment(), query_adapter());
    let writer = ArtifactWriter::new(&parent, &alignment)
        .with_adapter(&adapter, 1.0)
        .with_dtype(MergeDtype::Bf16)
        .with_sharding(Sharding::MaxBytes(1 << 20))
        .with_replace(Replace::Existing);
    writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap();
    assert!(!place.out().join("model.safetensors.index.json").exists());
    assert_eq!(read_json(place.out().join("config.json"))["dtype"], "bfloat16");
    assert_eq!(errors(&place.out()), Vec::<String>::new());

    // An index that lies is found.
    standalone(&place, "again");
    let path = place.path("again/model.safetensors.index.json");
    let mut lie = read_json(&path);
    lie["metadata"]["total_size"] = json!(1);
    write_json(&path, &lie);
    let errors = errors(&place.path("again"));
    assert!(errors.iter().any(|error| error.contains("total_size is 1")), "{errors:?}");
}

#[test]
fn a_head_that_changes_alone_is_untied() {
    let place = Place::new();
    let (parent, alignment, adapter) = (place.parent(), alignment(), adapter(&["lm_head"], 3));
    let writer = ArtifactWriter::new(&parent, &alignment).with_adapter(&adapter, 1.0);
    let written = writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap();
    assert!(written.merge.unwrap().untied);
    assert_eq!(read_json(place.out().join("config.json"))["tie_word_embeddings"], false);
    let merged = Checkpoint::open(place.out()).unwrap();
    assert!(merged.get("lm_head.weight").is_some());
    assert_eq!(errors(&place.out()), Vec::<String>::new());
}

#[test]
fn several_adapters_stand_beside_each_other_with_their_weights() {
    let place = Place::new();
    let (parent, alignment) = (place.parent(), alignment());
    let (one, two) = (
        query_adapter(),
        adapter(&["model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj"], 2),
    );
    let writer =
        ArtifactWriter::new(&parent, &alignment).with_adapter(&one, 0.5).with_adapter(&two, -1.0);
    writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap();
    let record = read_json(place.out().join("alignment_info.json"));
    let expected =
        json!([{"path": "adapters/1", "weight": 0.5}, {"path": "adapters/2", "weight": -1.0}]);
    assert_eq!(record["adapters"], expected);
    let card = fs::read_to_string(place.out().join("README.md")).unwrap();
    assert!(card.contains("base_model_relation: merge"), "{card}");
    assert_eq!(errors(&place.out()), Vec::<String>::new());
    // Alone, they would not be this model.
    assert!(writer.write_adapter(place.path("alone"), &go_on(), &mut ()).is_err());
}

#[test]
fn rlhf_has_policy_and_reward_model_in_folders_of_their_own() {
    let place = Place::new();
    let (parent, adapter) = (place.parent(), query_adapter());
    let technique = Technique::new("RLHF", json!({"algorithm": "PPO"})).unwrap();
    let alignment = Alignment::new("Fern", technique, "2026-01-31T12:00:00Z".parse().unwrap());
    let writer = ArtifactWriter::new(&parent, &alignment).with_adapter(&adapter, 1.0);
    let error = writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("'reward_model' has to be given"), "{error}");
    let writer = writer.with_companion("reward_model", place.base());
    writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap();
    for file in [
        "rlhf_config.json",
        "policy/config.json",
        "policy/model.safetensors",
        "policy/tokenizer.json",
        "policy/adapter/adapter_config.json",
        "reward_model/model.safetensors",
        "alignment_info.json",
        "README.md",
    ] {
        assert!(place.out().join(file).is_file(), "{file}");
    }
    assert_eq!(errors(&place.out()), Vec::<String>::new());
    let card = fs::read_to_string(place.out().join("README.md")).unwrap();
    assert!(card.contains("folder = \"policy\"\n"), "{card}");
}

#[test]
fn a_head_beside_its_embedding_is_untied_too() {
    let place = Place::new();
    let mut tensors = tensors();
    let (_, dtype, shape, bytes) = tensors[0].clone();
    tensors.push(("lm_head.weight".to_owned(), dtype, shape, bytes));
    write_safetensors(place.base().join("model.safetensors"), &BTreeMap::new(), tensors).unwrap();
    let (parent, alignment) = (place.parent(), alignment());
    for (modules, tied) in [
        (["lm_head"].as_slice(), false),
        (&["model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj"], true),
    ] {
        let adapter = adapter(modules, 3);
        let writer = ArtifactWriter::new(&parent, &alignment)
            .with_adapter(&adapter, 1.0)
            .with_replace(Replace::Existing);
        writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap();
        assert_eq!(read_json(place.out().join("config.json"))["tie_word_embeddings"], tied);
        assert_eq!(read_json(place.out().join("alignment_info.json"))["untied"], !tied);
    }
}

#[test]
fn what_is_reported_is_what_is_there() {
    let place = Place::new();
    let (parent, alignment, adapter) = (place.parent(), alignment(), query_adapter());
    let mut events = Vec::new();
    let mut note = |event: &ArtifactEvent| events.push(event.clone());
    let written = ArtifactWriter::new(&parent, &alignment)
        .with_adapter(&adapter, 1.0)
        .write_standalone(place.out(), &go_on(), &mut note)
        .unwrap();
    let files = all(&place.out());
    assert_eq!(written.bytes, files.values().map(|bytes| bytes.len() as u64).sum::<u64>());
    assert_eq!(files["SHA256SUMS"], written.checksums.to_string().as_bytes());
    assert_eq!(written.checksums.iter().count(), files.len() - 1);
    let merge = written.merge.unwrap();
    assert_eq!((merge.adapted, merge.untied), (2, false));
    let record = read_json(place.out().join("alignment_info.json"));
    assert_eq!(record["untied"], false);
    assert_eq!(record["coverage"], json!([merge.adapters[0].coverage]));
    assert_eq!(record["run_id"], "run-7");

    let of = merge.bytes;
    assert!(events.contains(&ArtifactEvent::Merged { bytes: of, of }));
    let written = |event: &&ArtifactEvent| matches!(event, ArtifactEvent::FileWritten { file, .. } if file.ends_with("model.safetensors"));
    assert_eq!(events.iter().filter(written).count(), 1);
    let verified = |event: &&ArtifactEvent| matches!(event, ArtifactEvent::FileVerified { .. });
    assert!(events.iter().any(|event| verified(&event)));
    assert_eq!(events.last(), Some(&ArtifactEvent::Published { path: place.out() }));
}

#[test]
fn generation_settings_and_the_code_of_the_model_are_copied() {
    let place = Place::new();
    let settings = json!({"temperature": 0.5, "eos_token_id": [1]});
    write_json(&place.base().join("generation_config.json"), &settings);
    fs::write(place.base().join("modeling_fern.py"), "pass").unwrap();
    // Nothing refers to the code yet.
    assert!(standalone(&place, "plain").left_out.contains(&"modeling_fern.py".to_owned()));
    change(&place.base().join("config.json"), "auto_map", json!({"AutoModel": "modeling_fern.F"}));
    let written = standalone(&place, "code");
    assert_eq!(written.left_out, ["README.md", "optimizer.pt"]);
    let (before, after) = (all(&place.base()), all(&place.path("code")));
    for file in ["generation_config.json", "modeling_fern.py"] {
        assert_eq!(after[file], before[file]);
    }
}

#[test]
fn an_adapter_with_a_weight_and_a_revision_is_described_so() {
    let place = Place::new();
    let (mut parent, alignment, adapter) = (place.parent(), alignment(), query_adapter());
    parent.revision = Some("0123abc".to_owned());
    let writer = ArtifactWriter::new(&parent, &alignment).with_adapter(&adapter, 0.5);
    writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap();
    let config = read_json(place.out().join("config.json"));
    assert_eq!(config["peft_config"][0]["weight"], 0.5);
    assert_eq!(config["peft_config"][0]["config"]["r"], 2);
    let record = read_json(place.out().join("alignment_info.json"));
    assert_eq!(record["adapters"], json!([{"path": "adapter", "weight": 0.5}]));
    assert_eq!(record["parent_revision"], "0123abc");
    let adapter = read_json(place.out().join("adapter/adapter_config.json"));
    assert_eq!(adapter["base_model_name_or_path"], "garden/Fern-1B");
    assert_eq!(adapter["revision"], "0123abc");
}

#[test]
fn a_tokenizer_can_come_from_elsewhere() {
    let place = Place::new();
    let other = place.path("tokenizer");
    fs::create_dir(&other).unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(place.base().join(file), other.join(file)).unwrap();
    }
    // Without a chat template the card shows no chat.
    write_json(&other.join("tokenizer_config.json"), &json!({"eos_token": "</s>"}));
    let (parent, alignment, adapter) = (place.parent(), alignment(), query_adapter());
    let writer =
        ArtifactWriter::new(&parent, &alignment).with_adapter(&adapter, 1.0).with_tokenizer(&other);
    writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap();
    let (given, files) = (all(&other), all(&place.out()));
    assert_eq!(files["tokenizer_config.json"], given["tokenizer_config.json"]);
    let card = String::from_utf8(files["README.md"].clone()).unwrap();
    assert!(!card.contains("apply_chat_template"), "{card}");
}
