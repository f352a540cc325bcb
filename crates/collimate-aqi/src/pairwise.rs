//! The distances of all pairs of rows, tile by tile.

use crate::element::Element;
use crate::error::Result;
use crate::ordered::in_order;
use crate::range::{CHUNK_ROWS, Rows, squared_distance, squared_norm};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};
use std::ops::Range;

/// Rows of a tile, unless they are very long.
const TILE_ROWS: usize = 256;

/// Coordinates of one side of a tile.
const TILE_VALUES: usize = 1 << 20;

/// Below this share of `‖x‖² + ‖y‖²`, a squared distance from a matrix product has lost too many
/// digits and is computed from the differences instead.
const CANCELLED: f64 = 1e-4;

/// All pairs of `n` rows, each visited once, in blocks whose distances come from one matrix
/// product, `‖x−y‖² = ‖x‖² + ‖y‖² − 2x·y`, of rows centred on their grand mean.
///
/// Rows stand in an order of the caller's choice, and are called by their position in it: with
/// the rows of a class side by side, sums over classes need no scatter. Coordinates are
/// converted to `f64` tile by tile; memory beyond the rows is a few tiles for each thread, never
/// `n × n`. Distances are the same bytes for any number of threads, exactly zero for equal rows,
/// and keep their digits for nearly equal ones.
pub(crate) struct Pairwise<'r, 'a, F: Element> {
    rows: &'r Rows<'a, F>,
    order: Vec<usize>,
    /// Norm of each row, by index, where rows are divided by it.
    norms: Option<Vec<f64>>,
    zero: Vec<f64>,
    mean: Vec<f64>,
    /// Of the centred rows, by position.
    squared_norms: Vec<f64>,
    tile_rows: usize,
}

/// The squared distances between two ranges of positions, or within one.
pub(crate) struct Tile<'t> {
    /// Positions of the rows of the block.
    pub(crate) rows: Range<usize>,
    /// Positions of its columns: the same range, or one after it.
    pub(crate) columns: Range<usize>,
    squared: &'t [f64],
}

impl Tile<'_> {
    /// Calls `each` with a position `i`, the first position `j > i`, and the squared distances
    /// between `i` and the positions from `j` to the end of the columns.
    pub(crate) fn each_row(&self, mut each: impl FnMut(usize, usize, &[f64])) {
        let rows = self.squared.chunks_exact(self.columns.len());
        for (i, squared) in self.rows.clone().zip(rows) {
            let from = self.columns.start.max(i + 1);
            each(i, from, &squared[from - self.columns.start..]);
        }
    }
}

#[derive(Default)]
struct Scratch {
    rows: Vec<f64>,
    columns: Vec<f64>,
    squared: Vec<f64>,
}

/// The rows of a tile as they came, read only where distances cancel.
type Uncentred = (Vec<f64>, Vec<f64>);

impl<'r, 'a, F: Element> Pairwise<'r, 'a, F> {
    /// All pairs of the rows in `order`.
    pub(crate) fn new(rows: &'r Rows<'a, F>, order: Vec<usize>) -> Self {
        Self::prepare(rows, order, None)
    }

    /// The same of the rows divided by their norms; half the squared distance is then the cosine
    /// distance.
    ///
    /// # Errors
    /// [`AqiError::ZeroRow`](crate::AqiError::ZeroRow).
    pub(crate) fn of_unit_rows(rows: &'r Rows<'a, F>, order: Vec<usize>) -> Result<Self> {
        let norms = rows.norms()?;
        Ok(Self::prepare(rows, order, Some(norms)))
    }

    fn prepare(rows: &'r Rows<'a, F>, order: Vec<usize>, norms: Option<Vec<f64>>) -> Self {
        let dim = rows.dim();
        let mut pairs = Self {
            rows,
            order,
            norms,
            zero: vec![0.0; dim],
            mean: vec![0.0; dim],
            squared_norms: Vec::new(),
            tile_rows: (TILE_VALUES / dim).clamp(16, TILE_ROWS),
        };
        let mut mean = vec![0.0; dim];
        pairs.chunks(
            |rows| {
                let mut sum = vec![0.0; dim];
                for row in rows.chunks_exact(dim) {
                    sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
                }
                sum
            },
            |sum| mean.iter_mut().zip(sum).for_each(|(mean, x)| *mean += x),
        );
        let n = pairs.order.len() as f64;
        mean.iter_mut().for_each(|mean| *mean /= n);
        pairs.mean = mean;
        let mut squared_norms = Vec::with_capacity(pairs.order.len());
        pairs.chunks(
            |rows| rows.chunks_exact(dim).map(squared_norm).collect::<Vec<_>>(),
            |norms| squared_norms.extend(norms),
        );
        pairs.squared_norms = squared_norms;
        pairs
    }

