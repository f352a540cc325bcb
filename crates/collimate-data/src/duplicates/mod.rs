//! Texts that occur more than once, exactly or nearly.

mod components;
mod lsh;
mod shingle;
mod sketch;

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{DataError, Result};
use components::Components;
use lsh::Bands;

pub use shingle::{Shingle, normalize_text};
pub use sketch::{DuplicateRows, Sketch, Sketches};

/// When two texts count as the same.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DuplicateConfig {
    /// Smallest Jaccard similarity of near duplicates, in `(0, 1]`; 0.8 by default.
    pub threshold: f64,
    /// What is compared; five characters by default, which suits every script.
    pub shingle: Shingle,
    /// Hash functions of a signature, from 16 to 1024; 128 by default. More find more of the
    /// pairs near the threshold, and take longer.
    pub hashes: usize,
    /// Seed of the hash functions; 42 by default.
    pub seed: u64,
}

impl Default for DuplicateConfig {
    fn default() -> Self {
        Self { threshold: 0.8, shingle: Shingle::Characters(5), hashes: 128, seed: 42 }
    }
}

impl DuplicateConfig {
    /// Sets the smallest similarity of near duplicates.
    #[must_use]
    pub fn with_threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// Sets what is compared.
    #[must_use]
    pub fn with_shingle(mut self, shingle: Shingle) -> Self {
        self.shingle = shingle;
        self
    }

    /// Sets the number of hash functions.
    #[must_use]
    pub fn with_hashes(mut self, hashes: usize) -> Self {
        self.hashes = hashes;
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Setting`] for a value out of its range.
    pub fn check(self) -> Result<DuplicateFinder> {
        let wrong = |setting, message| Err(DataError::Setting { setting, message });
        if !(self.threshold > 0.0 && self.threshold <= 1.0) {
            let message = format!("is {}; it is above 0 and at most 1", self.threshold);
            return wrong("threshold", message);
        }
        if !(16..=1024).contains(&self.hashes) {
            return wrong("hashes", format!("is {}; it is from 16 to 1024", self.hashes));
        }
        let (Shingle::Words(length) | Shingle::Characters(length)) = self.shingle;
        if !(1..=64).contains(&length) {
            return wrong("shingle", format!("has a length of {length}; it is from 1 to 64"));
        }
        let bands = Bands::new(self.threshold, self.hashes, self.seed);
        Ok(DuplicateFinder { config: self, bands })
    }
}

/// Finds duplicates. Made by [`DuplicateConfig::check`].
///
/// Texts are normalized first: lower case, each run of white space one space, none at the ends.
/// Texts that are then equal are exact duplicates. Near duplicates have a Jaccard similarity
/// `J(A, B) = |A ∩ B| / |A ∪ B|` of their sets of shingles of at least the threshold. Candidates
/// come from MinHash signatures, in which two texts agree at a place with probability `J`
/// (Broder 1997), cut into `b` bands of `r` hashes: a pair agrees in some band, and becomes a
/// candidate, with probability `1 − (1 − J^r)^b` (Leskovec, Rajaraman & Ullman, "Mining of
/// Massive Datasets", chapter 3). `r` is the largest for which that is at least 0.999 at the
/// threshold. The similarity of every candidate is computed, so no pair below the threshold is
/// joined. Groups are what such pairs connect, so two members of a group can be less alike.
///
/// The same on every machine and for every number of threads. [`Sketches`] do the same for more
/// texts than memory holds.
///
/// ```
/// use collimate_data::DuplicateConfig;
///
/// let texts = ["How do I bake bread at home?", "Why is the sky blue?", "how do I  bake bread at home?"];
/// let found = DuplicateConfig::default().check()?.find(&texts);
/// assert_eq!(found.group_keys(), [0, 1, 0]);
/// assert_eq!(found.kept(), [0, 1]);
/// # Ok::<(), collimate_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DuplicateFinder {
    config: DuplicateConfig,
    bands: Bands,
}

impl DuplicateFinder {
    /// What [`Sketches`] need to know of a text.
    #[must_use]
    pub fn sketch(&self, text: &str) -> Sketch {
        Sketch::new(&normalize_text(text), self)
    }

    /// Begins a search among texts that come one by one. What it knows of them is kept in a file
    /// without a name in a folder.
    ///
    /// # Errors
    /// The folder can't be written.
    pub fn sketches(&self, folder: impl AsRef<Path>) -> Result<Sketches> {
        Sketches::new(self.clone(), folder.as_ref())
    }

