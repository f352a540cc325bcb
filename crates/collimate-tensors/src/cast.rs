//! Between the types that weights are stored in and the one that is computed in.

use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use thiserror::Error;

use crate::dtype::Dtype;

/// Numbers that are converted together, through a buffer on the stack.
const BLOCK: usize = 256;

/// Why numbers can't be converted.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum CastError {
    /// The type is not one that is converted.
    #[error("{dtype} is not one of {}", names(allowed))]
    Dtype {
        /// The type that was asked for.
        dtype: Dtype,
        /// Those that are converted.
        allowed: &'static [Dtype],
    },
    /// There are not as many numbers on one side as on the other.
    #[error("{elements} elements of {dtype} need {expected} bytes, there are {found}")]
    Length {
        /// The type of the bytes.
        dtype: Dtype,
        /// Numbers.
        elements: usize,
        /// Bytes that they need.
        expected: u64,
        /// Bytes that there are.
        found: usize,
    },
}

/// The types that [`widen`] takes.
const WIDENED: &[Dtype] = &[Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64];
/// The types that [`narrow`] gives.
const NARROWED: &[Dtype] = &[Dtype::F16, Dtype::BF16, Dtype::F32];

/// Reads little-endian numbers of type F16, BF16, F32 or F64 as `f32`.
///
/// F16, BF16 and F32 are exact; F64 is rounded to the nearest, ties to even, beyond the range to
/// infinity. NaN stays NaN.
///
/// # Errors
///
/// [`CastError`]: the type is another, or there are not as many numbers as places for them.
///
/// # Examples
///
/// ```
/// use collimate_tensors::{Dtype, narrow, widen};
///
/// let mut bytes = [0; 4];
/// narrow(Dtype::BF16, &[1.0, 3.14159], &mut bytes)?;
/// let mut numbers = [0.0; 2];
/// widen(Dtype::BF16, &bytes, &mut numbers)?;
/// assert_eq!(numbers, [1.0, 3.140625]);
/// # Ok::<(), collimate_tensors::CastError>(())
/// ```
pub fn widen(dtype: Dtype, bytes: &[u8], out: &mut [f32]) -> Result<(), CastError> {
    check(dtype, WIDENED, out.len(), bytes.len())?;
    match dtype {
        Dtype::F16 => {
            for (bytes, out) in bytes.chunks(2 * BLOCK).zip(out.chunks_mut(BLOCK)) {
                let mut bits = [0; BLOCK];
                let (bits, _) = bits.split_at_mut(out.len());
                for (bits, bytes) in bits.iter_mut().zip(bytes.as_chunks().0) {
                    *bits = u16::from_le_bytes(*bytes);
                }
                bits.reinterpret_cast::<f16>().convert_to_f32_slice(out);
            }
        }
        Dtype::BF16 => widest(
            #[inline(always)]
            || {
                for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                    *out = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
                }
            },
        ),
        Dtype::F64 => {
            for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *out = f64::from_le_bytes(*bytes) as f32;
            }
        }
        _ => {
            for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *out = f32::from_le_bytes(*bytes);
            }
        }
    }
    Ok(())
}

/// Writes `f32` as little-endian numbers of type F16, BF16 or F32.
///
/// Rounded to the nearest, ties to even; beyond the range to infinity. NaN stays NaN, with its sign,
/// and becomes quiet.
///
/// # Errors
///
/// [`CastError`]: the type is another, or there are not as many places as numbers.
pub fn narrow(dtype: Dtype, numbers: &[f32], out: &mut [u8]) -> Result<(), CastError> {
    check(dtype, NARROWED, numbers.len(), out.len())?;
    match dtype {
        Dtype::F16 => {
            for (out, numbers) in out.chunks_mut(2 * BLOCK).zip(numbers.chunks(BLOCK)) {
                let mut halves = [f16::ZERO; BLOCK];
                let (halves, _) = halves.split_at_mut(numbers.len());
                halves.convert_from_f32_slice(numbers);
                for (out, half) in out.as_chunks_mut().0.iter_mut().zip(halves) {
                    *out = half.to_le_bytes();
                }
            }
        }
        Dtype::BF16 => widest(
            #[inline(always)]
            || {
                for (out, number) in out.as_chunks_mut().0.iter_mut().zip(numbers) {
                    *out = to_bf16(*number).to_le_bytes();
                }
            },
        ),
        _ => {
            for (out, number) in out.as_chunks_mut().0.iter_mut().zip(numbers) {
                *out = number.to_le_bytes();
            }
        }
    }
    Ok(())
}

/// Runs a loop as it is compiled for the widest registers that this processor has.
#[inline(always)]
fn widest(work: impl FnOnce()) {
    pulp::Arch::new().dispatch(work);
}

/// As `half` does it, but without a branch, so that it runs on several numbers at once.
#[inline(always)]
fn to_bf16(number: f32) -> u16 {
    let bits = number.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    let quiet = bits | 0x0040_0000;
    let bits = if number.is_nan() { quiet } else { rounded };
    (bits >> 16) as u16
}

fn check(
    dtype: Dtype,
    allowed: &'static [Dtype],
    elements: usize,
    found: usize,
) -> Result<(), CastError> {
    if !allowed.contains(&dtype) {
        return Err(CastError::Dtype { dtype, allowed });
    }
    let expected = (elements as u64).saturating_mul(dtype.bits() / 8);
    if expected != found as u64 {
        return Err(CastError::Length { dtype, elements, expected, found });
    }
    Ok(())
}

fn names(dtypes: &[Dtype]) -> String {
    dtypes.iter().map(|dtype| dtype.name()).collect::<Vec<_>>().join(", ")
}
