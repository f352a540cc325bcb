use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::ops::linear;

/// The weight of a projection, `[out, in]`: the place where a quantized one can stand.
#[derive(Clone, Debug)]
pub(crate) enum Weight {
    /// All numbers, in the type of the model's weights; in that of its activations while it is tracked.
    Dense(Tensor<2>),
}

impl Weight {
    /// `x · weightᵀ + bias`.
    pub(crate) fn apply(&self, x: Tensor<3>, bias: Option<&Tensor<1>>) -> Tensor<3> {
        match self {
            Self::Dense(weight) => linear(x, weight, bias),
        }
    }

    /// The rows of an embedding, `[ids, in]`.
    pub(crate) fn select(&self, ids: &[u32], device: &Device) -> Tensor<2> {
        let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let ids = Tensor::<1, Int>::from_data(TensorData::from(ids.as_slice()), device);
        match self {
            Self::Dense(weight) => weight.clone().select(0, ids),
        }
    }

    /// `[out, in]`.
    pub(crate) fn shape(&self) -> [usize; 2] {
        match self {
            Self::Dense(weight) => weight.dims(),
        }
    }

    /// Some rows.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Tensor<2> {
        match self {
            Self::Dense(weight) => weight.clone().narrow(0, rows.start, rows.len()),
        }
    }

    /// Whether it is on a device that records.
    pub(crate) fn is_autodiff(&self) -> bool {
        match self {
            Self::Dense(weight) => weight.is_autodiff(),
        }
    }

    pub(crate) fn slot(&mut self) -> Slot<'_> {
        match self {
            Self::Dense(weight) => Slot::Matrix(weight),
        }
    }
}

/// A place of a weight.
pub(crate) enum Slot<'a> {
    Vector(&'a mut Tensor<1>),
    Matrix(&'a mut Tensor<2>),
}
