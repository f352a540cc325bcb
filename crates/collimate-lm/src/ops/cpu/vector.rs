//! A few rows times a matrix, at the speed at which the matrix is read.

use std::array;

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::rows::{Rows, tensor};

/// Rows of the matrix of one task.
const TASK: usize = 64;
/// Numbers of a matrix that is not worth the threads.
const SMALL: usize = 1 << 15;

/// `x · weightᵀ` for a few rows `x` `[batch, sequence, in]`, and `weight` `[out, in]`.
pub(crate) fn vector_product(x: Rows<'_>, weight: Rows<'_>) -> FlexTensor {
    let (rows, out) = (x.len(), weight.len());
    // As the weight has rows: `[out, rows]`.
    let mut turned = vec![0.0; rows * out];
    let arch = Arch::new();
    let run = |(at, y): (usize, &mut [f32])| {
        arch.dispatch(Run { x, weight, first: at * TASK, y });
    };
    if rows > 0 {
        let tasks = turned.chunks_mut(TASK * rows).enumerate();
        if out * weight.width < SMALL {
            tasks.for_each(run);
        } else {
            tasks.collect::<Vec<_>>().into_par_iter().for_each(run);
        }
    }
    if rows == 1 {
        return tensor(turned, [x.batch, x.sequence, out]);
    }
    let mut y = vec![0.0; rows * out];
    for (row, y) in y.chunks_mut(out.max(1)).enumerate() {
        y.iter_mut().zip(turned.chunks(rows)).for_each(|(y, turned)| *y = turned[row]);
    }
    tensor(y, [x.batch, x.sequence, out])
}

struct Run<'a> {
    x: Rows<'a>,
    weight: Rows<'a>,
    /// The first row of the weight.
    first: usize,
    y: &'a mut [f32],
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Eight sums at once, as many as a processor begins before the first is done.
        if self.x.len() == 1 {
            self.blocks::<S, 1, 8>(simd);
        } else {
            self.blocks::<S, 2, 4>(simd);
        }
    }
}

impl Run<'_> {
    #[inline(always)]
    fn blocks<S: Simd, const X: usize, const W: usize>(self, simd: S) {
        let rows = self.x.len();
        let last = self.weight.len() - 1;
        for (block, y) in self.y.chunks_mut(W * rows).enumerate() {
            let begin = self.first + block * W;
            let weights = array::from_fn(|at| self.weight.row((begin + at).min(last)));
            for first in (0..rows).step_by(X) {
                let xs = array::from_fn(|at| self.x.row((first + at).min(rows - 1)));
                let sums = products::<S, X, W>(simd, xs, weights);
                for (y, sums) in y.chunks_mut(rows).zip(sums) {
                    y[first..].iter_mut().zip(sums).for_each(|(y, sum)| *y = sum);
                }
            }
        }
    }
}

/// The scalar product of each `x` with each weight.
#[inline(always)]
fn products<S: Simd, const X: usize, const W: usize>(
    simd: S,
    xs: [&[f32]; X],
    weights: [&[f32]; W],
) -> [[f32; X]; W] {
    let xs = xs.map(S::as_simd_f32s);
    let weights = weights.map(S::as_simd_f32s);
    let mut sums = [[simd.splat_f32s(0.0); X]; W];
    // So that the compiler sees that all have the same length.
    let length = weights[0].0.len();
    let (x_parts, weight_parts) = (xs.map(|x| &x.0[..length]), weights.map(|w| &w.0[..length]));
    for at in 0..length {
        for (sums, weight) in sums.iter_mut().zip(weight_parts) {
            for (sum, x) in sums.iter_mut().zip(x_parts) {
                *sum = simd.mul_add_e_f32s(x[at], weight[at], *sum);
            }
        }
    }
    array::from_fn(|w| {
        array::from_fn(|x| {
            let rest = xs[x].1.iter().zip(weights[w].1).map(|(x, weight)| x * weight);
            simd.reduce_sum_f32s(sums[w][x]) + rest.sum::<f32>()
        })
    })
}
