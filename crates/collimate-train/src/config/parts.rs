use collimate_peft::LoraConfig;
use serde::{Deserialize, Serialize};

/// What is trained.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// Low-rank matrices beside the model's own, and the modules that are to be trained whole.
    Lora {
        /// The adapter, as PEFT describes it. `init_lora_weights` may be true, false, `gaussian` or
        /// `pissa`, after which the result is converted to an adapter of twice the rank that belongs to
        /// the model as it is.
        adapter: Box<LoraConfig>,
        /// How many times the learning rate of A, which is [`learning_rate`](super::TrainConfig), B has
        /// (LoRA+, <https://arxiv.org/abs/2402.12354>). Default 1.
        #[serde(default = "one")]
        learning_rate_ratio: f64,
    },
    /// All parameters.
    Full,
}

impl Method {
    /// An adapter whose matrices have the same learning rate.
    pub fn lora(adapter: LoraConfig) -> Self {
        Self::Lora { adapter: Box::new(adapter), learning_rate_ratio: 1.0 }
    }
}

/// In which order rows, or packed sequences, come.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Arrangement {
    /// As they are.
    Sequential,
    /// Shuffled in each epoch.
    #[default]
    Shuffled,
    /// Shuffled in each epoch, and among so many shuffled rows those of about the same length together:
    /// less padding.
    ByLength(usize),
}

/// How often something happens.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Every {
    /// After so many steps.
    Steps(u64),
    /// After each epoch.
    Epoch,
}

/// When the model is evaluated, and what follows from that.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EvaluationConfig {
    /// How often; after the last step in any case. Default: never.
    pub every: Option<Every>,
    /// Which of the measures tells how good the model is. Default `eval_loss`, the mean negative
    /// log-likelihood of the validation rows' trained tokens; others are those of the caller's evaluator.
    pub metric: String,
    /// Whether more of it is better. Default: no.
    pub greater_is_better: bool,
    /// Whether the result is the best model instead of the last one. Default: no.
    pub keep_best: bool,
    /// When to stop before the end. Default: never.
    pub early_stopping: Option<EarlyStopping>,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            every: None,
            metric: "eval_loss".to_owned(),
            greater_is_better: false,
            keep_best: false,
            early_stopping: None,
        }
    }
}

impl EvaluationConfig {
    /// Sets how often.
    #[must_use]
    pub fn with_every(mut self, every: impl Into<Option<Every>>) -> Self {
        self.every = every.into();
        self
    }

    /// Sets the measure that tells how good the model is, and whether more of it is better.
    #[must_use]
    pub fn with_metric(mut self, metric: impl Into<String>, greater_is_better: bool) -> Self {
        self.metric = metric.into();
        self.greater_is_better = greater_is_better;
        self
    }

    /// Sets whether the result is the best model instead of the last one.
    #[must_use]
    pub fn with_keep_best(mut self, keep_best: bool) -> Self {
        self.keep_best = keep_best;
        self
    }

    /// Stops before the end where the model gets no better.
    #[must_use]
    pub fn with_early_stopping(mut self, early_stopping: impl Into<Option<EarlyStopping>>) -> Self {
        self.early_stopping = early_stopping.into();
        self
    }
}

/// When to stop before the end.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EarlyStopping {
    /// After so many evaluations in a row that are no better than the best one before them.
    pub patience: u32,
    /// How much better is better. Default 0.
    #[serde(default)]
    pub threshold: f64,
}

impl EarlyStopping {
    /// After so many evaluations that are no better.
    pub fn new(patience: u32) -> Self {
        Self { patience, threshold: 0.0 }
    }

    /// Sets how much better is better.
    #[must_use]
    pub fn with_threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }
}

/// When checkpoints are written, and which are kept.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CheckpointConfig {
    /// How often. Default: after each epoch.
    pub every: Option<Every>,
    /// How many of the latest are kept, beside the best one. Default 2.
    pub keep_last: Option<usize>,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { every: Some(Every::Epoch), keep_last: Some(2) }
    }
}

impl CheckpointConfig {
    /// Sets how often.
    #[must_use]
    pub fn with_every(mut self, every: impl Into<Option<Every>>) -> Self {
        self.every = every.into();
        self
    }

    /// Sets how many of the latest are kept; all of them without a number.
    #[must_use]
    pub fn with_keep_last(mut self, keep_last: impl Into<Option<usize>>) -> Self {
        self.keep_last = keep_last.into();
        self
    }
}

/// What happens when a loss or a gradient is not finite.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NonFinite {
    /// Training stops with an error that names the step and its rows.
    #[default]
    Stop,
    /// The step changes nothing and is counted; after more than so many of them training stops.
    Skip(u64),
}

fn one() -> f64 {
    1.0
}
