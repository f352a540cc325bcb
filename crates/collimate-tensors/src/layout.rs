use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::dtype::Dtype;
use crate::safetensors::{HEADER_LIMIT, PREFIX, SafetensorsTensor};
use crate::writer::WriteError;

/// What a safetensors file is to hold: tensors in the order of their data, and metadata.
///
/// # Examples
///
/// ```
/// use collimate_tensors::{Dtype, Layout};
///
/// let mut layout = Layout::new().with_metadata("format", "pt");
/// layout.push("norm.weight", Dtype::F32, [4])?;
/// layout.push("embed.weight", Dtype::F32, [3, 4])?;
/// assert_eq!(layout.data_len(), 64);
/// let sorted = layout.sorted();
/// assert_eq!(sorted.tensors()[0].name, "embed.weight");
/// # Ok::<(), collimate_tensors::WriteError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Layout {
    metadata: BTreeMap<String, String>,
    tensors: Vec<SafetensorsTensor>,
    #[serde(skip)]
    names: BTreeSet<String>,
}

impl Layout {
    /// No tensors, no metadata.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line of metadata. transformers wants `format`, `pt`.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Adds a tensor after the others. The shape has the slowest dimension first.
    ///
    /// # Errors
    ///
    /// [`WriteError`]: there is one of this name, the name is the format's own, or the size is more
    /// than 64 bits hold or not whole bytes.
    pub fn push(
        &mut self,
        name: impl Into<String>,
        dtype: Dtype,
        shape: impl Into<Vec<u64>>,
    ) -> Result<(), WriteError> {
        let name = name.into();
        if name == "__metadata__" {
            return Err(WriteError::ReservedName);
        }
        let begin = self.data_len();
        let mut tensor =
            SafetensorsTensor { name, dtype, shape: shape.into(), data_offsets: (0, 0) };
        let bits = tensor.elements().and_then(|elements| elements.checked_mul(dtype.bits()));
        let Some((bits, end)) = bits.and_then(|bits| Some((bits, begin.checked_add(bits / 8)?)))
        else {
            return Err(WriteError::Overflow { tensor: tensor.name });
        };
        if bits % 8 != 0 {
            return Err(WriteError::PartialByte { tensor: tensor.name, bits });
        }
        if !self.names.insert(tensor.name.clone()) {
            return Err(WriteError::Duplicate { tensor: tensor.name });
        }
        tensor.data_offsets = (begin, end);
        self.tensors.push(tensor);
        Ok(())
    }

    /// The same tensors in the order in which the safetensors library writes them: types with larger
    /// elements first, so that all are aligned, and within a type by name.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.tensors.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
        Self::of(self.metadata, self.tensors)
    }

    /// Some of these tensors, in the order given, with the metadata of all.
    pub(crate) fn part(&self, tensors: &[&SafetensorsTensor]) -> Self {
        Self::of(self.metadata.clone(), tensors.iter().map(|&tensor| tensor.clone()).collect())
    }

    /// Tensors that belong to one layout already: each name is there once, and all of them fit.
    fn of(metadata: BTreeMap<String, String>, mut tensors: Vec<SafetensorsTensor>) -> Self {
        let mut at = 0;
        for tensor in &mut tensors {
            let (begin, end) = tensor.data_offsets;
            tensor.data_offsets = (at, at + (end - begin));
            at = tensor.data_offsets.1;
        }
        let names = tensors.iter().map(|tensor| tensor.name.clone()).collect();
        Self { metadata, tensors, names }
    }

    /// The tensors, in the order of their data.
    pub fn tensors(&self) -> &[SafetensorsTensor] {
        &self.tensors
    }

    /// The metadata.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Bytes of all tensors.
    pub fn data_len(&self) -> u64 {
        self.tensors.last().map_or(0, |tensor| tensor.data_offsets.1)
    }

    /// Elements of all tensors.
    pub fn parameters(&self) -> u64 {
        let elements = self.tensors.iter().filter_map(SafetensorsTensor::elements);
        elements.fold(0, u64::saturating_add)
    }

    /// Everything before the data: the header's length and the header, filled up with spaces so that
    /// the data is aligned.
    ///
    /// # Errors
    ///
    /// [`WriteError::HeaderTooLarge`]: it is more than the format allows.
    pub fn header(&self) -> Result<Vec<u8>, WriteError> {
        let mut header = vec![0; PREFIX as usize];
        let mut comma = "{";
        let mut field = |key: &str, value: String| {
            header.extend(comma.as_bytes());
            header.extend(format!("{}:{value}", json(key)).as_bytes());
            comma = ",";
        };
        if !self.metadata.is_empty() {
            let lines = self.metadata.iter().map(|(key, value)| json(key) + ":" + &json(value));
            field("__metadata__", format!("{{{}}}", lines.collect::<Vec<_>>().join(",")));
        }
        for tensor in &self.tensors {
            let shape: Vec<_> = tensor.shape.iter().map(u64::to_string).collect();
            let (begin, end) = tensor.data_offsets;
            field(
                &tensor.name,
                format!(
                    r#"{{"dtype":"{}","shape":[{}],"data_offsets":[{begin},{end}]}}"#,
                    tensor.dtype,
                    shape.join(",")
                ),
            );
        }
        header.extend(if comma == "{" { &b"{}"[..] } else { b"}" });
        header.resize(header.len().next_multiple_of(PREFIX as usize), b' ');
        let length = header.len() as u64 - PREFIX;
        if length > HEADER_LIMIT {
            return Err(WriteError::HeaderTooLarge { found: length });
        }
        if let Some(prefix) = header.first_chunk_mut() {
            *prefix = length.to_le_bytes();
        }
        Ok(header)
    }
}

/// A string in JSON.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
