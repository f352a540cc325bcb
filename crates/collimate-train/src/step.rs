//! One step: the gradients of its batches, added up.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Tensor;
use collimate_data::{Packed, Row};
use collimate_lm::{Batch, Decoder, LossConfig, Targets, Training};

use crate::config::TrainConfig;
use crate::error::Result;
use crate::order::Sequences;
use crate::random::batch_key;
use crate::rows::Rows;
use crate::trained::Trained;

/// What the batches of a step came to: sums, so that those of several devices can be added before
/// anything is divided.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// Of each parameter, flat; none where nothing depends on it.
    pub(crate) gradients: Vec<Option<Tensor<1>>>,
    /// Of the losses of the trained tokens.
    pub(crate) loss: f64,
    /// Trained tokens.
    pub(crate) trained_tokens: u64,
    /// Tokens, without padding.
    pub(crate) tokens: u64,
}

/// How the batches of a step ended.
pub(crate) enum Outcome {
    Done(Sums),
    /// The loss of these rows is not finite.
    NotFinite(Vec<usize>),
    Cancelled,
}

/// Runs the batches of a step, forward and backward.
pub(crate) fn run(
    decoder: &Decoder,
    trained: &Trained,
    rows: &dyn Rows,
    batches: &[Sequences],
    config: &TrainConfig,
    step: u64,
    cancelled: &AtomicBool,
) -> Result<Outcome> {
    let mut sums = Sums { gradients: trained.nothing(), ..Sums::default() };
    let loss_config = LossConfig::default().with_label_smoothing(config.label_smoothing);
    for (at, sequences) in batches.iter().enumerate() {
        if cancelled.load(Ordering::Relaxed) {
            return Ok(Outcome::Cancelled);
        }
        let (batch, targets) = batch(rows, sequences, config.pack.is_some())?;
        sums.tokens += batch.lengths().iter().sum::<usize>() as u64;
        sums.trained_tokens += targets.tokens() as u64;
        let training = Training::new(batch_key(config.seed, step, at as u64))
            .with_neftune_alpha(config.neftune_alpha)
            .with_recompute(config.recompute);
        let hidden = decoder.forward_training(&batch, &training)?;
        let loss =
            decoder.token_loss(hidden, &targets, &loss_config.with_key(Some(training.key)))?;
        if !loss.sum.is_finite() {
            let of_sequence = loss.rows.iter().zip(sequences);
            let rows = of_sequence.filter(|(sum, _)| !sum.is_finite());
            return Ok(Outcome::NotFinite(rows.flat_map(|(_, rows)| rows.clone()).collect()));
        }
        sums.loss += loss.sum;
        trained.add_gradients(decoder, &loss, &mut sums.gradients);
    }
    Ok(Outcome::Done(sums))
}

/// Sequences of rows as the model takes them, and what they are to predict.
fn batch(rows: &dyn Rows, sequences: &Sequences, packed: bool) -> Result<(Batch, Targets)> {
    let read = |numbers: &Vec<usize>| numbers.iter().map(|&row| rows.row(row)).collect();
    let sequences = sequences.iter().map(read).collect::<Result<Vec<Vec<Row>>>>()?;
    let masks: Vec<Vec<bool>> =
        sequences.iter().map(|rows| Packed::from_rows(rows.iter().enumerate()).trained).collect();
    let ids = sequences.iter().map(|rows| rows.iter().map(|row| row.ids.as_slice()).collect());
    let ids: Vec<Vec<&[u32]>> = ids.collect();
    let batch = if packed {
        Batch::packed(&ids)?
    } else {
        let ids: Vec<&[u32]> = ids.into_iter().flatten().collect();
        Batch::padded(&ids)?
    };
    let targets = Targets::masked(&batch, &masks)?;
    Ok((batch, targets))
}
