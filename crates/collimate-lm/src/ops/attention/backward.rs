use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::array;

use super::forward::{Attention, Saved, pieces};
use crate::config::AttentionConfig;
use crate::ops::cpu::{
    COLUMNS, Head, Lanes, ROWS, Rows, by_columns, by_rows, exp, products, rows_of, tanh, tensor,
    turn, turn_back,
};

/// Queries of a tile.
const QUERIES: usize = 64;

/// The gradients of queries, keys and values, from `grad` of the result. Scores are computed again,
/// tile by tile.
pub(super) fn gradients(op: &Attention, saved: &Saved, grad: FlexTensor) -> [FlexTensor; 3] {
    let AttentionConfig { head_dim, num_attention_heads: heads, .. } = op.config;
    let grad = rows_of(grad);
    let [q, k, v, y, grad] = [&saved.q, &saved.k, &saved.v, &saved.y, &grad].map(Rows::new);
    let mut dq = vec![0.0; q.len() * q.width];
    // Of each head of queries by itself, so that heads don't wait for each other.
    let mut dk = vec![0.0; k.len() * q.width];
    let mut dv = vec![0.0; k.len() * q.width];
    let of_keys = [k.sequence, heads, 1];
    let tasks: Vec<_> = pieces(&mut dq, [q.sequence, heads, 1], head_dim)
        .into_iter()
        .zip(pieces(&mut dk, of_keys, head_dim))
        .zip(pieces(&mut dv, of_keys, head_dim))
        .enumerate()
        .map(|(at, ((dq, dk), dv))| {
            let (row, head) = (at / heads, at % heads);
            let own = head * head_dim;
            let shared = head / op.group() * head_dim;
            OneHead {
                op,
                log_sums: LogSums { all: &saved.log_sums, row, head, heads, sequence: q.sequence },
                row,
                q: q.head(row, own, head_dim),
                k: k.head(row, shared, head_dim),
                v: v.head(row, shared, head_dim),
                y: y.head(row, own, head_dim),
                grad: grad.head(row, own, head_dim),
                dq,
                dk,
                dv,
            }
        })
        .collect();
    let arch = Arch::new();
    tasks.into_par_iter().for_each(|task| arch.dispatch(task));
    let shape = [k.batch, k.sequence, k.width];
    let [dk, dv] = [dk, dv].map(|grads| tensor(of_groups(grads, op.group(), head_dim), shape));
    [tensor(dq, [q.batch, q.sequence, q.width]), dk, dv]
}

/// Adds up what the heads of each group say.
fn of_groups(grads: Vec<f32>, group: usize, width: usize) -> Vec<f32> {
    if group == 1 {
        return grads;
    }
    let mut sums = vec![0.0; grads.len() / group];
    sums.par_chunks_mut(width).zip(grads.par_chunks(group * width)).for_each(|(sums, grads)| {
        for grads in grads.chunks(width) {
            sums.iter_mut().zip(grads).for_each(|(sum, grad)| *sum += grad);
        }
    });
    sums
}

#[derive(Clone, Copy)]
struct LogSums<'a> {
    all: &'a [f32],
    row: usize,
    head: usize,
    heads: usize,
    sequence: usize,
}

impl LogSums<'_> {
    fn of(&self, query: usize) -> f32 {
        self.all[(self.row * self.sequence + query) * self.heads + self.head]
    }
}

/// One head of queries of one row.
struct OneHead<'a, 'b> {
    op: &'a Attention,
    log_sums: LogSums<'a>,
    row: usize,
    q: Head<'a>,
    k: Head<'a>,
    v: Head<'a>,
    y: Head<'a>,
    grad: Head<'a>,
    dq: Vec<&'b mut [f32]>,
    dk: Vec<&'b mut [f32]>,
    dv: Vec<&'b mut [f32]>,
}

