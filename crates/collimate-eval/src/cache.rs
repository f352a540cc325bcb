//! Hidden states that were computed before.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use collimate_lm::HiddenSource;
use collimate_tensors::{Dtype, TensorFile, write_safetensors};
use sha2::{Digest, Sha256};

use crate::error::{EvalError, Result};
use crate::states::Pool;

const STATES: &str = "states";
const TEXTS: &str = "texts";
const DIGEST: &str = "sha256";

/// A folder of hidden states: a file for each model, adapter, source, pooling, type and layer, in which
/// states are found by the tokens of their text.
///
/// A file that is damaged is counted, and replaced. Of two processes that add to a file at the same
/// moment one may lose what it added, which is then computed again.
#[derive(Clone, Debug)]
pub struct StatesCache {
    folder: PathBuf,
}

impl StatesCache {
    /// Opens a cache, whose folder is made with its first file.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    pub(crate) fn read(&self, key: &LayerKey, width: usize) -> Result<CachedLayer> {
        let path = self.path(key);
        if !path.try_exists().map_err(|source| EvalError::Cache { path: path.clone(), source })? {
            return Ok(CachedLayer::default());
        }
        match read(&path, width) {
            Some(states) => Ok(CachedLayer { states, damaged: false }),
            None => Ok(CachedLayer { states: BTreeMap::new(), damaged: true }),
        }
    }

    pub(crate) fn add(
        &self,
        key: &LayerKey,
        width: usize,
        new: BTreeMap<TextKey, Vec<f32>>,
    ) -> Result<()> {
        let failed = |source| EvalError::Cache { path: self.folder.clone(), source };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let mut all = self.read(key, width)?.states;
        all.extend(new);
        let texts: Vec<u8> = all.keys().flat_map(|key| key.0).collect();
        let states: Vec<u8> =
            all.values().flatten().flat_map(|number| number.to_le_bytes()).collect();
        let count = all.len() as u64;
        let metadata = BTreeMap::from([(DIGEST.to_owned(), digest(&texts, &states))]);
        let tensors = [
            (TEXTS.to_owned(), Dtype::U8, vec![count, 32], texts),
            (STATES.to_owned(), Dtype::F32, vec![count, width as u64], states),
        ];
        write_safetensors(self.path(key), &metadata, tensors)?;
        Ok(())
    }

    fn path(&self, key: &LayerKey) -> PathBuf {
        self.folder.join(format!("{}.safetensors", key.0))
    }
}

/// What is known of a layer.
#[derive(Debug, Default)]
pub(crate) struct CachedLayer {
    pub(crate) states: BTreeMap<TextKey, Vec<f32>>,
    pub(crate) damaged: bool,
}

/// What tells a layer's file from others.
#[derive(Clone, Debug)]
pub(crate) struct LayerKey(String);

impl LayerKey {
    pub(crate) fn of(
        fingerprint: &str,
        source: HiddenSource,
        pool: Pool,
        dtype: &str,
        layer: usize,
    ) -> Self {
        let mut hasher = Sha256::new();
        let parts = [fingerprint, &format!("{source:?}"), &format!("{pool:?}"), dtype];
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.update((layer as u64).to_le_bytes());
        Self(hexadecimal(&hasher.finalize()))
    }
}

/// The SHA-256 of a text's tokens.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct TextKey([u8; 32]);

impl TextKey {
    pub(crate) fn of(ids: &[u32]) -> Self {
        let mut hasher = Sha256::new();
        ids.iter().for_each(|id| hasher.update(id.to_le_bytes()));
        Self(hasher.finalize().into())
    }
}

/// What tells a model, with its adapter, from any other: the SHA-256 over the names and contents of the
/// configuration, weights and tokenizer that lie in the folders.
///
/// All weights are read for it: some seconds for a model of 7 billion parameters.
///
/// # Errors
///
/// [`EvalError::Cache`]: a folder or a file can't be read; [`EvalError::NoWeights`].
pub fn model_fingerprint(model: &Path, adapter: Option<&Path>) -> Result<String> {
    let mut hasher = Sha256::new();
    for folder in [Some(model), adapter].into_iter().flatten() {
        let failed = |path: &Path, source| EvalError::Cache { path: path.to_owned(), source };
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(|source| failed(folder, source))? {
            let name = entry.map_err(|source| failed(folder, source))?.file_name();
            let Some(name) = name.to_str() else { continue };
            let wanted = [".safetensors", ".bin", ".json", ".model"];
            if wanted.iter().any(|end| name.ends_with(end)) {
                files.push(name.to_owned());
            }
        }
        if !files.iter().any(|name| name.ends_with(".safetensors") || name.ends_with(".bin")) {
            return Err(EvalError::NoWeights { path: folder.to_owned() });
        }
        files.sort();
        for name in files {
            let path = folder.join(&name);
            let mut of_file = Sha256::new();
            let mut file = File::open(&path).map_err(|source| failed(&path, source))?;
            let mut buffer = vec![0; 1 << 20];
            loop {
                let read = file.read(&mut buffer).map_err(|source| failed(&path, source))?;
                if read == 0 {
                    break;
                }
                of_file.update(buffer.get(..read).unwrap_or_default());
            }
            hasher.update((name.len() as u64).to_le_bytes());
            hasher.update(name);
            hasher.update(of_file.finalize());
        }
        // Where one folder ends.
        hasher.update(u64::MAX.to_le_bytes());
    }
    Ok(hexadecimal(&hasher.finalize()))
}

/// The states of a file; none if it is not what was written.
fn read(path: &Path, width: usize) -> Option<BTreeMap<TextKey, Vec<f32>>> {
    let file = TensorFile::open(path).ok()?;
    let (texts, states) = (file.get(TEXTS)?, file.get(STATES)?);
    let count = *texts.shape().first()?;
    let is_right = texts.dtype() == Dtype::U8
        && texts.shape() == [count, 32]
        && states.dtype() == Dtype::F32
        && states.shape() == [count, width as u64];
    let (texts, states) = (texts.bytes().ok()?, states.bytes().ok()?);
    if !is_right || *file.metadata().get(DIGEST)? != digest(&texts, &states) {
        return None;
    }
    let keys = texts.chunks_exact(32).filter_map(|key| key.try_into().ok().map(TextKey));
    let number = |bytes: &[u8]| bytes.try_into().map_or(0.0, f32::from_le_bytes);
    let states = states.chunks_exact(4 * width.max(1));
    let states = states.map(|states| states.chunks_exact(4).map(number).collect());
    Some(keys.zip(states).collect())
}

fn digest(texts: &[u8], states: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(texts);
    hasher.update(states);
    hexadecimal(&hasher.finalize())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
