//! Dense linear algebra for small symmetric problems, in `f64`.
//!
//! Sums run in fixed blocks, so that results don't depend on the number of threads.

use crate::error::{AqiError, Result};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Slice};
use rayon::prelude::*;

/// Rows and columns of a block of the blocked algorithms.
const BLOCK: usize = 64;

/// Sweeps after which the Jacobi iteration stops at the latest; six to ten are usual.
const MAX_SWEEPS: usize = 60;

/// Eigenvalues, descending, and orthonormal eigenvectors, as columns, of a symmetric matrix of
/// finite numbers, by cyclic Jacobi rotations (Golub & Van Loan, algorithm 8.5.3): for matrices
/// of up to about 200 rows. Only the lower triangle is read.
///
/// In each eigenvector the entry of largest magnitude is positive; among entries that are equal
/// but for rounding, the first.
pub(crate) fn symmetric_eigen(a: &Array2<f64>) -> (Vec<f64>, Array2<f64>) {
    let n = a.nrows();
    debug_assert_eq!(n, a.ncols());
    let largest = a.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let scale = power_of_two_near(largest);
    let mut work = Array2::from_shape_fn((n, n), |(i, j)| a[[i.max(j), i.min(j)]] / scale);
    // Rows of `vectors` are the eigenvectors: rotations then touch contiguous memory.
    let mut vectors = Array2::eye(n);
    for _ in 0..MAX_SWEEPS {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                rotated |= rotate(&mut work, &mut vectors, p, q);
            }
        }
        if !rotated {
            break;
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| work[[j, j]].total_cmp(&work[[i, i]]));
    let values = order.iter().map(|&i| work[[i, i]] * scale).collect();
    let mut vectors = vectors.select(Axis(0), &order);
    fix_signs(&mut vectors);
    (values, vectors.reversed_axes())
}

/// Annihilates entry `(p, q)`; false where it was negligible already.
fn rotate(work: &mut Array2<f64>, vectors: &mut Array2<f64>, p: usize, q: usize) -> bool {
    let (app, aqq, apq) = (work[[p, p]], work[[q, q]], work[[p, q]]);
    // Relative to the two diagonal entries for the sake of small eigenvalues; the floor is
    // relative to the largest entry, which is about one.
    let negligible = f64::EPSILON * (app.abs() * aqq.abs()).sqrt();
    if apq.abs() <= negligible.max(f64::EPSILON * f64::EPSILON) {
        return false;
    }
    let theta = (aqq - app) / (2.0 * apq);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    turn(work.view_mut(), p, q, c, s);
    for k in 0..work.nrows() {
        if k != p && k != q {
            work[[k, p]] = work[[p, k]];
            work[[k, q]] = work[[q, k]];
        }
    }
    work[[p, p]] = app - t * apq;
    work[[q, q]] = aqq + t * apq;
    work[[p, q]] = 0.0;
    work[[q, p]] = 0.0;
    turn(vectors.view_mut(), p, q, c, s);
    true
}

/// Rows `p < q` become `c p − s q` and `s p + c q`.
fn turn(matrix: ArrayViewMut2<'_, f64>, p: usize, q: usize, c: f64, s: f64) {
    let (mut above, mut below) = matrix.split_at(Axis(0), q);
    for (x, y) in above.row_mut(p).iter_mut().zip(below.row_mut(0)) {
        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
    }
}

/// Turns each row such that its entry of largest magnitude is positive; of several that are
/// equal but for rounding, the first counts.
pub(crate) fn fix_signs(rows: &mut Array2<f64>) {
    for mut row in rows.rows_mut() {
        let largest = row.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let lead = row.iter().find(|x| x.abs() >= largest * (1.0 - 1e-9));
        if lead.is_some_and(|x| *x < 0.0) {
            row.mapv_inplace(|x| -x);
        }
    }
}

/// The power of two at or below `value`; 1 for zero and for what is not finite.
pub(crate) fn power_of_two_near(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 1.0;
    }
    #[allow(clippy::cast_possible_truncation, reason = "the logarithm of a finite f64 is small")]
    // Not beyond 2^±1020: the inverse must be finite too.
    let exponent = (value.abs().log2().floor() as i32).clamp(-1020, 1020);
    f64::powi(2.0, exponent)
}

