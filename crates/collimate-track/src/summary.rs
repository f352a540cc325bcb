use rusqlite::{Row, named_params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::column;
use crate::database::{Attempt, Change, Database};
use crate::error::Result;
use crate::ids::{ExperimentId, VersionId};
use crate::json;
use crate::measured::{self, Interval};
use crate::page::Page;
use crate::record::{self, Phase, Record, Recorded};

/// One result of an evaluation: perplexity, BLEU, a rate of refusals, or any other by its name.
///
/// # Examples
///
/// ```
/// use collimate_track::{EvaluationSummary, Interval, Phase};
///
/// let summary = EvaluationSummary::new(Phase::After, "refusal_rate", 0.92)
///     .with_interval(Interval::new(0.88, 0.95, 0.95))
///     .with_n(250)
///     .with_details(serde_json::json!({"rules": "2026-01"}));
/// assert_eq!(summary.metric, "refusal_rate");
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EvaluationSummary {
    /// The registered version of the model, where it has one.
    pub version: Option<VersionId>,
    /// When it was measured.
    pub phase: Phase,
    /// What it is.
    pub metric: String,
    /// The number.
    #[serde(with = "crate::measured::number")]
    pub value: f64,
    /// How sure it is.
    pub interval: Option<Interval>,
    /// Of how many it was computed.
    pub n: Option<u64>,
    /// More about it: an object.
    pub details: Value,
}

impl EvaluationSummary {
    /// A result without details.
    pub fn new(phase: Phase, metric: impl Into<String>, value: f64) -> Self {
        Self {
            version: None,
            phase,
            metric: metric.into(),
            value,
            interval: None,
            n: None,
            details: json!({}),
        }
    }

    /// With the registered version of the model.
    #[must_use]
    pub fn with_version(mut self, version: VersionId) -> Self {
        self.version = Some(version);
        self
    }

    /// With the confidence interval.
    #[must_use]
    pub fn with_interval(mut self, interval: Interval) -> Self {
        self.interval = Some(interval);
        self
    }

    /// With of how many it was computed.
    #[must_use]
    pub fn with_n(mut self, n: u64) -> Self {
        self.n = Some(n);
        self
    }

    /// With more about it, an object.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}

impl Database {
    /// Adds results, all or none.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`](crate::TrackError::NotFound): the experiment or a version;
    /// [`TrackError::Duplicate`](crate::TrackError::Duplicate): there is a result of the same phase, version
    /// and name; [`TrackError::NotANumber`](crate::TrackError::NotANumber),
    /// [`TrackError::OutOfRange`](crate::TrackError::OutOfRange),
    /// [`TrackError::Empty`](crate::TrackError::Empty), [`TrackError::TooLarge`](crate::TrackError::TooLarge),
    /// [`TrackError::NotAnObject`](crate::TrackError::NotAnObject),
    /// [`TrackError::TooDeep`](crate::TrackError::TooDeep); those of SQLite.
    pub fn record_summaries(
        &mut self,
        experiment: ExperimentId,
        summaries: &[EvaluationSummary],
    ) -> Result<()> {
        self.record(experiment, summaries)
    }

    /// Results of an experiment, of all phases or of one.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`](crate::TrackError::NotFound): the experiment; those of SQLite.
    pub fn evaluation_summary(
        &self,
        experiment: ExperimentId,
        phase: Option<Phase>,
        page: Page,
    ) -> Result<Vec<Recorded<EvaluationSummary>>> {
        self.recorded("evaluation_summary", experiment, phase, page)
    }
}

impl Record for EvaluationSummary {
    const ACTION: &'static str = "summaries.record";
    const ROWS: &'static str = "summaries";

    fn insert(&self, change: &Change<'_>, experiment: ExperimentId, now: &str) -> Attempt<()> {
        column::check_name("the name of a metric", &self.metric)?;
        let details = json::canonical("the details", &self.details, change.max_text_bytes)?;
        let (phase, step) = self.phase.columns()?;
        let interval = self.interval.map(Interval::check).transpose()?;
        let sql = "INSERT INTO evaluation_summary
                (experiment_id, version_id, phase, step, metric, value, ci_low, ci_high, ci_level, n,
                 details, recorded_at)
            VALUES
                (:experiment, :version, :phase, :step, :metric, :value, :low, :high, :level, :n,
                 :details, :now)";
        let parameters = named_params! {
            ":experiment": experiment.value(),
            ":version": record::version_column(change, self.version)?,
            ":phase": phase,
            ":step": step,
            ":metric": self.metric,
            ":value": measured::check("the value", self.value)?,
            ":low": interval.map(|interval| interval.low),
            ":high": interval.map(|interval| interval.high),
            ":level": interval.map(|interval| interval.level),
            ":n": self.n.map(|n| column::whole("n", n)).transpose()?,
            ":details": details,
            ":now": now,
        };
        change.insert(sql, parameters, || {
            format!("{:?} {} in {experiment}", self.metric, self.phase)
        })?;
        Ok(())
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            version: record::version(row)?,
            phase: Phase::read(row)?,
            metric: row.get("metric")?,
            value: row.get("value")?,
            interval: record::interval(row)?,
            n: column::count_optional(row, "n")?,
            details: column::object(row, "details")?,
        })
    }
}
