use std::fmt::Debug;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, DispatchKindConversion, DispatchTensor, TensorMetadata};
use burn::tensor::{DType, Tensor};

use super::recorded::{Recorded, on_backend_of};

/// A number that depends on `x` in a known way: it is `value`, its gradient is `gradient`, of the shape
/// of `x`.
pub(crate) fn known<const D: usize>(x: Tensor<D>, gradient: Tensor<D>, value: f64) -> Tensor<1> {
    let constant = Tensor::<1>::from_data([value], (&x.device().inner(), DType::F32));
    let step = Known { x: x.clone(), gradient: gradient.clone(), value: constant.clone() };
    match on_backend_of(&x, step) {
        Some(y) => y,
        None if x.is_tracked() => {
            let y = (x * gradient).sum().cast(DType::F32);
            y.clone() - y.detach() + constant
        }
        None => constant,
    }
}

struct Known<const D: usize> {
    x: Tensor<D>,
    gradient: Tensor<D>,
    value: Tensor<1>,
}

impl<const D: usize> Recorded for Known<D> {
    type Output = Tensor<1>;

    fn record<B: Backend, C: CheckpointStrategy>(self) -> Option<Tensor<1>>
    where
        DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B, C>>,
    {
        let x = self.x.try_into_primitive::<Autodiff<B, C>>().ok()?;
        let gradient = self.gradient.inner().try_into_primitive::<B>().ok()?;
        let value = self.value.try_into_primitive::<B>().ok()?;
        let y = match Step.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(State::<B>(gradient), value),
            OpsKind::UnTracked(prepared) => prepared.finish(value),
        };
        Some(Tensor::from_primitive::<Autodiff<B, C>>(y))
    }
}

#[derive(Debug)]
struct Step;

#[derive(Clone, Debug)]
struct State<B: Backend>(FloatTensor<B>);

impl<B: Backend> Backward<B, 1> for Step {
    type State = State<B>;

    fn backward(self, ops: Ops<State<B>, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let outer = grads.consume::<B>(&ops.node);
        let [Some(parent)] = ops.parents else { return };
        let State(gradient) = ops.state;
        let shape = gradient.shape();
        let ones = vec![1; shape.num_dims()];
        let outer = B::float_cast(outer, gradient.dtype().into());
        let outer = B::float_expand(B::float_reshape(outer, ones.into()), shape);
        grads.register::<B>(parent.id, B::float_mul(gradient, outer));
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::ops::testing::numbers;

    #[test]
    fn the_gradient_is_what_was_said() {
        let gradient = numbers([2, 3, 4], 1);
        let x = Tensor::from_inner(numbers([2, 3, 4], 2)).require_grad();
        let loss = known(x.clone() * 2.0, gradient.clone(), 1.5);
        assert_eq!(loss.clone().into_scalar::<f32>(), 1.5);
        let grads = (loss * 3.0).backward();
        let found = x.grad(&grads).map(Tensor::into_data);
        assert_eq!(found, Some((gradient * 3.0 * 2.0).into_data()));
    }

    #[test]
    fn what_is_no_number_stays_so() {
        let x = Tensor::from_inner(numbers([1, 1, 2], 2)).require_grad();
        assert!(known(x, numbers([1, 1, 2], 1), f64::NAN).into_scalar::<f32>().is_nan());
        assert_eq!(
            known(numbers([1, 1, 2], 2), numbers([1, 1, 2], 1), 4.0).into_scalar::<f32>(),
            4.0
        );
    }
}