    /// Groups exact and near duplicates.
    #[must_use]
    pub fn find(&self, texts: &[impl AsRef<str> + Sync]) -> Duplicates {
        let (normal, first) = exact(texts);
        let distinct: Vec<usize> = (0..first.len()).filter(|&row| first[row] == row).collect();
        let set = |row: usize| shingle::set(&normal[row], self.config.shingle);
        let mut components = Components::new(first);
        let (candidates, not_compared) =
            self.bands.join(&distinct, &set, self.config.threshold, &mut components);
        let mut found = Duplicates::new(components.roots(), |row, representative| {
            if normal[row] == normal[representative] {
                1.0
            } else {
                shingle::jaccard(&set(row), &set(representative))
            }
        });
        found.report.exact_duplicates = texts.len() - distinct.len();
        found.report.near_duplicates = found.report.duplicates - found.report.exact_duplicates;
        found.report.candidates = candidates;
        found.report.not_compared = not_compared;
        found.report.recall_at_threshold = Some(self.bands.recall(self.config.threshold));
        found
    }
}

/// Groups texts that are equal once they are normalized, as [`DuplicateFinder`] does.
#[must_use]
pub fn exact_duplicates(texts: &[impl AsRef<str> + Sync]) -> Duplicates {
    let (_, first) = exact(texts);
    let mut found = Duplicates::new(first, |_, _| 1.0);
    found.report.exact_duplicates = found.report.duplicates;
    found
}

/// Which texts say the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Duplicates {
    /// Groups of more than one row, in the order of their representatives.
    pub groups: Vec<DuplicateGroup>,
    /// Counts.
    pub report: DuplicateReport,
    #[serde(skip)]
    keys: Vec<usize>,
}

/// Rows that say the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DuplicateGroup {
    /// The first row of the group.
    pub representative: usize,
    /// The others, in ascending order.
    pub duplicates: Vec<Duplicate>,
}

/// A row that says what another one says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Duplicate {
    /// The row.
    pub row: usize,
    /// Jaccard similarity with the representative; 1 for exact duplicates. Below the threshold
    /// where other members connect the two.
    pub similarity: f64,
}

/// How many duplicates there are, and what was done to find them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DuplicateReport {
    /// All rows.
    pub rows: usize,
    /// Groups of more than one row.
    pub groups: usize,
    /// Rows that are not the first of their group: what removal drops.
    pub duplicates: usize,
    /// Rows that equal an earlier one.
    pub exact_duplicates: usize,
    /// The other duplicates.
    pub near_duplicates: usize,
    /// Pairs whose similarity was computed.
    pub candidates: u64,
    /// Pairs in bands that more than 65 texts share whose similarity was not computed, to keep
    /// the work linear, and that nothing else had connected by then: each band counts its own.
    pub not_compared: u64,
    /// The probability that a pair exactly at the threshold becomes a candidate; nothing where
    /// only exact duplicates were looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall_at_threshold: Option<f64>,
}

impl Duplicates {
    /// `keys[row]` is the first row of the row's group.
    fn new(keys: Vec<usize>, similarity: impl Fn(usize, usize) -> f64 + Sync) -> Self {
        let others = keys.par_iter().enumerate().filter(|&(row, &first)| first != row);
        let others: Vec<(usize, Duplicate)> = others
            .map(|(row, &first)| (first, Duplicate { row, similarity: similarity(row, first) }))
            .collect();
        let mut report = DuplicateReport { rows: keys.len(), ..DuplicateReport::default() };
        report.duplicates = others.len();
        let mut groups: std::collections::BTreeMap<usize, Vec<Duplicate>> = Default::default();
        for (first, duplicate) in others {
            groups.entry(first).or_default().push(duplicate);
        }
        report.groups = groups.len();
        let groups = groups.into_iter();
        let groups = groups
            .map(|(representative, duplicates)| DuplicateGroup { representative, duplicates })
            .collect();
        Self { groups, report, keys }
    }

    /// For each row the first row of its group, itself where it has no duplicate: keys for
    /// [`Splitter::by_group`](crate::Splitter::by_group).
    #[must_use]
    pub fn group_keys(&self) -> &[usize] {
        &self.keys
    }

    /// The rows that stay when of each group only the first row is kept, in ascending order.
    #[must_use]
    pub fn kept(&self) -> Vec<usize> {
        let rows = self.keys.iter().enumerate();
        rows.filter(|&(row, &first)| first == row).map(|(row, _)| row).collect()
    }
}

/// The normalized texts, and for each the first one that equals it.
fn exact(texts: &[impl AsRef<str> + Sync]) -> (Vec<String>, Vec<usize>) {
    let normal: Vec<String> = texts.par_iter().map(|text| normalize_text(text.as_ref())).collect();
    let digests: Vec<[u8; 32]> =
        normal.par_iter().map(|text| Sha256::digest(text).into()).collect();
    let mut seen = HashMap::with_capacity(normal.len());
    let first = digests.iter().enumerate().map(|(row, digest)| *seen.entry(digest).or_insert(row));
    let first = first.collect();
    (normal, first)
}
