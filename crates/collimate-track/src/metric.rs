use rusqlite::Row;
use serde::{Deserialize, Serialize};

use crate::column;
use crate::database::{Attempt, Change, Database};
use crate::error::Result;
use crate::experiment;
use crate::ids::ExperimentId;
use crate::measured;
use crate::page::Page;
use crate::record::{self, Record, Recorded};

/// A number of one step of training: `loss`, `eval_loss`, `learning_rate`, `grad_norm`,
/// `tokens_per_second`, or any other by its name.
///
/// Training that diverges is worth recording: the value may be infinite or NaN.
///
/// # Examples
///
/// ```
/// use collimate_track::TrainingMetric;
///
/// let metric = TrainingMetric::new(10, "loss", f64::NAN).with_epoch(0.5);
/// let json = serde_json::to_string(&metric)?;
/// assert_eq!(json, r#"{"step":10,"epoch":0.5,"name":"loss","value":"NaN"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TrainingMetric {
    /// Optimizer steps done.
    pub step: u64,
    /// Passes over the data done.
    #[serde(default, with = "crate::measured::optional_number")]
    pub epoch: Option<f64>,
    /// What it is.
    pub name: String,
    /// The number.
    #[serde(with = "crate::measured::number")]
    pub value: f64,
}

impl TrainingMetric {
    /// A number of a step.
    pub fn new(step: u64, name: impl Into<String>, value: f64) -> Self {
        Self { step, epoch: None, name: name.into(), value }
    }

    /// With the passes over the data done.
    #[must_use]
    pub fn with_epoch(mut self, epoch: f64) -> Self {
        self.epoch = Some(epoch);
        self
    }
}

impl Database {
    /// Adds numbers of training, all or none.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`](crate::TrackError::NotFound): the experiment;
    /// [`TrackError::Duplicate`](crate::TrackError::Duplicate): a name has a value at that step;
    /// [`TrackError::Empty`](crate::TrackError::Empty), [`TrackError::TooLarge`](crate::TrackError::TooLarge):
    /// a name; [`TrackError::NotANumber`](crate::TrackError::NotANumber): an epoch;
    /// [`TrackError::OutOfRange`](crate::TrackError::OutOfRange): a step; those of SQLite.
    pub fn record_metrics(
        &mut self,
        experiment: ExperimentId,
        metrics: &[TrainingMetric],
    ) -> Result<()> {
        self.record(experiment, metrics)
    }

    /// Numbers of training by name and step; of one name, its curve.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`](crate::TrackError::NotFound): the experiment; those of SQLite.
    pub fn training_metrics(
        &self,
        experiment: ExperimentId,
        name: Option<&str>,
        page: Page,
    ) -> Result<Vec<Recorded<TrainingMetric>>> {
        let (limit, offset) = page.bounds();
        self.read_at_once(|connection| {
            experiment::exists(connection, experiment)?;
            let sql = "SELECT * FROM training_metrics
                       WHERE experiment_id = ?1 AND (?2 IS NULL OR name = ?2)
                       ORDER BY name, step LIMIT ?3 OFFSET ?4";
            column::rows(connection, sql, (experiment.value(), name, limit, offset), record::read)
        })
    }

    /// The names of an experiment's numbers, sorted.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`](crate::TrackError::NotFound): the experiment; those of SQLite.
    pub fn metric_names(&self, experiment: ExperimentId) -> Result<Vec<String>> {
        self.read_at_once(|connection| {
            experiment::exists(connection, experiment)?;
            let sql = "SELECT DISTINCT name FROM training_metrics
                       WHERE experiment_id = ?1 ORDER BY name";
            column::rows(connection, sql, [experiment.value()], |row| row.get(0))
        })
    }
}

impl Record for TrainingMetric {
    const ACTION: &'static str = "metrics.record";
    const ROWS: &'static str = "metrics";

    fn insert(&self, change: &Change<'_>, experiment: ExperimentId, now: &str) -> Attempt<()> {
        let Self { step, epoch, name, value } = self;
        column::check_name("the name of a metric", name)?;
        let at = column::whole("the step", *step)?;
        let epoch = measured::check_optional("the epoch", *epoch)?;
        // SQLite has no NaN, and stores NULL.
        let value = (!value.is_nan()).then_some(*value);
        let sql = "INSERT INTO training_metrics
                       (experiment_id, name, step, epoch, value, recorded_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let parameters = (experiment.value(), name, at, epoch, value, now);
        change.insert(sql, parameters, || format!("{name:?} of step {step} in {experiment}"))?;
        Ok(())
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            step: column::count(row, "step")?,
            epoch: row.get("epoch")?,
            name: row.get("name")?,
            value: row.get::<_, Option<f64>>("value")?.unwrap_or(f64::NAN),
        })
    }
}
