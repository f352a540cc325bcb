//! Bin packing.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The rows of each sequence by best-fit decreasing. Every row fits a sequence.
pub(super) fn best_fit_decreasing(
    lengths: &[usize],
    mut rows: Vec<usize>,
    max_length: usize,
) -> Vec<Vec<usize>> {
    rows.sort_unstable_by_key(|&row| (Reverse(lengths[row]), row));
    let mut sequences: Vec<Vec<usize>> = Vec::new();
    // Sequences by the room they have left; full ones are not in here.
    let mut by_room: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for row in rows {
        let length = lengths[row];
        let best = by_room.range(length..).next().map(|(room, _)| *room);
        let (sequence, room) = match best {
            Some(room) => (take(&mut by_room, room).unwrap_or(sequences.len()), room),
            None => (sequences.len(), max_length),
        };
        if sequence == sequences.len() {
            sequences.push(Vec::new());
        }
        sequences[sequence].push(row);
        if room > length {
            by_room.entry(room - length).or_default().push(sequence);
        }
    }
    for sequence in &mut sequences {
        sequence.sort_unstable();
    }
    sequences.sort_unstable_by_key(|sequence| sequence.first().copied());
    sequences
}

/// The sequence with so much room that came last.
fn take(by_room: &mut BTreeMap<usize, Vec<usize>>, room: usize) -> Option<usize> {
    let sequences = by_room.get_mut(&room)?;
    let last = sequences.pop();
    if sequences.is_empty() {
        by_room.remove(&room);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_goes_where_the_least_room_is_left() {
        // 6 and 5 open sequences with 4 and 5 left; 4 fills the first exactly, 3 the second.
        let lengths = [3, 6, 4, 5, 2];
        let sequences = best_fit_decreasing(&lengths, (0..5).collect(), 10);
        assert_eq!(sequences, [vec![0, 3, 4], vec![1, 2]]);
    }
}
