//! Logits and the probabilities of tokens.

use burn::tensor::{DType, Tensor};

use crate::batch::Batch;
use crate::error::{LmError, Result};
use crate::lora::indices;
use crate::model::Decoder;
use crate::targets::Targets;

impl Decoder {
    /// The hidden states that the head reads, after the final norm: `[rows, sequence, hidden]`.
    ///
    /// # Errors
    ///
    /// [`LmError::TokenId`], [`LmError::TooLong`].
    pub fn forward(&self, batch: &Batch) -> Result<Tensor<3>> {
        self.run(batch, None, &mut |_| {})
    }

    /// The logits of every position, `[rows, sequence, vocab]`.
    ///
    /// For long texts these are many numbers: [`logits_at`](Self::logits_at) and
    /// [`log_probs`](Self::log_probs) need less.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    pub fn logits(&self, batch: &Batch) -> Result<Tensor<3>> {
        Ok(self.head(self.forward(batch)?))
    }

    /// The logits of some positions, each a row of the batch and a token of it: `[positions, vocab]`.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward), and [`LmError::Batch`] where there is no such position.
    pub fn logits_at(&self, batch: &Batch, positions: &[(usize, usize)]) -> Result<Tensor<2>> {
        for &(row, position) in positions {
            if batch.lengths().get(row).is_none_or(|&length| position >= length) {
                let message = format!("there is no token {position} in a row {row}");
                return Err(LmError::Batch { message });
            }
        }
        let at: Vec<usize> =
            positions.iter().map(|(row, position)| row * batch.sequence() + position).collect();
        let hidden = self.rows_of(self.forward(batch)?, &at);
        Ok(self.head(hidden).squeeze_dim(0))
    }

    /// The log-probability of every token but the first of each text, given those before it.
    ///
    /// Logits are made in chunks of tokens; never do all exist at once. They, and the sum over the
    /// vocabulary, are float32.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward); [`LmError::Device`].
    pub fn log_probs(&self, batch: &Batch) -> Result<Vec<Vec<f32>>> {
        let targets = Targets::all(batch);
        let losses = self.losses(self.forward(batch)?, &targets)?;
        let mut found = vec![Vec::new(); batch.rows()];
        for (predicted, loss) in targets.predicted().iter().zip(losses) {
            if let Some(row) = found.get_mut(predicted.at / batch.sequence()) {
                row.push(-loss);
            }
        }
        Ok(found)
    }

    /// Some positions, counted through all rows, as one row.
    fn rows_of(&self, hidden: Tensor<3>, at: &[usize]) -> Tensor<3> {
        let [rows, sequence, width] = hidden.dims();
        let at = indices(at, &self.device);
        hidden.reshape([rows * sequence, width]).select(0, at).unsqueeze_dim(0)
    }
}

/// The numbers of a tensor.
pub(crate) fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.cast(DType::F32).try_into_data();
    let data = data.map_err(|error| LmError::Device { message: error.to_string() })?;
    data.try_into_vec::<f32>().map_err(|error| LmError::Device { message: format!("{error:?}") })
}
