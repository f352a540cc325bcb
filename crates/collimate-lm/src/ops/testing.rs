//! What the tests of the operators share.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use burn::tensor::{Device, Tensor, TensorData};

/// Numbers between −1 and 1, the same for the same seed.
pub(super) fn numbers(shape: [usize; 3], seed: u32) -> Tensor<3> {
    let mut state = seed.wrapping_mul(0x9e37_79b9).wrapping_add(1);
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = std::iter::repeat_with(next).take(shape.iter().product()).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// As [`numbers`], but not side by side: in the middle of wider rows.
pub(super) fn strided(shape: [usize; 3], seed: u32) -> Tensor<3> {
    let [batch, sequence, width] = shape;
    numbers([batch, sequence + 2, width + 5], seed).narrow(1, 1, sequence).narrow(2, 3, width)
}

/// The value of an operator, and the gradients of all its inputs.
pub(super) fn results(
    inputs: &[Tensor<3>],
    operator: impl Fn(&[Tensor<3>]) -> Tensor<3>,
) -> Vec<Vec<f32>> {
    let y = operator(inputs);
    let values = |tensor: Tensor<3>| tensor.into_data().try_to_vec().unwrap();
    #[cfg(not(feature = "autodiff"))]
    return vec![values(y)];
    #[cfg(feature = "autodiff")]
    {
        let grad = Tensor::from_inner(numbers(y.dims(), 99));
        // The views stay views.
        let tracked = inputs.iter().cloned().map(|x| Tensor::from_inner(x).require_grad());
        let tracked: Vec<_> = tracked.collect();
        let recorded = operator(&tracked);
        assert_near(&values(recorded.clone().inner()), &values(y.clone()), 2e-6, "recorded");
        let grads = (recorded * grad).sum().backward();
        let grads = tracked.iter().map(|x| values(x.grad(&grads).unwrap()));
        std::iter::once(values(y)).chain(grads).collect()
    }
}

/// That an operator is the same as another, with its gradients; and for any number of threads.
pub(super) fn assert_alike(
    inputs: &[Tensor<3>],
    ours: impl Fn(&[Tensor<3>]) -> Tensor<3> + Sync,
    other: impl Fn(&[Tensor<3>]) -> Tensor<3>,
    note: &str,
) {
    let ours_found = results(inputs, &ours);
    let other_found = results(inputs, other);
    assert_eq!(ours_found.len(), other_found.len());
    for (of, (ours, other)) in ours_found.iter().zip(&other_found).enumerate() {
        let tolerance = if of == 0 { 5e-6 } else { 2e-5 };
        assert_near(ours, other, tolerance, &format!("{note}: result {of}"));
    }
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(
            pool.install(|| results(inputs, &ours)),
            ours_found,
            "{note}: {threads} threads"
        );
    }
}

fn assert_near(ours: &[f32], other: &[f32], tolerance: f32, note: &str) {
    assert_eq!(ours.len(), other.len(), "{note}");
    let largest = other.iter().fold(1.0f32, |most, value| most.max(value.abs()));
    for (at, (a, b)) in ours.iter().zip(other).enumerate() {
        let near = (a - b).abs() <= tolerance * largest;
        assert!(near && a.is_finite(), "{note}, number {at}: {a} and {b}");
    }
}
