//! The states inside a model.

use std::ops::Range;

use burn::tensor::{DType, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::error::{LmError, Result};
use crate::model::{Decoder, Seen};

/// Tokens that the CPU runs together: more take more memory and are no faster.
#[cfg(feature = "flex")]
const CPU_TOKENS: usize = 512;

/// Which states of a model are read.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HiddenSource {
    /// The residual stream, numbered as `hidden_states` in transformers: 0 is the embedding, `n` what
    /// leaves layer `n`, the last one after the final norm.
    #[default]
    Residual,
    /// The activations inside the MLP of layer `n`, counted from 1: what its last projection reads.
    Mlp,
}

/// How the states of a row's tokens become one.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Pooling {
    /// That of the last token.
    #[default]
    Last,
    /// The mean of all tokens.
    Mean,
    /// The mean of some of the tokens of each row, which are not none.
    Spans(Vec<Range<usize>>),
}

impl Decoder {
    /// How many layers of states a source has, and the number of the first.
    pub fn hidden_layers(&self, source: HiddenSource) -> Range<usize> {
        let end = self.config.layers.len() + 1;
        match source {
            HiddenSource::Residual => 0..end,
            HiddenSource::Mlp => 1..end,
        }
    }

    /// The width of the states of a source.
    pub fn hidden_width(&self, source: HiddenSource) -> usize {
        match source {
            HiddenSource::Residual => self.config.hidden_size,
            HiddenSource::Mlp => self.config.intermediate_size,
        }
    }

    /// The states of some layers at every position, each `[rows, sequence, width]`.
    ///
    /// # Errors
    ///
    /// [`LmError::Layer`]: there is no such layer; [`LmError::TokenId`], [`LmError::TooLong`].
    pub fn hidden_states(
        &self,
        batch: &Batch,
        layers: &[usize],
        source: HiddenSource,
    ) -> Result<Vec<Tensor<3>>> {
        self.collect(batch, layers, source, &|states| states)
    }

    /// The states of some layers, pooled on the device as they arise, `[rows, layers, width]` in
    /// float32; the rest is not kept.
    ///
    /// # Errors
    ///
    /// As [`hidden_states`](Self::hidden_states), and [`LmError::Batch`] where a span is empty or
    /// reaches beyond its row.
    pub fn pooled(
        &self,
        batch: &Batch,
        layers: &[usize],
        source: HiddenSource,
        pooling: &Pooling,
    ) -> Result<Tensor<3>> {
        batch.check(&self.config)?;
        let spans = spans(batch, pooling)?;
        let together = self.rows_together(batch);
        let mut found = Vec::new();
        for start in (0..batch.rows()).step_by(together) {
            let rows = start..(start + together).min(batch.rows());
            let part = batch.part(rows.clone());
            found.push(self.pooled_spans(&part, layers, source, &spans[rows])?);
        }
        Ok(Tensor::cat(found, 0))
    }

    /// How many rows run together where nothing of them is kept.
    fn rows_together(&self, batch: &Batch) -> usize {
        #[cfg(feature = "flex")]
        if self.device == burn::tensor::Device::flex() {
            return (CPU_TOKENS / batch.sequence()).max(1);
        }
        batch.rows()
    }

    fn pooled_spans(
        &self,
        batch: &Batch,
        layers: &[usize],
        source: HiddenSource,
        spans: &[Range<usize>],
    ) -> Result<Tensor<3>> {
        let [rows, sequence] = [batch.rows(), batch.sequence()];
        let last = spans.iter().all(|span| span.len() == 1);
        let pool: Box<dyn Fn(Tensor<3>) -> Tensor<3>> = if last {
            let at = |(row, span): (usize, &Range<usize>)| (row * sequence + span.start) as i64;
            let at: Vec<i64> = spans.iter().enumerate().map(at).collect();
            let at = Tensor::<1, Int>::from_data(at.as_slice(), &self.device);
            Box::new(move |states: Tensor<3>| {
                let [_, _, width] = states.dims();
                let rows_of = states.reshape([rows * sequence, width]);
                rows_of.select(0, at.clone()).cast(DType::F32).unsqueeze_dim(1)
            })
        } else {
            let mut weights = vec![0.0_f32; rows * sequence];
            for (row, span) in spans.iter().enumerate() {
                let share = 1.0 / span.len() as f32;
                weights[row * sequence..][span.clone()].fill(share);
            }
            let weights = TensorData::new(weights, [rows, 1, sequence]);
            let weights = Tensor::<3>::from_data(weights, (&self.device, DType::F32));
            Box::new(move |states: Tensor<3>| weights.clone().matmul(states.cast(DType::F32)))
        };
        let pooled = self.collect(batch, layers, source, &*pool)?;
        Ok(Tensor::cat(pooled, 1))
    }

    fn collect(
        &self,
        batch: &Batch,
        layers: &[usize],
        source: HiddenSource,
        keep: &dyn Fn(Tensor<3>) -> Tensor<3>,
    ) -> Result<Vec<Tensor<3>>> {
        let range = self.hidden_layers(source);
        if let Some(&layer) = layers.iter().find(|layer| !range.contains(layer)) {
            return Err(LmError::Layer { layer, range });
        }
        let wanted = |layer: usize| layers.contains(&layer);
        let end = self.config.layers.len();
        let mut found: Vec<Option<Tensor<3>>> = vec![None; end + 1];
        let mut put = |layer: usize, states: &Tensor<3>| {
            if let Some(place) = found.get_mut(layer) {
                *place = Some(keep(states.clone()));
            }
        };
        // What comes behind the last of them is not computed.
        let until = layers.iter().copied().max().unwrap_or(0);
        let mut see = |seen: Seen<'_>| match (seen, source) {
            (Seen::Residual(layer, states), HiddenSource::Residual)
                if wanted(layer) && layer < end =>
            {
                put(layer, states);
            }
            (Seen::Mlp(layer, states), HiddenSource::Mlp) if wanted(layer) => put(layer, states),
            _ => {}
        };
        let last = self.run_until(batch, None, None, until, &mut see)?;
        if source == HiddenSource::Residual && wanted(end) {
            put(end, &self.final_norm.forward(last));
        }
        let found = layers.iter().map(|&layer| found.get(layer).cloned().flatten());
        Ok(found.flatten().collect())
    }
}

/// The tokens of each row that are pooled.
fn spans(batch: &Batch, pooling: &Pooling) -> Result<Vec<Range<usize>>> {
    let lengths = batch.lengths().iter();
    let spans = match pooling {
        Pooling::Last => lengths.map(|&length| length - 1..length).collect(),
        Pooling::Mean => lengths.map(|&length| 0..length).collect(),
        Pooling::Spans(spans) => spans.clone(),
    };
    if spans.len() != batch.rows() {
        let message = format!("there are {} spans for {} rows", spans.len(), batch.rows());
        return Err(LmError::Batch { message });
    }
    for (row, (span, &length)) in spans.iter().zip(batch.lengths()).enumerate() {
        if span.is_empty() || span.end > length {
            let message = format!("row {row} has {length} tokens; a span of it can't be {span:?}");
            return Err(LmError::Batch { message });
        }
    }
    Ok(spans)
}
