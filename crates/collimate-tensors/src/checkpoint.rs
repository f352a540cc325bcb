mod index;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Result, TensorsError};
use crate::file::TensorFile;
use crate::tensor::Tensor;

pub use index::stays_inside;

/// The weights of a model's folder: one file, or several and the index that says which tensor is in
/// which.
///
/// # Examples
///
/// ```
/// use collimate_tensors::{Checkpoint, Dtype, write_safetensors};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let metadata = [("format".to_owned(), "pt".to_owned())].into();
/// let tensors = [("lm_head.weight", Dtype::BF16, [2, 3], [0; 12])];
/// write_safetensors(folder.join("model.safetensors"), &metadata, tensors)?;
///
/// let checkpoint = Checkpoint::open(folder)?;
/// assert_eq!(checkpoint.parameters(), 6);
/// assert!(checkpoint.get("lm_head.weight").is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Checkpoint {
    index: Option<PathBuf>,
    files: Vec<TensorFile>,
    /// The file of every tensor, and its position there.
    places: BTreeMap<String, (usize, usize)>,
}

impl Checkpoint {
    /// Opens the weights that transformers would load from a folder: `model.safetensors`, else what
    /// its index names, else `pytorch_model.bin`, else what its index names.
    ///
    /// Files are mapped, not read. What the index names must lie in the folder, whatever links there
    /// are, or be a blob of the Hub cache that the folder is a snapshot in. Tensors that lie in a shard
    /// without being in the index count as well, as they do for transformers.
    ///
    /// # Errors
    ///
    /// [`TensorsError`]: there are no weights, a file or a tensor is missing, is there twice, can't be
    /// read or lies elsewhere.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        // Links are looked at one by one, not followed: one that leads nowhere is there.
        let is_there = |name: &str| fs::symlink_metadata(folder.join(name)).is_ok();
        for (single, index) in [
            ("model.safetensors", "model.safetensors.index.json"),
            ("pytorch_model.bin", "pytorch_model.bin.index.json"),
        ] {
            if is_there(single) {
                return Self::single(folder, single);
            }
            if is_there(index) {
                return Self::indexed(folder, index);
            }
        }
        // Where it isn't a folder at all, say that instead.
        fs::read_dir(folder)
            .map_err(|source| TensorsError::Io { path: folder.to_owned(), source })?;
        Err(TensorsError::NoWeights { folder: folder.to_owned() })
    }

    fn single(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        Bounds::of(folder)?.check(&path)?;
        Self::of(None, vec![TensorFile::open(path)?])
    }

    fn indexed(folder: &Path, name: &str) -> Result<Self> {
        let index = folder.join(name);
        let bounds = Bounds::of(folder)?;
        bounds.check(&index)?;
        let mut files = Vec::new();
        for (name, tensors) in index::read(&index)? {
            let path = folder.join(&name);
            if fs::symlink_metadata(&path).is_err() {
                return Err(TensorsError::MissingFile { index, file: name });
            }
            bounds.check(&path)?;
            let file = TensorFile::open(path)?;
            let missing: Vec<_> =
                tensors.iter().filter(|tensor| file.get(tensor).is_none()).collect();
            if let Some(&first) = missing.first() {
                let (tensor, count) = (first.clone(), missing.len());
                return Err(TensorsError::MissingTensor { index, file: name, tensor, count });
            }
            files.push(file);
        }
        Self::of(Some(index), files)
    }

    fn of(index: Option<PathBuf>, files: Vec<TensorFile>) -> Result<Self> {
        let mut places = BTreeMap::new();
        for (at, file) in files.iter().enumerate() {
            for (position, tensor) in file.tensors().enumerate() {
                let other = places.insert(tensor.name().to_owned(), (at, position));
                if let Some(first) = other.and_then(|(first, _)| files.get(first)) {
                    return Err(TensorsError::Twice {
                        tensor: tensor.name().to_owned(),
                        first: first.path().to_owned(),
                        second: file.path().to_owned(),
                    });
                }
            }
        }
        Ok(Self { index, files, places })
    }

    /// The index, where the weights are in several files.
    pub fn index(&self) -> Option<&Path> {
        self.index.as_deref()
    }

    /// The files, in the order of their names.
    pub fn files(&self) -> &[TensorFile] {
        &self.files
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<Tensor<'_>> {
        let &(file, position) = self.places.get(name)?;
        self.files.get(file)?.tensor_at(position)
    }

    /// All tensors, file by file, in the order of their data.
    pub fn tensors(&self) -> impl Iterator<Item = Tensor<'_>> {
        self.files.iter().flat_map(TensorFile::tensors)
    }

    /// Elements of all tensors. A tied output head that is stored all the same counts twice.
    pub fn parameters(&self) -> u64 {
        self.tensors().map(|tensor| tensor.elements()).fold(0, u64::saturating_add)
    }

    /// Bytes of all tensors.
    pub fn bytes(&self) -> u64 {
        self.tensors().map(|tensor| tensor.byte_len()).fold(0, u64::saturating_add)
    }

    /// Checks that every file is still the one that was opened.
    ///
    /// # Errors
    ///
    /// As [`TensorFile::unchanged`].
    pub fn unchanged(&self) -> Result<()> {
        self.files.iter().try_for_each(TensorFile::unchanged)
    }
}

/// Where the files of a model may lie.
struct Bounds {
    folder: PathBuf,
    /// The blobs of the Hub cache that the folder is in.
    blobs: Option<PathBuf>,
}

impl Bounds {
    fn of(folder: &Path) -> Result<Self> {
        let folder = folder
            .canonicalize()
            .map_err(|source| TensorsError::Io { path: folder.to_owned(), source })?;
        let snapshots = folder.ancestors().find(|path| path.ends_with("snapshots"));
        let blobs = snapshots.and_then(Path::parent).map(|repo| repo.join("blobs"));
        Ok(Self { folder, blobs })
    }

    fn check(&self, path: &Path) -> Result<()> {
        let target = path
            .canonicalize()
            .map_err(|source| TensorsError::Io { path: path.to_owned(), source })?;
        let is_blob = self.blobs.as_ref().is_some_and(|blobs| target.starts_with(blobs));
        if target.starts_with(&self.folder) || is_blob {
            return Ok(());
        }
        Err(TensorsError::LinkOut { path: path.to_owned(), target })
    }
}
