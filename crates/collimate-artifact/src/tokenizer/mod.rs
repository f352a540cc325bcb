//! The tokenizer of a model: its files, a `tokenizer.json` where there is none, and a check.

mod byte_level;
mod charsmap;
mod check;
mod class;
mod config;
mod finish;
mod merges;
mod proto;
mod read;
mod sentence_piece;
mod suite;
mod word_piece;

pub(crate) use check::LoadedTokenizer;
pub use check::{TokenizerCheck, check_tokenizer};
pub use suite::TokenizerSuite;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::error::{ArtifactError, Result};

/// The file that every tokenizer library reads.
const TOKENIZER_JSON: &str = "tokenizer.json";
/// The file with its settings.
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

fn invalid(path: &Path, message: impl Into<String>) -> ArtifactError {
    ArtifactError::Invalid { path: path.to_owned(), message: message.into() }
}

/// Calls into the tokenizers library, which panics on some tokenizers that it should refuse.
fn guarded<T>(path: &Path, call: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(invalid(path, error.to_string())),
        Err(_) => Err(invalid(path, "no tokenizer can be made of it: the library gave up")),
    }
}
