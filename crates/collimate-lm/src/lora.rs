//! Low-rank branches, attached and detached while the model stays.

use std::collections::BTreeSet;

use burn::tensor::{DType, Int, Tensor, TensorData};
use collimate_peft::{Adapter, AdapterKey, AdapterPart, AdapterTensor};
use collimate_tensors::widen;

use crate::error::{LmError, Result};
use crate::model::{Branch, Decoder, Member, Projections};

/// A low-rank branch of one projection: `y += scale · dropout(x) · Aᵀ · Bᵀ`.
///
/// Hu et al., "LoRA", arXiv:2106.09685. The weight of the projection is left alone, so that what is
/// trained costs two small products.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LowRank {
    /// The projection, as `named_modules()` of the model in transformers calls it.
    pub module: String,
    /// `[rank, in]`
    pub a: Tensor<2>,
    /// `[out, rank]`
    pub b: Tensor<2>,
    /// `s`
    pub scale: f64,
    /// The probability that a number of the input is dropped, while training; in `0..1`.
    pub dropout: f64,
}

impl LowRank {
    /// A branch without dropout.
    pub fn new(module: impl Into<String>, a: Tensor<2>, b: Tensor<2>, scale: f64) -> Self {
        Self { module: module.into(), a, b, scale, dropout: 0.0 }
    }

    /// Sets the probability that a number of the input is dropped.
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }
}

impl Decoder {
    /// The projections that can carry branches: names, and `[out, in]` of each.
    pub fn projections(&self) -> Vec<(String, [usize; 2])> {
        let shapes = self.all_projections().flat_map(|projections| {
            let [_, width] = projections.weight.shape();
            projections
                .members
                .iter()
                .map(move |member| (member.name.clone(), [member.rows.len(), width]))
        });
        shapes.collect()
    }

    /// Attaches an adapter and uses it; one of the same name is replaced. Several in use add up.
    ///
    /// # Errors
    ///
    /// [`LmError::Adapter`]: a projection doesn't exist or is named twice, or a shape doesn't fit it.
    /// Nothing is attached then.
    pub fn attach(&mut self, adapter: &str, branches: Vec<LowRank>) -> Result<()> {
        let error = |message| LmError::Adapter { adapter: adapter.to_owned(), message };
        let known: std::collections::BTreeMap<_, _> = self.projections().into_iter().collect();
        let mut named = BTreeSet::new();
        for branch in &branches {
            let module = &branch.module;
            let Some([out, width]) = known.get(module) else {
                let similar = known.keys().find(|name| end(name) == end(module));
                let instead = similar.or(known.keys().next()).cloned().unwrap_or_default();
                let message = format!("there is no projection '{module}'; one is '{instead}'");
                return Err(error(message));
            };
            if !named.insert(module) {
                return Err(error(format!("'{module}' is there twice")));
            }
            let ([rank, a], [b, of]) = (branch.a.dims(), branch.b.dims());
            if a != *width || b != *out || of != rank || rank == 0 {
                return Err(error(format!(
                    "A [{rank}, {a}] and B [{b}, {of}] don't fit '{module}', which is [{out}, {width}]"
                )));
            }
            if !(0.0..1.0).contains(&branch.dropout) {
                let dropout = branch.dropout;
                return Err(error(format!("a dropout of {dropout} is not in 0..1")));
            }
        }
        let mut branches: std::collections::BTreeMap<_, _> =
            branches.into_iter().map(|branch| (branch.module.clone(), branch)).collect();
        self.each_member(&mut |member| {
            member.branches.retain(|branch| branch.adapter != adapter);
            if let Some(branch) = branches.remove(&member.name) {
                member.branches.push(member.branch(adapter, branch));
            }
        });
        if !self.adapters.iter().any(|name| name == adapter) {
            self.adapters.push(adapter.to_owned());
        }
        Ok(())
    }

