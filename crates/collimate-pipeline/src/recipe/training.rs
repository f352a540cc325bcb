use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::section::{section, words};
use super::values::{Every, Targets};

section! {
    /// What of a model is trained.
    MethodRecipe {
        /// Low-rank matrices beside the model's own, or all parameters. Default `lora`; all other fields
        /// here are for `lora`.
        kind, with_kind: MethodKind = MethodKind::default();
        /// Rank of the update, 1 to 65536. Default 16.
        rank, with_rank: u32 = 16;
        /// The update is multiplied by `alpha / rank`. Default 32.
        alpha, with_alpha: f64 = 32.0;
        /// Probability of dropping an input of the adapter, from 0 to below 1. Default 0.05.
        dropout, with_dropout: f64 = 0.05;
        /// Which modules are adapted: `all-linear`, a list of names, or a regular expression for whole names.
        /// Default `all-linear`.
        targets, with_targets: Targets = Targets::AllLinear;
        /// Modules that are trained and saved whole. Default: none.
        modules_to_save, with_modules_to_save: Vec<String> = Vec::new();
        /// Whether the update is multiplied by `alpha / √rank` instead
        /// (rank-stabilized LoRA, <https://arxiv.org/abs/2312.03732>). Default: no.
        rslora, with_rslora: bool = false;
        /// Whether the magnitude of the weights is trained apart from their direction
        /// (DoRA, <https://arxiv.org/abs/2402.09353>). Default: no.
        dora, with_dora: bool = false;
        /// How the matrices begin. Default `default`.
        init, with_init: Initialization = Initialization::default();
        /// How many times the learning rate of A B has (LoRA+, <https://arxiv.org/abs/2402.12354>). Default 1.
        learning_rate_ratio, with_learning_rate_ratio: f64 = 1.0;
    }
}

words! {
    /// What of a model is trained.
    MethodKind {
        /// Low-rank matrices beside the model's own.
        #[default]
        Lora,
        /// All parameters.
        Full,
    }
}

words! {
    /// How low-rank matrices begin.
    Initialization {
        /// A as PEFT draws it, B zero.
        #[default]
        Default,
        /// A from a normal distribution, B zero.
        Gaussian,
        /// The principal singular vectors of the weights (PiSSA, <https://arxiv.org/abs/2404.02948>).
        Pissa,
    }
}

