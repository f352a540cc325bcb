//! The merges of byte pair encoding that a list of pieces implies.

use std::collections::HashSet;
use std::path::Path;

use super::invalid;
use super::proto::Piece;
use crate::error::Result;

/// The longest piece, in bytes. Published ones have less than 100.
const LONGEST: usize = 512;
/// The most bytes of text that all merges may have. The largest published ones have 10 MB.
const LARGEST: usize = 256 << 20;

/// Every pair of pieces that joins to a piece, those that make the piece of the highest score first.
///
/// A model learned its pieces in the order of their scores, and joins in that order, which is not
/// always that of their ids: runs of spaces have low ids, but are joined last.
pub(super) fn of(path: &Path, pieces: &[Piece]) -> Result<Vec<(String, String)>> {
    let texts: HashSet<&str> = pieces.iter().map(|piece| &*piece.text).collect();
    let mut merges = Vec::new();
    let mut bytes = 0;
    for (id, piece) in pieces.iter().enumerate() {
        let text = &*piece.text;
        if text.len() > LONGEST {
            return Err(invalid(path, format!("piece {id} has more than {LONGEST} bytes")));
        }
        let length = text.chars().count();
        for (left_length, (at, _)) in text.char_indices().enumerate().skip(1) {
            let (left, right) = text.split_at(at);
            if texts.contains(left) && texts.contains(right) {
                bytes += text.len();
                merges.push((piece.score, left_length, length - left_length, left, right));
            }
        }
        if bytes > LARGEST {
            return Err(invalid(path, "its pieces can be merged in too many ways"));
        }
    }
    // Of merges to pieces of the same score, those of the longest pieces come first.
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then(b.2.cmp(&a.2)));
    Ok(merges.into_iter().map(|(.., left, right)| (left.to_owned(), right.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_pieces(pieces: &[(&str, f32)]) -> Result<Vec<String>> {
        let piece = |(text, score): &(&str, f32)| Piece {
            text: (*text).to_owned(),
            score: *score,
            kind: 1,
        };
        let pieces: Vec<Piece> = pieces.iter().map(piece).collect();
        let merges = of(Path::new("tokenizer.model"), &pieces)?;
        Ok(merges.iter().map(|(left, right)| format!("{left}+{right}")).collect())
    }

    #[test]
    fn every_split_into_pieces_is_a_merge() {
        let pieces = [
            ("abc", -3.0),
            ("a", -9.0),
            ("b", -9.0),
            ("c", -9.0),
            ("ab", -2.0),
            ("é", -9.0),
            ("éa", -1.0),
        ];
        assert_eq!(of_pieces(&pieces).unwrap(), ["é+a", "a+b", "ab+c"]);
    }

    #[test]
    fn among_equal_scores_the_longest_pieces_come_first() {
        let pieces = [("▁▁", -1.0), ("▁▁▁▁", -1.0), ("▁▁▁", -1.0), ("▁", -2.0)];
        let merges = ["▁▁▁+▁", "▁▁+▁▁", "▁▁+▁", "▁+▁▁▁", "▁+▁▁", "▁+▁"];
        assert_eq!(of_pieces(&pieces).unwrap(), merges);
    }

    #[test]
    fn what_would_take_too_much_is_refused() {
        assert!(of_pieces(&[(&"a".repeat(LONGEST), 0.0)]).is_ok());
        assert!(of_pieces(&[(&"a".repeat(LONGEST + 1), 0.0)]).is_err());
    }
}
