//! The matrix of low rank that is nearest to a given one: its truncated singular value decomposition.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use nalgebra::DMatrix;
use nalgebra::linalg::{QR, SymmetricEigen};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

/// Dimensions iterated with beyond the rank, at least.
const OVERSAMPLING: usize = 16;
/// Up to this many columns nothing is iterated: the decomposition is whole.
const SMALL: usize = 64;
/// Iterations after which it is given up: ten are usual, a hundred where all values are alike.
const MAX_ITERATIONS: u32 = 1000;
/// What may be missing of the energy that can be had, as a share of the energy that can't.
const TOLERANCE: f64 = 1e-5;
/// The same as a share of all energy: the numbers are no more precise.
const ROUNDING: f64 = 1e-14;
/// Singular values below this share of the norm are rounding errors of zero.
const ZERO: f64 = 1e-12;
/// Rows that are multiplied at once.
const BLOCK: usize = 64;
/// Most parts that work on their own, and most bytes of what they return together. Both are
/// independent of the number of threads, so that sums are.
const MAX_PARTS: usize = 16;
const MAX_PARTS_BYTES: usize = 1 << 28;

/// Numbers row by row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a> {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) numbers: &'a [f32],
}

/// `scale · left · right`, nearest to a matrix.
#[derive(Debug)]
pub(super) struct LowRank {
    /// `[rows, rank]`.
    pub(super) left: Vec<f32>,
    /// `[rank, columns]`.
    pub(super) right: Vec<f32>,
    /// The norm of what is left.
    pub(super) error: f64,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    NotConverged,
    /// The factors are not finite.
    Scale,
    TooLarge,
    Cancelled,
}

impl LowRank {
    /// Nothing but zeros, for a matrix that is zero.
    pub(super) fn zero(rows: usize, columns: usize, rank: usize) -> Result<Self, Failure> {
        let zeros = |count: usize| {
            let count = count.checked_mul(rank).ok_or(Failure::TooLarge)?;
            Ok(vec![0.0; count])
        };
        Ok(Self { left: zeros(rows)?, right: zeros(columns)?, error: 0.0 })
    }
}

