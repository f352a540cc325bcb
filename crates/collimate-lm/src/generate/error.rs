use thiserror::Error;

/// What can go wrong when text is generated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// A setting has a value that makes no sense.
    #[error("{setting} {message}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What it is, and what it may be.
        message: String,
    },
    /// A prompt has no tokens.
    #[error(
        "the prompt of row {row} is empty; it needs a token at least, as the one that begins texts"
    )]
    EmptyPrompt {
        /// The row.
        row: usize,
    },
    /// A prompt leaves no room for a single token.
    #[error(
        "the prompt of row {row} has {tokens} tokens, max_length is {max_length}; set max_new_tokens instead"
    )]
    PromptTooLong {
        /// The row.
        row: usize,
        /// Tokens of the prompt.
        tokens: usize,
        /// The most that prompt and text may have.
        max_length: usize,
    },
    /// The model gave logits that don't belong to the rows.
    #[error(
        "the model gave {values} logits for {rows} rows at step {step}, which is not a number for each token"
    )]
    Shape {
        /// The step, from 0.
        step: usize,
        /// How many it gave.
        values: usize,
        /// Rows of the batch.
        rows: usize,
    },
    /// No token can be chosen by these logits.
    #[error("no token can be chosen for row {row} at step {step}: {problem}")]
    Logits {
        /// The row.
        row: usize,
        /// The step, from 0.
        step: usize,
        /// What is wrong with them.
        #[source]
        problem: LogitsProblem,
    },
    /// Tokens can't be decoded.
    #[error("the tokens of row {row} can't be decoded at step {step}")]
    Decode {
        /// The row.
        row: usize,
        /// The step, from 0.
        step: usize,
        /// What the tokenizer says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What is wrong with logits.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum LogitsProblem {
    /// One is not a number.
    #[error("the logit of token {token} is not a number; do the weights fit the type?")]
    NotANumber {
        /// Its token.
        token: usize,
    },
    /// One is too large.
    #[error(
        "the logit of token {token} is infinite; is the temperature too low, or the type too narrow?"
    )]
    Infinite {
        /// Its token.
        token: usize,
    },
    /// All are -∞.
    #[error("every token has probability zero")]
    Impossible,
}
