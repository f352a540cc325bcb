use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::HEADER_LIMIT;

/// Why a file is not taken for a safetensors file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SafetensorsError {
    /// The file can't be read.
    #[error("{} can't be read", path.display())]
    Io {
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
    /// It is the text that Git LFS leaves in place of the content.
    #[error("it is a Git LFS pointer, not the content; run `git lfs pull`")]
    LfsPointer,
    /// The header, or the data that it describes, reaches beyond the end of the file.
    #[error("it is cut off: it has {found} of {expected} bytes; fetch it again")]
    Truncated {
        /// Bytes that the file should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// There is more in the file than its header describes.
    #[error("its header describes {expected} bytes, it has {found}")]
    TrailingBytes {
        /// Bytes that the file should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// The first eight bytes state a length that no header has.
    #[error("its header claims {claimed} bytes, the format allows {HEADER_LIMIT}")]
    HeaderTooLarge {
        /// Length that the file states.
        claimed: u64,
    },
    /// The header is not the text of a JSON object.
    #[error("its header begins with byte {found:#04x}, a JSON object begins with '{{'")]
    NotAnObject {
        /// The byte that stands where the object should begin.
        found: u8,
    },
    /// The header has no bytes.
    #[error("its header is empty, it should be a JSON object")]
    EmptyHeader,
    /// The header is not Unicode.
    #[error("its header is not UTF-8: {0}")]
    Utf8(#[source] std::str::Utf8Error),
    /// The header is not JSON, or not of the form that the format prescribes.
    #[error("its header is invalid: {0}")]
    Json(#[source] serde_json::Error),
    /// The size of a tensor doesn't fit 64 bits.
    #[error("tensor {tensor:?} has a shape whose size overflows")]
    Overflow {
        /// The tensor.
        tensor: String,
    },
    /// A tensor of elements smaller than a byte ends within a byte.
    #[error("tensor {tensor:?} has {bits} bits, which are not whole bytes")]
    PartialByte {
        /// The tensor.
        tensor: String,
        /// Bits of all its elements.
        bits: u64,
    },
    /// The offsets of a tensor span another number of bytes than its shape and type need.
    #[error("tensor {tensor:?} needs {expected} bytes, its offsets span {found}")]
    WrongSize {
        /// The tensor.
        tensor: String,
        /// Bytes that its shape and type need.
        expected: u64,
        /// Bytes between its offsets.
        found: u64,
    },
    /// The second offset of a tensor lies before the first.
    #[error("tensor {tensor:?} ends at {end}, before it begins at {begin}")]
    Reversed {
        /// The tensor.
        tensor: String,
        /// Its first offset.
        begin: u64,
        /// Its second offset.
        end: u64,
    },
    /// Bytes between two tensors belong to none.
    #[error("tensor {tensor:?} begins at {begin}, the one before it ends at {expected}")]
    Hole {
        /// The tensor after the hole.
        tensor: String,
        /// Where the tensor before it ends.
        expected: u64,
        /// Where it begins.
        begin: u64,
    },
    /// Two tensors share bytes.
    #[error(
        "tensor {tensor:?} begins at {begin}, within the one before it, which ends at {expected}"
    )]
    Overlap {
        /// The later tensor.
        tensor: String,
        /// Where the tensor before it ends.
        expected: u64,
        /// Where it begins.
        begin: u64,
    },
    /// Two tensors have one name.
    #[error("tensor {tensor:?} is there twice")]
    Duplicate {
        /// The name.
        tensor: String,
    },
}
