//! Counting n-grams without a string for each.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// How often each n-gram of one order occurs in a sequence.
pub(super) type Counts<'a> = HashMap<&'a [u32], u32, RandomState>;

/// Numbers for words: equal words have equal numbers.
#[derive(Default)]
pub(super) struct Vocabulary<'a>(HashMap<&'a str, u32, RandomState>);

impl<'a> Vocabulary<'a> {
    /// The numbers of words.
    pub(super) fn ids(&mut self, words: impl Iterator<Item = &'a str>) -> Vec<u32> {
        words
            .map(|word| {
                let next = self.0.len() as u32;
                *self.0.entry(word).or_insert(next)
            })
            .collect()
    }
}

/// Counts the n-grams of an order, which is at least one.
pub(super) fn counts(sequence: &[u32], order: usize) -> Counts<'_> {
    let mut counts = Counts::default();
    counts.reserve(total(sequence, order));
    for ngram in sequence.windows(order) {
        *counts.entry(ngram).or_default() += 1;
    }
    counts
}

/// How many n-grams of an order a sequence has.
pub(super) fn total(sequence: &[u32], order: usize) -> usize {
    (sequence.len() + 1).saturating_sub(order)
}

/// How many n-grams two sequences have in common, each as often as it is in both.
pub(super) fn overlap(left: &Counts<'_>, right: &Counts<'_>) -> u64 {
    let (few, many) = if left.len() < right.len() { (left, right) } else { (right, left) };
    few.iter()
        .map(|(ngram, &count)| u64::from(count.min(many.get(ngram).copied().unwrap_or(0))))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ngram_counts_as_often_as_it_is_in_both() {
        let mut vocabulary = Vocabulary::default();
        let left = vocabulary.ids("a b a b a".split(' '));
        let right = vocabulary.ids("b a b c".split(' '));
        assert_eq!(overlap(&counts(&left, 1), &counts(&right, 1)), 3);
        assert_eq!(overlap(&counts(&left, 2), &counts(&right, 2)), 2);
        assert_eq!(overlap(&counts(&left, 5), &counts(&right, 5)), 0);
        assert_eq!((total(&left, 5), total(&left, 6), total(&left, 7)), (1, 0, 0));
    }
}
