//! What follows the gradients of a step.

mod adamw;
mod of_burn;

use std::collections::BTreeMap;
use std::path::Path;

use burn::optim::DynState;
use burn::tensor::Tensor;
use collimate_tensors::{Dtype, TensorFile, write_safetensors};

use crate::config::{AdamWConfig, OptimizerConfig};
use crate::error::{Result, TrainError};
use crate::trained::{Parameter, bytes, flat, numbers};

use adamw::{Moments, Update};
use of_burn::Rule;

const FILE: &str = "optimizer.safetensors";
/// The key of the file's metadata that has, as JSON, what is remembered beside tensors.
const NUMBERS: &str = "numbers";

/// The optimizer with all that it remembers, in the order of the parameters.
pub(crate) struct Optimizer {
    adamw: AdamWConfig,
    memories: Vec<Memory>,
}

/// What is remembered of a parameter.
enum Memory {
    AdamW(Box<Moments>),
    /// Nothing before the first update.
    OfBurn(Rule, Option<DynState>),
}

/// A tensor for a file.
type NamedTensor = (String, Dtype, Vec<u64>, Vec<u8>);

/// Gradients in the order of the parameters; none where nothing depends on one.
type GradientsOf = Vec<Option<Tensor<1>>>;

impl Optimizer {
    pub(crate) fn new(config: &OptimizerConfig, parameters: &[Parameter]) -> Self {
        let adamw = match config {
            OptimizerConfig::AdamW(adamw) => *adamw,
            other => AdamWConfig::default().with_weight_decay(other.weight_decay()),
        };
        let memory = |parameter: &Parameter| match Rule::of(config, parameter) {
            None => Memory::AdamW(Box::new(Moments::zeros(&parameter.value))),
            Some(rule) => Memory::OfBurn(rule, None),
        };
        Self { adamw, memories: parameters.iter().map(memory).collect() }
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

    /// Lets the parameters follow their gradients; so many updates were made `before`.
    pub(crate) fn update(
        &mut self,
        parameters: &mut [Parameter],
        gradients: GradientsOf,
        learning_rate: f64,
        before: u64,
    ) {
        let memories = std::mem::take(&mut self.memories).into_iter();
        let all = parameters.iter_mut().zip(gradients).zip(memories);
        let followed = all.map(|((parameter, gradient), memory)| {
            let learning_rate = learning_rate * parameter.rate;
            // What nothing depends on has a gradient of zero, and shrinks all the same.
            let gradient = gradient.unwrap_or_else(|| parameter.value.zeros_like());
            let (value, memory) = match memory {
                Memory::AdamW(moments) => {
                    let (config, decays) = (&self.adamw, parameter.decays);
                    let update = Update { config, learning_rate, decays, before };
                    let value = parameter.value.clone();
                    let (value, moments) = moments.update(value, gradient, update);
                    (value, Memory::AdamW(Box::new(moments)))
                }
                Memory::OfBurn(rule, state) => {
                    let (value, state) = rule.update(parameter, gradient, learning_rate, state);
                    (value, Memory::OfBurn(rule, state))
                }
            };
            parameter.value = value;
            memory
        });
        self.memories = followed.collect();
    }

    /// Writes what it remembers.
    pub(crate) fn write(&self, folder: &Path, parameters: &[Parameter]) -> Result<()> {
        let (mut tensors, mut numbers) = (Vec::new(), BTreeMap::new());
        for (memory, parameter) in self.memories.iter().zip(parameters) {
            match memory {
                Memory::AdamW(moments) => {
                    let shape: Vec<u64> = parameter.shape.iter().map(|&size| size as u64).collect();
                    for (kind, tensor) in [(MEAN, &moments.mean), (SQUARE, &moments.square)] {
                        let name = format!("{kind}.{}", parameter.name);
                        tensors.push((name, Dtype::F32, shape.clone(), bytes(tensor)?));
                    }
                }
                Memory::OfBurn(rule, Some(state)) => {
                    let (more, of_parameter) = rule.written(parameter, state);
                    tensors.extend(more);
                    numbers.extend(of_parameter);
                }
                Memory::OfBurn(_, None) => {}
            }
        }
        let mut metadata = BTreeMap::new();
        if !numbers.is_empty() {
            let numbers = numbers.into_iter().collect();
            metadata.insert(NUMBERS.to_owned(), serde_json::Value::Object(numbers).to_string());
        }
        Ok(write_safetensors(folder.join(FILE), &metadata, tensors)?)
    }

    /// Reads what was written after so many updates.
    pub(crate) fn read(
        &mut self,
        folder: &Path,
        parameters: &[Parameter],
        updates: u64,
    ) -> Result<()> {
        let file = TensorFile::open(folder.join(FILE))?;
        let lacks = |name: &str| {
            let message = format!("{FILE} has no {name} of the shape that is trained");
            TrainError::Checkpoint { path: folder.to_owned(), message }
        };
        let numbers = match file.metadata().get(NUMBERS) {
            None => BTreeMap::new(),
            Some(numbers) => serde_json::from_str(numbers).map_err(|_| lacks(NUMBERS))?,
        };
        for (memory, parameter) in self.memories.iter_mut().zip(parameters) {
            match memory {
                Memory::AdamW(moments) => {
                    for (kind, tensor) in [(MEAN, &mut moments.mean), (SQUARE, &mut moments.square)]
                    {
                        let name = format!("{kind}.{}", parameter.name);
                        let found = file.get(&name).map(|tensor| tensor.to_f32()).transpose()?;
                        let found = found.filter(|found| [found.len()] == tensor.dims());
                        *tensor = flat(found.ok_or_else(|| lacks(&name))?, &tensor.device());
                    }
                }
                Memory::OfBurn(rule, state) if updates > 0 => {
                    let found = rule.read(parameter, &file, &numbers);
                    *state = Some(found.ok_or_else(|| lacks(&parameter.name))?);
                }
                Memory::OfBurn(_, state) => *state = None,
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
        let optimizer = Optimizer::new(&OptimizerConfig::default(), &parameters);
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

    #[derive(serde::Deserialize)]
    struct Reference {
        optimizer: OptimizerConfig,
        learning_rate: f64,
        shape: Vec<usize>,
        start: Vec<f32>,
        gradients: Vec<Vec<f32>>,
        /// After each of the gradients.
        expected: Vec<Vec<f32>>,
    }

    fn references() -> Vec<Reference> {
        let text = include_str!("../tests/fixtures/optimizers.json");
        serde_json::from_str(text).expect("a fixture of this crate")
    }

    impl Reference {
        /// In the middle of a model, where Muon is what it is.
        fn parameter(&self) -> Parameter {
            let value = flat(self.start.clone(), &Device::flex());
            let mut parameter =
                Parameter::of_model("layers.0.w".into(), "layers.0.w", self.shape.clone(), value);
            parameter.decays = true;
            parameter
        }

        fn update(&self, optimizer: &mut Optimizer, parameter: &mut Parameter, at: usize) {
            let gradient = gradient(&self.gradients[at]);
            let parameters = std::slice::from_mut(parameter);
            optimizer.update(parameters, vec![gradient], self.learning_rate, at as u64);
        }
    }

    #[test]
    fn each_optimizer_is_that_of_its_reference() {
        for of in references() {
            let mut parameter = of.parameter();
            let mut optimizer = Optimizer::new(&of.optimizer, std::slice::from_ref(&parameter));
            for (at, expected) in of.expected.iter().enumerate() {
                of.update(&mut optimizer, &mut parameter, at);
                let found = numbers(&parameter.value).unwrap();
                for (found, expected) in found.iter().zip(expected) {
                    let distance = (found - expected).abs();
                    assert!(distance < 2e-6, "{:?} {at}: {found}, {expected}", of.optimizer);
                }
            }
        }
    }

    #[test]
    fn each_optimizer_goes_on_from_its_file() {
        for of in references() {
            let mut parameter = of.parameter();
            let mut optimizer = Optimizer::new(&of.optimizer, std::slice::from_ref(&parameter));
            for at in 0..2 {
                of.update(&mut optimizer, &mut parameter, at);
            }
            let folder = tempfile::tempdir().unwrap();
            optimizer.write(folder.path(), std::slice::from_ref(&parameter)).unwrap();
            let mut again = of.parameter();
            again.value = parameter.value.clone();
            let mut restored = Optimizer::new(&of.optimizer, std::slice::from_ref(&again));
            restored.read(folder.path(), std::slice::from_ref(&again), 2).unwrap();
            of.update(&mut optimizer, &mut parameter, 2);
            of.update(&mut restored, &mut again, 2);
            let found = [&parameter, &again].map(|of| numbers(&of.value).unwrap());
            assert_eq!(found[0], found[1], "{:?}", of.optimizer);
        }
    }

    #[test]
    fn a_file_that_lacks_something_is_refused() {
        for of in references() {
            let mut parameter = of.parameter();
            let mut optimizer = Optimizer::new(&of.optimizer, std::slice::from_ref(&parameter));
            of.update(&mut optimizer, &mut parameter, 0);
            let folder = tempfile::tempdir().unwrap();
            optimizer.write(folder.path(), std::slice::from_ref(&parameter)).unwrap();
            let file = TensorFile::open(folder.path().join(FILE)).unwrap();
            let whole: Vec<NamedTensor> = file
                .tensors()
                .map(|of| {
                    (
                        of.name().to_owned(),
                        of.dtype(),
                        of.shape().to_vec(),
                        of.bytes().unwrap().into_owned(),
                    )
                })
                .collect();
            let metadata = file.metadata().clone();
            drop(file);
            let mut others = Vec::new();
            for left_out in 0..whole.len() {
                let mut tensors = whole.clone();
                tensors.remove(left_out);
                others.push((metadata.clone(), tensors));
                let mut tensors = whole.clone();
                let count: u64 = tensors[left_out].2.iter().product();
                tensors[left_out].2 = vec![count + 1];
                tensors[left_out].3 = vec![0; 4 * (count as usize + 1)];
                others.push((metadata.clone(), tensors));
            }
            if metadata.contains_key(NUMBERS) {
                others.push((BTreeMap::new(), whole.clone()));
            }
            for (metadata, tensors) in others {
                std::fs::remove_file(folder.path().join(FILE)).unwrap();
                write_safetensors(folder.path().join(FILE), &metadata, tensors).unwrap();
                let error = optimizer.read(folder.path(), std::slice::from_ref(&parameter), 1);
                let error = error.unwrap_err().to_string();
                assert!(error.contains("optimizer.safetensors has no"), "{error}");
            }
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_is_named() {
        let parameters = [parameter("one", 2), parameter("two", 2)];
        let optimizer = Optimizer::new(&OptimizerConfig::default(), &parameters);
        for number in [f32::NAN, f32::INFINITY] {
            let gradients = [gradient(&[1.0, 2.0]), gradient(&[0.0, number])];
            let (_, wrong) = optimizer.norm(&gradients, &parameters).unwrap();
            assert_eq!(wrong.as_deref(), Some("two"));
        }
    }
}
