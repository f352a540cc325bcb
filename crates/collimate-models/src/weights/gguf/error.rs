use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::header::{ARRAY_DEPTH, METADATA_LIMIT};

/// Why a file is not taken for a GGUF file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The file can't be opened.
    #[error("{} can't be read", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// It is a folder, a pipe or a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// What was to be read.
        path: PathBuf,
    },
    /// Reading failed.
    #[error("it can't be read at byte {at}: {source}")]
    Read {
        /// Where, in bytes.
        at: u64,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// It is the text that Git LFS leaves in place of the content.
    #[error("it is a Git LFS pointer, not the content; run `git lfs pull`")]
    LfsPointer,
    /// It doesn't begin with `GGUF`.
    #[error("it begins with bytes {found:02x?}, a GGUF file begins with \"GGUF\"")]
    NotGguf {
        /// Its first bytes.
        found: Vec<u8>,
    },
    /// It was written for a big-endian machine.
    #[error("it is big-endian; convert the model again for little-endian machines")]
    BigEndian,
    /// Its version is not one that is read.
    #[error("it has version {version} of the format, 2 and 3 are read; convert the model again")]
    Version {
        /// The version.
        version: u32,
    },
    /// The header, or the data that it describes, reaches beyond the end of the file.
    #[error("it is cut off: it has {found} of at least {expected} bytes; fetch it again")]
    Truncated {
        /// Bytes that the file should have at least.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// Keys, values and tensor infos are larger than those of any model.
    #[error("its keys, values and tensor infos have more than {METADATA_LIMIT} bytes")]
    MetadataTooLarge,
    /// A key, a name or a value that is kept has too many bytes.
    #[error("the string at byte {at} claims {claimed} bytes, at most {limit} are read")]
    StringTooLong {
        /// Where, in bytes.
        at: u64,
        /// Bytes that it claims to have.
        claimed: u64,
        /// Bytes that are read.
        limit: u64,
    },
    /// A key or a name is not Unicode.
    #[error("the string at byte {at} is not UTF-8")]
    Utf8 {
        /// Where, in bytes.
        at: u64,
    },
    /// A value is of a type that the format doesn't have.
    #[error("the value of {key:?} has type {found}, the format has types 0 to 12")]
    ValueType {
        /// Its key.
        key: String,
        /// The number of the type.
        found: u32,
    },
    /// Arrays lie in arrays, deeper than any file needs.
    #[error("the value of {key:?} is an array more than {ARRAY_DEPTH} deep")]
    ArrayDepth {
        /// Its key.
        key: String,
    },
    /// A key is there twice.
    #[error("the key {key:?} is there twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A tensor is there twice.
    #[error("tensor {tensor:?} is there twice")]
    DuplicateTensor {
        /// Its name.
        tensor: String,
    },
    /// `general.alignment` is not a power of two, or not a number.
    #[error("general.alignment is {found}, it must be a power of two")]
    Alignment {
        /// What it says.
        found: String,
    },
    /// A tensor has more dimensions than the format allows.
    #[error("tensor {tensor:?} has {found} dimensions, the format allows 4")]
    Dimensions {
        /// The tensor.
        tensor: String,
        /// Its dimensions.
        found: u32,
    },
    /// A tensor is of a type that is not known.
    #[error("tensor {tensor:?} has type {found}, which is not known")]
    TensorType {
        /// The tensor.
        tensor: String,
        /// The number of the type.
        found: u32,
    },
    /// A row of a tensor is not made of whole blocks.
    #[error("tensor {tensor:?} has rows of {row} elements, blocks of {kind} have {block}")]
    PartialBlock {
        /// The tensor.
        tensor: String,
        /// Elements in a row.
        row: u64,
        /// Its type.
        kind: &'static str,
        /// Elements in a block.
        block: u64,
    },
    /// The size of a tensor doesn't fit 64 bits.
    #[error("tensor {tensor:?} has a shape whose size overflows")]
    Overflow {
        /// The tensor.
        tensor: String,
    },
    /// A tensor doesn't begin where the one before it ends.
    #[error("tensor {tensor:?} begins at {found}, it should begin at {expected}")]
    Offset {
        /// The tensor.
        tensor: String,
        /// The first aligned byte after the tensor before it.
        expected: u64,
        /// Where it begins.
        found: u64,
    },
}
