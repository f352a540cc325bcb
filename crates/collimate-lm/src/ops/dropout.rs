use burn::tensor::{DType, Tensor, TensorData};

use super::linear;
use super::random::{Draw, LANES, block};

/// Which numbers of a tensor are dropped.
///
/// That of number `i` depends on nothing but the key and `i`, so that backward draws again what forward
/// drew, and nothing is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    draw: Draw,
    /// Random bits below are dropped.
    threshold: u32,
    /// What the others are multiplied by.
    scale: f32,
}

impl Dropout {
    /// Each number with a probability in `0..1`.
    pub(crate) fn new(probability: f64, draw: Draw) -> Self {
        let threshold = (probability * 2.0_f64.powi(32)).round() as u32;
        Self { draw, threshold, scale: (1.0 / (1.0 - probability)) as f32 }
    }

    /// Writes `x` to `y`, zero where it is dropped; `first` is the number of the first.
    #[inline(always)]
    fn write(&self, x: &[f32], y: &mut [f32], first: u64) {
        let lane = (first % LANES as u64) as usize;
        let head = (LANES - lane).min(x.len()) % LANES;
        let (x_head, x) = x.split_at(head);
        let (y_head, y) = y.split_at_mut(head);
        let mut at = first / LANES as u64;
        if head > 0 {
            let bits = block(self.draw.key, at);
            self.lanes(x_head, y_head, &bits[lane..]);
            at += 1;
        }
        let (x, x_tail) = x.as_chunks::<LANES>();
        let (y, y_tail) = y.as_chunks_mut::<LANES>();
        for (x, y) in x.iter().zip(y) {
            self.lanes(x, y, &block(self.draw.key, at));
            at += 1;
        }
        if !x_tail.is_empty() {
            self.lanes(x_tail, y_tail, &block(self.draw.key, at));
        }
    }

    #[inline(always)]
    fn lanes(&self, x: &[f32], y: &mut [f32], bits: &[u32]) {
        for ((y, x), bits) in y.iter_mut().zip(x).zip(bits) {
            *y = if *bits < self.threshold { 0.0 } else { x * self.scale };
        }
    }
}

/// `x` `[batch, sequence, width]` with some of its numbers set to zero and the others enlarged to make
/// up for it (Srivastava et al., 2014).
pub(crate) fn dropped(x: Tensor<3>, dropout: Dropout) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if let Some(y) = cpu::dropped(&x, dropout) {
        return y;
    }
    composed(x, dropout)
}

/// `dropped(x) · weightᵀ`, `weight` `[out, in]`; of what is dropped nothing is kept for backward but `x`
/// itself, which others may keep as well.
pub(crate) fn dropped_linear(x: Tensor<3>, weight: &Tensor<2>, dropout: Dropout) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if let Some(y) = cpu::dropped_linear(&x, weight, dropout) {
        return y;
    }
    linear(dropped(x, dropout), weight, None)
}

/// The same numbers, drawn on the host: a transfer of the size of `x`.
fn composed(x: Tensor<3>, dropout: Dropout) -> Tensor<3> {
    let shape @ [batch, sequence, width] = x.dims();
    let mut factors = vec![0.0_f32; batch * sequence * width];
    let ones = vec![1.0; factors.len()];
    dropout.write(&ones, &mut factors, dropout.draw.row.wrapping_mul(width as u64));
    let factors = TensorData::new(factors, shape);
    let factors = Tensor::<3>::from_data(factors, (&x.device(), DType::F32));
    let dtype = x.dtype();
    (x.cast(DType::F32) * factors).cast(dtype)
}

#[cfg(feature = "flex")]
mod cpu {
    use burn::tensor::Tensor;
    use burn_flex::FlexTensor;

    use super::Dropout;
    use crate::ops::cpu::{self, CpuOp, Rows, each_block, rows_of, tensor};
    use crate::ops::linear::cpu::{forward, of_input, of_weight};

    /// Dropout on the CPU; none if the tensor is elsewhere.
    pub(super) fn dropped(x: &Tensor<3>, dropout: Dropout) -> Option<Tensor<3>> {
        cpu::apply(dropout, [cpu::input(x)])
    }

    /// The product on the CPU; none if a tensor is elsewhere.
    pub(super) fn dropped_linear(
        x: &Tensor<3>,
        weight: &Tensor<2>,
        dropout: Dropout,
    ) -> Option<Tensor<3>> {
        cpu::apply(dropout, [cpu::input(x), cpu::weight(weight)])
    }

    impl CpuOp<1> for Dropout {
        type Saved = ();

        fn forward(&self, [x]: [FlexTensor; 1], [tracked]: [bool; 1]) -> (FlexTensor, Option<()>) {
            (self.values(x), tracked.then_some(()))
        }

        fn backward(&self, (): (), grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
            [Some(self.values(grad))]
        }
    }

    /// The input and the weight that is multiplied.
    impl CpuOp<2> for Dropout {
        type Saved = [FlexTensor; 2];

