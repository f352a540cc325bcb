//! Lines of many points, reduced to what can be seen.

use crate::scene::Place;

/// A line in pieces; between two pieces there is a gap.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pieces {
    /// Places of each piece, from left to right.
    pub(crate) pieces: Vec<Vec<Place>>,
    /// Points that were given and could be drawn.
    pub(crate) given: usize,
}

/// Up to this many points are all drawn.
pub(crate) const MANY: usize = 2000;

/// Points by rising x in pixels, `None` for gaps. Of more than [`MANY`], each column of pixels keeps
/// its first, its lowest, its highest and its last; gaps narrower than a column are not seen.
pub(crate) fn thin(points: &[(f64, Option<f64>)]) -> Pieces {
    let given = points.iter().filter(|(_, y)| y.is_some()).count();
    let mut thinned = Pieces { given, pieces: Vec::new() };
    let every = given <= MANY;
    let mut column: Vec<Place> = Vec::new();
    let mut piece: Vec<Place> = Vec::new();
    let mut gap = false;
    for &(x, y) in points {
        let Some(y) = y else {
            gap = true;
            continue;
        };
        let same = column.last().is_some_and(|last| !every && last.0.floor() == x.floor());
        if !same {
            piece.append(&mut extremes(&column));
            column.clear();
            if gap && !piece.is_empty() {
                thinned.pieces.push(std::mem::take(&mut piece));
            }
        }
        gap = false;
        column.push((x, y));
    }
    piece.append(&mut extremes(&column));
    if !piece.is_empty() {
        thinned.pieces.push(piece);
    }
    thinned
}

/// First, lowest, highest and last, in their order.
fn extremes(column: &[Place]) -> Vec<Place> {
    if column.len() <= 4 {
        return column.to_vec();
    }
    let by_height = |a: &usize, b: &usize| column[*a].1.total_cmp(&column[*b].1);
    let lowest = (0..column.len()).min_by(by_height).unwrap_or(0);
    let highest = (0..column.len()).max_by(by_height).unwrap_or(0);
    let mut kept = [0, lowest, highest, column.len() - 1];
    kept.sort_unstable();
    let mut places: Vec<Place> = kept.iter().map(|at| column[*at]).collect();
    places.dedup();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(thinned: &Pieces) -> usize {
        thinned.pieces.iter().map(Vec::len).sum()
    }

    #[test]
    fn few_points_are_all_drawn() {
        let points = [(0.0, Some(1.0)), (0.1, Some(2.0)), (5.0, None), (6.0, Some(3.0))];
        let thinned = thin(&points);
        assert_eq!(thinned.pieces, [vec![(0.0, 1.0), (0.1, 2.0)], vec![(6.0, 3.0)]]);
        assert_eq!(thinned.given, 3);
        assert_eq!(thin(&[]), Pieces::default());
        assert_eq!(thin(&[(0.0, None)]), Pieces::default());
    }

    #[test]
    fn many_points_keep_their_extremes() {
        let height = |i| if i == 54_321 { 99.0 } else { f64::from(i % 7) };
        let points: Vec<_> =
            (0..100_000).map(|i| (f64::from(i) * 0.005, Some(height(i)))).collect();
        let thinned = thin(&points);
        assert_eq!(thinned.given, 100_000);
        assert!(drawn(&thinned) <= 2000, "{}", drawn(&thinned));
        assert_eq!(thinned.pieces.len(), 1);
        let heights = || thinned.pieces[0].iter().map(|place| place.1);
        assert!(heights().any(|y| y == 99.0));
        assert_eq!(heights().fold(f64::INFINITY, f64::min), 0.0);
        assert!(thinned.pieces[0].is_sorted_by(|a, b| a.0 <= b.0));
    }

    #[test]
    fn a_wide_gap_stays_when_points_are_thinned() {
        let with_gaps = |gap: fn(i32) -> bool| -> Vec<_> {
            (0..10_000).map(|i| (f64::from(i) * 0.01, (!gap(i)).then_some(1.0))).collect()
        };
        assert_eq!(thin(&with_gaps(|i| (4000..6000).contains(&i))).pieces.len(), 2);
        // Narrower than a column.
        assert!(drawn(&thin(&with_gaps(|i| i % 3 == 0))) <= 400);
    }
}
