//! Adapters in the MLX layout.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use collimate_peft::{
    Adapter, AdapterKey, AdapterPart, AdapterTensor, LoraConfig, Merge, MlxError, ModuleTree,
    PeftError, TargetModules,
};
use collimate_tensors::{Checkpoint, TensorFile};
use serde_json::{Value, json};

fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn llama() -> (Checkpoint, ModuleTree) {
    let base = Checkpoint::open(fixtures("merge/llama")).unwrap();
    let tensors: Vec<_> = base.tensors().map(|t| (t.name(), t.shape())).collect();
    let tree = ModuleTree::from_tensors(tensors).unwrap();
    (base, tree)
}

fn tensors(adapter: &Adapter) -> Vec<(&AdapterKey, AdapterTensor<'_>)> {
    adapter.keys().map(|key| (key, adapter.get(key).unwrap().unwrap())).collect()
}

#[test]
fn what_is_read_merges_to_what_mlx_fuses() {
    let (base, tree) = llama();
    for case in ["lora", "dora"] {
        let adapter = Adapter::from_mlx(fixtures("mlx").join(case), &tree).unwrap();
        let plan = Merge::new(&base, tree.clone()).with_adapter(&adapter, 1.0).plan().unwrap();
        let expected = TensorFile::open(fixtures("mlx").join(format!("{case}.fused.safetensors")));
        let expected = expected.unwrap();
        let compared = Mutex::new(0);
        let compare = |name: &str, offset: u64, bytes: &[u8]| {
            let Some(expected) = expected.get(name) else { return Ok(()) };
            assert_eq!((offset, bytes.len() as u64), (0, expected.byte_len()));
            let found = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            for (found, expected) in found.zip(expected.to_f32().unwrap()) {
                assert!((found - expected).abs() < 1e-5, "{case}, {name}: {found}, {expected}");
            }
            *compared.lock().unwrap() += 1;
            Ok(())
        };
        let report = plan.run(&compare, &|_| (), &AtomicBool::new(false)).unwrap();
        assert_eq!(compared.into_inner().unwrap(), expected.names().len());
        assert_eq!(report.adapted, expected.names().len() as u64);
    }
}

#[test]
fn the_configuration_says_the_same() {
    let (_, tree) = llama();
    let adapter = Adapter::from_mlx(fixtures("mlx/dora"), &tree).unwrap();
    let config = adapter.config();
    assert_eq!(config.target_modules, Some(TargetModules::list(["v_proj"])));
    assert_eq!((config.r, config.lora_alpha, config.lora_dropout), (3, 30.0, 0.05));
    assert_eq!(
        (config.use_dora, config.base_model_name_or_path.as_deref()),
        (true, Some("org/model"))
    );
    // Only in the last layer, and modules that are in none.
    let adapter = Adapter::from_mlx(fixtures("mlx/lora"), &tree).unwrap();
    let names = ["lm_head", "embed_tokens", "layers.1.mlp.down_proj", "layers.1.self_attn.q_proj"];
    let names =
        names.map(|name| if name == "lm_head" { name.into() } else { format!("model.{name}") });
    assert_eq!(adapter.config().target_modules, Some(TargetModules::list(names)));
}

#[test]
fn what_was_read_is_written_the_same() {
    let (_, tree) = llama();
    for case in ["lora", "dora"] {
        let adapter = Adapter::from_mlx(fixtures("mlx").join(case), &tree).unwrap();
        let folder = tempfile::tempdir().unwrap();
        adapter.write_mlx(folder.path(), &tree).unwrap();

        let path = |folder: &Path| folder.join("adapters.safetensors");
        let written = TensorFile::open(path(folder.path())).unwrap();
        let original = TensorFile::open(path(&fixtures("mlx").join(case))).unwrap();
        assert_eq!(written.names().len(), original.names().len());
        for tensor in original.tensors() {
            let found = written.get(tensor.name()).unwrap();
            assert_eq!(found.shape(), tensor.shape(), "{case}: {}", tensor.name());
            assert_eq!(
                found.bytes().unwrap(),
                tensor.bytes().unwrap(),
                "{case}: {}",
                tensor.name()
            );
        }
        let read = |folder: &Path| -> Value {
            let text = fs::read_to_string(folder.join("adapter_config.json")).unwrap();
            serde_json::from_str(&text).unwrap()
        };
        let (found, mut expected) = (read(folder.path()), read(&fixtures("mlx").join(case)));
        let settings = expected.as_object_mut().unwrap();
        settings.remove("iters");
        settings.remove("batch_size");
        assert_eq!(found, expected, "{case}");

        let again = Adapter::from_mlx(folder.path(), &tree).unwrap();
        assert_eq!(again.config(), adapter.config());
        assert_eq!(tensors(&again), tensors(&adapter));
    }
}

