//! What a batch is to predict.

use crate::batch::Batch;
use crate::error::{LmError, Result};

/// For every position of a batch, the token that follows it and the weight of predicting it.
///
/// The first token of a text is predicted by nothing, and the last one predicts nothing: also where
/// several texts are packed into a row.
///
/// ```
/// use collimate_lm::{Batch, Targets};
///
/// let batch = Batch::packed(&[vec![vec![5, 8, 13], vec![34, 55]]])?;
/// assert_eq!(Targets::all(&batch).tokens(), 3);
/// // Of the second text only the last token.
/// let targets = Targets::masked(&batch, &[[false, true, true, true, true]])?;
/// assert_eq!((targets.tokens(), targets.weight()), (3, 3.0));
/// # Ok::<(), collimate_lm::LmError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Targets {
    rows: usize,
    sequence: usize,
    /// Sorted by position.
    predicted: Vec<Predicted>,
}

/// A token that is to be predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Predicted {
    /// The position before it, counted through all rows.
    pub(crate) at: usize,
    pub(crate) id: u32,
    pub(crate) weight: f32,
}

impl Targets {
    /// Every token that another of its text precedes, each with a weight of 1.
    pub fn all(batch: &Batch) -> Self {
        Self::of(batch, |_, _| 1.0)
    }

    /// The tokens whose mask is set, each with a weight of 1: a mask for each row, as long as its
    /// tokens.
    ///
    /// # Errors
    ///
    /// [`LmError::Batch`]: there are more or fewer masks than rows, or one of another length.
    pub fn masked<M: AsRef<[bool]>>(batch: &Batch, masks: &[M]) -> Result<Self> {
        let lengths: Vec<usize> = masks.iter().map(|mask| mask.as_ref().len()).collect();
        check(batch, &lengths)?;
        let set = |row: usize, at: usize| {
            masks.get(row).and_then(|mask| mask.as_ref().get(at)).is_some_and(|&set| set)
        };
        Ok(Self::of(batch, |row, at| if set(row, at) { 1.0 } else { 0.0 }))
    }

    /// Tokens with their weights; those of weight 0 carry no loss. A weight for each token of each row.
    ///
    /// # Errors
    ///
    /// [`LmError::Batch`]: weights don't fit the rows, or one is negative or not finite.
    pub fn weighted<W: AsRef<[f32]>>(batch: &Batch, weights: &[W]) -> Result<Self> {
        let lengths: Vec<usize> = weights.iter().map(|row| row.as_ref().len()).collect();
        check(batch, &lengths)?;
        for (row, weights) in weights.iter().enumerate() {
            let valid = |weight: &f32| weight.is_finite() && *weight >= 0.0;
            if let Some(at) = weights.as_ref().iter().position(|weight| !valid(weight)) {
                let message = format!(
                    "the weight of token {at} of row {row} is {}; expected 0 or more",
                    weights.as_ref().get(at).copied().unwrap_or_default()
                );
                return Err(LmError::Batch { message });
            }
        }
        let weight = |row: usize, at: usize| {
            weights.get(row).and_then(|row| row.as_ref().get(at)).copied().unwrap_or_default()
        };
        Ok(Self::of(batch, weight))
    }

    /// How many tokens carry loss.
    pub fn tokens(&self) -> usize {
        self.predicted.len()
    }

