use burn::tensor::Tensor;

use super::{LayerInput, Norm, Projections};
use crate::ops::{attention, rotary};

/// Causal self-attention.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    /// Queries, keys, values.
    pub(crate) input: Projections,
    pub(crate) query_norm: Option<Norm>,
    pub(crate) key_norm: Option<Norm>,
    pub(crate) output: Projections,
}

impl Attention {
    pub(crate) fn forward(&self, x: Tensor<3>, input: LayerInput<'_>) -> Tensor<3> {
        let config = &input.config.attention;
        let queries = config.num_attention_heads * config.head_dim;
        let keys = config.num_key_value_heads * config.head_dim;
        let all = self.input.forward(x, input.draw);
        let mut q = all.clone().narrow(2, 0, queries);
        let mut k = all.clone().narrow(2, queries, keys);
        let v = all.narrow(2, queries + keys, keys);
        if let Some(norm) = &self.query_norm {
            q = norm.forward_heads(q);
        }
        if let Some(norm) = &self.key_norm {
            k = norm.forward_heads(k);
        }
        if let Some(turns) = input.turns {
            q = rotary(q, turns, config.head_dim);
            k = rotary(k, turns, config.head_dim);
        }
        let (k, v) = match input.cache {
            Some(cache) => cache.append(k, v, input.visible.offset),
            None => (k, v),
        };
        self.output.forward(attention(q, k, v, input.visible, config), input.draw)
    }
}
