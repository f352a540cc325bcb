//! What the tables of measurements have in common.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::Row;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::column;
use crate::database::{Action, Attempt, Change, Database};
use crate::error::{Result, TrackError};
use crate::experiment;
use crate::ids::{ExperimentId, VersionId};
use crate::measured::Interval;
use crate::page::Page;
use crate::registry;

/// When in an experiment something was measured.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before training.
    Before,
    /// In training, after this many steps.
    Step(u64),
    /// After training.
    After,
}

/// A record as it is in the database.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Recorded<T> {
    /// The experiment that it belongs to.
    pub experiment: ExperimentId,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// What was recorded.
    #[serde(flatten)]
    pub record: T,
}

impl Phase {
    /// The phase as the columns `phase` and `step` have it.
    pub(crate) fn columns(self) -> Result<(&'static str, Option<i64>)> {
        Ok(match self {
            Self::Before => ("before", None),
            Self::Step(step) => ("step", Some(column::whole("the step", step)?)),
            Self::After => ("after", None),
        })
    }

    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let Word(word) = column::parsed(row, "phase")?;
        match (word, column::count_optional(row, "step")?) {
            (Self::Step(_), Some(step)) => Ok(Self::Step(step)),
            (Self::Step(_), None) => Err(column::unreadable("step", "it is missing".into())),
            (word, _) => Ok(word),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before => formatter.write_str("before training"),
            Self::Step(step) => write!(formatter, "at step {step}"),
            Self::After => formatter.write_str("after training"),
        }
    }
}

/// A phase without its step.
struct Word(Phase);

impl FromStr for Word {
    type Err = TrackError;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "before" => Ok(Self(Phase::Before)),
            "step" => Ok(Self(Phase::Step(0))),
            "after" => Ok(Self(Phase::After)),
            _ => Err(unknown("phase", text, "before, step, after")),
        }
    }
}

/// The error of a word that is none of a few.
pub(crate) fn unknown(what: &'static str, found: &str, expected: &'static str) -> TrackError {
    TrackError::Unknown { what, found: found.chars().take(80).collect(), expected }
}

/// A record that belongs to an experiment.
pub(crate) trait Record: Sized {
    /// The action of the audit log that adds some.
    const ACTION: &'static str;
    /// What they are called in the audit log's details.
    const ROWS: &'static str;

    /// Checks the record and adds it to its table.
    fn insert(&self, change: &Change<'_>, experiment: ExperimentId, now: &str) -> Attempt<()>;

    /// Reads it from a row of its table.
    fn read(row: &Row<'_>) -> rusqlite::Result<Self>;
}

impl Database {
    /// Adds records, all or none.
    pub(crate) fn record<T: Record>(
        &mut self,
        experiment: ExperimentId,
        records: &[T],
    ) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.change(|change| {
            experiment::exists(&change.transaction, experiment)?;
            let now = column::time(change.now);
            for record in records {
                record.insert(change, experiment, &now)?;
            }
            let details = json!({T::ROWS: records.len()});
            Ok(((), Action::new(T::ACTION, experiment, details)))
        })
    }

    /// Records of an experiment, in the order in which they were recorded.
    pub(crate) fn recorded<T: Record>(
        &self,
        table: &'static str,
        experiment: ExperimentId,
        phase: Option<Phase>,
        page: Page,
    ) -> Result<Vec<Recorded<T>>> {
        let (phase, step) = phase.map(Phase::columns).transpose()?.unzip();
        let (limit, offset) = page.bounds();
        self.read_at_once(|connection| {
            experiment::exists(connection, experiment)?;
            let sql = format!(
                "SELECT * FROM {table} WHERE experiment_id = ?1
                     AND (?2 IS NULL OR (phase = ?2 AND step IS ?3))
                 ORDER BY id LIMIT ?4 OFFSET ?5"
            );
            let parameters = (experiment.value(), phase, step.flatten(), limit, offset);
            column::rows(connection, &sql, parameters, read)
        })
    }
}

/// Reads a record with what every record has.
pub(crate) fn read<T: Record>(row: &Row<'_>) -> rusqlite::Result<Recorded<T>> {
    Ok(Recorded {
        experiment: ExperimentId::new(row.get("experiment_id")?),
        recorded_at: column::parsed(row, "recorded_at")?,
        record: T::read(row)?,
    })
}

/// The id of a version that is there, as its column has it.
pub(crate) fn version_column(
    change: &Change<'_>,
    version: Option<VersionId>,
) -> Attempt<Option<i64>> {
    if let Some(version) = version {
        registry::version_exists(&change.transaction, version)?;
    }
    Ok(version.map(VersionId::value))
}

/// The version of a row.
pub(crate) fn version(row: &Row<'_>) -> rusqlite::Result<Option<VersionId>> {
    Ok(row.get::<_, Option<i64>>("version_id")?.map(VersionId::new))
}

/// The interval of a row.
pub(crate) fn interval(row: &Row<'_>) -> rusqlite::Result<Option<Interval>> {
    let low: Option<f64> = row.get("ci_low")?;
    match low {
        None => Ok(None),
        Some(low) => Ok(Some(Interval::new(low, row.get("ci_high")?, row.get("ci_level")?))),
    }
}