impl Matrix<'_> {
    /// The Frobenius norm; not finite where a number isn't.
    pub(super) fn norm(&self) -> f64 {
        let squares = self.parts(0, |part| {
            let numbers = self.numbers.get(part.start * self.columns..part.end * self.columns);
            let numbers = numbers.unwrap_or_default().iter().copied().map(f64::from);
            numbers.map(|number| number * number).sum::<f64>()
        });
        squares.into_iter().sum::<f64>().sqrt()
    }

    /// The nearest matrix of this rank, as factors between which the singular values are divided
    /// evenly.
    ///
    /// Subspace iteration from a random start that is always the same (Halko, Martinsson and Tropp,
    /// <https://arxiv.org/abs/0909.4061>, algorithm 4.4) on AᵀA, in double precision, until the
    /// energy that is still to be gained is negligible.
    pub(super) fn low_rank(
        &self,
        rank: usize,
        scale: f64,
        cancelled: &AtomicBool,
    ) -> Result<LowRank, Failure> {
        let vectors = self.right_vectors(rank, cancelled)?;
        let (mut left, mut right) = (self.times(&vectors), vectors);
        let zero = ZERO * left.norm();
        for (mut l, mut r) in left.column_iter_mut().zip(right.column_iter_mut()) {
            let value = l.norm();
            // Both factors get the root of value / scale; `l` has the length `value`, `r` is of length 1.
            let is_zero = value <= zero;
            l *= if is_zero { 0.0 } else { scale.signum() / (value * scale.abs()).sqrt() };
            r *= if is_zero { 0.0 } else { (value / scale.abs()).sqrt() };
        }
        let left: Vec<f32> = left.transpose().iter().map(|&number| number as f32).collect();
        let right: Vec<f32> = right.iter().map(|&number| number as f32).collect();
        if !left.iter().chain(&right).all(|number| number.is_finite()) {
            return Err(Failure::Scale);
        }
        let error = self.error(&left, &right, scale);
        Ok(LowRank { left, right, error })
    }

    /// The right singular vectors of the largest singular values, `[columns, rank]`.
    fn right_vectors(&self, rank: usize, cancelled: &AtomicBool) -> Result<DMatrix<f64>, Failure> {
        let oversampled = rank.saturating_add(rank.max(OVERSAMPLING));
        let is_whole = self.columns <= oversampled.max(SMALL);
        let mut basis = match is_whole {
            true => DMatrix::identity(self.columns, self.columns),
            false => QR::new(random(self.columns, oversampled)).q(),
        };
        let total = self.norm().powi(2);
        let (mut captured, mut gain) = (0.0, total);
        for _ in 0..MAX_ITERATIONS {
            if cancelled.load(Ordering::Relaxed) {
                return Err(Failure::Cancelled);
            }
            let image = self.gram_times(&basis);
            let (values, rotation) = eigen(basis.transpose() * &image)?;
            let before = std::mem::replace(&mut captured, values.iter().take(rank).sum::<f64>());
            let gained = (captured - before).max(0.0);
            let ratio = (gained / gain).clamp(0.5, 0.99);
            gain = gained.max(f64::MIN_POSITIVE);
            let to_gain = gained * ratio / (1.0 - ratio);
            let allowed = TOLERANCE * (total - captured).max(0.0) + ROUNDING * total;
            if is_whole || to_gain <= allowed {
                // Where the matrix has fewer columns than the rank, the rest stays zero.
                let vectors = &basis * rotation.columns(0, rank.min(rotation.ncols()));
                return Ok(vectors.resize_horizontally(rank, 0.0));
            }
            basis = QR::new(image * rotation).q();
        }
        Err(Failure::NotConverged)
    }

    /// AᵀA·Q.
    fn gram_times(&self, q: &DMatrix<f64>) -> DMatrix<f64> {
        let transposed = q.transpose();
        let sums = self.parts(q.len() * size_of::<f64>(), |part| {
            let mut sum = DMatrix::zeros(q.nrows(), q.ncols());
            for rows in blocks(part) {
                let block = self.transposed(rows);
                let product = &transposed * &block;
                sum.gemm(1.0, &block, &product.transpose(), 1.0);
            }
            sum
        });
        sums.into_iter().fold(DMatrix::zeros(q.nrows(), q.ncols()), |sum, part| sum + part)
    }

    /// A·V.
    fn times(&self, v: &DMatrix<f64>) -> DMatrix<f64> {
        let transposed = v.transpose();
        let products = self.parts(0, |part| {
            blocks(part).map(|rows| &transposed * self.transposed(rows)).collect::<Vec<_>>()
        });
        let rows = products.iter().flatten().flat_map(|product| product.iter().copied());
        DMatrix::from_row_iterator(self.rows, v.ncols(), rows)
    }

    /// The norm of A − s·L·R.
    fn error(&self, left: &[f32], right: &[f32], scale: f64) -> f64 {
        let rank = right.len() / self.columns;
        let right = transposed(right, rank, self.columns);
        let squares = self.parts(0, |part| {
            let square = |rows: Range<usize>| {
                let left = left.get(rows.start * rank..rows.end * rank).unwrap_or_default();
                let left = transposed(left, rows.len(), rank);
                let mut block = self.transposed(rows);
                block.gemm(-scale, &right, &left, 1.0);
                block.norm_squared()
            };
            blocks(part).map(square).sum::<f64>()
        });
        squares.into_iter().sum::<f64>().sqrt()
    }

    /// Aᵀ for some rows of A.
    fn transposed(&self, rows: Range<usize>) -> DMatrix<f64> {
        let numbers = self.numbers.get(rows.start * self.columns..rows.end * self.columns);
        transposed(numbers.unwrap_or_default(), rows.len(), self.columns)
    }

    /// What a function, run in parallel, makes of each part of the rows, in their order. `bytes` is
    /// what each takes.
    fn parts<T: Send>(&self, bytes: usize, of: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
        let parts = (MAX_PARTS_BYTES / bytes.max(1)).clamp(1, MAX_PARTS);
        let size = self.rows.div_ceil(parts).next_multiple_of(BLOCK);
        let starts: Vec<_> = (0..self.rows).step_by(size).collect();
        starts.into_par_iter().map(|start| of(start..(start + size).min(self.rows))).collect()
    }
}

fn blocks(rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = rows.end;
    rows.step_by(BLOCK).map(move |start| start..(start + BLOCK).min(end))
}

/// The transpose of what lies row by row: column by column it lies the same.
fn transposed(numbers: &[f32], rows: usize, columns: usize) -> DMatrix<f64> {
    DMatrix::from_iterator(columns, rows, numbers.iter().copied().map(f64::from))
}

