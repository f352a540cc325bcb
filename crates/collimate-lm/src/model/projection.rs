use std::ops::Range;

use burn::tensor::{DType, Tensor};

use super::{Branch, Slot, Weight};
use crate::ops::{Draw, dropped, linear};

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

impl Projections {
    /// All outputs side by side, `[batch, sequence, out]`; without `draw` nothing is dropped.
    pub(crate) fn forward(&self, x: Tensor<3>, draw: Option<Draw>) -> Tensor<3> {
        let y = self.weight.apply(x.clone(), self.bias.as_ref());
        if self.members.iter().all(|member| member.active().next().is_none()) {
            return y;
        }
        let [batch, sequence, _] = x.dims();
        let added = self.members.iter().map(|member| {
            self.added(member, &x, &y, draw).unwrap_or_else(|| {
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

    /// What the branches of a member add to its part of `y`, `[batch, sequence, rows]`; none if it has
    /// none.
    fn added(
        &self,
        member: &Member,
        x: &Tensor<3>,
        y: &Tensor<3>,
        draw: Option<Draw>,
    ) -> Option<Tensor<3>> {
        let rows = &member.rows;
        let mut sum: Option<Tensor<3>> = None;
        for branch in member.active() {
            let x = x.clone().cast(DType::F32);
            let mut added = branch.low_rank(x.clone(), draw);
            if let Some(factor) = branch.factor(&self.weight, rows) {
                let base = match branch.dropout(draw) {
                    // As PEFT: what is scaled is the sum so far, unless the input is dropped.
                    Some(dropout) => {
                        linear(dropped(x, dropout), &self.weight.rows(rows.clone()), None)
                    }
                    None => {
                        let base = self.without_bias(y, rows);
                        match &sum {
                            Some(sum) => base + sum.clone(),
                            None => base,
                        }
                    }
                };
                let factor: Tensor<3> = factor.unsqueeze();
                added = (factor.clone() - 1.0) * base + factor * added;
            }
            sum = Some(match sum {
                Some(sum) => sum + added,
                None => added,
            });
        }
        sum
    }

    /// These columns of `y` in float32, without the bias that was added to them.
    fn without_bias(&self, y: &Tensor<3>, rows: &Range<usize>) -> Tensor<3> {
        let y = y.clone().narrow(2, rows.start, rows.len()).cast(DType::F32);
        match &self.bias {
            Some(bias) => {
                let bias = bias.clone().narrow(0, rows.start, rows.len());
                y - bias.cast(DType::F32).unsqueeze()
            }
            None => y,
        }
    }

    /// All weights, in the order in which a decoder is built.
    pub(crate) fn slots(&mut self) -> impl Iterator<Item = Slot<'_>> {
        std::iter::once(self.weight.slot()).chain(self.bias.iter_mut().map(Slot::Vector))
    }

    /// The branches that are used.
    #[cfg(feature = "autodiff")]
    pub(crate) fn branches(&mut self) -> impl Iterator<Item = &mut Branch> {
        let members = self.members.iter_mut();
        members.flat_map(|member| &mut member.branches).filter(|branch| branch.active)
    }
}

impl Member {
    pub(crate) fn active(&self) -> impl Iterator<Item = &Branch> {
        self.branches.iter().filter(|branch| branch.active)
    }
}
