use std::borrow::Cow;
use std::ops::Range;

use collimate_tensors::{CastError, Dtype, widen};

/// One tensor of an adapter: type, shape (the slowest dimension first) and little-endian elements.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterTensor<'a> {
    pub(super) dtype: Dtype,
    pub(super) shape: Cow<'a, [u64]>,
    pub(super) bytes: Cow<'a, [u8]>,
}

impl<'a> AdapterTensor<'a> {
    /// A tensor. Whether the bytes fit the shape is checked by [`Adapter::new`](crate::Adapter::new).
    pub fn new(
        dtype: Dtype,
        shape: impl Into<Cow<'a, [u64]>>,
        bytes: impl Into<Cow<'a, [u8]>>,
    ) -> Self {
        Self { dtype, shape: shape.into(), bytes: bytes.into() }
    }

    /// A tensor of type F32.
    pub fn from_f32(shape: impl Into<Cow<'a, [u64]>>, numbers: &[f32]) -> Self {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Self::new(Dtype::F32, shape, bytes)
    }

    /// The type of its elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Its shape.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Its elements, little endian.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes the elements of a range, counted as if the tensor were flat, to `out` as `f32`.
    pub(crate) fn read_f32(
        &self,
        range: Range<usize>,
        out: &mut Vec<f32>,
    ) -> Result<(), CastError> {
        let size = (self.dtype.bits() / 8) as usize;
        let part = range.start.saturating_mul(size)..range.end.saturating_mul(size);
        // A range beyond the end is as an error of length.
        let bytes = self.bytes.get(part).unwrap_or_default();
        out.clear();
        out.resize(range.len().min(self.bytes.len()), 0.0);
        widen(self.dtype, bytes, out)
    }

    /// Bytes that its shape and type need; nothing where that overflows or ends within a byte.
    pub(super) fn expected_bytes(&self) -> Option<u64> {
        let elements = self.shape.iter().try_fold(1_u64, |count, &size| count.checked_mul(size))?;
        let bits = elements.checked_mul(self.dtype.bits())?;
        (bits % 8 == 0).then_some(bits / 8)
    }

    /// The same tensor without what it is borrowed from.
    pub(super) fn into_owned(self) -> AdapterTensor<'static> {
        AdapterTensor {
            dtype: self.dtype,
            shape: Cow::Owned(self.shape.into_owned()),
            bytes: Cow::Owned(self.bytes.into_owned()),
        }
    }

    /// The same tensor, borrowed.
    pub(super) fn borrowed(&self) -> AdapterTensor<'_> {
        AdapterTensor {
            dtype: self.dtype,
            shape: Cow::Borrowed(&self.shape),
            bytes: Cow::Borrowed(&self.bytes),
        }
    }
}
