//! Folders of aligned models, written whole, and what `verify` and `inspect` make of them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use collimate_artifact::{
    Alignment, ArtifactError, ArtifactEvent, ArtifactWriter, Dataset, Form, Measurement, Parent,
    Replace, Sharding, Technique, Verification, Written, inspect, verify,
};
use collimate_peft::{Adapter, AdapterKey, AdapterPart, AdapterTensor, LoraConfig, MergeDtype};
use collimate_tensors::{Checkpoint, Dtype, Layout, shards, write_safetensors};
use serde_json::{Value, json};

const WIDTH: usize = 8;
const WORDS: [&str; 4] = ["<unk>", "</s>", "hello", "world"];

/// A scratch folder with a base model of two layers, tied.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let base = place.base();
        fs::create_dir(&base).unwrap();
        write_json(
            &base.join("config.json"),
            &json!({
                "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH,
                "intermediate_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2,
                "vocab_size": WORDS.len(), "tie_word_embeddings": true, "dtype": "float32",
                "eos_token_id": 1, "rms_norm_eps": 1e-6,
            }),
        );
        let vocabulary: BTreeMap<_, _> = WORDS.iter().zip(0..).collect();
        write_json(
            &base.join("tokenizer.json"),
            &json!({
                "version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"},
                "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
            }),
        );
        let config = json!({"eos_token": "</s>", "chat_template": "{{ messages }}"});
        write_json(&base.join("tokenizer_config.json"), &config);
        let card = "---\nlicense: apache-2.0\n---\n# Base\n";
        fs::write(base.join("README.md"), card).unwrap();
        fs::write(base.join("LICENSE"), "terms").unwrap();
        fs::write(base.join("optimizer.pt"), "state").unwrap();
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        write_safetensors(base.join("model.safetensors"), &metadata, tensors()).unwrap();
        place
    }

    fn base(&self) -> PathBuf {
        self.folder.path().join("Fern-1B")
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn parent(&self) -> Parent {
        Parent::open(self.base()).unwrap().with_reference("garden/Fern-1B")
    }

    /// What is in the scratch folder beside the base model.
    fn others(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "Fern-1B").collect()
    }
}

fn tensors() -> Vec<(String, Dtype, Vec<u64>, Vec<u8>)> {
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), vec![WORDS.len(), WIDTH]),
        ("model.norm.weight".to_owned(), vec![WIDTH]),
    ];
    for layer in 0..2 {
        for name in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            let name = format!("model.layers.{layer}.self_attn.{name}.weight");
            shapes.push((name, vec![WIDTH, WIDTH]));
        }
        for name in ["gate_proj", "up_proj", "down_proj"] {
            shapes.push((format!("model.layers.{layer}.mlp.{name}.weight"), vec![WIDTH, WIDTH]));
        }
    }
    let of = |(name, shape): (String, Vec<usize>)| {
        let count: usize = shape.iter().product();
        let numbers = (0..count).map(|at| ((at * 7 + name.len()) % 13) as f32 / 40.0 - 0.15);
        let bytes = numbers.flat_map(f32::to_le_bytes).collect();
        (name, Dtype::F32, shape.iter().map(|&size| size as u64).collect(), bytes)
    };
    shapes.into_iter().map(of).collect()
}

fn adapter(modules: &[&str], step: usize) -> Adapter {
    let rows = |module: &str| if module == "lm_head" { WORDS.len() } else { WIDTH };
    let numbers = |count: usize| -> Vec<f32> {
        (0..count).map(|at| ((at * step) % 5) as f32 / 10.0 - 0.2).collect()
    };
    let tensors = modules.iter().flat_map(|&module| {
        let (rows, columns) = (rows(module), WIDTH);
        let a = AdapterTensor::from_f32(vec![2, columns as u64], &numbers(2 * columns));
        let b = AdapterTensor::from_f32(vec![rows as u64, 2], &numbers(rows * 2));
        [(AdapterKey::new(module, AdapterPart::A), a), (AdapterKey::new(module, AdapterPart::B), b)]
    });
    let tensors: Vec<_> = tensors.collect();
    let targets = modules.iter().map(|module| module.rsplit('.').next().unwrap().to_owned());
    let targets: std::collections::BTreeSet<String> = targets.collect();
    Adapter::new(LoraConfig::new(2).with_target_modules(targets), tensors).unwrap()
}