#[test]
fn an_adapter_of_peft_survives_the_way_there_and_back() {
    let (_, tree) = llama();
    let adapter = Adapter::read(fixtures("merge/llama/plain")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    adapter.write_mlx(folder.path(), &tree).unwrap();
    let again = Adapter::from_mlx(folder.path(), &tree).unwrap();
    assert_eq!(tensors(&again), tensors(&adapter));
    let scales = |adapter: &Adapter| -> Vec<_> {
        let targets = adapter.check(&tree).unwrap().modules.into_iter();
        targets.map(|target| (target.module, target.scale)).collect()
    };
    assert_eq!(scales(&again), scales(&adapter));
}

#[test]
fn what_mlx_cannot_say_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (model, case, what) in [
        ("llama", "rslora", "rank_pattern"),
        ("llama", "regex", "mlx-lm has no whole tensors"),
        ("llama", "dora", "a magnitude for each row"),
        ("qwen2", "lora-bias", "nor biases"),
        ("gpt2", "plain", "GPT-2 otherwise"),
        ("qwen3", "embedding", "share their weights"),
        ("qwen3", "head", "share their weights"),
    ] {
        let base = Checkpoint::open(fixtures("merge").join(model)).unwrap();
        let prefix = if model == "gpt2" { "transformer." } else { "" };
        let tensors = base.tensors().map(|t| (format!("{prefix}{}", t.name()), t.shape()));
        let mut tree = ModuleTree::from_tensors(tensors).unwrap();
        if model == "qwen3" {
            tree = tree.with_tied_head("lm_head", "model.embed_tokens").unwrap();
        }
        let adapter = Adapter::read(fixtures("merge").join(model).join(case)).unwrap();
        let error = adapter.write_mlx(folder.path(), &tree).unwrap_err().to_string();
        assert!(error.contains(what), "{model}, {case}: {error}");
    }
    // One rank, but two scales.
    let (_, tree) = llama();
    let mut config = LoraConfig::new(1).with_target_modules(["q_proj"]);
    config = config.with_alpha_pattern("layers.0.self_attn.q_proj", 2.0);
    let parts = (0..2).flat_map(|layer| {
        let module = format!("model.layers.{layer}.self_attn.q_proj");
        let a = AdapterTensor::from_f32(vec![1, 16], &[0.5; 16]);
        let b = AdapterTensor::from_f32(vec![16, 1], &[0.5; 16]);
        [
            (AdapterKey::new(&module, AdapterPart::A), a),
            (AdapterKey::new(&module, AdapterPart::B), b),
        ]
    });
    let adapter = Adapter::new(config, parts).unwrap();
    let error = adapter.write_mlx(folder.path(), &tree).unwrap_err().to_string();
    assert!(error.contains("alpha_pattern"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Reads an adapter whose configuration was changed.
fn with_config(change: impl FnOnce(&mut Value)) -> PeftError {
    let (_, tree) = llama();
    let folder = tempfile::tempdir().unwrap();
    let from = fixtures("mlx/dora");
    let text = fs::read_to_string(from.join("adapter_config.json")).unwrap();
    let mut config = serde_json::from_str(&text).unwrap();
    change(&mut config);
    fs::write(folder.path().join("adapter_config.json"), config.to_string()).unwrap();
    fs::copy(from.join("adapters.safetensors"), folder.path().join("adapters.safetensors"))
        .unwrap();
    Adapter::from_mlx(folder.path(), &tree).unwrap_err()
}

#[test]
fn configurations_that_do_not_fit_are_refused() {
    let error = with_config(|config| config["fine_tune_type"] = json!("full"));
    assert!(matches!(error, PeftError::Mlx(MlxError::Kind { .. })), "{error}");
    let error = with_config(|config| config["lora_parameters"] = json!(null));
    assert!(matches!(error, PeftError::Mlx(MlxError::NoParameters { .. })), "{error}");
    let error = with_config(|config| config["lora_parameters"]["rank"] = json!(4));
    assert!(matches!(error, PeftError::Mlx(MlxError::Shape { .. })), "{error}");
    let error = with_config(|config| config["lora_parameters"]["dropout"] = json!(1.5));
    assert!(matches!(error, PeftError::Config { .. }), "{error}");
    let error = with_config(|config| config["lora_parameters"]["scale"] = json!("10"));
    assert!(matches!(error, PeftError::Json { .. }), "{error}");
    // DoRA's magnitudes are there, but not asked for.
    let error = with_config(|config| config["fine_tune_type"] = json!("lora"));
    assert!(error.to_string().contains("is unexpected"), "{error}");
}

#[test]
fn models_that_do_not_fit_are_refused() {
    let tree = ModuleTree::from_tensors([("model.layers.0.self_attn.q_proj.weight", [4, 4])]);
    let error = Adapter::from_mlx(fixtures("mlx/dora"), &tree.unwrap()).unwrap_err();
    assert!(matches!(error, PeftError::Mlx(MlxError::NoModule { .. })), "{error}");
    let (_, tree) = llama();
    let error = Adapter::from_mlx(fixtures("merge/llama/plain"), &tree).unwrap_err();
    assert!(matches!(error, PeftError::Mlx(MlxError::NoParameters { .. })), "{error}");
}
