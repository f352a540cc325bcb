//! What follows the gradients of a step.

use std::path::Path;

use burn::tensor::Tensor;
use collimate_tensors::{Dtype, TensorFile, write_safetensors};

use crate::adamw::{Moments, Update};
use crate::error::{Result, TrainError};
use crate::trained::{Parameter, Trained, bytes, flat, numbers};

const FILE: &str = "optimizer.safetensors";

/// The optimizer with all that it remembers, in the order of the parameters.
#[derive(Debug)]
pub(crate) struct Optimizer {
    moments: Vec<Moments>,
}

/// Gradients in the order of the parameters; none where nothing depends on one.
type GradientsOf = Vec<Option<Tensor<1>>>;

impl Optimizer {
    pub(crate) fn new(parameters: &[Parameter]) -> Self {
        let zeros = |parameter: &Parameter| Moments::zeros(&parameter.value);
        Self { moments: parameters.iter().map(zeros).collect() }
    }

    /// Gradients of the sum of the losses, divided once by the tokens of the whole step.
    pub(crate) fn mean(&self, gradients: GradientsOf, trained_tokens: u64) -> GradientsOf {
        scaled(gradients, 1.0 / trained_tokens.max(1) as f64)
    }

    /// The norm of all gradients together, and the first parameter whose gradient is not finite.
    ///
    /// Squares are added along the last dimension on the device, and from there on in double precision.
    pub(crate) fn norm(
        &self,
        gradients: &[Option<Tensor<1>>],
        parameters: &[Parameter],
    ) -> Result<(f64, Option<String>)> {
        let mut counts = Vec::new();
        let mut squares = Vec::new();
        for (gradient, parameter) in gradients.iter().zip(parameters) {
            let Some(gradient) = gradient else { continue };
            let width = parameter.shape.last().copied().unwrap_or(1).max(1);
            let rows = gradient.dims()[0] / width;
            let rows_of: Tensor<2> = gradient.clone().reshape([rows, width]);
            squares.push((rows_of.clone() * rows_of).sum_dim(1).flatten::<1>(0, 1));
            counts.push((rows, parameter));
        }
        if squares.is_empty() {
            return Ok((0.0, None));
        }
        let squares = numbers(&Tensor::cat(squares, 0))?;
        let (mut sum, mut rest) = (0.0, squares.as_slice());
        for (rows, parameter) in counts {
            let (of_parameter, others) = rest.split_at(rows.min(rest.len()));
            let square: f64 = of_parameter.iter().map(|&square| f64::from(square)).sum();
            if !square.is_finite() {
                return Ok((square, Some(parameter.name.clone())));
            }
            (sum, rest) = (sum + square, others);
        }
        Ok((sum.sqrt(), None))
    }

    /// Shortens gradients to a norm, as PyTorch does.
    pub(crate) fn clip(&self, gradients: GradientsOf, norm: f64, most: Option<f64>) -> GradientsOf {
        match most.map(|most| most / (norm + 1e-6)) {
            Some(factor) if factor < 1.0 => scaled(gradients, factor),
            _ => gradients,
        }
    }

    pub(crate) fn update(
        &mut self,
        trained: &mut Trained,
        gradients: GradientsOf,
        update: Update<'_>,
    ) {
        let moments = std::mem::take(&mut self.moments);
        self.moments = trained.update(gradients, moments, update);
    }

    /// Writes what it remembers.
    pub(crate) fn write(&self, folder: &Path, parameters: &[Parameter]) -> Result<()> {
        let mut tensors = Vec::with_capacity(2 * self.moments.len());
        for (moments, parameter) in self.moments.iter().zip(parameters) {
            let shape: Vec<u64> = parameter.shape.iter().map(|&size| size as u64).collect();
            for (kind, tensor) in [(MEAN, &moments.mean), (SQUARE, &moments.square)] {
                let name = format!("{kind}.{}", parameter.name);
                tensors.push((name, Dtype::F32, shape.clone(), bytes(tensor)?));
            }
        }
        Ok(write_safetensors(folder.join(FILE), &Default::default(), tensors)?)
    }

    /// Reads what was written.
    pub(crate) fn read(&mut self, folder: &Path, parameters: &[Parameter]) -> Result<()> {
        let file = TensorFile::open(folder.join(FILE))?;
        for (moments, parameter) in self.moments.iter_mut().zip(parameters) {
            for (kind, tensor) in [(MEAN, &mut moments.mean), (SQUARE, &mut moments.square)] {
                let name = format!("{kind}.{}", parameter.name);
                let found = file.get(&name).map(|tensor| tensor.to_f32()).transpose()?;
                let Some(found) = found.filter(|found| [found.len()] == tensor.dims()) else {
                    let message = format!("{FILE} has no {name} of the shape that is trained");
                    return Err(TrainError::Checkpoint { path: folder.to_owned(), message });
                };
                *tensor = flat(found, &tensor.device());
            }
        }
        Ok(file.unchanged()?)
    }
}

/// The names that PyTorch's AdamW has for them.
const MEAN: &str = "exp_avg";
const SQUARE: &str = "exp_avg_sq";

fn scaled(gradients: GradientsOf, factor: f64) -> GradientsOf {
    gradients.into_iter().map(|gradient| gradient.map(|gradient| gradient * factor)).collect()
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn parameter(name: &str, count: usize) -> Parameter {
        let value = flat(vec![0.0; count], &Device::flex());
        Parameter::of_model(name.to_owned(), name, vec![count / 2, 2], value)
    }

    fn gradient(numbers: &[f32]) -> Option<Tensor<1>> {
        Some(flat(numbers.to_vec(), &Device::flex()))
    }

    #[test]
    fn gradients_are_shortened_together_as_in_torch() {
        let parameters = [parameter("one", 2), parameter("none", 2), parameter("two", 4)];
        let optimizer = Optimizer::new(&parameters);
        let gradients = vec![gradient(&[1.0, -2.0]), None, gradient(&[0.0, 4.0, 2.0, 0.0])];
        let (norm, wrong) = optimizer.norm(&gradients, &parameters).unwrap();
        assert_eq!((norm, wrong), (5.0, None));
        // clip_grad_norm_ of 2.15 with a norm of 1.
        let clipped = optimizer.clip(gradients.clone(), norm, Some(1.0));
        let found = numbers(clipped[2].as_ref().unwrap()).unwrap();
        assert_eq!(found, [0.0, 0.799_999_83, 0.399_999_92, 0.0]);
        for most in [None, Some(5.5)] {
            let same = optimizer.clip(gradients.clone(), norm, most);
            assert_eq!(numbers(same[0].as_ref().unwrap()).unwrap(), [1.0, -2.0]);
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_is_named() {
        let parameters = [parameter("one", 2), parameter("two", 2)];
        let optimizer = Optimizer::new(&parameters);
        for number in [f32::NAN, f32::INFINITY] {
            let gradients = [gradient(&[1.0, 2.0]), gradient(&[0.0, number])];
            let (_, wrong) = optimizer.norm(&gradients, &parameters).unwrap();
            assert_eq!(wrong.as_deref(), Some("two"));
        }
    }
}
