//! Small products of matrices, of the size that registers hold.

use pulp::Simd;

/// Rows of a tile.
pub(crate) const ROWS: usize = 8;
/// Columns of a tile.
pub(crate) const COLUMNS: usize = 32;

/// A tile of a product.
pub(crate) type Tile = [[f32; COLUMNS]; ROWS];

/// The product of `left`, row by row, and `right` `[depth, COLUMNS]`.
#[inline(always)]
pub(crate) fn by_rows<S: Simd>(simd: S, left: [&[f32]; ROWS], right: &[[f32; COLUMNS]]) -> Tile {
    // So that the compiler sees that all have the same length.
    let depth = right.len();
    let left = left.map(|row| &row[..depth]);
    tile(simd, |at| left.map(|row| row[at]), right)
}

/// The product of `left`, column by column, and `right` `[depth, COLUMNS]`: `ROWS` numbers of every
/// `stride` in `left`.
#[inline(always)]
pub(crate) fn by_columns<S: Simd>(
    simd: S,
    left: &[f32],
    stride: usize,
    right: &[[f32; COLUMNS]],
) -> Tile {
    let column = |at: usize| left.get(at * stride..).and_then(<[f32]>::first_chunk);
    tile(simd, |at| column(at).copied().unwrap_or_default(), right)
}

#[inline(always)]
fn tile<S: Simd>(
    simd: S,
    left: impl Fn(usize) -> [f32; ROWS] + Copy,
    right: &[[f32; COLUMNS]],
) -> Tile {
    let mut tile = [[0.0; COLUMNS]; ROWS];
    match S::F32_LANES {
        16 => part::<S, ROWS, 2>(simd, left, right, &mut tile, 0),
        8 => {
            for row in (0..ROWS).step_by(2) {
                part::<S, 2, 4>(simd, left, right, &mut tile, row);
            }
        }
        4 => {
            for row in (0..ROWS).step_by(2) {
                part::<S, 2, 8>(simd, left, right, &mut tile, row);
            }
        }
        _ => {
            for (at, right) in right.iter().enumerate() {
                for (sums, left) in tile.iter_mut().zip(left(at)) {
                    sums.iter_mut().zip(right).for_each(|(sum, right)| *sum += left * right);
                }
            }
        }
    }
    tile
}

/// `R` rows of a tile from `row` on, `V` registers each.
#[inline(always)]
fn part<S: Simd, const R: usize, const V: usize>(
    simd: S,
    left: impl Fn(usize) -> [f32; ROWS],
    right: &[[f32; COLUMNS]],
    tile: &mut Tile,
    row: usize,
) {
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    for (at, right) in right.iter().enumerate() {
        let right: [S::f32s; V] = std::array::from_fn(|part| S::as_simd_f32s(right).0[part]);
        let left = left(at);
        for (of, sums) in sums.iter_mut().enumerate() {
            let left = simd.splat_f32s(left[row + of]);
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = simd.mul_add_e_f32s(left, right, *sum);
            }
        }
    }
    for (tile, sums) in tile[row..].iter_mut().zip(sums) {
        S::as_mut_simd_f32s(tile).0.copy_from_slice(&sums);
    }
}
