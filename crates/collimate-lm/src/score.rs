//! Logits and the probabilities of tokens.

use burn::tensor::{DType, Int, Tensor, TensorData};

use crate::batch::Batch;
use crate::error::{LmError, Result};
use crate::model::Decoder;

/// Logits that exist at once, in numbers.
const CHUNK: usize = 1 << 23;

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

    /// The log-probability of every token but the first of each row, given those before it.
    ///
    /// Logits are made in chunks of tokens; never do all exist at once. They, and the sum over the
    /// vocabulary, are float32.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward); [`LmError::Device`].
    pub fn log_probs(&self, batch: &Batch) -> Result<Vec<Vec<f32>>> {
        let hidden = self.forward(batch)?;
        let sequence = batch.sequence();
        let mut at = Vec::new();
        for (row, &length) in batch.lengths().iter().enumerate() {
            at.extend((0..length - 1).map(|position| row * sequence + position));
        }
        let mut found = Vec::with_capacity(at.len());
        for chunk in at.chunks((CHUNK / self.config.vocab_size.max(1)).max(1)) {
            let logits = self.head(self.rows_of(hidden.clone(), chunk)).cast(DType::F32);
            let logits: Tensor<2> = logits.squeeze_dim(0);
            let next: Vec<i64> = chunk
                .iter()
                .map(|at| i64::from(batch.ids().get(at + 1).copied().unwrap_or_default()))
                .collect();
            let next = TensorData::new(next, [chunk.len(), 1]);
            let next = Tensor::<2, Int>::from_data(next, &self.device);
            let most = logits.clone().max_dim(1);
            let sum = (logits.clone() - most.clone()).exp().sum_dim(1).log() + most;
            found.extend(read(logits.gather(1, next) - sum)?);
        }
        let mut found = found.into_iter();
        let rows = batch.lengths().iter();
        Ok(rows.map(|length| found.by_ref().take(length - 1).collect()).collect())
    }

    /// Some positions, counted through all rows, as one row.
    fn rows_of(&self, hidden: Tensor<3>, at: &[usize]) -> Tensor<3> {
        let [rows, sequence, width] = hidden.dims();
        let at: Vec<i64> = at.iter().map(|&at| at as i64).collect();
        let at = Tensor::<1, Int>::from_data(at.as_slice(), &self.device);
        hidden.reshape([rows * sequence, width]).select(0, at).unsqueeze_dim(0)
    }
}

/// The numbers of a tensor.
pub(crate) fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.cast(DType::F32).try_into_data();
    let data = data.map_err(|error| LmError::Device { message: error.to_string() })?;
    data.try_into_vec::<f32>().map_err(|error| LmError::Device { message: format!("{error:?}") })
}
