//! Writing the folder of an aligned model.

mod beside;
mod statements;
mod together;
mod weights;

pub(crate) use weights::tree as adapted_tree;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use collimate_peft::{Adapter, MergeDtype, MergeReport};
use collimate_tensors::Checkpoint;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::alignment::Alignment;
use crate::checksums::Checksums;
use crate::config::CONFIG;
use crate::copy::SourceFolder;
use crate::disk::read_small;
use crate::error::{ArtifactError, Result};
use crate::event::{ArtifactEvent, Observer, check_cancelled};
use crate::form::Form;
use crate::json::pretty_for;
use crate::parent::Parent;
use crate::space::check_space;
use crate::stage::{Replace, Staging};
use crate::tokenizer::TokenizerSuite;
use crate::verify::verify_staged;
use beside::{Beside, WrittenBeside};

/// Most bytes of a `config.json`.
pub(crate) const LARGEST_CONFIG: u64 = 16 << 20;
/// Room for the statements that are written beside weights, tokenizer and adapters, in bytes.
const STATEMENTS: u64 = 1 << 20;

/// Writes an aligned model as a folder: the whole model, or its adapter.
///
/// The folder appears complete and verified, or not at all; the parent is only read. Equal input gives
/// equal bytes.
#[derive(Clone, Debug)]
#[must_use = "nothing is written before it is asked to write"]
pub struct ArtifactWriter<'a> {
    parent: &'a Parent,
    alignment: &'a Alignment,
    adapters: Vec<(&'a Adapter, f64)>,
    trained: Option<PathBuf>,
    companions: BTreeMap<String, PathBuf>,
    tokenizer: Option<PathBuf>,
    dtype: MergeDtype,
    sharding: Sharding,
    replace: Replace,
}

/// Over which files the weights are spread.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sharding {
    /// As the parent's are: tensors that are in one file there are in one file here.
    #[default]
    AsParent,
    /// Files of at most so many bytes, as transformers fills them.
    MaxBytes(u64),
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Written {
    /// The folder.
    pub path: PathBuf,
    /// What it holds.
    pub form: Form,
    /// The SHA-256 of every file, by its path in the folder.
    pub checksums: Checksums,
    /// Bytes of all files.
    pub bytes: u64,
    /// What became of the weights; absent where only the adapter was written.
    pub merge: Option<MergeReport>,
    /// Whether a tokenizer is there.
    pub tokenizer: bool,
    /// Files of the parent that are not part of the model and were left out, sorted.
    pub left_out: Vec<String>,
}

impl<'a> ArtifactWriter<'a> {
    /// A writer for a model that was made from `parent`.
    pub fn new(parent: &'a Parent, alignment: &'a Alignment) -> Self {
        Self {
            parent,
            alignment,
            adapters: Vec::new(),
            trained: None,
            companions: BTreeMap::new(),
            tokenizer: None,
            dtype: MergeDtype::Keep,
            sharding: Sharding::AsParent,
            replace: Replace::Never,
        }
    }

    /// With an adapter; its scale is multiplied by `weight`.
    pub fn with_adapter(mut self, adapter: &'a Adapter, weight: f64) -> Self {
        self.adapters.push((adapter, weight));
        self
    }

    /// With weights of which all were trained, in place of adapters: a folder with safetensors of every
    /// weight of the parent, each in its shape. [`MergeDtype::Keep`] gives them the parent's type.
    pub fn with_trained_weights(mut self, folder: impl Into<PathBuf>) -> Self {
        self.trained = Some(folder.into());
        self
    }

    /// With a model that belongs to the result and stands in a folder of its own, such as the
    /// `reward_model` of RLHF; it is copied.
    pub fn with_companion(mut self, name: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        self.companions.insert(name.into(), folder.into());
        self
    }

    /// With the tokenizer of this folder instead of the parent's.
    pub fn with_tokenizer(mut self, folder: impl Into<PathBuf>) -> Self {
        self.tokenizer = Some(folder.into());
        self
    }

    /// Sets the type of the merged weights.
    pub fn with_dtype(mut self, dtype: MergeDtype) -> Self {
        self.dtype = dtype;
        self
    }

    /// Sets how the merged weights are spread over files.
    pub fn with_sharding(mut self, sharding: Sharding) -> Self {
        self.sharding = sharding;
        self
    }

    /// Sets what becomes of a folder that is in the place already.
    pub fn with_replace(mut self, replace: Replace) -> Self {
        self.replace = replace;
        self
    }

