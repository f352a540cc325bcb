mod check;
mod error;
mod key;
mod tensor;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};

use collimate_tensors::{Dtype, TensorFile, write_safetensors};

pub(crate) use check::saved_over;
pub use error::AdapterError;
pub use key::{AdapterKey, AdapterPart};
pub use tensor::AdapterTensor;

use crate::config::LoraConfig;
use crate::error::Result;

const CONFIG: &str = "adapter_config.json";
const SAFETENSORS: &str = "adapter_model.safetensors";
const PICKLE: &str = "adapter_model.bin";

/// A LoRA adapter: its configuration and its tensors.
///
/// # Examples
///
/// ```
/// use collimate_peft::{Adapter, AdapterKey, AdapterPart, AdapterTensor, LoraConfig, ModuleTree};
///
/// let module = "model.layers.0.self_attn.q_proj";
/// let config = LoraConfig::new(1).with_target_modules(["q_proj"]);
/// let a = AdapterTensor::from_f32(vec![1, 3], &[1.0, 2.0, 3.0]);
/// let b = AdapterTensor::from_f32(vec![2, 1], &[0.5, -0.5]);
/// let adapter = Adapter::new(
///     config,
///     [
///         (AdapterKey::new(module, AdapterPart::A), a),
///         (AdapterKey::new(module, AdapterPart::B), b),
///     ],
/// )?;
/// let folder = tempfile::tempdir()?;
/// adapter.write(folder.path())?;
///
/// let read = Adapter::read(folder.path())?;
/// let tree = ModuleTree::from_tensors([(format!("{module}.weight"), [2, 3])])?;
/// assert_eq!(read.check(&tree)?.modules[0].rank, 1);
/// // For a model with other sizes it is none.
/// let tree = ModuleTree::from_tensors([(format!("{module}.weight"), [2, 4])])?;
/// assert!(read.check(&tree).unwrap_err().to_string().contains("[1, 3], [1, 4] is expected"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Adapter {
    config: LoraConfig,
    /// Where its tensors were read; empty for one that was made.
    path: PathBuf,
    file: Option<TensorFile>,
    tensors: BTreeMap<AdapterKey, Held>,
}

#[derive(Debug)]
enum Held {
    /// In the mapped file, under this name.
    Mapped(String),
    Owned(AdapterTensor<'static>),
}

impl Adapter {
    /// An adapter from tensors, for whoever trains one.
    ///
    /// # Errors
    ///
    /// A configuration that [`LoraConfig::check`] refuses; a tensor that is there twice, is not of
    /// floating-point numbers or doesn't have the bytes of its shape.
    pub fn new<'a>(
        config: LoraConfig,
        tensors: impl IntoIterator<Item = (AdapterKey, AdapterTensor<'a>)>,
    ) -> Result<Self> {
        config.check()?;
        let mut adapter =
            Self { config, path: PathBuf::new(), file: None, tensors: BTreeMap::new() };
        for (key, tensor) in tensors {
            if tensor.expected_bytes() != Some(tensor.bytes.len() as u64) {
                return Err(AdapterError::Size {
                    path: adapter.path,
                    tensor: key.to_string(),
                    shape: tensor.shape.into_owned(),
                    found: tensor.bytes.len(),
                }
                .into());
            }
            adapter.hold(&key.to_string(), key, tensor.dtype, Held::Owned(tensor.into_owned()))?;
        }
        Ok(adapter)
    }

