use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::disk::{read_small, write_whole};
use crate::error::{PeftError, Result};

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
        serde_json::from_slice(&read_small(path)?)
            .map_err(|source| PeftError::Json { path: path.to_owned(), source })
    }

    /// Writes the file beside its place and renames it, so that nobody sees a part of it.
    pub(super) fn write(&self, folder: &Path, name: &str) -> Result<()> {
        let path = folder.join(name);
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|source| PeftError::Json { path: path.clone(), source })?;
        text.push('\n');
        write_whole(&path, text.as_bytes())
    }
}
