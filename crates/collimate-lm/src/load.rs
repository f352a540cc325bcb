//! Reading a model's folder.

mod matrix;
mod plan;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{DType, Device};
use collimate_tensors::Checkpoint;

use crate::build::build;
use crate::config::DecoderConfig;
use crate::error::{LmError, Result};
use crate::model::Decoder;
use plan::Plan;

/// What loading has done so far.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LoadEvent {
    /// Weights are on the device.
    Loaded {
        /// Bytes of the files that were read so far.
        bytes: u64,
        /// Bytes of all of them.
        of: u64,
    },
}

impl Decoder {
    /// Loads the model in a folder: `config.json` and `model.safetensors`, its shards, or
    /// `pytorch_model.bin`, which is read without executing anything.
    ///
    /// Files are mapped and go to the device tensor by tensor, in the type that is wanted.
    ///
    /// # Errors
    ///
    /// [`LmError`]: the configuration can't be read, or has an architecture or an option that is not
    /// supported; a tensor is missing, unexpected or of another shape; a file can't be read.
    pub fn load(folder: impl AsRef<Path>, device: &Device, dtype: DType) -> Result<Self> {
        Self::load_watched(folder, device, dtype, &AtomicBool::new(false), &mut |_| {})
    }

    /// As [`load`](Self::load), telling how far it is; ends with [`LmError::Cancelled`] once
    /// `cancelled` is set.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_watched(
        folder: impl AsRef<Path>,
        device: &Device,
        dtype: DType,
        cancelled: &AtomicBool,
        observer: &mut dyn FnMut(&LoadEvent),
    ) -> Result<Self> {
        let folder = folder.as_ref();
        let config = DecoderConfig::read(folder.join("config.json"))?;
        let checkpoint = Checkpoint::open(folder)?;
        let plan = Plan::new(folder, &checkpoint, &config, device)?;
        let of = checkpoint.bytes();
        let mut bytes = 0;
        let decoder = build(&config, device, dtype, &mut |wanted| {
            if cancelled.load(Ordering::Relaxed) {
                return Err(LmError::Cancelled);
            }
            let (data, read) = plan.read(wanted, dtype)?;
            bytes += read;
            observer(&LoadEvent::Loaded { bytes, of });
            Ok(data)
        })?;
        checkpoint.unchanged()?;
        Ok(decoder)
    }
}

/// The error of a tensor that can't be loaded in a type.
fn unsupported(folder: &Path, dtype: DType) -> LmError {
    LmError::Config {
        path: PathBuf::from(folder),
        field: "dtype".to_owned(),
        message: format!("models are loaded as f32, f16 or bf16, not as {dtype:?}"),
    }
}
