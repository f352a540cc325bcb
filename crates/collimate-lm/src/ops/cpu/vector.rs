//! A few rows times a matrix, at the speed at which the matrix is read.

use std::array;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::rows::Rows;

/// Rows of the matrix of one task.
const TASK: usize = 64;
/// Numbers of a matrix that is not worth the threads.
const SMALL: usize = 1 << 15;

/// `x · weightᵀ`, `[rows, out]`, for a few rows `x` `[rows, in]`, and `weight` `[out, in]`.
pub(crate) fn vector_product(x: Rows<'_>, weight: Rows<'_>) -> Vec<f32> {
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
        return turned;
    }
    let mut y = vec![0.0; rows * out];
    for (row, y) in y.chunks_mut(out.max(1)).enumerate() {
        y.iter_mut().zip(turned.chunks(rows)).for_each(|(y, turned)| *y = turned[row]);
    }
    y
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
pub(crate) fn products<S: Simd, const X: usize, const W: usize>(
    simd: S,
    xs: [&[f32]; X],
    weights: [&[f32]; W],
) -> [[f32; X]; W] {
    let (xs, x_rests) = split::<S, X>(xs);
    let (weights, weight_rests) = split::<S, W>(weights);
    // So that the compiler sees that all have the same length.
    let length = weights[0].len();
    let (xs, weights) = (xs.map(|x| &x[..length]), weights.map(|weight| &weight[..length]));
    let mut sums = [[simd.splat_f32s(0.0); X]; W];
    for at in 0..length {
        for w in 0..W {
            for x in 0..X {
                sums[w][x] = simd.mul_add_e_f32s(xs[x][at], weights[w][at], sums[w][x]);
            }
        }
    }
    let mut products = [[0.0; X]; W];
    for w in 0..W {
        for x in 0..X {
            let rest = x_rests[x].iter().zip(weight_rests[w]).map(|(x, weight)| x * weight);
            products[w][x] = simd.reduce_sum_f32s(sums[w][x]) + rest.sum::<f32>();
        }
    }
    products
}

/// The registers that rows fill, and what is left of the rows.
#[inline(always)]
fn split<S: Simd, const N: usize>(rows: [&[f32]; N]) -> ([&[S::f32s]; N], [&[f32]; N]) {
    (rows.map(|row| S::as_simd_f32s(row).0), rows.map(|row| S::as_simd_f32s(row).1))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Products<'a>([&'a [f32]; 2], [&'a [f32]; 3]);

    impl WithSimd for Products<'_> {
        type Output = [[f32; 2]; 3];

        fn with_simd<S: Simd>(self, simd: S) -> [[f32; 2]; 3] {
            products(simd, self.0, self.1)
        }
    }

    #[test]
    fn products_are_right_on_all_processors() {
        for length in [1, 7, 16, 45] {
            let row = |seed: usize| {
                (0..length).map(|at| ((at + seed) * 7 % 5) as f32).collect::<Vec<_>>()
            };
            let rows: [Vec<f32>; 5] = array::from_fn(row);
            let [a, b, c, d, e] = rows.each_ref().map(Vec::as_slice);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let expected = [c, d, e].map(|weight| [dot(a, weight), dot(b, weight)]);
            let all = || Products([a, b], [c, d, e]);
            assert_eq!(Arch::new().dispatch(all()), expected);
            assert_eq!(Arch::Scalar.dispatch(all()), expected);
            #[cfg(target_arch = "x86_64")]
            if let Some(simd) = pulp::x86::V3::try_new() {
                assert_eq!(all().with_simd(simd), expected);
            }
        }
    }
}
