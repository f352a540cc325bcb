//! A few rows times a matrix, at the speed at which the matrix is read.

use std::array;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::Widen;
use super::rows::Rows;

/// Rows of the matrix of one task.
const TASK: usize = 64;
/// Numbers of a matrix that is not worth the threads.
const SMALL: usize = 1 << 15;

/// `x · weightᵀ`, `[rows, out]`, for a few rows `x` `[rows, in]`, and `weight` `[out, in]`.
pub(crate) fn vector_product<T: Widen>(x: Rows<'_>, weight: Rows<'_, T>) -> Vec<f32> {
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

struct Run<'a, T> {
    x: Rows<'a>,
    weight: Rows<'a, T>,
    /// The first row of the weight.
    first: usize,
    y: &'a mut [f32],
}

impl<T: Widen> WithSimd for Run<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Eight sums at once, as many as a processor begins before the first is done.
        if self.x.len() == 1 {
            self.each_row::<S, 1, 8>(simd);
        } else {
            self.each_row::<S, 4, 2>(simd);
        }
    }
}

impl<T: Widen> Run<'_, T> {
    /// One row of the weight after the other, which is how memory is read fastest.
    #[inline(always)]
    fn each_row<S: Simd, const X: usize, const U: usize>(self, simd: S) {
        let rows = self.x.len();
        for (at, y) in self.y.chunks_mut(rows).enumerate() {
            let weight = [self.weight.row(self.first + at)];
            for (first, y) in (0..rows).step_by(X).zip(y.chunks_mut(X)) {
                let xs = array::from_fn(|at| self.x.row((first + at).min(rows - 1)));
                let [sums] = products::<S, T, X, 1, U>(simd, xs, weight);
                y.copy_from_slice(&sums[..y.len()]);
            }
        }
    }
}

/// The scalar product of each `x` with each weight, in `U` parts.
#[inline(always)]
pub(crate) fn products<S: Simd, T: Widen, const X: usize, const W: usize, const U: usize>(
    simd: S,
    xs: [&[f32]; X],
    weights: [&[T]; W],
) -> [[f32; X]; W] {
    match S::F32_LANES {
        16 => by_lanes::<S, T, X, W, U, 16>(simd, xs, weights),
        8 => by_lanes::<S, T, X, W, U, 8>(simd, xs, weights),
        4 => by_lanes::<S, T, X, W, U, 4>(simd, xs, weights),
        _ => by_lanes::<S, T, X, W, U, 1>(simd, xs, weights),
    }
}

/// With `L` numbers in a register.
#[inline(always)]
fn by_lanes<S: Simd, T: Widen, const X: usize, const W: usize, const U: usize, const L: usize>(
    simd: S,
    xs: [&[f32]; X],
    weights: [&[T]; W],
) -> [[f32; X]; W] {
    let xs = xs.map(Split::<f32, U, L>::new);
    let weights = weights.map(Split::<T, U, L>::new);
    // So that the compiler sees that all have the same length.
    let length = weights[0].blocks.len();
    let x_blocks = xs.each_ref().map(|x| &x.blocks[..length]);
    let weight_blocks = weights.each_ref().map(|weight| &weight.blocks[..length]);
    let mut sums = [[[simd.splat_f32s(0.0); U]; X]; W];
    for at in 0..length {
        for w in 0..W {
            for u in 0..U {
                let weight = register(simd, &weight_blocks[w][at][u]);
                for x in 0..X {
                    let x_register = register(simd, &x_blocks[x][at][u]);
                    sums[w][x][u] = simd.mul_add_e_f32s(x_register, weight, sums[w][x][u]);
                }
            }
        }
    }
    let mut products = [[0.0; X]; W];
    for w in 0..W {
        for x in 0..X {
            let mut sum = sums[w][x][0];
            for part in &sums[w][x][1..] {
                sum = simd.add_f32s(sum, *part);
            }
            for (x, weight) in xs[x].registers.iter().zip(weights[w].registers) {
                sum = simd.mul_add_e_f32s(register(simd, x), register(simd, weight), sum);
            }
            let rest = xs[x].rest.iter().zip(weights[w].rest);
            let rest = rest.map(|(x, weight)| x * weight.wide());
            products[w][x] = simd.reduce_sum_f32s(sum) + rest.sum::<f32>();
        }
    }
    products
}

/// A row as blocks of `U` registers of `L` numbers, registers that are left, and numbers that are left.
struct Split<'a, T, const U: usize, const L: usize> {
    blocks: &'a [[[T; L]; U]],
    registers: &'a [[T; L]],
    rest: &'a [T],
}

impl<'a, T, const U: usize, const L: usize> Split<'a, T, U, L> {
    #[inline(always)]
    fn new(row: &'a [T]) -> Self {
        let (registers, rest) = row.as_chunks::<L>();
        let (blocks, registers) = registers.as_chunks::<U>();
        Self { blocks, registers, rest }
    }
}

/// As many numbers as a register has.
#[inline(always)]
fn register<S: Simd, T: Widen, const L: usize>(_: S, numbers: &[T; L]) -> S::f32s {
    let mut wide = [0.0; L];
    for (wide, number) in wide.iter_mut().zip(numbers) {
        *wide = number.wide();
    }
    S::as_simd_f32s(&wide).0[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Products<'a>([&'a [f32]; 2], [&'a [f32]; 3]);

    impl WithSimd for Products<'_> {
        type Output = [[f32; 2]; 3];

        fn with_simd<S: Simd>(self, simd: S) -> [[f32; 2]; 3] {
            products::<S, f32, 2, 3, 2>(simd, self.0, self.1)
        }
    }

    #[test]
    fn products_are_right_on_all_processors() {
        for length in [1, 7, 16, 45, 83] {
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