    /// Writes the whole model: merged or trained weights, tokenizer, configuration, the adapters in
    /// `adapter/` (or `adapters/1`, …), what was done, the card, checksums.
    ///
    /// Where the technique has folders of its own (RLHF's `policy`), the model stands in the first
    /// of them.
    ///
    /// # Errors
    ///
    /// [`ArtifactError`]: the parent can't be had, is incomplete or changes meanwhile; the adapters or
    /// the trained weights do not fit; there are neither, or both; the target exists; the disk is full; what was written does not verify; `cancelled` was
    /// set. Nothing is left behind then.
    pub fn write_standalone(
        &self,
        target: impl AsRef<Path>,
        cancelled: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<Written> {
        let target = target.as_ref();
        let folder = self.parent.folder.as_deref().ok_or_else(|| ArtifactError::Parent {
            path: PathBuf::from(&self.parent.reference),
            message: "its weights can't be had, and weights are never made up; write the adapter \
                      alone"
                .to_owned(),
        })?;
        match &self.trained {
            None if self.adapters.is_empty() => return Err(no_adapter(target)),
            Some(path) if !self.adapters.is_empty() => {
                let message = "adapters belong to the parent's weights, not to these".to_owned();
                return Err(ArtifactError::Invalid { path: path.clone(), message });
            }
            _ => {}
        }
        let source = SourceFolder::open(folder)?;
        let of_parent = Checkpoint::open(folder)?;
        let trained = self.trained.as_ref().map(Checkpoint::open).transpose()?;
        let (base, dtype) = match (&trained, &self.trained) {
            (Some(trained), Some(path)) => {
                weights::check_trained(trained, &of_parent, path)?;
                (trained, weights::dtype_like(&of_parent, self.dtype))
            }
            _ => (&of_parent, self.dtype),
        };
        let config_path = source.file(CONFIG)?;
        let config = object(&config_path, &read_small(&config_path, LARGEST_CONFIG)?)?;
        let merge = weights::merge(base, &config, &self.adapters, dtype)?;
        let plan = merge.plan()?;
        let model_folder = self.model_folder()?;
        let files = weights::files(&of_parent, plan.layout(), self.sharding);
        let beside = self.sizes(&source)?;
        check_space(
            target,
            plan.layout().data_len() + beside + self.adapter_bytes()? + STATEMENTS,
        )?;

        let staging = Staging::begin(target, self.replace, observer)?;
        let report = plan.report();
        let beside = Beside {
            writer: self,
            source: &source,
            of_parent: &of_parent,
            trained: trained.as_ref().map(Checkpoint::parameters),
            config: &config,
            staging: &staging,
            folder: &model_folder,
            weights: &files,
            report: &report,
        };
        let (weights, mut beside) = weights::write(
            &plan,
            &files,
            &staging,
            &model_folder,
            |stop| beside.write(stop),
            cancelled,
            observer,
        )?;
        base.unchanged()?;
        of_parent.unchanged()?;
        beside.checksums.extend(weights);
        self.finish(staging, Form::Standalone, Some(report), beside, cancelled, observer)
    }

    /// Writes the adapter alone, with the tokenizer and the card, marked as not standalone: PEFT loads
    /// it onto the parent, which it names.
    ///
    /// # Errors
    ///
    /// As [`write_standalone`](Self::write_standalone), but for the parent's weights; there has to be
    /// one adapter, with weight 1.
    pub fn write_adapter(
        &self,
        target: impl AsRef<Path>,
        cancelled: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<Written> {
        let target = target.as_ref();
        let adapter = match self.adapters.as_slice() {
            [] => return Err(no_adapter(target)),
            &[(adapter, 1.0)] => adapter,
            _ => {
                let message =
                    "several adapters, or one with a weight other than 1, make a model of \
                               their own; write it standalone"
                        .to_owned();
                return Err(ArtifactError::Invalid { path: target.to_owned(), message });
            }
        };
        // Where the parent is there, the adapter has to fit.
        if let Some(folder) = &self.parent.folder {
            let base = Checkpoint::open(folder)?;
            let config_path = folder.join(CONFIG);
            let config = object(&config_path, &read_small(&config_path, LARGEST_CONFIG)?)?;
            adapter.check(&weights::tree(&base, &config, &self.adapters)?)?;
        }
        check_space(target, self.adapter_bytes()? + STATEMENTS)?;
        let staging = Staging::begin(target, self.replace, observer)?;
        statements::write_adapter(&staging, "", adapter, self.parent)?;
        self.write_tokenizer(&staging, "", cancelled)?;
        self.write_companions(&staging, cancelled)?;
        self.write_statements(&staging, Form::Adapter, "", None, None)?;
        let nothing = WrittenBeside::default();
        self.finish(staging, Form::Adapter, None, nothing, cancelled, observer)
    }

    /// Where the model stands in the folder: nothing, or the name of a folder and `/`.
    fn model_folder(&self) -> Result<String> {
        let folders = self.alignment.technique.folders();
        let Some((model, companions)) = folders.split_first() else {
            return match self.companions.keys().next() {
                None => Ok(String::new()),
                Some(name) => Err(self.technique_error(format!("it has no folder '{name}'"))),
            };
        };
        if let Some(missing) = companions.iter().find(|name| !self.companions.contains_key(*name)) {
            return Err(self.technique_error(format!("the folder '{missing}' has to be given")));
        }
        match self.companions.keys().find(|name| !companions.contains(*name)) {
            None => Ok(format!("{model}/")),
            Some(name) => Err(self.technique_error(format!("it has no folder '{name}'"))),
        }
    }

    fn technique_error(&self, message: String) -> ArtifactError {
        ArtifactError::Technique { name: self.alignment.technique.title().to_owned(), message }
    }

    fn tokenizer_folder(&self) -> Option<&Path> {
        self.tokenizer.as_deref().or(self.parent.folder.as_deref())
    }

    /// Bytes of what is copied beside the weights.
    fn sizes(&self, source: &SourceFolder) -> Result<u64> {
        let mut bytes = size_of_files(source.path())?;
        for folder in self.companions.values() {
            bytes += size_of_all(folder)?;
        }
        Ok(bytes)
    }

    fn adapter_bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        for (adapter, _) in &self.adapters {
            for key in adapter.keys() {
                bytes += adapter.get(key)?.map_or(0, |tensor| tensor.bytes().len() as u64);
            }
        }
        Ok(bytes)
    }

    fn write_tokenizer(
        &self,
        staging: &Staging,
        folder: &str,
        cancelled: &AtomicBool,
    ) -> Result<()> {
        let Some(from) = self.tokenizer_folder() else { return Ok(()) };
        TokenizerSuite::of(&SourceFolder::open(from)?)?.write_into(staging, folder, cancelled)
    }

    fn write_adapters(&self, staging: &Staging, folder: &str) -> Result<()> {
        let names = statements::adapter_folders(self.adapters.len());
        for ((adapter, _), name) in self.adapters.iter().zip(names) {
            statements::write_adapter(staging, &format!("{folder}{name}/"), adapter, self.parent)?;
        }
        Ok(())
    }

    fn write_companions(&self, staging: &Staging, cancelled: &AtomicBool) -> Result<()> {
        for (name, folder) in &self.companions {
            let source = SourceFolder::open(folder)?;
            for file in all_files(folder)? {
                source.copy(&file, &staging.file(&format!("{name}/{file}"))?, cancelled)?;
            }
        }
        Ok(())
    }

    fn finish(
        &self,
        staging: Staging,
        form: Form,
        merge: Option<MergeReport>,
        beside: WrittenBeside,
        cancelled: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<Written> {
        let WrittenBeside { mut checksums, tokenizer, left_out } = beside;
        checksums.add_folder(staging.path(), cancelled)?;
        staging.write(Checksums::FILE, checksums.to_string().as_bytes())?;
        let bytes = size_of_all(staging.path())?;
        verify_staged(staging.path(), tokenizer, cancelled, observer)?;
        check_cancelled(cancelled)?;
        let path = staging.publish()?;
        observer.on_event(&ArtifactEvent::Published { path: path.clone() });
        let tokenizer = checksums.iter().any(|(file, _)| file.ends_with("tokenizer.json"));
        Ok(Written { path, form, checksums, bytes, merge, tokenizer, left_out })
    }
}

fn no_adapter(target: &Path) -> ArtifactError {
    let message = "there is no adapter to write".to_owned();
    ArtifactError::Invalid { path: target.to_owned(), message }
}

/// A JSON file that is an object.
pub(crate) fn object(path: &Path, bytes: &[u8]) -> Result<serde_json::Map<String, Value>> {
    serde_json::from_slice(bytes)
        .map_err(|source| ArtifactError::Json { path: path.to_owned(), source })
}

fn write_json(staging: &Staging, file: &str, value: &Value) -> Result<()> {
    staging.write(file, &pretty_for(&staging.path().join(file), value)?)
}

/// Files in a folder, and links to files, sorted; names that are not UTF-8 belong to no model.
fn file_names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(ArtifactError::io(folder))? {
        let entry = entry.map_err(ArtifactError::io(folder))?;
        if let Ok(name) = entry.file_name().into_string()
            && entry.path().is_file()
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Bytes of what may be copied of a model beside its weights.
fn size_of_files(folder: &Path) -> Result<u64> {
    let names = file_names(folder)?;
    let is_weights = |name: &&String| {
        [".safetensors", ".bin", ".pt", ".pth", ".gguf"].iter().any(|end| name.ends_with(end))
    };
    let sizes = names.iter().filter(|name| !is_weights(name)).map(|name| {
        let path = folder.join(name);
        Ok(fs::metadata(&path).map_err(ArtifactError::io(&path))?.len())
    });
    sizes.sum()
}

/// Every file below a folder, by its path in it with `/`, sorted. Links to folders are not entered.
pub(crate) fn all_files(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((path, prefix)) = folders.pop() {
        for entry in fs::read_dir(&path).map_err(ArtifactError::io(&path))? {
            let entry = entry.map_err(ArtifactError::io(&path))?;
            let name = entry.file_name().into_string().map_err(|name| ArtifactError::Invalid {
                path: path.join(name),
                message: "its name is not UTF-8".to_owned(),
            })?;
            let kind = entry.file_type().map_err(ArtifactError::io(&path))?;
            if kind.is_dir() {
                folders.push((entry.path(), format!("{prefix}{name}/")));
            } else {
                found.push(format!("{prefix}{name}"));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn size_of_all(folder: &Path) -> Result<u64> {
    let sizes = all_files(folder)?.into_iter().map(|file| {
        let path = folder.join(file);
        Ok(fs::metadata(&path).map_err(ArtifactError::io(&path))?.len())
    });
    sizes.sum()
}
