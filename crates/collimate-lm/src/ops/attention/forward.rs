//! Attention that keeps no more scores than a tile (Dao et al., FlashAttention, 2022,
//! arXiv:2205.14135), on the CPU.
//!
//! The numbers of a register belong to as many queries, so that nothing is ever summed across one;
//! the queries of the heads that share keys lie side by side.

use std::array;
use std::ops::Range;

use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{Visible, backward, few};
use crate::config::AttentionConfig;
use crate::ops::cpu::{
    self, COLUMNS, CpuOp, Head, Lanes, ROWS, Rows, by_columns, by_rows, exp, rows_of, tanh, tensor,
    turn, turn_back,
};

/// Keys of a tile.
const KEYS: usize = 64;
/// Queries of a task.
const QUERIES: usize = 8 * COLUMNS;

/// Attention on the CPU; none if a tensor is elsewhere, or the heads don't fit the tiles.
pub(super) fn on_cpu(
    inputs: [&Tensor<3>; 3],
    visible: Visible<'_>,
    config: &AttentionConfig,
) -> Option<Tensor<3>> {
    if !config.head_dim.is_multiple_of(ROWS) {
        return None;
    }
    let [batch, sequence, _] = inputs[0].dims();
    let [_, keys, _] = inputs[1].dims();
    let ranges = (0..batch * sequence)
        .map(|at| {
            let range = visible.range(at / sequence, at % sequence, sequence);
            range.start.min(keys) as u32..range.end.min(keys) as u32
        })
        .collect();
    let op = Attention { config: *config, ranges };
    cpu::apply(op, inputs.map(cpu::input))
}

/// The operator: queries, keys, values.
#[derive(Clone, Debug)]
pub(super) struct Attention {
    pub(super) config: AttentionConfig,
    /// The keys that each query sees.
    pub(super) ranges: Vec<Range<u32>>,
}

/// What backward needs.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) q: FlexTensor,
    pub(super) k: FlexTensor,
    pub(super) v: FlexTensor,
    pub(super) y: FlexTensor,
    /// The logarithm of the sum of the exponentials of the scores, `[batch, sequence, heads]`;
    /// infinite for a query that sees nothing.
    pub(super) log_sums: Vec<f32>,
}

impl CpuOp<3> for Attention {
    type Saved = Saved;

    fn forward(&self, inputs: [FlexTensor; 3], tracked: [bool; 3]) -> (FlexTensor, Option<Saved>) {
        let [q, k, v] = inputs.map(rows_of);
        let (queries, keys, values) = (Rows::new(&q), Rows::new(&k), Rows::new(&v));
        let Rows { batch, sequence, width, .. } = queries;
        let heads = self.config.num_attention_heads;
        let kept = tracked.contains(&true);
        let mut y = vec![0.0; batch * sequence * width];
        let mut log_sums = vec![f32::INFINITY; if kept { batch * sequence * heads } else { 0 }];
        // Only where a text is continued, so that training is the same recorded or not.
        let continued = sequence == 1 || keys.sequence > sequence;
        if !kept && continued && sequence * self.group() <= few::MOST {
            few::attention(self, [queries, keys, values], &mut y);
        } else {
            self.by_tiles([queries, keys, values], &mut y, &mut log_sums);
        }
        let y = tensor(y, [batch, sequence, width]);
        let saved = kept.then(|| Saved { q, k, v, y: y.clone(), log_sums });
        (y, saved)
    }

    fn backward(&self, saved: Saved, grad: FlexTensor, _: [bool; 3]) -> [Option<FlexTensor>; 3] {
        backward::gradients(self, &saved, grad).map(Some)
    }
}

impl Attention {
    /// Heads of queries for each head of keys.
    pub(super) fn group(&self) -> usize {
        self.config.num_attention_heads / self.config.num_key_value_heads
    }

