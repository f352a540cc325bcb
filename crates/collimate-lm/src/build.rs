//! A decoder of its configuration and whatever gives the tensors.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};
use collimate_peft::ModuleTree;

use crate::config::{DecoderConfig, MlpKind, NormConfig, NormKind, QkvLayout};
use crate::error::{LmError, Result};
use crate::family::Names;
use crate::model::{
    Attention, Decoder, Layer, Member, Mlp, Norm, Projections, Weight, activation_dtype,
};

/// A tensor that a decoder needs, made of one or several of the file.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// From top to bottom.
    pub(crate) parts: Vec<WantedPart>,
    /// Numbers in a row; for a vector 1.
    pub(crate) width: usize,
    /// Whether it is a vector in the file.
    pub(crate) vector: bool,
    /// Whether it is stored `[width, rows]`.
    pub(crate) transposed: bool,
}

/// Rows of a [`Wanted`].
#[derive(Clone, Debug)]
pub(crate) struct WantedPart {
    /// The name of the tensor.
    pub(crate) tensor: String,
    pub(crate) rows: usize,
    /// The row of the file for each row, if in another order.
    pub(crate) order: Option<Vec<usize>>,
}

impl Wanted {
    pub(crate) fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.rows).sum()
    }

    /// The shape of a part in the file.
    pub(crate) fn shape(&self, part: &WantedPart) -> Vec<usize> {
        match (self.vector, self.transposed) {
            (true, _) => vec![part.rows],
            (false, true) => vec![self.width, part.rows],
            (false, false) => vec![part.rows, self.width],
        }
    }
}

/// Gives the numbers of a tensor, `[rows, width]` or `[rows]`, in the type of the weights.
pub(crate) type Fetch<'f> = dyn FnMut(&Wanted) -> Result<TensorData> + 'f;

/// Makes a decoder.
pub(crate) fn build(
    config: &DecoderConfig,
    device: &Device,
    dtype: DType,
    fetch: &mut Fetch<'_>,
) -> Result<Decoder> {
    if !device.supports_dtype(dtype) {
        return Err(LmError::Dtype { dtype: dtype.name() });
    }
    let names = config.family.names();
    let mut builder = Builder { config, names, device, dtype, fetch, stored: Vec::new() };
    builder.decoder()
}

/// The modules of a decoder, by its tensors.
pub(crate) fn module_tree(config: &DecoderConfig, stored: &[Wanted]) -> Result<ModuleTree> {
    let failed = |source: collimate_peft::TreeError| LmError::Peft {
        adapter: String::new(),
        source: Box::new(source.into()),
    };
    let shapes = stored.iter().flat_map(|wanted| {
        wanted.parts.iter().map(|part| {
            let shape = wanted.shape(part).into_iter().map(|size| size as u64);
            (part.tensor.clone(), shape.collect::<Vec<_>>())
        })
    });
    let tree = ModuleTree::from_tensors(shapes).map_err(failed)?;
    let names = config.family.names();
    match config.tie_word_embeddings {
        true => tree.with_tied_head(names.head, names.embedding).map_err(failed),
        false => Ok(tree),
    }
}

struct Builder<'a, 'f> {
    config: &'a DecoderConfig,
    names: &'static Names,
    device: &'a Device,
    dtype: DType,
    fetch: &'a mut Fetch<'f>,
    /// All tensors so far.
    stored: Vec<Wanted>,
}

impl Builder<'_, '_> {
    fn decoder(&mut self) -> Result<Decoder> {
        let (config, names) = (self.config, self.names);
        let (hidden, vocabulary) = (config.hidden_size, config.vocab_size);
        let embedding = self.table(names.embedding, vocabulary)?;
        let positions = match names.positions.filter(|_| config.learned_positions) {
            Some(name) => Some(self.table(name, config.max_position_embeddings)?),
            None => None,
        };
        let layers = (0..config.layers.len()).map(|at| self.layer(at)).collect::<Result<_>>()?;
        let final_norm = self.norm(names.final_norm.to_owned(), config.norm, hidden)?;
        let head = match config.tie_word_embeddings {
            true => None,
            false => {
                let member = (names.head.to_owned(), vocabulary, None);
                Some(self.projections(vec![member], hidden, false, false)?)
            }
        };
        Ok(Decoder {
            config: config.clone(),
            device: self.device.clone(),
            dtype: self.dtype,
            embedding,
            positions,
            layers,
            final_norm,
            head,
            adapters: Vec::new(),
            tree: module_tree(config, &self.stored)?,
            stored: Arc::new(std::mem::take(&mut self.stored)),
            tracked: BTreeSet::new(),
        })
    }