        fn forward(
            &self,
            [x, weight]: [FlexTensor; 2],
            tracked: [bool; 2],
        ) -> (FlexTensor, Option<[FlexTensor; 2]>) {
            let y = forward(&self.values(x.clone()), &weight, None);
            (y, tracked.contains(&true).then_some([x, weight]))
        }

        fn backward(
            &self,
            [x, weight]: [FlexTensor; 2],
            grad: FlexTensor,
            [x_is_tracked, weight_is_tracked]: [bool; 2],
        ) -> [Option<FlexTensor>; 2] {
            let grad = rows_of(grad);
            let grad = Rows::new(&grad);
            [
                x_is_tracked.then(|| self.values(of_input(grad, &weight))),
                weight_is_tracked.then(|| of_weight(grad, self.values(x))),
            ]
        }
    }

    impl Dropout {
        fn values(&self, x: FlexTensor) -> FlexTensor {
            let x = rows_of(x);
            let x = Rows::new(&x);
            let mut y = vec![0.0; x.len() * x.width];
            each_block(
                &mut y,
                x.width,
                #[inline(always)]
                |(first, block): (usize, &mut [f32])| {
                    for (at, y) in (first..).zip(block.chunks_mut(x.width)) {
                        let row = self.draw.row.wrapping_add(at as u64);
                        self.write(x.row(at), y, row.wrapping_mul(x.width as u64));
                    }
                },
            );
            tensor(y, [x.batch, x.sequence, x.width])
        }
    }
}

#[cfg(all(test, feature = "flex"))]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::ops::testing::{assert_alike, numbers, strided};

    fn dropout(probability: f64, key: u64) -> Dropout {
        Dropout::new(probability, Draw { key, row: 0 })
    }

    fn values(x: Tensor<3>) -> Vec<f32> {
        x.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn what_is_dropped_has_no_gradient_and_is_the_same_elsewhere() {
        for shape in [[1, 1, 1], [2, 3, 37], [3, 50, 208], [1, 40, 7]] {
            for x in [numbers(shape, 1) + 2.0, strided(shape, 2)] {
                let dropout = dropout(0.3, 7);
                assert_alike(
                    &[x],
                    |x| cpu::dropped(&x[0], dropout).unwrap(),
                    |x| composed(x[0].clone(), dropout),
                    &format!("{shape:?}"),
                );
            }
        }
    }

    #[test]
    fn a_product_of_what_is_left_is_the_same_as_in_two_steps() {
        for shape in [[1, 1, 5], [2, 3, 37], [3, 50, 208]] {
            for x in [numbers(shape, 1), strided(shape, 2)] {
                let weight = numbers([1, 9, shape[2]], 3);
                let dropout = dropout(0.3, 7);
                let matrix = |x: &Tensor<3>| x.clone().squeeze_dim(0);
                assert_alike(
                    &[x, weight],
                    |x| cpu::dropped_linear(&x[0], &matrix(&x[1]), dropout).unwrap(),
                    |x| linear(composed(x[0].clone(), dropout), &matrix(&x[1]), None),
                    &format!("{shape:?}"),
                );
            }
        }
    }

    #[test]
    fn as_many_are_dropped_as_should_be_and_none_knows_of_another() {
        for probability in [0.05, 0.5, 0.9] {
            let shape = [4, 100, 1000];
            let count = 400_000.0;
            let ones = Tensor::ones(shape, &burn::tensor::Device::flex());
            let y = values(dropped(ones, dropout(probability, 99)));
            let kept: Vec<f64> = y.iter().map(|&y| f64::from(y > 0.0)).collect();
            let largest = f64::from(y.iter().copied().fold(0.0, f32::max));
            assert!((largest - 1.0 / (1.0 - probability)).abs() < 1e-6);
            let mean = kept.iter().sum::<f64>() / count;
            let variance = probability * (1.0 - probability);
            // Four standard deviations of each.
            let tolerance = 4.0 * (variance / count).sqrt();
            assert!((mean - (1.0 - probability)).abs() < tolerance, "{probability}: {mean}");
            for apart in [1, 2, 8, 16, 1000] {
                let pairs = kept.iter().zip(&kept[apart..]);
                let together: f64 =
                    pairs.map(|(a, b)| (a - 1.0 + probability) * (b - 1.0 + probability)).sum();
                let correlation = together / (count * variance);
                assert!(correlation.abs() < 4.0 / count.sqrt(), "{apart}: {correlation}");
            }
        }
    }

    #[test]
    fn other_keys_and_rows_drop_others() {
        let x = numbers([1, 20, 33], 3) + 2.0;
        let all = values(dropped(x.clone(), dropout(0.5, 1)));
        assert_ne!(all, values(dropped(x.clone(), dropout(0.5, 2))));
        // The last rows alone are as they are among all.
        let later = Dropout::new(0.5, Draw { key: 1, row: 8 });
        assert_eq!(values(dropped(x.narrow(1, 8, 12), later)), all[8 * 33..]);
    }
}