section! {
    /// How a model is trained.
    TrainingRecipe {
        /// The highest learning rate. Default 2e-4.
        learning_rate, with_learning_rate: f64 = 2e-4;
        /// How the learning rate goes on after the warm-up. Default `linear`.
        schedule, with_schedule: Schedule = Schedule::default();
        /// Steps in which the learning rate rises from 0. Default 0; excludes `warmup_ratio`.
        warmup_steps, with_warmup_steps: Option<u64> = None;
        /// The share of all steps in which the learning rate rises from 0. Default: none; excludes
        /// `warmup_steps`.
        warmup_ratio, with_warmup_ratio: Option<f64> = None;
        /// How often all rows are seen. Default 3.
        epochs, with_epochs: f64 = 3.0;
        /// Steps after which training ends, where the epochs don't end before. Default: none.
        max_steps, with_max_steps: Option<u64> = None;
        /// Rows, or packed sequences, that run together. Default 8.
        batch_size, with_batch_size: usize = 8;
        /// Batches whose gradients are added up to one step. Default 1.
        accumulation, with_accumulation: usize = 1;
        /// The gradient is shortened to this norm where it is longer; 0 is never. Default 1.
        max_grad_norm, with_max_grad_norm: f64 = 1.0;
        /// In which order rows come: `sequential`, `shuffled`, or `{by_length: N}`, where among N shuffled rows
        /// those of about the same length come together. Default `shuffled`.
        arrangement, with_arrangement: Arrangement = Arrangement::default();
        /// How parameters follow their gradients. Default `adamw`.
        optimizer, with_optimizer: Optimizer = Optimizer::default();
        /// How much parameters shrink in a step. Default 0.
        weight_decay, with_weight_decay: f64 = 0.0;
        /// How much of the mean of gradients stays from step to step, in `0..1`; not for `adafactor`,
        /// `adagrad`, `muon`, `rmsprop` and `sgd`. Default: the optimizer's.
        beta_1, with_beta_1: Option<f64> = None;
        /// How much of the mean of their squares stays, in `0..1`; for the optimizers that have `beta_1`.
        /// Default: the optimizer's.
        beta_2, with_beta_2: Option<f64> = None;
        /// Added to what updates are divided by; not for `adafactor`, `lion`, `muon` and `sgd`. Default: the
        /// optimizer's.
        epsilon, with_epsilon: Option<f64> = None;
        /// How much of the momentum stays from step to step, in `0..1`; for `muon`, `rmsprop` and `sgd`.
        /// Default: the optimizer's.
        momentum, with_momentum: Option<f64> = None;
        /// Noise on embeddings (NEFTune, <https://arxiv.org/abs/2310.05914>). Default: none.
        neftune_alpha, with_neftune_alpha: Option<f64> = None;
        /// The share of the target's probability that is spread over the vocabulary, from 0 to below 1.
        /// Default 0.
        label_smoothing, with_label_smoothing: f64 = 0.0;
        /// Whether activations are computed again in backward instead of kept. Default: no.
        recompute, with_recompute: bool = false;
        /// How often the held-out rows are measured while training: a number of steps, `epoch` or `never`.
        /// Default `epoch`; `never` where no rows are held out.
        evaluate_every, with_evaluate_every: Every = Every::Epoch;
        /// Whether the result is the model with the least loss on held-out rows instead of the last one.
        /// Default: no.
        keep_best, with_keep_best: bool = false;
        /// Training ends after so many measurements in a row that are no better. Default: never.
        patience, with_patience: Option<u32> = None;
        /// How much less loss is better. Default 0; only with `patience`.
        threshold, with_threshold: f64 = 0.0;
        /// How often checkpoints are written: a number of steps, `epoch` or `never`. Default `epoch`.
        checkpoint_every, with_checkpoint_every: Every = Every::Epoch;
        /// How many of the latest checkpoints are kept. Default 2.
        keep_last, with_keep_last: usize = 2;
        /// What happens when a loss or a gradient is not finite: `stop`, or `{skip: N}`, where up to N steps are
        /// left out and counted. Default `stop`.
        non_finite, with_non_finite: NonFinite = NonFinite::default();
        /// Every how many steps the history gets an entry. Default 1.
        logging_steps, with_logging_steps: u64 = 1;
    }
}

words! {
    /// How the learning rate goes on after the warm-up.
    Schedule {
        /// It stays.
        Constant,
        /// It falls to 0 in a straight line.
        #[default]
        Linear,
        /// It falls to 0 along half a wave of the cosine.
        Cosine,
    }
}

/// In which order rows, or packed sequences, come.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Arrangement {
    /// As they are.
    Sequential,
    /// Shuffled in each epoch.
    #[default]
    Shuffled,
    /// Shuffled in each epoch, and among so many shuffled rows those of about the same length together.
    ByLength(usize),
}

/// What happens when a loss or a gradient is not finite.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NonFinite {
    /// Training stops with an error.
    #[default]
    Stop,
    /// The step changes nothing and is counted; after more than so many of them training stops.
    Skip(u64),
}

/// How parameters follow their gradients.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Optimizer {
    /// Decoupled decay.
    #[default]
    AdamW,
    /// Decay as a part of the gradient.
    Adam,
    /// Squared gradients remembered by row and column.
    Adafactor,
    /// All squared gradients added up.
    AdaGrad,
    /// Nesterov momentum without a second gradient.
    Adan,
    /// Steps in proportion to the norm of the parameter.
    Lamb,
    /// The sign of a momentum.
    Lion,
    /// Momentum made orthogonal.
    Muon,
    /// Divided by a running mean of squares.
    RmsProp,
    /// The gradient itself.
    Sgd,
}
