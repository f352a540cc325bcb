//! What is trained on.

use collimate_data::{PreparedRows, Row};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Result, TrainError};

/// Rows that can be read in any order.
pub trait Rows {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A row.
    ///
    /// # Errors
    ///
    /// There is no such row, or it can't be read.
    fn row(&self, row: usize) -> Result<Row>;

    /// What a row is called in errors. Default: its number.
    fn name(&self, row: usize) -> String {
        format!("row {row}")
    }
}

impl Rows for &[Row] {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn row(&self, row: usize) -> Result<Row> {
        self.get(row).cloned().ok_or(TrainError::NoRow { row, rows: self.len() })
    }
}

impl Rows for Vec<Row> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn row(&self, row: usize) -> Result<Row> {
        (&self.as_slice()).row(row)
    }
}

/// Some of the rows of a file of prepared rows, in the order given.
#[derive(Debug)]
pub struct PreparedPart<'a> {
    rows: &'a PreparedRows,
    chosen: Vec<usize>,
}

impl<'a> PreparedPart<'a> {
    /// The rows of these numbers.
    pub fn new(rows: &'a PreparedRows, chosen: Vec<usize>) -> Self {
        Self { rows, chosen }
    }

    /// The number in the file of each row.
    pub fn chosen(&self) -> &[usize] {
        &self.chosen
    }
}

impl Rows for PreparedPart<'_> {
    fn len(&self) -> usize {
        self.chosen.len()
    }

    fn row(&self, row: usize) -> Result<Row> {
        let chosen = self.chosen.get(row).ok_or(TrainError::NoRow { row, rows: self.len() })?;
        Ok(self.rows.row(*chosen)?)
    }

    fn name(&self, row: usize) -> String {
        match self.chosen.get(row).map(|&chosen| self.rows.origin(chosen)) {
            Some(Ok(origin)) => format!("row {row} ({origin})"),
            _ => format!("row {row}"),
        }
    }
}

/// What rows come to.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DataSummary {
    /// Rows.
    pub rows: usize,
    /// Tokens.
    pub tokens: u64,
    /// Tokens that carry loss.
    pub trained_tokens: u64,
    /// Tokens of the longest row.
    pub longest_row: usize,
    /// The SHA-256 of all rows with their masks, in order, in hexadecimal.
    pub sha256: String,
}

/// What rows come to, and the tokens of each.
///
/// # Errors
///
/// There is none; one has no token that carries loss, or an id that is not in the vocabulary.
pub(crate) fn survey(rows: &dyn Rows, vocabulary: usize) -> Result<(DataSummary, Vec<usize>)> {
    if rows.is_empty() {
        return Err(TrainError::NoRows);
    }
    let mut lengths = Vec::with_capacity(rows.len());
    let mut hasher = Sha256::new();
    let (mut tokens, mut trained_tokens) = (0, 0);
    for at in 0..rows.len() {
        let Row { ids, trained, .. } = rows.row(at)?;
        let wrong = |message: String| TrainError::Row { row: rows.name(at), message };
        if let Some(id) = ids.iter().find(|id| **id as usize >= vocabulary) {
            return Err(wrong(format!(
                "has a token {id}, the model's vocabulary has {vocabulary}; it was tokenized for another model"
            )));
        }
        let count = trained.iter().skip(1).filter(|trained| **trained).count();
        if count == 0 {
            return Err(wrong("has no token that carries loss; leave it out".to_owned()));
        }
        hasher.update((ids.len() as u64).to_le_bytes());
        for (id, trained) in ids.iter().zip(&trained) {
            hasher.update(id.to_le_bytes());
            hasher.update([u8::from(*trained)]);
        }
        tokens += ids.len() as u64;
        trained_tokens += count as u64;
        lengths.push(ids.len());
    }
    let summary = DataSummary {
        rows: lengths.len(),
        tokens,
        trained_tokens,
        longest_row: lengths.iter().copied().max().unwrap_or(0),
        sha256: hexadecimal(&hasher.finalize()),
    };
    Ok((summary, lengths))
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ids: &[u32], trained: &[u8]) -> Row {
        Row::new(ids.to_vec(), trained.iter().map(|trained| *trained == 1).collect())
    }

    #[test]
    fn every_token_and_mask_counts() {
        let hash = |rows: Vec<Row>| survey(&rows, 10).unwrap().0.sha256;
        let mut hashes = vec![
            hash(vec![row(&[1, 2], &[0, 1]), row(&[3, 4, 5], &[0, 1, 1])]),
            hash(vec![row(&[1, 2], &[1, 1]), row(&[3, 4, 5], &[0, 1, 1])]),
            hash(vec![row(&[1, 2, 3], &[0, 1, 1]), row(&[4, 5], &[0, 1])]),
            hash(vec![row(&[3, 4, 5], &[0, 1, 1]), row(&[1, 2], &[0, 1])]),
        ];
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), 4);
    }

    #[test]
    fn rows_that_teach_nothing_or_something_else_are_named() {
        let error = |rows: Vec<Row>| survey(&rows, 10).unwrap_err().to_string();
        let good = || row(&[1, 2], &[0, 1]);
        // The first token is never predicted.
        let found = error(vec![good(), row(&[1, 2], &[1, 0])]);
        assert!(found.starts_with("row 1 has no token that carries loss"), "{found}");
        let found = error(vec![row(&[1, 10], &[0, 1])]);
        assert!(found.starts_with("row 0 has a token 10"), "{found}");
        assert!(matches!(survey(&Vec::new(), 10), Err(TrainError::NoRows)));
    }
}
