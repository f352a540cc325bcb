//! Rows are divided into a part to train on and parts to measure on.

mod assign;
mod report;

use std::hash::Hash;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{DataError, Result};
use crate::order::{Purpose, Stream};

pub use report::{PartCount, SplitMethod, SplitReport};

/// A fraction below this is none: what floating-point sums leave.
const NEGLIGIBLE: f64 = 1e-9;

/// A part of a data set.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What a model learns from.
    Train,
    /// What settings are chosen on.
    Validation,
    /// What the result is measured on.
    Test,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The part's usual name: `train`, `validation` or `test`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// How large the parts are, and the seed that decides which row goes where.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SplitConfig {
    /// Fraction of the rows to train on, in `[0, 1]`; 0.9 by default.
    pub train: f64,
    /// Fraction of the rows to validate on, in `[0, 1]`; none by default. The test part gets what
    /// is left.
    pub validation: f64,
    /// Seed; 42 by default.
    pub seed: u64,
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self { train: 0.9, validation: 0.0, seed: 42 }
    }
}

impl SplitConfig {
    /// Sets the fraction to train on.
    #[must_use]
    pub fn with_train(mut self, train: f64) -> Self {
        self.train = train;
        self
    }

    /// Sets the fraction to validate on.
    #[must_use]
    pub fn with_validation(mut self, validation: f64) -> Self {
        self.validation = validation;
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Checks the fractions.
    ///
    /// # Errors
    /// [`DataError::Setting`] for a fraction outside `[0, 1]`, or if both together exceed 1.
    pub fn check(self) -> Result<Splitter> {
        for (setting, value) in [("train", self.train), ("validation", self.validation)] {
            if !(0.0..=1.0).contains(&value) {
                let message = format!("is {value}; it is a fraction from 0 to 1");
                return Err(DataError::Setting { setting, message });
            }
        }
        let test = 1.0 - self.train - self.validation;
        if test < -NEGLIGIBLE {
            return Err(DataError::Setting {
                setting: "validation",
                message: format!(
                    "is {}, which is more than a train fraction of {} leaves",
                    self.validation, self.train
                ),
            });
        }
        let fractions = [self.train, self.validation, test];
        let fractions = fractions.map(|value| if value < NEGLIGIBLE { 0.0 } else { value });
        Ok(Splitter { fractions, seed: self.seed })
    }
}

/// Divides rows into parts. Made by [`SplitConfig::check`].
///
/// Every method gives the same parts on every machine. A part whose fraction is above 0 gets at
/// least one row, or it is an error; only [`by_hash`](Self::by_hash), which looks at each row
/// alone, may leave a part empty, and its report says so.
///
/// ```
/// use collimate_data::{Part, SplitConfig};
///
/// let split = SplitConfig::default().check()?.random(100)?;
/// assert_eq!(split.rows(Part::Train).len(), 90);
/// assert_eq!(split.rows(Part::Test).len(), 10);
/// # Ok::<(), collimate_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Splitter {
    /// Wanted fractions, in the order of [`Part::ALL`].
    fractions: [f64; 3],
    seed: u64,
}

impl Splitter {
    /// Every row goes to a part by chance; sizes are exact by largest remainders.
    ///
    /// # Errors
    /// [`DataError::Setting`] with fewer rows than parts.
    pub fn random(&self, rows: usize) -> Result<Split> {
        let counts = self.counts(rows, rows, "rows")?;
        let order = self.shuffled(rows);
        let mut parts = vec![Part::Train; rows];
        let ends = [counts[0], counts[0] + counts[1]];
        for (position, &row) in order.iter().enumerate() {
            parts[row as usize] = match position {
                position if position < ends[0] => Part::Train,
                position if position < ends[1] => Part::Validation,
                _ => Part::Test,
            };
        }
        Ok(self.finish(SplitMethod::Random, parts))
    }

    /// As [`random`](Self::random), and each stratum, the rows with one key, is divided in the
    /// same proportions: no count is two rows off, nor three where there are three parts.
    ///
    /// # Errors
    /// [`DataError::Setting`] with fewer rows than parts.
    pub fn stratified(&self, keys: &[impl AsRef<str>]) -> Result<Split> {
        let counts = self.counts(keys.len(), keys.len(), "rows")?;
        let strata = assign::groups(keys.iter().map(AsRef::as_ref));
        let count = strata.iter().max().map_or(0, |last| last + 1);
        let mut ranks: Vec<u32> = (0..count).collect();
        Stream::new(self.seed, Purpose::Split, 1).shuffle(&mut ranks);
        let mut order = self.shuffled(keys.len());
        order.sort_by_key(|&row| ranks[strata[row as usize] as usize]);
        let parts = assign::evenly(&order, counts);
        let mut split = self.finish(SplitMethod::Stratified, parts);
        split.report.add_strata(keys, &split.parts, self.fractions);
        Ok(split)
    }

