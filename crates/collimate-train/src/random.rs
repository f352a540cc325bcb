//! Random choices that depend on nothing but what they are for.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The key of the dropout and the noise of one batch of a step.
///
/// It is a pure function of the seed and the place, so that a run which goes on from a step needs no
/// state of a generator.
pub(crate) fn batch_key(seed: u64, step: u64, batch: u64) -> u64 {
    [step, batch].into_iter().fold(mix(seed), |key, place| mix(key ^ place))
}

/// Numbers for the start of one tensor, which depend on the seed and its name alone.
pub(crate) struct Numbers(ChaCha8Rng);

impl Numbers {
    pub(crate) fn new(seed: u64, tensor: &str) -> Self {
        let stream = tensor.bytes().fold(0, |sum, byte| mix(sum ^ u64::from(byte)));
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        Self(random)
    }

    /// Uniform from `-bound` to `bound`.
    pub(crate) fn uniform(&mut self, count: usize, bound: f64) -> Vec<f32> {
        (0..count).map(|_| ((2.0 * self.unit() - 1.0) * bound) as f32).collect()
    }

    /// Normal with a standard deviation (Box and Muller, 1958).
    pub(crate) fn normal(&mut self, count: usize, std: f64) -> Vec<f32> {
        let number = |_| {
            let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
            (radius * (2.0 * std::f64::consts::PI * self.unit()).cos() * std) as f32
        };
        (0..count).map(number).collect()
    }

    /// Uniform from 0 to below 1.
    fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The finisher of SplitMix64 (<https://doi.org/10.1145/2660193.2660195>).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_place_has_a_key_of_its_own() {
        let mut keys = BTreeSet::new();
        for seed in [0, 1, 42] {
            for step in 0..50 {
                keys.extend((0..10).map(|batch| batch_key(seed, step, batch)));
            }
        }
        assert_eq!(keys.len(), 3 * 50 * 10);
    }

    #[test]
    fn numbers_have_the_spread_that_is_asked_for() {
        let draw = |name| Numbers::new(1, name).uniform(20_000, 0.5);
        assert_ne!(draw("a")[..4], draw("b")[..4]);
        assert_eq!(draw("a"), draw("a"));
        let spread = |numbers: &[f32]| {
            let squares = numbers.iter().map(|n| f64::from(*n).powi(2)).sum::<f64>();
            (squares / numbers.len() as f64).sqrt()
        };
        assert!(draw("a").iter().all(|number| number.abs() <= 0.5));
        assert!((spread(&draw("a")) - 0.5 / 3_f64.sqrt()).abs() < 0.005);
        assert!((spread(&Numbers::new(1, "a").normal(20_000, 0.25)) - 0.25).abs() < 0.005);
    }
}
