//! Small products of matrices, of the size that registers hold.

use pulp::Simd;

/// Rows of a tile.
pub(crate) const ROWS: usize = 8;
/// Columns of a tile.
pub(crate) const COLUMNS: usize = 32;

/// A number of each column.
pub(crate) type Lanes = [f32; COLUMNS];
/// A tile of a product.
pub(crate) type Tile = [Lanes; ROWS];

/// Sets `tile` to the product of `left`, given by its rows, and `right` `[depth, COLUMNS]`.
#[inline(always)]
pub(crate) fn by_rows<S: Simd>(simd: S, left: [&[f32]; ROWS], right: &[Lanes], tile: &mut Tile) {
    *tile = [[0.0; COLUMNS]; ROWS];
    add(simd, Left::Rows(left), right, tile);
}

/// Adds to `tile` the product of `left`, of which `ROWS` numbers of every `stride` are a column, and
/// `right` `[depth, COLUMNS]`.
#[inline(always)]
pub(crate) fn by_columns<S: Simd>(
    simd: S,
    left: &[f32],
    stride: usize,
    right: &[Lanes],
    tile: &mut Tile,
) {
    add(simd, Left::Columns(left, stride), right, tile);
}

/// How many rows and columns are turned at once.
const TURNED: usize = 4;

/// Rows as columns: `to[at][column] = rows[column][at]`, for a multiple of four rows of `to`.
#[inline(always)]
pub(crate) fn turn(rows: [&[f32]; COLUMNS], to: &mut [Lanes]) {
    for (first, rows) in rows.as_chunks::<TURNED>().0.iter().enumerate() {
        for (at, to) in to.as_chunks_mut::<TURNED>().0.iter_mut().enumerate() {
            let mut block = [[0.0; TURNED]; TURNED];
            for (block, row) in block.iter_mut().zip(rows) {
                block.copy_from_slice(&row[at * TURNED..][..TURNED]);
            }
            for (of, to) in to.iter_mut().enumerate() {
                for row in 0..TURNED {
                    to[first * TURNED + row] = block[row][of];
                }
            }
        }
    }
}

