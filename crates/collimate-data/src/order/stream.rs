//! Random numbers that stay the same across versions, machines and numbers of threads.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What random numbers are drawn for. Work of one kind never sees the numbers of another, though
/// all of it has the same seed.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Purpose {
    /// Which part a row goes to.
    Split = 1,
    /// The order of the rows in an epoch.
    Order = 2,
    /// The order of the batches in an epoch.
    Batches = 3,
    /// The hash functions of a signature.
    MinHash = 4,
    /// Which texts are made, and the seeds of their completions.
    Synthesis = 5,
}

/// An independent stream of random numbers: stream `index` of a purpose of a seed.
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    pub(crate) fn new(seed: u64, purpose: Purpose, index: u32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream((purpose as u64) << 32 | u64::from(index));
        Self(rng)
    }

    /// Uniform in all of `u64`.
    pub(crate) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..bound`, without bias (Lemire 2019); 0 where `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let wide = u128::from(self.next()) * u128::from(bound);
            #[allow(clippy::cast_possible_truncation, reason = "the low half is meant")]
            if wide as u64 >= threshold {
                return (wide >> 64) as u64;
            }
        }
    }

    /// A uniform permutation in place (Fisher & Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_reproducible_and_differ() {
        let draw = |seed, purpose, index| {
            let mut stream = Stream::new(seed, purpose, index);
            [(); 4].map(|()| stream.below(1000))
        };
        assert_eq!(draw(1, Purpose::Order, 2), draw(1, Purpose::Order, 2));
        assert_ne!(draw(1, Purpose::Order, 2), draw(1, Purpose::Order, 3));
        assert_ne!(draw(1, Purpose::Order, 2), draw(2, Purpose::Order, 2));
        assert_ne!(draw(1, Purpose::Order, 2), draw(1, Purpose::Split, 2));
    }

    #[test]
    fn below_reaches_every_number_about_equally_often() {
        let mut stream = Stream::new(7, Purpose::Order, 0);
        let mut counts = [0_u32; 5];
        for _ in 0..10_000 {
            counts[stream.below(5) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (1850..2150).contains(count)), "{counts:?}");
        assert_eq!(stream.below(0), 0);
    }
}
