//! Merging, and writing the merged weights.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread;

use collimate_models::Architecture;
use collimate_peft::{Adapter, Merge, MergeDtype, MergePlan, MergeReport, ModuleKind, ModuleTree};
use collimate_tensors::{
    Checkpoint, Dtype, Layout, SafetensorsWriter, Shards, WriteError, shards, shards_as,
};
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::Sharding;
use crate::checksums::{Checksum, Checksums};
use crate::error::{ArtifactError, Result};
use crate::event::{ArtifactEvent, Observer};
use crate::stage::Staging;

/// The index beside shards.
const INDEX: &str = "model.safetensors.index.json";

pub(super) fn merge<'a>(
    base: &'a Checkpoint,
    config: &Map<String, Value>,
    adapters: &[(&'a Adapter, f64)],
    dtype: MergeDtype,
) -> Result<Merge<'a>> {
    let merge = Merge::new(base, tree(base, config, adapters)?).with_dtype(dtype);
    Ok(adapters.iter().fold(merge, |merge, (adapter, weight)| merge.with_adapter(adapter, *weight)))
}

/// The modules of a model, under the names that its adapters use.
///
/// Some models are saved from inside (`h.0.…` instead of `transformer.h.0.…`): what the names lack is
/// what those of the adapters have more.
pub(crate) fn tree(
    base: &Checkpoint,
    config: &Map<String, Value>,
    adapters: &[(&Adapter, f64)],
) -> Result<ModuleTree> {
    let names: Vec<_> = base.tensors().map(|tensor| tensor.name()).collect();
    let module_of = |name: &str| name.rsplit_once('.').map_or("", |(module, _)| module).to_owned();
    let modules: std::collections::BTreeSet<_> = names.iter().map(|name| module_of(name)).collect();
    let adapted = adapters.iter().flat_map(|(adapter, _)| adapter.keys());
    let outer = adapted.filter(|key| !modules.contains(&key.module)).find_map(|key| {
        let (outer, inner) = key.module.split_once('.')?;
        modules.contains(inner).then(|| outer.to_owned())
    });
    let named = |name: &str| match &outer {
        Some(outer) if !is_head(&module_of(name)) => format!("{outer}.{name}"),
        _ => name.to_owned(),
    };
    let tree = ModuleTree::from_tensors(
        base.tensors().map(|tensor| (named(tensor.name()), tensor.shape())),
    )
    .map_err(collimate_peft::PeftError::from)?;
    let bytes = serde_json::to_vec(config).unwrap_or_default();
    let tied = Architecture::from_config(&bytes).ok().and_then(|found| found.tied_embeddings);
    if tree.head().is_some() || tied != Some(true) {
        return Ok(tree);
    }
    let embedding = tree
        .iter()
        .filter(|(_, module)| module.kind == ModuleKind::Embedding)
        .map(|(name, _)| name.to_owned())
        .find(|name| !name.ends_with("wpe") && !name.ends_with("embed_positions"));
    match embedding {
        Some(embedding) => Ok(tree
            .with_tied_head("lm_head", &embedding)
            .map_err(collimate_peft::PeftError::from)?),
        None => Ok(tree),
    }
}

fn is_head(module: &str) -> bool {
    matches!(module, "lm_head" | "embed_out")
}

/// The files that tensors are written to.
pub(super) fn files(base: &Checkpoint, layout: &Layout, sharding: Sharding) -> Shards {
    match sharding {
        Sharding::MaxBytes(bytes) => shards(layout, bytes),
        Sharding::AsParent => {
            let files: BTreeMap<_, _> = base
                .tensors()
                .map(|tensor| (tensor.name(), tensor.file().path().file_name()))
                .collect();
            shards_as(layout, |name| files.get(name).copied().flatten()?.to_str())
        }
    }
}

/// The type that a merge gives all weights, if it is not the parent's.
pub(super) fn dtype_of(dtype: MergeDtype) -> Option<Dtype> {
    match dtype {
        MergeDtype::F32 => Some(Dtype::F32),
        MergeDtype::Bf16 => Some(Dtype::BF16),
        MergeDtype::F16 => Some(Dtype::F16),
        _ => None,
    }
}

/// Merges and writes all weights and their index. The files are hashed while the system brings them
/// to the disk.
pub(super) fn write(
    plan: &MergePlan<'_>,
    files: &Shards,
    staging: &Staging,
    folder: &str,
    cancelled: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<(MergeReport, Checksums)> {
    let mut writers = Vec::with_capacity(files.files.len());
    let mut file_of: HashMap<&str, usize> = HashMap::new();
    for (at, shard) in files.files.iter().enumerate() {
        let path = staging.file(&format!("{folder}{}", shard.file))?;
        writers.push(SafetensorsWriter::create(path, &shard.layout)?);
        file_of.extend(shard.layout.tensors().iter().map(|tensor| (tensor.name.as_str(), at)));
    }
    let sink = |name: &str, offset: u64, bytes: &[u8]| {
        let writer = file_of.get(name).and_then(|&at| writers.get(at));
        let unknown = || WriteError::UnknownTensor { tensor: name.to_owned() };
        writer.ok_or_else(unknown)?.write(name, offset, bytes)
    };
    let of = plan.layout().data_len();
    let report = thread::scope(|scope| {
        let (sender, progress) = mpsc::channel();
        let work = scope.spawn(move || {
            // Nobody listens any more where the observer panicked.
            plan.run(&sink, &|bytes| sender.send(bytes).unwrap_or_default(), cancelled)
        });
        let mut most = 0;
        for bytes in progress {
            if bytes > most {
                most = bytes;
                observer.on_event(&ArtifactEvent::Merged { bytes, of });
            }
        }
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let report = report.map_err(|error| cancelled_or(error, cancelled))?;
    let written: Vec<(String, Checksum)> = writers
        .into_par_iter()
        .zip(&files.files)
        .map(|(writer, shard)| {
            let path = writer.path().to_owned();
            let (finished, checksum) =
                rayon::join(|| writer.finish(), || Checksum::of_file(&path, cancelled));
            finished?;
            Ok((format!("{folder}{}", shard.file), checksum?))
        })
        .collect::<Result<_>>()?;
    for shard in &files.files {
        let bytes = shard.layout.data_len();
        let file = Path::new(folder).join(&shard.file);
        observer.on_event(&ArtifactEvent::FileWritten { file, bytes });
    }
    if let Some(index) = &files.index {
        staging.write(&format!("{folder}{INDEX}"), index.to_json().as_bytes())?;
    }
    Ok((report, written.into_iter().collect()))
}

fn cancelled_or(error: collimate_peft::PeftError, cancelled: &AtomicBool) -> ArtifactError {
    if cancelled.load(std::sync::atomic::Ordering::Relaxed) {
        ArtifactError::Cancelled
    } else {
        error.into()
    }
}
