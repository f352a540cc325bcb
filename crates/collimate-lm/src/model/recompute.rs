//! Layers of which nothing is kept for backward but their input (Chen et al., "Training deep nets with
//! sublinear memory cost", 2016, arXiv:1604.06174).

use std::sync::Arc;

use burn::tensor::Tensor;

use super::{Layer, LayerInput};
use crate::batch::Batch;
use crate::config::DecoderConfig;
use crate::error::Result;
use crate::ops::{Draw, Turns, Visible};

/// What all layers have in common.
#[derive(Clone, Debug)]
pub(super) struct Recompute {
    config: Arc<DecoderConfig>,
    first: Option<Arc<[u32]>>,
    draw: Draw,
}

impl Recompute {
    pub(super) fn new(config: &DecoderConfig, batch: &Batch, key: u64) -> Self {
        Self {
            config: Arc::new(config.clone()),
            first: batch.first().map(Arc::from),
            draw: Draw { key, row: 0 },
        }
    }

    /// Runs a layer, which is one step of what is recorded.
    pub(super) fn layer(
        &self,
        layer: &Layer,
        turns: Option<&Turns>,
        x: Tensor<3>,
    ) -> Result<Tensor<3>> {
        let step = Step { shared: self.clone(), layer: layer.clone(), turns: turns.cloned() };
        #[cfg(feature = "autodiff")]
        {
            recorded::run(step, x)
        }
        #[cfg(not(feature = "autodiff"))]
        {
            Ok(step.run(x))
        }
    }
}

/// A layer with all that it reads.
#[derive(Clone, Debug)]
struct Step {
    shared: Recompute,
    layer: Layer,
    turns: Option<Turns>,
}

impl Step {
    fn run(&self, x: Tensor<3>) -> Tensor<3> {
        let window = self.layer.config.sliding_window;
        let input = LayerInput {
            turns: self.turns.as_ref(),
            visible: Visible { offset: 0, first: self.shared.first.as_deref(), window },
            cache: None,
            config: &self.shared.config,
            draw: Some(self.shared.draw),
        };
        self.layer.forward(x, input, &mut |_| {})
    }
}

#[cfg(feature = "autodiff")]
mod recorded {
    use std::marker::PhantomData;

    use burn::backend::autodiff::NodeId;
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{
        Autodiff, AutodiffBackend, Backend, DispatchKindConversion, DispatchTensor,
    };
    use burn::tensor::Tensor;

    use super::Step;
    use crate::error::{LmError, Result};
    use crate::model::{Branch, Layer, Slot};
    use crate::ops::{Recorded, known, on_backend_of};

    /// The tensor of a place that is trained.
    enum Leaf {
        Vector(Tensor<1>),
        Matrix(Tensor<2>),
    }

    /// Runs a layer, recorded as one step if anything of it is tracked.
    pub(super) fn run(mut step: Step, x: Tensor<3>) -> Result<Tensor<3>> {
        let mut leaf = None;
        let mut derived = false;
        each(&mut step.layer, &mut |slot| match slot {
            Slot::Vector(tensor) if tensor.is_require_grad() => {
                leaf = Some(Leaf::Vector(tensor.clone()));
            }
            Slot::Matrix(tensor) if tensor.is_require_grad() => {
                leaf = Some(Leaf::Matrix(tensor.clone()));
            }
            Slot::Vector(tensor) => derived |= tensor.is_tracked(),
            Slot::Matrix(tensor) => derived |= tensor.is_tracked(),
        });
        if derived {
            let message = "a layer can be run again only if what is trained of it are leaves, tensors \
                           that require gradients themselves; turn recompute off";
            return Err(LmError::Training { message: message.to_owned() });
        }
        // Any that is tracked says where and how things are recorded.
        let record = Record { step: step.clone(), x: x.clone() };
        let recorded = match leaf {
            _ if x.is_tracked() => on_backend_of(&x, record),
            Some(Leaf::Vector(leaf)) => on_backend_of(&leaf, record),
            Some(Leaf::Matrix(leaf)) => on_backend_of(&leaf, record),
            None => None,
        };
        Ok(recorded.unwrap_or_else(|| step.run(x)))
    }

