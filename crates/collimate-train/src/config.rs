//! What is trained, and how.

mod check;
mod optimizer;
mod parts;

use collimate_peft::{LoraConfig, TargetModules};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Result, TrainError};
use crate::schedule::ScheduleConfig;

pub use check::CheckedConfig;
pub use optimizer::{
    AdaGradConfig, AdafactorConfig, AdamConfig, AdamWConfig, AdanConfig, LambConfig, LionConfig,
    MuonConfig, OptimizerConfig, RmsPropConfig, SgdConfig,
};
pub use parts::{
    Arrangement, CheckpointConfig, EarlyStopping, EvaluationConfig, Every, Method, NonFinite,
};

/// The settings of a run.
///
/// # Examples
///
/// ```
/// use collimate_train::TrainConfig;
///
/// let config = TrainConfig::default().with_batch_size(4).with_accumulation(2);
/// assert_eq!(config.clone().check()?.config(), &config);
/// // What a file says is laid over what is there.
/// let config = config.merged(&serde_json::json!({"schedule": {"kind": "cosine"}, "epochs": 1}))?;
/// assert_eq!((config.epochs, config.batch_size), (1.0, 4));
///
/// let error = config.with_batch_size(0).check().unwrap_err();
/// assert_eq!(error.to_string(), "batch_size is 0; it is at least 1");
/// # Ok::<(), collimate_train::TrainError>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TrainConfig {
    /// What is trained. Default: LoRA of rank 16, alpha 32 and dropout 0.05 on all linear modules.
    pub method: Method,
    /// How parameters follow their gradients. Default: AdamW without decay.
    pub optimizer: OptimizerConfig,
    /// The highest learning rate. Default 2e-4.
    pub learning_rate: f64,
    /// How the learning rate changes from step to step.
    pub schedule: ScheduleConfig,
    /// Rows, or packed sequences, that run together. Default 8.
    pub batch_size: usize,
    /// Batches whose gradients are added up to one step. Default 1.
    pub accumulation: usize,
    /// How often all rows are seen. Default 3.
    pub epochs: f64,
    /// Steps after which training ends, whatever the epochs say. Default: none.
    pub max_steps: Option<u64>,
    /// The gradient is shortened to this norm where it is longer; never without it. Default 1.
    pub max_grad_norm: Option<f64>,
    /// In which order rows come. Default: shuffled in each epoch.
    pub arrangement: Arrangement,
    /// Rows are packed into sequences of at most so many tokens. Default: they are not.
    pub pack: Option<usize>,
    /// Noise on embeddings (NEFTune, <https://arxiv.org/abs/2310.05914>): `alpha`. Default: none.
    pub neftune_alpha: Option<f64>,
    /// The share of the target's probability that is spread over the vocabulary, in `0..1`. Default 0.
    pub label_smoothing: f64,
    /// Whether the activations inside a layer are computed again in backward instead of kept: less
    /// memory, a third more work. Default: no.
    pub recompute: bool,
    /// What every random choice follows from. Default 42.
    pub seed: u64,
    /// When the model is evaluated, and what follows from that.
    pub evaluation: EvaluationConfig,
    /// When checkpoints are written, and which are kept.
    pub checkpoints: CheckpointConfig,
    /// What happens when a loss or a gradient is not finite. Default: training stops.
    pub non_finite: NonFinite,
    /// Every how many steps the history gets an entry. Default 1.
    pub logging_steps: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        let lora = LoraConfig::new(16)
            .with_alpha(32.0)
            .with_dropout(0.05)
            .with_targets(TargetModules::AllLinear);
        Self {
            method: Method::lora(lora),
            optimizer: OptimizerConfig::default(),
            learning_rate: 2e-4,
            schedule: ScheduleConfig::default(),
            batch_size: 8,
            accumulation: 1,
            epochs: 3.0,
            max_steps: None,
            max_grad_norm: Some(1.0),
            arrangement: Arrangement::default(),
            pack: None,
            neftune_alpha: None,
            label_smoothing: 0.0,
            recompute: false,
            seed: 42,
            evaluation: EvaluationConfig::default(),
            checkpoints: CheckpointConfig::default(),
            non_finite: NonFinite::default(),
            logging_steps: 1,
        }
    }
}

impl TrainConfig {
    /// Sets what is trained.
    #[must_use]
    pub fn with_method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Sets the optimizer.
    #[must_use]
    pub fn with_optimizer(mut self, optimizer: impl Into<OptimizerConfig>) -> Self {
        self.optimizer = optimizer.into();
        self
    }

    /// Sets the highest learning rate.
    #[must_use]
    pub fn with_learning_rate(mut self, learning_rate: f64) -> Self {
        self.learning_rate = learning_rate;
        self
    }

    /// Sets how the learning rate changes.
    #[must_use]
    pub fn with_schedule(mut self, schedule: ScheduleConfig) -> Self {
        self.schedule = schedule;
        self
    }

    /// Sets how many rows run together.
    #[must_use]
    pub fn with_batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Sets how many batches make a step.
    #[must_use]
    pub fn with_accumulation(mut self, accumulation: usize) -> Self {
        self.accumulation = accumulation;
        self
    }

    /// Sets how often all rows are seen.
    #[must_use]
    pub fn with_epochs(mut self, epochs: f64) -> Self {
        self.epochs = epochs;
        self
    }

    /// Sets the steps after which training ends.
    #[must_use]
    pub fn with_max_steps(mut self, max_steps: impl Into<Option<u64>>) -> Self {
        self.max_steps = max_steps.into();
        self
    }

