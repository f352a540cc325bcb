use burn::tensor::{Tensor, activation as act};

use crate::config::Activation;

/// The activation of each number.
pub(crate) fn activation(x: Tensor<3>, kind: Activation) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if let Some(y) = cpu::activation(&x, kind, false) {
        return y;
    }
    composed(x, kind)
}

/// `activation(gate) · up` of `x` `[batch, sequence, 2·width]`, the gate being its first half.
pub(crate) fn gated(x: Tensor<3>, kind: Activation) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if let Some(y) = cpu::activation(&x, kind, true) {
        return y;
    }
    let [_, _, both] = x.dims();
    let gate = x.clone().narrow(2, 0, both / 2);
    let up = x.narrow(2, both / 2, both / 2);
    composed(gate, kind) * up
}

fn composed(x: Tensor<3>, kind: Activation) -> Tensor<3> {
    match kind {
        Activation::Silu => act::silu(x),
        Activation::Gelu => act::gelu(x),
        Activation::GeluTanh => act::gelu_approximate(x),
        Activation::Relu => act::relu(x),
    }
}

#[cfg(feature = "flex")]
mod cpu {
    use std::f32::consts::FRAC_2_SQRT_PI;

    use burn::tensor::Tensor;
    use burn_flex::FlexTensor;

    use crate::config::Activation;
    use crate::ops::cpu::{self, CpuOp, Rows, each_block, exp, normal_cdf, rows_of, tanh, tensor};

    /// `1/√(2π)`
    const DENSITY: f32 = FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2 / 2.0;
    /// `√(2/π)`
    const SLOPE: f32 = 2.0 * DENSITY;
    const CUBIC: f32 = 0.044_715;

    /// The activation on the CPU; none if the tensor is elsewhere.
    pub(super) fn activation(x: &Tensor<3>, kind: Activation, gated: bool) -> Option<Tensor<3>> {
        cpu::apply(Activate { kind, gated }, [cpu::input(x)])
    }

    #[derive(Clone, Copy, Debug)]
    struct Activate {
        kind: Activation,
        gated: bool,
    }

    impl CpuOp<1> for Activate {
        type Saved = FlexTensor;

        fn forward(
            &self,
            [x]: [FlexTensor; 1],
            tracked: [bool; 1],
        ) -> (FlexTensor, Option<FlexTensor>) {
            let x = rows_of(x);
            let rows = Rows::new(&x);
            let y = match self.kind {
                Activation::Silu => self.values(
                    rows,
                    #[inline(always)]
                    |x| silu(x).0,
                ),
                Activation::Gelu => self.values(
                    rows,
                    #[inline(always)]
                    |x| gelu(x).0,
                ),
                Activation::GeluTanh => self.values(
                    rows,
                    #[inline(always)]
                    |x| gelu_tanh(x).0,
                ),
                Activation::Relu => self.values(
                    rows,
                    #[inline(always)]
                    |x| relu(x).0,
                ),
            };
            (y, tracked[0].then_some(x))
        }

        fn backward(
            &self,
            x: FlexTensor,
            grad: FlexTensor,
            _: [bool; 1],
        ) -> [Option<FlexTensor>; 1] {
            let grad = rows_of(grad);
            let (x, grad) = (Rows::new(&x), Rows::new(&grad));
            [Some(match self.kind {
                Activation::Silu => self.gradients(x, grad, silu),
                Activation::Gelu => self.gradients(x, grad, gelu),
                Activation::GeluTanh => self.gradients(x, grad, gelu_tanh),
                Activation::Relu => self.gradients(x, grad, relu),
            })]
        }
    }

    impl Activate {
        fn values(&self, x: Rows<'_>, value: impl Fn(f32) -> f32 + Sync + Send) -> FlexTensor {
            let width = if self.gated { x.width / 2 } else { x.width };
            let mut y = vec![0.0; x.len() * width];
            each_block(
                &mut y,
                width,
                #[inline(always)]
                |(first, block): (usize, &mut [f32])| {
                    for (at, y) in (first..).zip(block.chunks_mut(width)) {
                        if self.gated {
                            let (gate, up) = x.row(at).split_at(width);
                            for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
                                *y = value(*gate) * up;
                            }
                        } else {
                            for (y, x) in y.iter_mut().zip(x.row(at)) {
                                *y = value(*x);
                            }
                        }
                    }
                },
            );
            tensor(y, [x.batch, x.sequence, width])
        }

