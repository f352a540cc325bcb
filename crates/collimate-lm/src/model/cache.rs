use burn::tensor::{Int, Tensor};

use super::Decoder;

/// The keys and values of texts so far.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    layers: Vec<LayerCache>,
    len: usize,
}

/// Keys and values of one layer, `[rows, capacity, heads·head_dim]` each.
#[derive(Clone, Debug)]
pub(crate) struct LayerCache {
    keys: Tensor<3>,
    values: Tensor<3>,
}

impl Cache {
    /// An empty cache for as many texts.
    pub(crate) fn new(decoder: &Decoder, rows: usize) -> Self {
        let attention = &decoder.config.attention;
        let width = attention.num_key_value_heads * attention.head_dim;
        let options = (&decoder.device, decoder.activation_dtype());
        let empty = || Tensor::zeros([rows, 0, width], options);
        let layer = |_| LayerCache { keys: empty(), values: empty() };
        Self { layers: decoder.layers.iter().map(layer).collect(), len: 0 }
    }

    /// How many tokens of each text are in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn layer(&mut self, at: usize) -> Option<&mut LayerCache> {
        self.layers.get_mut(at)
    }

    /// Notes that all layers got so many tokens more.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }

    /// Keeps these rows, in this order.
    pub(crate) fn keep(&mut self, rows: &Tensor<1, Int>) {
        for layer in &mut self.layers {
            for stored in [&mut layer.keys, &mut layer.values] {
                *stored = stored.clone().select(0, rows.clone());
            }
        }
    }
}

impl LayerCache {
    /// Adds keys and values behind the first `len`; gives all of them.
    pub(crate) fn append(
        &mut self,
        keys: Tensor<3>,
        values: Tensor<3>,
        len: usize,
    ) -> (Tensor<3>, Tensor<3>) {
        (append(&mut self.keys, keys, len), append(&mut self.values, values, len))
    }
}

fn append(stored: &mut Tensor<3>, added: Tensor<3>, len: usize) -> Tensor<3> {
    let [rows, count, width] = added.dims();
    let end = len + count;
    let [_, capacity, _] = stored.dims();
    let options = (&added.device(), added.dtype());
    // Nobody else holds it while it is written, so that nothing is copied.
    let mut written = std::mem::replace(stored, Tensor::zeros([rows, 0, width], options));
    if end > capacity {
        // Twice as much, so that a text is copied only a few times.
        let larger = Tensor::zeros([rows, end.max(2 * capacity), width], options);
        written = if len == 0 {
            larger
        } else {
            larger.slice_assign([0..rows, 0..len, 0..width], written.narrow(1, 0, len))
        };
    }
    written = written.slice_assign([0..rows, len..end, 0..width], added);
    let seen = written.clone().narrow(1, 0, end);
    *stored = written;
    seen
}
