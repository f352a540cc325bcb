//! From spans of a text to the tokens that carry loss.

use std::ops::Range;

/// The tokens that stand for a span of a text, also those that stand for a part of it.
///
/// The offsets of tokens never go back; where a character has several tokens, each of them has its
/// whole range.
pub(super) fn tokens_of(offsets: &[Range<usize>], span: &Range<usize>) -> Range<usize> {
    let start = first_after(offsets, span.start);
    let end = offsets.partition_point(|token| token.start < span.end);
    start..end.max(start)
}

/// The first token of which a part stands behind a position of the text.
pub(super) fn first_after(offsets: &[Range<usize>], position: usize) -> usize {
    offsets.partition_point(|token| token.end <= position)
}

/// The number of tokens that two sequences have in common from their beginning.
pub(super) fn common_prefix(one: &[u32], other: &[u32]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "ab", " cd", a character of four bytes in three tokens, "e".
    const OFFSETS: [Range<usize>; 6] = [0..2, 2..5, 5..9, 5..9, 5..9, 9..10];

    #[test]
    fn a_span_has_every_token_that_it_touches() {
        for (span, tokens) in
            [(0..2, 0..1), (2..5, 1..2), (3..5, 1..2), (1..3, 0..2), (5..9, 2..5), (2..10, 1..6)]
        {
            assert_eq!(tokens_of(&OFFSETS, &span), tokens, "{span:?}");
        }
        assert!(tokens_of(&OFFSETS, &(2..2)).is_empty());
        assert!(tokens_of(&OFFSETS, &(10..10)).is_empty());
    }

    #[test]
    fn the_first_token_behind_a_position() {
        for (position, token) in [(0, 0), (1, 0), (2, 1), (5, 2), (8, 2), (9, 5), (10, 6)] {
            assert_eq!(first_after(&OFFSETS, position), token, "{position}");
        }
    }
}
