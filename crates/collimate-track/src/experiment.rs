use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::{Connection, Row, named_params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::column;
use crate::database::{Action, Attempt, Change, Database};
use crate::error::{Result, TrackError};
use crate::ids::ExperimentId;
use crate::json;
use crate::page::Page;
use crate::record;

/// What an experiment starts with.
///
/// # Examples
///
/// ```
/// use collimate_track::ExperimentSetup;
///
/// let setup = ExperimentSetup::new("refusals, rank 16", "Fern-1B", "LoRA")
///     .with_config(serde_json::json!({"rank": 16, "learning_rate": 2e-4}))
///     .with_seed(7)
///     .with_software("collimate", "0.1.0");
/// assert_eq!(setup.method, "LoRA");
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExperimentSetup {
    /// What it is called; other experiments may have the same name.
    pub name: String,
    /// The model that is trained.
    pub base_model: String,
    /// Its version or revision.
    pub base_version: Option<String>,
    /// How it is trained.
    pub method: String,
    /// All settings: an object.
    pub config: Value,
    /// The seed of all random choices.
    pub seed: Option<u64>,
    /// What it runs on.
    pub device: Option<String>,
    /// What it computes in.
    pub dtype: Option<String>,
    /// The hash of the training data.
    pub data_hash: Option<String>,
    /// The version of each program and library.
    pub software: BTreeMap<String, String>,
    /// The experiment that it goes on with.
    pub parent: Option<ExperimentId>,
}

/// An experiment as it is in the database.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Experiment {
    /// Its id.
    pub id: ExperimentId,
    /// What it started with.
    #[serde(flatten)]
    pub setup: ExperimentSetup,
    /// What became of it.
    pub status: Status,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<String>,
}

/// What became of an experiment.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has not ended, or was killed: a database can't tell.
    Running,
    /// It did what it was to do.
    Finished,
    /// It could not.
    Failed,
    /// It was stopped, and another may go on with it.
    Interrupted,
}

/// How an experiment ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It did what it was to do.
    Finished,
    /// It could not, for this reason.
    Failed(String),
    /// It was stopped.
    Interrupted,
}

/// Which experiments; by default all.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ExperimentFilter {
    /// Those whose name has this in it; ASCII letters match whatever their case.
    pub name: Option<String>,
    /// Those that this became of.
    pub status: Option<Status>,
    /// Those of this base model.
    pub base_model: Option<String>,
    /// Those of this method.
    pub method: Option<String>,
}

