use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::record::Origin;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, DataError>;

/// What can go wrong between a file and training rows.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file can't be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file is not what its name or its beginning says.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A record can't be read.
    #[error("{origin}: {message}")]
    Record {
        /// Where it stands.
        origin: Origin,
        /// What is wrong, with the column where there is one, and what to do.
        message: String,
    },
    /// A field of a record is missing or has a value of another kind.
    #[error("{origin}: field `{field}` {message}")]
    Field {
        /// Where the record stands.
        origin: Origin,
        /// The field.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// A setting is out of its range, or contradicts another.
    #[error("{setting} {message}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it, and what it may be.
        message: String,
    },
    /// A chat template is invalid, can't be found, or took more than its bounds allow.
    #[error("chat template {name}: {message}")]
    Template {
        /// A built-in name or a file.
        name: String,
        /// What is wrong, with the line where there is one.
        message: String,
    },
    /// A chat template refused a conversation with `raise_exception`.
    #[error("chat template {name} refuses the conversation: {message}")]
    TemplateRaised {
        /// A built-in name or a file.
        name: String,
        /// The template's own words.
        message: String,
    },
    /// A tokenizer can't be loaded, or can't encode a text.
    #[error("tokenizer {}: {message}", path.display())]
    Tokenizer {
        /// Its file or folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        message: String,
    },
    /// No token of a row carries loss.
    #[error("{origin}: no token is left to be trained: {message}")]
    NothingTrained {
        /// Where its record stands.
        origin: Origin,
        /// Why, and what to do.
        message: String,
    },
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// What records mean can't be told from their columns.
    #[error("{}: the records can't be recognized: {message}", origin.file.display())]
    Unrecognized {
        /// Where the first of them stands.
        origin: Origin,
        /// The columns that were found, the forms that are known, and what to do.
        message: String,
    },
}
