//! What can go wrong in a run.

use std::io;
use std::path::PathBuf;

use collimate_aqi::AqiError;
use collimate_artifact::ArtifactError;
use collimate_data::DataError;
use collimate_eval::EvalError;
use collimate_lm::LmError;
use collimate_models::{ModelsError, SelectionError};
use collimate_peft::PeftError;
use collimate_report::ReportError;
use collimate_track::TrackError;
use collimate_train::TrainError;
use thiserror::Error;

use crate::recipe::RecipeError;

/// A result of this crate.
pub type Result<T, E = PipelineError> = std::result::Result<T, E>;

/// Why a run could not be carried out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The recipe is wrong.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A name doesn't select one model.
    #[error(transparent)]
    Select(#[from] SelectionError),
    /// A model can't be used as it lies there.
    #[error(transparent)]
    Models(#[from] ModelsError),
    /// A recipe asks for what the program that runs it doesn't bring along.
    #[error("the recipe asks for the embedded {what}, and this program has none; name a path")]
    NotEmbedded {
        /// What isn't there.
        what: &'static str,
    },
    /// A setting of the recipe doesn't go with what was found.
    #[error("`{field}` {message}")]
    Setting {
        /// The field.
        field: &'static str,
        /// What is wrong with it, and what it may be.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{path} can't be used", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder that was written is not sound.
    #[error("{path} was written, but is not sound: {findings}", path = path.display())]
    Unsound {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        findings: String,
    },
    /// The run was cancelled.
    #[error("cancelled; the same recipe goes on from here")]
    Cancelled,
    /// Data could not be read or formatted.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The metric could not be computed.
    #[error(transparent)]
    Aqi(#[from] AqiError),
    /// A model could not be run.
    #[error(transparent)]
    Lm(#[from] LmError),
    /// An adapter could not be read or written.
    #[error(transparent)]
    Peft(#[from] PeftError),
    /// Training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Measuring failed.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// The result could not be written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The database refused.
    #[error(transparent)]
    Track(#[from] TrackError),
    /// The report could not be made.
    #[error(transparent)]
    Report(#[from] ReportError),
}

impl PipelineError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// Whether it says no more than that the run was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Cancelled
                | Self::Data(DataError::Cancelled)
                | Self::Lm(LmError::Cancelled)
                | Self::Eval(EvalError::Cancelled | EvalError::Lm(LmError::Cancelled))
                | Self::Artifact(ArtifactError::Cancelled)
        )
    }
}