impl ExperimentSetup {
    /// A name, the model that is trained, and how.
    pub fn new(
        name: impl Into<String>,
        base_model: impl Into<String>,
        method: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            base_model: base_model.into(),
            base_version: None,
            method: method.into(),
            config: json!({}),
            seed: None,
            device: None,
            dtype: None,
            data_hash: None,
            software: BTreeMap::new(),
            parent: None,
        }
    }

    /// With the version or revision of the base model.
    #[must_use]
    pub fn with_base_version(mut self, version: impl Into<String>) -> Self {
        self.base_version = Some(version.into());
        self
    }

    /// With all settings, an object.
    #[must_use]
    pub fn with_config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// With the seed of all random choices.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// With what it runs on.
    #[must_use]
    pub fn with_device(mut self, device: impl Into<String>) -> Self {
        self.device = Some(device.into());
        self
    }

    /// With what it computes in.
    #[must_use]
    pub fn with_dtype(mut self, dtype: impl Into<String>) -> Self {
        self.dtype = Some(dtype.into());
        self
    }

    /// With the hash of the training data.
    #[must_use]
    pub fn with_data_hash(mut self, hash: impl Into<String>) -> Self {
        self.data_hash = Some(hash.into());
        self
    }

    /// With the version of one more program or library.
    #[must_use]
    pub fn with_software(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.software.insert(name.into(), version.into());
        self
    }

    /// Going on with another experiment.
    #[must_use]
    pub fn with_parent(mut self, parent: ExperimentId) -> Self {
        self.parent = Some(parent);
        self
    }

    fn insert(&self, change: &Change<'_>) -> Attempt<ExperimentId> {
        column::check_name("the name of an experiment", &self.name)?;
        column::check_name("the base model", &self.base_model)?;
        column::check_name("the method", &self.method)?;
        for (what, name) in [
            ("the base version", &self.base_version),
            ("the device", &self.device),
            ("the dtype", &self.dtype),
            ("the data hash", &self.data_hash),
        ] {
            column::check_optional_name(what, name.as_deref())?;
        }
        if let Some(parent) = self.parent {
            exists(&change.transaction, parent)?;
        }
        let limit = change.max_text_bytes;
        let sql = "INSERT INTO experiments
                (name, status, base_model, base_version, method, config, seed, device, dtype, data_hash,
                 software, started_at, parent_id)
            VALUES
                (:name, 'running', :base_model, :base_version, :method, :config, :seed, :device, :dtype,
                 :data_hash, :software, :now, :parent)";
        let parameters = named_params! {
            ":name": self.name,
            ":base_model": self.base_model,
            ":base_version": self.base_version,
            ":method": self.method,
            ":config": json::canonical("the configuration", &self.config, limit)?,
            ":seed": self.seed.map(|seed| seed.to_string()),
            ":device": self.device,
            ":dtype": self.dtype,
            ":data_hash": self.data_hash,
            ":software": json::canonical("the software", &json!(self.software), limit)?,
            ":now": column::time(change.now),
            ":parent": self.parent.map(ExperimentId::value),
        };
        change.transaction.execute(sql, parameters)?;
        Ok(ExperimentId::new(change.transaction.last_insert_rowid()))
    }
}

impl Outcome {
    fn status(&self) -> Status {
        match self {
            Self::Finished => Status::Finished,
            Self::Failed(_) => Status::Failed,
            Self::Interrupted => Status::Interrupted,
        }
    }

    fn error(&self) -> Option<&str> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl ExperimentFilter {
    /// With a part of the name.
    #[must_use]
    pub fn with_name(mut self, part: impl Into<String>) -> Self {
        self.name = Some(part.into());
        self
    }

    /// With what became of it.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.status = Some(status);
        self
    }

    /// With the base model.
    #[must_use]
    pub fn with_base_model(mut self, model: impl Into<String>) -> Self {
        self.base_model = Some(model.into());
        self
    }

    /// With the method.
    #[must_use]
    pub fn with_method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }
}

impl Database {
    /// Starts an experiment.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]: the parent; [`TrackError::Empty`], [`TrackError::TooLarge`],
    /// [`TrackError::NotAnObject`], [`TrackError::TooDeep`]; those of SQLite.
    pub fn start_experiment(&mut self, setup: &ExperimentSetup) -> Result<ExperimentId> {
        self.change(|change| {
            let id = setup.insert(change)?;
            let details = json!({
                "base_model": setup.base_model,
                "method": setup.method,
                "name": setup.name,
                "parent": setup.parent,
            });
            Ok((id, Action::new("experiment.start", id, details)))
        })
    }

    /// Ends an experiment. Evaluations can be added afterwards.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]; [`TrackError::Ended`]: it has ended before; [`TrackError::Empty`],
    /// [`TrackError::TooLarge`]: the reason for which it failed; those of SQLite.
    pub fn end_experiment(&mut self, id: ExperimentId, outcome: &Outcome) -> Result<()> {
        column::check_optional_text("the error", outcome.error(), self.max_text_bytes())?;
        self.change(|change| {
            let found = find(&change.transaction, id)?;
            if found.status != Status::Running {
                let error = TrackError::Ended { experiment: id, status: found.status };
                return Err(error.into());
            }
            let (status, now) = (outcome.status(), column::time(change.now));
            change.transaction.execute(
                "UPDATE experiments SET status = ?2, ended_at = ?3, error = ?4 WHERE id = ?1",
                (id.value(), status.name(), now, outcome.error()),
            )?;
            let details = json!({"error": outcome.error(), "status": status});
            Ok(((), Action::new("experiment.end", id, details)))
        })
    }