/// Columns as rows: `rows[column][at] = from[at][column]`, for a multiple of four rows of `from`.
#[inline(always)]
pub(crate) fn turn_back(from: &[Lanes], rows: &mut [&mut [f32]]) {
    for (first, rows) in (0..).step_by(TURNED).zip(rows.chunks_mut(TURNED)) {
        for (at, from) in from.as_chunks::<TURNED>().0.iter().enumerate() {
            let mut block = [[0.0; TURNED]; TURNED];
            for (of, from) in from.iter().enumerate() {
                for row in 0..TURNED {
                    block[row][of] = from[first + row];
                }
            }
            for (row, block) in rows.iter_mut().zip(&block) {
                row[at * TURNED..][..TURNED].copy_from_slice(block);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Left<'a> {
    Rows([&'a [f32]; ROWS]),
    Columns(&'a [f32], usize),
}

#[inline(always)]
fn add<S: Simd>(simd: S, left: Left<'_>, right: &[Lanes], tile: &mut Tile) {
    match S::F32_LANES {
        16 => part::<S, ROWS, 2>(simd, left, right, tile, 0),
        8 => {
            for row in (0..ROWS).step_by(2) {
                part::<S, 2, 4>(simd, left, right, tile, row);
            }
        }
        4 => {
            for row in (0..ROWS).step_by(2) {
                part::<S, 2, 8>(simd, left, right, tile, row);
            }
        }
        _ => {
            for (at, right) in right.iter().enumerate() {
                for (row, sums) in tile.iter_mut().enumerate() {
                    let left = match left {
                        Left::Rows(rows) => rows[row][at],
                        Left::Columns(columns, stride) => columns[at * stride + row],
                    };
                    sums.iter_mut().zip(right).for_each(|(sum, right)| *sum += left * right);
                }
            }
        }
    }
}

/// Adds `R` rows from `row` on, which are `V` registers each.
#[inline(always)]
fn part<S: Simd, const R: usize, const V: usize>(
    simd: S,
    left: Left<'_>,
    right: &[Lanes],
    tile: &mut Tile,
    row: usize,
) {
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    for (sums, tile) in sums.iter_mut().zip(&tile[row..]) {
        sums.copy_from_slice(S::as_simd_f32s(tile).0);
    }
    match left {
        Left::Rows(rows) => {
            // So that the compiler sees that all have the same length.
            let mut left = [[].as_slice(); R];
            for (left, row) in left.iter_mut().zip(&rows[row..]) {
                *left = &row[..right.len()];
            }
            for (at, right) in right.iter().enumerate() {
                let right = S::as_simd_f32s(right).0;
                for of in 0..R {
                    multiply_add(simd, left[of][at], right, &mut sums[of]);
                }
            }
        }
        Left::Columns(columns, stride) => {
            for (at, right) in right.iter().enumerate() {
                let right = S::as_simd_f32s(right).0;
                let left = &columns[at * stride + row..][..R];
                for of in 0..R {
                    multiply_add(simd, left[of], right, &mut sums[of]);
                }
            }
        }
    }
    for (tile, sums) in tile[row..].iter_mut().zip(&sums) {
        S::as_mut_simd_f32s(tile).0.copy_from_slice(sums);
    }
}

#[inline(always)]
fn multiply_add<S: Simd, const V: usize>(
    simd: S,
    left: f32,
    right: &[S::f32s],
    sums: &mut [S::f32s; V],
) {
    let left = simd.splat_f32s(left);
    for (sum, right) in sums.iter_mut().zip(right) {
        *sum = simd.mul_add_e_f32s(left, *right, *sum);
    }
}

#[cfg(test)]
mod tests {
    use std::array;

    use pulp::{Arch, WithSimd};

    use super::*;

    const DEPTH: usize = 12;

    struct Both<'a> {
        rows: [&'a [f32]; ROWS],
        columns: &'a [f32],
        right: &'a [Lanes],
    }

    impl WithSimd for Both<'_> {
        type Output = [Tile; 2];

        fn with_simd<S: Simd>(self, simd: S) -> [Tile; 2] {
            let mut tiles = [[[1.0; COLUMNS]; ROWS]; 2];
            by_rows(simd, self.rows, self.right, &mut tiles[0]);
            by_columns(simd, self.columns, ROWS + 1, self.right, &mut tiles[1]);
            tiles
        }
    }

    #[test]
    fn products_are_right_on_all_processors() {
        let left = |row: usize, at: usize| (row * 7 + at * 3) as f32 % 11.0 - 5.0;
        let rows: Vec<f32> = (0..ROWS * DEPTH).map(|at| left(at / DEPTH, at % DEPTH)).collect();
        let columns: Vec<f32> =
            (0..(ROWS + 1) * DEPTH).map(|at| left(at % (ROWS + 1), at / (ROWS + 1))).collect();
        let right: Vec<Lanes> = (0..DEPTH)
            .map(|at| array::from_fn(|column| (at * 5 + column * 13) as f32 % 17.0 - 8.0))
            .collect();
        let expected: Tile = array::from_fn(|row| {
            array::from_fn(|column| (0..DEPTH).map(|at| left(row, at) * right[at][column]).sum())
        });
        let both = || Both {
            rows: array::from_fn(|row| &rows[row * DEPTH..][..DEPTH]),
            columns: &columns,
            right: &right,
        };
        let mut found = vec![Arch::new().dispatch(both()), Arch::Scalar.dispatch(both())];
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            found.push(both().with_simd(simd));
        }
        for [by_rows, by_columns] in found {
            assert_eq!(by_rows, expected);
            assert_eq!(by_columns, expected.map(|row| row.map(|sum| sum + 1.0)));
        }
    }

    #[test]
    fn what_is_turned_and_turned_back_is_the_same() {
        for count in [32, 7] {
            let numbers: Vec<f32> = (0..COLUMNS * DEPTH).map(|at| at as f32).collect();
            let mut turned = vec![[0.0; COLUMNS]; DEPTH];
            turn(array::from_fn(|row| &numbers[row * DEPTH..][..DEPTH]), &mut turned);
            assert_eq!(turned[3][5], numbers[5 * DEPTH + 3]);
            let mut back = vec![0.0; count * DEPTH];
            turn_back(&turned, &mut back.chunks_mut(DEPTH).collect::<Vec<_>>());
            assert_eq!(back, numbers[..count * DEPTH]);
        }
    }
}
