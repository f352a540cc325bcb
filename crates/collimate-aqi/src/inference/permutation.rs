//! Permutation tests: could labels dealt at random separate the rows as well?

use super::space::Space;
use super::units::Units;
use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::json_float;
use crate::moments::Moments;
use crate::rng::Stream;
use crate::sample::Sample;
use ndarray::Array2;
use rayon::prelude::*;
use serde::Serialize;

/// All labelings are enumerated where there are at most this many.
pub(crate) const EXACT_LIMIT: usize = 20_000;

/// Labelings per matrix product.
const BATCH: usize = 64;

/// Labelings held at a time.
const ROUND: usize = 16 * BATCH;

/// A permuted statistic counts as equal to the observed one within this relative error.
const TIE: f64 = 1e-12;

/// Result of a permutation test of `η² = B / (B + W)`.
///
/// The total `B + W` is the same for every labeling, so that the test of `η²` is that of `B`,
/// of Calinski-Harabasz (where it is PERMANOVA's pseudo-F, Anderson 2001) and, for two classes
/// of fixed sizes, of Xie-Beni and AQI.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PermutationTest {
    /// `η²` of the labels as given.
    pub statistic: f64,
    /// Share of labelings that separate at least as well, the given one included.
    pub p_value: f64,
    /// Whether every labeling was enumerated.
    pub exact: bool,
    /// Labelings tried; the given one is among them if `exact`.
    pub permutations: usize,
    /// Mean of `η²` over the labelings tried.
    pub null_mean: f64,
    /// Standard deviation of `η²` over the labelings tried.
    pub null_sd: f64,
    /// `(statistic − null_mean) / null_sd`; infinite where labels can't be exchanged at all or
    /// all labelings give the same value and the given one more.
    #[serde(with = "json_float")]
    pub z: f64,
}

/// `η²` under every labeling tried, observed first where the enumeration is not complete.
#[derive(Clone, Debug)]
pub(crate) struct Null {
    pub(crate) observed: f64,
    pub(crate) values: Vec<f64>,
    pub(crate) exact: bool,
}

impl Null {
    pub(crate) fn test(&self) -> PermutationTest {
        let count = self.values.len() as f64;
        let null_mean = self.values.iter().sum::<f64>() / count;
        let null_sd =
            (self.values.iter().map(|v| (v - null_mean).powi(2)).sum::<f64>() / count).sqrt();
        let excess = self.observed - null_mean;
        let z = if null_sd > 0.0 {
            excess / null_sd
        } else if excess.abs() <= TIE {
            0.0
        } else {
            f64::INFINITY.copysign(excess)
        };
        PermutationTest {
            statistic: self.observed,
            p_value: self.p_value(),
            exact: self.exact,
            permutations: self.values.len(),
            null_mean,
            null_sd,
            z,
        }
    }

    fn p_value(&self) -> f64 {
        let bar = self.observed * (1.0 - TIE);
        let reached = self.values.iter().filter(|&&value| value >= bar).count() as f64;
        let count = self.values.len() as f64;
        if self.exact { reached / count } else { (1.0 + reached) / (1.0 + count) }
    }
}

/// Tests whether the labels of a sample separate its rows better than labels dealt at random.
///
/// Labels are exchanged within axioms where the sample has them, and by whole groups where it
/// has groups. If there are at most 20,000 different labelings all are tried and the p-value is
/// exact; else `permutations` are drawn with `seed`, and `p = (1 + #{B_π ≥ B}) / (1 + P)`
/// (Phipson & Smyth 2010). The result does not depend on the number of threads.
///
/// ```
/// use collimate_aqi::{Labels, Sample, permutation_test};
/// use ndarray::array;
/// let rows = array![[0.0], [2.0], [10.0], [12.0]];
/// let labels = Labels::new([0, 0, 1, 1])?;
/// let test = permutation_test(&Sample::new(rows.view(), &labels)?, 999, 0)?;
/// assert!(test.exact);
/// assert_eq!(test.p_value, 2.0 / 6.0);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// Those of [`Moments::from_rows`] and [`Moments::dispersion`];
/// [`AqiError::GroupSpansClasses`], [`AqiError::GroupSpansAxioms`];
/// [`AqiError::Parameter`] for zero permutations.
pub fn permutation_test<F: Element>(
    sample: &Sample<'_, F>,
    permutations: usize,
    seed: u64,
) -> Result<PermutationTest> {
    let moments = Moments::from_rows(sample.rows, sample.labels)?;
    Ok(null(sample, &moments, permutations, seed)?.test())
}

/// The distribution of `η²` under exchanged labels. Samples of the same labels, groups, axioms
/// and seed are exchanged alike, value by value.
pub(crate) fn null<F: Element>(
    sample: &Sample<'_, F>,
    moments: &Moments,
    permutations: usize,
    seed: u64,
) -> Result<Null> {
    if permutations == 0 {
        return Err(AqiError::parameter("permutations", permutations, "at least 1"));
    }
    let dispersion = moments.dispersion()?;
    let units = Units::new(sample.labels, sample.groups);
    let classes = units.classes()?;
    let sizes: Vec<f64> = units.rows().iter().map(|rows| rows.len() as f64).collect();
    let k = sample.labels.class_count();
    let strata = match sample.axioms {
        Some(axioms) => units.within(axioms)?,
        None => vec![(0..units.len()).collect()],
    };
    let space = Space::new(sample, moments, units.rows())?;
    let total = dispersion.between() + dispersion.within();
    let between = |labelings: &[Vec<usize>]| between(&space, labelings, &sizes, k);
    let share = |b: f64| (b / total).clamp(0.0, 1.0);

    let observed = share(between(std::slice::from_ref(&classes))[0]);
    let shares = |labelings: &[Vec<usize>]| -> Vec<f64> {
        labelings
            .par_chunks(BATCH)
            .flat_map_iter(|batch| between(batch).into_iter().map(share))
            .collect()
    };
    let exact = labelings(&classes, &strata, k) <= EXACT_LIMIT as f64 + 0.5;
    let mut all: Box<dyn Iterator<Item = Vec<usize>>> = if exact {
        Box::new(Labelings::new(&classes, &strata))
    } else {
        Box::new(
            (0..permutations as u64)
                .map(|draw| exchanged(&classes, &strata, &mut Stream::new(seed, draw))),
        )
    };
    let mut values = Vec::new();
    loop {
        let round: Vec<Vec<usize>> = all.by_ref().take(ROUND).collect();
        if round.is_empty() {
            return Ok(Null { observed, values, exact });
        }
        values.extend(shares(&round));
    }
}

