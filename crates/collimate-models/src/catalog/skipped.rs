use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::entry::lossy;

/// A folder or file that a scan passed over.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Skipped {
    /// Where it is.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Why it is not in the catalog.
    pub reason: SkipReason,
}

impl Skipped {
    pub(crate) fn new(path: &Path, reason: SkipReason) -> Self {
        Self { path: path.to_owned(), reason }
    }

    pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => SkipReason::NotFound,
            _ => SkipReason::Unreadable { message: error.to_string() },
        };
        Self::new(path, reason)
    }
}

/// Why something is not in the catalog. Serializes as its message.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SkipReason {
    /// Its name matches a pattern of the configuration.
    Pattern {
        /// The pattern.
        pattern: String,
    },
    /// It is not a model.
    NotAModel {
        /// What it lacks, or what it is instead.
        because: &'static str,
    },
    /// Another path leads to the same folder, which is listed.
    SameFolder,
    /// Its name has no letter and no digit.
    Unnameable,
    /// There is nothing at this path.
    NotFound,
    /// It can't be read.
    Unreadable {
        /// What the operating system says.
        message: String,
    },
}

impl fmt::Display for SkipReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern { pattern } => write!(formatter, "folders named {pattern} are skipped"),
            Self::NotAModel { because } => write!(formatter, "not a model: {because}"),
            Self::SameFolder => formatter.write_str("leads to a folder that is listed already"),
            Self::Unnameable => formatter.write_str("its name has no letter and no digit"),
            Self::NotFound => formatter.write_str("there is nothing here"),
            Self::Unreadable { message } => write!(formatter, "can't be read: {message}"),
        }
    }
}

impl Serialize for SkipReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
