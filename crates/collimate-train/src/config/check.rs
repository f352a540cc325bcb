use collimate_peft::{Bias, InitLoraWeights, LoraConfig};

use super::{Arrangement, Every, Method, TrainConfig};
use crate::error::{Result, TrainError};
use crate::order::Order;
use crate::schedule::Warmup;

/// Settings without contradictions. Made by [`TrainConfig::check`].
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedConfig {
    config: TrainConfig,
}

impl CheckedConfig {
    /// The settings.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Steps of a run over rows of these lengths in tokens.
    ///
    /// # Errors
    ///
    /// [`TrainError::Data`]: a row is longer than a packed sequence.
    pub fn steps(&self, lengths: &[usize]) -> Result<u64> {
        Ok(Order::new(&self.config, lengths)?.steps(&self.config))
    }
}

impl TrainConfig {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`]: a value out of its range, settings that contradict one another, or what
    /// is not trained here; [`TrainError::Peft`].
    pub fn check(self) -> Result<CheckedConfig> {
        self.check_numbers()?;
        self.check_counts()?;
        self.check_together()?;
        if let Method::Lora { adapter, learning_rate_ratio } = &self.method {
            check_adapter(adapter)?;
            positive("learning_rate_ratio", *learning_rate_ratio)?;
        }
        Ok(CheckedConfig { config: self })
    }

    fn check_numbers(&self) -> Result<()> {
        self.optimizer.check()?;
        not_negative("learning_rate", self.learning_rate)?;
        positive("epochs", self.epochs)?;
        if let Some(norm) = self.max_grad_norm {
            positive("max_grad_norm", norm)?;
        }
        if let Some(alpha) = self.neftune_alpha {
            not_negative("neftune_alpha", alpha)?;
        }
        let smoothing = self.label_smoothing;
        within("label_smoothing", smoothing, (0.0..1.0).contains(&smoothing), "from 0 to below 1")?;
        if let Warmup::Ratio(ratio) = self.schedule.warmup {
            within("warmup", ratio, (0.0..=1.0).contains(&ratio), "a ratio from 0 to 1")?;
        }
        if let Some(stopping) = self.evaluation.early_stopping {
            not_negative("threshold", stopping.threshold)?;
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<()> {
        let every = |every: Option<Every>| match every {
            Some(Every::Steps(steps)) => Some(steps),
            _ => None,
        };
        let window = match self.arrangement {
            Arrangement::ByLength(window) => Some(window as u64),
            _ => None,
        };
        let counts = [
            ("batch_size", Some(self.batch_size as u64)),
            ("accumulation", Some(self.accumulation as u64)),
            ("max_steps", self.max_steps),
            ("logging_steps", Some(self.logging_steps)),
            ("arrangement", window),
            ("evaluation.every", every(self.evaluation.every)),
            ("checkpoints.every", every(self.checkpoints.every)),
            ("checkpoints.keep_last", self.checkpoints.keep_last.map(|count| count as u64)),
            ("patience", self.evaluation.early_stopping.map(|s| u64::from(s.patience))),
        ];
        match counts.into_iter().find(|(_, count)| *count == Some(0)) {
            Some((setting, _)) => wrong(setting, "is 0; it is at least 1"),
            None => Ok(()),
        }
    }

    fn check_together(&self) -> Result<()> {
        let evaluation = &self.evaluation;
        if evaluation.every.is_none() {
            if evaluation.early_stopping.is_some() {
                return wrong(
                    "early_stopping",
                    "is set, but `evaluation.every` is not: nothing would tell when to stop",
                );
            }
            if evaluation.keep_best {
                return wrong(
                    "keep_best",
                    "is set, but `evaluation.every` is not: nothing would tell which is the best",
                );
            }
        }
        if self.pack.is_some() && matches!(self.arrangement, Arrangement::ByLength(_)) {
            return wrong(
                "arrangement",
                "is by length, but rows are packed: sequences are all about equally long; choose one of the two",
            );
        }
        match self.pack {
            Some(0..2) => wrong(
                "pack",
                "is below 2: a row needs 2 tokens, as the first one is never predicted",
            ),
            _ => Ok(()),
        }
    }
}

/// That nothing of an adapter would be left untrained, or be other than PEFT's.
fn check_adapter(adapter: &LoraConfig) -> Result<()> {
    adapter.check().map_err(|error| TrainError::Peft(error.into()))?;
    if adapter.bias != Bias::None {
        return wrong(
            "bias",
            "of an adapter can only be `none`: other biases are not trained here",
        );
    }
    if adapter.lora_bias {
        return wrong(
            "lora_bias",
            "of an adapter can only be false: biases of B are not trained here",
        );
    }
    let is_pissa = match &adapter.init_lora_weights {
        InitLoraWeights::Flag(_) => false,
        InitLoraWeights::Named(name) if name.eq_ignore_ascii_case("gaussian") => false,
        InitLoraWeights::Named(name) if name.eq_ignore_ascii_case("pissa") => true,
        _ => {
            return wrong(
                "init_lora_weights",
                "can be true, false, `gaussian` or `pissa`: no other initialisation is computed here",
            );
        }
    };
    let has_patterns = !adapter.rank_pattern.is_empty() || !adapter.alpha_pattern.is_empty();
    if is_pissa && adapter.use_dora {
        return wrong(
            "init_lora_weights",
            "can't be `pissa` with `use_dora`: what is left of the weights has another magnitude",
        );
    }
    if is_pissa && adapter.use_rslora && has_patterns {
        return wrong(
            "init_lora_weights",
            "can't be `pissa` with `use_rslora` and patterns of ranks or alphas: there is no adapter of twice the rank with the same scales",
        );
    }
    Ok(())
}

pub(super) fn positive(setting: &'static str, value: f64) -> Result<()> {
    within(setting, value, value.is_finite() && value > 0.0, "a number above 0")
}

pub(super) fn not_negative(setting: &'static str, value: f64) -> Result<()> {
    within(setting, value, value.is_finite() && value >= 0.0, "a number not below 0")
}

pub(super) fn within(setting: &'static str, value: f64, is: bool, expected: &str) -> Result<()> {
    if is { Ok(()) } else { wrong(setting, &format!("is {value}; it is {expected}")) }
}

fn wrong<T>(setting: &'static str, message: &str) -> Result<T> {
    Err(TrainError::Setting { setting, message: message.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        AdafactorConfig, AdamWConfig, CheckpointConfig, EarlyStopping, EvaluationConfig,
        MuonConfig, SgdConfig,
    };
    use crate::schedule::ScheduleConfig;

    fn refused(config: TrainConfig) -> String {
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn values_out_of_range_are_named() {
        let config = TrainConfig::default;
        let cases = [
            (config().with_accumulation(0), "accumulation is 0; it is at least 1"),
            (config().with_max_steps(0), "max_steps is 0"),
            (config().with_epochs(f64::NAN), "epochs is NaN"),
            (config().with_learning_rate(-1.0), "learning_rate is -1"),
            (config().with_max_grad_norm(0.0), "max_grad_norm is 0"),
            (config().with_label_smoothing(1.0), "label_smoothing is 1"),
            (config().with_pack(1), "pack is below 2"),
            (config().with_arrangement(Arrangement::ByLength(0)), "arrangement is 0"),
            (
                config().with_checkpoints(CheckpointConfig::default().with_keep_last(0)),
                "checkpoints.keep_last is 0",
            ),
            (config().with_optimizer(AdamWConfig::default().with_betas(0.9, 1.0)), "beta_2 is 1"),
            (
                config().with_optimizer(SgdConfig::default().with_nesterov(true)),
                "momentum is 0; it is above 0 where `nesterov` is set",
            ),
            (
                config().with_optimizer(AdafactorConfig::default().with_decay_rate(0.8)),
                "decay_rate is 0.8; it is a number below 0",
            ),
            (config().with_optimizer(MuonConfig::default().with_ns_steps(0)), "ns_steps is 0"),
            (
                config().with_schedule(ScheduleConfig::default().with_warmup(Warmup::Ratio(1.5))),
                "warmup is 1.5",
            ),
        ];
        for (config, expected) in cases {
            let found = refused(config);
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn contradictions_are_errors() {
        let evaluation = EvaluationConfig::default();
        let config = TrainConfig::default;
        let stopping = evaluation.clone().with_early_stopping(EarlyStopping::new(2));
        assert!(refused(config().with_evaluation(stopping)).starts_with("early_stopping is set"));
        let best = evaluation.with_keep_best(true);
        assert!(refused(config().with_evaluation(best)).starts_with("keep_best is set"));
        let packed = config().with_pack(64).with_arrangement(Arrangement::ByLength(10));
        assert!(refused(packed).contains("choose one"));
        let lora = |adapter: LoraConfig| config().with_method(Method::lora(adapter));
        let adapter = || LoraConfig::new(2).with_target_modules(["q_proj"]);
        assert!(refused(lora(adapter().with_bias(Bias::All))).starts_with("bias"));
        let init = |name: &str| InitLoraWeights::Named(name.to_owned());
        assert!(refused(lora(adapter().with_init(init("olora")))).starts_with("init_lora"));
        let dora = adapter().with_init(init("PiSSA")).with_dora(true);
        assert!(refused(lora(dora)).contains("use_dora"));
        assert!(lora(adapter().with_init(init("pissa"))).check().is_ok());
    }
}
