//! Models, their versions, and how these measure up.

mod comparison;
mod model;
mod number;
mod version;

use jiff::Timestamp;
use rusqlite::Row;
use serde::{Deserialize, Serialize};

use crate::column;

pub use comparison::{Measurements, VersionComparison};
pub use model::{Model, ModelEntry, ModelFilter, ModelUpdate};
pub use number::Version;
pub(crate) use version::exists as version_exists;
pub use version::{Lineage, ModelVersion, VersionEntry, VersionUpdate};

/// That something is not to be used any more.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Retirement {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: Option<String>,
}

impl Retirement {
    fn read(row: &Row<'_>) -> rusqlite::Result<Option<Self>> {
        let at = column::parsed_optional(row, "retired_at")?;
        at.map(|at| Ok(Self { at, reason: row.get("retired_reason")? })).transpose()
    }
}