/// The lower triangular `L` with `L L' = a`, zeros above the diagonal. Only the lower triangle
/// of `a` is read.
///
/// # Errors
/// [`AqiError::NotPositiveDefinite`] if a pivot vanishes, but for rounding.
pub(crate) fn cholesky(a: &Array2<f64>) -> Result<Array2<f64>> {
    let n = a.nrows();
    debug_assert_eq!(n, a.ncols());
    let mut l = Array2::<f64>::zeros((n, n));
    for from in (0..n).step_by(BLOCK) {
        let to = (from + BLOCK).min(n);
        let mut panel = window(a.view(), from..n, from..to).to_owned();
        if from > 0 {
            let top = window(l.view(), from..to, 0..from);
            panel.axis_chunks_iter_mut(Axis(0), 4 * BLOCK).enumerate().par_bridge().for_each(
                |(index, mut part)| {
                    let start = from + index * 4 * BLOCK;
                    let left = window(l.view(), start..start + part.nrows(), 0..from);
                    general_mat_mul(-1.0, &left, &top.t(), 1.0, &mut part);
                },
            );
        }
        for i in 0..panel.nrows() {
            for j in 0..(i + 1).min(to - from) {
                let products: f64 = (0..j).map(|k| panel[[i, k]] * panel[[j, k]]).sum();
                let rest = panel[[i, j]] - products;
                panel[[i, j]] = if i > j {
                    rest / panel[[j, j]]
                } else if rest > a[[from + i, from + i]] * f64::EPSILON * n as f64 {
                    rest.sqrt()
                } else {
                    return Err(AqiError::NotPositiveDefinite { pivot: from + i });
                };
            }
            for j in i + 1..to - from {
                panel[[i, j]] = 0.0;
            }
        }
        window_mut(&mut l, from..n, from..to).assign(&panel);
    }
    Ok(l)
}

/// Solves `L Y = B` in place for a lower triangular `l`, `[n, n]`, and right-hand sides `b`,
/// `[n, m]`.
pub(crate) fn solve_lower(l: &Array2<f64>, mut b: ArrayViewMut2<'_, f64>) {
    let n = l.nrows();
    debug_assert_eq!(n, b.nrows());
    for from in (0..n).step_by(BLOCK) {
        let to = (from + BLOCK).min(n);
        let (done, rest) = b.view_mut().split_at(Axis(0), from);
        let (mut block, _) = rest.split_at(Axis(0), to - from);
        if from > 0 {
            let left = window(l.view(), from..to, 0..from);
            general_mat_mul(-1.0, &left, &done, 1.0, &mut block);
        }
        for i in 0..to - from {
            let (above, mut below) = block.view_mut().split_at(Axis(0), i);
            let mut row = below.row_mut(0);
            for j in 0..i {
                row.scaled_add(-l[[from + i, from + j]], &above.row(j));
            }
            let pivot = l[[from + i, from + i]];
            row.mapv_inplace(|x| x / pivot);
        }
    }
}

/// Solves `L' Y = B` in place for a lower triangular `l`, `[n, n]`, and right-hand sides `b`,
/// `[n, m]`.
pub(crate) fn solve_lower_transposed(l: &Array2<f64>, mut b: ArrayViewMut2<'_, f64>) {
    let n = l.nrows();
    debug_assert_eq!(n, b.nrows());
    for from in (0..n).step_by(BLOCK).rev() {
        let to = (from + BLOCK).min(n);
        let (rest, done) = b.view_mut().split_at(Axis(0), to);
        let (_, mut block) = rest.split_at(Axis(0), from);
        if to < n {
            let below = window(l.view(), to..n, from..to);
            general_mat_mul(-1.0, &below.t(), &done, 1.0, &mut block);
        }
        for i in (0..to - from).rev() {
            let (mut above, below) = block.view_mut().split_at(Axis(0), i + 1);
            let mut row = above.row_mut(i);
            for j in i + 1..to - from {
                row.scaled_add(-l[[from + j, from + i]], &below.row(j - i - 1));
            }
            let pivot = l[[from + i, from + i]];
            row.mapv_inplace(|x| x / pivot);
        }
    }
}