    /// Rows with the same key stay together, in a part by chance; sizes are as near as the groups
    /// allow.
    ///
    /// Groups come in random order, and each goes to the smaller part that lacks most and has
    /// room for it, else to the largest part. In the end a smaller part gets the smallest group
    /// of the largest part where that brings it nearer to its size. One giant group can keep the
    /// sizes far from the wanted ones: see [`SplitReport::largest_deviation`].
    ///
    /// # Errors
    /// [`DataError::Setting`] with fewer groups than parts.
    pub fn by_group<K: Eq + Hash>(&self, keys: &[K]) -> Result<Split> {
        self.whole_groups(assign::groups(keys.iter()))
    }

    /// As [`by_group`](Self::by_group), where a group's key is the number of its first row; takes
    /// 14 bytes of memory for each row.
    ///
    /// # Errors
    /// [`DataError::Setting`] with fewer groups than parts, or a key that is not the number of the
    /// first row of its group.
    pub fn by_first_row(&self, first_rows: &[u32]) -> Result<Split> {
        let mut groups: Vec<u32> = Vec::with_capacity(first_rows.len());
        let mut next = 0;
        for (row, &first) in first_rows.iter().enumerate() {
            let known = groups.get(first as usize).copied();
            let group = match known {
                Some(group) if first_rows.get(first as usize) == Some(&first) => group,
                None if first as usize == row => next,
                _ => {
                    let message = format!("is {first} for row {row}, which is not in its group");
                    return Err(DataError::Setting { setting: "first row", message });
                }
            };
            next = next.max(group + 1);
            groups.push(group);
        }
        self.whole_groups(groups)
    }

    /// Every row goes to a part by its key alone, so that further rows move no old one, and rows
    /// with the same key stay together.
    ///
    /// With `u` the first 64 bits (big endian) of SHA-256 over the seed (eight bytes, little
    /// endian) and the key's UTF-8, a row is trained on if `u / 2^64 < train`, and so on.
    pub fn by_hash(&self, keys: &[impl AsRef<str>]) -> Split {
        let bound = |fraction: f64| (fraction * f64::powi(2.0, 64)) as u128;
        let (train, validation) =
            (bound(self.fractions[0]), bound(self.fractions[0] + self.fractions[1]));
        let last = self.wanted().last().unwrap_or(Part::Train);
        let part = |key: &str| {
            let hash = hash_of(self.seed, key);
            match u128::from(hash) {
                hash if hash < train => Part::Train,
                hash if hash < validation => Part::Validation,
                _ => last,
            }
        };
        let parts = keys.iter().map(|key| part(key.as_ref())).collect();
        self.finish(SplitMethod::Hash, parts)
    }

    /// Keeps rows with the same number together.
    fn whole_groups(&self, groups: Vec<u32>) -> Result<Split> {
        let mut sizes = vec![0_u32; groups.iter().max().map_or(0, |last| *last as usize + 1)];
        for &group in &groups {
            sizes[group as usize] += 1;
        }
        let counts = self.counts(groups.len(), sizes.len(), "groups")?;
        let of_group = assign::whole_groups(&sizes, counts, &self.shuffled(sizes.len()));
        let (count, largest) = (sizes.len(), sizes.iter().max().map(|size| *size as usize));
        drop(sizes);
        let parts = groups.iter().map(|&group| of_group[group as usize]).collect();
        let mut split = self.finish(SplitMethod::Group, parts);
        split.report.groups = Some(count);
        split.report.largest_group = largest;
        Ok(split)
    }

    fn wanted(&self) -> impl DoubleEndedIterator<Item = Part> {
        let of_part = Part::ALL.into_iter().zip(self.fractions);
        of_part.filter(|(_, fraction)| *fraction > 0.0).map(|(part, _)| part)
    }

    /// Numbers from 0 in random order, of which there are no more than rows.
    fn shuffled(&self, count: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count as u32).collect();
        Stream::new(self.seed, Purpose::Split, 0).shuffle(&mut order);
        order
    }

    /// Rows of each part; fails where not every wanted part can have one of `units`.
    fn counts(&self, rows: usize, units: usize, what: &str) -> Result<[usize; 3]> {
        let wanted = self.wanted().count();
        if u32::try_from(rows).is_err() {
            let message = format!("has {rows} rows; it may have up to {}", u32::MAX);
            return Err(DataError::Setting { setting: "split", message });
        }
        if units < wanted {
            return Err(DataError::Setting {
                setting: "split",
                message: format!(
                    "wants {wanted} parts, and the number of {what} is {units}: \
                     set the fraction of a part to 0, or give more {what}"
                ),
            });
        }
        Ok(assign::largest_remainders(rows, self.fractions))
    }

    fn finish(&self, method: SplitMethod, parts: Vec<Part>) -> Split {
        let report = SplitReport::new(method, self.seed, self.fractions, &parts);
        Split { parts, report }
    }
}

/// Which part each row belongs to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Split {
    /// The part of each row.
    pub parts: Vec<Part>,
    /// Counts, and how far they are from what was wanted.
    pub report: SplitReport,
}

impl Split {
    /// The rows of a part, in ascending order.
    #[must_use]
    pub fn rows(&self, part: Part) -> Vec<usize> {
        let of_row = self.parts.iter().enumerate();
        of_row.filter(|(_, of)| **of == part).map(|(row, _)| row).collect()
    }
}

fn hash_of(seed: u64, key: &str) -> u64 {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(key).finalize();
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}
