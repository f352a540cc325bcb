//! How good the model is, while it is trained.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use collimate_data::Row;
use collimate_lm::{Batch, Decoder};

use crate::error::Result;
use crate::rows::Rows;

/// Measures a model of the caller's choice of measures, after a step.
pub trait Evaluator {
    /// What is measured, by name. Names begin with `eval_`, as in transformers.
    ///
    /// The model has what is trained attached, and doesn't record.
    ///
    /// # Errors
    ///
    /// Whatever stops training.
    fn evaluate(
        &mut self,
        decoder: &Decoder,
        step: u64,
    ) -> std::result::Result<BTreeMap<String, f64>, Box<dyn std::error::Error + Send + Sync>>;
}

impl<F> Evaluator for F
where
    F: FnMut(
        &Decoder,
        u64,
    ) -> std::result::Result<
        BTreeMap<String, f64>,
        Box<dyn std::error::Error + Send + Sync>,
    >,
{
    fn evaluate(
        &mut self,
        decoder: &Decoder,
        step: u64,
    ) -> std::result::Result<BTreeMap<String, f64>, Box<dyn std::error::Error + Send + Sync>> {
        self(decoder, step)
    }
}

/// The mean negative log-likelihood of the trained tokens of rows, without dropout, noise or smoothing;
/// none if it was cancelled.
///
/// Rows of similar length run together, so many at a time; the order doesn't change the result by more
/// than rounding, and is always the same.
pub(crate) fn held_out_loss(
    decoder: &Decoder,
    rows: &dyn Rows,
    lengths: &[usize],
    batch_size: usize,
    cancelled: &AtomicBool,
) -> Result<Option<f64>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&row| (lengths.get(row).copied().unwrap_or(0), row));
    let (mut sum, mut count) = (0.0, 0_u64);
    for batch in order.chunks(batch_size) {
        if cancelled.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let rows = batch.iter().map(|&row| rows.row(row)).collect::<Result<Vec<Row>>>()?;
        let ids: Vec<&[u32]> = rows.iter().map(|row| row.ids.as_slice()).collect();
        let log_probs = decoder.log_probs(&Batch::padded(&ids)?)?;
        for (row, log_probs) in rows.iter().zip(log_probs) {
            // The first token is not predicted.
            let trained = row.trained.iter().skip(1).zip(log_probs);
            for (_, log_prob) in trained.filter(|(trained, _)| **trained) {
                sum -= f64::from(log_prob);
                count += 1;
            }
        }
    }
    Ok(Some(sum / count.max(1) as f64))
}
