//! Several rows in one sequence, so that little of it is padding.

mod fit;
mod packed;
mod stream;

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};
use crate::row::Row;

pub use packed::{Packed, PackedBatch};
pub use stream::{PackedSequences, StreamPacker};

/// What becomes of a row that is longer than a sequence. No row is ever cut here.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TooLong {
    /// It is an error.
    #[default]
    Error,
    /// It is left out and counted.
    Drop,
}

/// How rows are packed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PackConfig {
    /// Tokens of a sequence, at most; 2048 by default.
    pub max_length: usize,
    /// What becomes of a longer row; an error by default.
    pub too_long: TooLong,
    /// Sequences that a [`StreamPacker`] fills at a time; 64 by default.
    pub open_sequences: usize,
}

impl Default for PackConfig {
    fn default() -> Self {
        Self { max_length: 2048, too_long: TooLong::Error, open_sequences: 64 }
    }
}

impl PackConfig {
    /// Sets the largest number of tokens of a sequence.
    #[must_use]
    pub fn with_max_length(mut self, max_length: usize) -> Self {
        self.max_length = max_length;
        self
    }

    /// Sets what becomes of a longer row.
    #[must_use]
    pub fn with_too_long(mut self, too_long: TooLong) -> Self {
        self.too_long = too_long;
        self
    }

    /// Sets how many sequences a [`StreamPacker`] fills at a time.
    #[must_use]
    pub fn with_open_sequences(mut self, open_sequences: usize) -> Self {
        self.open_sequences = open_sequences;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Setting`] for a length of 0 or more than `u32::MAX`, or no open sequence.
    pub fn check(self) -> Result<Packer> {
        if self.max_length == 0 || u32::try_from(self.max_length).is_err() {
            let message = format!("is {}; it is from 1 to {}", self.max_length, u32::MAX);
            return Err(DataError::Setting { setting: "max_length", message });
        }
        if self.open_sequences == 0 {
            let message = "is 0; a stream needs a sequence to fill".to_owned();
            return Err(DataError::Setting { setting: "open_sequences", message });
        }
        Ok(Packer { config: self })
    }
}

/// Packs rows into sequences. Made by [`PackConfig::check`].
///
/// ```
/// use collimate_data::{PackConfig, Row};
///
/// let rows = [Row::new(vec![1, 2, 3], vec![false, true, true]), Row::new(vec![4], vec![false])];
/// let packer = PackConfig::default().with_max_length(4).check()?;
/// let (sequences, report) = packer.pack(&rows)?;
/// assert_eq!(sequences[0].ids, [1, 2, 3, 4]);
/// assert_eq!(sequences[0].segment_ids, [1, 1, 1, 2]);
/// assert_eq!(sequences[0].positions, [0, 1, 2, 0]);
/// assert_eq!(report.efficiency, 1.0);
/// # Ok::<(), collimate_data::DataError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packer {
    config: PackConfig,
}

impl Packer {
    /// Chooses the rows of each sequence from the rows' lengths, by best fit: the longest row
    /// first, into the sequence that has the least room left for it (best-fit decreasing;
    /// Johnson 1973), in time `O(n log n)`.
    ///
    /// Rows within a sequence stay in their order, and sequences come in the order of their
    /// first rows.
    ///
    /// # Errors
    /// [`DataError::Setting`] for a row without tokens, or a longer row than a sequence unless
    /// those are dropped.
    pub fn plan(&self, lengths: &[usize]) -> Result<PackPlan> {
        let mut report = PackReport::new(self.config.max_length);
        let mut rows = Vec::with_capacity(lengths.len());
        for (row, &length) in lengths.iter().enumerate() {
            if self.admits(row, length, &mut report)? {
                rows.push(row);
            }
        }
        let sequences = fit::best_fit_decreasing(lengths, rows, self.config.max_length);
        report.close(sequences.len());
        Ok(PackPlan { sequences, report })
    }

    /// Packs rows as [`plan`](Self::plan) says.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn pack(&self, rows: &[Row]) -> Result<(Vec<Packed>, PackReport)> {
        let lengths: Vec<usize> = rows.iter().map(Row::len).collect();
        let plan = self.plan(&lengths)?;
        let sequence = |members: &Vec<usize>| {
            let members = members.iter().filter_map(|&row| Some((row, rows.get(row)?)));
            Packed::from_rows(members)
        };
        Ok((plan.sequences.iter().map(sequence).collect(), plan.report))
    }

    /// Packs rows as they come, with a bounded number of sequences in memory.
    #[must_use]
    pub fn stream(&self) -> StreamPacker {
        StreamPacker::new(self.clone())
    }

    /// Whether a row is to be packed; counts it.
    fn admits(&self, row: usize, length: usize, report: &mut PackReport) -> Result<bool> {
        report.rows += 1;
        if length == 0 {
            let message = format!("has no tokens in row {row}: drop rows without tokens");
            return Err(DataError::Setting { setting: "ids", message });
        }
        if length <= self.config.max_length {
            report.tokens += length as u64;
            return Ok(true);
        }
        match self.config.too_long {
            TooLong::Drop => {
                report.too_long += 1;
                Ok(false)
            }
            TooLong::Error => Err(DataError::Setting {
                setting: "max_length",
                message: format!(
                    "is {}, but row {row} has {length} tokens: \
                     truncate it first, drop rows that are too long, or raise the length",
                    self.config.max_length
                ),
            }),
        }
    }
}

/// Which rows go into each sequence.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PackPlan {
    /// The rows of each sequence, in ascending order.
    pub sequences: Vec<Vec<usize>>,
    /// What packing came to.
    pub report: PackReport,
}

/// What packing came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PackReport {
    /// Rows given.
    pub rows: u64,
    /// Rows left out because they are longer than a sequence.
    pub too_long: u64,
    /// Sequences.
    pub sequences: u64,
    /// Tokens of a sequence, at most.
    pub max_length: usize,
    /// Tokens in all sequences, without padding.
    pub tokens: u64,
    /// `tokens / (sequences · max_length)`; 1 without sequences.
    pub efficiency: f64,
}

impl PackReport {
    fn new(max_length: usize) -> Self {
        Self { rows: 0, too_long: 0, sequences: 0, max_length, tokens: 0, efficiency: 1.0 }
    }

    fn close(&mut self, sequences: usize) {
        self.sequences = sequences as u64;
        if sequences > 0 {
            self.efficiency = self.tokens as f64 / (sequences as f64 * self.max_length as f64);
        }
    }
}
