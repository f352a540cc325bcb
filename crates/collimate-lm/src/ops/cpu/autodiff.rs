use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::{
    BalancedCheckpointing, CheckpointStrategy, NoCheckpointing,
};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, BackendTensor, DispatchAutodiffContext, DispatchTensorKind, Flex,
};
use burn::tensor::{GradientCheckpointingStrategy, Tensor};

use super::{CpuOp, Input};

/// The place of a tensor in what is recorded.
#[derive(Debug)]
pub(super) struct Recorded {
    tensor: FloatTensor<Autodiff<Flex>>,
    strategy: GradientCheckpointingStrategy,
}

/// Takes a tensor of a device that records as an input.
pub(super) fn input(kind: DispatchTensorKind, context: DispatchAutodiffContext) -> Option<Input> {
    let DispatchAutodiffContext::Enabled(strategy) = context else { return None };
    let DispatchTensorKind::Flex(BackendTensor::Autodiff(tensor)) = kind else { return None };
    let inner = tensor.primitive().clone();
    Some(Input { tensor: inner, recorded: Some(Recorded { tensor, strategy }) })
}

/// Runs and records an operator; none if its inputs are recorded in different ways.
pub(super) fn apply<const N: usize, const D: usize, O: CpuOp<N>>(
    op: O,
    inputs: [Input; N],
) -> Option<Tensor<D>> {
    let mut strategies =
        inputs.iter().filter_map(|input| input.recorded.as_ref()).map(|recorded| recorded.strategy);
    let strategy = strategies.next()?;
    if strategies.any(|other| other != strategy) {
        return None;
    }
    match strategy {
        GradientCheckpointingStrategy::Disabled => {
            let y = record::<N, O, NoCheckpointing>(op, inputs)?;
            Some(Tensor::from_primitive::<Autodiff<Flex, NoCheckpointing>>(y))
        }
        GradientCheckpointingStrategy::Balanced => {
            let y = record::<N, O, BalancedCheckpointing>(op, inputs)?;
            Some(Tensor::from_primitive::<Autodiff<Flex, BalancedCheckpointing>>(y))
        }
    }
}

fn record<const N: usize, O: CpuOp<N>, C: CheckpointStrategy>(
    op: O,
    inputs: [Input; N],
) -> Option<FloatTensor<Autodiff<Flex>>> {
    let tracked = inputs
        .each_ref()
        .map(|input| input.recorded.as_ref().is_some_and(|recorded| recorded.tensor.is_tracked()));
    let nodes = inputs.each_ref().map(|input| match &input.recorded {
        Some(recorded) => recorded.tensor.node(),
        None => <Autodiff<Flex>>::from_inner(input.tensor.clone()).node(),
    });
    let inputs = inputs.map(|input| input.tensor);
    match Step(op.clone()).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let (y, saved) = op.forward(inputs, tracked);
            Some(prepared.finish(saved?, y))
        }
        OpsKind::UnTracked(prepared) => Some(prepared.finish(op.forward(inputs, tracked).0)),
    }
}

/// An operator in what is recorded.
#[derive(Debug)]
struct Step<O>(O);

impl<const N: usize, O: CpuOp<N>> Backward<Flex, N> for Step<O> {
    type State = O::Saved;

    fn backward(self, ops: Ops<O::Saved, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node);
        let tracked = ops.parents.each_ref().map(Option::is_some);
        let results = self.0.backward(ops.state, grad, tracked);
        for (parent, grad) in ops.parents.into_iter().zip(results) {
            if let (Some(parent), Some(grad)) = (parent, grad) {
                grads.register::<Flex>(parent.id, grad);
            }
        }
    }
}
