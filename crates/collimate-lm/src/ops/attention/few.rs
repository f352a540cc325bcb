//! Attention of a few queries to many keys, as when a text is continued token by token: the keys are
//! divided among the threads, and each is read once for all queries that share it.

use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;

use super::forward::Attention;
use crate::ops::cpu::{Head, Rows, exp, lane_sum, tanh};

/// Queries that share keys.
pub(super) const MOST: usize = 8;

/// Keys of one task.
const KEYS: usize = 256;

/// Writes the attention of at most [`MOST`] queries of each head of keys to `y`.
pub(super) fn attention(op: &Attention, [queries, keys, values]: [Rows<'_>; 3], y: &mut [f32]) {
    let width = op.config.head_dim;
    let heads = op.config.num_key_value_heads;
    let group = op.group();
    let parts = keys.sequence.div_ceil(KEYS);
    let arch = Arch::new();
    let part = |at: usize| {
        let (row, head, part) = (at / (heads * parts), at / parts % heads, at % parts);
        let queries: Vec<_> = (0..queries.sequence * group)
            .map(|of| {
                let at = row * queries.sequence + of / group;
                let column = (head * group + of % group) * width;
                (&queries.row(at)[column..][..width], &op.ranges[at])
            })
            .collect();
        let keys_here = part * KEYS..((part + 1) * KEYS).min(keys.sequence);
        let keys = keys.head(row, head * width, width);
        let values = values.head(row, head * width, width);
        arch.dispatch(
            #[inline(always)]
            || some(op, &queries, keys, values, keys_here),
        )
    };
    let tasks = 0..queries.batch * heads * parts;
    let found: Vec<Vec<Part>> = if keys.len() * keys.width < SMALL {
        tasks.map(part).collect()
    } else {
        tasks.into_par_iter().map(part).collect()
    };
    if parts == 0 {
        return;
    }
    for (at, y) in y.chunks_mut(width).enumerate() {
        let (at, head) = (at / (heads * group), at % (heads * group));
        let (row, query) = (at / queries.sequence, at % queries.sequence);
        let of = query * group + head % group;
        let found = &found[(row * heads + head / group) * parts..][..parts];
        merge(found.iter().map(|part| &part[of]), y);
    }
}

/// Numbers that are not worth the threads.
const SMALL: usize = 1 << 14;

/// What a query sees in some keys.
struct Part {
    /// The largest score.
    most: f32,
    /// The sum of the exponentials relative to it.
    total: f32,
    /// The values, each times its exponential.
    sums: Vec<f32>,
}

#[inline(always)]
fn some(
    op: &Attention,
    queries: &[(&[f32], &Range<u32>)],
    keys: Head<'_>,
    values: Head<'_>,
    all: Range<usize>,
) -> Vec<Part> {
    let mut scores = [[0.0; KEYS]; MOST];
    for (at, key) in all.clone().enumerate() {
        let key = keys.row(key);
        for (scores, (query, _)) in scores.iter_mut().zip(queries) {
            scores[at] = lane_sum(query, key, |query, key| query * key);
        }
    }
    let mut parts = Vec::with_capacity(queries.len());
    for (scores, (query, range)) in scores.iter_mut().zip(queries) {
        let scores = &mut scores[..all.len()];
        scores.iter_mut().for_each(|score| *score *= op.config.scale as f32);
        if let Some(cap) = op.config.softcap {
            scores.iter_mut().for_each(|score| *score = cap as f32 * tanh(*score / cap as f32));
        }
        for (score, key) in scores.iter_mut().zip(all.clone()) {
            if !range.contains(&(key as u32)) {
                *score = f32::NEG_INFINITY;
            }
        }
        let most =
            scores.iter().fold(f32::NEG_INFINITY, |most, &s| if s > most { s } else { most });
        let relative = if most == f32::NEG_INFINITY { 0.0 } else { most };
        scores.iter_mut().for_each(|score| *score = exp(*score - relative));
        parts.push(Part { most, total: scores.iter().sum(), sums: vec![0.0; query.len()] });
    }
    for (at, key) in all.enumerate() {
        let value = values.row(key);
        for (part, scores) in parts.iter_mut().zip(&scores) {
            for (sum, value) in part.sums.iter_mut().zip(value) {
                *sum += scores[at] * value;
            }
        }
    }
    parts
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