impl WithSimd for OneHead<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { op, log_sums, row, q, k, v, y, grad, mut dq, mut dk, mut dv } = self;
        let width = op.config.head_dim;
        let scale = op.config.scale as f32;
        let cap = op.config.softcap.map(|cap| cap as f32);
        let (queries, keys) = (dq.len(), dk.len());
        let ranges = &op.ranges[row * queries..][..queries];
        // What the softmax takes back from each query.
        let common: Vec<f32> = (0..queries)
            .map(|at| products::<S, f32, 1, 1, 1>(simd, [grad.row(at)], [y.row(at)])[0][0])
            .collect();
        let (mut copies, mut more) = (Vec::new(), Vec::new());
        let q = q.copied(0..queries, &mut copies);
        let grad = grad.copied(0..queries, &mut more);
        let panels = width.div_ceil(COLUMNS);
        let mut turned_k: Vec<Lanes> = vec![[0.0; COLUMNS]; width];
        let mut turned_v: Vec<Lanes> = vec![[0.0; COLUMNS]; width];
        let mut straight_k: Vec<[Lanes; COLUMNS]> = vec![[[0.0; COLUMNS]; COLUMNS]; panels];
        let mut sums_k: Vec<Lanes> = vec![[0.0; COLUMNS]; width];
        let mut sums_v: Vec<Lanes> = vec![[0.0; COLUMNS]; width];
        for first in (0..keys).step_by(COLUMNS) {
            let count = COLUMNS.min(keys - first);
            let end = (first + count) as u32;
            let (mut k_rows, mut v_rows) = ([[].as_slice(); COLUMNS], [[].as_slice(); COLUMNS]);
            for lane in 0..COLUMNS {
                // Beyond the last key, anything will do.
                let key = (first + lane).min(keys - 1);
                (k_rows[lane], v_rows[lane]) = (k.row(key), v.row(key));
                for (panel, from) in straight_k.iter_mut().zip(k.row(key).chunks(COLUMNS)) {
                    panel[lane][..from.len()].copy_from_slice(from);
                }
            }
            turn(k_rows, &mut turned_k);
            turn(v_rows, &mut turned_v);
            sums_k.fill([0.0; COLUMNS]);
            sums_v.fill([0.0; COLUMNS]);
            for begin in (0..queries).step_by(QUERIES) {
                let many = QUERIES.min(queries - begin);
                let here = &ranges[begin..begin + many];
                if here.iter().all(|range| {
                    range.end <= first as u32 || range.start >= end || range.is_empty()
                }) {
                    continue;
                }
                let mut p = [[0.0; COLUMNS]; QUERIES];
                let mut ds = [[0.0; COLUMNS]; QUERIES];
                for (at, tile) in (begin..begin + many).step_by(ROWS).zip(p.as_chunks_mut().0) {
                    let rows = array::from_fn(|row| q.row((at + row).min(queries - 1)));
                    by_rows(simd, rows, &turned_k, tile);
                }
                for (at, tile) in (begin..begin + many).step_by(ROWS).zip(ds.as_chunks_mut().0) {
                    let rows = array::from_fn(|row| grad.row((at + row).min(queries - 1)));
                    by_rows(simd, rows, &turned_v, tile);
                }
                p.as_flattened_mut().iter_mut().for_each(|score| *score *= scale);
                let mut slopes = [[scale; COLUMNS]; QUERIES];
                if let Some(cap) = cap {
                    let slopes = slopes.as_flattened_mut().iter_mut();
                    for (score, slope) in p.as_flattened_mut().iter_mut().zip(slopes) {
                        let t = tanh(*score / cap);
                        *score = cap * t;
                        *slope *= 1.0 - t * t;
                    }
                }
                let rows = p.iter_mut().zip(&mut ds).zip(&slopes);
                for (of, ((p, ds), slopes)) in rows.take(many).enumerate() {
                    let (log_sum, common) = (log_sums.of(begin + of), common[begin + of]);
                    for lane in 0..COLUMNS {
                        let key = (first + lane) as u32;
                        let hidden = (key < here[of].start) | (key >= here[of].end);
                        let part = exp(p[lane] - log_sum);
                        p[lane] = if hidden { 0.0 } else { part };
                        ds[lane] = p[lane] * (ds[lane] - common) * slopes[lane];
                    }
                }
                let (p, ds) = (&p[..many], &mut ds);
                let sums = sums_k.as_chunks_mut().0.iter_mut().zip(sums_v.as_chunks_mut().0);
                for (column, (sums_k, sums_v)) in (0..width).step_by(ROWS).zip(sums) {
                    by_columns(simd, grad.from(begin, column), grad.stride, p, sums_v);
                    by_columns(simd, q.from(begin, column), q.stride, &ds[..many], sums_k);
                }
                ds[many..].fill([0.0; COLUMNS]);
                let targets = dq[begin..begin + many].chunks_mut(ROWS);
                for (ds, dq) in ds.as_chunks::<ROWS>().0.iter().zip(targets) {
                    for (panel, column) in straight_k.iter().zip((0..width).step_by(COLUMNS)) {
                        let mut tile = [[0.0; COLUMNS]; ROWS];
                        by_rows(simd, ds.each_ref().map(|row| row.as_slice()), panel, &mut tile);
                        for (dq, tile) in dq.iter_mut().zip(&tile) {
                            dq[column..].iter_mut().zip(tile).for_each(|(dq, tile)| *dq += tile);
                        }
                    }
                }
            }
            turn_back(&sums_k, &mut dk[first..first + count]);
            turn_back(&sums_v, &mut dv[first..first + count]);
        }
    }
}
