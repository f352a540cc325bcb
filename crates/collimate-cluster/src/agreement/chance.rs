//! What agreement permuted labels would reach.

use super::contingency::Contingency;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use serde::Serialize;
use std::collections::BTreeMap;

/// Probabilities below this are left out of sums.
const NEGLIGIBLE: f64 = 1e-40;

/// What random permutations of the labels gave, class and cluster sizes unchanged.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Permutations {
    /// Number of permutations.
    pub count: usize,
    /// The seed they came from.
    pub seed: u64,
    /// `(1 + #{adjusted Rand of permuted labels ≥ adjusted Rand}) / (count + 1)`, exact in level
    /// for any `count` (Phipson & Smyth 2010).
    pub p_value: f64,
    /// Mean purity.
    pub mean_purity: f64,
}

impl Contingency {
    /// Permutes the labels `count` times. `None` for no permutation.
    ///
    /// The same seed gives the same result on every machine.
    #[must_use]
    pub fn permute(&self, count: usize, seed: u64) -> Option<Permutations> {
        if count == 0 {
            return None;
        }
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut codes: Vec<usize> = self
            .class_sizes()
            .iter()
            .enumerate()
            .flat_map(|(class, &size)| std::iter::repeat_n(class, size))
            .collect();
        let mut in_cluster = vec![0_usize; self.class_sizes().len()];
        let observed = self.squared_cells();
        let (mut as_good, mut majority_rows) = (0_usize, 0.0_f64);
        for _ in 0..count {
            shuffle(&mut codes, &mut rng);
            let (mut squares, mut majority) = (0_u128, 0_usize);
            let mut rest = &codes[..];
            for &size in self.cluster_sizes() {
                let (own, others) = rest.split_at(size);
                rest = others;
                own.iter().for_each(|&code| in_cluster[code] += 1);
                let mut largest = 0;
                for &code in own {
                    let rows = std::mem::take(&mut in_cluster[code]);
                    squares += (rows as u128).pow(2);
                    largest = largest.max(rows);
                }
                majority += largest;
            }
            as_good += usize::from(squares >= observed);
            majority_rows += majority as f64;
        }
        Some(Permutations {
            count,
            seed,
            p_value: (1 + as_good) as f64 / (1.0 + count as f64),
            mean_purity: majority_rows / (self.rows() as f64 * count as f64),
        })
    }
}

/// `E[MI]` in nats for partitions into parts of these sizes.
pub(super) fn expected_mutual_information(classes: &[usize], clusters: &[usize]) -> f64 {
    let n = classes.iter().sum::<usize>();
    let mut sum = 0.0;
    for (&a, &classes_of_size) in &multiplicities(classes) {
        for (&b, &clusters_of_size) in &multiplicities(clusters) {
            let independent = a as f64 * (b as f64 / n as f64);
            let cell: f64 = hypergeometric(n, a, b)
                .into_iter()
                .filter(|&(rows, _)| rows > 0)
                .map(|(rows, p)| p * rows as f64 * (rows as f64 / independent).ln())
                .sum();
            sum += cell * classes_of_size as f64 * clusters_of_size as f64;
        }
    }
    sum / n as f64
}

/// `E[purity]` for two classes and clusters of these sizes.
pub(super) fn expected_binary_purity(first: usize, second: usize, clusters: &[usize]) -> f64 {
    let n = first + second;
    let majority: f64 = multiplicities(clusters)
        .into_iter()
        .map(|(size, count)| {
            let mean: f64 = hypergeometric(n, first, size)
                .into_iter()
                .map(|(rows, p)| p * rows.max(size - rows) as f64)
                .sum();
            mean * count as f64
        })
        .sum();
    majority / n as f64
}

/// How often each size occurs.
fn multiplicities(sizes: &[usize]) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for &size in sizes {
        *counts.entry(size).or_insert(0) += 1;
    }
    counts
}

