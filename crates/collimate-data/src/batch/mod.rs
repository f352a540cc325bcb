//! Batches of rows of similar length, padded on the right.

mod plan;

use serde::Serialize;

use crate::row::Row;

pub use plan::{BatchConfig, BatchPlan, BatchPlanner, BatchReport};

/// Rows of a step, padded on the right to one length.
///
/// Padding is told from tokens by [`lengths`](Self::lengths), never by its id, which may be that
/// of the end-of-text token. Arrays are `[batch, sequence]`, row by row.
///
/// ```
/// use collimate_data::{Batch, Row};
///
/// let rows = [Row::new(vec![7, 2], vec![false, true]), Row::new(vec![5, 6, 2], vec![true; 3])];
/// let batch = Batch::new(rows.iter().enumerate(), 2, 1);
/// assert_eq!(batch.ids, [7, 2, 2, 5, 6, 2]);
/// assert_eq!(batch.trained, [false, true, false, false, true, true]);
/// assert_eq!(batch.attention_mask(), [true, true, false, true, true, true]);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Batch {
    /// Number of rows.
    pub batch: usize,
    /// Tokens of each row, with padding.
    pub sequence: usize,
    /// Token ids.
    pub ids: Vec<u32>,
    /// Whether predicting a token carries loss; never for padding, nor for the first token of a
    /// row, which nothing precedes.
    pub trained: Vec<bool>,
    /// Tokens of each row, without padding `[batch]`.
    pub lengths: Vec<usize>,
    /// The index of each row `[batch]`.
    pub rows: Vec<usize>,
}

impl Batch {
    /// Rows with their indices, padded with a token to the longest, and on to the next multiple
    /// of `multiple_of` (1 for no more than needed).
    #[must_use]
    pub fn new<'a>(
        rows: impl IntoIterator<Item = (usize, &'a Row)>,
        pad_id: u32,
        multiple_of: usize,
    ) -> Self {
        let rows: Vec<(usize, &Row)> = rows.into_iter().collect();
        let longest = rows.iter().map(|(_, row)| row.len()).max().unwrap_or(0);
        let sequence = longest.next_multiple_of(multiple_of.max(1));
        let mut batch = Self { batch: rows.len(), sequence, ..Self::default() };
        for (place, (index, row)) in rows.into_iter().enumerate() {
            let (start, end) = (place * sequence, (place + 1) * sequence);
            batch.ids.extend(&row.ids);
            batch.ids.resize(end, pad_id);
            batch.trained.extend(row.trained.iter().take(row.len()));
            batch.trained.resize(end, false);
            if let Some(first) = batch.trained.get_mut(start) {
                *first = false;
            }
            batch.lengths.push(row.len());
            batch.rows.push(index);
        }
        batch
    }

    /// Which places hold tokens rather than padding `[batch, sequence]`.
    #[must_use]
    pub fn attention_mask(&self) -> Vec<bool> {
        let of_row = |&length: &usize| (0..self.sequence).map(move |position| position < length);
        self.lengths.iter().flat_map(of_row).collect()
    }

    /// Number of tokens that carry loss.
    #[must_use]
    pub fn trained_tokens(&self) -> usize {
        self.trained.iter().filter(|trained| **trained).count()
    }
}