    fn layer(&mut self, at: usize) -> Result<Layer> {
        let (config, names) = (self.config, self.names);
        let hidden = config.hidden_size;
        let name = |part: &str| format!("{}.{at}.{part}", names.layers);
        let norm = |builder: &mut Self, part: Option<&str>| match part {
            Some(part) => builder.norm(name(part), config.norm, hidden).map(Some),
            None => Ok(None),
        };
        let attention = &config.attention;
        let [queries, keys] = [attention.num_attention_heads, attention.num_key_value_heads]
            .map(|heads| heads * attention.head_dim);
        let qkv = match (attention.qkv, names.qkv) {
            (QkvLayout::Separate, [q, k, v]) => {
                vec![(name(q), queries, None), (name(k), keys, None), (name(v), keys, None)]
            }
            (layout, names) => {
                let order = (layout == QkvLayout::PerHead)
                    .then(|| per_head(attention.num_attention_heads, attention.head_dim));
                let fused = names.first().copied().unwrap_or_default();
                vec![(name(fused), queries + 2 * keys, order)]
            }
        };
        let inside = config.intermediate_size;
        let mlp = match (config.mlp.kind, names.mlp_input) {
            (MlpKind::Gated, [gate, up]) => {
                vec![(name(gate), inside, None), (name(up), inside, None)]
            }
            (kind, names) => {
                let rows = if kind == MlpKind::GatedFused { 2 * inside } else { inside };
                vec![(name(names.first().copied().unwrap_or_default()), rows, None)]
            }
        };
        let output = vec![(name(names.attention_output), hidden, None)];
        let down = vec![(name(names.mlp_output), hidden, None)];
        let transposed = names.transposed;
        let head_norm = |builder: &mut Self, part: Option<&str>| match (attention.qk_norm, part) {
            (Some(norm), Some(part)) => {
                builder.norm(name(part), norm, attention.head_dim).map(Some)
            }
            _ => Ok(None),
        };
        Ok(Layer {
            config: config.layers.get(at).copied().unwrap_or_default(),
            input_norm: self.norm(name(names.input_norm), config.norm, hidden)?,
            attention: Attention {
                input: self.projections(qkv, hidden, attention.qkv_bias, transposed)?,
                query_norm: head_norm(self, names.query_norm)?,
                key_norm: head_norm(self, names.key_norm)?,
                output: self.projections(output, queries, attention.output_bias, transposed)?,
            },
            post_attention_norm: norm(self, names.post_attention_norm)?,
            mlp_norm: self.norm(name(names.mlp_norm), config.norm, hidden)?,
            mlp: Mlp {
                input: self.projections(mlp, hidden, config.mlp.bias, transposed)?,
                output: self.projections(down, inside, config.mlp.bias, transposed)?,
            },
            post_mlp_norm: norm(self, names.post_mlp_norm)?,
        })
    }

    fn table(&mut self, name: &str, rows: usize) -> Result<Weight> {
        let part = WantedPart { tensor: format!("{name}.weight"), rows, order: None };
        let wanted = Wanted {
            parts: vec![part],
            width: self.config.hidden_size,
            vector: false,
            transposed: false,
        };
        Ok(Weight::Dense(self.fetch(&wanted)?))
    }

    fn norm(&mut self, name: String, config: NormConfig, width: usize) -> Result<Norm> {
        let mut vector = |end: &str| {
            let tensor = format!("{name}.{end}");
            let parts = vec![WantedPart { tensor, rows: width, order: None }];
            self.vector(parts)
        };
        Ok(Norm {
            config,
            weight: vector("weight")?,
            bias: if config.kind == NormKind::Layer { Some(vector("bias")?) } else { None },
        })
    }

    /// Projections of one input: name, width of the output and the order of its rows of each.
    fn projections(
        &mut self,
        members: Vec<(String, usize, Option<Vec<usize>>)>,
        width: usize,
        bias: bool,
        transposed: bool,
    ) -> Result<Projections> {
        let parts = |end: &str| {
            let part = |(name, rows, order): &(String, usize, Option<Vec<usize>>)| WantedPart {
                tensor: format!("{name}.{end}"),
                rows: *rows,
                order: order.clone(),
            };
            members.iter().map(part).collect::<Vec<_>>()
        };
        let wanted = Wanted { parts: parts("weight"), width, vector: false, transposed };
        let weight = Weight::Dense(self.fetch(&wanted)?);
        let bias = match bias {
            true => Some(self.vector(parts("bias"))?),
            false => None,
        };
        let mut begin = 0;
        let member = |(name, rows, order)| {
            let rows: Range<usize> = begin..begin + rows;
            begin = rows.end;
            Member { name, rows, order, branches: Vec::new() }
        };
        Ok(Projections { weight, bias, members: members.into_iter().map(member).collect() })
    }

    /// A vector, which is rounded to the type of the weights but lies in that of the activations.
    fn vector(&mut self, parts: Vec<WantedPart>) -> Result<Tensor<1>> {
        let wanted = Wanted { parts, width: 1, vector: true, transposed: false };
        let vector: Tensor<1> = self.fetch(&wanted)?;
        Ok(vector.cast(activation_dtype(self.device, self.dtype)))
    }

    fn fetch<const D: usize>(&mut self, wanted: &Wanted) -> Result<Tensor<D>> {
        self.stored.push(wanted.clone());
        let data = (self.fetch)(wanted)?;
        Ok(Tensor::from_data(data, (self.device, self.dtype)))
    }
}

/// The rows of all queries, then of all keys, then of all values, where each head has its three side
/// by side.
fn per_head(heads: usize, head_dim: usize) -> Vec<usize> {
    let rows = |part: usize| {
        (0..heads).flat_map(move |head| {
            let begin = (3 * head + part) * head_dim;
            begin..begin + head_dim
        })
    };
    (0..3).flat_map(rows).collect()
}
