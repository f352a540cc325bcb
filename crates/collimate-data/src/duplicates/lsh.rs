//! Candidates for near duplicates: locality-sensitive hashing of MinHash signatures.

use std::ops::Range;

use rayon::prelude::*;

use super::components::{Components, Number};
use super::shingle::{jaccard, mix};
use crate::order::{Purpose, Stream};

/// Of a band that more texts share, each is compared with the first and as many before it.
pub(super) const CROWDED: usize = 64;

/// Probability that a pair at the threshold is found, at least.
const RECALL: f64 = 0.999;

/// Pairs of rows, or of members of a bucket.
pub(super) type Pairs<N> = Vec<(N, N)>;

/// Hash functions in bands of equal size.
#[derive(Clone, Debug)]
pub(super) struct Bands {
    /// `h(x) = (a·x + c mod 2^64) / 2^32`, `a` odd: for each band its `(a, c)`.
    bands: Vec<Vec<(u64, u64)>>,
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
        recall(similarity, self.len(), self.size())
    }

    /// Joins all candidates at or above a threshold; returns how many pairs were compared, and
    /// how many were not because too many texts share a band.
    pub(super) fn join(
        &self,
        rows: &[usize],
        set: &(impl Fn(usize) -> Vec<u64> + Sync),
        threshold: f64,
        components: &mut Components<usize>,
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
            let found: Vec<(Pairs<usize>, u64)> = shared
                .par_iter()
                .map(|bucket| {
                    let roots = roots(bucket, components);
                    if roots.windows(2).all(|pair| pair[0] == pair[1]) {
                        return (Vec::new(), 0);
                    }
                    let sets: Vec<Vec<u64>> = bucket.par_iter().map(|&(_, row)| set(row)).collect();
                    let alike = |a: usize, b: usize| jaccard(&sets[a], &sets[b]) >= threshold;
                    let (pairs, compared) = compare(0..bucket.len(), &roots, alike);
                    (pairs.into_iter().map(|(a, b)| (bucket[a].1, bucket[b].1)).collect(), compared)
                })
                .collect();
            for (pairs, of_bucket) in found {
                compared += of_bucket;
                for (a, b) in pairs {
                    components.join(a, b);
                }
            }
            let crowded = shared.par_iter().filter(|bucket| is_crowded(bucket.len()));
            not_compared +=
                crowded.map(|bucket| left_apart(roots(bucket, components))).sum::<u64>();
        }
        (compared, not_compared)
    }

    /// One key for each band. A text without pieces gets keys that are its own.
    fn keys(&self, set: &[u64], row: u64) -> Vec<u64> {
        let mut smallest = self.smallest(set);
        let size = self.size();
        let mut key = || {
            let band = smallest.by_ref().take(size);
            band.fold(0, |key, hash| mix(key ^ hash.unwrap_or(u64::MAX - row)))
        };
        (0..self.len()).map(|_| key()).collect()
    }

    /// The smallest value of each hash function, one band after the other; nothing for a text
    /// without pieces.
    pub(super) fn smallest<'a>(&'a self, set: &'a [u64]) -> impl Iterator<Item = Option<u64>> + 'a {
        self.bands.iter().flatten().map(|&(a, c)| {
            let smallest = set.iter().map(|x| x.wrapping_mul(a).wrapping_add(c)).min();
            smallest.map(|hash| hash >> 32)
        })
    }

    /// Number of bands.
    pub(super) fn len(&self) -> usize {
        self.bands.len()
    }

    /// Hash functions of a band.
    pub(super) fn size(&self) -> usize {
        self.bands.first().map_or(1, Vec::len)
    }
}

/// `1 − (1 − J^r)^b`.
fn recall(similarity: f64, bands: usize, size: usize) -> f64 {
    1.0 - (1.0 - similarity.powi(size as i32)).powi(bands as i32)
}

fn roots(bucket: &[(u64, usize)], components: &Components<usize>) -> Vec<usize> {
    bucket.iter().map(|&(_, row)| components.root(row)).collect()
}

/// Compares members of a bucket, which have these roots, with earlier ones that are not connected
/// with them yet; returns pairs that are alike, and how many were compared.
pub(super) fn compare<N: Number + Sync>(
    members: Range<usize>,
    roots: &[N],
    alike: impl Fn(usize, usize) -> bool + Sync,
) -> (Pairs<usize>, u64) {
    let of_member = |member: usize| {
        let (mut pairs, mut compared) = (Vec::new(), 0);
        for other in partners(member).filter(|&other| roots[other] != roots[member]) {
            compared += 1;
            if alike(other, member) {
                pairs.push((other, member));
            }
        }
        (pairs, compared)
    };
    let merge = |(mut all, compared): (Pairs<usize>, u64), (pairs, more)| {
        all.extend(pairs);
        (all, compared + more)
    };
    members.into_par_iter().map(of_member).reduce(|| (Vec::new(), 0), merge)
}

/// The earlier members of a bucket that one is compared with.
pub(super) fn partners(member: usize) -> impl Iterator<Item = usize> {
    let window = member.saturating_sub(CROWDED)..member;
    (window.start > 0).then_some(0).into_iter().chain(window)
}

/// Whether some members of a bucket are not compared with each other.
pub(super) fn is_crowded(members: usize) -> bool {
    members > CROWDED + 1
}

/// Pairs of a crowded bucket that were not compared and are not connected either.
pub(super) fn left_apart<N: Number>(mut roots: Vec<N>) -> u64 {
    let pairs = |count: usize| count as u64 * (count as u64 - 1) / 2;
    let compared: usize = (0..roots.len())
        .map(|member| partners(member).filter(|&other| roots[other] != roots[member]).count())
        .sum();
    roots.sort_unstable();
    let connected: u64 = roots.chunk_by(|a, b| a == b).map(|same| pairs(same.len())).sum();
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