/// The law of the overlap of two random subsets of sizes `a` and `b` of `n` things:
/// `P(x) = C(a, x) C(n−a, b−x) / C(n, b)`.
///
/// Walks from the mode in both directions by the ratio of neighbours and normalizes at the end,
/// so that no factorial is needed and no digit is lost for large `n`.
fn hypergeometric(n: usize, a: usize, b: usize) -> Vec<(usize, f64)> {
    let (low, high) = ((a + b).saturating_sub(n), a.min(b));
    let [n_, a_, b_] = [n, a, b].map(|count| count as f64);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between zero and min(a, b)"
    )]
    let mode = (((a_ + 1.0) * (b_ + 1.0) / (n_ + 2.0)) as usize).clamp(low, high);
    // P(x + 1) / P(x).
    let ratio = |x: usize| {
        let x = x as f64;
        (a_ - x) * (b_ - x) / ((x + 1.0) * (n_ - a_ - b_ + x + 1.0))
    };
    let mut law = vec![(mode, 1.0)];
    let mut p = 1.0;
    for x in mode..high {
        p *= ratio(x);
        if p < NEGLIGIBLE {
            break;
        }
        law.push((x + 1, p));
    }
    p = 1.0;
    for x in (low..mode).rev() {
        p /= ratio(x);
        if p < NEGLIGIBLE {
            break;
        }
        law.push((x, p));
    }
    let total: f64 = law.iter().map(|(_, p)| p).sum();
    law.iter_mut().for_each(|(_, p)| *p /= total);
    law
}

/// A uniform permutation in place (Fisher & Yates), without bias (Lemire 2019).
fn shuffle(items: &mut [usize], rng: &mut Xoshiro256PlusPlus) {
    for i in (1..items.len()).rev() {
        let bound = i as u64 + 1;
        let threshold = bound.wrapping_neg() % bound;
        let chosen = loop {
            let wide = u128::from(rng.next_u64()) * u128::from(bound);
            #[allow(clippy::cast_possible_truncation, reason = "the halves are meant")]
            if wide as u64 >= threshold {
                break (wide >> 64) as usize;
            }
        };
        items.swap(i, chosen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hypergeometric_law_is_that_of_counting() {
        // C(3, x) C(4, 3 - x) / C(7, 3).
        let mut law = hypergeometric(7, 3, 3);
        law.sort_by_key(|(x, _)| *x);
        let expected = [4.0, 18.0, 12.0, 1.0].map(|ways| ways / 35.0);
        assert_eq!(law.len(), 4);
        for ((_, p), q) in law.iter().zip(expected) {
            assert!((p - q).abs() < 1e-15, "{p} {q}");
        }
    }

    #[test]
    fn a_law_of_large_numbers_has_its_known_mean_and_variance() {
        let (n, a, b) = (1_000_000_usize, 300_000_usize, 200_000_usize);
        let law = hypergeometric(n, a, b);
        let mean: f64 = law.iter().map(|&(x, p)| x as f64 * p).sum();
        let variance: f64 = law.iter().map(|&(x, p)| (x as f64 - mean).powi(2) * p).sum();
        assert!((mean / 60_000.0 - 1.0).abs() < 1e-12);
        let known = 60_000.0 * 0.7 * 0.8 * n as f64 / (n as f64 - 1.0);
        assert!((variance / known - 1.0).abs() < 1e-9, "{variance} {known}");
    }

    #[test]
    fn binary_purity_is_expected_as_enumerated() {
        // All C(4, 2) labelings of clusters {1, 2} {3, 4}: two have purity 1, four 1/2.
        let expected = expected_binary_purity(2, 2, &[2, 2]);
        assert!((expected - 2.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn a_shuffle_is_uniform() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut seen = BTreeMap::new();
        for _ in 0..6_000 {
            let mut items = [0, 1, 2];
            shuffle(&mut items, &mut rng);
            *seen.entry(items).or_insert(0_i32) += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!(seen.values().all(|count| (count - 1000).abs() < 120), "{seen:?}");
    }
}
