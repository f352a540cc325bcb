use std::ops::Range;

use burn::tensor::{DType, Int, Tensor};

#[cfg(feature = "autodiff")]
use super::Slot;
use super::Weight;
use crate::ops::{Draw, Dropout, dropped_linear, linear};

/// Numbers of the changed weight that exist at once while its norm is made.
const CHUNK: usize = 1 << 20;

/// A low-rank branch beside a projection: `s · dropout(x)·Aᵀ·Bᵀ`.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) adapter: String,
    pub(crate) active: bool,
    /// `[rank, in]`, float32
    pub(crate) a: Tensor<2>,
    /// `[out, rank]`, float32, in the order of the file.
    pub(crate) b: Tensor<2>,
    /// The row of the file for each row of the projection, if in another order.
    pub(crate) order: Option<Tensor<1, Int>>,
    pub(crate) scale: f64,
    /// The probability that a number of the input is dropped while training.
    pub(crate) dropout: f64,
    /// Of the projection's name: what tells its dropout from that of others.
    pub(crate) seed: u64,
    pub(crate) magnitude: Option<Magnitude>,
}

/// The lengths that the rows of a changed weight are given (Liu et al., "DoRA", arXiv:2402.09353).
#[derive(Clone, Debug)]
pub(crate) struct Magnitude {
    /// `[out]`, float32, in the order of the file.
    pub(crate) weight: Tensor<1>,
    /// The lengths that the projection's rows have, if nothing that they depend on is trained.
    pub(crate) norm: Option<Tensor<1>>,
}

impl Branch {
    /// `s · dropout(x)·Aᵀ·Bᵀ`.
    pub(crate) fn low_rank(&self, x: Tensor<3>, draw: Option<Draw>) -> Tensor<3> {
        let low = match self.dropout(draw) {
            Some(dropout) => dropped_linear(x, &self.a, dropout),
            None => linear(x, &self.a, None),
        };
        linear(low, &self.ordered(&self.b), None) * self.scale
    }

    /// What the outputs of the changed weight are multiplied by, `[out]`; none without a magnitude.
    pub(crate) fn factor(&self, weight: &Weight, rows: &Range<usize>) -> Option<Tensor<1>> {
        let magnitude = self.magnitude.as_ref()?;
        let norm = match &magnitude.norm {
            Some(norm) => norm.clone(),
            None => self.weight_norm(weight, rows),
        };
        Some(self.ordered(&magnitude.weight) / norm)
    }

    /// Rows of the file as the projection has them.
    fn ordered<const D: usize>(&self, rows: &Tensor<D>) -> Tensor<D> {
        match &self.order {
            Some(order) => rows.clone().select(0, order.clone()),
            None => rows.clone(),
        }
    }

    /// Which numbers of the input are dropped; none without `draw`.
    pub(crate) fn dropout(&self, draw: Option<Draw>) -> Option<Dropout> {
        let draw = draw.filter(|_| self.dropout > 0.0)?;
        Some(Dropout::new(self.dropout, draw.of(self.seed)))
    }

    /// `‖W + s·B·A‖` of each row of W, of which these rows belong to the branch; `[out]`, never tracked.
    pub(crate) fn weight_norm(&self, weight: &Weight, rows: &Range<usize>) -> Tensor<1> {
        let (a, b) = (self.a.clone().inner(), self.ordered(&self.b).inner());
        let [_, width] = a.dims();
        let count = (CHUNK / width.max(1)).max(1);
        let norms = (0..rows.len()).step_by(count).map(|begin| {
            let count = count.min(rows.len() - begin);
            let first = rows.start + begin;
            let weight = weight.rows(first..first + count).inner().cast(DType::F32);
            let changed = weight + b.clone().narrow(0, begin, count).matmul(a.clone()) * self.scale;
            changed.square().sum_dim(1).sqrt().squeeze_dim::<1>(1)
        });
        Tensor::cat(norms.collect(), 0)
    }

    /// Everything that can be trained.
    #[cfg(feature = "autodiff")]
    pub(crate) fn slots(&mut self) -> impl Iterator<Item = Slot<'_>> {
        let magnitude = self.magnitude.as_mut().map(|magnitude| &mut magnitude.weight);
        let matrices = [&mut self.a, &mut self.b].into_iter().map(Slot::Matrix);
        matrices.chain(magnitude.map(Slot::Vector))
    }
}