    /// Sets the norm to which longer gradients are shortened.
    #[must_use]
    pub fn with_max_grad_norm(mut self, max_grad_norm: impl Into<Option<f64>>) -> Self {
        self.max_grad_norm = max_grad_norm.into();
        self
    }

    /// Sets the order of the rows.
    #[must_use]
    pub fn with_arrangement(mut self, arrangement: Arrangement) -> Self {
        self.arrangement = arrangement;
        self
    }

    /// Packs rows into sequences of at most so many tokens.
    #[must_use]
    pub fn with_pack(mut self, tokens: impl Into<Option<usize>>) -> Self {
        self.pack = tokens.into();
        self
    }

    /// Sets the noise on embeddings.
    #[must_use]
    pub fn with_neftune_alpha(mut self, alpha: impl Into<Option<f64>>) -> Self {
        self.neftune_alpha = alpha.into();
        self
    }

    /// Sets the label smoothing.
    #[must_use]
    pub fn with_label_smoothing(mut self, label_smoothing: f64) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }

    /// Sets whether activations are computed again.
    #[must_use]
    pub fn with_recompute(mut self, recompute: bool) -> Self {
        self.recompute = recompute;
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets when the model is evaluated.
    #[must_use]
    pub fn with_evaluation(mut self, evaluation: EvaluationConfig) -> Self {
        self.evaluation = evaluation;
        self
    }

    /// Sets when checkpoints are written.
    #[must_use]
    pub fn with_checkpoints(mut self, checkpoints: CheckpointConfig) -> Self {
        self.checkpoints = checkpoints;
        self
    }

    /// Sets what happens when a number is not finite.
    #[must_use]
    pub fn with_non_finite(mut self, non_finite: NonFinite) -> Self {
        self.non_finite = non_finite;
        self
    }

    /// Sets every how many steps the history gets an entry.
    #[must_use]
    pub fn with_logging_steps(mut self, logging_steps: u64) -> Self {
        self.logging_steps = logging_steps;
        self
    }

    /// These settings with those of an object laid over them, key by key and however deep
    /// (RFC 7396: `null` takes a key away, so that its default holds).
    ///
    /// # Errors
    ///
    /// [`TrainError::Settings`]: a key that is unknown, a value that can't be one.
    pub fn merged(&self, changes: &Value) -> Result<Self> {
        let failed = |source| TrainError::Settings { source };
        let mut all = serde_json::to_value(self).map_err(failed)?;
        lay_over(&mut all, changes);
        serde_json::from_value(all).map_err(failed)
    }
}

/// One value over another. How deep it goes is bounded by who read it: serde_json at 128.
fn lay_over(value: &mut Value, changes: &Value) {
    match (value, changes) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (key, change) in changes {
                // A choice by its name, with all as by default.
                let named = match change {
                    Value::String(name) if key == "optimizer" => Some(json!({name: {}})),
                    _ => None,
                };
                let change = named.as_ref().unwrap_or(change);
                let is_choice = ["method", "optimizer"].contains(&key.as_str());
                if change.is_null() {
                    fields.remove(key);
                } else if is_choice && !is_same_choice(fields.get(key), change) {
                    // The one takes the place of the other.
                    fields.insert(key.clone(), change.clone());
                } else {
                    lay_over(fields.entry(key).or_insert(Value::Null), change);
                }
            }
        }
        (value, changes) => *value = changes.clone(),
    }
}

fn is_same_choice(before: Option<&Value>, change: &Value) -> bool {
    let name = |value: &Value| value.as_object().and_then(|of| of.keys().next().cloned());
    before.and_then(name).is_some_and(|before| Some(before) == name(change))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_laid_over_one_another() {
        let config = TrainConfig::default().with_max_steps(250);
        let merged = config
            .merged(&json!({
                "method": {"lora": {"adapter": {"r": 4, "target_modules": ["q_proj"]}}},
                "max_steps": null,
                "evaluation": {"every": {"steps": 10}},
            }))
            .unwrap();
        let Method::Lora { adapter, .. } = &merged.method else { panic!("{merged:?}") };
        assert_eq!((adapter.r, adapter.lora_alpha), (4, 32.0));
        assert_eq!(merged.max_steps, None);
        assert_eq!(merged.evaluation.every, Some(Every::Steps(10)));
        assert_eq!(config.merged(&json!({})).unwrap(), config);
        let full = config.merged(&json!({"method": "full"})).unwrap();
        assert_eq!(full.method, Method::Full);
        let lora = full.merged(&serde_json::to_value(&config).unwrap()).unwrap();
        assert_eq!(lora, config);
        let lion = config.merged(&json!({"optimizer": "lion"})).unwrap();
        assert_eq!(lion.optimizer, LionConfig::default().into());
        let decay = lion.merged(&json!({"optimizer": {"lion": {"weight_decay": 0.5}}})).unwrap();
        let again = decay.merged(&json!({"optimizer": {"lion": {"beta_2": 0.5}}})).unwrap();
        let expected = LionConfig::default().with_weight_decay(0.5).with_beta_2(0.5);
        assert_eq!(again.optimizer, expected.into());
        assert_eq!(again.merged(&json!({"optimizer": "adamw"})).unwrap(), config);
        let error = config.merged(&json!({"lerning_rate": 1})).unwrap_err();
        assert!(crate::error::chain(&error).contains("lerning_rate"), "{error}");
    }
}
