use std::fs::{self, File};
use std::io::{ErrorKind, Read};

use serde_json::{Map, Value};

use super::invalid;
use crate::copy::SourceFolder;
use crate::error::{ArtifactError, Result};

/// The largest vocabulary file, in bytes. The largest published ones have 35 MB.
const LARGEST: u64 = 256 << 20;
/// The largest file of settings, in bytes.
const LARGEST_SETTINGS: u64 = 32 << 20;

/// All bytes of a vocabulary file.
pub(super) fn bytes(folder: &SourceFolder, name: &str) -> Result<Vec<u8>> {
    read(folder, name, LARGEST)
}

/// All of a vocabulary file that is text.
pub(super) fn text(folder: &SourceFolder, name: &str) -> Result<String> {
    String::from_utf8(bytes(folder, name)?).map_err(|error| {
        invalid(&folder.path().join(name), format!("it is not UTF-8: {}", error.utf8_error()))
    })
}

/// The object in a file of settings, or an empty one if there is no such file.
pub(super) fn settings(folder: &SourceFolder, name: &str) -> Result<Map<String, Value>> {
    let path = folder.path().join(name);
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Map::new()),
        _ => {}
    }
    serde_json::from_slice(&read(folder, name, LARGEST_SETTINGS)?)
        .map_err(|source| ArtifactError::Json { path, source })
}

fn read(folder: &SourceFolder, name: &str, largest: u64) -> Result<Vec<u8>> {
    let path = folder.path().join(name);
    let io = ArtifactError::io(&path);
    let mut bytes = Vec::new();
    let file = File::open(folder.file(name)?).map_err(&io)?;
    file.take(largest + 1).read_to_end(&mut bytes).map_err(&io)?;
    if bytes.len() as u64 > largest {
        return Err(invalid(&path, format!("it has more than {} MiB", largest >> 20)));
    }
    Ok(bytes)
}
