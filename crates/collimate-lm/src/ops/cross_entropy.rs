use burn::tensor::{DType, IndexingUpdateOp, Int, Tensor, TensorData};

/// The loss of predicting tokens: their negative log-probabilities, smoothed
/// (Szegedy et al., 2016, arXiv:1512.00567).
#[derive(Clone, Copy, Debug)]
pub(crate) struct CrossEntropy {
    /// `ε` of `(1 − ε)·loss + ε·mean over the vocabulary`.
    pub(crate) smoothing: f64,
    /// `c` of `c·tanh(logit/c)`.
    pub(crate) softcap: Option<f64>,
    /// Whether the gradient is wanted.
    pub(crate) gradient: bool,
}

/// The loss of each row of `logits` `[tokens, vocab]`, not yet weighted, and the gradient of the
/// weighted sum with respect to them, both in float32.
pub(crate) fn cross_entropy(
    logits: Tensor<2>,
    ids: &[u32],
    weights: &[f32],
    settings: CrossEntropy,
) -> (Tensor<1>, Option<Tensor<2>>) {
    let logits = logits.inner().cast(DType::F32);
    #[cfg(feature = "flex")]
    if let Ok(place) = logits.clone().try_into_primitive::<burn::backend::Flex>() {
        // So that nobody else holds what is overwritten.
        drop(logits);
        return cpu::cross_entropy(place, ids, weights, settings);
    }
    composed(logits, ids, weights, settings)
}

fn composed(
    logits: Tensor<2>,
    ids: &[u32],
    weights: &[f32],
    settings: CrossEntropy,
) -> (Tensor<1>, Option<Tensor<2>>) {
    let CrossEntropy { smoothing, softcap, gradient } = settings;
    let [tokens, vocabulary] = logits.dims();
    let device = logits.device();
    let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [tokens, 1]), &device);
    let logits = match softcap {
        Some(cap) => (logits / cap).tanh() * cap,
        None => logits,
    };
    let most = logits.clone().max_dim(1);
    let exps = (logits.clone() - most.clone()).exp();
    let sum = exps.clone().sum_dim(1);
    let mut wanted = logits.clone().gather(1, ids.clone());
    if smoothing > 0.0 {
        wanted = wanted * (1.0 - smoothing) + logits.clone().mean_dim(1) * smoothing;
    }
    let losses = sum.clone().log() + most - wanted;
    let gradient = gradient.then(|| {
        let weights = TensorData::new(weights.to_vec(), [tokens, 1]);
        let weights = Tensor::<2>::from_data(weights, (&device, DType::F32));
        let share = exps / sum - smoothing / vocabulary as f64;
        let one = Tensor::full([tokens, 1], smoothing - 1.0, (&device, DType::F32));
        let share = share.scatter(1, ids, one, IndexingUpdateOp::Add) * weights;
        match softcap {
            Some(cap) => share * ((logits / cap).square() * -1.0 + 1.0),
            None => share,
        }
    });
    (losses.squeeze_dim(1), gradient)
}

#[cfg(feature = "flex")]
mod cpu {
    use burn::backend::Flex;
    use burn::tensor::Tensor;
    use burn_flex::FlexTensor;

    use super::CrossEntropy;
    use crate::ops::cpu::{each_row, exp, lane_sum, tanh, tensor};

    /// The loss on the CPU, the gradient in the place of the logits.
    pub(super) fn cross_entropy(
        mut place: FlexTensor,
        ids: &[u32],
        weights: &[f32],
        settings: CrossEntropy,
    ) -> (Tensor<1>, Option<Tensor<2>>) {
        let shape = place.layout().shape();
        let (tokens, vocabulary) = (shape[0], shape[1]);
        if !place.is_contiguous() {
            place = place.to_contiguous();
        }
        let begin = place.layout().start_offset();
        let mut losses = vec![0.0_f32; tokens];
        each_row(
            &mut place.storage_mut::<f32>()[begin..][..tokens * vocabulary],
            vocabulary,
            &mut losses,
            #[inline(always)]
            |(at, logits): (usize, &mut [f32])| settings.row(logits, ids[at] as usize, weights[at]),
        );
        let losses = Tensor::from_primitive::<Flex>(tensor(losses, [tokens]));
        (losses, settings.gradient.then(|| Tensor::from_primitive::<Flex>(place)))
    }

