//! Products of matrices of any size.
//!
//! A task makes some columns of some rows. It puts the part of the right matrix that it needs side by
//! side, as wide as a tile, and goes over the rows of the left one with tiles that stay in registers.

use std::array;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd, bytemuck};
use rayon::prelude::*;

use super::Widen;
use super::rows::Rows;

/// Rows of a tile.
const ROWS: usize = 6;
/// Most registers of a row of a tile.
const REGISTERS: usize = 4;
/// Most columns of a task: with `DEPTH`, what stays in the second nearest cache.
const COLUMNS: usize = 256;
/// Numbers that are summed up before the sum is put down.
const DEPTH: usize = 384;
/// Columns that are turned at once.
const TURNED: usize = 16;

/// A matrix, or its transpose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a, T = f32> {
    rows: Rows<'a, T>,
    /// Whether the rows are its columns.
    turned: bool,
}

impl<'a, T: Widen> Matrix<'a, T> {
    /// A matrix of these rows.
    pub(crate) fn of_rows(rows: Rows<'a, T>) -> Self {
        Self { rows, turned: false }
    }

    /// A matrix of these columns.
    pub(crate) fn of_columns(columns: Rows<'a, T>) -> Self {
        Self { rows: columns, turned: true }
    }

    /// The same numbers the other way round.
    pub(crate) fn transpose(self) -> Self {
        Self { turned: !self.turned, ..self }
    }

    pub(crate) fn height(&self) -> usize {
        if self.turned { self.rows.width } else { self.rows.len() }
    }

    pub(crate) fn width(&self) -> usize {
        if self.turned { self.rows.len() } else { self.rows.width }
    }

    /// A part of one of the rows that it is made of.
    #[inline(always)]
    fn line(&self, at: usize, part: &Range<usize>) -> &'a [T] {
        &self.rows.row(at)[part.start..part.end]
    }
}

/// `left · right`, plus `bias` in every row.
pub(crate) fn product<T: Widen>(
    left: Matrix<'_>,
    right: Matrix<'_, T>,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let (rows, columns) = (left.height(), right.width());
    let mut y = match bias {
        Some(bias) => bias.repeat(rows),
        None => vec![0.0; rows * columns],
    };
    if y.is_empty() {
        return y;
    }
    let wanted = 2 * rayon::current_num_threads();
    let width = columns.div_ceil(wanted).next_multiple_of(REGISTERS * TURNED).min(COLUMNS);
    let blocks = columns.div_ceil(width);
    // More tasks of fewer rows, where there are few columns.
    let parts = wanted.div_ceil(blocks).min(rows.div_ceil(8 * ROWS));
    let height = rows.div_ceil(parts).next_multiple_of(ROWS);
    let mut tasks = Vec::with_capacity(parts * blocks);
    for (part, y) in y.chunks_mut(height * columns).enumerate() {
        let first = tasks.len();
        tasks.extend((0..blocks).map(|block| Task {
            left,
            right,
            top: part * height,
            start: block * width,
            added: bias.is_some(),
            y: Vec::with_capacity(height),
        }));
        for row in y.chunks_mut(columns) {
            tasks[first..]
                .iter_mut()
                .zip(row.chunks_mut(width))
                .for_each(|(task, y)| task.y.push(y));
        }
    }
    let arch = Arch::new();
    tasks.into_par_iter().for_each(|task| arch.dispatch(task));
    y
}

/// Some columns of some rows of a product.
struct Task<'a, 'y, T> {
    left: Matrix<'a>,
    right: Matrix<'a, T>,
    /// The first row.
    top: usize,
    /// The first column.
    start: usize,
    /// Whether the product is added to what is there.
    added: bool,
    /// Never empty.
    y: Vec<&'y mut [f32]>,
}

/// Columns of the right matrix, as wide as a tile, side by side.
struct Panel<'p, S: Simd> {
    /// The first column, counted in the task.
    first: usize,
    /// Registers of a row.
    width: usize,
    numbers: &'p [S::f32s],
}

