//! The moments of one chunk of rows: the inner loops.

use super::{ClassMoments, Moments, times_power_of_two};
use crate::element::{Element, Lane};
use crate::error::{AqiError, Result};
use crate::simd::{Kernel, widest};
use ndarray::ArrayView2;
use std::ops::Range;

/// Rows of one chunk. Part of what makes results reproducible: never depends on the machine.
pub(super) const CHUNK_ROWS: usize = 256;

/// Columns worked on at a time: a chunk's part of them, 768 kB of `f32`, stays in the
/// second-level cache between the passes.
const TILE_COLUMNS: usize = 768;

/// Values between `2^-SAFE` and `2^SAFE` can be squared and summed as they are.
const SAFE: i32 = 300;

/// The moments of at most [`CHUNK_ROWS`] rows; `first_row` is where they stand in the input.
pub(super) fn moments_of<F: Element>(
    rows: ArrayView2<'_, F>,
    codes: &[usize],
    weights: Option<&[f64]>,
    names: &[String],
    first_row: usize,
) -> Result<Moments> {
    let dim = rows.ncols();
    let mut buffer = Vec::new();
    let direct: Option<Vec<&[F::Lane]>> =
        rows.rows().into_iter().map(|row| row.to_slice().and_then(F::lanes)).collect();
    let lanes = if let Some(lanes) = direct {
        lanes
    } else {
        buffer.reserve_exact(rows.len());
        for row in rows.rows() {
            match row.as_slice() {
                Some(row) => F::extend_lanes(row, &mut buffer),
                None => F::extend_lanes(&row.to_vec(), &mut buffer),
            }
        }
        buffer.chunks_exact(dim).collect()
    };
    lane_moments(&lanes, codes, weights, names, dim, first_row)
}

pub(super) fn lane_moments<L: Lane>(
    rows: &[&[L]],
    codes: &[usize],
    weights: Option<&[f64]>,
    names: &[String],
    dim: usize,
    first_row: usize,
) -> Result<Moments> {
    let mut moments = Moments::zero(names.to_vec(), dim);
    moments.exponent = if L::WIDE { exponent_of(rows) } else { Some(0) };
    let exponent = moments.exponent.unwrap_or(0);
    if exponent == 0 {
        fill(rows, codes, weights, &mut moments.classes);
    } else {
        let scaled: Vec<L> = rows
            .iter()
            .flat_map(|row| row.iter())
            .map(|x| L::from_f64(times_power_of_two(x.to_f64(), -exponent)))
            .collect();
        let scaled: Vec<&[L]> = scaled.chunks_exact(dim).collect();
        fill(&scaled, codes, weights, &mut moments.classes);
    }
    if moments.classes.iter().all(|class| class.mean.iter().all(|mean| mean.is_finite())) {
        return Ok(moments);
    }
    for (i, row) in rows.iter().enumerate() {
        if let Some(col) = row.iter().position(|x| !x.to_f64().is_finite()) {
            let value = row[col].to_f64().to_string();
            return Err(AqiError::NonFinite { row: first_row + i, col, value });
        }
    }
    unreachable!("sums of finite values below 2^{SAFE} are finite")
}

/// The power of two that brings a chunk of `f64` near one, where its squares would overflow or
/// vanish; 0 where they don't; `None` where every value is zero.
fn exponent_of<L: Lane>(rows: &[&[L]]) -> Option<i32> {
    let largest =
        rows.iter().map(|row| widest(Largest(row))).fold(0.0, |a, b| if b > a { b } else { a });
    if largest == 0.0 {
        return None;
    }
    if largest.is_infinite() {
        return Some(0);
    }
    #[allow(clippy::cast_possible_truncation, reason = "the logarithm of a finite f64 is small")]
    let exponent = largest.log2().floor() as i32;
    Some(if exponent.abs() < SAFE { 0 } else { exponent })
}

/// The largest absolute value of a row; NaN counts as nothing.
struct Largest<'a, L>(&'a [L]);

impl<L: Lane> Kernel for Largest<'_, L> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let mut lanes = [0.0_f64; 16];
        let chunks = self.0.chunks_exact(16);
        let rest = chunks.remainder();
        let larger = |a: f64, x: L| {
            let x = x.to_f64().abs();
            if x > a { x } else { a }
        };
        for chunk in chunks {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane = larger(*lane, x);
            }
        }
        let last = rest.iter().fold(0.0, |a, &x| larger(a, x));
        lanes.iter().fold(last, |a, &b| if b > a { b } else { a })
    }
}

