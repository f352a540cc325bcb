use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::disk::read_small;
use crate::error::{ArtifactError, Result};

/// Most bytes that are read of the file.
const LIMIT: u64 = 16 << 20;

/// `alignment_info.json`: what the folder of an aligned model says of how it was made.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AlignmentRecord {
    /// Always true: the folder was aligned.
    pub aligned_model: bool,
    /// Whether the weights of the whole model are there.
    pub standalone: bool,
    /// The name of the aligned model.
    pub model_name: String,
    /// How it was aligned, as [`Technique::id`](crate::Technique::id).
    pub alignment_technique: String,
    /// The same for people.
    pub alignment_technique_title: String,
    /// When.
    pub alignment_timestamp: Timestamp,
    /// The parent: its repository, else its name.
    pub parent_model: String,
    /// The parent's name for people.
    pub parent_model_name: String,
    /// The commit of the parent's repository.
    #[serde(default)]
    pub parent_revision: Option<String>,
    /// The run that it comes from.
    #[serde(default)]
    pub run_id: Option<String>,
    /// The adapters that are in the weights, or are there alone.
    pub adapters: Vec<MergedRecord>,
    /// How much of the model each adapter changes.
    #[serde(default)]
    pub coverage: Option<Vec<Value>>,
    /// Whether the output head is no longer the embedding matrix.
    #[serde(default)]
    pub untied: bool,
    /// What wrote it.
    pub tool: Tool,
}

/// One adapter of an aligned model.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MergedRecord {
    /// Its folder, relative to that of the model.
    pub path: String,
    /// What its scale was multiplied by.
    pub weight: f64,
}

/// What wrote a folder.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Tool {
    /// The crate.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl AlignmentRecord {
    /// Its name in a folder.
    pub const FILE: &'static str = "alignment_info.json";

    /// Reads the record of a folder; nothing where there is none.
    ///
    /// # Errors
    ///
    /// [`ArtifactError`]: it can't be read, or lacks something.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(Self::FILE);
        if std::fs::symlink_metadata(&path).is_err() {
            return Ok(None);
        }
        let bytes = read_small(&path, LIMIT)?;
        let read = serde_json::from_slice(&bytes);
        read.map(Some).map_err(|source| ArtifactError::Json { path, source })
    }
}
