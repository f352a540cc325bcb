use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::version::{self, ModelVersion};
use crate::column;
use crate::database::{Attempt, Database};
use crate::error::Result;
use crate::ids::VersionId;
use crate::record::{self, Recorded};
use crate::score::AqiScore;
use crate::summary::EvaluationSummary;

/// Two versions side by side.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct VersionComparison {
    /// The one.
    pub first: ModelVersion,
    /// The other.
    pub second: ModelVersion,
    /// What was measured of either, by the name of the metric.
    pub metrics: BTreeMap<String, Measurements>,
}

/// One metric of two versions.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Measurements {
    /// Of the one, if it was measured.
    pub first: Option<Recorded<EvaluationSummary>>,
    /// Of the other.
    pub second: Option<Recorded<EvaluationSummary>>,
    /// The second value less the first, where there are both and their difference is a number.
    #[serde(default, with = "crate::measured::optional_number")]
    pub difference: Option<f64>,
}

impl Database {
    /// What was measured of a version: of each metric the result that was recorded last, and `aqi_s`, of all
    /// layers and axioms together.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`](crate::TrackError::NotFound);
    /// [`TrackError::Unreadable`](crate::TrackError::Unreadable); those of SQLite.
    pub fn performance(
        &self,
        id: VersionId,
    ) -> Result<BTreeMap<String, Recorded<EvaluationSummary>>> {
        self.read_at_once(|connection| {
            version::exists(connection, id)?;
            performance(connection, id)
        })
    }

    /// Two versions with what was measured of them, as [`Database::performance`] has it.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`](crate::TrackError::NotFound);
    /// [`TrackError::Unreadable`](crate::TrackError::Unreadable); those of SQLite.
    pub fn compare_versions(
        &self,
        first: VersionId,
        second: VersionId,
    ) -> Result<VersionComparison> {
        self.read_at_once(|connection| {
            let mut metrics: BTreeMap<String, Measurements> = BTreeMap::new();
            for (metric, measured) in performance(connection, first)? {
                metrics.entry(metric).or_default().first = Some(measured);
            }
            for (metric, measured) in performance(connection, second)? {
                metrics.entry(metric).or_default().second = Some(measured);
            }
            for Measurements { first, second, difference } in metrics.values_mut() {
                if let (Some(first), Some(second)) = (first, second) {
                    *difference =
                        Some(second.record.value - first.record.value).filter(|it| !it.is_nan());
                }
            }
            let first = version::find(connection, first)?;
            let second = version::find(connection, second)?;
            Ok(VersionComparison { first, second, metrics })
        })
    }
}

fn performance(
    connection: &Connection,
    id: VersionId,
) -> Attempt<BTreeMap<String, Recorded<EvaluationSummary>>> {
    let sql = "SELECT * FROM evaluation_summary
        WHERE id IN (SELECT max(id) FROM evaluation_summary WHERE version_id = ?1 GROUP BY metric)";
    let summaries: Vec<Recorded<EvaluationSummary>> =
        column::rows(connection, sql, [id.value()], record::read)?;
    let sql = "SELECT * FROM aqi_scores
        WHERE version_id = ?1 AND layer IS NULL AND axiom IS NULL ORDER BY id DESC LIMIT 1";
    let score = column::first(connection, sql, [id.value()], record::read)?;
    let score = score.map(as_summary);
    // A score that was summed up by its own name comes later, and stays.
    let all = score.into_iter().chain(summaries);
    Ok(all.map(|summary| (summary.record.metric.clone(), summary)).collect())
}

fn as_summary(score: Recorded<AqiScore>) -> Recorded<EvaluationSummary> {
    let Recorded { experiment, recorded_at, record: score } = score;
    let mut record = EvaluationSummary::new(score.phase, "aqi_s", score.aqi_s)
        .with_n(score.n_safe.saturating_add(score.n_unsafe));
    record.version = score.version;
    record.interval = score.interval;
    Recorded { experiment, recorded_at, record }
}