/// `B = Σ_c ‖S_c‖² / n_c` for each labeling, where `S_c` sums the centred rows of class `c`;
/// the last sum is minus all others, so that `k − 1` are computed.
fn between(space: &Space, labelings: &[Vec<usize>], sizes: &[f64], k: usize) -> Vec<f64> {
    let free = k - 1;
    let mut weights = Array2::zeros((labelings.len() * free, space.len()));
    for (i, labeling) in labelings.iter().enumerate() {
        for (unit, &class) in labeling.iter().enumerate() {
            if class < free {
                weights[[i * free + class, unit]] = 1.0;
            }
        }
    }
    let products = space.inner_products(&weights, free);
    let of_labeling = |(labeling, products): (&Vec<usize>, &Vec<f64>)| {
        let mut counts = vec![0.0; k];
        for (&class, size) in labeling.iter().zip(sizes) {
            counts[class] += size;
        }
        let last: f64 = products.iter().sum();
        let others: f64 = (0..free).map(|c| products[c * free + c] / counts[c]).sum();
        others + last / counts[free]
    };
    labelings.iter().zip(&products).map(of_labeling).collect()
}

/// The labels dealt anew within each stratum.
fn exchanged(classes: &[usize], strata: &[Vec<usize>], stream: &mut Stream) -> Vec<usize> {
    let mut labeling = classes.to_vec();
    for stratum in strata {
        let mut dealt: Vec<usize> = stratum.iter().map(|&unit| classes[unit]).collect();
        stream.shuffle(&mut dealt);
        set(&mut labeling, stratum, &dealt);
    }
    labeling
}

/// The number of different labelings, `Π n_s! / Π n_sc!` over the strata.
fn labelings(classes: &[usize], strata: &[Vec<usize>], k: usize) -> f64 {
    let mut count = 1.0_f64;
    for stratum in strata {
        let mut seen = vec![0_usize; k];
        for (drawn, &unit) in stratum.iter().enumerate() {
            seen[classes[unit]] += 1;
            count *= (drawn + 1) as f64 / seen[classes[unit]] as f64;
        }
    }
    count
}

/// All different labelings, one after the other: an odometer with a wheel for each stratum.
struct Labelings<'a> {
    strata: &'a [Vec<usize>],
    /// The arrangement of each stratum's labels.
    wheels: Vec<Vec<usize>>,
    labeling: Vec<usize>,
    done: bool,
}

impl<'a> Labelings<'a> {
    fn new(classes: &[usize], strata: &'a [Vec<usize>]) -> Self {
        let mut labeling = classes.to_vec();
        let mut wheels = Vec::with_capacity(strata.len());
        for stratum in strata {
            let mut wheel: Vec<usize> = stratum.iter().map(|&unit| classes[unit]).collect();
            wheel.sort_unstable();
            set(&mut labeling, stratum, &wheel);
            wheels.push(wheel);
        }
        Self { strata, wheels, labeling, done: false }
    }
}

impl Iterator for Labelings<'_> {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        if self.done {
            return None;
        }
        let current = self.labeling.clone();
        self.done = true;
        for (stratum, wheel) in self.strata.iter().zip(&mut self.wheels) {
            let turned = next_arrangement(wheel);
            if !turned {
                wheel.sort_unstable();
            }
            set(&mut self.labeling, stratum, wheel);
            if turned {
                self.done = false;
                break;
            }
        }
        Some(current)
    }
}

fn set(labeling: &mut [usize], stratum: &[usize], classes: &[usize]) {
    for (&unit, &class) in stratum.iter().zip(classes) {
        labeling[unit] = class;
    }
}

/// The next arrangement in lexicographic order; false after the last.
fn next_arrangement(codes: &mut [usize]) -> bool {
    let Some(pivot) = codes.windows(2).rposition(|pair| pair[0] < pair[1]) else {
        return false;
    };
    let successor = codes.iter().rposition(|&code| code > codes[pivot]).unwrap_or(pivot);
    codes.swap(pivot, successor);
    codes[pivot + 1..].reverse();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrangements_are_complete_and_distinct() {
        let strata = vec![vec![0, 2, 4, 5], vec![1, 3]];
        let classes = [0, 0, 1, 1, 1, 2];
        let all: Vec<_> = Labelings::new(&classes, &strata).collect();
        assert_eq!(all.len(), 12 * 2);
        assert_eq!(labelings(&classes, &strata, 3).round() as usize, all.len());
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(all.iter().all(|l| l[1] + l[3] == 1));
        assert!(distinct.contains(&classes.to_vec()));
    }
}
