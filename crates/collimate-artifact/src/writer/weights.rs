//! Merging, and writing the merged weights.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use collimate_models::Architecture;
use collimate_peft::{Adapter, Merge, MergeDtype, MergePlan, ModuleKind, ModuleTree, is_buffer};
use collimate_tensors::{
    Checkpoint, Dtype, Layout, SafetensorsWriter, Shards, WriteError, shards, shards_as,
};
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::Sharding;
use super::together::{Parts, Together, join};
use crate::checksums::{Checksum, FileHash};
use crate::error::{ArtifactError, Result};
use crate::event::{ArtifactEvent, Observer};
use crate::stage::Staging;

/// The index beside shards.
const INDEX: &str = "model.safetensors.index.json";
/// Bytes of a file after which they are brought to the disk.
const SYNCED: u64 = 64 << 20;
/// Most events of a merge.
const EVENTS: u128 = 1000;
/// How long nothing may be heard of the merge before it is asked whether all was cancelled.
const PATIENCE: Duration = Duration::from_millis(20);

/// The checksums of the files, and what came of the work beside.
type Written<T> = (Vec<(String, Checksum)>, T);

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
    let modules: BTreeSet<_> = names.iter().map(|name| module_of(name)).collect();
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

/// That weights of which all were trained are those of the parent, each in its shape. A head may be missing
/// where it is the embedding, and buffers are no weights.
pub(super) fn check_trained(
    trained: &Checkpoint,
    of_parent: &Checkpoint,
    path: &Path,
) -> Result<()> {
    let wrong = |message: String| ArtifactError::Invalid { path: path.to_owned(), message };
    // Some models are saved from inside: what one has at the front of all names, the other may lack.
    let find = |name: &str| {
        let inner = name.split_once('.').map_or(name, |(_, inner)| inner);
        of_parent.get(name).or_else(|| of_parent.get(inner)).or_else(|| {
            of_parent.tensors().find(|tensor| {
                tensor.name().split_once('.').is_some_and(|(_, inner)| inner == name)
            })
        })
    };
    let mut found = BTreeSet::new();
    for tensor in trained.tensors() {
        let name = tensor.name();
        let Some(parent) = find(name) else {
            return Err(wrong(format!("the parent has no {name}")));
        };
        if parent.shape() != tensor.shape() {
            let (here, there) = (tensor.shape(), parent.shape());
            return Err(wrong(format!("{name} is {here:?}, and {there:?} in the parent")));
        }
        found.insert(parent.name());
    }
    let missing = of_parent.tensors().find(|tensor| {
        let (module, parameter) = tensor.name().rsplit_once('.').unwrap_or(("", tensor.name()));
        !found.contains(tensor.name()) && !is_head(module) && !is_buffer(parameter, tensor.shape())
    });
    match missing {
        Some(tensor) => Err(wrong(format!("it lacks {}, which the parent has", tensor.name()))),
        None => Ok(()),
    }
}

/// The type that trained weights are written in: the parent's, where it is to be kept.
pub(super) fn dtype_like(of_parent: &Checkpoint, dtype: MergeDtype) -> MergeDtype {
    if dtype != MergeDtype::Keep {
        return dtype;
    }
    let mut matrices = of_parent.tensors().filter(|tensor| tensor.shape().len() == 2);
    match matrices.next().map(|matrix| matrix.dtype()) {
        Some(Dtype::F32) => MergeDtype::F32,
        Some(Dtype::BF16) => MergeDtype::Bf16,
        Some(Dtype::F16) => MergeDtype::F16,
        _ => dtype,
    }
}

