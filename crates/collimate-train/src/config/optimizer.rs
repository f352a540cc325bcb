use serde::{Deserialize, Serialize};

use super::check::{not_negative, positive, within};
use crate::error::Result;

/// How parameters follow their gradients.
///
/// AdamW is computed here, in the order of operations of PyTorch; the others are burn's. Decay, of
/// whichever kind, spares biases and the weights of norms, as in transformers. In a file it is
/// `{"lion": {"weight_decay": 0.1}}`, or `"lion"` where all is as by default.
///
/// # Examples
///
/// ```
/// use collimate_train::{LionConfig, OptimizerConfig, TrainConfig};
///
/// let lion = LionConfig::default().with_weight_decay(0.1);
/// let config = TrainConfig::default().with_optimizer(lion).with_learning_rate(3e-5);
/// let file = serde_json::json!({"optimizer": {"lion": {"weight_decay": 0.1}}, "learning_rate": 3e-5});
/// assert_eq!(TrainConfig::default().merged(&file)?, config);
/// # Ok::<(), collimate_train::TrainError>(())
/// ```
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OptimizerConfig {
    /// Decoupled decay (<https://arxiv.org/abs/1711.05101>).
    AdamW(AdamWConfig),
    /// Decay as a part of the gradient (<https://arxiv.org/abs/1412.6980>).
    Adam(AdamConfig),
    /// Squared gradients remembered by row and column (<https://arxiv.org/abs/1804.04235>).
    Adafactor(AdafactorConfig),
    /// All squared gradients added up (<https://jmlr.org/papers/v12/duchi11a.html>).
    AdaGrad(AdaGradConfig),
    /// Nesterov momentum without a second gradient (<https://arxiv.org/abs/2208.06677>).
    Adan(AdanConfig),
    /// Steps in proportion to the norm of the parameter (<https://arxiv.org/abs/1904.00962>).
    Lamb(LambConfig),
    /// The sign of a momentum (<https://arxiv.org/abs/2302.06675>).
    Lion(LionConfig),
    /// Momentum made orthogonal (<https://kellerjordan.github.io/posts/muon>), as large as AdamW's
    /// steps (<https://arxiv.org/abs/2502.16982>). What isn't a matrix, and embeddings and heads that
    /// are trained whole, follow AdamW with its defaults and the same decay.
    Muon(MuonConfig),
    /// Divided by a running mean of squares.
    RmsProp(RmsPropConfig),
    /// The gradient itself.
    Sgd(SgdConfig),
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::AdamW(AdamWConfig::default())
    }
}