    /// The sum of their weights: what a summed loss is divided by.
    pub fn weight(&self) -> f64 {
        self.predicted.iter().map(|predicted| f64::from(predicted.weight)).sum()
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn sequence(&self) -> usize {
        self.sequence
    }

    pub(crate) fn predicted(&self) -> &[Predicted] {
        &self.predicted
    }

    /// With the weight of each token of each row.
    fn of(batch: &Batch, weight: impl Fn(usize, usize) -> f32) -> Self {
        let sequence = batch.sequence();
        let mut predicted = Vec::new();
        let texts = batch.ids().chunks(sequence).zip(batch.positions().chunks(sequence));
        for (row, (&length, (ids, positions))) in batch.lengths().iter().zip(texts).enumerate() {
            // Rows that are aligned at their end begin later.
            let first = batch.first().and_then(|first| first.get(row * sequence)).copied();
            let begin = first.unwrap_or(0) as usize;
            let tokens = ids.iter().zip(positions).enumerate().skip(begin).take(length);
            for (at, (&id, &position)) in tokens {
                let weight = weight(row, at - begin);
                // A text begins at position 0.
                if position > 0 && weight > 0.0 {
                    predicted.push(Predicted { at: row * sequence + at - 1, id, weight });
                }
            }
        }
        Self { rows: batch.rows(), sequence, predicted }
    }
}

/// That there is a mask for each row, as long as its tokens.
fn check(batch: &Batch, lengths: &[usize]) -> Result<()> {
    if lengths.len() != batch.rows() {
        let message = format!("there are {} masks for {} rows", lengths.len(), batch.rows());
        return Err(LmError::Batch { message });
    }
    for (row, (found, length)) in lengths.iter().zip(batch.lengths()).enumerate() {
        if found != length {
            let message = format!("row {row} has {length} tokens and a mask of {found}");
            return Err(LmError::Batch { message });
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn found(targets: &Targets) -> Vec<(usize, u32, f32)> {
        targets.predicted.iter().map(|of| (of.at, of.id, of.weight)).collect()
    }

    #[test]
    fn a_token_is_predicted_by_the_one_before_it() {
        let batch = Batch::padded(&[vec![7, 8, 9], vec![5, 6]]).unwrap();
        let expected = [(0, 8, 1.0), (1, 9, 1.0), (3, 6, 1.0)];
        assert_eq!(found(&Targets::all(&batch)), expected);
        let masks = [vec![true, false, true], vec![true, true]];
        assert_eq!(found(&Targets::masked(&batch, &masks).unwrap()), [expected[1], expected[2]]);
    }

    #[test]
    fn the_last_token_of_a_packed_text_predicts_nothing() {
        let batch = Batch::packed(&[vec![vec![7, 8], vec![9], vec![5, 6]], vec![vec![1]]]).unwrap();
        assert_eq!(found(&Targets::all(&batch)), [(0, 8, 1.0), (3, 6, 1.0)]);
    }

    #[test]
    fn weights_are_kept() {
        let batch = Batch::padded(&[vec![7, 8, 9]]).unwrap();
        let weights = [[1.0, 0.5, 0.0]];
        let targets = Targets::weighted(&batch, &weights).unwrap();
        assert_eq!(found(&targets), [(0, 8, 0.5)]);
        assert_eq!((targets.tokens(), targets.weight()), (1, 0.5));
    }

    #[test]
    fn rows_may_be_aligned_at_their_end() {
        let batch = Batch::aligned(&[vec![7, 8, 9], vec![5, 6]]).unwrap();
        let expected = [(0, 8, 1.0), (1, 9, 1.0), (4, 6, 1.0)];
        assert_eq!(found(&Targets::all(&batch)), expected);
        let masks = [vec![true, false, true], vec![true, true]];
        assert_eq!(found(&Targets::masked(&batch, &masks).unwrap()), [expected[1], expected[2]]);
    }

    #[test]
    fn masks_that_do_not_fit_are_errors() {
        let batch = Batch::padded(&[vec![7, 8, 9], vec![5, 6]]).unwrap();
        let message = |result: Result<Targets>| result.unwrap_err().to_string();
        assert_eq!(message(Targets::masked(&batch, &[[true; 3]])), "there are 1 masks for 2 rows");
        assert_eq!(
            message(Targets::masked(&batch, &[[true; 3]; 2])),
            "row 1 has 2 tokens and a mask of 3"
        );
        let weights = [vec![1.0; 3], vec![0.0, f32::NAN]];
        assert_eq!(
            message(Targets::weighted(&batch, &weights)),
            "the weight of token 1 of row 1 is NaN; expected 0 or more"
        );
    }
}