/// `X X'`, `[n, n]`, of `x`, `[n, d]`; pass the transposed view for `X' X`.
pub(crate) fn gram(x: ArrayView2<'_, f64>) -> Array2<f64> {
    const SIDE: usize = 4 * BLOCK;
    let n = x.nrows();
    let blocks = n.div_ceil(SIDE);
    let range = |b: usize| b * SIDE..((b + 1) * SIDE).min(n);
    let pairs: Vec<(usize, usize)> =
        (0..blocks).flat_map(|i| (0..=i).map(move |j| (i, j))).collect();
    let parts: Vec<Array2<f64>> = pairs
        .par_iter()
        .map(|&(i, j)| {
            let (left, right) = (
                x.slice_axis(Axis(0), Slice::from(range(i))),
                x.slice_axis(Axis(0), Slice::from(range(j))),
            );
            left.dot(&right.t())
        })
        .collect();
    let mut gram = Array2::zeros((n, n));
    for (&(i, j), part) in pairs.iter().zip(&parts) {
        window_mut(&mut gram, range(j), range(i)).assign(&part.t());
        window_mut(&mut gram, range(i), range(j)).assign(part);
    }
    gram
}

/// An orthonormal basis, as rows, of what the rows of `vectors` add to the space of the
/// orthonormal rows of `basis`: Gram-Schmidt with a second pass (Giraud, Langou & Rozložník
/// 2005). Rows that add nothing but rounding are left out.
pub(crate) fn orthonormal_complement(
    basis: ArrayView2<'_, f64>,
    vectors: ArrayView2<'_, f64>,
) -> Array2<f64> {
    /// A vector that loses all but this share of its length depends on the others.
    const DEPENDENT: f64 = 1e-12;
    let mut new = Array2::<f64>::zeros((0, vectors.ncols()));
    for vector in vectors.rows() {
        let largest = vector.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let mut vector = vector.mapv(|x| x / power_of_two_near(largest));
        let length = vector.dot(&vector).sqrt();
        for _ in 0..2 {
            for earlier in [basis, new.view()] {
                let shares = earlier.dot(&vector);
                vector -= &shares.dot(&earlier);
            }
        }
        let rest = vector.dot(&vector).sqrt();
        if rest > DEPENDENT * length {
            vector.mapv_inplace(|x| x / rest);
            // Cannot fail: the vector has as many columns as the matrix.
            let _ = new.push_row(vector.view());
        }
    }
    new
}

fn window(
    a: ArrayView2<'_, f64>,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
) -> ArrayView2<'_, f64> {
    let (_, a) = a.split_at(Axis(0), rows.start);
    let (a, _) = a.split_at(Axis(0), rows.len());
    let (_, a) = a.split_at(Axis(1), columns.start);
    a.split_at(Axis(1), columns.len()).0
}

