use burn::tensor::{DType, Tensor};

use crate::config::{NormConfig, NormKind};

/// The norm of each row of `x` `[batch, sequence, width]`; `weight` and `bias` `[width]`.
pub(crate) fn norm(
    x: Tensor<3>,
    weight: &Tensor<1>,
    bias: Option<&Tensor<1>>,
    config: NormConfig,
) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if let Some(y) = cpu::norm(&x, weight, bias, config) {
        return y;
    }
    composed(x, weight, bias, config)
}

/// The norm of each head of `x` `[batch, sequence, heads·width]`; `weight` `[width]`.
pub(crate) fn head_norm(x: Tensor<3>, weight: &Tensor<1>, config: NormConfig) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if let Some(y) = cpu::norm(&x, weight, None, config) {
        return y;
    }
    let [batch, sequence, all] = x.dims();
    let [width] = weight.dims();
    let heads = x.reshape([batch, sequence * (all / width), width]);
    composed(heads, weight, None, config).reshape([batch, sequence, all])
}

fn composed(
    x: Tensor<3>,
    weight: &Tensor<1>,
    bias: Option<&Tensor<1>>,
    config: NormConfig,
) -> Tensor<3> {
    let dtype = x.dtype();
    let x = x.cast(DType::F32);
    let normed = |x: Tensor<3>| {
        let scale = (x.clone().square().mean_dim(2) + config.eps).sqrt();
        x / scale
    };
    let weight: Tensor<3> = weight.clone().unsqueeze();
    match config.kind {
        NormKind::Rms => normed(x).cast(dtype) * weight,
        NormKind::RmsPlusOne => (normed(x) * (weight.cast(DType::F32) + 1.0)).cast(dtype),
        NormKind::Layer => {
            let mean = x.clone().mean_dim(2);
            let y = normed(x - mean) * weight.cast(DType::F32);
            let y = match bias {
                Some(bias) => y + bias.clone().unsqueeze().cast(DType::F32),
                None => y,
            };
            y.cast(dtype)
        }
    }
}

#[cfg(feature = "flex")]
mod cpu {
    use std::ops::Range;

    use burn::tensor::Tensor;
    use burn_flex::FlexTensor;

    use crate::config::{NormConfig, NormKind};
    use crate::ops::cpu::{
        self, CpuOp, Rows, each_block, lane_sum, rows_of, sum_of_blocks, tensor,
    };

    /// The norm of each `weight.len()` numbers on the CPU; none if a tensor is elsewhere.
    pub(super) fn norm(
        x: &Tensor<3>,
        weight: &Tensor<1>,
        bias: Option<&Tensor<1>>,
        config: NormConfig,
    ) -> Option<Tensor<3>> {
        let [x, weight] = [cpu::input(x), cpu::input(weight)];
        match bias {
            Some(bias) => cpu::apply(Norm { config }, [x, weight, cpu::input(bias)]),
            None => cpu::apply(Norm { config }, [x, weight]),
        }
    }

    #[derive(Clone, Copy, Debug)]
    struct Norm {
        config: NormConfig,
    }

    /// What backward needs: the input and the weight.
    type Saved = [FlexTensor; 2];

    impl CpuOp<2> for Norm {
        type Saved = Saved;

        fn forward(
            &self,
            inputs: [FlexTensor; 2],
            tracked: [bool; 2],
        ) -> (FlexTensor, Option<Saved>) {
            let [x, weight] = inputs.map(rows_of);
            let y = self.values(Rows::new(&x), Rows::new(&weight).row(0), None);
            (y, tracked.contains(&true).then_some([x, weight]))
        }

        fn backward(
            &self,
            [x, weight]: Saved,
            grad: FlexTensor,
            [of_x, of_weight]: [bool; 2],
        ) -> [Option<FlexTensor>; 2] {
            let grad = rows_of(grad);
            let [rows, grad] = [&x, &grad].map(Rows::new);
            let weight = Rows::new(&weight).row(0);
            [
                of_x.then(|| self.of_input(rows, weight, grad)),
                of_weight.then(|| self.of_weight(rows, weight.len(), grad)),
            ]
        }
    }

    impl CpuOp<3> for Norm {
        type Saved = Saved;

        fn forward(
            &self,
            inputs: [FlexTensor; 3],
            tracked: [bool; 3],
        ) -> (FlexTensor, Option<Saved>) {
            let [x, weight, bias] = inputs.map(rows_of);
            let bias = Rows::new(&bias).row(0);
            let y = self.values(Rows::new(&x), Rows::new(&weight).row(0), Some(bias));
            (y, tracked.contains(&true).then_some([x, weight]))
        }

        fn backward(
            &self,
            saved: Saved,
            grad: FlexTensor,
            [of_x, of_weight, of_bias]: [bool; 3],
        ) -> [Option<FlexTensor>; 3] {
            let grad = rows_of(grad);
            let of_bias = of_bias.then(|| cpu::sum_of_rows(Rows::new(&grad)));
            let [dx, dw] = CpuOp::<2>::backward(self, saved, grad, [of_x, of_weight]);
            [dx, dw, of_bias]
        }
    }

    impl Norm {
        fn values(&self, x: Rows<'_>, weight: &[f32], bias: Option<&[f32]>) -> FlexTensor {
            let width = weight.len();
            let mut y = vec![0.0; x.len() * x.width];
            each_block(
                &mut y,
                x.width,
                #[inline(always)]
                |(first, block): (usize, &mut [f32])| {
                    for (at, y) in (first..).zip(block.chunks_mut(x.width)) {
                        for (x, y) in x.row(at).chunks(width).zip(y.chunks_mut(width)) {
                            let (mean, scale) = self.mean_and_scale(x);
                            let plus = self.plus();
                            for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
                                *y = (x - mean) * scale * (weight + plus);
                            }
                            if let Some(bias) = bias {
                                y.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
                            }
                        }
                    }
                },
            );
            tensor(y, [x.batch, x.sequence, x.width])
        }