fn fill<L: Lane>(
    rows: &[&[L]],
    codes: &[usize],
    weights: Option<&[f64]>,
    classes: &mut [ClassMoments],
) {
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); classes.len()];
    for (row, &code) in codes.iter().enumerate() {
        if weights.is_none_or(|weights| weights[row] > 0.0) {
            members[code].push(row);
        }
    }
    for (class, members) in classes.iter_mut().zip(&members) {
        let weights: Vec<f64> =
            members.iter().map(|&row| weights.map_or(1.0, |weights| weights[row])).collect();
        class.count = members.len() as u64;
        class.weight = weights.iter().sum();
        class.weight_squared = weights.iter().map(|w| w * w).sum();
    }
    if let Some(weights) = weights {
        for (class, members) in classes.iter_mut().zip(&members) {
            weighted(rows, members, weights, class);
        }
        return;
    }
    let dim = rows.first().map_or(0, |row| row.len());
    for from in (0..dim).step_by(TILE_COLUMNS) {
        let columns = from..(from + TILE_COLUMNS).min(dim);
        widest(Touch { rows, columns: columns.clone() });
        for (class, members) in classes.iter_mut().zip(&members) {
            widest(Tile { rows, members, columns: columns.clone(), class });
        }
    }
}

/// Reads one value of each cache line in the order of memory. The rows of one class lie apart,
/// which the processor's prefetching handles badly; after this they lie in its cache.
struct Touch<'a, L> {
    rows: &'a [&'a [L]],
    columns: Range<usize>,
}

impl<L: Lane> Kernel for Touch<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut sum = 0.0;
        for row in self.rows {
            for x in row[self.columns.clone()].iter().step_by(64 / size_of::<L>()) {
                sum += x.to_f64();
            }
        }
        std::hint::black_box(sum);
    }
}

/// Two passes over some columns of the rows of one class, relative to its first row: identical
/// rows then have exactly their own value as mean and exactly zero scatter, and large offsets
/// cost no digits.
struct Tile<'a, L> {
    rows: &'a [&'a [L]],
    members: &'a [usize],
    columns: Range<usize>,
    class: &'a mut ClassMoments,
}

impl<L: Lane> Kernel for Tile<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { rows, members, columns, class } = self;
        let Some(&first) = members.first() else { return };
        let count = members.len() as f64;
        let mean = &mut class.mean[columns.clone()];
        let scatter = &mut class.scatter[columns.clone()];
        let row = |member: usize| &rows[member][columns.clone()];
        let origin = row(first);
        let blocks = members.chunks_exact(4);
        let rest = blocks.remainder();
        for block in blocks.clone() {
            let [a, b, c, d] = [row(block[0]), row(block[1]), row(block[2]), row(block[3])];
            let rows = origin.iter().zip(a).zip(b).zip(c).zip(d);
            for (mean, ((((o, a), b), c), d)) in mean.iter_mut().zip(rows) {
                let o = o.to_f64();
                *mean +=
                    ((a.to_f64() - o) + (b.to_f64() - o)) + ((c.to_f64() - o) + (d.to_f64() - o));
            }
        }
        for &member in rest {
            for ((mean, x), o) in mean.iter_mut().zip(row(member)).zip(origin) {
                *mean += x.to_f64() - o.to_f64();
            }
        }
        for (mean, o) in mean.iter_mut().zip(origin) {
            *mean = o.to_f64() + *mean / count;
        }
        for block in blocks {
            let [a, b, c, d] = [row(block[0]), row(block[1]), row(block[2]), row(block[3])];
            let rows = mean.iter().zip(a).zip(b).zip(c).zip(d);
            for (scatter, ((((m, a), b), c), d)) in scatter.iter_mut().zip(rows) {
                let (a, b) = (a.to_f64() - m, b.to_f64() - m);
                let (c, d) = (c.to_f64() - m, d.to_f64() - m);
                *scatter += (a * a + b * b) + (c * c + d * d);
            }
        }
        for &member in rest {
            for ((scatter, x), m) in scatter.iter_mut().zip(row(member)).zip(mean.iter()) {
                let x = x.to_f64() - m;
                *scatter += x * x;
            }
        }
    }
}

fn weighted<L: Lane>(rows: &[&[L]], members: &[usize], weights: &[f64], class: &mut ClassMoments) {
    let Some(&first) = members.first() else { return };
    for &member in members {
        let columns = class.mean.iter_mut().zip(rows[member]).zip(rows[first]);
        for ((mean, x), o) in columns {
            *mean += weights[member] * (x.to_f64() - o.to_f64());
        }
    }
    for (mean, o) in class.mean.iter_mut().zip(rows[first]) {
        *mean = o.to_f64() + *mean / class.weight;
    }
    for &member in members {
        for ((scatter, x), m) in class.scatter.iter_mut().zip(rows[member]).zip(&class.mean) {
            let x = x.to_f64() - m;
            *scatter += weights[member] * x * x;
        }
    }
}
