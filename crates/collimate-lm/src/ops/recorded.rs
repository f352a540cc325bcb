use burn::backend::autodiff::checkpoint::strategy::{
    BalancedCheckpointing, CheckpointStrategy, NoCheckpointing,
};
use burn::backend::{
    Autodiff, Backend, DispatchAutodiffContext, DispatchKindConversion, DispatchTensor,
    DispatchTensorKind,
};
use burn::tensor::{GradientCheckpointingStrategy, Tensor};

/// What is recorded as a step of our own, on whichever backend it runs.
pub(crate) trait Recorded {
    /// What comes of it.
    type Output;

    /// Records it; none if a tensor is elsewhere.
    fn record<B: Backend, C: CheckpointStrategy>(self) -> Option<Self::Output>
    where
        DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B, C>>;
}

/// Records a step on the backend and in the way of a tensor; none if the tensor is on a device that
/// records nothing.
pub(crate) fn on_backend_of<const D: usize, R: Recorded>(
    tensor: &Tensor<D>,
    step: R,
) -> Option<R::Output> {
    use GradientCheckpointingStrategy::{Balanced, Disabled};
    let dispatch = tensor.clone().into_dispatch();
    let DispatchAutodiffContext::Enabled(strategy) = dispatch.autodiff else { return None };
    let DispatchTensorKind::Autodiff(kind) = dispatch.kind else { return None };
    match (*kind, strategy) {
        #[cfg(feature = "flex")]
        (DispatchTensorKind::Flex(_), Disabled) => {
            step.record::<burn::backend::Flex, NoCheckpointing>()
        }
        #[cfg(feature = "flex")]
        (DispatchTensorKind::Flex(_), Balanced) => {
            step.record::<burn::backend::Flex, BalancedCheckpointing>()
        }
        #[cfg(any(feature = "cuda", feature = "metal", feature = "vulkan", feature = "wgpu"))]
        (DispatchTensorKind::Cube(_), Disabled) => {
            step.record::<burn::backend::Cube, NoCheckpointing>()
        }
        #[cfg(any(feature = "cuda", feature = "metal", feature = "vulkan", feature = "wgpu"))]
        (DispatchTensorKind::Cube(_), Balanced) => {
            step.record::<burn::backend::Cube, BalancedCheckpointing>()
        }
        #[allow(unreachable_patterns, reason = "backends that a program may add")]
        _ => None,
    }
}
