//! Which rows make a batch.

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};
use crate::order::{EpochOrder, Purpose, Stream};

/// Lengths are padded to multiples of at most this.
const LARGEST_MULTIPLE: usize = 1 << 16;

/// How large batches are, and how rows come into them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BatchConfig {
    /// Rows of a batch, at most; 8 by default.
    pub rows: Option<usize>,
    /// Tokens of a batch with padding, at most: rows times the longest; no bound by default.
    pub tokens: Option<usize>,
    /// Rows are sorted by length within windows of so many shuffled rows; 1024 by default. 1
    /// leaves them shuffled.
    pub window: usize,
    /// Lengths are padded to a multiple of this, at most 65,536; 1 by default.
    pub multiple_of: usize,
    /// Seed; 42 by default.
    pub seed: u64,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { rows: Some(8), tokens: None, window: 1024, multiple_of: 1, seed: 42 }
    }
}

impl BatchConfig {
    /// Sets the largest number of rows; nothing for no bound.
    #[must_use]
    pub fn with_rows(mut self, rows: impl Into<Option<usize>>) -> Self {
        self.rows = rows.into();
        self
    }

    /// Sets the largest number of tokens with padding; nothing for no bound.
    #[must_use]
    pub fn with_tokens(mut self, tokens: impl Into<Option<usize>>) -> Self {
        self.tokens = tokens.into();
        self
    }

    /// Sets how many shuffled rows are sorted by length together.
    #[must_use]
    pub fn with_window(mut self, window: usize) -> Self {
        self.window = window;
        self
    }

    /// Sets what lengths are padded to a multiple of.
    #[must_use]
    pub fn with_multiple_of(mut self, multiple_of: usize) -> Self {
        self.multiple_of = multiple_of;
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
    /// [`DataError::Setting`] for a value of 0, or if neither rows nor tokens are bounded.
    pub fn check(self) -> Result<BatchPlanner> {
        let wrong = |setting, message: &str| {
            Err(DataError::Setting { setting, message: message.to_owned() })
        };
        if self.rows.is_none() && self.tokens.is_none() {
            return wrong("rows", "and tokens of a batch are both unbounded: bound one of them");
        }
        let values = [
            ("rows", self.rows),
            ("tokens", self.tokens),
            ("window", Some(self.window)),
            ("multiple_of", Some(self.multiple_of)),
        ];
        for (setting, value) in values {
            if value == Some(0) {
                return wrong(setting, "is 0; it is at least 1");
            }
        }
        if self.multiple_of > LARGEST_MULTIPLE {
            let message = format!("is {}; it is at most {LARGEST_MULTIPLE}", self.multiple_of);
            return Err(DataError::Setting { setting: "multiple_of", message });
        }
        Ok(BatchPlanner { config: self })
    }
}

/// Groups the rows of an epoch into batches. Made by [`BatchConfig::check`].
///
/// Rows are shuffled by the epoch's [`EpochOrder`], sorted by length within windows, cut into
/// batches, and the batches shuffled: rows of a batch are about equally long, and no length comes
/// first. All batches but one are full. The seed and the epoch determine everything, so work is resumed by skipping batches.
///
/// ```
/// use collimate_data::BatchConfig;
///
/// let planner = BatchConfig::default().with_rows(2).check()?;
/// let plan = planner.plan(&[3, 90, 4, 80], 0)?;
/// assert_eq!(plan.report.padding, 11);
/// assert!(plan.batches.iter().all(|rows| rows.len() == 2));
/// # Ok::<(), collimate_data::DataError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BatchPlanner {
    config: BatchConfig,
}

impl BatchPlanner {
    /// The batches of an epoch, counted from 0, for rows of these lengths in tokens.
    ///
    /// # Errors
    /// [`DataError::Setting`] for a row that alone has more tokens than a batch may have.
    pub fn plan(&self, lengths: &[usize], epoch: u32) -> Result<BatchPlan> {
        let mut order: Vec<usize> =
            EpochOrder::new(lengths.len(), self.config.seed, epoch).collect();
        for (index, window) in order.chunks_mut(self.config.window).enumerate() {
            // The sort is stable, so rows of equal length stay shuffled. Every other window is
            // turned round, so that a batch across two of them has similar lengths as well.
            window.sort_by_key(|&row| lengths[row]);
            if index % 2 == 1 {
                window.reverse();
            }
        }
        let mut batches = self.cut(&order, lengths)?;
        Stream::new(self.config.seed, Purpose::Batches, epoch).shuffle(&mut batches);
        let mut report = BatchReport { batches: batches.len(), ..BatchReport::default() };
        for batch in &batches {
            let tokens: usize = batch.iter().map(|&row| lengths[row]).sum();
            let longest = batch.iter().map(|&row| lengths[row]).max().unwrap_or(0);
            report.rows += batch.len();
            report.tokens += tokens as u64;
            report.padding +=
                batch.len().saturating_mul(self.padded(longest)).saturating_sub(tokens) as u64;
        }
        Ok(BatchPlan { batches, report })
    }

    /// Cuts rows into batches as large as the bounds allow.
    fn cut(&self, order: &[usize], lengths: &[usize]) -> Result<Vec<Vec<usize>>> {
        let rows = self.config.rows.unwrap_or(usize::MAX);
        let tokens = self.config.tokens.unwrap_or(usize::MAX);
        let mut batches = Vec::new();
        let (mut batch, mut longest) = (Vec::new(), 0);
        for &row in order {
            let length = self.padded(lengths[row]);
            if length > tokens {
                return Err(DataError::Setting {
                    setting: "tokens",
                    message: format!(
                        "of a batch are at most {tokens}, but row {row} alone has {length} with \
                         padding: truncate it first, or raise the bound"
                    ),
                });
            }
            let with_row = length.max(longest).saturating_mul(batch.len() + 1);
            if batch.len() == rows || with_row > tokens {
                batches.push(std::mem::take(&mut batch));
                longest = 0;
            }
            batch.push(row);
            longest = longest.max(length);
        }
        if !batch.is_empty() {
            batches.push(batch);
        }
        Ok(batches)
    }

    fn padded(&self, length: usize) -> usize {
        length.checked_next_multiple_of(self.config.multiple_of).unwrap_or(usize::MAX)
    }
}

/// The batches of an epoch.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BatchPlan {
    /// The rows of each batch, in the order of the steps. To resume after `n` steps, skip `n`.
    pub batches: Vec<Vec<usize>>,
    /// Counts.
    pub report: BatchReport,
}

/// What the batches of an epoch hold.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BatchReport {
    /// Batches.
    pub batches: usize,
    /// Rows in all batches.
    pub rows: usize,
    /// Tokens in all batches, without padding.
    pub tokens: u64,
    /// Tokens of padding.
    pub padding: u64,
}
