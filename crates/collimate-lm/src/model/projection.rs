use std::ops::Range;

use burn::tensor::{DType, Device, Distribution, Tensor};

use super::Weight;
use crate::ops::linear;

/// Projections that read the same input, as one matrix: one product instead of three.
#[derive(Clone, Debug)]
pub(crate) struct Projections {
    pub(crate) weight: Weight,
    pub(crate) bias: Option<Tensor<1>>,
    /// In the order of their rows.
    pub(crate) members: Vec<Member>,
}

/// A projection that has a name.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// As in `named_modules()` of the model.
    pub(crate) name: String,
    /// Its rows of the matrix.
    pub(crate) rows: Range<usize>,
    /// Where each of these rows stands in the file, if in another order.
    pub(crate) order: Option<Vec<usize>>,
    pub(crate) branches: Vec<Branch>,
}

/// A low-rank branch beside a projection: `s · dropout(x)·Aᵀ·Bᵀ`.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) adapter: String,
    pub(crate) active: bool,
    /// `[rank, in]`, float32
    pub(crate) a: Tensor<2>,
    /// `[out, rank]`, float32, in the order of the projection's rows.
    pub(crate) b: Tensor<2>,
    pub(crate) scale: f64,
    /// The probability that a number of the input is dropped; 0 when not training.
    pub(crate) dropout: f64,
}

impl Projections {
    /// All outputs side by side, `[batch, sequence, out]`.
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let y = self.weight.apply(x.clone(), self.bias.as_ref());
        if self.members.iter().all(|member| member.active().next().is_none()) {
            return y;
        }
        let [batch, sequence, _] = x.dims();
        let added = self.members.iter().map(|member| {
            let branches = member.active().map(|branch| branch.forward(x.clone()));
            branches.reduce(|sum, branch| sum + branch).unwrap_or_else(|| {
                let shape = [batch, sequence, member.rows.len()];
                Tensor::zeros(shape, (&x.device(), DType::F32))
            })
        });
        let added: Vec<_> = added.collect();
        let added = match <[_; 1]>::try_from(added) {
            Ok([added]) => added,
            Err(added) => Tensor::cat(added, 2),
        };
        // As PEFT: the sum is made in float32, then rounded.
        let dtype = y.dtype();
        (y.cast(DType::F32) + added).cast(dtype)
    }
}

impl Member {
    pub(crate) fn active(&self) -> impl Iterator<Item = &Branch> {
        self.branches.iter().filter(|branch| branch.active)
    }
}

impl Branch {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = x.cast(DType::F32);
        let x = if self.dropout > 0.0 { dropped(x, self.dropout) } else { x };
        let low = linear(x, &self.a, None);
        linear(low, &self.b, None) * self.scale
    }
}

/// `x` with some of its numbers set to zero and the others enlarged to make up for it.
fn dropped(x: Tensor<3>, probability: f64) -> Tensor<3> {
    let device: Device = x.device();
    let kept = Tensor::<3>::random(x.dims(), Distribution::Bernoulli(1.0 - probability), &device)
        .cast(x.dtype());
    x * kept / (1.0 - probability)
}
