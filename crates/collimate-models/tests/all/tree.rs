//! Folders of models as they are met on disks, made in a temporary place.

use std::fs;
use std::path::{Path, PathBuf};

use collimate_models::{Catalog, Entry, ScanConfig};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

pub const CONFIG: &str = r#"{
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 2,
    "hidden_size": 8, "num_attention_heads": 2, "vocab_size": 16
}"#;

/// A file of f32 zeros with these shapes.
pub fn safetensors(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let zeros: Vec<Vec<u8>> =
        tensors.iter().map(|(_, shape)| vec![0; shape.iter().product::<usize>() * 4]).collect();
    let views = tensors.iter().zip(&zeros).map(|((name, shape), bytes)| {
        (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// The index of shards that each hold one tensor, `t1`, `t2`, …
pub fn index(shards: &[&str]) -> String {
    let map: Vec<String> =
        (1..).zip(shards).map(|(number, shard)| format!("\"t{number}\": \"{shard}\"")).collect();
    format!("{{\"metadata\": {{}}, \"weight_map\": {{{}}}}}", map.join(", "))
}

pub fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A small complete model of 3 × 4 parameters.
pub fn model(folder: impl AsRef<Path>) -> PathBuf {
    let folder = folder.as_ref().to_owned();
    write(folder.join("config.json"), CONFIG);
    write(folder.join("tokenizer.json"), "{}");
    write(folder.join("model.safetensors"), safetensors(&[("w", &[3, 4])]));
    folder
}

/// A small LoRA adapter for `base`.
pub fn adapter(folder: impl AsRef<Path>, base: &str) -> PathBuf {
    let folder = folder.as_ref().to_owned();
    let config = format!(
        r#"{{"peft_type": "LORA", "r": 4, "base_model_name_or_path": "{base}",
            "target_modules": ["q_proj"]}}"#
    );
    write(folder.join("adapter_config.json"), config);
    write(folder.join("adapter_model.safetensors"), safetensors(&[("a", &[4, 8]), ("b", &[8, 4])]));
    folder
}

/// A standalone aligned model made from `parent`.
pub fn aligned(folder: impl AsRef<Path>, parent: &str) -> PathBuf {
    let folder = model(folder);
    let added = format!(
        r#"{{"aligned_model": true, "alignment_technique": "lora", "parent_model": "{parent}","#
    );
    write(folder.join("config.json"), CONFIG.replacen('{', &added, 1));
    adapter(&folder, parent);
    folder
}

/// A revision of a repository in a cache, as links into its blobs.
#[cfg(unix)]
pub fn cached(cache: &Path, id: &str, commit: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let repository = cache.join(format!("models--{}", id.replace('/', "--")));
    let snapshot = repository.join("snapshots").join(commit);
    fs::create_dir_all(&snapshot).unwrap();
    for (name, bytes) in files {
        let blob = format!("{commit}-{name}");
        write(repository.join("blobs").join(&blob), bytes);
        std::os::unix::fs::symlink(format!("../../blobs/{blob}"), snapshot.join(name)).unwrap();
    }
    repository
}

pub fn scan(root: impl AsRef<Path>) -> Catalog {
    Catalog::scan(&ScanConfig::new().with_root(root.as_ref()))
}

pub fn names(catalog: &Catalog) -> Vec<&str> {
    catalog.entries().iter().map(|entry| entry.name.as_str()).collect()
}

#[track_caller]
pub fn entry<'a>(catalog: &'a Catalog, name: &str) -> &'a Entry {
    let found: Vec<_> = catalog.entries().iter().filter(|e| e.name.as_str() == name).collect();
    match found.as_slice() {
        [entry] => entry,
        other => panic!("{} entries are called {name}: {:?}", other.len(), names(catalog)),
    }
}

pub fn codes(entry: &Entry) -> Vec<&'static str> {
    entry.problems.iter().map(|problem| problem.code()).collect()
}

#[track_caller]
pub fn reason(catalog: &Catalog, path: impl AsRef<Path>) -> String {
    let of_path = |s: &&collimate_models::Skipped| s.path == path.as_ref();
    match catalog.skipped().iter().find(of_path) {
        Some(skipped) => skipped.reason.to_string(),
        None => panic!("{:?} was not skipped: {:?}", path.as_ref(), catalog.skipped()),
    }
}
