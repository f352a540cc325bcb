use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{PeftError, Result};

/// Most bytes of a configuration.
const MAX_BYTES: u64 = 4 << 20;

/// What mlx-lm reads of its `adapter_config.json`; the rest are settings of the training.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct MlxConfig {
    pub(super) fine_tune_type: Option<String>,
    pub(super) lora_parameters: Option<LoraParameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    /// How many layers are adapted, counted from the last.
    #[serde(default)]
    pub(super) num_layers: i64,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct LoraParameters {
    #[serde(default)]
    pub(super) dropout: f64,
    /// Names of modules within a layer, or in the model.
    pub(super) keys: Option<Vec<String>>,
    pub(super) rank: u32,
    /// What the update is multiplied by, whatever the rank.
    pub(super) scale: f64,
}

impl MlxConfig {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let failed = |source| PeftError::Io { path: path.to_owned(), source };
        // What is not a regular file is never opened: a pipe would block.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(PeftError::NotAFile { path: path.to_owned() });
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(PeftError::TooLarge { path: path.to_owned(), limit: MAX_BYTES });
        }
        serde_json::from_slice(&bytes)
            .map_err(|source| PeftError::Json { path: path.to_owned(), source })
    }

    /// Writes the file beside its place and renames it, so that nobody sees a part of it.
    pub(super) fn write(&self, folder: &Path, name: &str) -> Result<()> {
        let path = folder.join(name);
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|source| PeftError::Json { path: path.clone(), source })?;
        text.push('\n');
        let written = (|| -> io::Result<()> {
            let mut builder = tempfile::Builder::new();
            builder.prefix(".collimate-").suffix(".partial");
            // Like any other new file; the default for temporary ones is to hide them from others.
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
            let mut file = builder.tempfile_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            // The new name is only safe once the folder is.
            #[cfg(unix)]
            File::open(folder)?.sync_all()?;
            Ok(())
        })();
        written.map_err(|source| PeftError::Io { path, source })
    }
}
