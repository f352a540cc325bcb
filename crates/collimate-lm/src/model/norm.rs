use burn::tensor::Tensor;

use super::Slot;
use crate::config::NormConfig;
use crate::ops::{head_norm, norm};

/// A norm with its weights.
#[derive(Clone, Debug)]
pub(crate) struct Norm {
    pub(crate) config: NormConfig,
    pub(crate) weight: Tensor<1>,
    pub(crate) bias: Option<Tensor<1>>,
}

impl Norm {
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        norm(x, &self.weight, self.bias.as_ref(), self.config)
    }

    /// Of each head by itself.
    pub(crate) fn forward_heads(&self, x: Tensor<3>) -> Tensor<3> {
        head_norm(x, &self.weight, self.config)
    }

    pub(crate) fn slots(&mut self) -> impl Iterator<Item = Slot<'_>> {
        std::iter::once(&mut self.weight).chain(&mut self.bias).map(Slot::Vector)
    }
}