/// The files that tensors are written to.
pub(super) fn files(of_parent: &Checkpoint, layout: &Layout, sharding: Sharding) -> Shards {
    match sharding {
        Sharding::MaxBytes(bytes) => shards(layout, bytes),
        Sharding::AsParent => {
            let files: BTreeMap<_, _> = of_parent
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

/// Merges and writes all weights and their index.
///
/// While the files grow, they are hashed and brought to the disk, and what goes `beside` is done, each
/// in a thread of its own; this one tells the observer. The first that fails stops the others.
pub(super) fn write<T: Send>(
    plan: &MergePlan<'_>,
    files: &Shards,
    staging: &Staging,
    folder: &str,
    beside: impl FnOnce(&AtomicBool) -> Result<T> + Send,
    cancelled: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Written<T>> {
    let mut writers = Vec::with_capacity(files.files.len());
    let mut file_of: HashMap<&str, usize> = HashMap::new();
    for (at, shard) in files.files.iter().enumerate() {
        let path = staging.file(&format!("{folder}{}", shard.file))?;
        writers.push(SafetensorsWriter::create(path, &shard.layout)?);
        file_of.extend(shard.layout.tensors().iter().map(|tensor| (tensor.name.as_str(), at)));
    }
    if let Some(index) = &files.index {
        staging.write(&format!("{folder}{INDEX}"), index.to_json().as_bytes())?;
    }
    let of = plan.layout().data_len();
    let together = Together::default();
    let done = thread::scope(|scope| {
        let (parts, progress) = Parts::new(scope, &together);
        let (hashed, to_sync) = mpsc::channel();
        let (growing, hashes): (Vec<_>, Vec<_>) = writers
            .iter()
            .map(|writer| {
                // One message that waits says as much as many.
                let (grown, growth) = mpsc::sync_channel(1);
                let hashed = hashed.clone();
                let hash = parts.spawn(move |stop| hash(writer, growth, hashed, stop));
                ((writer, grown), hash)
            })
            .unzip();
        drop(hashed);
        let sync = parts.spawn(|_| {
            to_sync.into_iter().try_for_each(|writer: &SafetensorsWriter| Ok(writer.sync()?))
        });
        let beside = parts.spawn(beside);
        let bytes_done = parts.events.clone();
        let merge = parts.spawn(move |stop| {
            let sink = |name: &str, offset: u64, bytes: &[u8]| {
                let file = file_of.get(name).and_then(|&at| growing.get(at));
                let unknown = || WriteError::UnknownTensor { tensor: name.to_owned() };
                let (writer, grown) = file.ok_or_else(unknown)?;
                writer.write(name, offset, bytes)?;
                // Where it can't be sent one waits, or nobody listens any more.
                grown.try_send(()).unwrap_or_default();
                Ok(())
            };
            let told = AtomicU64::new(0);
            let tell = |bytes: u64| {
                let part = (u128::from(bytes) * EVENTS / u128::from(of.max(1))) as u64;
                if told.fetch_max(part, Ordering::Relaxed) < part {
                    // Nobody listens any more where the observer panicked.
                    bytes_done.send(bytes).unwrap_or_default();
                }
            };
            plan.run(&sink, &tell, stop).map_err(|error| cancelled_or(error, stop))
        });
        drop(parts);
        let mut most = 0;
        loop {
            if cancelled.load(Ordering::Relaxed) {
                together.stop();
            }
            match progress.recv_timeout(PATIENCE) {
                Ok(bytes) if bytes > most => {
                    most = bytes;
                    observer.on_event(&ArtifactEvent::Merged { bytes, of });
                }
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let hashes: Option<Vec<Checksum>> = hashes.into_iter().map(join).collect();
        Some((join(merge)?, hashes?, join(beside)?, join(sync)?))
    });
    let Some((_, hashes, beside, ())) = done else { return Err(together.error()) };
    writers.into_par_iter().try_for_each(SafetensorsWriter::finish)?;
    for shard in &files.files {
        let bytes = shard.layout.data_len();
        let file = Path::new(folder).join(&shard.file);
        observer.on_event(&ArtifactEvent::FileWritten { file, bytes });
    }
    let names = files.files.iter().map(|shard| format!("{folder}{}", shard.file));
    Ok((names.zip(hashes).collect(), beside))
}

/// Hashes what is there of a file each time that it has grown; `hashed` is told now and then.
fn hash<'w>(
    writer: &'w SafetensorsWriter,
    growth: Receiver<()>,
    hashed: Sender<&'w SafetensorsWriter>,
    stop: &AtomicBool,
) -> Result<Checksum> {
    let mut hash = FileHash::open(writer.path())?;
    let mut told = 0;
    for () in growth {
        let len = hash.update(writer.prefix_len(), stop)?;
        if len - told >= SYNCED {
            told = len;
            // Nobody listens any more where syncing failed.
            hashed.send(writer).unwrap_or_default();
        }
    }
    hash.update(writer.prefix_len(), stop)?;
    Ok(hash.finish())
}

fn cancelled_or(error: collimate_peft::PeftError, cancelled: &AtomicBool) -> ArtifactError {
    if cancelled.load(Ordering::Relaxed) { ArtifactError::Cancelled } else { error.into() }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use collimate_peft::{AdapterKey, AdapterPart, AdapterTensor, LoraConfig};
    use collimate_tensors::write_safetensors;

    use super::*;
    use crate::event::check_cancelled;
    use crate::stage::Replace;

    const WIDTH: u64 = 512;

    struct Place {
        folder: tempfile::TempDir,
        base: Checkpoint,
        adapter: Adapter,
    }

    impl Place {
        /// A base of nine tensors, and an adapter of one of them with these values.
        fn new(value: f32) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let ones = vec![1; (WIDTH * WIDTH * 4) as usize];
            let tensors = (0..9).map(|layer| {
                let name = format!("model.layers.{layer}.self_attn.q_proj.weight");
                (name, Dtype::F32, [WIDTH, WIDTH], ones.as_slice())
            });
            let path = folder.path().join("model.safetensors");
            write_safetensors(path, &BTreeMap::new(), tensors).unwrap();
            let tensors = [(AdapterPart::A, [1, WIDTH]), (AdapterPart::B, [WIDTH, 1])];
            let tensors = tensors.map(|(part, shape)| {
                let key = AdapterKey::new("model.layers.0.self_attn.q_proj", part);
                (key, AdapterTensor::from_f32(shape.to_vec(), &[value; WIDTH as usize]))
            });
            let config =
                LoraConfig::new(1).with_target_modules(["model.layers.0.self_attn.q_proj"]);
            let adapter = Adapter::new(config, tensors).unwrap();
            Self { base: Checkpoint::open(folder.path()).unwrap(), folder, adapter }
        }

        fn write<T: Send>(
            &self,
            beside: impl FnOnce(&AtomicBool) -> Result<T> + Send,
            cancelled: &AtomicBool,
            observer: &mut dyn Observer,
        ) -> (Staging, Result<Written<T>>) {
            let target = self.folder.path().join("out");
            let staging = Staging::begin(&target, Replace::Never, &mut ()).unwrap();
            let adapters = [(&self.adapter, 1.0)];
            let plan = merge(&self.base, &Map::new(), &adapters, MergeDtype::Keep).unwrap();
            let plan = plan.plan().unwrap();
            let files = files(&self.base, plan.layout(), Sharding::MaxBytes(2_500_000));
            assert_eq!(files.files.len(), 5);
            let written = write(&plan, &files, &staging, "", beside, cancelled, observer);
            (staging, written)
        }
    }

    fn weights_in(staging: &Staging) -> usize {
        let names = fs::read_dir(staging.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".safetensors")).count()
    }

    /// Goes on until it is stopped, but no longer than anything here takes.
    fn until_stopped(stop: &AtomicBool) -> Result<()> {
        let begin = Instant::now();
        loop {
            check_cancelled(stop)?;
            assert!(begin.elapsed() < Duration::from_secs(20), "nothing stopped it");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn files_that_are_hashed_while_they_grow_have_the_checksums_of_the_whole() {
        let place = Place::new(1.0);
        let (staging, written) = place.write(|_| Ok(7), &AtomicBool::new(false), &mut ());
        let (checksums, beside) = written.unwrap();
        assert_eq!((checksums.len(), beside), (5, 7));
        for (file, checksum) in checksums {
            let bytes = fs::read(staging.path().join(&file)).unwrap();
            assert_eq!(checksum, Checksum::of_bytes(&bytes), "{file}");
        }
    }

    #[test]
    fn what_fails_beside_the_merge_leaves_no_weights() {
        let busy = |_: &AtomicBool| Err::<(), _>(ArtifactError::Busy { path: "beside".into() });
        let place = Place::new(1.0);
        let (staging, written) = place.write(busy, &AtomicBool::new(false), &mut ());
        assert!(matches!(written, Err(ArtifactError::Busy { .. })));
        assert_eq!(weights_in(&staging), 0);
    }

    #[test]
    fn a_merge_that_fails_stops_what_goes_beside() {
        let place = Place::new(f32::MAX);
        let (staging, written) = place.write(until_stopped, &AtomicBool::new(false), &mut ());
        let error = written.unwrap_err();
        assert!(matches!(error, ArtifactError::Peft(_)), "{error}");
        assert_eq!(weights_in(&staging), 0);
    }

    #[test]
    fn what_is_cancelled_after_the_merge_stops_what_goes_beside() {
        let cancelled = AtomicBool::new(false);
        let mut at_the_end = |event: &ArtifactEvent| {
            if matches!(event, ArtifactEvent::Merged { bytes, of } if bytes == of) {
                cancelled.store(true, Ordering::Relaxed);
            }
        };
        let place = Place::new(1.0);
        let (staging, written) = place.write(until_stopped, &cancelled, &mut at_the_end);
        assert!(matches!(written, Err(ArtifactError::Cancelled)));
        assert_eq!(weights_in(&staging), 0);
    }
}
