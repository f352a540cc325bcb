//! What was measured before.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use collimate_eval::{HeldOut, Response, StatesCache};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::TextScores;
use crate::error::{PipelineError, Result};
use crate::files::{sha256, write_whole};

/// A folder that keeps what models make of prompts and rows: hidden states, answers, losses. What
/// anything follows from is in its name, so that nothing there is ever out of date.
#[derive(Clone, Debug)]
pub struct MeasureCache(PathBuf);

/// What a model makes of rows and prompts.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Outputs {
    pub(super) held_out: Option<HeldOut>,
    pub(super) texts: Option<TextScores>,
    pub(super) responses: Vec<Response>,
}

impl MeasureCache {
    /// A cache in this folder, which is made when something is to be kept.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    pub(super) fn states(&self) -> StatesCache {
        StatesCache::new(self.0.join("states"))
    }

    /// What follows from these parts: what was kept, else what is computed, which is kept.
    pub(super) fn outputs(
        &self,
        parts: &Value,
        compute: impl FnOnce() -> Result<Outputs>,
    ) -> Result<Outputs> {
        let folder = self.0.join("outputs");
        let path = folder.join(format!("{}.json", sha256(parts.to_string().as_bytes())));
        if let Some(found) = read(&path)? {
            return Ok(found);
        }
        let outputs = compute()?;
        fs::create_dir_all(&folder).map_err(PipelineError::io(&folder))?;
        let text = serde_json::to_vec(&outputs)
            .map_err(|error| PipelineError::Io { path: path.clone(), source: error.into() })?;
        write_whole(&path, &text)?;
        Ok(outputs)
    }
}

/// What is damaged counts as not there.
fn read(path: &Path) -> Result<Option<Outputs>> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PipelineError::io(path)(error)),
    }
}
