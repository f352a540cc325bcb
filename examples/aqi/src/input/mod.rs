//! Embeddings and what is known about their rows, read from files.

mod column;
mod embeddings;
mod npy;
mod rows;
mod safetensors;

pub(crate) use embeddings::with_type;
pub use embeddings::{Embeddings, Loaded, Pair, load};
pub use rows::{RowFiles, Rows};

use crate::failure::{Failure, Result};
use std::fs::File;
use std::path::Path;

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| Failure::in_file(path, error))
}

fn length(path: &Path, file: &File) -> Result<u64> {
    let metadata = file.metadata().map_err(|error| Failure::in_file(path, error))?;
    if metadata.is_file() {
        Ok(metadata.len())
    } else {
        Err(Failure::in_file(path, "not a regular file: its length must be known"))
    }
}

/// The extension in lower case, empty where there is none.
fn extension(path: &Path) -> String {
    path.extension().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn shape_text(shape: &[usize]) -> String {
    let lengths: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("[{}]", lengths.join(", "))
}
