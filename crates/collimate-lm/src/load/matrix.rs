use std::borrow::Cow;

use burn::tensor::{DType, Element, TensorData, bf16, f16};
use bytemuck::Pod;
use collimate_tensors::{Dtype, Tensor, narrow, widen};
use rayon::prelude::*;

use crate::build::{Wanted, WantedPart};
use crate::error::{LmError, Result};

/// Numbers that a thread converts at once.
const BLOCK: usize = 1 << 16;
/// Numbers after which the memory of what was read is given back, so that a tensor is never there
/// twice.
const PIECE: usize = 1 << 20;

/// A type that weights can have on a device.
pub(super) trait Number: Element + Pod + Send + Sync {
    /// Its name in files.
    const DTYPE: Dtype;
}

impl Number for f32 {
    const DTYPE: Dtype = Dtype::F32;
}

impl Number for f16 {
    const DTYPE: Dtype = Dtype::F16;
}

impl Number for bf16 {
    const DTYPE: Dtype = Dtype::BF16;
}

/// Reads parts of a tensor below each other.
pub(super) fn read<E: Number>(
    wanted: &Wanted,
    parts: &[(&WantedPart, Tensor<'_>)],
) -> Result<TensorData> {
    let (rows, width) = (wanted.rows(), wanted.width);
    let mut numbers = vec![E::zeroed(); rows * width];
    let mut rest = numbers.as_mut_slice();
    for (part, tensor) in parts {
        let (place, behind) = rest.split_at_mut(part.rows * width);
        rest = behind;
        let source = Source { dtype: tensor.dtype(), bytes: tensor.bytes()?, tensor };
        let read = match (&part.order, wanted.transposed) {
            (None, false) => source.copy(place),
            (Some(order), false) => source.rows(order, width, place),
            (order, true) => source.transposed(order.as_deref(), width, place),
        };
        let failed = |source| LmError::Convert { tensor: part.tensor.clone(), source };
        read.map_err(failed)?;
    }
    let shape = if wanted.vector { vec![rows] } else { vec![rows, width] };
    debug_assert!(matches!(E::dtype(), DType::F32 | DType::F16 | DType::BF16));
    Ok(TensorData::new(numbers, shape))
}

/// The bytes of a tensor in a file.
struct Source<'t, 'a> {
    tensor: &'t Tensor<'a>,
    dtype: Dtype,
    bytes: Cow<'a, [u8]>,
}

type Converted = std::result::Result<(), collimate_tensors::CastError>;

impl Source<'_, '_> {
    fn size(&self) -> usize {
        (self.dtype.bits() / 8).max(1) as usize
    }

    /// As it is.
    fn copy<E: Number>(&self, place: &mut [E]) -> Converted {
        let pieces = self.bytes.chunks(PIECE * self.size());
        for (at, (place, bytes)) in place.chunks_mut(PIECE).zip(pieces).enumerate() {
            let blocks = bytes.par_chunks(BLOCK * self.size());
            place
                .par_chunks_mut(BLOCK)
                .zip(blocks)
                .try_for_each(|(place, bytes)| self.convert(bytes, place))?;
            let begin = at * PIECE * self.size();
            self.tensor.release(begin..begin + bytes.len());
        }
        Ok(())
    }

    /// Its rows in another order.
    fn rows<E: Number>(&self, order: &[usize], width: usize, place: &mut [E]) -> Converted {
        let row = width * self.size();
        place.par_chunks_mut(width).zip(order).try_for_each(|(place, &at)| {
            self.convert(self.bytes.get(at * row..(at + 1) * row).unwrap_or_default(), place)
        })?;
        self.tensor.release(0..self.bytes.len());
        Ok(())
    }

    /// Its columns as rows.
    fn transposed<E: Number>(
        &self,
        order: Option<&[usize]>,
        width: usize,
        place: &mut [E],
    ) -> Converted {
        let rows = place.len() / width.max(1);
        let mut straight = vec![E::zeroed(); place.len()];
        self.copy(&mut straight)?;
        place.par_chunks_mut(width).enumerate().for_each(|(row, place)| {
            let row = order.and_then(|order| order.get(row)).copied().unwrap_or(row);
            for (number, column) in place.iter_mut().zip(straight.chunks_exact(rows)) {
                *number = column.get(row).copied().unwrap_or_else(E::zeroed);
            }
        });
        Ok(())
    }

    fn convert<E: Number>(&self, bytes: &[u8], place: &mut [E]) -> Converted {
        let out = bytemuck::cast_slice_mut::<E, u8>(place);
        if self.dtype == E::DTYPE && cfg!(target_endian = "little") {
            // Lengths differ only if the file's size changed, which is found in the end.
            let count = out.len().min(bytes.len());
            out[..count].copy_from_slice(&bytes[..count]);
            return Ok(());
        }
        let mut wide = vec![0.0; place.len()];
        widen(self.dtype, bytes, &mut wide)?;
        narrow(E::DTYPE, &wide, bytemuck::cast_slice_mut::<E, u8>(place))
    }
}
