use burn::tensor::{Element, bf16, f16};
use bytemuck::Pod;

/// A type in which the numbers of a weight lie; what is computed with them is float32.
pub(crate) trait Widen: Element + Pod {
    /// The same number.
    fn wide(self) -> f32;
}

impl Widen for f32 {
    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }
}

impl Widen for bf16 {
    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

impl Widen for f16 {
    /// Without a branch, so that a loop is computed for as many numbers at once as a register holds.
    #[inline(always)]
    fn wide(self) -> f32 {
        /// What the exponents differ by.
        const MORE: u32 = (127 - 15) << 23;
        const INFINITE: u32 = 31 << 23;
        const SMALLEST: u32 = 1 << 23;
        let bits = u32::from(self.to_bits());
        let sign = (bits & 0x8000) << 16;
        let size = (bits & 0x7fff) << 13;
        // A number without an exponent gets one, whose first bit is then too much.
        let subnormal = f32::from_bits(size + MORE + SMALLEST) - f32::from_bits(MORE + SMALLEST);
        let wide = size + if size >= INFINITE { 2 * MORE } else { MORE };
        let wide = if size < SMALLEST { subnormal.to_bits() } else { wide };
        f32::from_bits(wide | sign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_stays_what_it_is() {
        for bits in 0..=u16::MAX {
            let pairs = [
                (bf16::from_bits(bits).wide(), bf16::from_bits(bits).to_f32()),
                (f16::from_bits(bits).wide(), f16::from_bits(bits).to_f32()),
            ];
            for (wide, expected) in pairs {
                let same = wide.to_bits() == expected.to_bits();
                assert!(same || wide.is_nan() && expected.is_nan(), "{bits:#x}: {wide}");
            }
        }
    }
}
