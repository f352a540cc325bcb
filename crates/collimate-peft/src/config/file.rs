use std::path::Path;

use serde_json::Value;

use super::{LoraConfig, fields, json};
use crate::disk::{read_small, write_whole};
use crate::error::{PeftError, Result};

impl LoraConfig {
    /// Reads an `adapter_config.json`.
    ///
    /// # Errors
    ///
    /// What is not a regular file of at most 4 MiB, can't be read, or is refused by
    /// [`LoraConfig::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = read_small(path)?;
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
    }
}