    /// Shows every tensor of a layer that can be trained.
    fn each(layer: &mut Layer, see: &mut dyn FnMut(Slot<'_>)) {
        layer.slots().for_each(&mut *see);
        layer.branches().flat_map(Branch::slots).for_each(see);
    }

    /// The run of a layer on its way into what is recorded.
    struct Record {
        step: Step,
        x: Tensor<3>,
    }

    impl Recorded for Record {
        type Output = Tensor<3>;

        fn record<B: Backend, C: CheckpointStrategy>(mut self) -> Option<Tensor<3>>
        where
            DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B, C>>,
        {
            let mut leaves = Vec::new();
            each(&mut self.step.layer, &mut |slot| match slot {
                Slot::Vector(tensor) => leaves.push(detach::<1, B, C>(tensor)),
                Slot::Matrix(tensor) => leaves.push(detach::<2, B, C>(tensor)),
            });
            let inner = self.x.clone().inner().try_into_primitive::<B>().ok()?;
            let x = match self.x.try_into_primitive::<Autodiff<B, C>>() {
                Ok(x) => x,
                Err(_) => <Autodiff<B, C>>::from_inner(inner.clone()),
            };
            // Gradients of leaves are handed over by their numbers; one of them is a parent, so that the
            // step is recorded also where the input is not tracked.
            let anchor = leaves.iter().flatten().next().unwrap_or(&x).node();
            let ids = leaves.iter().map(|leaf| leaf.as_ref().map(|leaf| leaf.id())).collect();
            let again = Again::<C>(PhantomData);
            // On the device that records, where some operators are others, but with nothing to record.
            let untracked = <Autodiff<B, C>>::from_inner(inner.clone());
            let y = self.step.run(Tensor::from_primitive::<Autodiff<B, C>>(untracked));
            let y = y.inner().try_into_primitive::<B>().ok()?;
            let y = match again.prepare::<C>([x.node(), anchor]).compute_bound().stateful() {
                OpsKind::Tracked(prepared) => {
                    prepared.finish(State::<B> { step: self.step, x: inner, leaves: ids }, y)
                }
                OpsKind::UnTracked(prepared) => prepared.finish(y),
            };
            Some(Tensor::from_primitive::<Autodiff<B, C>>(y))
        }
    }

    /// Takes a leaf out of what is recorded.
    fn detach<const D: usize, B: Backend, C: CheckpointStrategy>(
        tensor: &mut Tensor<D>,
    ) -> Option<FloatTensor<Autodiff<B, C>>>
    where
        DispatchTensor: DispatchKindConversion<Autodiff<B, C>>,
    {
        let outer = tensor.is_require_grad().then(|| tensor.clone());
        *tensor = tensor.clone().inner();
        outer?.try_into_primitive::<Autodiff<B, C>>().ok()
    }

    /// Runs a layer again.
    #[derive(Debug)]
    struct Again<C>(PhantomData<C>);

    #[derive(Clone, Debug)]
    struct State<B: Backend> {
        step: Step,
        x: FloatTensor<B>,
        /// Of every tensor of the layer that is trained, its place in what is recorded.
        leaves: Vec<Option<NodeId>>,
    }

    impl<B: Backend, C: CheckpointStrategy> Backward<B, 2> for Again<C>
    where
        DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B, C>>,
    {
        type State = State<B>;

        fn backward(self, ops: Ops<State<B>, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
            let grad = grads.consume::<B>(&ops.node);
            let State { mut step, x, leaves } = ops.state;
            let mut fresh: Vec<(NodeId, FloatTensor<Autodiff<B, C>>)> = Vec::new();
            let mut ids = leaves.into_iter();
            each(&mut step.layer, &mut |slot| {
                let Some(id) = ids.next().flatten() else { return };
                fresh.extend(
                    match slot {
                        Slot::Vector(tensor) => attach::<1, B, C>(tensor),
                        Slot::Matrix(tensor) => attach::<2, B, C>(tensor),
                    }
                    .map(|leaf| (id, leaf)),
                );
            });
            let mut x = <Autodiff<B, C>>::from_inner(x);
            let [parent, _] = ops.parents;
            if let Some(parent) = parent {
                x = x.require_grad();
                fresh.push((parent.id, x.clone()));
            }
            let y = step.run(Tensor::from_primitive::<Autodiff<B, C>>(x));
            let ends = known(y, Tensor::from_primitive::<B>(grad), 0.0);
            let Ok(ends) = ends.try_into_primitive::<Autodiff<B, C>>() else { return };
            let mut found = <Autodiff<B, C>>::backward(ends);
            for (id, leaf) in fresh {
                if let Some(grad) = <Autodiff<B, C>>::grad_remove(&leaf, &mut found) {
                    grads.register::<B>(id, grad);
                }
            }
        }
    }

    /// Makes a tensor a leaf of its own.
    fn attach<const D: usize, B: Backend, C: CheckpointStrategy>(
        tensor: &mut Tensor<D>,
    ) -> Option<FloatTensor<Autodiff<B, C>>>
    where
        DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B, C>>,
    {
        let inner = tensor.clone().try_into_primitive::<B>().ok()?;
        let leaf = <Autodiff<B, C>>::from_inner(inner).require_grad();
        *tensor = Tensor::from_primitive::<Autodiff<B, C>>(leaf.clone());
        Some(leaf)
    }
}
