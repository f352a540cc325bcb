//! The loss of a batch, of which never all logits exist.

mod chunks;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::{LmError, Result};
use crate::lora::indices;
use crate::model::{Decoder, Projections};
use crate::score::read;
use crate::targets::Targets;
use chunks::Chunks;

/// How the loss of tokens is computed.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LossConfig {
    /// `ε` of `(1 − ε)·loss + ε·mean`, the mean being that of the loss of every token of the
    /// vocabulary, as in transformers; in `0..1`, 0 by default.
    pub label_smoothing: f64,
    /// How many tokens have logits at the same time; by default as many as 32 MiB hold, and no fewer
    /// than 128. It changes nothing but the order in which numbers are added.
    pub chunk: Option<usize>,
    /// The key of [`Training`](crate::Training), for the dropout of a branch beside the head; nothing is
    /// dropped without it.
    pub key: Option<u64>,
}

impl LossConfig {
    /// Sets the smoothing of labels.
    #[must_use]
    pub fn with_label_smoothing(mut self, label_smoothing: f64) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }

    /// Sets how many tokens have logits at the same time.
    #[must_use]
    pub fn with_chunk(mut self, chunk: Option<usize>) -> Self {
        self.chunk = chunk;
        self
    }

    /// Sets the key of dropout.
    #[must_use]
    pub fn with_key(mut self, key: Option<u64>) -> Self {
        self.key = key;
        self
    }

    fn check(&self) -> Result<()> {
        let Self { label_smoothing, chunk, .. } = *self;
        if !(0.0..1.0).contains(&label_smoothing) {
            let message = format!("a label_smoothing of {label_smoothing} is not in 0..1");
            return Err(LmError::Training { message });
        }
        if chunk == Some(0) {
            let message = "a chunk has at least one token".to_owned();
            return Err(LmError::Training { message });
        }
        Ok(())
    }
}

/// The loss of a batch, as a sum: what it is divided by is for the caller to know, who may have other
/// batches.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenLoss {
    /// The sum of `weight · loss` over all tokens.
    pub sum: f64,
    /// The sum of the weights.
    pub weight: f64,
    /// How many tokens carry loss.
    pub tokens: usize,
    /// The part of each row in the sum: where it is not finite, that row is to blame.
    pub rows: Vec<f64>,
    /// The sum as a tensor of one number, from which gradients of everything tracked are taken.
    pub loss: Tensor<1>,
}

impl Decoder {
    /// The negative log-probability of targets, by states `[rows, sequence, hidden]` that left the
    /// final norm.
    ///
    /// Logits are made for a chunk of tokens at a time, and only where there is loss; of each chunk
    /// nothing is kept but the gradient with respect to its states, and to the head where that is
    /// trained. Everything is exact; logits, and sums over the vocabulary, are float32.
    ///
    /// # Errors
    ///
    /// [`LmError::Training`]: settings are out of range; [`LmError::Batch`]: the targets are those of
    /// another batch; [`LmError::TokenId`]; [`LmError::Device`].
    pub fn token_loss(
        &self,
        hidden: Tensor<3>,
        targets: &Targets,
        config: &LossConfig,
    ) -> Result<TokenLoss> {
        config.check()?;
        let states = self.predicting(hidden, targets)?;
        let (losses, gradients) =
            Chunks::new(self, targets, config).run(&self.head_projections(), states);
        let mut rows = vec![0.0; targets.rows()];
        for (predicted, loss) in targets.predicted().iter().zip(joined(losses)?) {
            if let Some(sum) = rows.get_mut(predicted.at / targets.sequence()) {
                *sum += f64::from(predicted.weight) * f64::from(loss);
            }
        }
        let sum = rows.iter().sum();
        let loss = chunks::with_gradients(sum, gradients, &self.device);
        Ok(TokenLoss { sum, weight: targets.weight(), tokens: targets.tokens(), rows, loss })
    }

    /// The loss of each target, without smoothing and weights.
    pub(crate) fn losses(&self, hidden: Tensor<3>, targets: &Targets) -> Result<Vec<f32>> {
        let states = self.predicting(hidden, targets)?.inner();
        let config = LossConfig::default();
        joined(Chunks::new(self, targets, &config).losses(&self.head_projections(), states))
    }

    /// The states that predict the targets, `[targets, hidden]`; one if there are no targets, so that
    /// there is something that a loss of nothing does not depend on.
    fn predicting(&self, hidden: Tensor<3>, targets: &Targets) -> Result<Tensor<2>> {
        self.fits(&hidden, targets)?;
        let [rows, sequence, width] = hidden.dims();
        let states = hidden.reshape([rows * sequence, width]);
        if targets.tokens() == 0 {
            return Ok(states.narrow(0, 0, 1));
        }
        let at: Vec<usize> = targets.predicted().iter().map(|predicted| predicted.at).collect();
        Ok(states.select(0, indices(&at, &self.device)))
    }

    /// The head, which may be the embedding.
    fn head_projections(&self) -> Projections {
        self.head.clone().unwrap_or_else(|| Projections {
            weight: self.embedding.clone(),
            bias: None,
            members: Vec::new(),
        })
    }

    fn fits(&self, hidden: &Tensor<3>, targets: &Targets) -> Result<()> {
        let expected = [targets.rows(), targets.sequence(), self.config.hidden_size];
        if hidden.dims() != expected {
            let found = hidden.dims();
            let message = format!("states of {found:?} don't fit targets of {expected:?}");
            return Err(LmError::Batch { message });
        }
        let vocabulary = self.config.vocab_size;
        match targets.predicted().iter().find(|predicted| predicted.id as usize >= vocabulary) {
            Some(predicted) => Err(LmError::TokenId {
                row: predicted.at / targets.sequence(),
                position: predicted.at % targets.sequence() + 1,
                id: predicted.id,
                vocabulary,
            }),
            None => Ok(()),
        }
    }
}

/// The numbers of all chunks.
fn joined(chunks: Vec<Tensor<1>>) -> Result<Vec<f32>> {
    if chunks.is_empty() { Ok(Vec::new()) } else { read(Tensor::cat(chunks, 0)) }
}
