use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use serde_json::Value;

use super::{LoraConfig, fields, json};
use crate::error::{PeftError, Result};

/// Most bytes of a configuration.
const MAX_BYTES: u64 = 4 << 20;

impl LoraConfig {
    /// Reads an `adapter_config.json`.
    ///
    /// # Errors
    ///
    /// What is not a regular file of at most 4 MiB, can't be read, or is refused by
    /// [`LoraConfig::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
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
        let text = String::from_utf8(bytes).map_err(|error| PeftError::NotUtf8 {
            path: path.to_owned(),
            position: error.utf8_error().valid_up_to(),
        })?;
        Self::parse(&text, path)
    }

    /// Reads the text of an `adapter_config.json` that any version of PEFT wrote; `path` is for
    /// messages.
    ///
    /// Keys that are absent have PEFT's defaults, keys that are not known are kept. `null` stands
    /// for what PEFT takes it for.
    ///
    /// # Errors
    ///
    /// What is no JSON object, has a key twice or a number beyond 64 bits; an adapter that is not
    /// of the kind LORA; values of the wrong kind or out of range; fields that PEFT refuses
    /// together.
    pub fn parse(text: &str, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let map = json::parse(text)
            .map_err(|source| PeftError::Json { path: path.to_owned(), source })?;
        fields::from_map(map).map_err(|source| PeftError::Config { path: path.to_owned(), source })
    }

    /// The text of the file, as PEFT's `json.dumps(…, indent=2, sort_keys=True)` prints it.
    ///
    /// Written are the keys that every version of PEFT knows, and of the others those that differ
    /// from their default: older versions refuse keys that they don't know. `rank_pattern` and
    /// `alpha_pattern` keep their order, because the first pattern that matches decides.
    ///
    /// # Errors
    ///
    /// As [`LoraConfig::check`].
    pub fn to_json(&self) -> Result<String> {
        Ok(json::print(&Value::Object(fields::to_map(self)?)))
    }

    /// Writes the file: beside its place, synced, and then renamed, so that nobody ever sees a part
    /// of it.
    ///
    /// # Errors
    ///
    /// As [`LoraConfig::to_json`]; what the file system refuses.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let text = self.to_json()?;
        write_whole(path, text.as_bytes())
            .map_err(|source| PeftError::Io { path: path.to_owned(), source })
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".collimate-").suffix(".partial");
    // Like any other new file; the default for temporary ones is to hide them from others.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The new name is only safe once the folder is.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}
