use burn::tensor::Tensor;

#[cfg(feature = "autodiff")]
use super::Branch;
use super::cache::LayerCache;
use super::{Attention, Mlp, Norm, Projections, Slot};
use crate::config::{BlockKind, DecoderConfig, LayerConfig};
use crate::ops::{Draw, Turns, Visible};

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
    /// Where dropout begins to draw; nothing is dropped without it.
    pub(crate) draw: Option<Draw>,
}

impl Layer {
    /// `see` is shown the activation of the MLP.
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        input: LayerInput<'_>,
        see: &mut dyn FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        let LayerInput { config, draw, .. } = input;
        let attended = self.attention.forward(self.input_norm.forward(x.clone()), input);
        let after = |norm: &Option<Norm>, y| match norm {
            Some(norm) => norm.forward(y),
            None => y,
        };
        if config.block == BlockKind::Parallel {
            let mlp = self.mlp.forward(self.mlp_norm.forward(x.clone()), config.mlp, draw, see);
            return mlp + attended + x;
        }
        let x = x + after(&self.post_attention_norm, attended);
        let mlp = self.mlp.forward(self.mlp_norm.forward(x.clone()), config.mlp, draw, see);
        x + after(&self.post_mlp_norm, mlp)
    }
    /// All weights, in the order in which a decoder is built.
    pub(crate) fn slots(&mut self) -> impl Iterator<Item = Slot<'_>> {
        let attention = &mut self.attention;
        let head_norms = attention.query_norm.iter_mut().chain(&mut attention.key_norm);
        let after = |norm| Option::<&mut Norm>::into_iter(norm).flat_map(Norm::slots);
        let first = self.input_norm.slots().chain(attention.input.slots());
        let first = first.chain(head_norms.flat_map(Norm::slots));
        let first = first.chain(attention.output.slots());
        let first = first.chain(after(self.post_attention_norm.as_mut()));
        let mlp = self.mlp_norm.slots().chain(self.mlp.input.slots());
        let mlp = mlp.chain(self.mlp.output.slots()).chain(after(self.post_mlp_norm.as_mut()));
        first.chain(mlp)
    }

    pub(crate) fn projections(&self) -> [&Projections; 4] {
        [&self.attention.input, &self.attention.output, &self.mlp.input, &self.mlp.output]
    }

    pub(crate) fn projections_mut(&mut self) -> [&mut Projections; 4] {
        let (attention, mlp) = (&mut self.attention, &mut self.mlp);
        [&mut attention.input, &mut attention.output, &mut mlp.input, &mut mlp.output]
    }

    /// The branches that are used.
    #[cfg(feature = "autodiff")]
    pub(crate) fn branches(&mut self) -> impl Iterator<Item = &mut Branch> {
        self.projections_mut().into_iter().flat_map(Projections::branches)
    }
}