/// Eigenvalues of a symmetric matrix, the largest first, and the eigenvectors in their order.
fn eigen(mut matrix: DMatrix<f64>) -> Result<(Vec<f64>, DMatrix<f64>), Failure> {
    // Symmetric but for rounding.
    matrix = (&matrix + matrix.transpose()) * 0.5;
    let steps = 1000 + 100 * matrix.nrows();
    let eigen = SymmetricEigen::try_new(matrix, f64::EPSILON, steps);
    let SymmetricEigen { eigenvalues, eigenvectors } = eigen.ok_or(Failure::NotConverged)?;
    let mut pairs: Vec<_> = eigenvalues.iter().copied().zip(eigenvectors.column_iter()).collect();
    pairs.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let (values, vectors): (Vec<f64>, Vec<_>) = pairs.into_iter().unzip();
    Ok((values, DMatrix::from_columns(&vectors)))
}

/// Always the same numbers between −1 and 1: those of SplitMix64
/// (<https://doi.org/10.1145/2660193.2660195>).
fn random(rows: usize, columns: usize) -> DMatrix<f64> {
    let mut state = 0_u64;
    DMatrix::from_fn(rows, columns, |_, _| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as i64 as f64 / 2_f64.powi(63)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A matrix with these singular values.
    fn with_values(rows: usize, columns: usize, values: &[f64]) -> Vec<f32> {
        let left = QR::new(random(rows, values.len())).q();
        let right = QR::new(random(columns, values.len() + 1)).q();
        let values = DMatrix::from_diagonal(&values.to_vec().into());
        let product = left * values * right.columns(0, right.ncols() - 1).transpose();
        product.transpose().iter().map(|&number| number as f32).collect()
    }

    fn low_rank(matrix: Matrix<'_>, rank: usize, scale: f64) -> Result<LowRank, Failure> {
        matrix.low_rank(rank, scale, &AtomicBool::new(false))
    }

    #[test]
    fn what_is_left_is_known() {
        // Of many more dimensions than are iterated with.
        let values: Vec<f64> = (0..200).map(|at| 1.0 / (1.0 + 0.02 * f64::from(at))).collect();
        let numbers = with_values(300, 220, &values);
        let matrix = Matrix { rows: 300, columns: 220, numbers: &numbers };
        for (rank, scale) in [(1, 1.0), (4, -2.0), (30, 0.25)] {
            let found = low_rank(matrix, rank, scale).unwrap();
            let left = values.iter().skip(rank).map(|value| value * value).sum::<f64>().sqrt();
            assert!((found.error / left - 1.0).abs() < 1e-5, "{rank}: {}, {left}", found.error);
            // Both have the root of the largest value.
            let square = |numbers: &[f32]| numbers.iter().map(|n| n * n).sum::<f32>();
            let (of_left, of_right) = (square(&found.left), square(&found.right));
            assert!((of_left / of_right - 1.0).abs() < 1e-3, "{of_left}, {of_right}");
        }
    }

    #[test]
    fn ranks_beyond_that_of_the_matrix_are_filled_with_zeros() {
        let mut numbers = [0.0; 5 * 3];
        (numbers[1], numbers[3]) = (2.0, 1.0);
        let found = low_rank(Matrix { rows: 5, columns: 3, numbers: &numbers }, 7, 1.0).unwrap();
        assert_eq!((found.left.len(), found.right.len()), (5 * 7, 7 * 3));
        assert!(found.error < 1e-6, "{}", found.error);
        assert!(found.right.iter().skip(2 * 3).all(|&number| number == 0.0));
        assert!(found.left.chunks(7).all(|row| row.iter().skip(2).all(|&number| number == 0.0)));
    }

    #[test]
    fn any_number_of_threads_gives_the_same() {
        let numbers = with_values(700, 120, &[1.0; 100]);
        let matrix = Matrix { rows: 700, columns: 120, numbers: &numbers };
        let of = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let found = pool.install(|| low_rank(matrix, 8, 1.0)).unwrap();
            (found.left, found.right, found.error)
        };
        assert_eq!(of(1), of(3));
    }

    #[test]
    fn a_scale_of_nothing_and_cancelling_are_failures() {
        let numbers = with_values(4, 4, &[1.0]);
        let matrix = Matrix { rows: 4, columns: 4, numbers: &numbers };
        for scale in [0.0, 1e-300] {
            assert_eq!(low_rank(matrix, 2, scale).unwrap_err(), Failure::Scale, "{scale}");
        }
        let cancelled = matrix.low_rank(2, 1.0, &AtomicBool::new(true));
        assert_eq!(cancelled.unwrap_err(), Failure::Cancelled);
    }
}
