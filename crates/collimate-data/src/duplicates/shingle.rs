//! Texts as sets of short pieces.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// The pieces of a text that are compared: each run of so many.
///
/// A text shorter than one piece is one piece; a text without words has no word pieces, and is
/// no near duplicate of anything.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shingle {
    /// Words: runs of letters and digits. Punctuation does not count.
    Words(usize),
    /// Characters of the normalized text.
    Characters(usize),
}

/// Lower case, each run of white space one space, none at the ends.
///
/// Letters and their accents as they are: texts that differ in Unicode normalization differ.
#[must_use]
pub fn normalize_text(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !normal.is_empty() {
            normal.push(' ');
        }
        if word.is_ascii() {
            normal.push_str(word);
            let start = normal.len() - word.len();
            if let Some(added) = normal.get_mut(start..) {
                added.make_ascii_lowercase();
            }
        } else {
            normal.extend(word.chars().flat_map(char::to_lowercase));
        }
    }
    normal
}

/// The sorted distinct 64-bit hashes of a normalized text's pieces.
pub(super) fn set(normal: &str, shingle: Shingle) -> Vec<u64> {
    let (units, length): (Vec<u64>, usize) = match shingle {
        Shingle::Words(length) => {
            let words = normal.split(|c: char| !c.is_alphanumeric());
            (words.filter(|word| !word.is_empty()).map(hash_word).collect(), length)
        }
        Shingle::Characters(length) => (normal.chars().map(u64::from).collect(), length),
    };
    if units.is_empty() {
        return Vec::new();
    }
    let length = length.clamp(1, units.len());
    let hash = |piece: &[u64]| piece.iter().fold(piece.len() as u64, |hash, unit| mix(hash ^ unit));
    let mut set: Vec<u64> = units.windows(length).map(hash).collect();
    set.sort_unstable();
    set.dedup();
    set
}

/// `|A ∩ B| / |A ∪ B|` of two sorted sets; 0 where both are empty.
pub(super) fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    let (mut left, mut right, mut both) = (0, 0, 0_usize);
    while let (Some(x), Some(y)) = (a.get(left), b.get(right)) {
        match x.cmp(y) {
            Ordering::Less => left += 1,
            Ordering::Greater => right += 1,
            Ordering::Equal => {
                left += 1;
                right += 1;
                both += 1;
            }
        }
    }
    let either = a.len() + b.len() - both;
    both as f64 / either.max(1) as f64
}

/// A bijection of 64 bits in which every input bit changes about half of the output bits
/// (the finalizer of SplitMix64, Steele, Lea & Flood 2014).
pub(super) fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

fn hash_word(word: &str) -> u64 {
    word.as_bytes().chunks(8).fold(word.len() as u64, |hash, bytes| {
        let unit = bytes.iter().fold(0, |unit, byte| unit << 8 | u64::from(*byte));
        mix(hash ^ unit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_white_space_do_not_matter() {
        assert_eq!(normalize_text("\t Hello,\n\n  WORLD  \u{a0}ÄÖ "), "hello, world äö");
        assert_eq!(normalize_text("  "), "");
    }

    #[test]
    fn pieces_are_counted_once() {
        assert_eq!(set("ababab", Shingle::Characters(2)).len(), 2);
        assert_eq!(set("a b, a-b a b", Shingle::Words(2)).len(), 2);
        assert_eq!(set("ab", Shingle::Characters(5)).len(), 1);
        assert_eq!(set("", Shingle::Characters(5)).len(), 0);
        assert_eq!(set("?!", Shingle::Words(1)).len(), 0);
    }

    #[test]
    fn jaccard_is_the_shared_part_of_all_pieces() {
        let words = |text| set(text, Shingle::Words(1));
        assert_eq!(jaccard(&words("a b c"), &words("b c d")), 0.5);
        assert_eq!(jaccard(&words("a b"), &words("a b")), 1.0);
        assert_eq!(jaccard(&words("a"), &words("b")), 0.0);
        assert_eq!(jaccard(&[], &[]), 0.0);
    }
}
