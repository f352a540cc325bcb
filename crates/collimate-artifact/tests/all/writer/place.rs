//! A scratch folder with a model, and what is made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use collimate_artifact::{
    Alignment, ArtifactWriter, Dataset, Measurement, Parent, Technique, Written, verify,
};
use collimate_peft::{Adapter, AdapterKey, AdapterPart, AdapterTensor, LoraConfig};
use collimate_tensors::{Dtype, write_safetensors};
use serde_json::{Value, json};

pub const WIDTH: usize = 8;
pub const WORDS: [&str; 4] = ["<unk>", "</s>", "hello", "world"];

/// A scratch folder with a base model of two layers, tied.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
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

    pub fn base(&self) -> PathBuf {
        self.folder.path().join("Fern-1B")
    }

    pub fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    pub fn parent(&self) -> Parent {
        Parent::open(self.base()).unwrap().with_reference("garden/Fern-1B")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What is in the scratch folder beside the base model.
    pub fn others(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "Fern-1B").collect()
    }
}

pub fn tensors() -> Vec<(String, Dtype, Vec<u64>, Vec<u8>)> {
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

pub fn adapter(modules: &[&str], step: usize) -> Adapter {
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
    let targets: BTreeSet<String> = targets.collect();
    Adapter::new(LoraConfig::new(2).with_target_modules(targets), tensors).unwrap()
}

pub fn query_adapter() -> Adapter {
    adapter(&["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"], 3)
}

pub fn alignment() -> Alignment {
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

pub fn write_json(path: &Path, value: &Value) {
    fs::write(path, value.to_string()).unwrap();
}

pub fn read_json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

pub fn go_on() -> AtomicBool {
    AtomicBool::new(false)
}

pub fn standalone(place: &Place, name: &str) -> Written {
    let (parent, alignment, adapter) = (place.parent(), alignment(), query_adapter());
    ArtifactWriter::new(&parent, &alignment)
        .with_adapter(&adapter, 1.0)
        .write_standalone(place.path(name), &go_on(), &mut ())
        .unwrap()
}

pub fn all(folder: &Path) -> BTreeMap<String, Vec<u8>> {
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

pub fn errors(folder: &Path) -> Vec<String> {
    let found = verify(folder, &go_on(), &mut ()).unwrap();
    found.errors().map(ToString::to_string).collect()
}

pub fn change(path: &Path, key: &str, value: Value) {
    let mut json = read_json(path);
    json[key] = value;
    write_json(path, &json);
}
