use std::hash::{BuildHasher, RandomState};

/// A keyed hash of names, by which sets of them are compared without keeping them.
///
/// The keys are random, so that names can't be chosen to collide.
// Eight bytes at a time are multiplied into the state, and the two halves of each 128-bit product
// added up without carry.
#[derive(Clone, Debug)]
pub struct NameHasher {
    keys: [u64; 2],
}

/// A set of names, told from another by their number and the sum of keyed hashes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NameSum {
    count: u64,
    hashes: u64,
}

impl NameHasher {
    /// A hasher with keys of its own: its hashes differ from those of every other.
    #[expect(clippy::new_without_default, reason = "two defaults would not be equal")]
    pub fn new() -> Self {
        let random = RandomState::new();
        Self { keys: [random.hash_one(0_u8), random.hash_one(1_u8)] }
    }

    /// The hash of a name.
    pub fn hash(&self, name: &[u8]) -> u64 {
        let [first, second] = self.keys;
        let mut chunks = name.chunks_exact(8);
        let mut state = first ^ name.len() as u64;
        for chunk in &mut chunks {
            state = fold(state ^ word(chunk), second);
        }
        fold(fold(state ^ word(chunks.remainder()), second), first)
    }
}

impl NameSum {
    /// Takes in the name with this hash.
    pub fn add(&mut self, hash: u64) {
        self.count += 1;
        self.hashes = self.hashes.wrapping_add(hash);
    }

    /// How many names were taken in.
    pub fn count(&self) -> u64 {
        self.count
    }
}

/// Up to eight bytes as a number, the first byte the lowest.
fn word(bytes: &[u8]) -> u64 {
    if let Some(all) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*all);
    }
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right | 1);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_that_differ_a_little_differ() {
        let names = NameHasher::new();
        let mut seen = HashSet::new();
        for layer in 0..1_000 {
            for part in ["self_attn.q_proj", "self_attn.k_proj", "mlp.up_proj", "mlp.up_proj\0"] {
                let name = format!("model.layers.{layer}.{part}.weight");
                assert!(seen.insert(names.hash(name.as_bytes())), "{name}");
            }
        }
        for length in 0..100 {
            assert!(seen.insert(names.hash(&vec![0; length])));
        }
        assert_ne!(names.hash(b"a"), NameHasher::new().hash(b"a"));
    }
}
