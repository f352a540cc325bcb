use serde::{Deserialize, Serialize};

/// What a folder holds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Form {
    /// A complete model: merged weights, tokenizer, everything.
    Standalone,
    /// An adapter, of use with its parent only.
    Adapter,
}