impl<T: Widen> WithSimd for Task<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Of eight and fewer numbers, processors have half as many registers (but those of ARM).
        let most = if S::F32_LANES == 8 || S::F32_LANES == 1 { 2 } else { REGISTERS };
        let (depth, width) = (self.left.width(), self.y[0].len());
        let size = DEPTH.min(depth) * width.div_ceil(S::F32_LANES);
        let mut numbers = vec![simd.splat_f32s(0.0); size];
        for begin in (0..depth).step_by(DEPTH) {
            let range = begin..depth.min(begin + DEPTH);
            let mut rest = numbers.as_mut_slice();
            let mut panels = Vec::new();
            for first in (0..width).step_by(most * S::F32_LANES) {
                let columns = first..width.min(first + most * S::F32_LANES);
                let width = columns.len().div_ceil(S::F32_LANES);
                let (panel, behind) = rest.split_at_mut(range.len() * width);
                rest = behind;
                let columns = self.start + columns.start..self.start + columns.end;
                let into = bytemuck::cast_slice_mut(panel);
                side_by_side(self.right, &range, columns, width * S::F32_LANES, into);
                panels.push(Panel::<S> { first, width, numbers: panel });
            }
            let added = self.added || begin > 0;
            for (at, y) in self.y.chunks_mut(ROWS).enumerate() {
                // Where there are no more rows, the last one is taken again, and not put down.
                let rows: [_; ROWS] =
                    array::from_fn(|row| self.top + at * ROWS + row.min(y.len() - 1));
                if self.left.turned {
                    let part = rows[0]..rows[ROWS - 1] + 1;
                    let left = Columns { matrix: self.left, first: range.start, part };
                    for panel in &panels {
                        panel.tile(simd, &left, y, added);
                    }
                } else {
                    // So that the compiler sees that all have the same length.
                    let length = range.len();
                    let mut lines = [self.left.line(rows[0], &range); ROWS];
                    for (line, row) in lines.iter_mut().zip(rows) {
                        *line = &self.left.line(row, &range)[..length];
                    }
                    let left = Lines(lines);
                    for panel in &panels {
                        panel.tile(simd, &left, y, added);
                    }
                }
            }
        }
    }
}

/// As many rows of the left matrix as a tile has.
trait Left {
    /// What is in one of its columns.
    fn column(&self, at: usize) -> [f32; ROWS];
}

/// Rows that are slices.
struct Lines<'a>([&'a [f32]; ROWS]);

impl Left for Lines<'_> {
    #[inline(always)]
    fn column(&self, at: usize) -> [f32; ROWS] {
        let mut column = [0.0; ROWS];
        for (number, line) in column.iter_mut().zip(self.0) {
            *number = line[at];
        }
        column
    }
}

/// Rows of a matrix whose columns are slices.
struct Columns<'a> {
    matrix: Matrix<'a>,
    /// The first column.
    first: usize,
    /// The rows; the last may stand for more.
    part: Range<usize>,
}

impl Left for Columns<'_> {
    #[inline(always)]
    fn column(&self, at: usize) -> [f32; ROWS] {
        let line = self.matrix.line(self.first + at, &self.part);
        let mut column = [0.0; ROWS];
        for (row, number) in column.iter_mut().enumerate() {
            *number = line[row.min(line.len() - 1)];
        }
        column
    }
}

impl<S: Simd> Panel<'_, S> {
    /// A tile of the product.
    #[inline(always)]
    fn tile(&self, simd: S, left: &impl Left, y: &mut [&mut [f32]], added: bool) {
        match self.width {
            1 => self.wide::<1>(simd, left, y, added),
            2 => self.wide::<2>(simd, left, y, added),
            3 => self.wide::<3>(simd, left, y, added),
            _ => self.wide::<REGISTERS>(simd, left, y, added),
        }
    }

    #[inline(always)]
    fn wide<const W: usize>(&self, simd: S, left: &impl Left, y: &mut [&mut [f32]], added: bool) {
        let mut sums = [[simd.splat_f32s(0.0); W]; ROWS];
        for (at, right) in self.numbers.as_chunks::<W>().0.iter().enumerate() {
            let left = left.column(at);
            for row in 0..ROWS {
                let left = simd.splat_f32s(left[row]);
                for at in 0..W {
                    sums[row][at] = simd.mul_add_f32s(left, right[at], sums[row][at]);
                }
            }
        }
        for (y, sums) in y.iter_mut().zip(&sums) {
            let y = &mut y[self.first..];
            let width = y.len().min(W * S::F32_LANES);
            let sums: &[f32] = bytemuck::cast_slice(sums);
            for (y, sum) in y[..width].iter_mut().zip(sums) {
                *y = if added { *y + sum } else { *sum };
            }
        }
    }
}