    /// Attaches an adapter of PEFT's format and uses it; one of the same name is replaced.
    ///
    /// # Errors
    ///
    /// [`LmError::Peft`]: it doesn't fit the model. [`LmError::Adapter`]: it has more than low-rank
    /// branches (DoRA, embeddings, modules that were trained whole); merge it into its model first.
    pub fn attach_adapter(&mut self, name: &str, adapter: &Adapter) -> Result<()> {
        let failed = |source| LmError::Peft { adapter: name.to_owned(), source: Box::new(source) };
        let targets = adapter.check(&self.tree).map_err(failed)?;
        let is_low_rank = |key: &&AdapterKey| matches!(key.part, AdapterPart::A | AdapterPart::B);
        if let Some(key) = adapter.keys().find(|key| !is_low_rank(key)) {
            let message = format!(
                "'{key}' is no low-rank branch, and can't be attached; merge the adapter into its \
                 model first"
            );
            return Err(LmError::Adapter { adapter: name.to_owned(), message });
        }
        let mut branches = Vec::with_capacity(targets.modules.len());
        for target in &targets.modules {
            let matrix = |part| -> Result<Tensor<2>> {
                let key = AdapterKey::new(&target.module, part);
                let tensor = adapter.get(&key).map_err(failed)?;
                // It is there: that was checked.
                let tensor = tensor.unwrap_or_else(|| AdapterTensor::from_f32(vec![0, 0], &[]));
                let data = numbers(&tensor)
                    .map_err(|source| LmError::Convert { tensor: key.to_string(), source })?;
                Ok(Tensor::from_data(data, (&self.device, DType::F32)))
            };
            let (a, b) = (matrix(AdapterPart::A)?, matrix(AdapterPart::B)?);
            branches.push(LowRank::new(&target.module, a, b, target.scale));
        }
        adapter.unchanged().map_err(failed)?;
        self.attach(name, branches)
    }

    /// Takes an adapter away.
    ///
    /// # Errors
    ///
    /// [`LmError::Adapter`]: there is none of this name.
    pub fn detach(&mut self, adapter: &str) -> Result<()> {
        self.known(adapter)?;
        self.each_member(&mut |member| member.branches.retain(|branch| branch.adapter != adapter));
        self.adapters.retain(|name| name != adapter);
        Ok(())
    }

    /// Uses these of the attached adapters and no others.
    ///
    /// # Errors
    ///
    /// [`LmError::Adapter`]: one of them isn't attached. Nothing changes then.
    pub fn activate(&mut self, adapters: &[&str]) -> Result<()> {
        adapters.iter().try_for_each(|adapter| self.known(adapter))?;
        self.each_member(&mut |member| {
            for branch in &mut member.branches {
                branch.active = adapters.contains(&branch.adapter.as_str());
            }
        });
        Ok(())
    }

    /// The attached adapters, in the order in which they were attached.
    pub fn adapters(&self) -> &[String] {
        &self.adapters
    }

    fn known(&self, adapter: &str) -> Result<()> {
        if self.adapters.iter().any(|name| name == adapter) {
            return Ok(());
        }
        let message = match self.adapters.as_slice() {
            [] => "it isn't attached; none is".to_owned(),
            adapters => format!("it isn't attached; attached are {}", adapters.join(", ")),
        };
        Err(LmError::Adapter { adapter: adapter.to_owned(), message })
    }

    fn all_projections(&self) -> impl Iterator<Item = &Projections> {
        let layers = self.layers.iter().flat_map(|layer| {
            let (attention, mlp) = (&layer.attention, &layer.mlp);
            [&attention.input, &attention.output, &mlp.input, &mlp.output]
        });
        layers.chain(&self.head)
    }

    fn each_member(&mut self, visit: &mut dyn FnMut(&mut Member)) {
        let layers = self.layers.iter_mut().flat_map(|layer| {
            let (attention, mlp) = (&mut layer.attention, &mut layer.mlp);
            [&mut attention.input, &mut attention.output, &mut mlp.input, &mut mlp.output]
        });
        for projections in layers.chain(&mut self.head) {
            projections.members.iter_mut().for_each(&mut *visit);
        }
    }
}

impl Member {
    fn branch(&self, adapter: &str, branch: LowRank) -> Branch {
        let b = match &self.order {
            Some(order) => {
                let order: Vec<i64> = order.iter().map(|&row| row as i64).collect();
                let order = Tensor::<1, Int>::from_data(order.as_slice(), &branch.b.device());
                branch.b.select(0, order)
            }
            None => branch.b,
        };
        Branch {
            adapter: adapter.to_owned(),
            active: true,
            a: branch.a,
            b,
            scale: branch.scale,
            dropout: branch.dropout,
        }
    }
}

/// A matrix in float32.
fn numbers(
    tensor: &AdapterTensor<'_>,
) -> std::result::Result<TensorData, collimate_tensors::CastError> {
    let shape: Vec<usize> = tensor.shape().iter().map(|&size| size as usize).collect();
    let mut numbers = vec![0.0; shape.iter().product()];
    widen(tensor.dtype(), tensor.bytes(), &mut numbers)?;
    Ok(TensorData::new(numbers, shape))
}

/// The last part of a name.
fn end(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