fn window_mut(
    a: &mut Array2<f64>,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
) -> ArrayViewMut2<'_, f64> {
    let (_, a) = a.view_mut().split_at(Axis(0), rows.start);
    let (a, _) = a.split_at(Axis(0), rows.len());
    let (_, a) = a.split_at(Axis(1), columns.start);
    a.split_at(Axis(1), columns.len()).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;
    use ndarray::array;

    fn random(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
        let mut stream = Stream::new(seed, 0);
        Array2::from_shape_simple_fn((rows, columns), || stream.normal())
    }

    #[track_caller]
    fn all_close(found: &Array2<f64>, expected: &Array2<f64>, tolerance: f64) {
        assert_eq!(found.dim(), expected.dim());
        let largest = expected.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        for ((at, x), y) in found.indexed_iter().zip(expected) {
            assert!((x - y).abs() <= tolerance * largest, "{at:?}: {x} and {y}");
        }
    }

    // a = np.array([[4,1,-2,2],[1,2,0,1],[-2,0,3,-2],[2,1,-2,-1.]]); w, v = np.linalg.eigh(a)
    #[test]
    fn eigenpairs_equal_those_of_numpy() {
        let a = array![
            [4.0, 1.0, -2.0, 2.0],
            [1.0, 2.0, 0.0, 1.0],
            [-2.0, 0.0, 3.0, -2.0],
            [2.0, 1.0, -2.0, -1.0]
        ];
        let values =
            [6.844621107234965, 2.2685314064312423, 1.0843644637732166, -2.1975169774394243];
        let vectors = array![
            [0.7180459594506796, 0.2211529881551807, -0.5573513771375096, 0.3533564748939929],
            [0.20171109662094233, 0.7894499124874399, 0.5796341693167878, 0.010280998686330589],
            [0.6422600067660328, -0.5441878481946866, 0.5202218509386148, -0.14398227457619123],
            [-0.17670517062447652, -0.17810046990630077, 0.28766803431970117, 0.9242849167461132],
        ];
        for scale in [1.0, 1e160, 1e-170] {
            let (found, found_vectors) = symmetric_eigen(&a.mapv(|x| x * scale));
            for (found, expected) in found.iter().zip(values) {
                assert!((found / scale - expected).abs() < 1e-14 * 7.0, "{found}");
            }
            all_close(&found_vectors.t().to_owned(), &vectors, 1e-14);
        }
    }

    #[test]
    fn eigenpairs_of_a_larger_singular_matrix_satisfy_their_definition() {
        let x = random(40, 70, 1);
        let a = gram(x.t());
        let (values, vectors) = symmetric_eigen(&a);
        let identity = vectors.t().dot(&vectors);
        all_close(&identity, &Array2::eye(70), 1e-13);
        let scaled = Array2::from_shape_fn((70, 70), |(i, j)| vectors[[i, j]] * values[j]);
        all_close(&a.dot(&vectors), &scaled, 1e-13);
        assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
        assert!(values[39] > 0.01 && values[40].abs() < 1e-12 * values[0]);
    }

    // np.linalg.cholesky([[4,12,-16,1],[12,37,-43,2],[-16,-43,98,3],[1,2,3,50.]])
    #[test]
    fn cholesky_equals_that_of_numpy() -> Result<()> {
        let a = array![
            [4.0, 12.0, -16.0, 1.0],
            [12.0, 37.0, -43.0, 2.0],
            [-16.0, -43.0, 98.0, 3.0],
            [1.0, 2.0, 3.0, 50.0]
        ];
        let expected = array![
            [2.0, 0.0, 0.0, 0.0],
            [6.0, 1.0, 0.0, 0.0],
            [-8.0, 5.0, 3.0, 0.0],
            [0.5, -1.0, 4.0, 5.722761571129799]
        ];
        all_close(&cholesky(&a)?, &expected, 1e-15);
        Ok(())
    }

    #[test]
    fn blocks_of_cholesky_and_of_the_solves_fit_together() -> Result<()> {
        let n = 3 * BLOCK + 11;
        let mut a = gram(random(n, n + 20, 2).view());
        a.diag_mut().mapv_inplace(|x| x + 1.0);
        let l = cholesky(&a)?;
        all_close(&l.dot(&l.t()), &a, 1e-13);
        let b = random(n, 5, 3);
        let mut y = b.clone();
        solve_lower(&l, y.view_mut());
        all_close(&l.dot(&y), &b, 1e-12);
        let mut y = b.clone();
        solve_lower_transposed(&l, y.view_mut());
        all_close(&l.t().dot(&y), &b, 1e-12);
        Ok(())
    }

    #[test]
    fn a_singular_matrix_has_no_cholesky_factor() {
        let x = random(60, 100, 4);
        assert!(matches!(cholesky(&gram(x.t())), Err(AqiError::NotPositiveDefinite { pivot: 60 })));
        assert!(cholesky(&array![[0.0]]).is_err());
        assert!(cholesky(&array![[1.0, 2.0], [2.0, 1.0]]).is_err());
    }

    #[test]
    fn a_gram_matrix_of_many_blocks_equals_the_product() {
        let x = random(4 * BLOCK + 30, 9, 5);
        all_close(&gram(x.view()), &x.dot(&x.t()), 1e-14);
    }

    #[test]
    fn a_complement_is_orthonormal_even_for_nearly_parallel_vectors() {
        let first = orthonormal_complement(Array2::zeros((0, 30)).view(), random(4, 30, 6).view());
        let mut vectors = random(5, 30, 7);
        for column in 0..30 {
            // Almost the same as row 0, a multiple of row 1, and a vector of the basis.
            vectors[[2, column]] = vectors[[0, column]] + 1e-9 * vectors[[2, column]];
            vectors[[3, column]] = 3e-200 * vectors[[1, column]];
            vectors[[4, column]] = first[[2, column]];
        }
        let new = orthonormal_complement(first.view(), vectors.view());
        assert_eq!(new.nrows(), 3);
        all_close(&new.dot(&new.t()), &Array2::eye(3), 1e-14);
        let overlap = new.dot(&first.t());
        assert!(overlap.iter().all(|x| x.abs() < 1e-14), "{overlap}");
    }
}
