//! Candidates for near duplicates: locality-sensitive hashing of MinHash signatures.

use rayon::prelude::*;

use super::components::Components;
use super::shingle::{jaccard, mix};
use crate::order::{Purpose, Stream};

/// Of a band that more texts share, each is compared with the first and as many before it.
const CROWDED: usize = 64;

/// Probability that a pair at the threshold is found, at least.
const RECALL: f64 = 0.999;

/// Hash functions in bands of equal size.
#[derive(Clone, Debug)]
pub(super) struct Bands {
    /// `h(x) = (a·x + c mod 2^64) / 2^32`, `a` odd: for each band its `(a, c)`.
    bands: Vec<Vec<(u64, u64)>>,
}

/// What the members of one bucket came to.
#[derive(Default)]
struct Bucket {
    pairs: Vec<(usize, usize)>,
    compared: u64,
}

impl Bands {
    /// Bands from at most `hashes` functions that find pairs at a threshold.
    pub(super) fn new(threshold: f64, hashes: usize, seed: u64) -> Self {
        let fits = |size: &usize| recall(threshold, hashes / size, *size) >= RECALL;
        let size = (1..=hashes).rev().find(fits).unwrap_or(1);
        let mut stream = Stream::new(seed, Purpose::MinHash, 0);
        let mut band = || (0..size).map(|_| (stream.next() | 1, stream.next())).collect();
        Self { bands: (0..hashes / size).map(|_| band()).collect() }
    }

    /// The probability that a pair of this similarity becomes a candidate.
    pub(super) fn recall(&self, similarity: f64) -> f64 {
        recall(similarity, self.bands.len(), self.bands.first().map_or(1, Vec::len))
    }

    /// Joins all candidates at or above a threshold; returns how many pairs were compared, and
    /// how many were not because too many texts share a band.
    pub(super) fn join(
        &self,
        rows: &[usize],
        set: &(impl Fn(usize) -> Vec<u64> + Sync),
        threshold: f64,
        components: &mut Components,
    ) -> (u64, u64) {
        let width = self.bands.len();
        let keys: Vec<u64> =
            rows.par_iter().flat_map_iter(|&row| self.keys(&set(row), row as u64)).collect();
        let (mut compared, mut not_compared) = (0, 0);
        for band in 0..width {
            let column = keys.iter().skip(band).step_by(width).copied();
            let mut column: Vec<(u64, usize)> = column.zip(rows.iter().copied()).collect();
            column.par_sort_unstable();
            let shared: Vec<&[(u64, usize)]> =
                column.chunk_by(|a, b| a.0 == b.0).filter(|bucket| bucket.len() > 1).collect();
            let found: Vec<Bucket> = shared
                .par_iter()
                .map(|bucket| compare(bucket, set, threshold, components))
                .collect();
            for bucket in found {
                compared += bucket.compared;
                for (a, b) in bucket.pairs {
                    components.join(a, b);
                }
            }
            not_compared +=
                shared.par_iter().map(|bucket| left_apart(bucket, components)).sum::<u64>();
        }
        (compared, not_compared)
    }

    /// One key for each band. A text without pieces gets keys that are its own.
    fn keys(&self, set: &[u64], row: u64) -> Vec<u64> {
        let smallest = |&(a, c): &(u64, u64)| {
            let hashes = set.iter().map(|x| x.wrapping_mul(a).wrapping_add(c) >> 32);
            hashes.min().unwrap_or(u64::MAX - row)
        };
        let key = |band: &Vec<(u64, u64)>| band.iter().map(smallest).fold(0, |key, h| mix(key ^ h));
        self.bands.iter().map(key).collect()
    }
}

/// `1 − (1 − J^r)^b`.
fn recall(similarity: f64, bands: usize, size: usize) -> f64 {
    1.0 - (1.0 - similarity.powi(size as i32)).powi(bands as i32)
}

/// Compares texts that share a band and are not connected yet.
fn compare(
    bucket: &[(u64, usize)],
    set: &(impl Fn(usize) -> Vec<u64> + Sync),
    threshold: f64,
    components: &Components,
) -> Bucket {
    let roots: Vec<usize> = bucket.iter().map(|&(_, row)| components.root(row)).collect();
    if roots.windows(2).all(|pair| pair[0] == pair[1]) {
        return Bucket::default();
    }
    let sets: Vec<Vec<u64>> = bucket.par_iter().map(|&(_, row)| set(row)).collect();
    let of_member = |member: usize| {
        let mut found = Bucket::default();
        for other in partners(member).filter(|&other| roots[other] != roots[member]) {
            found.compared += 1;
            if jaccard(&sets[other], &sets[member]) >= threshold {
                found.pairs.push((bucket[other].1, bucket[member].1));
            }
        }
        found
    };
    let merge = |mut all: Bucket, more: Bucket| {
        all.pairs.extend(more.pairs);
        all.compared += more.compared;
        all
    };
    (0..bucket.len()).into_par_iter().map(of_member).reduce(Bucket::default, merge)
}

/// The earlier members of a bucket that one is compared with.
fn partners(member: usize) -> impl Iterator<Item = usize> {
    let window = member.saturating_sub(CROWDED)..member;
    (window.start > 0).then_some(0).into_iter().chain(window)
}

/// Pairs of a bucket that were not compared and are not connected either.
fn left_apart(bucket: &[(u64, usize)], components: &Components) -> u64 {
    if bucket.len() <= CROWDED + 1 {
        return 0;
    }
    let roots: Vec<usize> = bucket.iter().map(|&(_, row)| components.root(row)).collect();
    let pairs = |count: usize| count as u64 * (count as u64 - 1) / 2;
    let is_apart = |member: usize, other: &usize| roots[*other] != roots[member];
    let compared: usize = (0..roots.len())
        .map(|member| partners(member).filter(|other| is_apart(member, other)).count())
        .sum();
    let mut sorted = roots.clone();
    sorted.sort_unstable();
    let connected: u64 = sorted.chunk_by(|a, b| a == b).map(|same| pairs(same.len())).sum();
    pairs(roots.len()) - connected - compared as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_as_long_as_recall_allows() {
        let bands = Bands::new(0.8, 128, 1);
        assert_eq!((bands.bands.len(), bands.bands[0].len()), (25, 5));
        assert!((bands.recall(0.8) - 0.999_951).abs() < 1e-6);
        assert!(bands.recall(0.3) < 0.06);
        assert_eq!(Bands::new(1.0, 128, 1).bands[0].len(), 128);
        assert_eq!(Bands::new(0.01, 128, 1).bands[0].len(), 1);
    }

    #[test]
    fn signatures_agree_as_often_as_the_similarity_says() {
        let bands = Bands::new(0.05, 1024, 3);
        let (a, b): (Vec<u64>, Vec<u64>) =
            ((0..300).map(mix).collect(), (100..400).map(mix).collect());
        let (left, right) = (bands.keys(&a, 0), bands.keys(&b, 1));
        let agree = left.iter().zip(&right).filter(|(x, y)| x == y).count() as f64;
        assert!((agree / left.len() as f64 - 0.5).abs() < 0.05, "{agree} of {}", left.len());
    }

    #[test]
    fn texts_without_pieces_share_no_band() {
        let bands = Bands::new(0.8, 128, 1);
        let (left, right) = (bands.keys(&[], 0), bands.keys(&[], 1));
        assert!(left.iter().zip(&right).all(|(x, y)| x != y));
    }
}
