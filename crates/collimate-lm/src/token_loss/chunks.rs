//! Losses and their gradients, chunk by chunk.

#[cfg(feature = "autodiff")]
mod gradients;

use std::ops::Range;

use burn::tensor::{DType, Device, Tensor};

use super::LossConfig;
use crate::model::{Decoder, Projections};
use crate::ops::{CrossEntropy, Draw, cross_entropy};
use crate::targets::Targets;

/// Logits that exist at once, in numbers.
const CHUNK: usize = 1 << 23;
/// Tokens of a chunk, at least: with fewer, reading the head is the work.
const FEWEST: usize = 128;

/// What is computed chunk by chunk of the targets.
pub(super) struct Chunks<'a> {
    config: &'a LossConfig,
    softcap: Option<f64>,
    size: usize,
    ids: Vec<u32>,
    weights: Vec<f32>,
}

/// A tensor that the loss depends on, and the gradient with respect to it.
#[cfg_attr(not(feature = "autodiff"), allow(dead_code, reason = "nobody asks for gradients"))]
pub(super) enum Gradient {
    Vector(Tensor<1>, Tensor<1>),
    Matrix(Tensor<2>, Tensor<2>),
}

impl<'a> Chunks<'a> {
    pub(super) fn new(decoder: &Decoder, targets: &Targets, config: &'a LossConfig) -> Self {
        let least = (CHUNK / decoder.config.vocab_size.max(1)).max(FEWEST);
        Self {
            config,
            softcap: decoder.config.logit_softcap,
            size: config.chunk.unwrap_or(least),
            ids: targets.predicted().iter().map(|predicted| predicted.id).collect(),
            weights: targets.predicted().iter().map(|predicted| predicted.weight).collect(),
        }
    }

    /// The loss of each target, chunk by chunk, by the states that predict them, `[targets, hidden]`.
    pub(super) fn losses(&self, head: &Projections, states: Tensor<2>) -> Vec<Tensor<1>> {
        let of = |range: Range<usize>| {
            let logits = self.logits(head, part(&states, &range), range.start);
            self.entropy(logits, range, false).0
        };
        self.ranges().map(of).collect()
    }

    /// As [`losses`](Self::losses), with everything that they depend on.
    pub(super) fn run(
        &self,
        head: &Projections,
        states: Tensor<2>,
    ) -> (Vec<Tensor<1>>, Vec<Gradient>) {
        #[cfg(feature = "autodiff")]
        if let Some(found) = self.with_gradients(head, &states) {
            return found;
        }
        (self.losses(head, states), Vec::new())
    }

    fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let count = self.ids.len();
        (0..count).step_by(self.size).map(move |begin| begin..count.min(begin + self.size))
    }

    /// The logits of some states, of which `before` come before them.
    fn logits(&self, head: &Projections, states: Tensor<2>, before: usize) -> Tensor<2> {
        let draw = self.config.key.map(|key| Draw { key, row: before as u64 });
        head.forward(states.unsqueeze_dim(0), draw).squeeze_dim(0)
    }

    fn entropy(
        &self,
        logits: Tensor<2>,
        range: Range<usize>,
        gradient: bool,
    ) -> (Tensor<1>, Option<Tensor<2>>) {
        let smoothing = self.config.label_smoothing;
        let entropy = CrossEntropy { smoothing, softcap: self.softcap, gradient };
        let ids = self.ids.get(range.clone()).unwrap_or_default();
        cross_entropy(logits, ids, self.weights.get(range).unwrap_or_default(), entropy)
    }
}

/// A number with these gradients.
pub(super) fn with_gradients(value: f64, gradients: Vec<Gradient>, device: &Device) -> Tensor<1> {
    #[cfg(feature = "autodiff")]
    {
        use crate::ops::known;

        let mut value = Some(value);
        let terms = gradients.into_iter().map(|gradient| {
            let value = value.take().unwrap_or(0.0);
            match gradient {
                Gradient::Vector(x, gradient) => known(x, gradient, value),
                Gradient::Matrix(x, gradient) => known(x, gradient, value),
            }
        });
        if let Some(sum) = terms.reduce(|sum, term| sum + term) {
            return sum;
        }
        // Nothing is tracked.
        Tensor::from_data([value.unwrap_or(0.0)], (device, DType::F32))
    }
    #[cfg(not(feature = "autodiff"))]
    {
        drop(gradients);
        Tensor::from_data([value], (device, DType::F32))
    }
}

/// Some rows.
fn part(states: &Tensor<2>, range: &Range<usize>) -> Tensor<2> {
    states.clone().narrow(0, range.start, range.len())
}
