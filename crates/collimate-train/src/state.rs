//! What a run knows of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::{Every, TrainConfig};

/// What a run has come to: how far it is, and what it saw on its way.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TrainState {
    /// Steps that were made.
    pub step: u64,
    /// Steps among them that changed nothing, because a number was not finite.
    pub skipped: u64,
    /// Tokens that were seen, without padding.
    pub tokens: u64,
    /// The losses, measures and learning rates of the steps, as transformers has them in
    /// `log_history`.
    pub log_history: Vec<Map<String, Value>>,
    /// The best evaluation.
    pub best: Option<Best>,
    /// Evaluations in a row that were no better than the best one before them.
    pub stale: u32,
    /// Whether the last step was to be evaluated and hasn't been.
    pub(crate) unsettled: bool,
    /// The losses since the last entry of the history.
    pub(crate) unlogged: Vec<f64>,
}

/// The best evaluation of a run.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Best {
    /// After how many steps it was.
    pub step: u64,
    /// What was measured.
    pub metric: f64,
}

impl TrainState {
    /// Notes the loss of a step that was made, and writes an entry of the history where one is due.
    pub(crate) fn log(
        &mut self,
        config: &TrainConfig,
        epoch: f64,
        values: [(&str, f64); 2],
        loss: f64,
    ) {
        self.unlogged.push(rounded(loss));
        if !self.step.is_multiple_of(config.logging_steps) {
            return;
        }
        let mean = self.unlogged.iter().sum::<f64>() / self.unlogged.len() as f64;
        self.unlogged.clear();
        let mut entry = Map::new();
        entry.insert("epoch".to_owned(), json!(rounded(epoch)));
        entry.insert("loss".to_owned(), json!(rounded(mean)));
        entry.extend(values.map(|(key, value)| (key.to_owned(), json!(rounded(value)))));
        entry.insert("step".to_owned(), json!(self.step));
        self.log_history.push(sorted(entry));
    }

    /// Notes an evaluation; whether it is the best so far.
    ///
    /// As in transformers: what is better by no more than the threshold is the best, and yet no reason to
    /// go on.
    pub(crate) fn evaluated(
        &mut self,
        config: &TrainConfig,
        epoch: f64,
        metrics: &BTreeMap<String, f64>,
        metric: f64,
    ) -> bool {
        let mut entry: Map<String, Value> =
            metrics.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        entry.insert("epoch".to_owned(), json!(rounded(epoch)));
        entry.insert("step".to_owned(), json!(self.step));
        self.log_history.push(sorted(entry));
        let gain = self.best.map(|best| {
            if config.evaluation.greater_is_better {
                metric - best.metric
            } else {
                best.metric - metric
            }
        });
        let threshold = config.evaluation.early_stopping.map_or(0.0, |stopping| stopping.threshold);
        // A number that is none is no gain.
        let is_best = metric.is_finite() && gain.is_none_or(|gain| gain > 0.0);
        if is_best && gain.is_none_or(|gain| gain > threshold) {
            self.stale = 0;
        } else {
            self.stale = self.stale.saturating_add(1);
        }
        if is_best {
            self.best = Some(Best { step: self.step, metric });
        }
        is_best
    }

    /// Whether the model got no better for too long.
    pub(crate) fn is_stale(&self, config: &TrainConfig) -> bool {
        config.evaluation.early_stopping.is_some_and(|stopping| self.stale >= stopping.patience)
    }

