//! Headers of `.safetensors` files.

use super::embeddings::{FloatType, Layout};
use crate::failure::{Failure, Result};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The tensor that is read.
const TENSOR: &str = "embeddings";

/// The library's own limit.
const LONGEST_HEADER: u64 = 100_000_000;

/// Opens a file at the first value of its embeddings.
pub(super) fn open(path: &Path) -> Result<(FloatType, Layout, File)> {
    let wrong = |reason: String| Failure::in_file(path, reason);
    let mut file = super::open(path)?;
    let length = super::length(path, &file)?;
    let mut start = [0; 8];
    let none = || wrong("not a .safetensors file, or cut off: write it again".to_owned());
    file.read_exact(&mut start).map_err(|_| none())?;
    let bytes = u64::from_le_bytes(start);
    let data_at = bytes.checked_add(8).filter(|&at| at <= length).ok_or_else(none)?;
    if bytes > LONGEST_HEADER {
        return Err(none());
    }
    let mut header = Vec::new();
    (&mut file).take(bytes).read_to_end(&mut header).map_err(|error| wrong(error.to_string()))?;
    // Checks that tensors follow on each other without gaps, and that shapes match their bytes.
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| wrong(format!("bad .safetensors header ({error}): write it again")))?;
    let (expected, found) = (metadata.data_len() as u64, length - data_at);
    if expected != found {
        return Err(wrong(format!(
            "its tensors need {expected} bytes, the file holds {found}: write it again"
        )));
    }
    let Some(info) = metadata.info(TENSOR) else {
        let mut names = metadata.offset_keys();
        names.sort();
        return Err(wrong(format!(
            "no tensor {TENSOR:?}: it holds {}; rename the one to score",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        )));
    };
    let float = match info.dtype {
        Dtype::F16 => FloatType::F16,
        Dtype::BF16 => FloatType::Bf16,
        Dtype::F32 => FloatType::F32,
        Dtype::F64 => FloatType::F64,
        other => {
            return Err(wrong(format!(
                "tensor {TENSOR:?} holds {other:?}: expected F16, BF16, F32 or F64"
            )));
        }
    };
    let first = data_at + info.data_offsets.0 as u64;
    file.seek(SeekFrom::Start(first)).map_err(|error| wrong(error.to_string()))?;
    let layout = Layout { shape: info.shape.clone(), big_endian: false, fortran: false };
    Ok((float, layout, file))
}
