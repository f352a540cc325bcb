//! The tensors of two models, side by side.

use std::collections::BTreeMap;

use collimate_tensors::{Checkpoint, Tensor, TensorsError, widen};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use super::ExtractError;
use crate::adapter::is_float;
use crate::modules::{ModuleTree, is_buffer};
use crate::names::ModelNames;

type Result<T> = std::result::Result<T, ExtractError>;

/// Elements that are read at once.
const BLOCK: usize = 1 << 16;

/// One tensor in both models.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'a> {
    pub(super) base: Tensor<'a>,
    pub(super) tuned: Tensor<'a>,
}

/// The parameters of both models by their names in the model. Buffers are no parameters: what is in
/// them follows from the configuration.
pub(super) fn pairs<'a>(
    base: &'a Checkpoint,
    tuned: &'a Checkpoint,
    tree: &ModuleTree,
) -> Result<BTreeMap<String, Pair<'a>>> {
    let base = in_the_model(base, tree, false)?;
    let mut tuned = in_the_model(tuned, tree, true)?;
    let mut pairs = BTreeMap::new();
    for (name, base) in base {
        let Some(tuned) = tuned.remove(&name) else {
            return Err(ExtractError::OnlyInOne { tensor: name, in_tuned: false });
        };
        let pair = Pair { base, tuned };
        pair.check_shapes(&name, tree)?;
        pairs.insert(name, pair);
    }
    match tuned.into_keys().next() {
        Some(tensor) => Err(ExtractError::OnlyInOne { tensor, in_tuned: true }),
        None => Ok(pairs),
    }
}

impl Pair<'_> {
    fn check_shapes(&self, name: &str, tree: &ModuleTree) -> Result<()> {
        let weight = name.strip_suffix(".weight").and_then(|module| tree.get(module)?.weight);
        let expected = weight.map_or_else(|| self.base.shape().to_vec(), Vec::from);
        if self.base.shape() == expected && self.tuned.shape() == expected {
            return Ok(());
        }
        let (base, tuned) = (self.base.shape().to_vec(), self.tuned.shape().to_vec());
        Err(ExtractError::Shape { tensor: name.to_owned(), base, tuned, expected })
    }

    /// Whether the numbers differ, whatever their types.
    pub(super) fn differs(&self, name: &str) -> Result<bool> {
        let (base, tuned) = (self.base.bytes()?, self.tuned.bytes()?);
        let is_same_type = self.base.dtype() == self.tuned.dtype();
        if is_same_type && base == tuned {
            return Ok(false);
        }
        if !is_float(self.base.dtype()) || !is_float(self.tuned.dtype()) {
            return Ok(true);
        }
        Ok(self.difference(name)?.iter().any(|&difference| difference != 0.0))
    }

    /// `tuned − base` in `f32`, one number after another.
    pub(super) fn difference(&self, name: &str) -> Result<Vec<f32>> {
        for (tensor, in_tuned) in [(self.base, false), (self.tuned, true)] {
            let dtype = tensor.dtype();
            if !is_float(dtype) {
                return Err(ExtractError::Dtype { tensor: name.to_owned(), dtype, in_tuned });
            }
        }
        // They have the same shape.
        let elements = usize::try_from(self.base.elements())
            .map_err(|_| ExtractError::TooLarge { tensor: name.to_owned() })?;
        let (base, tuned) = (self.base.bytes()?, self.tuned.bytes()?);
        let block = |tensor: Tensor<'_>| BLOCK * (tensor.dtype().bits() / 8) as usize;
        let mut numbers = vec![0.0_f32; elements];
        let subtracted = numbers
            .par_chunks_mut(BLOCK)
            .zip(base.par_chunks(block(self.base)))
            .zip(tuned.par_chunks(block(self.tuned)))
            .try_for_each(|((numbers, base), tuned)| {
                let mut bases = vec![0.0; numbers.len()];
                widen(self.base.dtype(), base, &mut bases)?;
                widen(self.tuned.dtype(), tuned, numbers)?;
                for (number, base) in numbers.iter_mut().zip(bases) {
                    *number -= base;
                }
                Ok(())
            });
        subtracted.map_err(|source| TensorsError::Cast {
            path: self.tuned.file().path().to_owned(),
            tensor: name.to_owned(),
            source,
        })?;
        Ok(numbers)
    }
}

/// The parameters of a checkpoint by their names in the model. A tied head is there as well.
fn in_the_model<'a>(
    checkpoint: &'a Checkpoint,
    tree: &ModuleTree,
    in_tuned: bool,
) -> Result<BTreeMap<String, Tensor<'a>>> {
    let names = ModelNames::of(tree);
    let mut tensors = BTreeMap::new();
    for tensor in checkpoint.tensors() {
        let name = tensor.name();
        let parameter = name.rsplit_once('.').map_or(name, |(_, parameter)| parameter);
        if is_buffer(parameter, tensor.shape()) {
            continue;
        }
        // Whether it is the only one of this name is checked below.
        let name = names.name(name, |_| true);
        if tensors.insert(name.clone(), tensor).is_some() {
            return Err(ExtractError::Twice { tensor: name, in_tuned });
        }
    }
    for (head, _) in tree.iter() {
        let embedding = tree.tied_to(head).map(|embedding| format!("{embedding}.weight"));
        let weight = embedding.and_then(|embedding| tensors.get(&embedding).copied());
        if let Some(weight) = weight {
            tensors.entry(format!("{head}.weight")).or_insert(weight);
        }
    }
    Ok(tensors)
}
