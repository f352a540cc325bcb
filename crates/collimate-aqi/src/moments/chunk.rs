//! The moments of one chunk of rows: the inner loops.

use super::{ClassMoments, Moments, times_power_of_two};
use crate::element::{Element, Lane};
use crate::error::{AqiError, Result};
use ndarray::ArrayView2;

/// Rows of one chunk. Part of what makes results reproducible: never depends on the machine.
pub(super) const CHUNK_ROWS: usize = 256;

/// Columns worked on at a time, so that a chunk's rows stay in cache between the passes.
const TILE_COLUMNS: usize = 512;

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
    let direct: Option<Vec<&[F::Lane]>> = rows
        .rows()
        .into_iter()
        .map(|row| row.to_slice().and_then(F::lanes))
        .collect();
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
    moments.exponent = Some(0);
    if L::WIDE {
        match exponent_of(rows) {
            Some(0) => {}
            Some(exponent) => {
                let scaled: Vec<L> = rows
                    .iter()
                    .flat_map(|row| row.iter())
                    .map(|x| L::from_f64(times_power_of_two(x.to_f64(), -exponent)))
                    .collect();
                let rows: Vec<&[L]> = scaled.chunks_exact(dim).collect();
                fill(&rows, codes, weights, &mut moments.classes);
                moments.exponent = Some(exponent);
                return finite(rows.as_slice(), moments, first_row);
            }
            None => moments.exponent = None,
        }
    }
    fill(rows, codes, weights, &mut moments.classes);
    finite(rows, moments, first_row)
}

/// The moments if all values were finite, else an error that names the first that was not.
fn finite<L: Lane>(rows: &[&[L]], moments: Moments, first_row: usize) -> Result<Moments> {
    let finite = moments
        .classes
        .iter()
        .all(|class| class.mean.iter().all(|mean| mean.is_finite()));
    if finite {
        return Ok(moments);
    }
    for (i, row) in rows.iter().enumerate() {
        if let Some(col) = row.iter().position(|x| !x.to_f64().is_finite()) {
            let value = row[col].to_f64().to_string();
            return Err(AqiError::NonFinite {
                row: first_row + i,
                col,
                value,
            });
        }
    }
    unreachable!("sums of finite values below 2^{SAFE} are finite")
}

/// The power of two that brings a chunk of `f64` near one, where its squares would overflow or
/// vanish; 0 where they don't; `None` where every value is zero.
fn exponent_of<L: Lane>(rows: &[&[L]]) -> Option<i32> {
    let mut largest = 0.0_f64;
    for row in rows {
        for x in *row {
            let x = x.to_f64().abs();
            largest = if x > largest { x } else { largest };
        }
    }
    if largest == 0.0 {
        return None;
    }
    if largest.is_infinite() {
        return Some(0);
    }
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the logarithm of a finite f64 is small"
    )]
    let exponent = largest.log2().floor() as i32;
    Some(if exponent.abs() < SAFE { 0 } else { exponent })
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
        if members.is_empty() {
            continue;
        }
        let rows: Vec<&[L]> = members.iter().map(|&row| rows[row]).collect();
        class.count = members.len() as u64;
        if let Some(weights) = weights {
            let weights: Vec<f64> = members.iter().map(|&row| weights[row]).collect();
            class.weight = weights.iter().sum();
            class.weight_squared = weights.iter().map(|w| w * w).sum();
            weighted(&rows, &weights, class);
        } else {
            class.weight = members.len() as f64;
            class.weight_squared = class.weight;
            unweighted(&rows, class);
        }
    }
}

/// Two passes over the rows of a class, relative to its first row: identical rows then have
/// exactly their own value as mean and exactly zero scatter, and large offsets cost no digits.
fn unweighted<L: Lane>(rows: &[&[L]], class: &mut ClassMoments) {
    let count = rows.len() as f64;
    let dim = class.mean.len();
    let mut origin = [0.0; TILE_COLUMNS];
    for from in (0..dim).step_by(TILE_COLUMNS) {
        let to = (from + TILE_COLUMNS).min(dim);
        let origin = &mut origin[..to - from];
        for (o, x) in origin.iter_mut().zip(&rows[0][from..to]) {
            *o = x.to_f64();
        }
        let mean = &mut class.mean[from..to];
        let scatter = &mut class.scatter[from..to];
        let blocks = rows.chunks_exact(4);
        let rest = blocks.remainder();
        for block in blocks.clone() {
            let [a, b, c, d] = tile_of_four(block, from, to);
            for j in 0..mean.len().min(origin.len()) {
                let o = origin[j];
                mean[j] += ((a[j].to_f64() - o) + (b[j].to_f64() - o))
                    + ((c[j].to_f64() - o) + (d[j].to_f64() - o));
            }
        }
        for row in rest {
            for ((mean, x), o) in mean.iter_mut().zip(&row[from..to]).zip(origin.iter()) {
                *mean += x.to_f64() - o;
            }
        }
        for (mean, o) in mean.iter_mut().zip(origin.iter()) {
            *mean = o + *mean / count;
        }
        for block in blocks {
            let [a, b, c, d] = tile_of_four(block, from, to);
            for j in 0..scatter.len().min(mean.len()) {
                let m = mean[j];
                let (a, b) = (a[j].to_f64() - m, b[j].to_f64() - m);
                let (c, d) = (c[j].to_f64() - m, d[j].to_f64() - m);
                scatter[j] += (a * a + b * b) + (c * c + d * d);
            }
        }
        for row in rest {
            for ((scatter, x), m) in scatter.iter_mut().zip(&row[from..to]).zip(mean.iter()) {
                let x = x.to_f64() - m;
                *scatter += x * x;
            }
        }
    }
}

/// The same columns of four rows, all of one length, so that the loops need no bounds checks.
fn tile_of_four<'a, L>(block: &[&'a [L]], from: usize, to: usize) -> [&'a [L]; 4] {
    [
        &block[0][from..to],
        &block[1][from..to],
        &block[2][from..to],
        &block[3][from..to],
    ]
}

fn weighted<L: Lane>(rows: &[&[L]], weights: &[f64], class: &mut ClassMoments) {
    let first = rows[0];
    for (row, &w) in rows.iter().zip(weights) {
        for ((mean, x), o) in class.mean.iter_mut().zip(*row).zip(first) {
            *mean += w * (x.to_f64() - o.to_f64());
        }
    }
    for (mean, o) in class.mean.iter_mut().zip(first) {
        *mean = o.to_f64() + *mean / class.weight;
    }
    for (row, &w) in rows.iter().zip(weights) {
        for ((scatter, x), m) in class.scatter.iter_mut().zip(*row).zip(&class.mean) {
            let x = x.to_f64() - m;
            *scatter += w * x * x;
        }
    }
}