/// Settings of an optimizer: a struct with defaults and a setter for each field, which a name of the
/// optimizer converts to.
macro_rules! settings {
    ($($(#[$about:meta])* $name:ident of $variant:ident {
        $($(#[$field_about:meta])* $field:ident, $setter:ident: $type:ty = $default:expr;)*
    })*) => {$(
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
        #[serde(default, deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_about])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            $(
                #[doc = concat!("Sets `", stringify!($field), "`.")]
                #[must_use]
                pub fn $setter(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }

        impl From<$name> for OptimizerConfig {
            fn from(config: $name) -> Self {
                Self::$variant(config)
            }
        }
    )*};
}

settings! {
    /// The settings of AdamW.
    AdamWConfig of AdamW {
        /// How much of the mean of gradients stays from step to step, in `0..1`. Default 0.9.
        beta_1, with_beta_1: f64 = 0.9;
        /// How much of the mean of their squares stays from step to step, in `0..1`. Default 0.999.
        beta_2, with_beta_2: f64 = 0.999;
        /// Added to the root of that mean. Default 1e-8.
        epsilon, with_epsilon: f64 = 1e-8;
        /// The share, times the learning rate, by which parameters shrink in a step. Default 0.
        weight_decay, with_weight_decay: f64 = 0.0;
    }

    /// The settings of Adam.
    AdamConfig of Adam {
        /// How much of the mean of gradients stays from step to step, in `0..1`. Default 0.9.
        beta_1, with_beta_1: f64 = 0.9;
        /// How much of the mean of their squares stays from step to step, in `0..1`. Default 0.999.
        beta_2, with_beta_2: f64 = 0.999;
        /// Added to the root of that mean. Default 1e-8.
        epsilon, with_epsilon: f64 = 1e-8;
        /// How many times the parameter is added to its gradient. Default 0.
        weight_decay, with_weight_decay: f64 = 0.0;
    }

    /// The settings of Adafactor. Its steps have the learning rate, as in the Trainer of transformers.
    AdafactorConfig of Adafactor {
        /// How large the root of the mean square of an update may be. Default 1.
        clip_threshold, with_clip_threshold: f64 = 1.0;
        /// The exponent by which squared gradients are forgotten, below 0. Default -0.8.
        decay_rate, with_decay_rate: f64 = -0.8;
        /// Whether steps are in proportion to the parameter. Default: no.
        scale_parameter, with_scale_parameter: bool = false;
        /// The share, times the learning rate, by which parameters shrink in a step. Default 0.
        weight_decay, with_weight_decay: f64 = 0.0;
    }

    /// The settings of AdaGrad.
    AdaGradConfig of AdaGrad {
        /// How the learning rate falls: it is divided by 1 + `lr_decay` · step. Default 0.
        lr_decay, with_lr_decay: f64 = 0.0;
        /// Added to the root of the sum. Default 1e-10.
        epsilon, with_epsilon: f64 = 1e-10;
        /// How many times the parameter is added to its gradient. Default 0.
        weight_decay, with_weight_decay: f64 = 0.0;
    }

    /// The settings of Adan.
    AdanConfig of Adan {
        /// How much of the mean of gradients stays from step to step, in `0..1`. Default 0.98.
        beta_1, with_beta_1: f64 = 0.98;
        /// How much of the mean of their differences stays, in `0..1`. Default 0.92.
        beta_2, with_beta_2: f64 = 0.92;
        /// How much of the mean of squares stays, in `0..1`. Default 0.99.
        beta_3, with_beta_3: f64 = 0.99;
        /// Added to the root of that mean. Default 1e-8.
        epsilon, with_epsilon: f64 = 1e-8;
        /// The share, times the learning rate, by which parameters shrink in a step. Default 0.
        weight_decay, with_weight_decay: f64 = 0.0;
    }

    /// The settings of LAMB.
    LambConfig of Lamb {
        /// How much of the mean of gradients stays from step to step, in `0..1`. Default 0.9.
        beta_1, with_beta_1: f64 = 0.9;
        /// How much of the mean of their squares stays from step to step, in `0..1`. Default 0.999.
        beta_2, with_beta_2: f64 = 0.999;
        /// Added to the root of that mean. Default 1e-6.
        epsilon, with_epsilon: f64 = 1e-6;
        /// How many times the parameter is added to its step. Default 0.
        weight_decay, with_weight_decay: f64 = 0.0;
    }

    /// The settings of Lion, which wants a learning rate some ten times below AdamW's.
    LionConfig of Lion {
        /// How much of the momentum goes into a step, in `0..1`. Default 0.9.
        beta_1, with_beta_1: f64 = 0.9;
        /// How much of the momentum stays from step to step, in `0..1`. Default 0.99.
        beta_2, with_beta_2: f64 = 0.99;
        /// The share, times the learning rate, by which parameters shrink in a step. Default 0.
        weight_decay, with_weight_decay: f64 = 0.0;
    }

    /// The settings of Muon, which takes AdamW's learning rates.
    MuonConfig of Muon {
        /// How much of the momentum stays from step to step, in `0..1`. Default 0.95.
        momentum, with_momentum: f64 = 0.95;
        /// Whether a step looks ahead by one gradient. Default: yes.
        nesterov, with_nesterov: bool = true;
        /// Iterations of Newton and Schulz. Default 5.
        ns_steps, with_ns_steps: usize = 5;
        /// The share, times the learning rate, by which parameters shrink in a step. Default 0.
        weight_decay, with_weight_decay: f64 = 0.0;
    }

    /// The settings of RMSprop.
    RmsPropConfig of RmsProp {
        /// How much of the mean of squares stays from step to step, in `0..1`. Default 0.99.
        alpha, with_alpha: f64 = 0.99;
        /// Added to the root of that mean. Default 1e-8.
        epsilon, with_epsilon: f64 = 1e-8;
        /// How much of the momentum stays from step to step, in `0..1`. Default 0.
        momentum, with_momentum: f64 = 0.0;
        /// Whether the mean of gradients is taken out of the squares. Default: no.
        centered, with_centered: bool = false;
        /// How many times the parameter is added to its gradient. Default 0.
        weight_decay, with_weight_decay: f64 = 0.0;
    }

    /// The settings of stochastic gradient descent.
    SgdConfig of Sgd {
        /// How much of the momentum stays from step to step, in `0..1`. Default 0.
        momentum, with_momentum: f64 = 0.0;
        /// Whether a step looks ahead by one gradient, which takes a momentum. Default: no.
        nesterov, with_nesterov: bool = false;
        /// How many times the parameter is added to its gradient. Default 0.
        weight_decay, with_weight_decay: f64 = 0.0;
    }
}

impl AdamWConfig {
    /// Sets how much of both means stays.
    #[must_use]
    pub fn with_betas(self, beta_1: f64, beta_2: f64) -> Self {
        self.with_beta_1(beta_1).with_beta_2(beta_2)
    }
}

impl OptimizerConfig {
    /// The weight decay.
    pub fn weight_decay(&self) -> f64 {
        match self {
            Self::AdamW(of) => of.weight_decay,
            Self::Adam(of) => of.weight_decay,
            Self::Adafactor(of) => of.weight_decay,
            Self::AdaGrad(of) => of.weight_decay,
            Self::Adan(of) => of.weight_decay,
            Self::Lamb(of) => of.weight_decay,
            Self::Lion(of) => of.weight_decay,
            Self::Muon(of) => of.weight_decay,
            Self::RmsProp(of) => of.weight_decay,
            Self::Sgd(of) => of.weight_decay,
        }
    }

    /// That each number is within its bounds.
    pub(super) fn check(&self) -> Result<()> {
        let shares: &[(&'static str, f64)] = &match self {
            Self::AdamW(of) => vec![("beta_1", of.beta_1), ("beta_2", of.beta_2)],
            Self::Adam(of) => vec![("beta_1", of.beta_1), ("beta_2", of.beta_2)],
            Self::Adafactor(_) | Self::AdaGrad(_) => Vec::new(),
            Self::Adan(of) => {
                vec![("beta_1", of.beta_1), ("beta_2", of.beta_2), ("beta_3", of.beta_3)]
            }
            Self::Lamb(of) => vec![("beta_1", of.beta_1), ("beta_2", of.beta_2)],
            Self::Lion(of) => vec![("beta_1", of.beta_1), ("beta_2", of.beta_2)],
            Self::Muon(of) => vec![("momentum", of.momentum)],
            Self::RmsProp(of) => vec![("alpha", of.alpha), ("momentum", of.momentum)],
            Self::Sgd(of) => vec![("momentum", of.momentum)],
        };
        for &(setting, value) in shares {
            within(setting, value, (0.0..1.0).contains(&value), "from 0 to below 1")?;
        }
        not_negative("weight_decay", self.weight_decay())?;
        match self {
            Self::AdamW(AdamWConfig { epsilon, .. })
            | Self::Adam(AdamConfig { epsilon, .. })
            | Self::AdaGrad(AdaGradConfig { epsilon, .. })
            | Self::Adan(AdanConfig { epsilon, .. })
            | Self::Lamb(LambConfig { epsilon, .. })
            | Self::RmsProp(RmsPropConfig { epsilon, .. }) => positive("epsilon", *epsilon)?,
            Self::Adafactor(of) => {
                positive("clip_threshold", of.clip_threshold)?;
                let rate = of.decay_rate;
                within("decay_rate", rate, rate.is_finite() && rate < 0.0, "a number below 0")?;
            }
            Self::Muon(of) => {
                let steps = of.ns_steps as f64;
                within("ns_steps", steps, (1.0..100.0).contains(&steps), "from 1 to 99")?;
            }
            Self::Sgd(of) => {
                let is = !of.nesterov || of.momentum > 0.0;
                within("momentum", of.momentum, is, "above 0 where `nesterov` is set")?;
            }
            Self::Lion(_) => {}
        }
        if let Self::AdaGrad(of) = self {
            not_negative("lr_decay", of.lr_decay)?;
        }
        Ok(())
    }
}
