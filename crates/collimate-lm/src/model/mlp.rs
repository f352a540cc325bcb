use burn::tensor::Tensor;

use super::Projections;
use crate::config::{MlpConfig, MlpKind};
use crate::ops::{Draw, activation, gated};

/// The MLP of a layer.
#[derive(Clone, Debug)]
pub(crate) struct Mlp {
    /// Gate and up, or up alone.
    pub(crate) input: Projections,
    pub(crate) output: Projections,
}

impl Mlp {
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        config: MlpConfig,
        draw: Option<Draw>,
        see: &mut dyn FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        let inside = self.input.forward(x, draw);
        let inside = match config.kind {
            MlpKind::Plain => activation(inside, config.activation),
            MlpKind::Gated | MlpKind::GatedFused => gated(inside, config.activation),
        };
        see(&inside);
        self.output.forward(inside, draw)
    }
}