    /// The file `trainer_state.json`, with the keys that transformers reads and writes.
    pub(crate) fn for_transformers(&self, config: &TrainConfig, steps: u64, epoch: f64) -> Value {
        let every = |every: Option<Every>| match every {
            Some(Every::Steps(steps)) => json!(steps),
            _ => Value::Null,
        };
        let best = self.best.map(|best| format!("checkpoint-{}", best.step));
        json!({
            "best_global_step": self.best.map(|best| best.step),
            "best_metric": self.best.map(|best| best.metric),
            "best_model_checkpoint": best,
            "epoch": rounded(epoch),
            "eval_steps": every(config.evaluation.every),
            "global_step": self.step,
            "is_hyper_param_search": false,
            "is_local_process_zero": true,
            "is_world_process_zero": true,
            "log_history": self.log_history,
            "logging_steps": config.logging_steps,
            "max_steps": steps,
            "num_input_tokens_seen": self.tokens,
            "num_train_epochs": config.epochs.ceil(),
            "save_steps": every(config.checkpoints.every),
            "stateful_callbacks": {},
            "total_flos": 0.0,
            "train_batch_size": config.batch_size,
            "trial_name": null,
            "trial_params": null,
        })
    }
}

/// A number with ten digits: so many come back from a file as they were, and more say nothing.
pub(crate) fn rounded(number: f64) -> f64 {
    // What Rust prints it reads.
    format!("{number:.9e}").parse().unwrap_or(number)
}

/// The same keys in their order.
fn sorted(entry: Map<String, Value>) -> Map<String, Value> {
    let entry: BTreeMap<String, Value> = entry.into_iter().collect();
    entry.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{EarlyStopping, EvaluationConfig};

    fn config(stopping: EarlyStopping, greater_is_better: bool) -> TrainConfig {
        let evaluation = EvaluationConfig::default()
            .with_every(Every::Epoch)
            .with_metric("eval_loss", greater_is_better)
            .with_early_stopping(stopping);
        TrainConfig::default().with_evaluation(evaluation)
    }

    /// After how many evaluations it stops, and which was the best.
    fn stops(config: &TrainConfig, metrics: &[f64]) -> (Option<usize>, u64) {
        let mut state = TrainState::default();
        for (at, &metric) in metrics.iter().enumerate() {
            state.step = at as u64;
            state.evaluated(config, 0.0, &BTreeMap::new(), metric);
            if state.is_stale(config) {
                return (Some(at), state.best.unwrap().step);
            }
        }
        (None, state.best.unwrap().step)
    }

    #[test]
    fn training_stops_where_the_model_gets_no_better() {
        let plain = config(EarlyStopping::new(2), false);
        assert_eq!(stops(&plain, &[3.0, 2.0, 2.5, 2.1, 1.0]), (Some(3), 1));
        assert_eq!(stops(&plain, &[3.0, 2.0, 2.5, 1.9, 2.0, f64::NAN]), (Some(5), 3));
        assert_eq!(stops(&plain, &[3.0, 4.0, 2.0, 4.0, 1.0]), (None, 4));
        let greater = config(EarlyStopping::new(2), true);
        assert_eq!(stops(&greater, &[3.0, 2.0, 2.5, 9.0]), (Some(2), 0));
    }

    #[test]
    fn a_gain_below_the_threshold_is_the_best_but_no_reason_to_go_on() {
        let config = config(EarlyStopping::new(2).with_threshold(0.5), false);
        assert_eq!(stops(&config, &[3.0, 2.8, 2.6, 2.0]), (Some(2), 2));
        assert_eq!(stops(&config, &[3.0, 2.8, 2.2, 2.1, 1.5]), (None, 4));
    }

    #[test]
    fn entries_have_the_mean_of_the_steps_since_the_last_one() {
        let config = TrainConfig::default().with_logging_steps(2);
        let mut state = TrainState::default();
        for loss in [4.0, 2.0, 1.0] {
            state.step += 1;
            state.log(&config, 0.5, [("grad_norm", 1.0), ("learning_rate", 0.1)], loss);
        }
        let expected = r#"[{"epoch":0.5,"grad_norm":1.0,"learning_rate":0.1,"loss":3.0,"step":2}]"#;
        assert_eq!(serde_json::to_string(&state.log_history).unwrap(), expected);
        assert_eq!(state.unlogged, [1.0]);
    }
}
