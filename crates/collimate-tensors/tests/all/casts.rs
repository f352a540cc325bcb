//! Conversions, as torch does them.

use collimate_tensors::{CastError, Dtype, narrow, widen};
use half::{bf16, f16};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// What the fixture has for one type.
#[derive(serde::Deserialize)]
struct Hashes {
    widened: String,
    narrowed: String,
}

fn expected(dtype: Dtype) -> Hashes {
    let json = include_str!("../fixtures/casts.json");
    let mut hashes: std::collections::BTreeMap<String, Hashes> =
        serde_json::from_str(json).unwrap();
    hashes.remove(dtype.name()).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn narrowed(dtype: Dtype, numbers: &[f32]) -> Vec<u16> {
    let mut bytes = vec![0; 2 * numbers.len()];
    narrow(dtype, numbers, &mut bytes).unwrap();
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

fn widened(dtype: Dtype, halves: &[u16]) -> Vec<f32> {
    let bytes: Vec<_> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
    let mut numbers = vec![0.0; halves.len()];
    widen(dtype, &bytes, &mut numbers).unwrap();
    numbers
}

#[test]
fn every_half_becomes_what_torch_makes_of_it() {
    let halves: Vec<_> = (0..=u16::MAX).collect();
    for dtype in [Dtype::F16, Dtype::BF16] {
        let numbers = widened(dtype, &halves);
        let nan = numbers.iter().filter(|number| number.is_nan()).count();
        assert_eq!(nan, if dtype == Dtype::F16 { 2 * 1023 } else { 2 * 127 });
        let bits = numbers.iter().map(|n| if n.is_nan() { 0x7fc0_0000 } else { n.to_bits() });
        let bytes: Vec<_> = bits.flat_map(u32::to_le_bytes).collect();
        assert_eq!(sha256(&bytes), expected(dtype).widened, "{dtype}");
    }
}

#[test]
fn floats_around_every_border_become_what_torch_makes_of_them() {
    let low = [0, 1, 0xfff, 0x1000, 0x1001, 0x2fff, 0x3000, 0x3001, 0x7fff, 0x8000, 0x8001, 0xffff];
    let high = (0..=u16::MAX).map(|high| u32::from(high) << 16);
    let numbers: Vec<_> = high.flat_map(|high| low.map(|low| f32::from_bits(high | low))).collect();
    for (dtype, nan) in [(Dtype::F16, 0x7e00), (Dtype::BF16, 0x7fc0)] {
        let halves = narrowed(dtype, &numbers);
        let halves =
            numbers.iter().zip(halves).map(|(n, half)| if n.is_nan() { nan } else { half });
        let bytes: Vec<_> = halves.flat_map(u16::to_le_bytes).collect();
        assert_eq!(sha256(&bytes), expected(dtype).narrowed, "{dtype}");
    }
}

#[test]
fn nan_stays_nan_with_its_sign_and_becomes_quiet() {
    for bits in [0x7f80_0001, 0x7fff_ffff, 0xff80_0001, 0xffc0_0000, 0x7fbf_ffff] {
        for (dtype, exponent, quiet) in
            [(Dtype::F16, 0x7c00, 0x0200), (Dtype::BF16, 0x7f80, 0x0040)]
        {
            let half = narrowed(dtype, &[f32::from_bits(bits)])[0];
            assert_eq!(half & (exponent | quiet), exponent | quiet, "{bits:x} {dtype}");
            assert_eq!(u32::from(half >> 15), bits >> 31, "{bits:x} {dtype}");
        }
    }
}

#[test]
fn doubles_are_rounded_to_the_nearest() {
    // The middle between two floats, and next to it.
    let middle = 1.0 + f64::from(f32::EPSILON) / 2.0;
    let doubles = [middle, middle.next_up(), -middle.next_up(), 1e39, f64::NAN];
    let bytes = doubles.map(f64::to_le_bytes).concat();
    let mut numbers = [0.0; 5];
    widen(Dtype::F64, &bytes, &mut numbers).unwrap();
    let above = 1.0 + f32::EPSILON;
    assert_eq!(numbers[..4], [1.0, above, -above, f32::INFINITY]);
    assert!(numbers[4].is_nan());
}

#[test]
fn other_types_and_other_lengths_are_errors() {
    let error = widen(Dtype::I8, &[0], &mut [0.0]).unwrap_err();
    assert_eq!(error.to_string(), "I8 is not one of F16, BF16, F32, F64");
    let error = narrow(Dtype::F64, &[0.0], &mut [0; 8]).unwrap_err();
    assert_eq!(error.to_string(), "F64 is not one of F16, BF16, F32");
    for dtype in [Dtype::F16, Dtype::BF16, Dtype::F32] {
        for len in [0, 1, 3, 5, 7, 9, 12] {
            let bytes = &mut vec![0; len];
            let error = widen(dtype, bytes, &mut [0.0; 2]).err();
            let wrong = matches!(error, Some(CastError::Length { elements: 2, .. }));
            assert_eq!(wrong, len as u64 != dtype.bits() / 4, "{dtype} {len}");
            assert_eq!(narrow(dtype, &[0.0; 2], bytes).is_err(), wrong, "{dtype} {len}");
        }
    }
}

proptest! {
    /// The crate `half` is the reference; lengths lie on both sides of a block.
    #[test]
    fn what_is_converted_is_what_half_converts(
        bits in prop::collection::vec(any::<u32>(), 0..600)
    ) {
        let numbers: Vec<_> = bits.iter().map(|&bits| f32::from_bits(bits)).collect();
        let halves = narrowed(Dtype::F16, &numbers);
        let brains = narrowed(Dtype::BF16, &numbers);
        for (&number, (half, brain)) in numbers.iter().zip(halves.iter().zip(&brains)) {
            prop_assert_eq!(*half, f16::from_f32(number).to_bits());
            prop_assert_eq!(*brain, bf16::from_f32(number).to_bits());
        }
        for (back, half) in widened(Dtype::F16, &halves).iter().zip(halves) {
            prop_assert_eq!(back.to_bits(), f16::from_bits(half).to_f32().to_bits());
        }
        prop_assert_eq!(narrowed(Dtype::BF16, &widened(Dtype::BF16, &brains)), brains);
    }

    #[test]
    fn single_precision_is_kept_bit_by_bit(bits in prop::collection::vec(any::<u32>(), 0..20)) {
        let numbers: Vec<_> = bits.iter().map(|&bits| f32::from_bits(bits)).collect();
        let mut bytes = vec![0; 4 * numbers.len()];
        narrow(Dtype::F32, &numbers, &mut bytes).unwrap();
        let mut back = vec![0.0; numbers.len()];
        widen(Dtype::F32, &bytes, &mut back).unwrap();
        let back: Vec<_> = back.iter().map(|number| number.to_bits()).collect();
        prop_assert_eq!(back, bits);
    }
}
