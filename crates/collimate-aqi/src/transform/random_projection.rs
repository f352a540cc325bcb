//! Random linear maps that keep squared distances in expectation.

use super::ProjectionKind;
use crate::rng::Stream;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, Axis, Slice};
use rayon::prelude::*;

/// Input dimensions whose part of the Gaussian matrix is held in memory at a time.
const BLOCK_DIMS: usize = 256;

/// Rows projected by one task.
const TILE_ROWS: usize = 256;

/// `rows`, `[n, d]`, projected to `[n, dim]`. Input dimension `j` draws its part of the matrix
/// from stream `j` of the seed.
pub(super) fn project(
    rows: &Array2<f64>,
    dim: usize,
    kind: ProjectionKind,
    seed: u64,
) -> Array2<f64> {
    match kind {
        ProjectionKind::Gaussian => gaussian(rows, dim, seed),
        ProjectionKind::CountSketch => count_sketch(rows, dim, seed),
    }
}

fn gaussian(rows: &Array2<f64>, dim: usize, seed: u64) -> Array2<f64> {
    let sd = 1.0 / (dim as f64).sqrt();
    let mut out = Array2::zeros((rows.nrows(), dim));
    for from in (0..rows.ncols()).step_by(BLOCK_DIMS) {
        let to = (from + BLOCK_DIMS).min(rows.ncols());
        let mut matrix = Array2::<f64>::zeros((to - from, dim));
        let parts = matrix.axis_iter_mut(Axis(0)).enumerate();
        parts.par_bridge().for_each(|(index, mut part)| {
            let mut stream = Stream::new(seed, (from + index) as u64);
            part.mapv_inplace(|_| sd * stream.normal());
        });
        let columns = rows.slice_axis(Axis(1), Slice::from(from..to));
        out.axis_chunks_iter_mut(Axis(0), TILE_ROWS)
            .zip(columns.axis_chunks_iter(Axis(0), TILE_ROWS))
            .par_bridge()
            .for_each(|(mut out, rows)| general_mat_mul(1.0, &rows, &matrix, 1.0, &mut out));
    }
    out
}

fn count_sketch(rows: &Array2<f64>, dim: usize, seed: u64) -> Array2<f64> {
    let targets: Vec<(usize, f64)> = (0..rows.ncols() as u64)
        .map(|column| {
            let mut stream = Stream::new(seed, column);
            let target = stream.below(dim);
            (target, if stream.coin() { 1.0 } else { -1.0 })
        })
        .collect();
    let mut out = Array2::zeros((rows.nrows(), dim));
    for (mut out, row) in out.rows_mut().into_iter().zip(rows.rows()) {
        for (x, &(target, sign)) in row.iter().zip(&targets) {
            out[target] += sign * x;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and standard error over seeds of `‖projected‖² / ‖x‖²`, and its expected variance
    /// `2/m` (exact for Gaussian entries, `2/m (1 − Σx⁴/‖x‖⁴)` for a count sketch).
    #[test]
    fn squared_lengths_are_unbiased_with_the_variance_of_theory() {
        let x = Array2::from_shape_fn((1, 40), |(_, j)| (j as f64 * 0.7).sin() + 0.2);
        let length: f64 = x.iter().map(|x| x * x).sum();
        let fourth: f64 = x.iter().map(|x| x.powi(4)).sum();
        let draws = 4000;
        for (kind, variance) in [
            (ProjectionKind::Gaussian, 2.0 / 16.0),
            (ProjectionKind::CountSketch, 2.0 / 16.0 * (1.0 - fourth / (length * length))),
        ] {
            let ratios: Vec<f64> = (0..draws)
                .map(|seed| {
                    let y = project(&x, 16, kind, seed);
                    y.iter().map(|y| y * y).sum::<f64>() / length
                })
                .collect();
            let mean = ratios.iter().sum::<f64>() / draws as f64;
            let found = ratios.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / draws as f64;
            let error = (variance / draws as f64).sqrt();
            assert!((mean - 1.0).abs() < 3.5 * error, "{kind:?}: mean {mean}");
            assert!((found / variance - 1.0).abs() < 0.12, "{kind:?}: {found} {variance}");
        }
    }

    #[test]
    fn a_projection_is_linear_and_the_same_for_a_row_wherever_it_stands() {
        let rows = Array2::from_shape_fn((3 * TILE_ROWS + 5, BLOCK_DIMS + 9), |(i, j)| {
            ((i * 31 + j * 17) % 101) as f64
        });
        for kind in [ProjectionKind::Gaussian, ProjectionKind::CountSketch] {
            let all = project(&rows, 8, kind, 3);
            let sum = (&rows.row(0) + &rows.row(2 * TILE_ROWS + 1)).insert_axis(Axis(0));
            let sum = project(&sum, 8, kind, 3);
            let parts = &all.row(0) + &all.row(2 * TILE_ROWS + 1);
            for (a, b) in sum.row(0).iter().zip(&parts) {
                assert!((a - b).abs() <= 1e-9, "{a} {b}");
            }
            assert_ne!(project(&rows, 8, kind, 4), all);
        }
    }
}
