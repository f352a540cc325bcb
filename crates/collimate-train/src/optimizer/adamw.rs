//! The optimizer that is our own.

use burn::tensor::{DType, Tensor};

use crate::config::AdamWConfig;

/// What AdamW remembers of a parameter, flat, in float32, on the parameter's device.
///
/// burn's AdamW isn't used: it forms `1 − β₂ᵗ` in float32, in which 1 − 0.999 is off by 5·10⁻⁵, and its
/// state is only reached through a module.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    /// The running mean of the gradients.
    pub(super) mean: Tensor<1>,
    /// The running mean of their squares.
    pub(super) square: Tensor<1>,
}

/// What an update depends on beside the parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Update<'a> {
    pub(super) config: &'a AdamWConfig,
    pub(super) learning_rate: f64,
    /// Whether the parameter shrinks.
    pub(super) decays: bool,
    /// Updates that were made before this one.
    pub(super) before: u64,
}

impl Moments {
    pub(super) fn zeros(like: &Tensor<1>) -> Self {
        let zeros = || Tensor::zeros(like.dims(), (&like.device(), DType::F32));
        Self { mean: zeros(), square: zeros() }
    }

    /// The parameter after an update, and what is remembered then; in the order of operations of
    /// `torch.optim.AdamW`.
    pub(super) fn update(
        self,
        parameter: Tensor<1>,
        gradient: Tensor<1>,
        update: Update<'_>,
    ) -> (Tensor<1>, Self) {
        let Update { config, learning_rate, decays, before } = update;
        let parameter = if decays && config.weight_decay > 0.0 {
            parameter * (1.0 - learning_rate * config.weight_decay)
        } else {
            parameter
        };
        let mean = self.mean.clone() + (gradient.clone() - self.mean) * (1.0 - config.beta_1);
        let square =
            self.square * config.beta_2 + gradient.clone() * gradient * (1.0 - config.beta_2);
        let corrections =
            [config.beta_1, config.beta_2].map(|beta| 1.0 - beta.powf(before as f64 + 1.0));
        let root = square.clone().sqrt() / corrections[1].sqrt() + config.epsilon;
        let step = mean.clone() / root * (learning_rate / corrections[0]);
        (parameter - step, Self { mean, square })
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// One parameter of 0.5 with the gradients 1, −0.5 and 0.25; `torch.optim.AdamW` of 2.15 with the
    /// learning rate 0.1, betas 0.8 and 0.9, epsilon 1e-3 and a decay of 0.1 makes of it what is expected.
    #[test]
    fn parameters_are_those_of_torch() {
        let config =
            AdamWConfig::default().with_betas(0.8, 0.9).with_epsilon(1e-3).with_weight_decay(0.1);
        let device = Device::flex();
        let number = |number: f32| Tensor::<1>::from_data([number], (&device, DType::F32));
        let expected = TORCH;
        for (decays, expected) in [true, false].into_iter().zip(expected) {
            let mut parameter = number(0.5);
            let mut moments = Moments::zeros(&parameter);
            for (before, gradient) in [1.0, -0.5, 0.25].into_iter().enumerate() {
                let update =
                    Update { config: &config, learning_rate: 0.1, decays, before: before as u64 };
                (parameter, moments) = moments.update(parameter, number(gradient), update);
            }
            let found = parameter.into_data().try_into_vec::<f32>().unwrap()[0];
            assert!((found - expected).abs() < 1e-7, "{found}, {expected}");
        }
    }

    const TORCH: [f32; 2] = [0.334_549_07, 0.347_197_6];
}
