//! The learning rate of each step.

use serde::{Deserialize, Serialize};

/// How the learning rate changes from step to step.
///
/// After a warm-up, in which it rises from 0 in a straight line, it goes on as [`ScheduleKind`] says:
/// each is equal to what transformers makes of the same name and numbers.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ScheduleConfig {
    /// How it goes on after the warm-up. Default: linear.
    pub kind: ScheduleKind,
    /// How long the warm-up takes. Default: no step.
    pub warmup: Warmup,
}

impl ScheduleConfig {
    /// Sets how it goes on after the warm-up.
    #[must_use]
    pub fn with_kind(mut self, kind: ScheduleKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets how long the warm-up takes.
    #[must_use]
    pub fn with_warmup(mut self, warmup: Warmup) -> Self {
        self.warmup = warmup;
        self
    }

    /// The factor of the learning rate in a step of a run, counted from 0.
    ///
    /// ```
    /// use collimate_train::{ScheduleConfig, Warmup};
    ///
    /// let schedule = ScheduleConfig::default().with_warmup(Warmup::Steps(2));
    /// assert_eq!([0, 1, 2, 3, 4].map(|step| schedule.factor(step, 4)), [0.0, 0.5, 1.0, 0.5, 0.0]);
    /// ```
    pub fn factor(&self, step: u64, steps: u64) -> f64 {
        let warmup = match self.warmup {
            Warmup::Steps(warmup) => warmup,
            Warmup::Ratio(ratio) => (steps as f64 * ratio).ceil() as u64,
        };
        if step < warmup {
            return step as f64 / warmup.max(1) as f64;
        }
        let after = steps.saturating_sub(warmup).max(1) as f64;
        match self.kind {
            ScheduleKind::Constant => 1.0,
            ScheduleKind::Linear => steps.saturating_sub(step) as f64 / after,
            ScheduleKind::Cosine => {
                let progress = (step - warmup) as f64 / after;
                (0.5 * (1.0 + (std::f64::consts::PI * progress).cos())).max(0.0)
            }
        }
    }
}

/// How the learning rate goes on after the warm-up.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScheduleKind {
    /// It stays.
    Constant,
    /// It falls to 0 in a straight line.
    #[default]
    Linear,
    /// It falls to 0 along half a wave of the cosine.
    Cosine,
}

/// How long the warm-up takes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Warmup {
    /// So many steps.
    Steps(u64),
    /// This share of all steps, rounded up.
    Ratio(f64),
}

impl Default for Warmup {
    fn default() -> Self {
        Self::Steps(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_what_they_are_in_transformers() {
        // get_*_schedule_with_warmup of 10 steps, 3 of them for the warm-up, at steps 0, 2, 3, 7, 9.
        let at = |kind, warmup| {
            let schedule = ScheduleConfig { kind, warmup };
            [0, 2, 3, 7, 9].map(|step| (schedule.factor(step, 10) * 1e6).round() / 1e6)
        };
        let warmup = Warmup::Steps(3);
        assert_eq!(at(ScheduleKind::Constant, warmup), [0.0, 0.666667, 1.0, 1.0, 1.0]);
        assert_eq!(at(ScheduleKind::Linear, warmup), [0.0, 0.666667, 1.0, 0.428571, 0.142857]);
        assert_eq!(at(ScheduleKind::Cosine, warmup), [0.0, 0.666667, 1.0, 0.38874, 0.049516]);
        assert_eq!(
            at(ScheduleKind::Linear, Warmup::Ratio(0.21)),
            at(ScheduleKind::Linear, warmup),
            "a ratio is rounded up"
        );
        // Beyond the end, and a warm-up that is longer than the run.
        assert_eq!(ScheduleConfig::default().factor(11, 10), 0.0);
        let long = ScheduleConfig::default().with_warmup(Warmup::Steps(20));
        assert_eq!((long.factor(9, 10), long.factor(20, 10)), (0.45, 0.0));
    }
}
