//! Adapters read, checked and written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use collimate_peft::{
    Adapter, AdapterError, AdapterKey, AdapterPart, AdapterTensor, LoraConfig, ModuleTree,
    PeftError,
};
use collimate_tensors::{Checkpoint, Dtype, write_safetensors};
use tempfile::TempDir;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/merge")
}

/// The adapters that PEFT made.
fn folders() -> Vec<PathBuf> {
    let models = fs::read_dir(fixtures()).unwrap().map(|model| model.unwrap().path());
    let inside = models.filter(|path| path.is_dir()).flat_map(|path| fs::read_dir(path).unwrap());
    let mut folders: Vec<_> =
        inside.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(folders.len() > 20);
    folders
}

#[test]
fn adapters_of_peft_are_written_back_byte_for_byte() {
    for from in folders() {
        let to = tempfile::tempdir().unwrap();
        let adapter = Adapter::read(&from).unwrap();
        adapter.write(to.path()).unwrap();
        let file = |folder: &Path| fs::read(folder.join("adapter_model.safetensors")).unwrap();
        assert!(file(&from) == file(to.path()), "{}", from.display());
        let again = Adapter::read(to.path()).unwrap();
        assert_eq!(again.config(), adapter.config());
        // In the memory as in the file.
        let tensors = again.keys().map(|key| (key.clone(), again.get(key).unwrap().unwrap()));
        let made = Adapter::new(again.config().clone(), tensors).unwrap();
        made.write(to.path()).unwrap();
        assert!(file(&from) == file(to.path()), "{}", from.display());
    }
}

/// A model with a linear module and a norm.
fn tree() -> ModuleTree {
    ModuleTree::from_tensors([
        ("model.embed_tokens.weight", [5, 3].as_slice()),
        ("model.layers.0.q_proj.weight", &[4, 3]),
        ("model.layers.0.q_proj.bias", &[4]),
        ("model.norm.weight", &[3]),
    ])
    .unwrap()
}

fn config() -> LoraConfig {
    LoraConfig::new(2).with_target_modules(["q_proj"])
}

const A: &str = "base_model.model.model.layers.0.q_proj.lora_A.weight";
const B: &str = "base_model.model.model.layers.0.q_proj.lora_B.weight";

