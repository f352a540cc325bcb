use std::borrow::Cow;
use std::io;
use std::ops::Range;

use crate::cast::widen;
use crate::dtype::Dtype;
use crate::error::{Result, TensorsError};
use crate::file::{Entry, Place, TensorFile};

/// One tensor of an open [`TensorFile`].
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    pub(crate) file: &'a TensorFile,
    pub(crate) entry: &'a Entry,
}

impl<'a> Tensor<'a> {
    /// Its name.
    pub fn name(&self) -> &'a str {
        &self.entry.name
    }

    /// The type of its elements.
    pub fn dtype(&self) -> Dtype {
        self.entry.dtype
    }

    /// Its shape, the slowest dimension first; empty for a scalar.
    pub fn shape(&self) -> &'a [u64] {
        &self.entry.shape
    }

    /// Number of its elements.
    pub fn elements(&self) -> u64 {
        self.entry.elements
    }

    /// Number of its bytes.
    pub fn byte_len(&self) -> u64 {
        self.entry.bytes
    }

    /// The file that it is in.
    pub fn file(&self) -> &'a TensorFile {
        self.file
    }

    /// Its elements, one after another, the slowest dimension first, little endian: borrowed from
    /// the mapped file, or read from a PyTorch checkpoint, each time again.
    ///
    /// # Errors
    ///
    /// [`TensorsError::Tensor`]: a checkpoint can't be read, or is not what its table says.
    pub fn bytes(&self) -> Result<Cow<'a, [u8]>> {
        let read = match &self.entry.place {
            // It was checked when the file was opened: it is there.
            Place::Mapped(range) => self
                .file
                .mapped(range.clone())
                .map(Cow::Borrowed)
                .ok_or_else(|| io::ErrorKind::UnexpectedEof.into()),
            Place::Pickle(storage) => storage.read().map(Cow::Owned),
        };
        read.map_err(|source| TensorsError::Tensor {
            path: self.file.path().to_owned(),
            tensor: self.entry.name.clone(),
            source,
        })
    }

    /// Lets the system have the memory back that a range of the [`bytes`](Self::bytes) takes, once
    /// they were looked at: pages of a mapped file count as the process's until then. They stay where
    /// they are, to be looked at again. What is out of range is left alone, as is all that was not
    /// mapped.
    pub fn release(&self, range: Range<usize>) {
        if let Place::Mapped(place) = &self.entry.place
            && range.start < range.end
            && range.end <= place.len()
        {
            self.file.release(place.start + range.start..place.start + range.end);
        }
    }

    /// All elements as `f32`, the slowest dimension first, as [`widen`] converts them.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes); [`TensorsError::Cast`]: the type is not F16, BF16, F32 or F64.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        self.check_float()?;
        let bytes = self.bytes()?;
        // Not more than the bytes that are there.
        let mut numbers = vec![0.0; self.entry.elements as usize];
        self.cast(&bytes, &mut numbers)?;
        Ok(numbers)
    }

    /// Writes the elements of a range, counted as if the tensor were flat, to `out` as `f32`.
    ///
    /// A tensor of a PyTorch checkpoint is read whole for it: where there are many ranges, take
    /// [`bytes`](Self::bytes) once and [`widen`] parts of it.
    ///
    /// # Errors
    ///
    /// As [`to_f32`](Self::to_f32); [`TensorsError::OutOfRange`]; [`TensorsError::Cast`]: `out` is not
    /// as long as the range.
    pub fn read_f32(&self, range: Range<u64>, out: &mut [f32]) -> Result<()> {
        self.check_float()?;
        let size = self.entry.dtype.bits() / 8;
        let bytes = self.bytes()?;
        // No product overflows: all bytes lie in memory.
        let part = (range.start <= range.end && range.end <= self.entry.elements)
            .then(|| (range.start * size) as usize..(range.end * size) as usize)
            .and_then(|part| bytes.get(part));
        let part = part.ok_or_else(|| TensorsError::OutOfRange {
            path: self.file.path().to_owned(),
            tensor: self.entry.name.clone(),
            elements: self.entry.elements,
            start: range.start,
            end: range.end,
        })?;
        self.cast(part, out)
    }

    /// Before anything is read or allocated.
    fn check_float(&self) -> Result<()> {
        match self.entry.dtype {
            Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64 => Ok(()),
            _ => self.cast(&[], &mut []),
        }
    }

    fn cast(&self, bytes: &[u8], out: &mut [f32]) -> Result<()> {
        widen(self.entry.dtype, bytes, out).map_err(|source| TensorsError::Cast {
            path: self.file.path().to_owned(),
            tensor: self.entry.name.clone(),
            source,
        })
    }
}
