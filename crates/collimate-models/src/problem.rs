use std::path::PathBuf;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use thiserror::Error;

/// What is wrong with one model, found while it was described.
///
/// Serializes as an object with `code`, `file` (where one file is meant), `blocking` and `message`.
#[derive(Clone, Debug, Eq, Error, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Problem {
    /// A file that must be there is not.
    #[error("{file} is missing: {reason}")]
    MissingFile {
        /// Its name, relative to the model's folder.
        file: String,
        /// Why it must be there.
        reason: String,
    },
    /// A shard that the index or the numbering of the other shards names is not there.
    #[error("shard {file} is missing, {named_by} names it; fetch it again")]
    MissingShard {
        /// Its name, relative to the model's folder.
        file: String,
        /// The index file, or a shard that says how many there are.
        named_by: String,
    },
    /// Tensors that the index places in a shard are not in that shard.
    #[error("{file} lacks {count} of the tensors that {index} places there, the first is {tensor}")]
    MissingTensor {
        /// The shard.
        file: String,
        /// The first of them, in the order of their names.
        tensor: String,
        /// How many they are.
        count: u64,
        /// The index file.
        index: String,
    },
    /// A file is shorter than its own header, or the list of the repository, says.
    #[error("{file} is cut off: it has {found} of {expected} bytes; fetch it again")]
    Truncated {
        /// Its name, relative to the model's folder.
        file: String,
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// A download was started and has not ended.
    #[error("{file} is an unfinished download; resume or remove it")]
    Unfinished {
        /// The partial file, relative to the model's folder or to its repository in the cache.
        file: String,
    },
    /// A link leads nowhere, or in a circle.
    #[error("{file} is a link to {target}, which can't be reached")]
    DanglingLink {
        /// Its name, relative to the model's folder.
        file: String,
        /// What the link says.
        target: PathBuf,
    },
    /// A file is the text that Git LFS leaves in place of the content.
    #[error("{file} is a Git LFS pointer, not the content; run `git lfs pull`")]
    LfsPointer {
        /// Its name, relative to the model's folder.
        file: String,
    },
    /// A file can't be opened or read.
    #[error("{file} can't be read: {message}")]
    Unreadable {
        /// Its name, relative to the model's folder.
        file: String,
        /// What the operating system says.
        message: String,
    },
    /// A file is not what its name says.
    #[error("{file} is invalid: {message}")]
    Invalid {
        /// Its name, relative to the model's folder.
        file: String,
        /// What is wrong, and where.
        message: String,
    },
    /// A file is larger than any such file has reason to be; it was not read.
    #[error("{file} has {found} bytes, more than the {limit} that are read")]
    TooLarge {
        /// Its name, relative to the model's folder.
        file: String,
        /// Bytes that it has.
        found: u64,
        /// Bytes that would be read.
        limit: u64,
    },
    /// A file names another by a path that leaves the model's folder.
    #[error("{file} names {path:?}, which is not a file of this folder")]
    UnsafePath {
        /// The file that holds the path.
        file: String,
        /// The path.
        path: String,
    },
    /// A field that should be there is missing or has a value of another kind.
    #[error("{file}: {field} {message}")]
    Field {
        /// Its name, relative to the model's folder.
        file: String,
        /// The field.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// There is nothing to turn text into tokens with.
    #[error(
        "no tokenizer: none of tokenizer.json, tokenizer.model, vocab.json or vocab.txt is here"
    )]
    NoTokenizer,
    /// The weights are in a form that may hold code; they are described, never executed.
    #[error("{file} is a pickle; convert it to safetensors before sharing it")]
    Pickle {
        /// Its name, relative to the model's folder.
        file: String,
    },
}

/// Files without which a model loads all the same.
const DESCRIPTIVE: [&str; 3] = ["README.md", "MODEL_INFO.md", "generation_config.json"];

impl Problem {
    /// A word for machines: `missing_shard`, `truncated`, …
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingFile { .. } => "missing_file",
            Self::MissingShard { .. } => "missing_shard",
            Self::MissingTensor { .. } => "missing_tensor",
            Self::Truncated { .. } => "truncated",
            Self::Unfinished { .. } => "unfinished",
            Self::DanglingLink { .. } => "dangling_link",
            Self::LfsPointer { .. } => "lfs_pointer",
            Self::Unreadable { .. } => "unreadable",
            Self::Invalid { .. } => "invalid",
            Self::TooLarge { .. } => "too_large",
            Self::UnsafePath { .. } => "unsafe_path",
            Self::Field { .. } => "field",
            Self::NoTokenizer => "no_tokenizer",
            Self::Pickle { .. } => "pickle",
        }
    }

    /// Whether the model can't be loaded because of it. What is wrong with files that only describe
    /// the model does not stand in the way.
    pub fn blocks_loading(&self) -> bool {
        match self {
            Self::Field { .. } | Self::NoTokenizer | Self::Pickle { .. } => false,
            _ => !self.file().is_some_and(|file| DESCRIPTIVE.contains(&file)),
        }
    }

    /// The file it is about, relative to the model's folder.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::MissingFile { file, .. }
            | Self::MissingShard { file, .. }
            | Self::MissingTensor { file, .. }
            | Self::Truncated { file, .. }
            | Self::Unfinished { file }
            | Self::DanglingLink { file, .. }
            | Self::LfsPointer { file }
            | Self::Unreadable { file, .. }
            | Self::Invalid { file, .. }
            | Self::TooLarge { file, .. }
            | Self::UnsafePath { file, .. }
            | Self::Field { file, .. }
            | Self::Pickle { file } => Some(file),
            Self::NoTokenizer => None,
        }
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Problem", 4)?;
        object.serialize_field("code", self.code())?;
        object.serialize_field("file", &self.file())?;
        object.serialize_field("blocking", &self.blocks_loading())?;
        object.serialize_field("message", &self.to_string())?;
        object.end()
    }
}
