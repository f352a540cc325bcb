//! The header of a state file: a strict reader and writer of the five tensors that there are.
//!
//! Written out here and not taken from a library of safetensors for two reasons: libraries keep
//! the metadata in a hash map, so that bytes differ from run to run, and a header that claims
//! sizes near `2^64` must not overflow.

use super::{StateMetadata, invalid};
use crate::error::{AqiError, Result};
use crate::moments::Moments;
use serde::{Deserialize, Serialize};

/// Bytes of the number that holds the header's length.
const PREFIX: usize = 8;
/// Largest header that is read.
const MAX_HEADER: u64 = 16 << 20;

const FORMAT: &str = "collimate-aqi.moments";
const VERSION: &str = "1";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    #[serde(rename = "__metadata__")]
    pub(super) metadata: HeaderMetadata,
    pub(super) count: TensorInfo,
    pub(super) weight: TensorInfo,
    pub(super) weight_squared: TensorInfo,
    pub(super) mean: TensorInfo,
    pub(super) scatter: TensorInfo,
}

/// The metadata map, whose values must all be strings.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderMetadata {
    format: String,
    version: String,
    /// Names, as a JSON list.
    classes: String,
    /// An integer; absent while all values are zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exponent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokenizer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transform: Option<String>,
    /// Names, as a JSON list.
    dtypes: String,
    /// An integer.
    skipped_rows: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TensorInfo {
    pub(super) dtype: String,
    pub(super) shape: Vec<u64>,
    pub(super) data_offsets: [u64; 2],
}

impl Header {
    /// Length and text of the header, padded so that the data is aligned.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut text = to_json(self)?;
        while text.len() % PREFIX != 0 {
            text.push(' ');
        }
        let length = text.len() as u64;
        if length > MAX_HEADER {
            return Err(invalid(format!("a header of {length} bytes")));
        }
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(text.as_bytes());
        Ok(bytes)
    }

    /// The header of a file, and the data behind it.
    pub(super) fn split(bytes: &[u8]) -> Result<(Self, &[u8])> {
        let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX>() else {
            return Err(invalid(format!(
                "{} bytes are too few for a safetensors file",
                bytes.len()
            )));
        };
        let length = u64::from_le_bytes(*prefix);
        if length > MAX_HEADER {
            return Err(invalid(format!(
                "a header of {length} bytes, where at most {MAX_HEADER} are accepted"
            )));
        }
        let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
        let Some((header, data)) = split else {
            return Err(invalid(format!(
                "a header of {length} bytes in a file of {}",
                bytes.len()
            )));
        };
        let header = serde_json::from_slice(header)
            .map_err(|source| caused("the header is not that of a state file", source))?;
        Ok((header, data))
    }

    /// Checks that the tensors cover the data without gap or overlap.
    pub(super) fn check_layout(&self, length: usize) -> Result<()> {
        let mut spans = [
            self.count.data_offsets,
            self.weight.data_offsets,
            self.weight_squared.data_offsets,
            self.mean.data_offsets,
            self.scatter.data_offsets,
        ];
        spans.sort_unstable();
        let mut covered = 0;
        for [start, end] in spans {
            if start != covered || end < start {
                return Err(invalid(format!(
                    "tensor data at {start}..{end}, where {covered} comes next"
                )));
            }
            covered = end;
        }
        if covered == length as u64 {
            Ok(())
        } else {
            Err(invalid(format!("tensors of {covered} bytes in all, and {length} bytes of data")))
        }
    }
}

impl TensorInfo {
    /// The number of columns of a matrix.
    pub(super) fn columns(&self) -> Result<usize> {
        match self.shape[..] {
            [_, 0] => Err(invalid("rows of zero dimensions")),
            [_, columns] => usize::try_from(columns)
                .map_err(|_| invalid(format!("{columns} dimensions are too many"))),
            _ => Err(invalid(format!(
                "tensor \"mean\": expected two dimensions, found shape {:?}",
                self.shape
            ))),
        }
    }

    /// The 64-bit words of the tensor, if it has the type and the shape that it should have.
    pub(super) fn words(
        &self,
        name: &str,
        dtype: &str,
        shape: &[usize],
        data: &[u8],
    ) -> Result<Vec<u64>> {
        if self.dtype != dtype {
            return Err(invalid(format!(
                "tensor {name:?}: expected {dtype}, found {:?}",
                self.dtype
            )));
        }
        if !self.shape.iter().copied().eq(shape.iter().map(|&length| length as u64)) {
            return Err(invalid(format!(
                "tensor {name:?}: expected shape {shape:?}, found {:?}",
                self.shape
            )));
        }
        let [start, end] = self.data_offsets;
        let bytes = usize::try_from(start)
            .ok()
            .zip(usize::try_from(end).ok())
            .and_then(|(start, end)| data.get(start..end))
            .ok_or_else(|| {
                invalid(format!("tensor {name:?}: {start}..{end} is not in the data"))
            })?;
        let expected = shape.iter().try_fold(8_usize, |size, &length| size.checked_mul(length));
        if expected != Some(bytes.len()) {
            return Err(invalid(format!(
                "tensor {name:?}: shape {shape:?} does not take {} bytes",
                bytes.len()
            )));
        }
        let (words, _) = bytes.as_chunks::<8>();
        Ok(words.iter().map(|word| u64::from_le_bytes(*word)).collect())
    }
}

impl HeaderMetadata {
    pub(super) fn new(moments: &Moments, metadata: &StateMetadata) -> Result<Self> {
        let StateMetadata { model, tokenizer, layer, transform, dtypes, skipped_rows } =
            metadata.clone();
        Ok(Self {
            format: FORMAT.to_owned(),
            version: VERSION.to_owned(),
            classes: to_json(&moments.names)?,
            exponent: moments.exponent.map(|exponent| exponent.to_string()),
            model,
            tokenizer,
            layer,
            transform,
            dtypes: to_json(&dtypes)?,
            skipped_rows: skipped_rows.to_string(),
        })
    }

    /// Names of the classes, exponent, and origin.
    pub(super) fn parse(self) -> Result<(Vec<String>, Option<i32>, StateMetadata)> {
        if self.format != FORMAT {
            return Err(invalid(format!("format {:?}, expected {FORMAT:?}", self.format)));
        }
        if self.version != VERSION {
            return Err(invalid(format!(
                "version {:?}, where this program reads {VERSION:?}",
                self.version
            )));
        }
        let names: Vec<String> = serde_json::from_str(&self.classes)
            .map_err(|source| caused("\"classes\" is not a list of names", source))?;
        if names.is_empty() {
            return Err(invalid("no classes"));
        }
        let exponent = match &self.exponent {
            None => None,
            Some(text) => Some(
                text.parse::<i32>()
                    .map_err(|source| caused(format!("exponent {text:?}"), source))?,
            ),
        };
        let metadata = StateMetadata {
            model: self.model,
            tokenizer: self.tokenizer,
            layer: self.layer,
            transform: self.transform,
            dtypes: serde_json::from_str(&self.dtypes)
                .map_err(|source| caused("\"dtypes\" is not a list of names", source))?,
            skipped_rows: self.skipped_rows.parse().map_err(|source| {
                caused(format!("skipped_rows {:?}", self.skipped_rows), source)
            })?,
        };
        Ok((names, exponent, metadata))
    }
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|source| caused("the header can't be written", source))
}

fn caused(
    reason: impl Into<String>,
    source: impl std::error::Error + Send + Sync + 'static,
) -> AqiError {
    AqiError::State { path: None, reason: reason.into(), source: Some(Box::new(source)) }
}
