//! The parameters of a model under the names that transformers gives them, whatever they are inside.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{DType, Tensor};
use serde::Serialize;

use crate::build::{Wanted, WantedPart, module_tree};
use crate::error::{LmError, Result};
use crate::lora::indices;
use crate::model::{Decoder, Member, Projections, Slot};
use crate::save::in_file;

/// A parameter of a model, as in `named_parameters()` of the model in transformers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether it is trained: [`Decoder::track`].
    pub tracked: bool,
}

impl Decoder {
    /// All parameters, in the order of the model.
    ///
    /// ```
    /// # use burn::tensor::{DType, Device};
    /// # use collimate_lm::{Decoder, DecoderConfig};
    /// # let json = r#"{"model_type": "gpt2", "vocab_size": 20, "n_embd": 8, "n_layer": 1, "n_head": 2}"#;
    /// # let config = DecoderConfig::from_json(json, "config.json")?;
    /// # let decoder = Decoder::random(&config, 0.02, 1, &Device::flex(), DType::F32)?;
    /// let parameters = decoder.parameters();
    /// assert_eq!(parameters[0].name, "transformer.wte.weight");
    /// assert_eq!(parameters[0].shape, [20, 8]);
    /// assert_eq!(decoder.parameter("transformer.wte.weight")?.dims(), [160]);
    /// # Ok::<(), collimate_lm::LmError>(())
    /// ```
    pub fn parameters(&self) -> Vec<Parameter> {
        let of = |wanted: &Wanted, part: &WantedPart| Parameter {
            name: part.tensor.clone(),
            shape: wanted.shape(part),
            tracked: self.tracked.contains(&part.tensor),
        };
        let all = self.stored.iter();
        all.flat_map(|wanted| wanted.parts.iter().map(move |part| of(wanted, part))).collect()
    }

    /// The numbers of a parameter in the order of its shape and in the type of the weights, untracked.
    ///
    /// # Errors
    ///
    /// [`LmError::Parameter`]: there is none of this name.
    pub fn parameter(&self, name: &str) -> Result<Tensor<1>> {
        for (wanted, tensor) in self.stored.iter().zip(self.tensors()) {
            for (part, rows) in split(wanted, tensor) {
                if part.tensor == name {
                    return Ok(rows.cast(self.dtype));
                }
            }
        }
        Err(self.unknown(name))
    }

    /// Replaces parameters: the numbers of each, in the order of its shape, which are rounded to the type of
    /// the weights. What is tracked stays so.
    ///
    /// # Errors
    ///
    /// [`LmError::Parameter`]: there is none of a name, or it has another number of numbers. Nothing is
    /// replaced then.
    pub fn set_parameters(&mut self, mut values: BTreeMap<String, Tensor<1>>) -> Result<()> {
        let sizes: BTreeMap<String, usize> = self
            .parameters()
            .into_iter()
            .map(|parameter| (parameter.name, parameter.shape.iter().product()))
            .collect();
        for (name, value) in &values {
            let expected = *sizes.get(name).ok_or_else(|| self.unknown(name))?;
            let [found] = value.dims();
            if found != expected {
                let message = format!("expected {expected} numbers, found {found}");
                return Err(LmError::Parameter { name: name.clone(), message });
            }
        }
        let (device, dtype) = (self.device.clone(), self.dtype);
        let stored = Arc::clone(&self.stored);
        for (wanted, mut slot) in stored.iter().zip(self.slots()) {
            let mut begin = 0;
            for part in &wanted.parts {
                if let Some(value) = values.remove(&part.tensor) {
                    let value = value.inner().to_device(&device).cast(dtype);
                    slot.assign(begin, inside(value, part, wanted));
                }
                begin += part.rows;
            }
        }
        self.forget_norms();
        Ok(())
    }

    /// Gives the head weights of its own, if it has those of the embedding; both are the same until one
    /// is trained.
    ///
    /// # Errors
    ///
    /// None that can be expected: the names of the model would have to contradict each other.
    pub fn untie_head(&mut self) -> Result<()> {
        if self.head.is_some() {
            return Ok(());
        }
        let mut config = self.config.clone();
        config.tie_word_embeddings = false;
        let name = config.family.names().head.to_owned();
        let rows = config.vocab_size;
        let part = WantedPart { tensor: format!("{name}.weight"), rows, order: None };
        let mut stored = self.stored.to_vec();
        let width = config.hidden_size;
        stored.push(Wanted { parts: vec![part], width, vector: false, transposed: false });
        self.tree = module_tree(&config, &stored)?;
        let mut weight = self.embedding.clone();
        weight.slot().detach(self.dtype);
        let members = vec![Member { name, rows: 0..rows, order: None, branches: Vec::new() }];
        self.head = Some(Projections { weight, bias: None, members });
        (self.config, self.stored) = (config, Arc::new(stored));
        Ok(())
    }