    /// Reads a folder: `adapter_config.json` and `adapter_model.safetensors`, which is mapped, or
    /// else `adapter_model.bin`, of which nothing is executed.
    ///
    /// Whether the tensors are those that the configuration needs depends on the model:
    /// [`Adapter::check`] tells.
    ///
    /// # Errors
    ///
    /// A file that is missing, can't be read or is malformed; a tensor whose name is none of PEFT's,
    /// that is there twice or is not of floating-point numbers.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let config = LoraConfig::read(folder.join(CONFIG))?;
        // A link that leads nowhere is there.
        let is_there = |name: &&str| fs::symlink_metadata(folder.join(name)).is_ok();
        let Some(name) = [SAFETENSORS, PICKLE].into_iter().find(is_there) else {
            return Err(AdapterError::NoTensors { folder: folder.to_owned() }.into());
        };
        let path = folder.join(name);
        let file = TensorFile::open(&path).map_err(AdapterError::Read)?;
        let mut adapter = Self { config, path, file: None, tensors: BTreeMap::new() };
        for tensor in file.tensors() {
            let name = tensor.name();
            let Some(key) = AdapterKey::parse(name) else {
                let (path, tensor) = (adapter.path, name.to_owned());
                return Err(AdapterError::Name { path, tensor }.into());
            };
            let held = if file.is_pickle() {
                let bytes = tensor.bytes().map_err(AdapterError::Read)?;
                Held::Owned(AdapterTensor::new(tensor.dtype(), tensor.shape(), bytes).into_owned())
            } else {
                Held::Mapped(name.to_owned())
            };
            adapter.hold(name, key, tensor.dtype(), held)?;
        }
        adapter.file = (!file.is_pickle()).then_some(file);
        Ok(adapter)
    }

    fn hold(&mut self, name: &str, key: AdapterKey, dtype: Dtype, held: Held) -> Result<()> {
        let (path, tensor) = (self.path.clone(), name.to_owned());
        if !is_float(dtype) {
            return Err(AdapterError::Dtype { path, tensor, dtype }.into());
        }
        match self.tensors.entry(key) {
            Entry::Occupied(_) => Err(AdapterError::Twice { path, tensor }.into()),
            Entry::Vacant(entry) => {
                entry.insert(held);
                Ok(())
            }
        }
    }

    /// Writes `adapter_config.json` and `adapter_model.safetensors` into a folder that is there, as
    /// PEFT would: equal adapters give equal bytes. Each file is whole or not there; a folder that
    /// is whole or not there is the caller's business.
    ///
    /// # Errors
    ///
    /// What [`LoraConfig::check`] refuses; what the file system refuses.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        let tensors = self
            .keys()
            .filter_map(|key| {
                let tensor = self.get(key).transpose()?;
                Some(tensor.map(|tensor| {
                    (key.to_string(), tensor.dtype, tensor.shape.into_owned(), tensor.bytes)
                }))
            })
            .collect::<Result<Vec<_>>>()?;
        self.config.check()?;
        write_safetensors(folder.join(SAFETENSORS), &metadata, tensors)
            .map_err(AdapterError::Write)?;
        self.config.write(folder.join(CONFIG))
    }

    /// Its configuration.
    pub fn config(&self) -> &LoraConfig {
        &self.config
    }

    /// Which tensors it has, sorted.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &AdapterKey> {
        self.tensors.keys()
    }

    /// A tensor, borrowed from the adapter or from its mapped file; nothing where it has none.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub fn get(&self, key: &AdapterKey) -> Result<Option<AdapterTensor<'_>>> {
        let Some(held) = self.tensors.get(key) else { return Ok(None) };
        let name = match held {
            Held::Owned(tensor) => return Ok(Some(tensor.borrowed())),
            Held::Mapped(name) => name,
        };
        let Some(tensor) = self.file.as_ref().and_then(|file| file.get(name)) else {
            return Ok(None);
        };
        let bytes = tensor.bytes().map_err(AdapterError::Read)?;
        Ok(Some(AdapterTensor::new(tensor.dtype(), tensor.shape(), bytes)))
    }

    /// Checks that the file is still the one that was read.
    ///
    /// # Errors
    ///
    /// It was changed, or isn't there any more.
    pub fn unchanged(&self) -> Result<()> {
        let unchanged = self.file.as_ref().map_or(Ok(()), TensorFile::unchanged);
        unchanged.map_err(|source| AdapterError::Read(source).into())
    }
}

/// The types that are converted to `f32`.
pub(crate) fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64)
}
