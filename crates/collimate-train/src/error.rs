use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

/// The result of whatever can go wrong here.
pub type Result<T> = std::result::Result<T, TrainError>;

/// What can go wrong in training.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting has an impossible value, or contradicts another.
    #[error("{setting} {message}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// What is wrong, and what to do.
        message: String,
    },
    /// Settings are not those that there are.
    #[error("the settings can't be read")]
    Settings {
        /// Where, and why.
        #[source]
        source: serde_json::Error,
    },
    /// There is nothing to train on.
    #[error("there are no rows to train on")]
    NoRows,
    /// There is no such row.
    #[error("there is no row {row}; there are {rows}")]
    NoRow {
        /// Which.
        row: usize,
        /// How many there are.
        rows: usize,
    },
    /// A row can't be trained on.
    #[error("{row} {message}")]
    Row {
        /// Which.
        row: String,
        /// What is wrong, and what to do.
        message: String,
    },
    /// Rows can't be read or packed.
    #[error(transparent)]
    Data(#[from] collimate_data::DataError),
    /// The model can't be run.
    #[error(transparent)]
    Lm(#[from] collimate_lm::LmError),
    /// An adapter doesn't fit the model, or can't be read or written.
    #[error(transparent)]
    Peft(#[from] collimate_peft::PeftError),
    /// A file of tensors can't be read.
    #[error(transparent)]
    Read(#[from] collimate_tensors::TensorsError),
    /// A file of tensors can't be written.
    #[error(transparent)]
    Write(#[from] collimate_tensors::WriteError),
    /// A tensor can't be turned into float32.
    #[error("tensor '{tensor}' can't be converted")]
    Convert {
        /// Its name.
        tensor: String,
        /// Why.
        #[source]
        source: collimate_tensors::CastError,
    },
    /// The device can't read back a result.
    #[error("a result can't be read from the device: {message}")]
    Device {
        /// What it says.
        message: String,
    },
    /// A loss or a gradient is not finite.
    #[error(
        "step {step}: {what} is not finite, in {}; {}",
        rows.join(", "),
        match checkpoint {
            Some(path) => format!("the last good checkpoint is {}", path.display()),
            None => "no checkpoint was written before".to_owned(),
        }
    )]
    NonFinite {
        /// The step, counted from 1.
        step: u64,
        /// The loss, or the gradient of a parameter.
        what: String,
        /// The rows of the batch, or of the step, in which it happened.
        rows: Vec<String>,
        /// The last good checkpoint.
        checkpoint: Option<PathBuf>,
    },
    /// The caller's evaluator failed.
    #[error("the evaluation after step {step} failed")]
    Evaluator {
        /// The step, counted from 1.
        step: u64,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An evaluation doesn't have the measure that the settings name.
    #[error("there is no measure '{metric}' after step {step}; there are {}", found.join(", "))]
    NoMetric {
        /// The step, counted from 1.
        step: u64,
        /// Which.
        metric: String,
        /// Those that there are.
        found: Vec<String>,
    },
    /// A file or a folder can't be read or written.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// A checkpoint is not one, or not whole.
    #[error("{}: {message}", path.display())]
    Checkpoint {
        /// Where.
        path: PathBuf,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A file of a checkpoint is not what was written.
    #[error("{} can't be read", path.display())]
    Json {
        /// Where.
        path: PathBuf,
        /// Where in it, and why.
        #[source]
        source: serde_json::Error,
    },
    /// A checkpoint was written with other settings, rows or weights.
    #[error(
        "{} was written by another run: {}; go on with what it was written with, or start in another folder",
        path.display(),
        differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        differences: Vec<Difference>,
    },
    /// There are checkpoints already, and the run is not one that goes on.
    #[error("{} has checkpoints; resume, or choose another folder", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// There is no checkpoint to go on from.
    #[error("{} has no checkpoint to resume from", path.display())]
    NoCheckpoint {
        /// The folder.
        path: PathBuf,
    },
    /// Another run writes to the folder.
    #[error("{}: another run writes there", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
}

/// A field in which two runs differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Its path, as in `config.optimizer.beta_1`.
    pub field: String,
    /// What the checkpoint has; `null` where it has none.
    pub checkpoint: Value,
    /// What the run has; `null` where it has none.
    pub run: Value,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} was {} and is {}", self.field, self.checkpoint, self.run)
    }
}

impl TrainError {
    /// Names what an error of the operating system is about.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// An error with all that caused it.
#[cfg(test)]
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
