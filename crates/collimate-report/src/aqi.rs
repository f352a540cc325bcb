//! The Alignment Quality Index of two models, and its controls.

use std::collections::{BTreeMap, BTreeSet};

use collimate_aqi as index;
use serde::{Deserialize, Serialize};

use crate::measure::{Better, Estimate, Measure};

/// AQI-S of both models: overall, by axiom and by layer, with controls.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AqiComparison {
    /// Of all probes.
    pub overall: Measure,
    /// Of the probes of each axiom.
    #[serde(default)]
    pub axioms: Vec<Measure>,
    /// Of each layer, by its number.
    #[serde(default)]
    pub layers: BTreeMap<usize, Measure>,
    /// What separates the classes without any alignment.
    #[serde(default)]
    pub controls: Vec<Control>,
}

impl AqiComparison {
    /// A comparison of all probes together.
    #[must_use]
    pub fn new(overall: Measure) -> Self {
        Self { overall, ..Self::default() }
    }

    /// What two evaluations and their paired difference found: overall, and for each axiom that one
    /// of the two has, without differences of axioms.
    #[must_use]
    pub fn from_reports(
        before: &index::Report,
        after: &index::Report,
        change: Option<&index::Delta>,
    ) -> Self {
        let of = |report: &index::Report, axiom: &str| {
            report
                .axioms
                .iter()
                .find(|found| found.axiom == axiom)
                .map(|found| found.outcome.clone())
        };
        let names: BTreeSet<&str> = [before, after]
            .into_iter()
            .flat_map(|report| report.axioms.iter().map(|axiom| axiom.axiom.as_str()))
            .collect();
        let axioms = names.into_iter().map(|name| {
            let mut measure = Measure::new(name).with_better(Better::Higher);
            for (outcome, slot) in
                [(of(before, name), &mut measure.before), (of(after, name), &mut measure.after)]
            {
                match outcome {
                    Some(index::Outcome::Report(report)) => *slot = Estimate::of_aqi(&report),
                    Some(index::Outcome::Skipped(why)) => measure.absent = Some(why),
                    _ => {}
                }
            }
            measure
        });
        let axioms = axioms.collect();
        let overall = Measure::of_aqi("AQI-S", Some(before), Some(after), change);
        Self { overall, axioms, ..Self::default() }
    }
}

impl Measure {
    /// AQI-S of two evaluations and their paired difference.
    #[must_use]
    pub fn of_aqi(
        name: impl Into<String>,
        before: Option<&index::Report>,
        after: Option<&index::Report>,
        change: Option<&index::Delta>,
    ) -> Self {
        Self {
            before: before.and_then(Estimate::of_aqi),
            after: after.and_then(Estimate::of_aqi),
            change: change.map(Estimate::of_delta),
            ..Self::new(name).with_better(Better::Higher)
        }
    }
}

impl Estimate {
    /// AQI-S with its interval, the p-value of the permutation test and the rows of the smaller
    /// class; `None` where a class has a single row.
    #[must_use]
    pub fn of_aqi(report: &index::Report) -> Option<Self> {
        Some(Self {
            value: report.aqi_s?,
            interval: report.aqi_s_ci95,
            p_value: report.p_value,
            n: report.n_per_class.values().min().copied(),
        })
    }

    /// A paired difference, after less before, times 100: that of AQI-S before it is clipped at
    /// zero, which is what the interval and the p-value belong to.
    #[must_use]
    pub fn of_delta(delta: &index::Delta) -> Self {
        let sign = match delta.sign {
            index::DeltaSign::BeforeMinusAfter => -100.0,
            _ => 100.0,
        };
        let (a, b) = (sign * delta.lower, sign * delta.upper);
        Self {
            value: sign * delta.delta,
            interval: Some([a.min(b), a.max(b)]),
            p_value: Some(delta.p_value),
            n: Some(delta.paired_rows),
        }
    }
}

/// What a control is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ControlKind {
    /// The embedding layer: what the words of the prompts alone tell.
    EmbeddingLayer,
    /// A model of the same shape with random weights.
    RandomTwin,
    /// The model's own hidden states under labels that were shuffled.
    ShuffledLabels,
    /// Another one, by name.
    Other(String),
}

/// Which of the two models.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Side {
    /// The model before.
    Before,
    /// The model after.
    After,
}

/// AQI-S of something that can't be aligned, to compare a model's with.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Control {
    /// What it is.
    pub kind: ControlKind,
    /// The model that it belongs to.
    pub side: Side,
    /// Its AQI-S.
    pub score: Estimate,
    /// The model's AQI-S less the control's, paired by prompt, where it was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excess: Option<Estimate>,
}

impl Control {
    /// A control and its score.
    #[must_use]
    pub const fn new(kind: ControlKind, side: Side, score: Estimate) -> Self {
        Self { kind, side, score, excess: None }
    }

    /// Sets by how much the model exceeds it, paired by prompt.
    #[must_use]
    pub fn with_excess(self, excess: Estimate) -> Self {
        Self { excess: Some(excess), ..self }
    }
}

impl ControlKind {
    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::EmbeddingLayer => "Embedding layer",
            Self::RandomTwin => "Randomly initialised twin",
            Self::ShuffledLabels => "Shuffled labels",
            Self::Other(name) => name,
        }
    }
}

impl Side {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}