    fn by_tiles(
        &self,
        [queries, keys, values]: [Rows<'_>; 3],
        y: &mut [f32],
        log_sums: &mut [f32],
    ) {
        let AttentionConfig { head_dim, num_attention_heads, num_key_value_heads, .. } =
            self.config;
        let of = [queries.sequence, num_attention_heads, self.group()];
        let ys = pieces(y, of, head_dim);
        let mut log_sums = pieces(log_sums, of, 1).into_iter();
        let mut tasks = Vec::new();
        for (at, ys) in ys.into_iter().enumerate() {
            let (row, head) = (at / num_key_value_heads, at % num_key_value_heads);
            let mut log_sums = log_sums.next().unwrap_or_default().into_iter();
            let mut ys = ys.into_iter();
            for first in (0..ys.len()).step_by(QUERIES) {
                tasks.push(Task {
                    op: self,
                    queries,
                    keys: keys.head(row, head * head_dim, head_dim),
                    values: values.head(row, head * head_dim, head_dim),
                    row,
                    head,
                    first,
                    y: ys.by_ref().take(QUERIES).collect(),
                    log_sums: log_sums.by_ref().take(QUERIES).collect(),
                });
            }
        }
        let arch = Arch::new();
        // The last see most keys.
        tasks.into_par_iter().rev().for_each(|task| arch.dispatch(task));
    }
}

/// Divides `[batch, sequence, heads, width]` by row and group of heads; each gets the pieces of its
/// queries, and of each query those of its heads.
pub(super) fn pieces(
    numbers: &mut [f32],
    [sequence, heads, group]: [usize; 3],
    width: usize,
) -> Vec<Vec<&mut [f32]>> {
    let rows = numbers.len() / (sequence * heads * width).max(1);
    let groups = heads / group;
    let mut pieces: Vec<_> =
        (0..rows * groups).map(|_| Vec::with_capacity(sequence * group)).collect();
    for (at, piece) in numbers.chunks_mut(group * width).enumerate() {
        let (row, head) = (at / (sequence * groups), at % groups);
        pieces[row * groups + head].extend(piece.chunks_mut(width));
    }
    pieces
}

/// Some queries of the heads that share keys.
struct Task<'a, 'b> {
    op: &'a Attention,
    queries: Rows<'a>,
    keys: Head<'a>,
    values: Head<'a>,
    row: usize,
    /// Of the keys.
    head: usize,
    /// The first of the queries, counted query by query and of each the heads.
    first: usize,
    y: Vec<&'b mut [f32]>,
    /// Empty if nothing asks for them.
    log_sums: Vec<&'b mut [f32]>,
}

impl WithSimd for Task<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let lanes = 0..self.y.len();
        let ranges = lanes.map(|lane| &self.op.ranges[self.query(lane).0]);
        let seen = any(ranges.map(|range| (range.start, range.end)));
        let (mut copies, mut more) = (Vec::new(), Vec::new());
        let keys = self.keys.copied(seen.clone(), &mut copies);
        let values = self.values.copied(seen.clone(), &mut more);
        let mut log_sums = std::mem::take(&mut self.log_sums);
        let mut log_sums = log_sums.chunks_mut(COLUMNS);
        for (block, y) in std::mem::take(&mut self.y).chunks_mut(COLUMNS).enumerate() {
            let log_sums = log_sums.next().unwrap_or_default();
            self.block(simd, block * COLUMNS, (seen.start, keys, values), y, log_sums);
        }
    }
}

impl Task<'_, '_> {
    /// Where a query is: its row, and its first number in it.
    fn query(&self, lane: usize) -> (usize, usize) {
        let (at, group) = (self.first + lane, self.op.group());
        let column = (self.head * group + at % group) * self.op.config.head_dim;
        (self.row * self.queries.sequence + at / group, column)
    }