/// Names and shapes of tensors of type F32, in a file.
fn written(config: &LoraConfig, tensors: &[(&str, &[u64])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    config.write(folder.path().join("adapter_config.json")).unwrap();
    let tensors = tensors.iter().map(|(name, shape)| {
        let bytes = vec![0; 4 * shape.iter().product::<u64>() as usize];
        (*name, Dtype::F32, shape.to_vec(), bytes)
    });
    let path = folder.path().join("adapter_model.safetensors");
    write_safetensors(path, &BTreeMap::new(), tensors).unwrap();
    folder
}

fn check(config: &LoraConfig, tensors: &[(&str, &[u64])]) -> Result<(), AdapterError> {
    let folder = written(config, tensors);
    match Adapter::read(folder.path()).and_then(|adapter| adapter.check(&tree())) {
        Ok(_) => Ok(()),
        Err(PeftError::Adapter(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn tensors_must_be_those_that_the_configuration_needs() {
    let whole = [(A, [2, 3].as_slice()), (B, &[4, 2])];
    check(&config(), &whole).unwrap();

    let error = check(&config(), &whole[..1]).unwrap_err();
    let AdapterError::Missing { tensor, count: 1, .. } = &error else { panic!("{error}") };
    assert_eq!(tensor, B);
    assert!(error.to_string().contains("adapter_model.safetensors"), "{error}");

    for name in [
        "base_model.model.model.layers.1.q_proj.lora_A.weight",
        "base_model.model.model.layers.0.q_proj.lora_magnitude_vector",
        "base_model.model.model.layers.0.q_proj.lora_B.bias",
        "base_model.model.model.layers.0.q_proj.lora_embedding_A",
        "base_model.model.model.layers.0.q_proj.base_layer.bias",
        "base_model.model.model.layers.0.q_proj.base_layer.weight",
        "base_model.model.model.norm.weight",
        "base_model.model.nowhere.weight",
    ] {
        let error = check(&config(), &[whole[0], whole[1], (name, &[4])]).unwrap_err();
        let AdapterError::Unexpected { tensor, .. } = &error else { panic!("{name}: {error}") };
        assert_eq!(tensor, name);
    }
}

#[test]
fn shapes_must_be_those_of_model_and_rank() {
    for (a, b) in [([3, 3], [4, 2]), ([2, 4], [4, 2]), ([2, 3], [3, 2]), ([2, 3], [2, 4])] {
        let error = check(&config(), &[(A, &a), (B, &b)]).unwrap_err();
        assert!(matches!(error, AdapterError::Shape { .. }), "{error}");
    }
    let pattern = config().with_rank_pattern("q_proj", 3);
    check(&pattern, &[(A, &[3, 3]), (B, &[4, 3])]).unwrap();
    check(&pattern, &[(A, &[2, 3]), (B, &[4, 2])]).unwrap_err();
}

#[test]
fn what_is_saved_whole_must_be_there() {
    let saved = config().with_modules_to_save(["norm"]);
    let whole = [(A, [2, 3].as_slice()), (B, &[4, 2])];
    let error = check(&saved, &whole).unwrap_err();
    assert!(matches!(error, AdapterError::Missing { .. }), "{error}");
    check(&saved, &[whole[0], whole[1], ("base_model.model.model.norm.weight", &[3])]).unwrap();
    // An embedding whose vocabulary was resized.
    let embedding = "base_model.model.model.embed_tokens.weight";
    check(&config(), &[whole[0], whole[1], (embedding, &[5, 3])]).unwrap();
    let error = check(&config(), &[whole[0], whole[1], (embedding, &[6, 3])]).unwrap_err();
    assert!(matches!(error, AdapterError::Shape { .. }), "{error}");
}

#[test]
fn trained_biases_must_be_there_under_either_name() {
    use collimate_peft::Bias;

    let whole = [(A, [2, 3].as_slice()), (B, &[4, 2])];
    for bias in [Bias::LoraOnly, Bias::All] {
        let config = config().with_bias(bias);
        let error = check(&config, &whole).unwrap_err();
        assert!(error.to_string().contains("q_proj.base_layer.bias"), "{error}");
        for name in ["q_proj.base_layer.bias", "q_proj.bias"] {
            let name = format!("base_model.model.model.layers.0.{name}");
            check(&config, &[whole[0], whole[1], (&name, &[4])]).unwrap();
        }
    }
}

#[test]
fn a_tensor_under_two_names_is_there_twice() {
    let other = A.replace("lora_A.weight", "lora_A.default.weight");
    let shapes = [(A, [2, 3].as_slice()), (B, &[4, 2])];
    check(&config(), &[(&other, &[2, 3]), shapes[1]]).unwrap();
    let error = check(&config(), &[shapes[0], shapes[1], (&other, &[2, 3])]).unwrap_err();
    assert!(matches!(error, AdapterError::Twice { .. }), "{error}");
}

#[test]
fn other_names_types_and_sizes_are_errors() {
    let error = check(&config(), &[("model.layers.0.q_proj.lora_A.weight", &[2, 3])]).unwrap_err();
    assert!(matches!(error, AdapterError::Name { .. }), "{error}");

    let key = || AdapterKey::new("q", AdapterPart::A);
    let error =
        |tensor: AdapterTensor<'_>| match Adapter::new(config(), [(key(), tensor)]).unwrap_err() {
            PeftError::Adapter(error) => error,
            other => panic!("{other}"),
        };
    let integers = AdapterTensor::new(Dtype::I32, vec![1], vec![0; 4]);
    assert!(matches!(error(integers), AdapterError::Dtype { .. }));
    for shape in [vec![2], vec![u64::MAX, 2], vec![1 << 62, 1], vec![1 << 32, 1 << 32]] {
        let wrong = AdapterTensor::new(Dtype::F32, shape, vec![0; 4]);
        assert!(matches!(error(wrong), AdapterError::Size { .. }));
    }
    let one = || (key(), AdapterTensor::from_f32(vec![1], &[1.0]));
    assert!(Adapter::new(config(), [one(), one()]).is_err());
}

#[test]
fn folders_without_adapter_and_damaged_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Adapter::read(folder.path()), Err(PeftError::Io { .. })));
    config().write(folder.path().join("adapter_config.json")).unwrap();
    let error = Adapter::read(folder.path()).unwrap_err();
    assert!(matches!(error, PeftError::Adapter(AdapterError::NoTensors { .. })), "{error}");
    let path = folder.path().join("adapter_model.safetensors");
    // More bytes than there are.
    let header = br#"{"base_model.model.q.lora_A.weight":{"dtype":"F32","shape":[1152921504606846976,4],"data_offsets":[0,18446744073709551615]}}"#;
    fs::write(&path, [&(header.len() as u64).to_le_bytes(), &header[..]].concat()).unwrap();
    let error = Adapter::read(folder.path()).unwrap_err();
    assert!(matches!(error, PeftError::Adapter(AdapterError::Read(_))), "{error}");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(Adapter::read(folder.path()).is_err());
}

#[test]
fn a_pytorch_checkpoint_is_read() {
    let folder = fixtures().join("pickle");
    let adapter = Adapter::read(&folder).unwrap();
    let other = Adapter::read(fixtures().join("llama/plain")).unwrap();
    assert!(adapter.keys().eq(other.keys()));
    for key in adapter.keys() {
        assert_eq!(adapter.get(key).unwrap(), other.get(key).unwrap(), "{key}");
    }
}

#[test]
fn adapters_fit_the_models_that_they_were_made_for() {
    let base = Checkpoint::open(fixtures().join("llama")).unwrap();
    let tree = ModuleTree::from_tensors(base.tensors().map(|t| (t.name(), t.shape()))).unwrap();
    Adapter::read(fixtures().join("llama/rslora")).unwrap().check(&tree).unwrap();
    let other = Adapter::read(fixtures().join("gpt2/plain")).unwrap();
    assert!(matches!(other.check(&tree), Err(PeftError::NothingMatches { .. })));
}
