#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod audit;
mod clock;
mod column;
mod database;
mod error;
mod experiment;
mod export;
mod ids;
mod json;
mod measured;
mod metric;
mod options;
mod page;
mod record;
mod registry;
mod response;
mod schema;
mod score;
mod summary;

pub use audit::{AuditEntry, AuditFault, AuditHead, AuditReport};
pub use clock::Clock;
pub use database::{Database, Integrity};
pub use error::{Result, TrackError};
pub use experiment::{Experiment, ExperimentFilter, ExperimentSetup, Outcome, Status};
pub use export::{ExportFormat, Exported, Table};
pub use ids::{ExperimentId, ModelId, VersionId};
pub use measured::Interval;
pub use metric::TrainingMetric;
pub use options::{CheckedOptions, Durability, Options};
pub use page::Page;
pub use record::{Phase, Recorded};
pub use registry::{
    Lineage, Measurements, Model, ModelEntry, ModelFilter, ModelUpdate, ModelVersion, Retirement,
    Version, VersionComparison, VersionEntry, VersionUpdate,
};
pub use response::{ModelResponse, Safety};
pub use schema::SCHEMA_VERSION;
pub use score::AqiScore;
pub use summary::EvaluationSummary;
