use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use collimate_peft::{AdapterKey, AdapterPart, AdapterTensor};

use crate::error::{Result, TrainError};

/// A tensor that is trained.
#[derive(Debug)]
pub(crate) struct Parameter {
    /// Its name in a file.
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// Its numbers, flat, in float32; never recorded.
    pub(crate) value: Tensor<1>,
    /// Whether it shrinks.
    pub(crate) decays: bool,
    /// How many times the learning rate it has.
    pub(crate) rate: f64,
    /// Its name in the model, if it is the model's own.
    pub(crate) in_model: Option<String>,
    /// What stands in the model beside its own parameters.
    leaf: Leaf,
}

/// A parameter as it stands in the model.
#[derive(Clone, Debug)]
enum Leaf {
    Matrix(Tensor<2>),
    Vector(Tensor<1>),
}

impl Parameter {
    /// A tensor of an adapter; also its magnitudes decay, as in transformers.
    pub(crate) fn of_adapter(key: &AdapterKey, shape: Vec<usize>, value: Tensor<1>) -> Self {
        let leaf = Leaf::Vector(value.clone());
        let name = key.to_string();
        Self { name, shape, value, decays: true, rate: 1.0, in_model: None, leaf }
    }

    /// A parameter of the model. Vectors don't decay: they are biases and weights of norms.
    pub(crate) fn of_model(
        name: String,
        in_model: &str,
        shape: Vec<usize>,
        value: Tensor<1>,
    ) -> Self {
        let leaf = Leaf::Vector(value.clone());
        let (decays, in_model) = (shape.len() > 1, Some(in_model.to_owned()));
        Self { name, shape, value, decays, rate: 1.0, in_model, leaf }
    }

    /// Gives B and vectors, as PEFT's LoRA+ does, so many times the learning rate.
    pub(crate) fn set_rate(&mut self, rate: f64) {
        let is_b = AdapterKey::parse(&self.name).is_some_and(|key| key.part == AdapterPart::B);
        if is_b || self.shape.len() == 1 {
            self.rate = rate;
        }
    }

    /// Whether it is a matrix that is neither an embedding nor a head.
    pub(crate) fn is_hidden_matrix(&self) -> bool {
        let is_of_layer = |name: &String| name.split('.').any(|part| part.parse::<u32>().is_ok());
        self.shape.len() == 2 && self.in_model.as_ref().is_none_or(is_of_layer)
    }

    /// Makes what stands in the model, unless it is the model's own.
    pub(crate) fn place(&mut self, recorded: bool) {
        if self.in_model.is_some() {
            return;
        }
        let value = self.value.clone();
        self.leaf = match *self.shape.as_slice() {
            [rows, columns] => {
                let matrix = value.reshape([rows, columns]);
                Leaf::Matrix(if recorded { matrix.autodiff().require_grad() } else { matrix })
            }
            _ => Leaf::Vector(if recorded { value.autodiff().require_grad() } else { value }),
        };
    }

    pub(crate) fn matrix(&self) -> Tensor<2> {
        match &self.leaf {
            Leaf::Matrix(matrix) => matrix.clone(),
            Leaf::Vector(vector) => vector.clone().unsqueeze_dim(1),
        }
    }

    pub(crate) fn vector(&self) -> Tensor<1> {
        match &self.leaf {
            Leaf::Matrix(matrix) => matrix.clone().flatten(0, 1),
            Leaf::Vector(vector) => vector.clone(),
        }
    }

    /// Its gradient, flat, in float32: of `of_model` if it is the model's own.
    pub(crate) fn take_gradient(
        &self,
        gradients: &mut Gradients,
        of_model: &mut BTreeMap<String, Tensor<1>>,
    ) -> Option<Tensor<1>> {
        if let Some(name) = &self.in_model {
            return of_model.remove(name);
        }
        let gradient = match &self.leaf {
            Leaf::Matrix(matrix) => matrix.grad_remove(gradients)?.flatten(0, 1),
            Leaf::Vector(vector) => vector.grad_remove(gradients)?,
        };
        Some(gradient.cast(DType::F32))
    }

    /// Its numbers, little endian.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        bytes(&self.value)
    }

    /// Its numbers as a tensor of an adapter.
    pub(crate) fn tensor(&self) -> Result<AdapterTensor<'static>> {
        let shape: Vec<u64> = self.shape.iter().map(|&size| size as u64).collect();
        Ok(AdapterTensor::from_f32(shape, &numbers(&self.value)?))
    }
}

/// The numbers of a tensor.
pub(crate) fn numbers(tensor: &Tensor<1>) -> Result<Vec<f32>> {
    let data = tensor.clone().cast(DType::F32).try_into_data();
    let data = data.map_err(|error| TrainError::Device { message: error.to_string() })?;
    data.try_into_vec().map_err(|error| TrainError::Device { message: format!("{error:?}") })
}

/// The numbers of a tensor, little endian.
pub(crate) fn bytes(tensor: &Tensor<1>) -> Result<Vec<u8>> {
    Ok(numbers(tensor)?.into_iter().flat_map(f32::to_le_bytes).collect())
}

/// Numbers on a device.
pub(crate) fn flat(numbers: Vec<f32>, device: &Device) -> Tensor<1> {
    let count = numbers.len();
    Tensor::from_data(TensorData::new(numbers, [count]), (device, DType::F32))
}
