use std::path::PathBuf;

use thiserror::Error;

/// The result of whatever can go wrong here.
pub type Result<T> = std::result::Result<T, LmError>;

/// What can go wrong with a language model.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LmError {
    /// A file can't be read.
    #[error("{} can't be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// Something else stands where a file is expected.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
    },
    /// A file is larger than such files are.
    #[error("{} has more than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Most bytes that are read.
        limit: u64,
    },
    /// A configuration is not JSON.
    #[error("{} is not JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where, and why.
        #[source]
        source: serde_json::Error,
    },
    /// The architecture is none of those that are known.
    #[error("{}: the architecture '{found}' is not supported; supported are {supported}", path.display())]
    Architecture {
        /// The configuration.
        path: PathBuf,
        /// What it says.
        found: String,
        /// The model types that are.
        supported: String,
    },
    /// A configuration has a value that is missing, impossible or not supported.
    #[error("{}: {field}: {message}", path.display())]
    Config {
        /// The configuration.
        path: PathBuf,
        /// The field, or fields.
        field: String,
        /// What is wrong, and what to do.
        message: String,
    },
    /// The weights can't be read.
    #[error(transparent)]
    Weights(#[from] collimate_tensors::TensorsError),
    /// Weights can't be written.
    #[error(transparent)]
    Write(#[from] collimate_tensors::WriteError),
    /// A tensor is missing.
    #[error("{}: tensor '{tensor}' is missing, of {shape:?}; {count} are", folder.display())]
    MissingTensor {
        /// The model.
        folder: PathBuf,
        /// The first of them.
        tensor: String,
        /// The shape that it should have.
        shape: Vec<usize>,
        /// How many are missing.
        count: usize,
    },
    /// A tensor has no place in the model.
    #[error("{}: tensor '{tensor}' has no place in the model; {count} have none", folder.display())]
    UnexpectedTensor {
        /// The model.
        folder: PathBuf,
        /// The first of them.
        tensor: String,
        /// How many there are.
        count: usize,
    },
    /// A tensor has another shape than the configuration says.
    #[error("{}: tensor '{tensor}' is {found:?}; {expected:?} follows from the configuration", folder.display())]
    Shape {
        /// The model.
        folder: PathBuf,
        /// Its name.
        tensor: String,
        /// The shape that it should have.
        expected: Vec<usize>,
        /// The shape that it has.
        found: Vec<u64>,
    },
    /// A tensor can't be turned into the wanted type.
    #[error("tensor '{tensor}' can't be converted")]
    Convert {
        /// Its name.
        tensor: String,
        /// Why.
        #[source]
        source: collimate_tensors::CastError,
    },
    /// Token ids can't be a batch.
    #[error("{message}")]
    Batch {
        /// Why.
        message: String,
    },
    /// A token id has no row in the embedding.
    #[error(
        "token {position} of row {row} is {id}, the embedding has {vocabulary} rows; is the tokenizer of another model?"
    )]
    TokenId {
        /// The row of the batch.
        row: usize,
        /// Its place there.
        position: usize,
        /// The id.
        id: u32,
        /// Rows of the embedding.
        vocabulary: usize,
    },
    /// A text is longer than the learned positions.
    #[error("a text has {positions} tokens, the model has positions for {limit}; shorten it")]
    TooLong {
        /// Tokens of the text.
        positions: usize,
        /// Positions of the model.
        limit: usize,
    },
    /// Something has the name of no layer.
    #[error("there are no states of layer {layer}; there are those of {} to {}", range.start, range.end.saturating_sub(1))]
    Layer {
        /// What was asked for.
        layer: usize,
        /// The layers that there are.
        range: std::ops::Range<usize>,
    },
    /// An adapter doesn't fit the model.
    #[error("adapter '{adapter}': {message}")]
    Adapter {
        /// Its name.
        adapter: String,
        /// What is wrong.
        message: String,
    },
    /// An adapter can't be read, or doesn't fit the model.
    #[error("adapter '{adapter}' can't be attached")]
    Peft {
        /// The name under which it was to be attached.
        adapter: String,
        /// Why.
        #[source]
        source: Box<collimate_peft::PeftError>,
    },
    /// A model can't be trained as it was asked to.
    #[error("{message}")]
    Training {
        /// Why, and what to do.
        message: String,
    },
    /// A model has no parameter of this name, or none of this size.
    #[error("parameter '{name}': {message}")]
    Parameter {
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// The device doesn't compute in the wanted type.
    #[error("the device doesn't compute in {dtype}; every one does in f32")]
    Dtype {
        /// Its name.
        dtype: &'static str,
    },
    /// The device can't read back a result.
    #[error("a result can't be read from the device: {message}")]
    Device {
        /// What it says.
        message: String,
    },
    /// Text can't be generated.
    #[error(transparent)]
    Generate(#[from] crate::generate::GenerateError),
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}
