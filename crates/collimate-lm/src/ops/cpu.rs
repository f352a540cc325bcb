//! Operators of our own on the CPU, with gradients of our own.
//!
//! An operator is a [`CpuOp`]; [`apply`] runs it, and records it where gradients are wanted. Everything is
//! computed in float32; weights may lie in half of that, and are [widened](Widen) as they are read.

#[cfg(feature = "autodiff")]
mod autodiff;
mod functions;
mod product;
mod rows;
mod tile;
mod vector;
mod widen;

use std::fmt::Debug;

use burn::backend::{BackendTensor, DispatchTensorKind, Flex};
use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;

pub(crate) use functions::{exp, normal_cdf, tanh};
pub(crate) use product::{Matrix, product};
pub(crate) use rows::{
    Head, Rows, each_block, each_row, lane_sum, rows_of, sum_of_blocks, sum_of_rows, tensor,
};
pub(crate) use tile::{COLUMNS, Lanes, ROWS, by_columns, by_rows, turn, turn_back};
pub(crate) use vector::{products, vector_product};
pub(crate) use widen::Widen;

/// An operator on `N` tensors.
pub(crate) trait CpuOp<const N: usize>: Clone + Debug + Send + 'static {
    /// What backward needs.
    type Saved: Clone + Debug + Send + 'static;

    /// The result, and what backward needs to give the gradients of the inputs that are `tracked`:
    /// nothing if none is.
    fn forward(
        &self,
        inputs: [FlexTensor; N],
        tracked: [bool; N],
    ) -> (FlexTensor, Option<Self::Saved>);

    /// The gradients of the inputs that are `tracked`.
    fn backward(
        &self,
        saved: Self::Saved,
        grad: FlexTensor,
        tracked: [bool; N],
    ) -> [Option<FlexTensor>; N];
}

/// A tensor on the CPU.
#[derive(Debug)]
pub(crate) struct Input {
    tensor: FlexTensor,
    /// If it is on a device that records.
    #[cfg(feature = "autodiff")]
    recorded: Option<autodiff::Recorded>,
}

/// Takes a tensor of float32 as an input; none if it is elsewhere, or of another type.
pub(crate) fn input<const D: usize>(tensor: &Tensor<D>) -> Option<Input> {
    (tensor.dtype() == DType::F32).then(|| on_cpu(tensor)).flatten()
}

/// Takes the weight of a product as an input; one that is not recorded may be of half precision.
pub(crate) fn weight(tensor: &Tensor<2>) -> Option<Input> {
    let half = matches!(tensor.dtype(), DType::BF16 | DType::F16) && !tensor.is_autodiff();
    if half { on_cpu(tensor) } else { input(tensor) }
}

fn on_cpu<const D: usize>(tensor: &Tensor<D>) -> Option<Input> {
    let dispatch = tensor.clone().into_dispatch();
    match dispatch.kind {
        #[cfg(feature = "autodiff")]
        DispatchTensorKind::Autodiff(kind) => autodiff::input(*kind, dispatch.autodiff),
        DispatchTensorKind::Flex(BackendTensor::Float(tensor)) => Some(Input {
            tensor,
            #[cfg(feature = "autodiff")]
            recorded: None,
        }),
        _ => None,
    }
}

/// Runs an operator; none if an input is elsewhere.
pub(crate) fn apply<const N: usize, const D: usize, O: CpuOp<N>>(
    op: O,
    inputs: [Option<Input>; N],
) -> Option<Tensor<D>> {
    let inputs: Option<Vec<Input>> = inputs.into_iter().collect();
    let inputs: [Input; N] = inputs?.try_into().ok()?;
    #[cfg(feature = "autodiff")]
    if inputs.iter().any(|input| input.recorded.is_some()) {
        return autodiff::apply(op, inputs);
    }
    let (y, _) = op.forward(inputs.map(|input| input.tensor), [false; N]);
    Some(Tensor::from_primitive::<Flex>(y))
}