    /// An experiment.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]; [`TrackError::Unreadable`]; those of SQLite.
    pub fn experiment(&self, id: ExperimentId) -> Result<Experiment> {
        self.read(|connection| find(connection, id))
    }

    /// Experiments, oldest first.
    ///
    /// # Errors
    ///
    /// Those of SQLite; [`TrackError::Unreadable`].
    pub fn experiments(&self, filter: &ExperimentFilter, page: Page) -> Result<Vec<Experiment>> {
        let (limit, offset) = page.bounds();
        let parameters = named_params! {
            ":name": filter.name,
            ":status": filter.status.map(Status::name),
            ":base_model": filter.base_model,
            ":method": filter.method,
            ":limit": limit,
            ":offset": offset,
        };
        self.read(|connection| {
            let sql = "SELECT * FROM experiments
                WHERE (:name IS NULL OR instr(lower(name), lower(:name)) > 0)
                    AND (:status IS NULL OR status = :status)
                    AND (:base_model IS NULL OR base_model = :base_model)
                    AND (:method IS NULL OR method = :method)
                ORDER BY id LIMIT :limit OFFSET :offset";
            column::rows(connection, sql, parameters, Experiment::read)
        })
    }

    /// An experiment, the one that it goes on with, and so on to the first.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]; [`TrackError::Unreadable`]; those of SQLite.
    pub fn experiment_lineage(&self, id: ExperimentId) -> Result<Vec<Experiment>> {
        self.read_at_once(|connection| {
            exists(connection, id)?;
            // UNION ends even where a file was tampered with so that parents form a circle.
            let sql = "WITH RECURSIVE line (id) AS (
                    VALUES (?1)
                    UNION SELECT parent_id FROM experiments JOIN line USING (id)
                    WHERE parent_id IS NOT NULL
                ) SELECT experiments.* FROM experiments JOIN line USING (id)
                ORDER BY id DESC";
            column::rows(connection, sql, [id.value()], Experiment::read)
        })
    }
}

impl Experiment {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let software: String = row.get("software")?;
        let software = serde_json::from_str(&software)
            .map_err(|error| column::unreadable("software", error.into()))?;
        Ok(Self {
            id: ExperimentId::new(row.get("id")?),
            setup: ExperimentSetup {
                name: row.get("name")?,
                base_model: row.get("base_model")?,
                base_version: row.get("base_version")?,
                method: row.get("method")?,
                config: column::object(row, "config")?,
                seed: column::parsed_optional(row, "seed")?,
                device: row.get("device")?,
                dtype: row.get("dtype")?,
                data_hash: row.get("data_hash")?,
                software,
                parent: row.get::<_, Option<i64>>("parent_id")?.map(ExperimentId::new),
            },
            status: column::parsed(row, "status")?,
            started_at: column::parsed(row, "started_at")?,
            ended_at: column::parsed_optional(row, "ended_at")?,
            error: row.get("error")?,
        })
    }
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Status {
    type Err = TrackError;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Running, Self::Finished, Self::Failed, Self::Interrupted]
            .into_iter()
            .find(|status| status.name() == text)
            .ok_or_else(|| {
                record::unknown("status", text, "running, finished, failed, interrupted")
            })
    }
}

/// Refuses an experiment that is not there.
pub(crate) fn exists(connection: &Connection, id: ExperimentId) -> Attempt<()> {
    let sql = "SELECT 1 FROM experiments WHERE id = ?1";
    let found: Option<i64> = column::value(connection, sql, [id.value()])?;
    Ok(found.map(|_| ()).ok_or_else(|| id.missing())?)
}

fn find(connection: &Connection, id: ExperimentId) -> Attempt<Experiment> {
    let sql = "SELECT * FROM experiments WHERE id = ?1";
    let found = column::first(connection, sql, [id.value()], Experiment::read)?;
    Ok(found.ok_or_else(|| id.missing())?)
}
