//! `W + s·L·R` for a few rows of W, where R has few rows.

use pulp::{Arch, Simd, WithSimd};

/// Rows of W that are computed together.
const ROWS: usize = 4;
/// Columns of W that lie together in R: twice what the widest register holds.
const COLUMNS: usize = 32;

/// L and R in the order in which they are read.
#[derive(Debug, Default)]
pub(super) struct Factors {
    rank: usize,
    columns: usize,
    /// For each [`ROWS`] rows of L: column by column.
    left: Vec<f32>,
    /// For each [`COLUMNS`] columns of R: row by row.
    right: Vec<f32>,
}

impl Factors {
    /// Takes L, `[rows, rank]`: `left(row, k)`.
    pub(super) fn set_left(
        &mut self,
        rows: usize,
        rank: usize,
        left: impl Fn(usize, usize) -> f32,
    ) {
        self.rank = rank;
        self.left.clear();
        for first in (0..rows).step_by(ROWS) {
            for k in 0..rank {
                let value = |row| if row < rows { left(row, k) } else { 0.0 };
                self.left.extend((first..first + ROWS).map(value));
            }
        }
    }

    /// Takes R, `[rank, columns]`: `right(k, column)`.
    pub(super) fn set_right(
        &mut self,
        rank: usize,
        columns: usize,
        right: impl Fn(usize, usize) -> f32,
    ) {
        self.columns = columns;
        self.right.clear();
        for first in (0..columns).step_by(COLUMNS) {
            for k in 0..rank {
                let value = |column| if column < columns { right(k, column) } else { 0.0 };
                self.right.extend((first..first + COLUMNS).map(value));
            }
        }
    }

    /// Adds `scale · L·R` to W, `[rows, columns]`.
    pub(super) fn add_to(&self, scale: f32, weights: &mut [f32]) {
        if self.rank > 0 && self.columns > 0 {
            Arch::new().dispatch(Addition { factors: self, scale, weights });
        }
    }
}

/// The addition, compiled for each kind of processor. Products and sums are rounded one by one, so
/// that all of them give the same bits.
struct Addition<'a> {
    factors: &'a Factors,
    scale: f32,
    weights: &'a mut [f32],
}

impl WithSimd for Addition<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Factors { rank, columns, left, right } = self.factors;
        let groups = self.weights.chunks_mut(ROWS * columns);
        for (rows, left) in groups.zip(left.chunks(ROWS * rank)) {
            for (tile, right) in right.chunks(COLUMNS * rank).enumerate() {
                let mut sums = [[0.0; COLUMNS]; ROWS];
                product(simd, left.as_chunks().0, right.as_chunks().0, &mut sums);
                let begin = tile * COLUMNS;
                let end = (begin + COLUMNS).min(*columns);
                for (row, sums) in rows.chunks_mut(*columns).zip(&sums) {
                    let part = row.get_mut(begin..end).unwrap_or_default();
                    for (weight, sum) in part.iter_mut().zip(sums) {
                        *weight += self.scale * sum;
                    }
                }
            }
        }
    }
}

/// `L·R` of a few rows of L and a few columns of R, as many columns at once as a register holds
/// twice.
#[inline(always)]
fn product<S: Simd>(
    simd: S,
    left: &[[f32; ROWS]],
    right: &[[f32; COLUMNS]],
    sums: &mut [[f32; COLUMNS]; ROWS],
) {
    let width = 2 * S::F32_LANES;
    const { assert!(COLUMNS.is_multiple_of(2 * S::F32_LANES), "a register doesn't fit") };
    for part in 0..COLUMNS / width {
        let zero = simd.splat_f32s(0.0);
        let mut low = [zero; ROWS];
        let mut high = [zero; ROWS];
        for (left, right) in left.iter().zip(right) {
            let right = S::as_simd_f32s(right).0;
            let (right_low, right_high) = (right[2 * part], right[2 * part + 1]);
            for row in 0..ROWS {
                let left = simd.splat_f32s(left[row]);
                low[row] = simd.add_f32s(low[row], simd.mul_f32s(left, right_low));
                high[row] = simd.add_f32s(high[row], simd.mul_f32s(left, right_high));
            }
        }
        for ((sums, low), high) in sums.iter_mut().zip(low).zip(high) {
            let sums = S::as_mut_simd_f32s(sums).0;
            sums[2 * part] = low;
            sums[2 * part + 1] = high;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_processor_gives_the_same_bits() {
        let (rows, rank, columns) = (7, 16, 77);
        let numbers =
            |seed: usize| move |i: usize, j: usize| ((i * 37 + j * seed) as f32 * 0.7).sin();
        let mut factors = Factors::default();
        factors.set_left(rows, rank, numbers(11));
        factors.set_right(rank, columns, numbers(13));
        let added = |arch: Arch| {
            let mut weights: Vec<f32> = (0..rows * columns).map(|at| (at as f32).cos()).collect();
            arch.dispatch(Addition { factors: &factors, scale: 0.3, weights: &mut weights });
            weights
        };
        assert_eq!(added(Arch::new()), added(Arch::Scalar));
    }

    #[test]
    fn products_are_added_whatever_the_sizes() {
        for (rows, rank, columns) in [(1, 1, 1), (4, 2, 8), (5, 3, 9), (9, 16, 31), (3, 70, 65)] {
            let left = |row: usize, k: usize| (row * 7 + k * 3) as f32 % 5.0 - 2.0;
            let right = |k: usize, column: usize| (k * 5 + column * 11) as f32 % 7.0 - 3.0;
            let mut factors = Factors::default();
            // Whatever was there before.
            factors.set_left(50, 50, |_, _| f32::NAN);
            factors.set_left(rows, rank, left);
            factors.set_right(rank, columns, right);
            let mut weights: Vec<f32> = (0..rows * columns).map(|at| at as f32).collect();
            factors.add_to(2.0, &mut weights);
            for (at, &weight) in weights.iter().enumerate() {
                let (row, column) = (at / columns, at % columns);
                let sum: f32 = (0..rank).map(|k| left(row, k) * right(k, column)).sum();
                assert_eq!(
                    weight,
                    at as f32 + 2.0 * sum,
                    "{rows} {rank} {columns}: {row} {column}"
                );
            }
        }
    }
}