    fn unknown(&self, name: &str) -> LmError {
        let end = |name: &str| name.rsplit('.').nth(1).map(str::to_owned);
        let names = || self.stored.iter().flat_map(|wanted| &wanted.parts).map(|part| &part.tensor);
        let similar = names().find(|other| end(other) == end(name)).or_else(|| names().next());
        let instead = similar.cloned().unwrap_or_default();
        let message = format!("there is none of this name; one is '{instead}'");
        LmError::Parameter { name: name.to_owned(), message }
    }

    /// Makes the norms of weights anew from now on.
    fn forget_norms(&mut self) {
        for projections in self.projections_mut() {
            let branches = projections.members.iter_mut().flat_map(|member| &mut member.branches);
            for magnitude in branches.filter_map(|branch| branch.magnitude.as_mut()) {
                magnitude.norm = None;
            }
        }
    }
}

#[cfg(feature = "autodiff")]
mod tracked {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use burn::tensor::{DType, Gradients, Tensor};

    use super::split;
    use crate::error::Result;
    use crate::model::{Decoder, Slot};

    impl Decoder {
        /// Trains these parameters and no others: what is computed from now on records how it depends on
        /// them.
        ///
        /// A matrix lies in [`activation_dtype`](Self::activation_dtype) while it is tracked, and so does its
        /// gradient; its numbers stay those that the type of the weights has.
        ///
        /// ```
        /// # use burn::tensor::{DType, Device};
        /// # use collimate_lm::{Batch, Decoder, DecoderConfig, LossConfig, Targets, Training};
        /// # let json = r#"{"model_type": "gpt2", "vocab_size": 20, "n_embd": 8, "n_layer": 1, "n_head": 2}"#;
        /// # let config = DecoderConfig::from_json(json, "config.json")?;
        /// # let mut decoder = Decoder::random(&config, 0.02, 1, &Device::flex(), DType::F32)?;
        /// decoder.track(["transformer.h.0.attn.c_attn.weight"])?;
        /// let batch = Batch::padded(&[[5, 8, 13]])?;
        /// let hidden = decoder.forward_training(&batch, &Training::new(1))?;
        /// let loss = decoder.token_loss(hidden, &Targets::all(&batch), &LossConfig::default())?;
        /// let mut gradients = loss.loss.backward();
        /// let gradients = decoder.take_gradients(&mut gradients);
        /// assert_eq!(gradients["transformer.h.0.attn.c_attn.weight"].dims(), [8 * 24]);
        /// # Ok::<(), collimate_lm::LmError>(())
        /// ```
        ///
        /// # Errors
        ///
        /// [`LmError::Parameter`](crate::LmError::Parameter): there is none of a name. Nothing changes
        /// then.
        pub fn track<N: AsRef<str>>(&mut self, names: impl IntoIterator<Item = N>) -> Result<()> {
            let names: BTreeSet<String> =
                names.into_iter().map(|name| name.as_ref().to_owned()).collect();
            let known: BTreeSet<&String> = self
                .stored
                .iter()
                .flat_map(|wanted| &wanted.parts)
                .map(|part| &part.tensor)
                .collect();
            if let Some(name) = names.iter().find(|name| !known.contains(name)) {
                return Err(self.unknown(name));
            }
            let stored = Arc::clone(&self.stored);
            let (dtype, computed) = (self.dtype, self.activation_dtype());
            for (wanted, mut slot) in stored.iter().zip(self.slots()) {
                if wanted.parts.iter().any(|part| names.contains(&part.tensor)) {
                    slot.require_grad(computed);
                } else {
                    slot.detach(dtype);
                }
            }
            self.tracked = names;
            self.forget_norms();
            Ok(())
        }

        /// Takes the gradients of the tracked parameters, in float32 and in the order of their shapes;
        /// those that nothing depended on have none.
        pub fn take_gradients(&self, gradients: &mut Gradients) -> BTreeMap<String, Tensor<1>> {
            let mut found = BTreeMap::new();
            if self.tracked.is_empty() {
                return found;
            }
            let mut decoder = self.clone();
            for (wanted, slot) in self.stored.iter().zip(decoder.slots()) {
                let gradient = match slot {
                    Slot::Vector(vector) => {
                        vector.grad_remove(gradients).map(|vector| vector.unsqueeze_dim(1))
                    }
                    Slot::Matrix(matrix) => matrix.grad_remove(gradients),
                };
                let Some(gradient) = gradient else { continue };
                for (part, rows) in split(wanted, gradient) {
                    if self.tracked.contains(&part.tensor) {
                        found.insert(part.tensor.clone(), rows.cast(DType::F32));
                    }
                }
            }
            found
        }
    }
}