        fn gradients(
            &self,
            x: Rows<'_>,
            grad: Rows<'_>,
            value_and_slope: impl Fn(f32) -> (f32, f32) + Sync + Send,
        ) -> FlexTensor {
            let mut dx = vec![0.0; x.len() * x.width];
            each_block(
                &mut dx,
                x.width,
                #[inline(always)]
                |(first, block): (usize, &mut [f32])| {
                    for (at, dx) in (first..).zip(block.chunks_mut(x.width)) {
                        let (x, grad) = (x.row(at), grad.row(at));
                        if self.gated {
                            let (gate, up) = x.split_at(grad.len());
                            let (d_gate, d_up) = dx.split_at_mut(grad.len());
                            let out = d_gate.iter_mut().zip(d_up);
                            for ((out, grad), (gate, up)) in out.zip(grad).zip(gate.iter().zip(up))
                            {
                                let (value, slope) = value_and_slope(*gate);
                                *out.0 = grad * up * slope;
                                *out.1 = grad * value;
                            }
                        } else {
                            for ((dx, grad), x) in dx.iter_mut().zip(grad).zip(x) {
                                *dx = grad * value_and_slope(*x).1;
                            }
                        }
                    }
                },
            );
            tensor(dx, [x.batch, x.sequence, x.width])
        }
    }

    // Each gives the value and its slope.

    #[inline(always)]
    fn silu(x: f32) -> (f32, f32) {
        let sigmoid = 1.0 / (1.0 + exp(-x));
        let y = x * sigmoid;
        (y, sigmoid + y * (1.0 - sigmoid))
    }

    #[inline(always)]
    fn gelu(x: f32) -> (f32, f32) {
        let below = normal_cdf(x);
        (x * below, below + x * (DENSITY * exp(-0.5 * x * x)))
    }

    #[inline(always)]
    fn gelu_tanh(x: f32) -> (f32, f32) {
        let t = tanh(SLOPE * (x + CUBIC * (x * x * x)));
        let inner = SLOPE * (1.0 + 3.0 * CUBIC * (x * x));
        (0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * ((1.0 - t * t) * inner))
    }

    #[inline(always)]
    fn relu(x: f32) -> (f32, f32) {
        // NaN stays NaN.
        (if x < 0.0 { 0.0 } else { x }, if x > 0.0 { 1.0 } else { 0.0 })
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::ops::testing::{assert_alike, numbers, strided};

    const KINDS: [Activation; 4] =
        [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu];

    #[test]
    fn activations_are_those_of_burn() {
        for kind in KINDS {
            for shape in [[1, 1, 1], [2, 3, 37], [1, 70, 300]] {
                for x in [numbers(shape, 1) * 6.0, strided(shape, 2) * 3.0, strided(shape, 3)] {
                    let note = format!("{kind:?} {shape:?}");
                    let ours = |x: &[Tensor<3>]| cpu::activation(&x[0], kind, false).unwrap();
                    assert_alike(&[x], ours, |x| composed(x[0].clone(), kind), &note);
                }
            }
        }
    }

    #[test]
    fn gates_are_those_of_burn() {
        for kind in KINDS {
            for shape in [[1, 1, 2], [2, 3, 74], [1, 70, 300]] {
                for x in [numbers(shape, 1) * 6.0, strided(shape, 3)] {
                    let note = format!("{kind:?} {shape:?}");
                    let ours = |x: &[Tensor<3>]| cpu::activation(&x[0], kind, true).unwrap();
                    let other = |x: &[Tensor<3>]| {
                        let [gate, up]: [Tensor<3>; 2] =
                            x[0].clone().chunk(2, 2).try_into().unwrap();
                        composed(gate, kind) * up
                    };
                    assert_alike(&[x], ours, other, &note);
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_stays_so() {
        for kind in KINDS {
            let x = numbers([1, 1, 40], 1) * f32::NAN;
            let y: Vec<f32> = activation(x, kind).into_data().try_to_vec().unwrap();
            assert!(y.iter().all(|y| y.is_nan()), "{kind:?}");
        }
    }
}