    /// As many queries as a tile has columns; keys and values begin with key `origin`.
    #[inline(always)]
    fn block<S: Simd>(
        &self,
        simd: S,
        first: usize,
        (origin, keys, values): (usize, Head<'_>, Head<'_>),
        y: &mut [&mut [f32]],
        log_sums: &mut [&mut [f32]],
    ) {
        let op = self.op;
        let width = op.config.head_dim;
        let mut turned: Vec<Lanes> = vec![[0.0; COLUMNS]; width];
        let mut ranges = [[0; COLUMNS]; 2];
        let mut rows = [[].as_slice(); COLUMNS];
        for (lane, row) in rows.iter_mut().enumerate() {
            // Beyond the last query, anything will do.
            let (at, column) = self.query(first + lane.min(y.len() - 1));
            *row = &self.queries.row(at)[column..][..width];
            ranges[0][lane] = op.ranges[at].start;
            ranges[1][lane] = op.ranges[at].end;
        }
        turn(rows, &mut turned);
        turned.as_flattened_mut().iter_mut().for_each(|query| *query *= op.config.scale as f32);
        let seen = Seen::new(ranges);
        let mut sums: Vec<Lanes> = vec![[0.0; COLUMNS]; width];
        let mut most = [f32::NEG_INFINITY; COLUMNS];
        let mut total = [0.0; COLUMNS];
        let mut scores = [[0.0; COLUMNS]; KEYS];
        for begin in seen.any.clone().step_by(KEYS) {
            let count = KEYS.min(seen.any.end - begin);
            for (at, tile) in (begin..begin + count).step_by(ROWS).zip(scores.as_chunks_mut().0) {
                let rows =
                    array::from_fn(|row| keys.row((at + row).min(seen.any.end - 1) - origin));
                by_rows(simd, rows, &turned, tile);
            }
            let scores = &mut scores[..count];
            if let Some(cap) = op.config.softcap {
                let cap = cap as f32;
                for score in scores.as_flattened_mut() {
                    *score = cap * tanh(*score / cap);
                }
            }
            seen.hide(begin, scores);
            let scale = exponentials(scores, &mut most, &mut total);
            if scale != [1.0; COLUMNS] {
                for sums in &mut sums {
                    for lane in 0..COLUMNS {
                        sums[lane] *= scale[lane];
                    }
                }
            }
            for (column, sums) in (0..width).step_by(ROWS).zip(sums.as_chunks_mut().0) {
                let left = values.from(begin - origin, column);
                by_columns(simd, left, values.stride, scores, sums);
            }
        }
        let shares = total.map(|total| if total == 0.0 { 0.0 } else { 1.0 / total });
        for sums in &mut sums {
            for lane in 0..COLUMNS {
                sums[lane] *= shares[lane];
            }
        }
        turn_back(&sums, y);
        for (lane, log_sum) in log_sums.iter_mut().enumerate() {
            if total[lane] != 0.0 {
                log_sum.fill(most[lane] + total[lane].ln());
            }
        }
    }
}

/// Turns scores into exponentials relative to the largest so far, adds them to `total`, and gives by
/// how much what was summed before is now to be multiplied.
#[inline(always)]
fn exponentials(scores: &mut [Lanes], most: &mut Lanes, total: &mut Lanes) -> Lanes {
    let before = *most;
    for scores in scores.iter() {
        for lane in 0..COLUMNS {
            most[lane] = if scores[lane] > most[lane] { scores[lane] } else { most[lane] };
        }
    }
    // Of a query that has seen nothing yet, all are zero.
    let relative = most.map(|most| if most == f32::NEG_INFINITY { 0.0 } else { most });
    let mut scale = [0.0; COLUMNS];
    for lane in 0..COLUMNS {
        scale[lane] = exp(before[lane] - relative[lane]);
        total[lane] *= scale[lane];
    }
    for scores in scores.iter_mut() {
        for lane in 0..COLUMNS {
            scores[lane] = exp(scores[lane] - relative[lane]);
            total[lane] += scores[lane];
        }
    }
    scale
}

/// The keys that are in any of the ranges.
fn any(ranges: impl Iterator<Item = (u32, u32)> + Clone) -> Range<usize> {
    let some = ranges.filter(|(first, end)| first < end);
    let first = some.clone().map(|(first, _)| first).min().unwrap_or(0);
    first as usize..some.map(|(_, end)| end).max().unwrap_or(0) as usize
}

/// What a few queries see.
struct Seen {
    /// The first key of each, and the one behind the last.
    ranges: [[u32; COLUMNS]; 2],
    /// The keys that any of them sees.
    any: Range<usize>,
    /// The keys that all of them see.
    all: Range<usize>,
}

impl Seen {
    fn new(ranges: [[u32; COLUMNS]; 2]) -> Self {
        let each = || ranges[0].into_iter().zip(ranges[1]);
        let any = any(each());
        let all = each().map(|(first, _)| first as usize).max().unwrap_or(0)
            ..each().map(|(_, end)| end as usize).min().unwrap_or(0);
        Self { ranges, any, all }
    }

    /// Hides what a query does not see of the keys from `begin` on.
    #[inline(always)]
    fn hide(&self, begin: usize, scores: &mut [Lanes]) {
        if self.all.start <= begin && begin + scores.len() <= self.all.end {
            return;
        }
        for (key, scores) in (begin as u32..).zip(scores) {
            let ranges = self.ranges[0].iter().zip(&self.ranges[1]);
            for (score, (first, end)) in scores.iter_mut().zip(ranges) {
                let hidden = (key < *first) | (key >= *end);
                *score = if hidden { f32::NEG_INFINITY } else { *score };
            }
        }
    }
}
