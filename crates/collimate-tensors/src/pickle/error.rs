use std::error::Error;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::opcodes::{BYTE_LIMIT, OPCODE_LIMIT};

/// Why a file is not taken for a PyTorch checkpoint.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PickleError {
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
    /// It is in a form that hasn't been written for long.
    #[error("it is a tar archive, as PyTorch wrote before 0.1.10; save it again")]
    Tar,
    /// It is an archive without its end.
    #[error("it is a zip archive without a directory at its end: it is cut off; fetch it again")]
    CutOff,
    /// The directory of the archive lies elsewhere than in the file.
    #[error("its directory of {size} bytes at {offset} is not within the file")]
    Directory {
        /// Bytes that the archive claims it has.
        size: u64,
        /// Where the archive claims it begins.
        offset: u64,
    },
    /// The directory of the archive has an entry that is none.
    #[error("its directory is damaged")]
    DamagedDirectory,
    /// Where the directory says that the pickle lies, there is no file.
    #[error("its directory points to no file")]
    NoEntry,
    /// The archive is another one.
    #[error("it is a zip archive without data.pkl")]
    NoPickle,
    /// It is not clear which pickle counts.
    #[error("it holds more than one data.pkl")]
    SeveralPickles,
    /// A few bytes could stand for gigabytes.
    #[error("its data.pkl is compressed, which torch.save never does")]
    Compressed,
    /// A few bytes stand for very many.
    #[error("its compressed files claim {claimed} bytes, at most {limit} are read")]
    Inflated {
        /// Bytes that they claim to have.
        claimed: u64,
        /// Most bytes that are read of a file of this length.
        limit: u64,
    },
    /// A few elements stand for very many.
    #[error("tensor {tensor:?} has {bytes} bytes, at most {limit} are read")]
    TensorTooLarge {
        /// The tensor.
        tensor: String,
        /// Bytes of all its elements.
        bytes: u64,
        /// Most bytes that are read of a file of this length.
        limit: u64,
    },
    /// The pickle is larger than the file that holds it.
    #[error("its data.pkl reaches beyond the end of the file")]
    BeyondEnd,
    /// A part of the archive can't be read.
    #[error("byte {offset} can't be read: {source}")]
    Part {
        /// Where it begins.
        offset: u64,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The pickle calls what no weights need.
    #[error(
        "its pickle names {module}.{name} at byte {at}, which no weights need: it may be code that \
         runs when the file is loaded"
    )]
    Global {
        /// Python's module.
        module: String,
        /// The class or function in it.
        name: String,
        /// Where in the pickle.
        at: u64,
    },
    /// The pickle does what no weights need.
    #[error("its pickle has opcode {opcode:#04x} at byte {at}, which weights are not written with")]
    Opcode {
        /// The opcode.
        opcode: u8,
        /// Where in the pickle.
        at: u64,
    },
    /// A class or function has no name that ends.
    #[error("its pickle has no name at byte {at}")]
    NoName {
        /// Where in the pickle.
        at: u64,
    },
    /// The pickle ends too early.
    #[error("its pickle ends at byte {at}, before it is complete")]
    Ended {
        /// Where in the pickle.
        at: u64,
    },
    /// The pickle would take too much time.
    #[error("its pickle has more than {OPCODE_LIMIT} opcodes")]
    TooManyOpcodes,
    /// The pickle would take too much memory.
    #[error("its pickle has more than {BYTE_LIMIT} bytes")]
    TooManyBytes,
    /// What the pickle builds is no dictionary of tensors, or one that the file doesn't hold.
    #[error("{0}")]
    Tensors(#[source] Box<dyn Error + Send + Sync>),
}
