//! How well a model predicts rows that it was not trained on.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{DType, Tensor};
use collimate_data::Row;
use collimate_lm::{Batch, Decoder};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use rayon::slice::ParallelSlice;
use serde::{Deserialize, Serialize};

use crate::batches::rows_together;
use crate::error::{EvalError, Result};
use crate::paired::MeanChange;

/// Logits that exist at a time.
const LOGITS: usize = 1 << 24;

/// How well a model predicts the tokens of rows that carry loss.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HeldOut {
    /// Rows.
    pub rows: usize,
    /// Tokens that were predicted.
    pub tokens: u64,
    /// The mean negative log-likelihood of those tokens, in nats.
    pub loss: f64,
    /// `exp(loss)`.
    pub perplexity: f64,
    /// The share of those tokens that the model held for the most likely.
    pub token_accuracy: f64,
    /// Of each row, in their order: the tokens that were predicted, and the sum of their negative
    /// log-likelihoods.
    pub per_row: Vec<(u64, f64)>,
}

/// Compares the losses of two models on the same rows, in nats per token. The rows are the sample, not the
/// tokens.
///
/// # Errors
///
/// [`EvalError::Unpaired`]: the rows are not the same; [`EvalError::FewRows`]: there are less than two.
pub fn compare_held_out(before: &HeldOut, after: &HeldOut) -> Result<MeanChange> {
    let pairs = || before.per_row.iter().zip(&after.per_row);
    if before.per_row.len() != after.per_row.len() || pairs().any(|(one, two)| one.0 != two.0) {
        return Err(EvalError::Unpaired {
            left: "tokens before",
            left_count: before.tokens as usize,
            right: "tokens after",
            right_count: after.tokens as usize,
        });
    }
    let rows: Vec<(f64, f64)> = pairs()
        .filter(|(one, _)| one.0 > 0)
        .map(|(before, after)| (before.0 as f64, after.1 - before.1))
        .collect();
    MeanChange::of(&rows).ok_or(EvalError::FewRows { rows: rows.len() })
}

/// Predicts every token that carries loss from those before it; at most so many tokens run together.
///
/// # Errors
///
/// [`EvalError::NothingToPredict`]: no token but first ones carries loss; [`EvalError::Cancelled`];
/// [`EvalError::Lm`], [`EvalError::Device`].
pub fn held_out(
    decoder: &Decoder,
    rows: &[Row],
    batch_tokens: usize,
    cancelled: &AtomicBool,
) -> Result<HeldOut> {
    let lengths: Vec<usize> = rows.iter().map(Row::len).collect();
    let mut per_row = vec![(0_u64, 0.0); rows.len()];
    let mut hits = 0_u64;
    for batch in rows_together(&lengths, batch_tokens) {
        if cancelled.load(Ordering::Relaxed) {
            return Err(EvalError::Cancelled);
        }
        let of_batch: Vec<&Row> = batch.iter().filter_map(|&row| rows.get(row)).collect();
        let ids: Vec<&[u32]> = of_batch.iter().map(|row| row.ids.as_slice()).collect();
        let width = ids.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let mut predicted: Vec<(usize, u32)> = Vec::new();
        for (at, row) in of_batch.iter().enumerate() {
            let all = row.ids.iter().zip(&row.trained).enumerate().skip(1);
            let wanted = all.filter(|(_, (_, trained))| **trained);
            predicted.extend(wanted.map(|(token, (id, _))| (at * width + token - 1, *id)));
        }
        if predicted.is_empty() {
            continue;
        }
        let hidden = decoder.forward(&Batch::padded(&ids)?)?;
        let [count, sequence, size] = hidden.dims();
        let hidden: Tensor<2> = hidden.reshape([count * sequence, size]);
        let together = (LOGITS / decoder.config().vocab_size.max(1)).max(1);
        for chunk in predicted.chunks(together) {
            let at: Vec<i64> = chunk.iter().map(|(at, _)| *at as i64).collect();
            let at = Tensor::from_data(at.as_slice(), decoder.device());
            let logits = decoder.head(hidden.clone().select(0, at).unsqueeze_dim(0));
            let logits = logits.cast(DType::F32).into_data();
            let logits = logits.try_into_vec::<f32>().map_err(EvalError::device)?;
            let vocabulary = logits.len() / chunk.len();
            let found: Vec<(f64, bool)> = chunk
                .par_iter()
                .zip(logits.par_chunks_exact(vocabulary))
                .map(|((_, id), logits)| log_probability(logits, *id as usize))
                .collect();
            for ((at, _), (log_probability, is_greatest)) in chunk.iter().zip(found) {
                if let Some(of_row) = batch.get(at / width).and_then(|&row| per_row.get_mut(row)) {
                    of_row.0 += 1;
                    of_row.1 -= log_probability;
                }
                hits += u64::from(is_greatest);
            }
        }
    }
    let tokens: u64 = per_row.iter().map(|row| row.0).sum();
    if tokens == 0 {
        return Err(EvalError::NothingToPredict { rows: rows.len() });
    }
    let loss = per_row.iter().map(|row| row.1).sum::<f64>() / tokens as f64;
    let token_accuracy = hits as f64 / tokens as f64;
    Ok(HeldOut { rows: rows.len(), tokens, loss, perplexity: loss.exp(), token_accuracy, per_row })
}

/// The log-probability of a token, and whether it is the first of the most likely ones.
fn log_probability(logits: &[f32], id: usize) -> (f64, bool) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from((logit - largest).exp())).sum();
    let of_token = logits.get(id).copied().unwrap_or(f32::NAN);
    let is_greatest = logits.iter().position(|&logit| logit == largest) == Some(id);
    (f64::from(of_token - largest) - sum.ln(), is_greatest)
}