    /// Reduces centred rows chunk by chunk.
    fn chunks<P: Send>(&self, reduce: impl Fn(&[f64]) -> P + Sync + Send, mut join: impl FnMut(P)) {
        let n = self.order.len();
        let step = self.tile_rows.min(CHUNK_ROWS);
        in_order(
            (0..n).step_by(step),
            Vec::new,
            |buffer, start| {
                self.read(&(start..n.min(start + step)), &self.mean, buffer);
                reduce(buffer)
            },
            |_, part| join(part),
        );
    }

    /// The row that stands at a position.
    pub(crate) fn row(&self, position: usize) -> usize {
        self.order[position]
    }

    /// Visits each tile that is `wanted` (its rows, its columns) in parallel, and joins what the
    /// visits return in the order of the tiles.
    pub(crate) fn visit<P: Send>(
        &self,
        wanted: impl Fn(&Range<usize>, &Range<usize>) -> bool,
        visit: impl Fn(&Tile<'_>) -> P + Sync + Send,
        mut join: impl FnMut(P),
    ) {
        let (n, step) = (self.order.len(), self.tile_rows);
        let range = |start: usize| start..n.min(start + step);
        let tiles = (0..n)
            .step_by(step)
            .flat_map(|row| (row..n).step_by(step).map(move |column| (row, column)))
            .filter(|&(row, column)| wanted(&range(row), &range(column)));
        in_order(
            tiles,
            Scratch::default,
            |scratch, (row, column)| {
                let (rows, columns) = (range(row), range(column));
                self.square(&rows, &columns, scratch);
                visit(&Tile { rows, columns, squared: &scratch.squared })
            },
            |_, part| join(part),
        );
    }

    /// Fills `scratch.squared`, `[rows, columns]`.
    fn square(&self, rows: &Range<usize>, columns: &Range<usize>, scratch: &mut Scratch) {
        let (dim, width) = (self.rows.dim(), columns.len());
        self.read(rows, &self.mean, &mut scratch.rows);
        let a = matrix(&scratch.rows, dim);
        let b = if rows == columns {
            a
        } else {
            self.read(columns, &self.mean, &mut scratch.columns);
            matrix(&scratch.columns, dim)
        };
        scratch.squared.clear();
        scratch.squared.resize(rows.len() * width, 0.0);
        let mut products = matrix_mut(&mut scratch.squared, width);
        general_mat_mul(1.0, &a, &b.t(), 0.0, &mut products);
        let norms = &self.squared_norms[columns.clone()];
        let mut uncentred = None;
        for (i, squared) in rows.clone().zip(scratch.squared.chunks_exact_mut(width)) {
            let norm = self.squared_norms[i];
            let from = columns.start.max(i + 1) - columns.start;
            let mut cancelled = false;
            for (value, other) in squared[from..].iter_mut().zip(&norms[from..]) {
                let sum = norm + other;
                *value = sum - 2.0 * *value;
                cancelled |= *value <= CANCELLED * sum;
            }
            if cancelled {
                let (a, b) = uncentred.get_or_insert_with(|| self.uncentred(rows, columns));
                let x = &a[(i - rows.start) * dim..][..dim];
                for j in from..width {
                    if squared[j] <= CANCELLED * (norm + norms[j]) {
                        squared[j] = squared_distance(x, &b[j * dim..][..dim]);
                    }
                }
            }
        }
    }

    fn uncentred(&self, rows: &Range<usize>, columns: &Range<usize>) -> Uncentred {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        self.read(rows, &self.zero, &mut a);
        self.read(columns, &self.zero, &mut b);
        (a, b)
    }

    /// Reads the rows at some positions, less a centre.
    fn read(&self, positions: &Range<usize>, centre: &[f64], out: &mut Vec<f64>) {
        let dim = self.rows.dim();
        let order = &self.order[positions.clone()];
        out.resize(order.len() * dim, 0.0);
        let indices = order.iter().copied();
        let Some(norms) = &self.norms else {
            self.rows.read(indices, 0..dim, |_| centre, out);
            return;
        };
        self.rows.read(indices, 0..dim, |_| &self.zero, out);
        for (row, values) in order.iter().zip(out.chunks_exact_mut(dim)) {
            for (value, centre) in values.iter_mut().zip(centre) {
                *value = *value / norms[*row] - centre;
            }
        }
    }
}

/// The row indices sorted by code, and where each code's rows begin and end.
pub(crate) fn by_class(codes: &[usize], classes: usize) -> (Vec<usize>, Vec<Range<usize>>) {
    let mut members = vec![Vec::new(); classes];
    for (row, &code) in codes.iter().enumerate() {
        members[code].push(row);
    }
    let mut start = 0;
    let ranges = members
        .iter()
        .map(|rows| {
            start += rows.len();
            start - rows.len()..start
        })
        .collect();
    (members.concat(), ranges)
}

/// The parts of `range` that lie in each of some consecutive `classes`, with the class's index.
pub(crate) fn parts<'c>(
    classes: &'c [Range<usize>],
    range: &Range<usize>,
) -> impl Iterator<Item = (usize, Range<usize>)> + use<'c> {
    let (from, to) = (range.start, range.end);
    let first = classes.partition_point(|class| class.end <= from);
    classes
        .iter()
        .enumerate()
        .skip(first)
        .take_while(move |(_, class)| class.start < to)
        .map(move |(index, class)| (index, class.start.max(from)..class.end.min(to)))
        .filter(|(_, part)| !part.is_empty())
}

