//! The decoder and its parts.

mod attention;
mod branch;
mod cache;
mod layer;
mod mlp;
mod norm;
mod projection;
mod recompute;
mod weight;

pub(crate) use attention::Attention;
pub(crate) use branch::{Branch, Magnitude};
pub(crate) use cache::Cache;
pub(crate) use layer::{Layer, LayerInput};
pub(crate) use mlp::Mlp;
pub(crate) use norm::Norm;
pub(crate) use projection::{Member, Projections};
pub(crate) use weight::{Slot, Weight};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use collimate_peft::ModuleTree;

use crate::batch::Batch;
use crate::build::Wanted;
use crate::config::{DecoderConfig, Frequencies, RotaryConfig};
use crate::error::Result;
use crate::ops::{Draw, Turns, Visible};
use crate::training::Training;
use recompute::Recompute;

/// A decoder-only language model on a device.
///
/// Its weights stay as they are, and never require gradients, unless they are
/// [tracked](Decoder::track). Low-rank branches are attached beside them:
/// [`attach`](Decoder::attach).
#[derive(Clone, Debug)]
pub struct Decoder {
    pub(crate) config: DecoderConfig,
    pub(crate) device: Device,
    pub(crate) dtype: DType,
    pub(crate) embedding: Weight,
    pub(crate) positions: Option<Weight>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) final_norm: Norm,
    /// The head of its own; the embedding is the head where there is none.
    pub(crate) head: Option<Projections>,
    pub(crate) adapters: Vec<String>,
    pub(crate) tree: ModuleTree,
    /// What the weights are made of, in the order of [`slots`](Decoder::slots).
    pub(crate) stored: Arc<Vec<Wanted>>,
    /// The names of the parameters that are trained.
    pub(crate) tracked: BTreeSet<String>,
}

/// What a run through the layers shows on its way.
pub(crate) enum Seen<'a> {
    /// The residual stream: 0 is the embedding, `n` what leaves layer `n`; the last one has not
    /// been normed.
    Residual(usize, &'a Tensor<3>),
    /// The activation of the MLP of layer `n`, counted from 1: what its last projection reads.
    Mlp(usize, &'a Tensor<3>),
}

impl Decoder {
    /// What the model is made of.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Where it is.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Its modules under their names in transformers: what adapters are matched against.
    pub fn module_tree(&self) -> &ModuleTree {
        &self.tree
    }

    /// The type of its weights.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The type in which it computes, which is that of everything that it gives: on the CPU float32, on
    /// other devices that of the weights.
    pub fn activation_dtype(&self) -> DType {
        activation_dtype(&self.device, self.dtype)
    }

    /// Runs a batch through all layers and the final norm; `[rows, sequence, hidden]`.
    pub(crate) fn run(
        &self,
        batch: &Batch,
        cache: Option<&mut Cache>,
        see: &mut dyn FnMut(Seen<'_>),
    ) -> Result<Tensor<3>> {
        let x = self.run_until(batch, cache, None, self.layers.len(), see)?;
        Ok(self.final_norm.forward(x))
    }

    /// Runs a batch through the first `until` layers; without `training` nothing is dropped.
    pub(crate) fn run_until(
        &self,
        batch: &Batch,
        mut cache: Option<&mut Cache>,
        training: Option<&Training>,
        until: usize,
        see: &mut dyn FnMut(Seen<'_>),
    ) -> Result<Tensor<3>> {
        batch.check(&self.config)?;
        let offset = cache.as_ref().map_or(0, |cache| cache.len());
        let mut x = self.embed(batch, training);
        see(Seen::Residual(0, &x));
        let turns = self.turns(batch);
        let draw = training.map(|training| Draw { key: training.key, row: 0 });
        let recompute = training
            .filter(|training| training.recompute)
            .map(|training| Recompute::new(&self.config, batch, training.key));
        for (at, layer) in self.layers.iter().take(until).enumerate() {
            let window = layer.config.sliding_window;
            let turns = layer.config.rotary.and_then(|rotary| turns.get(rotary));
            let input = LayerInput {
                turns,
                visible: Visible { offset, first: batch.first(), window },
                cache: cache.as_deref_mut().and_then(|cache| cache.layer(at)),
                config: &self.config,
                draw,
            };
            x = match &recompute {
                Some(recompute) => recompute.layer(layer, turns, x)?,
                None => layer.forward(x, input, &mut |mlp| see(Seen::Mlp(at + 1, mlp))),
            };
            see(Seen::Residual(at + 1, &x));
        }
        if let Some(cache) = cache {
            cache.advance(batch.sequence());
        }
        Ok(x)
    }

    /// The logits of states that [`forward`](Self::forward) gave, or of some of them:
    /// `[rows, sequence, vocab]`.
    pub fn head(&self, hidden: Tensor<3>) -> Tensor<3> {
        let logits = match &self.head {
            Some(head) => head.forward(hidden, None),
            None => self.embedding.apply(hidden, None),
        };
        match self.config.logit_softcap {
            Some(cap) => (logits / cap).tanh() * cap,
            None => logits,
        }
    }

    fn embed(&self, batch: &Batch, training: Option<&Training>) -> Tensor<3> {
        let shape = [batch.rows(), batch.sequence(), self.config.hidden_size];
        let dtype = self.activation_dtype();
        let select = |table: &Weight, ids: &[u32]| {
            table.select(ids, &self.device).cast(dtype).reshape(shape)
        };
        let mut x = select(&self.embedding, batch.ids());
        if let Some(scale) = self.config.embedding_scale {
            x = x * rounded(scale, dtype);
        }
        if let Some(training) = training {
            x = self.noisy(x, training);
        }
        match &self.positions {
            Some(table) => x + select(table, batch.positions()),
            None => x,
        }
    }

    /// Of every rotary embedding, what a batch turns by.
    ///
    /// Where frequencies depend on the length of a text, each text has its own: in transformers they are
    /// those of the longest of the batch, so that a text changes with its neighbours.
    fn turns(&self, batch: &Batch) -> Vec<Turns> {
        let shape = [batch.rows(), batch.sequence()];
        let ends = batch.text_ends();
        let of = |rotary: &RotaryConfig| {
            let lengths: BTreeSet<u32> = ends.iter().copied().collect();
            let frequencies: BTreeMap<u32, Frequencies> = lengths
                .into_iter()
                .map(|length| (length, rotary.frequencies(length as usize)))
                .collect();
            let tokens = batch.positions().iter().zip(&ends);
            let tokens = tokens.filter_map(|(&at, end)| Some((at, frequencies.get(end)?)));
            Turns::new(tokens, shape, &self.device)
        };
        self.config.rotaries.iter().map(of).collect()
    }
}

/// The type in which a model computes on this device with weights of this type.
#[cfg_attr(not(feature = "flex"), expect(unused_variables, reason = "no device is the CPU"))]
pub(crate) fn activation_dtype(device: &Device, weights: DType) -> DType {
    #[cfg(feature = "flex")]
    if *device == Device::flex() {
        return DType::F32;
    }
    weights
}

/// A number as a tensor of this type holds it.
fn rounded(value: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F16 => f64::from(burn::tensor::f16::from_f64(value).to_f32()),
        DType::BF16 => f64::from(burn::tensor::bf16::from_f64(value).to_f32()),
        _ => f64::from(value as f32),
    }
}