    impl CrossEntropy {
        /// The loss of a row; the gradient takes the place of the logits.
        #[inline(always)]
        fn row(&self, logits: &mut [f32], id: usize, weight: f32) -> f32 {
            let cap = self.softcap.map(|cap| cap as f32);
            if let Some(cap) = cap {
                logits.iter_mut().for_each(|x| *x = cap * tanh(*x / cap));
            }
            let most = largest(logits);
            let sum = lane_sum(logits, logits, |x, _| exp(x - most));
            let smoothing = self.smoothing;
            let vocabulary = logits.len() as f64;
            let of_target = logits.get(id).copied().unwrap_or(f32::NAN);
            let mut wanted = f64::from(of_target) - f64::from(most);
            if smoothing > 0.0 {
                let mean = f64::from(lane_sum(logits, logits, |x, _| x - most)) / vocabulary;
                wanted = (1.0 - smoothing) * wanted + smoothing * mean;
            }
            if self.gradient {
                let scale = weight / sum;
                let rest = (f64::from(weight) * smoothing / vocabulary) as f32;
                let one = (f64::from(weight) * (1.0 - smoothing)) as f32;
                let slope = |x: f32| cap.map_or(1.0, |cap| 1.0 - (x / cap) * (x / cap));
                match cap {
                    Some(_) => {
                        for x in logits.iter_mut() {
                            *x = (exp(*x - most) * scale - rest) * slope(*x);
                        }
                    }
                    None => {
                        for x in logits.iter_mut() {
                            *x = exp(*x - most) * scale - rest;
                        }
                    }
                }
                if let Some(x) = logits.get_mut(id) {
                    *x -= one * slope(of_target);
                }
            }
            (f64::from(sum).ln() - wanted) as f32
        }
    }

    /// The largest number; what is no number shows in the sum of the exponentials.
    #[inline(always)]
    fn largest(numbers: &[f32]) -> f32 {
        const LANES: usize = 64;
        let larger = |a: f32, b: f32| if b > a { b } else { a };
        let (blocks, rest) = numbers.as_chunks::<LANES>();
        let mut most = [f32::NEG_INFINITY; LANES];
        for block in blocks {
            for lane in 0..LANES {
                most[lane] = larger(most[lane], block[lane]);
            }
        }
        most.into_iter().chain(rest.iter().copied()).fold(f32::NEG_INFINITY, larger)
    }
}

#[cfg(all(test, feature = "flex"))]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::ops::testing::numbers;

    type Found = (Vec<f32>, Vec<f32>);

    fn values((losses, gradient): (Tensor<1>, Option<Tensor<2>>)) -> Found {
        let gradient = gradient.map(|gradient| gradient.into_data().try_into_vec().unwrap());
        (losses.into_data().try_into_vec().unwrap(), gradient.unwrap_or_default())
    }

    fn logits(tokens: usize, vocabulary: usize) -> Tensor<2> {
        numbers([1, tokens, vocabulary], 5).squeeze_dim::<2>(0) * 9.0
    }

    #[test]
    fn losses_are_those_of_burn_with_their_gradients() {
        for (tokens, vocabulary) in [(1, 1), (3, 50), (20, 1000), (2, 5003)] {
            let ids: Vec<u32> = (0..tokens).map(|at| (at * 7 % vocabulary) as u32).collect();
            let weights: Vec<f32> = (0..tokens).map(|at| 0.5 + at as f32).collect();
            for smoothing in [0.0, 0.1] {
                for softcap in [None, Some(4.0)] {
                    let settings = CrossEntropy { smoothing, softcap, gradient: true };
                    let logits = logits(tokens, vocabulary);
                    let ours = || values(cross_entropy(logits.clone(), &ids, &weights, settings));
                    let found = ours();
                    let expected = values(composed(logits.clone(), &ids, &weights, settings));
                    let case = format!("{tokens} {vocabulary} {settings:?}");
                    for (found, expected) in found.0.iter().zip(&expected.0) {
                        assert!((found - expected).abs() <= 2e-6 * expected.max(1.0), "{case}");
                    }
                    for (at, (found, expected)) in found.1.iter().zip(&expected.1).enumerate() {
                        let weight = weights[at / vocabulary];
                        assert!((found - expected).abs() <= 1e-6 * weight, "{case}, number {at}");
                    }
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
                    assert_eq!(pool.install(ours), found, "{case}");
                    let alone = CrossEntropy { gradient: false, ..settings };
                    let alone = cross_entropy(logits, &ids, &weights, alone);
                    assert_eq!(values(alone), (found.0, Vec::new()), "{case}");
                }
            }
        }
    }

    #[test]
    fn logits_may_be_part_of_others_and_stay_as_they_are() {
        let all = logits(6, 40);
        let settings = CrossEntropy { smoothing: 0.0, softcap: None, gradient: true };
        let of = |logits| values(cross_entropy(logits, &[3, 4], &[1.0, 2.0], settings));
        let part = all.clone().narrow(0, 2, 2);
        let copied = Tensor::from_data(part.to_data(), &part.device());
        let before = all.to_data();
        assert_eq!(of(part), of(copied));
        assert_eq!(all.to_data(), before);
    }

    #[test]
    fn what_is_no_number_shows_in_its_own_row() {
        let bad = Tensor::<2>::from_floats([[0.0, f32::NAN, 1.0]], &burn::tensor::Device::flex());
        let rows = Tensor::cat(vec![logits(1, 3), bad], 0);
        let settings = CrossEntropy { smoothing: 0.1, softcap: None, gradient: false };
        let (losses, _) = values(cross_entropy(rows, &[0, 0], &[1.0; 2], settings));
        assert!(losses[0].is_finite() && losses[1].is_nan());
    }
}
