use std::io;
use std::path::{Path, PathBuf};

use collimate_aqi::AqiError;
use thiserror::Error;

/// The result of what this crate does.
pub type Result<T> = std::result::Result<T, ReportError>;

/// What can go wrong when a report is checked, drawn or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Something that was given can't be shown as it is.
    #[error("{place}: {message}")]
    Invalid {
        /// Which part of the report, for example `aqi.axioms[3]`.
        place: String,
        /// What was expected, what was found, and what to do.
        message: String,
    },
    /// Rows can't be projected.
    #[error("projection of {what}")]
    Projection {
        /// Which rows.
        what: &'static str,
        /// Why.
        #[source]
        source: AqiError,
    },
    /// A figure can't be turned into pixels.
    #[error("figure {figure}: {message}")]
    Png {
        /// Name of the figure.
        figure: String,
        /// Why, and what to do.
        message: String,
    },
    /// A file or folder can't be written.
    #[error("{}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ReportError {
    pub(crate) fn invalid(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { place: place.into(), message: message.into() }
    }

    /// What makes an error of one that the system reports about a path.
    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
