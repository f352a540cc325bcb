/// A result of this crate.
pub type Result<T, E = EvalError> = std::result::Result<T, E>;

/// Why something could not be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A setting is out of its range, or contradicts another.
    #[error("{setting} {message}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// A text has no tokens.
    #[cfg(feature = "model")]
    #[error("text {text} (counted from 0) has no tokens")]
    EmptyText {
        /// Which one.
        text: usize,
    },
    /// No token of any row carries loss and can be predicted.
    #[cfg(feature = "model")]
    #[error(
        "none of the {rows} rows has a token that carries loss, the first one aside: there is nothing to predict"
    )]
    NothingToPredict {
        /// The number of rows.
        rows: usize,
    },
    /// A change was asked for of rows that are too few to tell one from chance.
    #[cfg(feature = "model")]
    #[error(
        "{rows} rows have tokens to predict; at least 2 are needed to tell a change from chance"
    )]
    FewRows {
        /// The number of rows.
        rows: usize,
    },
    /// There is not one text for each prompt.
    #[cfg(feature = "model")]
    #[error(
        "there are {prompts} prompts, and states of {states} texts: they belong to other prompts"
    )]
    Rows {
        /// The prompts.
        prompts: usize,
        /// The texts.
        states: usize,
    },
    /// The layer was not read.
    #[cfg(feature = "model")]
    #[error("there are no states of layer {layer}, but of {layers:?}")]
    Layer {
        /// The one that was asked for.
        layer: usize,
        /// Those that there are.
        layers: Vec<usize>,
    },
    /// A file of the cache, or of a model to be told from others, could not be read or written.
    #[cfg(feature = "model")]
    #[error("{}: {source}", path.display())]
    Cache {
        /// The file or folder.
        path: std::path::PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A folder that should be a model or an adapter has no weights.
    #[cfg(feature = "model")]
    #[error("{}: there are no weights in this folder", path.display())]
    NoWeights {
        /// The folder.
        path: std::path::PathBuf,
    },
    /// Numbers could not be read from a device.
    #[cfg(feature = "model")]
    #[error("numbers could not be read from the device: {message}")]
    Device {
        /// What it said.
        message: String,
    },
    /// Things that belong together are not equally many.
    #[error("there are {left_count} {left}, but {right_count} {right}: each needs its own")]
    Unpaired {
        /// What the first are.
        left: &'static str,
        /// How many of them there are.
        left_count: usize,
        /// What the second are.
        right: &'static str,
        /// How many of them there are.
        right_count: usize,
    },
    /// There is nothing to score.
    #[error("there are no {what}: nothing can be scored")]
    NothingToScore {
        /// What there should be.
        what: &'static str,
    },
    /// A hypothesis has no reference.
    #[error("hypothesis {segment} (counted from 0) has no reference: give it one, or leave it out")]
    NoReference {
        /// Which one.
        segment: usize,
    },
    /// Lines are too long for ROUGE-Lsum.
    #[error(
        "hypothesis {segment} (counted from 0) has a line of {hypothesis} words, its reference one of {reference}: too long for ROUGE-Lsum; break lines, or turn `lsum` off"
    )]
    TooLong {
        /// Which one.
        segment: usize,
        /// Words of its line.
        hypothesis: usize,
        /// Words of the reference's line.
        reference: usize,
    },
    /// A true class is not among the given ones.
    #[error(
        "example {index} (counted from 0) has the class {class:?}, which is not among the given ones"
    )]
    UnknownClass {
        /// Which one.
        index: usize,
        /// Its class.
        class: String,
    },
    /// Responses that are compared belong to different prompts.
    #[error(
        "response {index} (counted from 0) belongs to prompts of different labels or axioms before and after: compare responses to the same prompts in the same order"
    )]
    OtherPrompt {
        /// Which one.
        index: usize,
    },
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A judge could not be asked, or gave what is no answer.
    #[error("the judge {judge}: {message}")]
    Judge {
        /// What it is called.
        judge: String,
        /// What went wrong.
        message: String,
    },
    /// What a judge said of a response is hardly a rating.
    #[error(
        "of what the judge {judge} says, {understood:.3} is a rating, and {least} is needed: it does not understand the question; take another judge, or another rubric"
    )]
    NotRated {
        /// What it is called.
        judge: String,
        /// The share of its probability, or of its answers, that was a rating.
        understood: f64,
        /// The least share.
        least: f64,
    },
    /// The metric could not be computed.
    #[cfg(feature = "model")]
    #[error(transparent)]
    Aqi(#[from] collimate_aqi::AqiError),
    /// Texts could not be tokenized.
    #[cfg(feature = "model")]
    #[error(transparent)]
    Data(#[from] collimate_data::DataError),
    /// The model could not be run.
    #[cfg(feature = "model")]
    #[error(transparent)]
    Lm(#[from] collimate_lm::LmError),
    /// A file of the cache could not be written.
    #[cfg(feature = "model")]
    #[error(transparent)]
    Write(#[from] collimate_tensors::WriteError),
}

#[cfg(feature = "model")]
impl EvalError {
    pub(crate) fn device(error: impl std::fmt::Debug) -> Self {
        Self::Device { message: format!("{error:?}") }
    }
}
