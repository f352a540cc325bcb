//! Longest common subsequences.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// The length of the longest common subsequence.
///
/// A row of the table of lengths is kept as one bit for each position of the shorter sequence, zero
/// where the length grows, and is added to as a number (H. Hyyrö, Bit-parallel LCS-length
/// computation revisited, 2004). Only those 64 bits are looked at that hold the token, or
/// that a carry reaches: memory grows with the shorter sequence, time with the matches.
pub(super) fn length(left: &[u32], right: &[u32]) -> usize {
    let (short, long) = if left.len() < right.len() { (left, right) } else { (right, left) };
    let mut places: HashMap<u32, Vec<(usize, u64)>, RandomState> = HashMap::default();
    for (position, &token) in short.iter().enumerate() {
        let (word, bit) = (position / 64, 1 << (position % 64));
        let of_token = places.entry(token).or_default();
        match of_token.last_mut() {
            Some((last, mask)) if *last == word => *mask |= bit,
            _ => of_token.push((word, bit)),
        }
    }
    let mut row = vec![u64::MAX; short.len().div_ceil(64)];
    for token in long {
        let Some(of_token) = places.get(token) else { continue };
        let mut masks = of_token.iter().copied().peekable();
        let mut carry = false;
        let mut word = 0;
        while word < row.len() {
            if !carry {
                // Words in between stay as they are.
                let Some(&(next, _)) = masks.peek() else { break };
                word = next;
            }
            let mask = masks.next_if(|&(next, _)| next == word).map_or(0, |(_, mask)| mask);
            let Some(bits) = row.get_mut(word) else { break };
            let (sum, first) = bits.overflowing_add(*bits & mask);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            carry = first || second;
            *bits = sum | (*bits & !mask);
            word += 1;
        }
    }
    row.iter().map(|bits| bits.count_zeros() as usize).sum()
}

/// Marks the positions of `reference` that are in one longest common subsequence: of several, the
/// one that rouge-score finds. Keeps one bit for each pair of tokens.
pub(super) fn mark(reference: &[u32], candidate: &[u32], marks: &mut [bool]) {
    let columns = candidate.len();
    let mut left_is_longer = vec![0_u64; (reference.len() * columns).div_ceil(64)];
    let mut row = vec![0_u32; columns];
    for (i, token) in reference.iter().enumerate() {
        let (mut diagonal, mut left) = (0, 0);
        for (j, (above, other)) in row.iter_mut().zip(candidate).enumerate() {
            let length = if token == other { diagonal + 1 } else { left.max(*above) };
            if left > *above {
                let cell = i * columns + j;
                if let Some(bits) = left_is_longer.get_mut(cell / 64) {
                    *bits |= 1 << (cell % 64);
                }
            }
            diagonal = *above;
            *above = length;
            left = length;
        }
    }
    let (mut i, mut j) = (reference.len(), columns);
    while i > 0 && j > 0 {
        let cell = (i - 1) * columns + j - 1;
        let bits = left_is_longer.get(cell / 64).copied().unwrap_or(0);
        if reference.get(i - 1) == candidate.get(j - 1) {
            i -= 1;
            j -= 1;
            if let Some(mark) = marks.get_mut(i) {
                *mark = true;
            }
        } else if bits >> (cell % 64) & 1 == 1 {
            j -= 1;
        } else {
            i -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_table(left: &[u32], right: &[u32]) -> usize {
        let mut table = vec![vec![0; right.len() + 1]; left.len() + 1];
        for (i, a) in left.iter().enumerate() {
            for (j, b) in right.iter().enumerate() {
                let longest = table[i][j + 1].max(table[i + 1][j]);
                table[i + 1][j + 1] = if a == b { table[i][j] + 1 } else { longest };
            }
        }
        table[left.len()][right.len()]
    }

    proptest! {
        #[test]
        fn both_ways_find_the_length_of_the_table(
            left in proptest::collection::vec(0_u32..9, 0..300),
            right in proptest::collection::vec(0_u32..12, 0..300),
        ) {
            let expected = by_table(&left, &right);
            prop_assert_eq!(length(&left, &right), expected);
            let mut marks = vec![false; left.len()];
            mark(&left, &right, &mut marks);
            prop_assert_eq!(marks.iter().filter(|&&mark| mark).count(), expected);
        }
    }

    #[test]
    fn a_carry_crosses_words_that_do_not_hold_the_token() {
        let short: Vec<u32> = (0..200).map(|at| u32::from(at == 3 || at == 190)).collect();
        let long = [1, 0, 1, 1, 0, 0, 1];
        assert_eq!(length(&short, &long), by_table(&short, &long));
    }
}
