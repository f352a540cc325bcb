//! A random order of more numbers than fit in memory.

use crate::order::{Purpose, Stream};

/// Rounds of the network. Four make it pseudo-random (Luby & Rackoff 1988); the round function
/// here is simple, and few bits need more.
const ROUNDS: usize = 12;

/// A permutation of `0..size` that a seed determines: a Feistel network over the next even number
/// of bits, applied again until the number is in range (cycle walking; Black & Rogaway 2002).
#[derive(Clone, Debug)]
pub(super) struct Permutation {
    size: u64,
    half: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// A permutation of at most `2^62` numbers.
    pub(super) fn new(size: u64, seed: u64) -> Self {
        let bits = u64::BITS - size.saturating_sub(1).leading_zeros();
        let mut stream = Stream::new(seed, Purpose::Synthesis, 0);
        Self { size, half: bits.div_ceil(2).max(1), keys: [(); ROUNDS].map(|()| stream.next()) }
    }

    /// The number at a position below the size.
    pub(super) fn at(&self, position: u64) -> u64 {
        let mut number = self.encrypt(position);
        while number >= self.size {
            number = self.encrypt(number);
        }
        number
    }

    fn encrypt(&self, number: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let (mut left, mut right) = (number >> self.half & mask, number & mask);
        for key in self.keys {
            let mut mixed = (right ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ mixed >> 32).wrapping_mul(key | 1);
            (left, right) = (right, left ^ mixed >> 32 & mask);
        }
        left << self.half | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_once() {
        for size in [1, 2, 3, 5, 16, 17, 1000, 4097] {
            let permutation = Permutation::new(size, 42);
            let mut numbers: Vec<u64> = (0..size).map(|at| permutation.at(at)).collect();
            if size > 10 {
                assert!(!numbers.is_sorted());
            }
            numbers.sort_unstable();
            assert_eq!(numbers, (0..size).collect::<Vec<_>>());
        }
    }

    #[test]
    fn positions_and_numbers_are_unrelated() {
        // The mean of the first tenth is that of all, within four standard errors.
        let permutation = Permutation::new(100_000, 7);
        let sum: u64 = (0..10_000).map(|at| permutation.at(at)).sum();
        assert!((sum as f64 / 10_000.0 - 50_000.0).abs() < 4.0 * 28_868.0 / 100.0, "{sum}");
        assert!(Permutation::new(1 << 62, 1).at(5) < 1 << 62);
    }
}