/// Puts columns of a matrix into rows of `width` numbers of float32.
#[inline(always)]
fn side_by_side<T: Widen>(
    matrix: Matrix<'_, T>,
    range: &Range<usize>,
    columns: Range<usize>,
    width: usize,
    into: &mut [f32],
) {
    if !matrix.turned {
        for (at, into) in range.clone().zip(into.chunks_exact_mut(width)) {
            widen(matrix.line(at, &columns), &mut into[..columns.len()]);
        }
        return;
    }
    for first in columns.clone().step_by(TURNED) {
        let count = TURNED.min(columns.end - first);
        let length = range.len();
        let lines: [_; TURNED] =
            array::from_fn(|at| &matrix.line(first + at.min(count - 1), range)[..length]);
        let into = into[first - columns.start..].chunks_mut(width);
        let mut into = into.map(|row| &mut row[..count]);
        for start in (0..length - length % TURNED).step_by(TURNED) {
            let mut block = [[0.0; TURNED]; TURNED];
            for (block, line) in block.iter_mut().zip(lines) {
                widen(&line[start..][..TURNED], block);
            }
            for (column, into) in (0..TURNED).zip(&mut into) {
                for (line, into) in into.iter_mut().enumerate() {
                    *into = block[line][column];
                }
            }
        }
        for (at, into) in (length - length % TURNED..length).zip(into) {
            for (line, into) in into.iter_mut().enumerate() {
                *into = lines[line][at].wide();
            }
        }
    }
}

#[inline(always)]
fn widen<T: Widen>(numbers: &[T], into: &mut [f32]) {
    for (into, number) in into.iter_mut().zip(numbers) {
        *into = number.wide();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::cpu::tensor;

    /// Small integers, so that every order of a sum gives the same.
    fn numbers(rows: usize, width: usize, seed: usize) -> Vec<f32> {
        (0..rows * width).map(|at| ((at * 31 + seed) % 7) as f32 - 3.0).collect()
    }

    #[test]
    fn products_are_right_either_way_round() {
        let depths = [1, 15, 16, 100, DEPTH, DEPTH + 17];
        for (rows, depth, columns) in [(1, 1, 1), (9, 40, 300), (130, 7, 17)]
            .into_iter()
            .chain(depths.map(|depth| (13, depth, 70)))
        {
            let (left, right) = (numbers(rows, depth, 1), numbers(depth, columns, 5));
            let expected: Vec<f32> = (0..rows * columns)
                .map(|at| {
                    let (row, column) = (at / columns, at % columns);
                    (0..depth).map(|k| left[row * depth + k] * right[k * columns + column]).sum()
                })
                .collect();
            let turned = |numbers: &[f32], width: usize| -> Vec<f32> {
                (0..numbers.len())
                    .map(|at| {
                        let height = numbers.len() / width;
                        numbers[at % height * width + at / height]
                    })
                    .collect()
            };
            let lefts =
                [tensor(left.clone(), [rows, depth]), tensor(turned(&left, depth), [depth, rows])];
            let rights = [
                tensor(right.clone(), [depth, columns]),
                tensor(turned(&right, columns), [columns, depth]),
            ];
            let matrix = |tensor, turned: bool| Matrix { rows: Rows::new(tensor), turned };
            let bias = numbers(1, columns, 2);
            for turned in [[false, false], [false, true], [true, false], [true, true]] {
                let left = matrix(&lefts[usize::from(turned[0])], turned[0]);
                let right = matrix(&rights[usize::from(turned[1])], turned[1]);
                let note = format!("{rows} {depth} {columns} {turned:?}");
                assert_eq!(product(left, right, None), expected, "{note}");
                let found = product(left, right, Some(&bias));
                let with_bias = expected.iter().zip(bias.iter().cycle()).map(|(y, b)| y + b);
                assert!(found.into_iter().eq(with_bias), "{note}");
            }
        }
    }

    #[test]
    fn all_processors_give_the_same() {
        let (rows, depth, columns) = (8, DEPTH + 3, 75);
        let left = tensor(numbers(rows, depth, 1), [rows, depth]);
        let right = tensor(numbers(columns, depth, 2), [columns, depth]);
        let left = Matrix::of_rows(Rows::new(&left));
        let right = Matrix::of_columns(Rows::new(&right));
        let expected = product(left, right, None);
        let run = |with: &dyn Fn(Task<'_, '_, f32>)| {
            let mut y = vec![0.0; rows * columns];
            let y_rows = y.chunks_mut(columns).collect();
            with(Task { left, right, top: 0, start: 0, added: false, y: y_rows });
            y
        };
        assert_eq!(run(&|task| Arch::Scalar.dispatch(task)), expected);
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            assert_eq!(run(&|task| task.with_simd(simd)), expected);
        }
    }

    #[test]
    fn what_is_empty_stays_so() {
        let (none, some) = (tensor(vec![], [0, 3]), tensor(vec![0.0; 12], [4, 3]));
        let (none, some) = (Rows::new(&none), Rows::new(&some));
        assert!(product(Matrix::of_rows(none), Matrix::of_columns(some), None).is_empty());
        // A sum of nothing is zero.
        let nothing = product(Matrix::of_columns(none), Matrix::of_rows(none), None);
        assert_eq!(nothing, [0.0; 9]);
    }
}
