//! What a split came to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Part;

/// How rows were divided.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SplitMethod {
    /// By chance.
    Random,
    /// By chance, each stratum in the same proportions.
    Stratified,
    /// By chance, groups kept whole.
    Group,
    /// By the hash of a key.
    Hash,
}

/// The size of a part.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PartCount {
    /// The fraction of all rows that was wanted.
    pub wanted: f64,
    /// Rows.
    pub rows: usize,
    /// Their fraction of all rows.
    pub fraction: f64,
}

/// What a split came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SplitReport {
    /// How rows were divided.
    pub method: SplitMethod,
    /// The seed.
    pub seed: u64,
    /// All rows.
    pub rows: usize,
    /// The size of each part.
    pub parts: BTreeMap<Part, PartCount>,
    /// Parts that were wanted and got no row.
    pub empty: Vec<Part>,
    /// How far a part's fraction is from the wanted one, at most.
    pub largest_deviation: f64,
    /// Rows of each stratum in each part, for a stratified split.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub strata: BTreeMap<String, BTreeMap<Part, usize>>,
    /// How many rows a stratum's count in a part is from the wanted one, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_stratum_deviation: Option<f64>,
    /// Number of groups, for a split by groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<usize>,
    /// Rows of the largest group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_group: Option<usize>,
}

impl SplitReport {
    pub(super) fn new(
        method: SplitMethod,
        seed: u64,
        fractions: [f64; 3],
        of_row: &[Part],
    ) -> Self {
        let mut parts = BTreeMap::new();
        for (part, wanted) in Part::ALL.into_iter().zip(fractions) {
            let rows = of_row.iter().filter(|of| **of == part).count();
            let fraction = rows as f64 / of_row.len().max(1) as f64;
            parts.insert(part, PartCount { wanted, rows, fraction });
        }
        let deviation = |count: &PartCount| (count.fraction - count.wanted).abs();
        let largest_deviation = parts.values().map(deviation).fold(0.0, f64::max);
        let is_empty = |count: &PartCount| count.rows == 0 && count.wanted > 0.0;
        let empty = parts.iter().filter(|(_, count)| is_empty(count)).map(|(part, _)| *part);
        Self {
            method,
            seed,
            rows: of_row.len(),
            empty: empty.collect(),
            parts,
            largest_deviation,
            strata: BTreeMap::new(),
            largest_stratum_deviation: None,
            groups: None,
            largest_group: None,
        }
    }

    pub(super) fn add_strata(
        &mut self,
        keys: &[impl AsRef<str>],
        of_row: &[Part],
        fractions: [f64; 3],
    ) {
        for (key, part) in keys.iter().zip(of_row) {
            let key = key.as_ref();
            if !self.strata.contains_key(key) {
                self.strata.insert(key.to_owned(), BTreeMap::new());
            }
            if let Some(counts) = self.strata.get_mut(key) {
                *counts.entry(*part).or_default() += 1;
            }
        }
        let deviations = self.strata.values().flat_map(|counts| {
            let size = counts.values().sum::<usize>() as f64;
            Part::ALL.into_iter().zip(fractions).map(move |(part, fraction)| {
                (counts.get(&part).copied().unwrap_or(0) as f64 - fraction * size).abs()
            })
        });
        self.largest_stratum_deviation = Some(deviations.fold(0.0, f64::max));
    }
}
