//! How well a model predicts rows that it was not trained on.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{DType, Tensor};
use collimate_data::Row;
use collimate_lm::{Batch, Decoder};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use rayon::slice::ParallelSlice;
use serde::Serialize;

use crate::batches::rows_together;
use crate::error::{EvalError, Result};

/// Logits that exist at a time.
const LOGITS: usize = 1 << 24;

/// How well a model predicts the tokens of rows that carry loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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
    let (mut tokens, mut nll, mut hits) = (0_u64, 0.0, 0_u64);
    for batch in rows_together(&lengths, batch_tokens) {
        if cancelled.load(Ordering::Relaxed) {
            return Err(EvalError::Cancelled);
        }
        let batch: Vec<&Row> = batch.iter().filter_map(|&row| rows.get(row)).collect();
        let ids: Vec<&[u32]> = batch.iter().map(|row| row.ids.as_slice()).collect();
        let width = ids.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let mut predicted: Vec<(usize, u32)> = Vec::new();
        for (at, row) in batch.iter().enumerate() {
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
            for (log_probability, is_greatest) in found {
                tokens += 1;
                nll -= log_probability;
                hits += u64::from(is_greatest);
            }
        }
    }
    if tokens == 0 {
        return Err(EvalError::NothingToPredict { rows: rows.len() });
    }
    let loss = nll / tokens as f64;
    let token_accuracy = hits as f64 / tokens as f64;
    Ok(HeldOut { rows: rows.len(), tokens, loss, perplexity: loss.exp(), token_accuracy })
}

/// The log-probability of a token, and whether it is the first of the most likely ones.
fn log_probability(logits: &[f32], id: usize) -> (f64, bool) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from((logit - largest).exp())).sum();
    let of_token = logits.get(id).copied().unwrap_or(f32::NAN);
    let is_greatest = logits.iter().position(|&logit| logit == largest) == Some(id);
    (f64::from(of_token - largest) - sum.ln(), is_greatest)
}
