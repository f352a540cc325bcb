use burn::tensor::Tensor;

use super::cache::LayerCache;
use super::{Attention, Mlp, Norm};
use crate::config::{BlockKind, DecoderConfig, LayerConfig};
use crate::ops::{Turns, Visible};

/// A layer of a decoder.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) config: LayerConfig,
    pub(crate) input_norm: Norm,
    pub(crate) attention: Attention,
    pub(crate) post_attention_norm: Option<Norm>,
    pub(crate) mlp_norm: Norm,
    pub(crate) mlp: Mlp,
    pub(crate) post_mlp_norm: Option<Norm>,
}

/// What a layer gets beside the residual stream.
pub(crate) struct LayerInput<'a> {
    pub(crate) turns: Option<&'a Turns>,
    pub(crate) visible: Visible<'a>,
    pub(crate) cache: Option<&'a mut LayerCache>,
    pub(crate) config: &'a DecoderConfig,
}

impl Layer {
    /// `see` is shown the activation of the MLP.
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        input: LayerInput<'_>,
        see: &mut dyn FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        let config = input.config;
        let attended = self.attention.forward(self.input_norm.forward(x.clone()), input);
        let after = |norm: &Option<Norm>, y| match norm {
            Some(norm) => norm.forward(y),
            None => y,
        };
        if config.block == BlockKind::Parallel {
            let mlp = self.mlp.forward(self.mlp_norm.forward(x.clone()), config.mlp, see);
            return mlp + attended + x;
        }
        let x = x + after(&self.post_attention_norm, attended);
        let mlp = self.mlp.forward(self.mlp_norm.forward(x.clone()), config.mlp, see);
        x + after(&self.post_mlp_norm, mlp)
    }
}
