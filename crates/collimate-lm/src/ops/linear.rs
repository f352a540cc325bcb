use burn::tensor::Tensor;

/// `x · weightᵀ + bias`: `x` `[batch, sequence, in]`, `weight` `[out, in]`, `bias` `[out]`.
///
/// A weight that is not tracked may be of half the precision of `x`; products are those of its numbers.
pub(crate) fn linear(x: Tensor<3>, weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if let Some(y) = cpu::linear(&x, weight, bias) {
        return y;
    }
    composed(x, weight, bias)
}

fn composed(x: Tensor<3>, weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> Tensor<3> {
    let [batch, sequence, width] = x.dims();
    let rows = x.reshape([batch * sequence, width]);
    let weight = weight.clone().cast(rows.dtype());
    let y = rows.matmul(weight.transpose());
    let y = match bias {
        Some(bias) => y + bias.clone().unsqueeze(),
        None => y,
    };
    let [_, out] = y.dims();
    y.reshape([batch, sequence, out])
}

#[cfg(feature = "flex")]
pub(super) mod cpu {
    use burn::tensor::{DType, Tensor, bf16, f16};
    use burn_flex::FlexTensor;

    use crate::ops::cpu::{
        self, CpuOp, Matrix, Rows, Widen, product, rows_of, sum_of_rows, tensor, vector_product,
    };

    /// Rows that are multiplied at the speed at which the weight is read.
    const FEW: usize = 8;

    /// `x · weightᵀ + bias` on the CPU; none if a tensor is elsewhere.
    pub(super) fn linear(
        x: &Tensor<3>,
        weight: &Tensor<2>,
        bias: Option<&Tensor<1>>,
    ) -> Option<Tensor<3>> {
        let [x, weight] = [cpu::input(x), cpu::weight(weight)];
        match bias {
            Some(bias) => cpu::apply(Linear, [x, weight, cpu::input(bias)]),
            None => cpu::apply(Linear, [x, weight]),
        }
    }

    #[derive(Clone, Copy, Debug)]
    struct Linear;

    /// What backward needs: the input if the gradient of the weight is wanted, and the reverse.
    #[derive(Clone, Debug)]
    struct Saved {
        x: Option<FlexTensor>,
        weight: Option<FlexTensor>,
    }

    impl CpuOp<2> for Linear {
        type Saved = Saved;

        fn forward(
            &self,
            [x, weight]: [FlexTensor; 2],
            tracked: [bool; 2],
        ) -> (FlexTensor, Option<Saved>) {
            let y = forward(&x, &weight, None);
            (y, keep(x, weight, tracked))
        }

        fn backward(
            &self,
            saved: Saved,
            grad: FlexTensor,
            _: [bool; 2],
        ) -> [Option<FlexTensor>; 2] {
            backward(saved, &rows_of(grad))
        }
    }

    impl CpuOp<3> for Linear {
        type Saved = Saved;

        fn forward(
            &self,
            [x, weight, bias]: [FlexTensor; 3],
            [of_x, of_weight, of_bias]: [bool; 3],
        ) -> (FlexTensor, Option<Saved>) {
            let y = forward(&x, &weight, Some(&rows_of(bias)));
            let saved = keep(x, weight, [of_x, of_weight]);
            (y, saved.or(of_bias.then_some(Saved { x: None, weight: None })))
        }

        fn backward(
            &self,
            saved: Saved,
            grad: FlexTensor,
            [_, _, of_bias]: [bool; 3],
        ) -> [Option<FlexTensor>; 3] {
            let grad = rows_of(grad);
            let db = of_bias.then(|| sum_of_rows(Rows::new(&grad)));
            let [dx, dw] = backward(saved, &grad);
            [dx, dw, db]
        }
    }

    fn keep(x: FlexTensor, weight: FlexTensor, [of_x, of_weight]: [bool; 2]) -> Option<Saved> {
        (of_x || of_weight)
            .then(|| Saved { x: of_weight.then_some(x), weight: of_x.then_some(weight) })
    }

    /// `x · weightᵀ + bias`.
    pub(in crate::ops) fn forward(
        x: &FlexTensor,
        weight: &FlexTensor,
        bias: Option<&FlexTensor>,
    ) -> FlexTensor {
        let (x, weight) = (rows_of(x.clone()), Weight::new(weight));
        let x = Rows::new(&x);
        let bias = bias.map(|bias| Rows::new(bias).row(0));
        match weight.tensor.dtype() {
            DType::BF16 => weight.forward::<bf16>(x, bias),
            DType::F16 => weight.forward::<f16>(x, bias),
            _ => weight.forward::<f32>(x, bias),
        }
    }

    /// The gradient of `x`: `grad · weight`.
    pub(in crate::ops) fn of_input(grad: Rows<'_>, weight: &FlexTensor) -> FlexTensor {
        let weight = Weight::new(weight);
        match weight.tensor.dtype() {
            DType::BF16 => weight.of_input::<bf16>(grad),
            DType::F16 => weight.of_input::<f16>(grad),
            _ => weight.of_input::<f32>(grad),
        }
    }

    /// The gradient of the weight: `gradᵀ · x`.
    pub(in crate::ops) fn of_weight(grad: Rows<'_>, x: FlexTensor) -> FlexTensor {
        let x = rows_of(x);
        let x = Rows::new(&x);
        let dw = product(Matrix::of_columns(grad), Matrix::of_rows(x), None);
        tensor(dw, [grad.width, x.width])
    }

    fn backward(Saved { x, weight }: Saved, grad: &FlexTensor) -> [Option<FlexTensor>; 2] {
        let grad = Rows::new(grad);
        let dx = weight.map(|weight| of_input(grad, &weight));
        [dx, x.map(|x| of_weight(grad, x))]
    }

    /// A weight `[out, in]`, as it lies.
    struct Weight {
        tensor: FlexTensor,
        /// Whether `[in, out]` is what lies there.
        turned: bool,
    }

    impl Weight {
        fn new(tensor: &FlexTensor) -> Self {
            let turned = matches!(tensor.layout().strides(), [1, across] if *across != 1);
            let tensor = if turned { tensor.transpose(0, 1) } else { tensor.clone() };
            Self { tensor: rows_of(tensor), turned }
        }

        fn forward<T: Widen>(&self, x: Rows<'_>, bias: Option<&[f32]>) -> FlexTensor {
            let matrix = self.matrix::<T>();
            let y = if x.len() <= FEW && !self.turned {
                let mut y = vector_product(x, Rows::<T>::of(&self.tensor));
                if let Some(bias) = bias {
                    let rows = y.chunks_mut(bias.len().max(1));
                    rows.for_each(|y| y.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias));
                }
                y
            } else {
                product(Matrix::of_rows(x), matrix.transpose(), bias)
            };
            tensor(y, [x.batch, x.sequence, matrix.height()])
        }

        fn of_input<T: Widen>(&self, grad: Rows<'_>) -> FlexTensor {
            let matrix = self.matrix::<T>();
            let dx = product(Matrix::of_rows(grad), matrix, None);
            tensor(dx, [grad.batch, grad.sequence, matrix.width()])
        }

        fn matrix<T: Widen>(&self) -> Matrix<'_, T> {
            let matrix = Matrix::of_rows(Rows::of(&self.tensor));
            if self.turned { matrix.transpose() } else { matrix }
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::DType;

    use super::*;
    use crate::ops::testing::{assert_alike, numbers, results, strided};

    fn matrix(x: &Tensor<3>) -> Tensor<2> {
        x.clone().squeeze_dim(0)
    }

    #[test]
    fn products_are_those_of_burn() {
        let rows = [[1, 1], [1, 2], [2, 1], [1, 3], [2, 4], [3, 3], [2, 70]];
        for [batch, sequence] in rows {
            for [width, out] in [[1, 1], [16, 8], [37, 129], [300, 200]] {
                let shape = [batch, sequence, width];
                for x in [numbers(shape, 1), strided(shape, 2)] {
                    for weight in [numbers([1, out, width], 3), strided([1, out, width], 4)] {
                        let note = format!("{shape:?} {out}");
                        let bias = numbers([1, 1, out], 5);
                        assert_alike(
                            &[x.clone(), weight.clone()],
                            |x| cpu::linear(&x[0], &matrix(&x[1]), None).unwrap(),
                            |x| composed(x[0].clone(), &matrix(&x[1]), None),
                            &note,
                        );
                        assert_alike(
                            &[x.clone(), weight, bias],
                            |x| {
                                let bias = x[2].clone().reshape([-1]);
                                cpu::linear(&x[0], &matrix(&x[1]), Some(&bias)).unwrap()
                            },
                            |x| {
                                let bias = x[2].clone().reshape([-1]);
                                composed(x[0].clone(), &matrix(&x[1]), Some(&bias))
                            },
                            &note,
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_weight_may_lie_the_other_way_round() {
        for sequence in [2, 20] {
            assert_alike(
                &[numbers([1, sequence, 40], 1), numbers([1, 40, 30], 2)],
                |x| cpu::linear(&x[0], &matrix(&x[1]).transpose(), None).unwrap(),
                |x| composed(x[0].clone(), &matrix(&x[1]).transpose(), None),
                "turned",
            );
        }
    }

    #[test]
    fn a_weight_of_half_the_precision_is_the_same_in_float32() {
        for dtype in [DType::BF16, DType::F16] {
            for [sequence, width, out] in
                [[1, 37, 129], [3, 300, 200], [20, 37, 129], [70, 900, 75]]
            {
                let half = matrix(&strided([1, out, width], 4)).cast(dtype);
                for half in [half.clone(), half.transpose().cast(dtype).transpose()] {
                    let whole = half.clone().cast(DType::F32);
                    let x = numbers([2, sequence, width], 1);
                    let of = |weight: &Tensor<2>| {
                        results(std::slice::from_ref(&x), |x| {
                            cpu::linear(&x[0], weight, None).unwrap()
                        })
                    };
                    assert_eq!(of(&half), of(&whole), "{dtype:?} {sequence} {width} {out}");
                }
            }
        }
    }

    #[cfg(feature = "autodiff")]
    #[test]
    fn a_frozen_weight_is_a_constant() {
        let weight = matrix(&numbers([1, 30, 40], 1));
        for sequence in [2, 20] {
            let x = Tensor::from_inner(numbers([1, sequence, 40], 2)).require_grad();
            let y = linear(x.clone(), &weight, None);
            let grads = y.sum().backward();
            let found = x.grad(&grads).unwrap();
            let expected: Tensor<2> = weight.clone().sum_dim(0).expand([sequence, 40]);
            found.into_data().assert_approx_eq::<f32>(
                &expected.unsqueeze::<3>().into_data(),
                burn::tensor::Tolerance::absolute(1e-5),
            );
        }
    }
}