        /// `scale·(g − x̂·mean(g·x̂))` with `g = grad·weight`, and for a layer norm less its mean.
        fn of_input(&self, x: Rows<'_>, weight: &[f32], grad: Rows<'_>) -> FlexTensor {
            let width = weight.len();
            let plus = self.plus();
            let mut dx = vec![0.0; x.len() * x.width];
            each_block(
                &mut dx,
                x.width,
                #[inline(always)]
                |(first, block): (usize, &mut [f32])| {
                    for (at, dx) in (first..).zip(block.chunks_mut(x.width)) {
                        let of_heads = x.row(at).chunks(width).zip(grad.row(at).chunks(width));
                        for ((x, grad), dx) in of_heads.zip(dx.chunks_mut(width)) {
                            let (mean, scale) = self.mean_and_scale(x);
                            for ((dx, grad), weight) in dx.iter_mut().zip(grad).zip(weight) {
                                *dx = grad * (weight + plus);
                            }
                            let count = width as f32;
                            let along =
                                lane_sum(dx, x, |g, x| g * (x - mean)) / count * scale * scale;
                            let common = match self.config.kind {
                                NormKind::Layer => lane_sum(dx, dx, |g, _| g) / count,
                                _ => 0.0,
                            };
                            for (dx, x) in dx.iter_mut().zip(x) {
                                *dx = scale * (*dx - common - (x - mean) * along);
                            }
                        }
                    }
                },
            );
            tensor(dx, [x.batch, x.sequence, x.width])
        }

        fn of_weight(&self, x: Rows<'_>, width: usize, grad: Rows<'_>) -> FlexTensor {
            let sums = sum_of_blocks(
                x.len(),
                x.width,
                width,
                #[inline(always)]
                |(rows, sums): (Range<usize>, &mut [f32])| {
                    for at in rows {
                        for (x, grad) in x.row(at).chunks(width).zip(grad.row(at).chunks(width)) {
                            let (mean, scale) = self.mean_and_scale(x);
                            for ((sum, x), grad) in sums.iter_mut().zip(x).zip(grad) {
                                *sum += grad * ((x - mean) * scale);
                            }
                        }
                    }
                },
            );
            tensor(sums, [width])
        }

        /// What is taken from each number, and what the rest is multiplied by.
        #[inline(always)]
        fn mean_and_scale(&self, x: &[f32]) -> (f32, f32) {
            let count = x.len() as f32;
            let mean = match self.config.kind {
                NormKind::Layer => lane_sum(x, x, |x, _| x) / count,
                NormKind::Rms | NormKind::RmsPlusOne => 0.0,
            };
            let square = lane_sum(x, x, |x, _| (x - mean) * (x - mean)) / count;
            (mean, 1.0 / (square + self.config.eps as f32).sqrt())
        }

        /// What is added to the weight.
        fn plus(&self) -> f32 {
            match self.config.kind {
                NormKind::RmsPlusOne => 1.0,
                NormKind::Rms | NormKind::Layer => 0.0,
            }
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::ops::testing::{assert_alike, numbers, strided};

    fn config(kind: NormKind) -> NormConfig {
        NormConfig { kind, eps: 1e-5 }
    }

    fn flat(x: &Tensor<3>) -> Tensor<1> {
        x.clone().reshape([-1])
    }

    #[test]
    fn norms_are_those_of_burn() {
        for kind in [NormKind::Rms, NormKind::RmsPlusOne, NormKind::Layer] {
            for shape in [[1, 1, 1], [2, 3, 37], [3, 50, 200], [1, 2, 9000]] {
                for x in [numbers(shape, 1) + 0.2, strided(shape, 2)] {
                    let weight = numbers([1, 1, shape[2]], 3);
                    let note = format!("{kind:?} {shape:?}");
                    let inputs = [x, weight.clone()];
                    assert_alike(
                        &inputs,
                        |x| cpu::norm(&x[0], &flat(&x[1]), None, config(kind)).unwrap(),
                        |x| composed(x[0].clone(), &flat(&x[1]), None, config(kind)),
                        &note,
                    );
                    if kind == NormKind::Layer {
                        let [x, weight] = inputs;
                        let bias = weight.clone() * 0.5 + 0.1;
                        assert_alike(
                            &[x, weight, bias],
                            |x| {
                                let bias = flat(&x[2]);
                                let (weight, config) = (flat(&x[1]), config(kind));
                                cpu::norm(&x[0], &weight, Some(&bias), config).unwrap()
                            },
                            |x| {
                                let bias = flat(&x[2]);
                                composed(x[0].clone(), &flat(&x[1]), Some(&bias), config(kind))
                            },
                            &note,
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn each_head_has_its_own_norm() {
        for (heads, width) in [(1, 8), (3, 16), (5, 7)] {
            let shape = [2, 40, heads * width];
            for x in [numbers(shape, 1), strided(shape, 2)] {
                let config = config(NormKind::Rms);
                assert_alike(
                    &[x, numbers([1, 1, width], 3)],
                    |x| cpu::norm(&x[0], &flat(&x[1]), None, config).unwrap(),
                    |x| {
                        let rows = x[0].clone().reshape([2, 40 * heads, width]);
                        composed(rows, &flat(&x[1]), None, config).reshape(shape)
                    },
                    &format!("{heads} heads of {width}"),
                );
            }
        }
    }
}
