use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::config::Frequencies;

/// Cosines and sines of the angles of a batch, for one rotary embedding; `[batch, sequence, dim/2]`,
/// in float32, already multiplied by the attention factor.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    pub(crate) cos: Tensor<3>,
    pub(crate) sin: Tensor<3>,
}

impl Turns {
    /// Of tokens, `[batch · sequence]`: their positions, and the frequencies of the texts that they are in.
    pub(crate) fn new<'f>(
        tokens: impl Iterator<Item = (u32, &'f Frequencies)> + Clone,
        [batch, sequence]: [usize; 2],
        device: &Device,
    ) -> Self {
        // In float32, as transformers does.
        let angles = tokens.flat_map(|(position, frequencies)| {
            let factor = frequencies.attention_factor;
            frequencies.inverse.iter().map(move |f| (position as f32 * f, factor))
        });
        let table = |values: Vec<f32>| {
            let half = values.len() / (batch * sequence).max(1);
            let data = TensorData::new(values, [batch, sequence, half]);
            Tensor::from_data(data, (device, DType::F32))
        };
        Self {
            cos: table(angles.clone().map(|(angle, factor)| angle.cos() * factor).collect()),
            sin: table(angles.map(|(angle, factor)| angle.sin() * factor).collect()),
        }
    }
}

/// Turns each head of `x` `[batch, sequence, heads·head_dim]`; what of a head lies behind the turned
/// part stays.
pub(crate) fn rotary(x: Tensor<3>, turns: &Turns, head_dim: usize) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if let Some(y) = cpu::rotary(&x, turns, head_dim) {
        return y;
    }
    composed(x, turns, head_dim)
}

fn composed(x: Tensor<3>, turns: &Turns, head_dim: usize) -> Tensor<3> {
    let [batch, sequence, width] = x.dims();
    let dtype = x.dtype();
    let [_, _, half] = turns.cos.dims();
    let heads = x.reshape([batch, sequence, width / head_dim, head_dim]);
    let first = heads.clone().narrow(3, 0, half);
    let second = heads.clone().narrow(3, half, half);
    let cos: Tensor<4> = turns.cos.clone().cast(dtype).unsqueeze_dim(2);
    let sin: Tensor<4> = turns.sin.clone().cast(dtype).unsqueeze_dim(2);
    let mut parts = vec![
        first.clone() * cos.clone() - second.clone() * sin.clone(),
        second * cos + first * sin,
    ];
    if head_dim > 2 * half {
        parts.push(heads.narrow(3, 2 * half, head_dim - 2 * half));
    }
    Tensor::cat(parts, 3).reshape([batch, sequence, width])
}

#[cfg(feature = "flex")]
mod cpu {
    use burn::tensor::Tensor;
    use burn_flex::FlexTensor;

    use super::Turns;
    use crate::ops::cpu::{self, CpuOp, Rows, each_block, rows_of, tensor};

    /// Turns each head on the CPU; none if the tensor is elsewhere.
    pub(super) fn rotary(x: &Tensor<3>, turns: &Turns, head_dim: usize) -> Option<Tensor<3>> {
        let inputs = [cpu::input(x), cpu::input(&turns.cos), cpu::input(&turns.sin)];
        cpu::apply(Rotary { head_dim }, inputs)
    }

    /// The operator: what is turned, cosines and sines; these have no gradient.
    #[derive(Clone, Copy, Debug)]
    struct Rotary {
        head_dim: usize,
    }

    impl CpuOp<3> for Rotary {
        /// Cosines and sines.
        type Saved = [FlexTensor; 2];

        fn forward(
            &self,
            inputs: [FlexTensor; 3],
            [tracked, ..]: [bool; 3],
        ) -> (FlexTensor, Option<[FlexTensor; 2]>) {
            let [x, cos, sin] = inputs.map(rows_of);
            let y = self.turn(Rows::new(&x), [&cos, &sin].map(Rows::new), 1.0);
            (y, tracked.then_some([cos, sin]))
        }

        fn backward(
            &self,
            saved: [FlexTensor; 2],
            grad: FlexTensor,
            [tracked, ..]: [bool; 3],
        ) -> [Option<FlexTensor>; 3] {
            let grad = rows_of(grad);
            let turn = || self.turn(Rows::new(&grad), saved.each_ref().map(Rows::new), -1.0);
            [tracked.then(turn), None, None]
        }
    }

    impl Rotary {
        /// Turns forward, or back if the sign is negative.
        fn turn(&self, x: Rows<'_>, [cos, sin]: [Rows<'_>; 2], sign: f32) -> FlexTensor {
            let half = cos.width;
            let mut y = vec![0.0; x.len() * x.width];
            each_block(
                &mut y,
                x.width,
                #[inline(always)]
                |(first, block): (usize, &mut [f32])| {
                    for (at, y) in (first..).zip(block.chunks_mut(x.width)) {
                        let (cos, sin) = (cos.row(at), sin.row(at));
                        let heads = x.row(at).chunks(self.head_dim);
                        for (x, y) in heads.zip(y.chunks_mut(self.head_dim)) {
                            let (a, rest) = x.split_at(half);
                            let (b, rest) = rest.split_at(half);
                            let (to_a, to_rest) = y.split_at_mut(half);
                            let (to_b, to_rest) = to_rest.split_at_mut(half);
                            let turns = cos.iter().zip(sin);
                            let to = to_a.iter_mut().zip(to_b);
                            for ((to, (a, b)), (cos, sin)) in to.zip(a.iter().zip(b)).zip(turns) {
                                let sin = sign * sin;
                                *to.0 = a * cos - b * sin;
                                *to.1 = b * cos + a * sin;
                            }
                            to_rest.copy_from_slice(rest);
                        }
                    }
                },
            );
            tensor(y, [x.batch, x.sequence, x.width])
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::ops::testing::{assert_alike, numbers, strided};

    #[test]
    fn turns_are_those_of_burn() {
        // Heads, their width, what is turned of it.
        for (heads, width, turned) in [(1, 2, 2), (3, 16, 16), (2, 20, 6), (4, 64, 64)] {
            let shape = [2, 33, heads * width];
            let inverse = (0..turned / 2).map(|at| 1.0 / (at + 1) as f32).collect();
            let frequencies = Frequencies { inverse, attention_factor: 1.3 };
            let tokens = (0..66).map(|at| (at * 7 % 50, &frequencies));
            let turns = Turns::new(tokens, [2, 33], &Device::flex());
            for x in [numbers(shape, 1), strided(shape, 2)] {
                assert_alike(
                    &[x],
                    |x| cpu::rotary(&x[0], &turns, width).unwrap(),
                    |x| composed(x[0].clone(), &turns, width),
                    &format!("{heads} heads of {width}, {turned} turned"),
                );
            }
        }
    }
}