/// The parameters that a tensor of the model is made of, as they are in a file.
fn split(wanted: &Wanted, tensor: Tensor<2>) -> impl Iterator<Item = (&WantedPart, Tensor<1>)> {
    let mut begin = 0;
    wanted.parts.iter().map(move |part| {
        let rows = tensor.clone().narrow(0, begin, part.rows);
        begin += part.rows;
        (part, in_file(rows, part, wanted).reshape([-1]))
    })
}

/// The numbers of a parameter as rows of a tensor of the model.
fn inside(value: Tensor<1>, part: &WantedPart, wanted: &Wanted) -> Tensor<2> {
    let rows = if wanted.transposed {
        value.reshape([wanted.width, part.rows]).transpose()
    } else {
        value.reshape([part.rows, wanted.width])
    };
    match &part.order {
        Some(order) => {
            let order = indices(order, &rows.device());
            rows.select(0, order)
        }
        None => rows,
    }
}

impl Slot<'_> {
    /// Takes it out of what is recorded; a matrix then lies in this type.
    fn detach(&mut self, dtype: DType) {
        match self {
            Self::Vector(vector) => **vector = vector.clone().inner(),
            Self::Matrix(matrix) => **matrix = matrix.clone().inner().cast(dtype),
        }
    }

    /// Makes it a leaf of this type.
    #[cfg(feature = "autodiff")]
    fn require_grad(&mut self, dtype: DType) {
        self.detach(dtype);
        match self {
            Self::Vector(vector) => **vector = vector.clone().autodiff().require_grad(),
            Self::Matrix(matrix) => **matrix = matrix.clone().autodiff().require_grad(),
        }
    }

    /// Replaces rows from `begin` on, of a vector numbers.
    fn assign(&mut self, begin: usize, rows: Tensor<2>) {
        match self {
            Self::Vector(vector) => replace(vector, begin, rows.squeeze_dim(1)),
            Self::Matrix(matrix) => replace(matrix, begin, rows),
        }
    }
}

/// Replaces what lies from `begin` on along the first dimension, in the type that is there.
fn replace<const D: usize>(place: &mut Tensor<D>, begin: usize, rows: Tensor<D>) {
    let trained = place.is_require_grad();
    let rows = rows.cast(place.dtype());
    let [whole, count] = [place.dims()[0], rows.dims()[0]];
    let changed = if whole == count {
        rows
    } else {
        // Nobody else holds it while it is written, so that nothing is copied.
        let empty = Tensor::empty([0; D], &rows.device());
        let held = std::mem::replace(place, empty).inner();
        let mut ranges = held.dims().map(|size| 0..size);
        ranges[0] = begin..begin + count;
        held.slice_assign(ranges, rows)
    };
    *place = if trained { changed.autodiff().require_grad() } else { changed };
}

#[cfg(all(test, feature = "autodiff", feature = "flex"))]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::config::DecoderConfig;

    #[test]
    fn on_the_cpu_matrices_lie_in_their_type_until_they_are_tracked() {
        let json =
            r#"{"model_type": "gpt2", "vocab_size": 20, "n_embd": 8, "n_layer": 1, "n_head": 2}"#;
        let config = DecoderConfig::from_json(json, "config.json").unwrap();
        let mut decoder = Decoder::random(&config, 0.02, 1, &Device::flex(), DType::BF16).unwrap();
        let of = |decoder: &mut Decoder| -> Vec<(bool, DType)> {
            let slots = decoder.slots().into_iter().map(|slot| match slot {
                Slot::Vector(vector) => (true, vector.dtype()),
                Slot::Matrix(matrix) => (false, matrix.dtype()),
            });
            slots.collect()
        };
        let before = of(&mut decoder);
        for (vector, dtype) in &before {
            assert_eq!(*dtype, if *vector { DType::F32 } else { DType::BF16 });
        }
        decoder.track(["transformer.wte.weight"]).unwrap();
        decoder.untie_head().unwrap();
        let tracked = of(&mut decoder);
        assert_eq!((tracked[0], tracked[1]), ((false, DType::F32), before[1]));
        assert_eq!(tracked.last(), Some(&(false, DType::BF16)));
        decoder.track::<&str>([]).unwrap();
        assert_eq!(of(&mut decoder)[..before.len()], before);
    }
}