fn query_adapter() -> Adapter {
    adapter(&["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"], 3)
}

fn alignment() -> Alignment {
    let technique = Technique::new("sft", json!({"epochs": 2})).unwrap();
    let at = "2026-01-31T12:00:00Z".parse().unwrap();
    let data = Dataset::new("Seeds").with_hub_id("garden/seeds").with_rows(90).with_split("train");
    let loss = Measurement::new("perplexity", 12.5, at, "test").unwrap();
    Alignment::new("Fern: tamed", technique, at)
        .with_run_id("run-7")
        .with_training([("seed".to_owned(), json!(42))].into_iter().collect())
        .with_dataset(data.clone())
        .with_evaluation(data, loss)
        .with_language("en")
}

fn write_json(path: &Path, value: &Value) {
    fs::write(path, value.to_string()).unwrap();
}

fn read_json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn go_on() -> AtomicBool {
    AtomicBool::new(false)
}

fn standalone(place: &Place) -> Written {
    let (parent, alignment, adapter) = (place.parent(), alignment(), query_adapter());
    ArtifactWriter::new(&parent, &alignment)
        .with_adapter(&adapter, 1.0)
        .write_standalone(place.out(), &go_on(), &mut ())
        .unwrap()
}

fn all(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(path) = folders.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

fn errors(folder: &Path) -> Vec<String> {
    let found: Verification = verify(folder, &go_on(), &mut ()).unwrap();
    found.errors().map(ToString::to_string).collect()
}

#[test]
fn a_standalone_folder_has_everything_and_the_parent_stays() {
    let place = Place::new();
    let before = all(&place.base());
    let written = standalone(&place);
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
    standalone(&place);
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
fn the_card_says_what_was_given_and_nothing_else() {
    let place = Place::new();
    standalone(&place);
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
    standalone(&one);
    standalone(&two);
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

    let written = standalone(&place);
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
    standalone_at(&place, "again");
    let path = place.folder.path().join("again/model.safetensors.index.json");
    let mut lie = read_json(&path);
    lie["metadata"]["total_size"] = json!(1);
    write_json(&path, &lie);
    let errors = errors(&place.folder.path().join("again"));
    assert!(errors.iter().any(|error| error.contains("total_size is 1")), "{errors:?}");
}

fn standalone_at(place: &Place, name: &str) {
    let (parent, alignment, adapter) = (place.parent(), alignment(), query_adapter());
    ArtifactWriter::new(&parent, &alignment)
        .with_adapter(&adapter, 1.0)
        .write_standalone(place.folder.path().join(name), &go_on(), &mut ())
        .unwrap();
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
    assert!(writer.write_adapter(place.folder.path().join("alone"), &go_on(), &mut ()).is_err());
}

#[test]
fn an_adapter_alone_names_its_parent() {
    let place = Place::new();
    let (alignment, adapter) = (alignment(), query_adapter());
    let absent = Parent::absent("garden/Fern-1B").unwrap();
    let writer = ArtifactWriter::new(&absent, &alignment).with_adapter(&adapter, 1.0);
    let error = writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("never made up"), "{error}");
    assert_eq!(place.others(), Vec::<String>::new());

    let writer = writer.with_tokenizer(place.base());
    let written = writer.write_adapter(place.out(), &go_on(), &mut ()).unwrap();
    assert_eq!(written.form, Form::Adapter);
    assert!(written.tokenizer && !place.out().join("config.json").exists());
    let record = read_json(place.out().join("alignment_info.json"));
    assert_eq!(record["standalone"], false);
    let config = read_json(place.out().join("adapter_config.json"));
    assert_eq!(config["base_model_name_or_path"], "garden/Fern-1B");
    assert_eq!(errors(&place.out()), Vec::<String>::new());
    let about = inspect(place.out()).unwrap();
    assert_eq!(about.parent_id.as_deref(), Some("garden/Fern-1B"));
    assert!(about.origin.starts_with("Fern: tamed, an adapter for Fern-1B (garden/Fern-1B)"));

    // With the parent at hand, an adapter of another model is refused.
    let parent = place.parent();
    let other = self::adapter(&["model.layers.5.self_attn.q_proj"], 3);
    let writer = ArtifactWriter::new(&parent, &alignment).with_adapter(&other, 1.0);
    let error = writer.write_adapter(place.folder.path().join("x"), &go_on(), &mut ()).unwrap_err();
    assert!(matches!(error, ArtifactError::Peft(_)), "{error}");
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
fn an_existing_folder_is_replaced_only_when_asked() {
    let place = Place::new();
    fs::create_dir(place.out()).unwrap();
    fs::write(place.out().join("mine"), "mine").unwrap();
    let (parent, alignment, adapter) = (place.parent(), alignment(), query_adapter());
    let writer = ArtifactWriter::new(&parent, &alignment).with_adapter(&adapter, 1.0);
    let error = writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap_err();
    assert!(matches!(error, ArtifactError::Exists { .. }), "{error}");
    assert_eq!(all(&place.out()).len(), 1);
    let writer = writer.with_replace(Replace::Existing);
    writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap();
    assert!(!place.out().join("mine").exists());
    assert_eq!(place.others(), ["out"]);
}

#[test]
fn what_is_cancelled_or_changes_meanwhile_leaves_nothing() {
    let place = Place::new();
    let (parent, alignment, adapter) = (place.parent(), alignment(), query_adapter());
    let writer = ArtifactWriter::new(&parent, &alignment).with_adapter(&adapter, 1.0);
    let cancelled = go_on();
    let mut stop = |event: &ArtifactEvent| {
        if matches!(event, ArtifactEvent::Merged { .. }) {
            cancelled.store(true, Ordering::Relaxed);
        }
    };
    let error = writer.write_standalone(place.out(), &cancelled, &mut stop).unwrap_err();
    assert!(matches!(error, ArtifactError::Cancelled), "{error}");
    assert_eq!(place.others(), Vec::<String>::new());

    let weights = place.base().join("model.safetensors");
    let mut change = |event: &ArtifactEvent| {
        if matches!(event, ArtifactEvent::FileWritten { .. }) {
            let bytes = fs::read(&weights).unwrap();
            fs::write(&weights, [bytes.as_slice(), b"more"].concat()).unwrap();
        }
    };
    let error = writer.write_standalone(place.out(), &go_on(), &mut change).unwrap_err();
    assert!(error.to_string().contains("model.safetensors"), "{error}");
    assert_eq!(place.others(), Vec::<String>::new());
}

#[test]
fn verify_finds_what_is_wrong_and_where() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
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
        ("tokenizer.json", |folder| fs::write(folder.join("tokenizer.json"), "{}").unwrap()),
    ];
    let place = Place::new();
    for (number, (expected, damage)) in damages.into_iter().enumerate() {
        let name = format!("damaged-{number}");
        standalone_at(&place, &name);
        let folder = place.folder.path().join(name);
        damage(&folder);
        let errors = errors(&folder);
        assert!(errors.iter().any(|error| error.contains(expected)), "{expected}: {errors:?}");
    }
}

fn change(path: &Path, key: &str, value: Value) {
    let mut json = read_json(path);
    json[key] = value;
    write_json(path, &json);
}
