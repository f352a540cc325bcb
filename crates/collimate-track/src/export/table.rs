use serde::{Deserialize, Serialize};

use super::cell::Holds::{self, Integer, Json, Measured, Real, Text, Truth};

/// A table of a database.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Table {
    /// Experiments.
    Experiments,
    /// Numbers of each step of training.
    TrainingMetrics,
    /// Alignment Quality Indices.
    AqiScores,
    /// What models said to prompts.
    ModelResponses,
    /// Results of evaluations.
    EvaluationSummary,
    /// Models of the registry.
    Models,
    /// Versions of models.
    ModelVersions,
    /// Who has done what.
    AuditLog,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 8] = [
        Self::Experiments,
        Self::TrainingMetrics,
        Self::AqiScores,
        Self::ModelResponses,
        Self::EvaluationSummary,
        Self::Models,
        Self::ModelVersions,
        Self::AuditLog,
    ];

    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Experiments => "experiments",
            Self::TrainingMetrics => "training_metrics",
            Self::AqiScores => "aqi_scores",
            Self::ModelResponses => "model_responses",
            Self::EvaluationSummary => "evaluation_summary",
            Self::Models => "models",
            Self::ModelVersions => "model_versions",
            Self::AuditLog => "audit_log",
        }
    }

    /// What its rows are ordered by.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::TrainingMetrics => "experiment_id, name, step",
            Self::AuditLog => "sequence",
            _ => "id",
        }
    }

    /// Which column says what experiment a row belongs to.
    pub(super) fn experiment_column(self) -> Option<&'static str> {
        match self {
            Self::Experiments => Some("id"),
            Self::Models | Self::AuditLog => None,
            _ => Some("experiment_id"),
        }
    }

    /// Its columns, and what they hold.
    pub(super) fn columns(self) -> &'static [(&'static str, Holds)] {
        match self {
            Self::Experiments => EXPERIMENTS,
            Self::TrainingMetrics => TRAINING_METRICS,
            Self::AqiScores => AQI_SCORES,
            Self::ModelResponses => MODEL_RESPONSES,
            Self::EvaluationSummary => EVALUATION_SUMMARY,
            Self::Models => MODELS,
            Self::ModelVersions => MODEL_VERSIONS,
            Self::AuditLog => AUDIT_LOG,
        }
    }
}

const EXPERIMENTS: &[(&str, Holds)] = &[
    ("id", Integer),
    ("name", Text),
    ("status", Text),
    ("base_model", Text),
    ("base_version", Text),
    ("method", Text),
    ("config", Json),
    ("seed", Text),
    ("device", Text),
    ("dtype", Text),
    ("data_hash", Text),
    ("software", Json),
    ("started_at", Text),
    ("ended_at", Text),
    ("error", Text),
    ("parent_id", Integer),
];

const TRAINING_METRICS: &[(&str, Holds)] = &[
    ("experiment_id", Integer),
    ("name", Text),
    ("step", Integer),
    ("epoch", Real),
    ("value", Measured),
    ("recorded_at", Text),
];

const AQI_SCORES: &[(&str, Holds)] = &[
    ("id", Integer),
    ("experiment_id", Integer),
    ("version_id", Integer),
    ("phase", Text),
    ("step", Integer),
    ("layer", Text),
    ("axiom", Text),
    ("aqi_s", Real),
    ("chi", Real),
    ("xbi", Real),
    ("n_safe", Integer),
    ("n_unsafe", Integer),
    ("ci_low", Real),
    ("ci_high", Real),
    ("ci_level", Real),
    ("p_value", Real),
    ("pooling", Text),
    ("transform", Text),
    ("recorded_at", Text),
];

const MODEL_RESPONSES: &[(&str, Holds)] = &[
    ("id", Integer),
    ("experiment_id", Integer),
    ("version_id", Integer),
    ("phase", Text),
    ("step", Integer),
    ("prompt_id", Text),
    ("sample", Integer),
    ("prompt", Text),
    ("response", Text),
    ("safety", Text),
    ("refused", Truth),
    ("judge_score", Real),
    ("tokens", Integer),
    ("latency_ms", Real),
    ("recorded_at", Text),
];

const EVALUATION_SUMMARY: &[(&str, Holds)] = &[
    ("id", Integer),
    ("experiment_id", Integer),
    ("version_id", Integer),
    ("phase", Text),
    ("step", Integer),
    ("metric", Text),
    ("value", Real),
    ("ci_low", Real),
    ("ci_high", Real),
    ("ci_level", Real),
    ("n", Integer),
    ("details", Json),
    ("recorded_at", Text),
];

const MODELS: &[(&str, Holds)] = &[
    ("id", Integer),
    ("name", Text),
    ("base_model", Text),
    ("description", Text),
    ("metadata", Json),
    ("created_at", Text),
    ("updated_at", Text),
    ("retired_at", Text),
    ("retired_reason", Text),
];

const MODEL_VERSIONS: &[(&str, Holds)] = &[
    ("id", Integer),
    ("model_id", Integer),
    ("version", Text),
    ("parent_id", Integer),
    ("experiment_id", Integer),
    ("location", Text),
    ("content_hash", Text),
    ("description", Text),
    ("metadata", Json),
    ("created_at", Text),
    ("updated_at", Text),
    ("retired_at", Text),
    ("retired_reason", Text),
    ("uses", Integer),
    ("last_used_at", Text),
];

const AUDIT_LOG: &[(&str, Holds)] = &[
    ("sequence", Integer),
    ("time", Text),
    ("actor", Text),
    ("action", Text),
    ("subject", Text),
    ("details", Json),
    ("previous_hash", Text),
    ("hash", Text),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{self, SCHEMA_VERSION};

    #[test]
    fn columns_are_those_of_the_tables() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        schema::migrate(&connection, 0, SCHEMA_VERSION).unwrap();
        for table in Table::ALL {
            let mut found = Vec::new();
            connection
                .pragma(None, "table_info", table.name(), |row| {
                    found.push((row.get::<_, String>(1)?, row.get::<_, String>(2)?));
                    Ok(())
                })
                .unwrap();
            let expected = table.columns().iter().map(|(name, holds)| {
                let sql = match holds {
                    Text | Json => "TEXT",
                    Integer | Truth => "INTEGER",
                    Real | Measured => "REAL",
                };
                ((*name).to_owned(), sql.to_owned())
            });
            assert_eq!(found, expected.collect::<Vec<_>>(), "{table:?}");
        }
    }
}
