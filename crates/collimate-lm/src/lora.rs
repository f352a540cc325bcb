//! Low-rank branches, attached and detached while the model stays.

use std::collections::BTreeSet;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use collimate_peft::{Adapter, AdapterKey, AdapterPart, AdapterTensor};
use collimate_tensors::widen;

use crate::error::{LmError, Result};
use crate::model::{Branch, Decoder, Layer, Magnitude, Member, Projections, Weight};
use crate::ops::seed_of;

/// A low-rank branch of one projection: `y += scale · dropout(x) · Aᵀ · Bᵀ`.
///
/// Hu et al., "LoRA", arXiv:2106.09685. The weight of the projection is left alone, so that what is
/// trained costs two small products. With a magnitude the rows of the changed weight get their lengths
/// from it (Liu et al., "DoRA", arXiv:2402.09353).
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
    /// The probability that a number of the input is dropped in
    /// [training](Decoder::forward_training), and only there; in `0..1`.
    pub dropout: f64,
    /// `[out]`, DoRA's magnitude.
    pub magnitude: Option<Tensor<1>>,
}

impl LowRank {
    /// A branch without dropout and magnitude.
    pub fn new(module: impl Into<String>, a: Tensor<2>, b: Tensor<2>, scale: f64) -> Self {
        Self { module: module.into(), a, b, scale, dropout: 0.0, magnitude: None }
    }

    /// Sets the probability that a number of the input is dropped.
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// Sets DoRA's magnitude, `[out]`; [`Decoder::weight_norm`] gives the one to begin with.
    #[must_use]
    pub fn with_magnitude(mut self, magnitude: Tensor<1>) -> Self {
        self.magnitude = Some(magnitude);
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
            if let Some(magnitude) = &branch.magnitude
                && magnitude.dims() != [*out]
            {
                let [found] = magnitude.dims();
                return Err(error(format!(
                    "a magnitude of {found} numbers doesn't fit '{module}', which has {out} rows"
                )));
            }
            if !(0.0..1.0).contains(&branch.dropout) {
                let dropout = branch.dropout;
                return Err(error(format!("a dropout of {dropout} is not in 0..1")));
            }
        }
        let mut branches: std::collections::BTreeMap<_, _> =
            branches.into_iter().map(|branch| (branch.module.clone(), branch)).collect();
        let device = self.device.clone();
        for projections in self.projections_mut() {
            let Projections { weight, members, .. } = projections;
            for member in members {
                member.branches.retain(|branch| branch.adapter != adapter);
                if let Some(branch) = branches.remove(&member.name) {
                    let branch = member.branch(adapter, branch, weight, &device);
                    member.branches.push(branch);
                }
            }
        }
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
    /// branches with their magnitudes (embeddings, modules that were trained whole); merge it into its
    /// model first.
    pub fn attach_adapter(&mut self, name: &str, adapter: &Adapter) -> Result<()> {
        let failed = |source| LmError::Peft { adapter: name.to_owned(), source: Box::new(source) };
        let targets = adapter.check(&self.tree).map_err(failed)?;
        let is_low_rank = |key: &&AdapterKey| {
            matches!(key.part, AdapterPart::A | AdapterPart::B | AdapterPart::Magnitude)
        };
        if let Some(key) = adapter.keys().find(|key| !is_low_rank(key)) {
            let message = format!(
                "'{key}' is no low-rank branch, and can't be attached; merge the adapter into its \
                 model first"
            );
            return Err(LmError::Adapter { adapter: name.to_owned(), message });
        }
        let mut branches = Vec::with_capacity(targets.modules.len());
        for target in &targets.modules {
            let part = |part| -> Result<Option<TensorData>> {
                let key = AdapterKey::new(&target.module, part);
                let Some(tensor) = adapter.get(&key).map_err(failed)? else { return Ok(None) };
                let data = numbers(&tensor)
                    .map_err(|source| LmError::Convert { tensor: key.to_string(), source })?;
                Ok(Some(data))
            };
            let options = (&self.device, DType::F32);
            let matrix = |data: Option<TensorData>| {
                // It is there: that was checked.
                let data = data.unwrap_or_else(|| TensorData::new(Vec::<f32>::new(), [0, 0]));
                Tensor::<2>::from_data(data, options)
            };
            let (a, b) = (matrix(part(AdapterPart::A)?), matrix(part(AdapterPart::B)?));
            let mut branch = LowRank::new(&target.module, a, b, target.scale);
            branch.magnitude =
                part(AdapterPart::Magnitude)?.map(|data| Tensor::from_data(data, options));
            branches.push(branch);
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

    /// The length of each row of a projection's weight once it is changed, `‖W + scale·B·A‖`: what
    /// DoRA's magnitude begins with; `[out]`, never tracked.
    ///
    /// # Errors
    ///
    /// [`LmError::Adapter`]: the branch doesn't fit, as in [`attach`](Self::attach).
    pub fn weight_norm(&self, branch: &LowRank) -> Result<Tensor<1>> {
        let mut decoder = self.clone();
        decoder.attach("", vec![branch.clone()])?;
        let found = decoder.all_projections().find_map(|projections| {
            let member = projections.members.iter().find(|member| member.name == branch.module)?;
            let branch = member.branches.iter().find(|branch| branch.adapter.is_empty())?;
            let norm = branch.weight_norm(&projections.weight, &member.rows);
            Some(match &member.order {
                Some(order) => norm.select(0, indices(&places(order), &self.device)),
                None => norm,
            })
        });
        // It was attached.
        Ok(found.unwrap_or_else(|| Tensor::zeros([0], &self.device)))
    }

    pub(crate) fn all_projections(&self) -> impl Iterator<Item = &Projections> {
        self.layers.iter().flat_map(Layer::projections).chain(&self.head)
    }

    pub(crate) fn projections_mut(&mut self) -> impl Iterator<Item = &mut Projections> {
        self.layers.iter_mut().flat_map(Layer::projections_mut).chain(&mut self.head)
    }

    fn each_member(&mut self, visit: &mut dyn FnMut(&mut Member)) {
        for projections in self.projections_mut() {
            projections.members.iter_mut().for_each(&mut *visit);
        }
    }
}

impl Member {
    fn branch(&self, adapter: &str, branch: LowRank, weight: &Weight, device: &Device) -> Branch {
        let order = self.order.as_ref().map(|order| indices(order, device));
        let mut branch = Branch {
            adapter: adapter.to_owned(),
            active: true,
            a: branch.a,
            b: branch.b,
            order,
            scale: branch.scale,
            dropout: branch.dropout,
            seed: seed_of(&self.name),
            magnitude: branch.magnitude.map(|weight| Magnitude { weight, norm: None }),
        };
        // What is not trained keeps its norm.
        let fixed = !branch.a.is_autodiff() && !branch.b.is_autodiff() && !weight.is_autodiff();
        let norm =
            (fixed && branch.magnitude.is_some()).then(|| branch.weight_norm(weight, &self.rows));
        if let Some(magnitude) = &mut branch.magnitude {
            magnitude.norm = norm;
        }
        branch
    }
}

/// Row numbers on a device.
pub(crate) fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    Tensor::from_data(rows.as_slice(), device)
}

/// Where each row of a file is among those that were taken in this order.
pub(crate) fn places(order: &[usize]) -> Vec<usize> {
    let mut places = vec![0; order.len()];
    for (at, &row) in order.iter().enumerate() {
        if let Some(place) = places.get_mut(row) {
            *place = at;
        }
    }
    places
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
