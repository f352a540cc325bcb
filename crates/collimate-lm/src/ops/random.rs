//! Random numbers that are a function of a key and their number: there is no state to carry, and they
//! can be drawn in any order and by any number of threads.
//!
//! The generator is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
//! generators", 2014), of which every word is a mix of the key and a counter.

/// `2⁶⁴` divided by the golden ratio, as an odd number.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// Words of a block.
const WORDS: usize = 8;
/// Numbers of a block.
pub(crate) const LANES: usize = 2 * WORDS;

/// Where the numbers of something begin: a key, and how many rows of a tensor have been drawn before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    pub(crate) key: u64,
    pub(crate) row: u64,
}

impl Draw {
    /// The draw of a part, which has nothing in common with that of others.
    pub(crate) fn of(self, part: u64) -> Self {
        Self { key: mixed(self.key ^ mixed(part)), ..self }
    }
}

/// A number for a name, which is the same always and everywhere (FNV-1a).
pub(crate) fn seed_of(name: &str) -> u64 {
    let byte = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, byte)
}

/// The random bits number `LANES · block` and following of a key.
#[inline(always)]
pub(crate) fn block(key: u64, block: u64) -> [u32; LANES] {
    let mut bits = [0; LANES];
    let first = block.wrapping_mul(WORDS as u64).wrapping_add(1);
    // The halves of a word are eight numbers apart, so that no register is shuffled.
    for word in 0..WORDS {
        let number = first.wrapping_add(word as u64);
        let mixed = mixed(key.wrapping_add(number.wrapping_mul(STEP)));
        bits[word] = mixed as u32;
        bits[word + WORDS] = (mixed >> 32) as u32;
    }
    bits
}

#[inline(always)]
fn mixed(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_splitmix64() {
        // The first outputs of the reference for seed 1234567.
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973_u64];
        let bits = block(1_234_567, 0);
        let word = |at: usize| u64::from(bits[at]) | u64::from(bits[at + WORDS]) << 32;
        assert_eq!([word(0), word(1)], expected);
        assert_eq!(
            block(1_234_567, 1)[0],
            mixed(1_234_567_u64.wrapping_add(STEP.wrapping_mul(9))) as u32
        );
    }

    #[test]
    fn names_and_parts_have_keys_of_their_own() {
        // The published value for "foobar".
        assert_eq!(seed_of("foobar"), 0x8594_4171_f739_67e8);
        let draw = Draw { key: 5, row: 3 };
        let [one, two] = ["q_proj", "v_proj"].map(|name| draw.of(seed_of(name)));
        assert_ne!(one.key, two.key);
        assert_eq!(one.row, 3);
        assert_ne!(one.key, Draw { key: 6, row: 3 }.of(seed_of("q_proj")).key);
    }
}
