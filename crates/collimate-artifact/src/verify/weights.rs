use std::collections::BTreeSet;
use std::path::Path;

use collimate_models::{Architecture, Entry};
use collimate_peft::{Adapter, ModuleKind, ModuleTree};
use collimate_tensors::{Checkpoint, Dtype};
use serde_json::Value;

use super::{Check, full};
use crate::config::{CONFIG, torch_name};
use crate::disk::read_small;
use crate::form::Form;
use crate::writer::{LARGEST_CONFIG, adapted_tree, object};

impl Check<'_> {
    /// Weights and adapters.
    pub(super) fn weights(&mut self, entry: &Entry) {
        if self.form == Form::Adapter {
            return self.lone_adapter(&entry.path);
        }
        let folder = entry.path.as_path();
        let base = match Checkpoint::open(folder) {
            Ok(base) => base,
            Err(error) => return self.error("", full(&error)),
        };
        self.tensors = base.names().len() as u64;
        self.totals(&base);
        if let Some(architecture) = &entry.description.architecture {
            self.dtype(&base, architecture);
        }
        let config_path = folder.join(CONFIG);
        let config =
            read_small(&config_path, LARGEST_CONFIG).and_then(|bytes| object(&config_path, &bytes));
        let config = match config {
            Ok(config) => config,
            Err(error) => return self.error(CONFIG, full(&error)),
        };
        if folder.join("adapter_config.json").exists() {
            self.error(
                "adapter_config.json",
                "an adapter stands beside complete weights: where PEFT is installed, transformers \
                 applies it to them, a second time where they are merged; move it to a folder of its own",
            );
        }
        for path in adapter_folders(folder) {
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            let fits =
                Adapter::read(&path).map_err(crate::ArtifactError::from).and_then(|adapter| {
                    let tree = adapted_tree(&base, &config, &[(&adapter, 1.0)])?;
                    Ok(adapter.check(&tree)?)
                });
            if let Err(error) = fits {
                self.error(name, full(&error));
            }
        }
        match adapted_tree(&base, &config, &[]) {
            Ok(tree) => self.shapes(&tree, entry.description.architecture.as_ref()),
            Err(error) => self.error("", full(&error)),
        }
    }

    fn lone_adapter(&mut self, folder: &Path) {
        match Adapter::read(folder) {
            Ok(adapter) => self.tensors = adapter.keys().len() as u64,
            Err(error) => self.error("adapter_model.safetensors", full(&error)),
        }
    }

    /// The totals that an index states.
    fn totals(&mut self, base: &Checkpoint) {
        let Some(index) = base.index() else { return };
        let name = index.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stated: Value = match read_small(index, LARGEST_CONFIG)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        {
            Some(stated) => stated,
            None => return,
        };
        for (key, counted) in
            [("total_size", base.bytes()), ("total_parameters", base.parameters())]
        {
            let found = stated.pointer(&format!("/metadata/{key}")).and_then(Value::as_f64);
            if let Some(found) = found
                && found != counted as f64
            {
                self.error(name.as_str(), format!("{key} is {found}; the files have {counted}"));
            }
        }
    }

    fn dtype(&mut self, base: &Checkpoint, architecture: &Architecture) {
        let Some(stated) = architecture.dtype.as_deref() else { return };
        let floats = [Dtype::F32, Dtype::F16, Dtype::BF16];
        let found: BTreeSet<_> = base
            .tensors()
            .map(|tensor| tensor.dtype())
            .filter(|dtype| floats.contains(dtype))
            .collect();
        let names: Vec<_> = found.iter().filter_map(|dtype| torch_name(*dtype)).collect();
        if !names.is_empty() && !names.contains(&stated) {
            let found = names.join(", ");
            self.note(
                CONFIG,
                format!("the type of the weights is said to be {stated}, it is {found}"),
            );
        }
    }

    /// Layers and the shapes of embedding and head.
    fn shapes(&mut self, tree: &ModuleTree, architecture: Option<&Architecture>) {
        let Some(architecture) = architecture else { return };
        let layers = layers(tree);
        if let (Some(stated), Some(found)) = (architecture.layers, layers)
            && stated != found
        {
            self.error(CONFIG, format!("it states {stated} layers, the weights have {found}"));
        }
        let (Some(rows), Some(width)) = (architecture.vocabulary, architecture.hidden_size) else {
            return;
        };
        for (name, module) in tree.iter() {
            let is_vocabulary = tree.head() == Some(name)
                || (module.kind == ModuleKind::Embedding
                    && ["embed_tokens", "wte", "embed_in"].iter().any(|end| name.ends_with(end)));
            if let Some([found_rows, found_width]) = module.weight.filter(|_| is_vocabulary)
                && (found_rows < rows || found_width != width)
            {
                let message = format!(
                    "{name}.weight is [{found_rows}, {found_width}]; [{rows}, {width}] follows from \
                     the configuration"
                );
                self.error(CONFIG, message);
            }
        }
    }
}

/// The number after the highest layer of the decoder, where layers are numbered.
fn layers(tree: &ModuleTree) -> Option<u64> {
    let number = |name: &str| {
        let mut parts = name.split('.');
        while let Some(part) = parts.next() {
            if matches!(part, "layers" | "h") {
                return parts.next()?.parse::<u64>().ok();
            }
        }
        None
    };
    tree.iter().filter_map(|(name, _)| number(name)).max()?.checked_add(1)
}

/// Folders of adapters beside merged weights.
fn adapter_folders(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let one = folder.join("adapter");
    if one.is_dir() {
        found.push(one);
    }
    let several = std::fs::read_dir(folder.join("adapters")).into_iter().flatten().flatten();
    found.extend(several.map(|entry| entry.path()).filter(|path| path.is_dir()));
    found.sort();
    found
}
