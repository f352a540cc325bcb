#[cfg(feature = "flex")]
mod backward;
#[cfg(feature = "flex")]
mod few;
#[cfg(feature = "flex")]
mod forward;

use burn::tensor::module;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Tensor, TensorData};

use crate::config::AttentionConfig;

/// Which keys each query sees: from the first that it may see to its own position, at most as many as
/// the window has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visible<'a> {
    /// How many keys come before that of the first query.
    pub(crate) offset: usize,
    /// The first key that each query may see, `[batch · sequence]`; 0 if there are none.
    pub(crate) first: Option<&'a [u32]>,
    /// How many keys a query sees, its own included.
    pub(crate) window: Option<usize>,
}

impl Visible<'_> {
    /// The keys that query `at` of row `row` sees; `sequence` queries a row.
    pub(crate) fn range(&self, row: usize, at: usize, sequence: usize) -> std::ops::Range<usize> {
        let end = self.offset + at + 1;
        let first = self.first.and_then(|first| first.get(row * sequence + at)).copied();
        let window = self.window.map_or(0, |window| end.saturating_sub(window));
        (first.unwrap_or(0) as usize).max(window).min(end)..end
    }

    /// Whether it is nothing but causal.
    fn is_causal(&self, sequence: usize) -> bool {
        self.first.is_none() && self.window.is_none_or(|window| window >= self.offset + sequence)
    }

    /// `[batch, 1, sequence, keys]`, true where a key is hidden.
    fn hidden(&self, [batch, sequence, keys]: [usize; 3], device: &Device) -> Tensor<4, Bool> {
        let mut hidden = vec![true; batch * sequence * keys];
        for row in 0..batch {
            for at in 0..sequence {
                let range = self.range(row, at, sequence);
                hidden[(row * sequence + at) * keys..][range].fill(false);
            }
        }
        Tensor::from_data(TensorData::new(hidden, [batch, 1, sequence, keys]), device)
    }
}

/// Causal attention: queries `[batch, sequence, heads·head_dim]`, keys and values
/// `[batch, keys, kv_heads·head_dim]`; gives the shape of the queries.
///
/// A query that sees nothing gets zeros.
pub(crate) fn attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    visible: Visible<'_>,
    config: &AttentionConfig,
) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if let Some(y) = forward::on_cpu([&q, &k, &v], visible, config) {
        return y;
    }
    composed(q, k, v, visible, config)
}

fn composed(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    visible: Visible<'_>,
    config: &AttentionConfig,
) -> Tensor<3> {
    let [batch, sequence, width] = q.dims();
    let [_, keys, _] = k.dims();
    let device = q.device();
    let group = config.num_attention_heads / config.num_key_value_heads;
    let heads = |x: Tensor<3>, length: usize, heads: usize| {
        x.reshape([batch, length, heads, config.head_dim]).swap_dims(1, 2)
    };
    let of_group = |x: Tensor<3>| {
        let x = heads(x, keys, config.num_key_value_heads);
        if group == 1 {
            return x;
        }
        let x: Tensor<5> = x.unsqueeze_dim(2);
        let shape = [batch, config.num_key_value_heads, group, keys, config.head_dim];
        x.expand(shape).reshape([batch, config.num_attention_heads, keys, config.head_dim])
    };
    // A single query sees all keys; burn's own causal mask begins at the first key.
    let single = sequence == 1 && visible.is_causal(sequence);
    let causal = visible.offset == 0 && visible.is_causal(sequence);
    let mask = (!causal && !single).then(|| visible.hidden([batch, sequence, keys], &device));
    let y = module::attention(
        heads(q, sequence, config.num_attention_heads),
        of_group(k),
        of_group(v),
        mask,
        None,
        AttentionModuleOptions {
            scale: Some(config.scale),
            softcap: config.softcap,
            is_causal: causal && !single,
        },
    );
    y.swap_dims(1, 2).reshape([batch, sequence, width])
}

#[cfg(all(test, feature = "flex"))]
mod tests;