pub(crate) fn matrix(values: &[f64], columns: usize) -> ArrayView2<'_, f64> {
    ArrayView2::from_shape((values.len() / columns, columns), values)
        .unwrap_or_else(|_| unreachable!("the slice holds whole rows"))
}

pub(crate) fn matrix_mut(values: &mut [f64], columns: usize) -> ArrayViewMut2<'_, f64> {
    ArrayViewMut2::from_shape((values.len() / columns, columns), values)
        .unwrap_or_else(|_| unreachable!("the slice holds whole rows"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;
    use ndarray::Array2;

    /// All squared distances `[n, n]` by row index.
    fn all<F: Element>(rows: &Array2<F>, order: Vec<usize>) -> Array2<f64> {
        let n = rows.nrows();
        let checked = Rows::new(rows.view()).unwrap();
        let pairs = Pairwise::new(&checked, order);
        let mut found = Array2::from_elem((n, n), f64::NAN);
        pairs.visit(
            |_, _| true,
            |tile| {
                let mut pairs = Vec::new();
                tile.each_row(|i, from, squared| {
                    pairs.extend(squared.iter().enumerate().map(|(j, &s)| (i, from + j, s)));
                });
                pairs
            },
            |part| {
                for (i, j, squared) in part {
                    let (i, j) = (pairs.row(i), pairs.row(j));
                    assert!(found[[i, j]].is_nan(), "pair {i} {j} twice");
                    found[[i, j]] = squared;
                    found[[j, i]] = squared;
                }
            },
        );
        found
    }

    fn normal(n: usize, d: usize, offset: f64) -> Array2<f64> {
        let mut stream = Stream::new(1, n as u64);
        Array2::from_shape_simple_fn((n, d), || offset + stream.normal())
    }

    #[test]
    fn every_pair_comes_once_and_agrees_with_differences() {
        for (n, d, offset) in [(2, 1, 0.0), (256, 3, 0.0), (700, 9, 1e6)] {
            let rows = normal(n, d, offset);
            let found = all(&rows, (0..n).rev().collect());
            for i in 0..n {
                for j in (0..n).filter(|&j| j != i) {
                    let (x, y) = (rows.row(i).to_vec(), rows.row(j).to_vec());
                    let expected = squared_distance(&x, &y);
                    let error = (found[[i, j]] - expected).abs();
                    assert!(error <= 1e-11 * expected, "{n} {i} {j} {error:e} {expected:e}");
                }
            }
        }
    }

    #[test]
    fn equal_rows_have_distance_zero_and_close_ones_keep_their_digits() {
        let mut rows = normal(600, 12, 100.0);
        for j in 0..12 {
            rows[[599, j]] = rows[[3, j]];
            rows[[300, j]] = rows[[3, j]];
        }
        rows[[300, 5]] += 1e-9;
        let found = all(&rows, (0..600).collect());
        assert_eq!(found[[3, 599]], 0.0);
        let step = rows[[300, 5]] - rows[[3, 5]];
        assert_eq!(found[[3, 300]], step * step);
        assert_eq!(found[[300, 599]], step * step);
    }

    #[test]
    fn classes_are_cut_to_a_range() {
        let (order, classes) = by_class(&[1, 0, 1, 2, 0, 1], 3);
        assert_eq!(order, [1, 4, 0, 2, 5, 3]);
        let cut = |range| parts(&classes, &range).collect::<Vec<_>>();
        assert_eq!(cut(0..6), [(0, 0..2), (1, 2..5), (2, 5..6)]);
        assert_eq!(cut(1..4), [(0, 1..2), (1, 2..4)]);
        assert_eq!(cut(5..6), [(2, 5..6)]);
    }
}
