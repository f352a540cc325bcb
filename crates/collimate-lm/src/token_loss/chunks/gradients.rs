use burn::tensor::{Gradients, Tensor};

use super::{Chunks, Gradient, part};
use crate::model::{Branch, Projections, Slot};
use crate::ops::{known, linear};

impl Chunks<'_> {
    /// The losses and their gradients; none if nothing is tracked.
    pub(super) fn with_gradients(
        &self,
        head: &Projections,
        states: &Tensor<2>,
    ) -> Option<(Vec<Tensor<1>>, Vec<Gradient>)> {
        let mut head = head.clone();
        let mut trained = Trained::of(&mut head);
        if !states.is_tracked() && trained.is_empty() {
            return None;
        }
        let plain = states.clone().inner();
        let (losses, of_states) = if trained.is_empty() && head.branches().next().is_none() {
            self.of_matrix(&head, &plain)
        } else {
            self.recorded(&head, &plain, states.is_tracked(), &mut trained)
        };
        let mut gradients = trained.gradients();
        if states.is_tracked() {
            let of_states = match of_states.is_empty() {
                true => plain.zeros_like(),
                false => Tensor::cat(of_states, 0),
            };
            gradients.push(Gradient::Matrix(states.clone(), of_states));
        }
        Some((losses, gradients))
    }

    /// With a head that is a matrix and stays one: nothing needs to be recorded.
    fn of_matrix(
        &self,
        head: &Projections,
        states: &Tensor<2>,
    ) -> (Vec<Tensor<1>>, Vec<Tensor<2>>) {
        let weight = head.weight.rows(0..head.weight.shape()[0]).transpose();
        let of_chunk = |range: std::ops::Range<usize>| {
            let logits = self.logits(head, part(states, &range), range.start);
            let dtype = logits.dtype();
            let (loss, of_logits) = self.entropy(logits, range, true);
            let of_states = |of_logits: Tensor<2>| {
                linear(of_logits.cast(dtype).unsqueeze(), &weight, None).squeeze_dim(0)
            };
            (loss, of_logits.map(of_states))
        };
        let (losses, of_states): (Vec<_>, Vec<_>) = self.ranges().map(of_chunk).unzip();
        (losses, of_states.into_iter().flatten().collect())
    }

    /// With whatever head, each chunk with a backward of its own.
    fn recorded(
        &self,
        head: &Projections,
        states: &Tensor<2>,
        tracked: bool,
        trained: &mut Trained,
    ) -> (Vec<Tensor<1>>, Vec<Tensor<2>>) {
        let (mut losses, mut of_states) = (Vec::new(), Vec::new());
        for range in self.ranges() {
            let states = part(states, &range).autodiff().set_require_grad(tracked);
            let logits = self.logits(head, states.clone(), range.start);
            let (loss, of_logits) = self.entropy(logits.clone(), range, true);
            losses.push(loss);
            let Some(of_logits) = of_logits else { continue };
            let of_logits = of_logits.cast(logits.dtype());
            let mut gradients = known(logits, of_logits, 0.0).backward();
            trained.add(&mut gradients);
            of_states.extend(states.grad_remove(&mut gradients));
        }
        (losses, of_states)
    }
}

/// What of a head is trained.
#[derive(Default)]
struct Trained {
    vectors: Vec<Leaf<1>>,
    matrices: Vec<Leaf<2>>,
}

/// A tensor that is trained, the leaf that stands for it in each chunk, and its gradient so far.
struct Leaf<const D: usize> {
    outer: Tensor<D>,
    leaf: Tensor<D>,
    sum: Option<Tensor<D>>,
}

impl Trained {
    /// Puts leaves in the place of all that is tracked.
    fn of(head: &mut Projections) -> Self {
        let mut trained = Self::default();
        let mut take = |slot: Slot<'_>| match slot {
            Slot::Vector(vector) => trained.vectors.extend(Leaf::take(vector)),
            Slot::Matrix(matrix) => trained.matrices.extend(Leaf::take(matrix)),
        };
        head.slots().for_each(&mut take);
        head.branches().flat_map(Branch::slots).for_each(take);
        trained
    }

    fn is_empty(&self) -> bool {
        self.vectors.is_empty() && self.matrices.is_empty()
    }

    /// Adds the gradients of a chunk.
    fn add(&mut self, gradients: &mut Gradients) {
        self.vectors.iter_mut().for_each(|leaf| leaf.add(gradients));
        self.matrices.iter_mut().for_each(|leaf| leaf.add(gradients));
    }

    fn gradients(self) -> Vec<Gradient> {
        let vectors = self.vectors.into_iter().map(|leaf| (leaf.outer, leaf.sum));
        let vectors = vectors.filter_map(|(outer, sum)| Some(Gradient::Vector(outer, sum?)));
        let matrices = self.matrices.into_iter().map(|leaf| (leaf.outer, leaf.sum));
        let matrices = matrices.filter_map(|(outer, sum)| Some(Gradient::Matrix(outer, sum?)));
        vectors.chain(matrices).collect()
    }
}

impl<const D: usize> Leaf<D> {
    fn take(tensor: &mut Tensor<D>) -> Option<Self> {
        let outer = tensor.clone();
        *tensor = outer.clone().inner();
        outer.is_tracked().then(|| {
            *tensor = tensor.clone().autodiff().require_grad();
            Self { outer, leaf: tensor.clone(), sum: None }
        })
    }

    fn add(&mut self, gradients: &mut Gradients) {
        let Some(gradient) = self.leaf.grad_remove(gradients) else { return };
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum + gradient,
            None => gradient,
        });
    }
}
