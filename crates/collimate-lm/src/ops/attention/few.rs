//! Attention of a few queries to many keys, as when a text is continued token by token: the keys are
//! divided among the threads, and their rows are read from one end to the other, once for all heads.

use std::array;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::forward::Attention;
use crate::ops::cpu::{Rows, exp, products, tanh};

/// Queries that share keys.
pub(super) const MOST: usize = 8;

/// Keys of one task.
const KEYS: usize = 64;
/// Values that are added together.
const TOGETHER: usize = 4;

/// One head of a query.
struct Query<'a> {
    numbers: &'a [f32],
    /// Where its head of keys begins in their rows.
    column: usize,
    /// The keys that it sees.
    range: &'a Range<u32>,
}

/// What a query sees in some keys.
struct Part {
    /// The largest score.
    most: f32,
    /// The sum of the exponentials relative to it.
    total: f32,
    /// The values, each times its exponential.
    sums: Vec<f32>,
}

/// Writes the attention of at most [`MOST`] queries of each head of keys to `y`.
pub(super) fn attention(op: &Attention, [queries, keys, values]: [Rows<'_>; 3], y: &mut [f32]) {
    let width = op.config.head_dim;
    let parts = keys.sequence.div_ceil(KEYS);
    if parts == 0 {
        return;
    }
    let arch = Arch::new();
    let part = |at: usize| {
        let (row, part) = (at / parts, at % parts);
        let of_row = row * queries.sequence..(row + 1) * queries.sequence;
        let queries: Vec<_> = of_row
            .flat_map(|at| {
                let heads = queries.row(at).chunks(width).enumerate();
                heads.map(move |(head, numbers)| Query {
                    numbers,
                    column: head / op.group() * width,
                    range: &op.ranges[at],
                })
            })
            .collect();
        let here = part * KEYS..((part + 1) * KEYS).min(keys.sequence);
        arch.dispatch(Few { op, queries: &queries, keys, values, row, here })
    };
    let tasks = 0..queries.batch * parts;
    let found: Vec<Vec<Part>> = if tasks.len() == 1 {
        tasks.map(part).collect()
    } else {
        tasks.into_par_iter().map(part).collect()
    };
    let of_row = queries.sequence * op.config.num_attention_heads;
    for (at, y) in y.chunks_mut(width).enumerate() {
        let found = &found[at / of_row * parts..][..parts];
        merge(found.iter().map(|part| &part[at % of_row]), y);
    }
}

/// What the queries of row `row` see in the keys `here`.
struct Few<'a> {
    op: &'a Attention,
    queries: &'a [Query<'a>],
    keys: Rows<'a>,
    values: Rows<'a>,
    row: usize,
    here: Range<usize>,
}

impl<'a> WithSimd for Few<'a> {
    type Output = Vec<Part>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<Part> {
        let Self { op, queries, keys, values, row, here } = self;
        let width = op.config.head_dim;
        let nothing = || Part { most: f32::NEG_INFINITY, total: 0.0, sums: vec![0.0; width] };
        let mut parts: Vec<_> = queries.iter().map(|_| nothing()).collect();
        let unseen =
            |range: &Range<u32>| range.end <= here.start as u32 || range.start >= here.end as u32;
        if queries.iter().all(|query| unseen(query.range)) {
            return parts;
        }
        // Beyond the last key it is repeated; its exponential there is zero.
        let rows_from = |rows: Rows<'a>, begin: usize| -> [&'a [f32]; TOGETHER] {
            let at = |of: usize| (here.start + begin + of).min(here.end - 1);
            array::from_fn(|of| rows.row(row * rows.sequence + at(of)))
        };
        let mut scores = vec![[0.0; KEYS]; queries.len()];
        for begin in (0..here.len()).step_by(TOGETHER) {
            let rows = rows_from(keys, begin);
            for (scores, query) in scores.iter_mut().zip(queries) {
                let keys = rows.map(|row| &row[query.column..][..width]);
                let products = products::<S, f32, 1, TOGETHER, 1>(simd, [query.numbers], keys);
                scores[begin..][..TOGETHER].copy_from_slice(products.as_flattened());
            }
        }
        for ((part, scores), query) in parts.iter_mut().zip(&mut scores).zip(queries) {
            let (scores, beyond) = scores.split_at_mut(here.len());
            beyond.fill(0.0);
            scores.iter_mut().for_each(|score| *score *= op.config.scale as f32);
            if let Some(cap) = op.config.softcap {
                scores.iter_mut().for_each(|score| *score = cap as f32 * tanh(*score / cap as f32));
            }
            for (score, key) in scores.iter_mut().zip(here.clone()) {
                if !query.range.contains(&(key as u32)) {
                    *score = f32::NEG_INFINITY;
                }
            }
            let larger = |most, &score: &f32| if score > most { score } else { most };
            part.most = scores.iter().fold(f32::NEG_INFINITY, larger);
            let relative = if part.most == f32::NEG_INFINITY { 0.0 } else { part.most };
            scores.iter_mut().for_each(|score| *score = exp(*score - relative));
            part.total = scores.iter().sum();
        }
        for begin in (0..here.len()).step_by(TOGETHER) {
            let rows = rows_from(values, begin);
            for ((part, scores), query) in parts.iter_mut().zip(&scores).zip(queries) {
                let mut factors = [0.0; TOGETHER];
                factors.copy_from_slice(&scores[begin..][..TOGETHER]);
                let values = rows.map(|row| &row[query.column..][..width]);
                add_products(simd, factors, values, &mut part.sums);
            }
        }
        parts
    }
}

/// Adds each value times its factor.
#[inline(always)]
fn add_products<S: Simd>(
    simd: S,
    factors: [f32; TOGETHER],
    values: [&[f32]; TOGETHER],
    sums: &mut [f32],
) {
    // So that the compiler sees that all have the same length.
    let width = sums.len();
    let mut parts = [([].as_slice(), [].as_slice()); TOGETHER];
    for (part, values) in parts.iter_mut().zip(values) {
        *part = S::as_simd_f32s(&values[..width]);
    }
    let (sums, rest) = S::as_mut_simd_f32s(sums);
    for (at, sum) in sums.iter_mut().enumerate() {
        for of in 0..TOGETHER {
            *sum = simd.mul_add_e_f32s(simd.splat_f32s(factors[of]), parts[of].0[at], *sum);
        }
    }
    for (at, sum) in rest.iter_mut().enumerate() {
        for of in 0..TOGETHER {
            *sum += factors[of] * parts[of].1[at];
        }
    }
}

fn merge<'a>(parts: impl Iterator<Item = &'a Part> + Clone, y: &mut [f32]) {
    let most = parts.clone().map(|part| part.most).fold(f32::NEG_INFINITY, f32::max);
    if most == f32::NEG_INFINITY {
        // Nothing is seen; or a score is no number, and then so is the sum.
        return y.fill(parts.map(|part| part.total).sum());
    }
    let mut total = 0.0;
    for part in parts {
        let scale = exp(part.most - most);
        total += scale * part.total;
        y.iter_mut().zip(&part.sums).for_each(|(y, sum)| *y += scale * sum);
    }
    y.iter_mut().for_each(|y| *y /= total);
}
