//! The distribution of lengths.

use std::collections::BTreeMap;

use serde::Serialize;

/// How long rows are, in tokens.
///
/// A quantile `q` is the smallest length that at least a share `q` of the rows does not exceed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LengthSummary {
    /// The shortest.
    pub min: usize,
    /// Half of the rows are not longer.
    pub p50: usize,
    /// 90 % of the rows are not longer.
    pub p90: usize,
    /// 95 % of the rows are not longer.
    pub p95: usize,
    /// 99 % of the rows are not longer.
    pub p99: usize,
    /// The longest.
    pub max: usize,
    /// The mean; 0 without rows.
    pub mean: f64,
    /// Rows by length: 0, 1, 2–3, 4–7, …; without empty buckets at either end.
    pub histogram: Vec<LengthBucket>,
}

/// Rows with a length in a range.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LengthBucket {
    /// The smallest length of the bucket.
    pub from: usize,
    /// The largest length of the bucket.
    pub to: usize,
    /// Rows.
    pub rows: u64,
}

impl LengthSummary {
    /// Summarizes the numbers of rows of each length.
    pub(super) fn new(lengths: &BTreeMap<usize, u64>) -> Self {
        let rows: u64 = lengths.values().sum();
        let tokens: u128 =
            lengths.iter().map(|(&length, &rows)| length as u128 * u128::from(rows)).sum();
        let quantile = |percent: u64| {
            let rank = (u128::from(rows) * u128::from(percent)).div_ceil(100) as u64;
            let mut below = 0;
            let reached = lengths.iter().find(|(_, rows)| {
                below += **rows;
                below >= rank
            });
            reached.map_or(0, |(length, _)| *length)
        };
        Self {
            min: lengths.keys().next().copied().unwrap_or(0),
            p50: quantile(50),
            p90: quantile(90),
            p95: quantile(95),
            p99: quantile(99),
            max: lengths.keys().next_back().copied().unwrap_or(0),
            mean: if rows == 0 { 0.0 } else { tokens as f64 / rows as f64 },
            histogram: histogram(lengths),
        }
    }
}

fn histogram(lengths: &BTreeMap<usize, u64>) -> Vec<LengthBucket> {
    let bucket = |length: usize| usize::BITS - length.leading_zeros();
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for (&length, &rows) in lengths {
        *counts.entry(bucket(length)).or_default() += rows;
    }
    let (Some(&first), Some(&last)) = (counts.keys().next(), counts.keys().next_back()) else {
        return Vec::new();
    };
    let range = |bits: u32| match bits {
        0 => (0, 0),
        bits => (1 << (bits - 1), usize::MAX >> (usize::BITS - bits)),
    };
    let of_bits = |bits: u32| {
        let (from, to) = range(bits);
        LengthBucket { from, to, rows: counts.get(&bits).copied().unwrap_or(0) }
    };
    (first..=last).map(of_bits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_lengths_that_occur() {
        let lengths = (1..=100).map(|length| (length, 1)).collect();
        let summary = LengthSummary::new(&lengths);
        assert_eq!((summary.min, summary.p50, summary.p90), (1, 50, 90));
        assert_eq!((summary.p95, summary.p99, summary.max), (95, 99, 100));
        assert_eq!(summary.mean, 50.5);
        assert_eq!(LengthSummary::new(&BTreeMap::new()), LengthSummary::default());
    }

    #[test]
    fn buckets_are_powers_of_two_without_gaps() {
        let lengths = BTreeMap::from([(0, 1), (1, 1), (3, 2), (8, 1), (usize::MAX, 1)]);
        let buckets = histogram(&lengths);
        let rows = |from| buckets.iter().find(|b| b.from == from).map(|b| (b.to, b.rows));
        assert_eq!(rows(0), Some((0, 1)));
        assert_eq!(rows(2), Some((3, 2)));
        assert_eq!(rows(4), Some((7, 0)));
        assert_eq!(rows(8), Some((15, 1)));
        assert_eq!(buckets.last().map(|b| (b.to, b.rows)), Some((usize::MAX, 1)));
    }
}
