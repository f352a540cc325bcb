use std::io;
use std::path::{Path, PathBuf};

use collimate_peft::PeftError;
use collimate_tensors::{TensorsError, WriteError};
use thiserror::Error;

/// The result of what this crate does.
pub type Result<T> = std::result::Result<T, ArtifactError>;

/// What can go wrong when a model is written, read back or verified.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// A file or folder can't be read or written.
    #[error("{}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is something in the place that is to be written.
    #[error("{} exists; choose another place, or ask for it to be replaced", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// Another run is writing to the same place.
    #[error("{} is being written by another run; wait for it to end", path.display())]
    Busy {
        /// The place.
        path: PathBuf,
    },
    /// Another run is writing to the same place, or was killed: the file system has no locks that
    /// would tell.
    #[error(
        "{} is being written by another run, or one was killed; if none goes on, remove {}",
        path.display(),
        hidden.display()
    )]
    Unlocked {
        /// The place.
        path: PathBuf,
        /// The folder that the other run works in.
        hidden: PathBuf,
    },
    /// The disk does not have the space that is needed.
    #[error("{} needs {needed} bytes, {available} are free", path.display())]
    NoSpace {
        /// Where it was to be written.
        path: PathBuf,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        available: u64,
    },
    /// A file changed while it was read: what was made of it is not to be trusted.
    #[error("{} changed while it was read; run again when nothing writes to it", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The work was cancelled; nothing was left behind.
    #[error("cancelled; nothing was written")]
    Cancelled,
    /// A path in a file or a name leads out of its folder, or is no plain relative path.
    #[error("{}: the path '{found}' leads out of the folder", path.display())]
    Outside {
        /// The file that has the path, or the folder.
        path: PathBuf,
        /// The path.
        found: String,
    },
    /// A file is not what it should be.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What was expected, what was found, and what to do.
        message: String,
    },
    /// A JSON file can't be parsed.
    #[error("{}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// A text can't be a name.
    #[error("{text:?} can't be the name of a {kind}: {reason}")]
    Name {
        /// What it was to be the name of.
        kind: &'static str,
        /// The text, up to its first 80 characters.
        text: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// A number is no measurement.
    #[error("{name:?} is no measurement: {reason}")]
    Measurement {
        /// The name that it was given.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// A ledger ends in the middle of a line: a run was killed while it wrote.
    #[error("{}: line {line} is torn after {bytes} bytes; recover the ledger to remove it", path.display())]
    TornLedger {
        /// The ledger.
        path: PathBuf,
        /// The line, counted from one.
        line: u64,
        /// Bytes of it that are there.
        bytes: u64,
    },
    /// An entry of a ledger was changed, removed or moved.
    #[error("{}: entry {index} {message}; everything from it on is not to be trusted", path.display())]
    BrokenLedger {
        /// The ledger.
        path: PathBuf,
        /// The entry, counted from zero.
        index: u64,
        /// What is wrong with it.
        message: String,
    },
    /// What was written does not verify, and was removed.
    #[error("{}: what was written is not sound: {}", path.display(), findings.join("; "))]
    Unsound {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        findings: Vec<String>,
    },
    /// A technique has no usable name, or lacks what it makes no sense without.
    #[error("technique {name:?}: {message}")]
    Technique {
        /// The name that it was given.
        name: String,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A folder or a name can't be the parent of an aligned model.
    #[error("{}: {message}", path.display())]
    Parent {
        /// The folder or the name.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// A file of tensors can't be read.
    #[error(transparent)]
    Tensors(#[from] TensorsError),
    /// A file of tensors can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// An adapter can't be read, matched or merged.
    #[error(transparent)]
    Peft(#[from] PeftError),
}

impl ArtifactError {
    /// What makes an error of one that the system reports about a path.
    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
