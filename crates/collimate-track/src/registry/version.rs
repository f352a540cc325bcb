use jiff::Timestamp;
use rusqlite::{Connection, Row, named_params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Retirement;
use super::model;
use super::number::Version;
use crate::column;
use crate::database::{Action, Attempt, Change, Database};
use crate::error::{Result, TrackError};
use crate::experiment;
use crate::ids::{ExperimentId, ModelId, VersionId};
use crate::json;

/// What a version of a model is registered with.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct VersionEntry {
    /// The version.
    pub version: Version,
    /// The version that it was made from, of this model or another; none where it was made from the base.
    pub parent: Option<VersionId>,
    /// The experiment that made it.
    pub experiment: Option<ExperimentId>,
    /// Where its files lie.
    pub location: Option<String>,
    /// The hash of its files.
    pub content_hash: Option<String>,
    /// What it is.
    pub description: String,
    /// More about it: an object.
    pub metadata: Value,
}

/// A version of a model of the registry.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelVersion {
    /// Its id.
    pub id: VersionId,
    /// The model.
    pub model: ModelId,
    /// What it was registered with, and updated to.
    #[serde(flatten)]
    pub entry: VersionEntry,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last updated or retired.
    pub updated_at: Timestamp,
    /// Whether it is retired.
    pub retired: Option<Retirement>,
    /// How often it was used.
    pub uses: u64,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

/// What is to be changed of a version; the rest stays.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct VersionUpdate {
    /// Another place of its files.
    pub location: Option<String>,
    /// Another description.
    pub description: Option<String>,
    /// Other metadata, in the place of all there were.
    pub metadata: Option<Value>,
}

/// What a version was made from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Lineage {
    /// The version, its parent, and so on to the first.
    pub versions: Vec<ModelVersion>,
    /// The model that the first was made from.
    pub base_model: String,
}

impl VersionEntry {
    /// A version that was made from the base.
    pub fn new(version: Version) -> Self {
        Self {
            version,
            parent: None,
            experiment: None,
            location: None,
            content_hash: None,
            description: String::new(),
            metadata: json!({}),
        }
    }

    /// Made from another version.
    #[must_use]
    pub fn with_parent(mut self, parent: VersionId) -> Self {
        self.parent = Some(parent);
        self
    }

    /// With the experiment that made it.
    #[must_use]
    pub fn with_experiment(mut self, experiment: ExperimentId) -> Self {
        self.experiment = Some(experiment);
        self
    }

    /// With where its files lie.
    #[must_use]
    pub fn with_location(mut self, location: impl Into<String>) -> Self {
        self.location = Some(location.into());
        self
    }

    /// With the hash of its files.
    #[must_use]
    pub fn with_content_hash(mut self, hash: impl Into<String>) -> Self {
        self.content_hash = Some(hash.into());
        self
    }

    /// With what it is.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// With more about it, an object.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Value) -> Self {
        self.metadata = metadata;
        self
    }

    fn insert(&self, change: &Change<'_>, model: ModelId) -> Attempt<VersionId> {
        let limit = change.max_text_bytes;
        column::check_optional_name("the location", self.location.as_deref())?;
        column::check_optional_name("the content hash", self.content_hash.as_deref())?;
        column::check_size("the description", &self.description, limit)?;
        if let Some(parent) = self.parent {
            exists(&change.transaction, parent)?;
        }
        if let Some(experiment) = self.experiment {
            experiment::exists(&change.transaction, experiment)?;
        }
        let sql = "INSERT INTO model_versions
                (model_id, version, parent_id, experiment_id, location, content_hash, description,
                 metadata, created_at, updated_at)
            VALUES
                (:model, :version, :parent, :experiment, :location, :content_hash, :description,
                 :metadata, :now, :now)";
        let parameters = named_params! {
            ":model": model.value(),
            ":version": self.version.to_string(),
            ":parent": self.parent.map(VersionId::value),
            ":experiment": self.experiment.map(ExperimentId::value),
            ":location": self.location,
            ":content_hash": self.content_hash,
            ":description": self.description,
            ":metadata": json::canonical("the metadata", &self.metadata, limit)?,
            ":now": column::time(change.now),
        };
        let id = change.insert(sql, parameters, || format!("{} of {model}", self.version))?;
        Ok(VersionId::new(id))
    }
}

impl VersionUpdate {
    /// With another place of its files.
    #[must_use]
    pub fn with_location(mut self, location: impl Into<String>) -> Self {
        self.location = Some(location.into());
        self
    }

    /// With another description.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// With other metadata, an object.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Value) -> Self {
        self.metadata = Some(metadata);
        self
    }
}

impl Database {
    /// Adds a version to a model.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]: the model, the parent or the experiment; [`TrackError::Retired`]: the model;
    /// [`TrackError::Duplicate`]: it has that version; [`TrackError::Empty`], [`TrackError::TooLarge`],
    /// [`TrackError::NotAnObject`], [`TrackError::TooDeep`]; those of SQLite.
    pub fn register_version(&mut self, model: ModelId, entry: &VersionEntry) -> Result<VersionId> {
        self.change(|change| {
            model::find(&change.transaction, model)?.refuse_retired()?;
            let id = entry.insert(change, model)?;
            let details = json!({
                "content_hash": entry.content_hash,
                "experiment": entry.experiment,
                "model": model,
                "parent": entry.parent,
                "version": entry.version,
            });
            Ok((id, Action::new("version.register", id, details)))
        })
    }

    /// A version.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]; [`TrackError::Unreadable`]; those of SQLite.
    pub fn version(&self, id: VersionId) -> Result<ModelVersion> {
        self.read(|connection| find(connection, id))
    }

    /// All versions of a model, lowest first.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]; [`TrackError::Unreadable`]; those of SQLite.
    pub fn versions(&self, model: ModelId) -> Result<Vec<ModelVersion>> {
        self.read_at_once(|connection| {
            model::find(connection, model)?;
            let sql = "SELECT * FROM model_versions WHERE model_id = ?1";
            let mut found = column::rows(connection, sql, [model.value()], ModelVersion::read)?;
            found.sort_by(|a, b| a.entry.version.cmp(&b.entry.version));
            Ok(found)
        })
    }

    /// What a version was made from.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]; [`TrackError::Unreadable`]; those of SQLite.
    pub fn lineage(&self, id: VersionId) -> Result<Lineage> {
        self.read_at_once(|connection| {
            // UNION ends even where a file was tampered with so that parents form a circle.
            let sql = "WITH RECURSIVE line (id) AS (
                    VALUES (?1)
                    UNION SELECT parent_id FROM model_versions JOIN line USING (id)
                    WHERE parent_id IS NOT NULL
                ) SELECT model_versions.* FROM model_versions JOIN line USING (id)
                ORDER BY id DESC";
            let versions = column::rows(connection, sql, [id.value()], ModelVersion::read)?;
            let first = versions.last().ok_or_else(|| id.missing())?;
            let base_model = model::find(connection, first.model)?.entry.base_model;
            Ok(Lineage { versions, base_model })
        })
    }

    /// Changes what is known of a version.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]; [`TrackError::Empty`], [`TrackError::TooLarge`],
    /// [`TrackError::NotAnObject`], [`TrackError::TooDeep`]; those of SQLite.
    pub fn update_version(&mut self, id: VersionId, update: &VersionUpdate) -> Result<()> {
        let limit = self.max_text_bytes();
        column::check_optional_name("the location", update.location.as_deref())?;
        if let Some(description) = &update.description {
            column::check_size("the description", description, limit)?;
        }
        let metadata = update.metadata.as_ref();
        let metadata = metadata.map(|it| json::canonical("the metadata", it, limit)).transpose()?;
        self.change(|change| {
            exists(&change.transaction, id)?;
            let now = column::time(change.now);
            change.transaction.execute(
                "UPDATE model_versions SET location = ifnull(?2, location),
                     description = ifnull(?3, description), metadata = ifnull(?4, metadata),
                     updated_at = ?5
                 WHERE id = ?1",
                (id.value(), &update.location, &update.description, &metadata, now),
            )?;
            Ok(((), Action::new("version.update", id, json!(update))))
        })
    }

    /// Says that a version is not to be used any more. Nothing is removed.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]; [`TrackError::Retired`]: it is already; [`TrackError::Empty`],
    /// [`TrackError::TooLarge`]: the reason; those of SQLite.
    pub fn retire_version(&mut self, id: VersionId, reason: Option<&str>) -> Result<()> {
        column::check_optional_text("the reason", reason, self.max_text_bytes())?;
        self.change(|change| {
            find(&change.transaction, id)?.refuse_retired()?;
            change.transaction.execute(
                "UPDATE model_versions SET retired_at = ?2, retired_reason = ?3, updated_at = ?2
                 WHERE id = ?1",
                (id.value(), column::time(change.now), reason),
            )?;
            Ok(((), Action::new("version.retire", id, json!({"reason": reason}))))
        })
    }

    /// Counts that a version is used; returns how often it was, this time included.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]; [`TrackError::Retired`]: the version or its model; those of SQLite.
    pub fn use_version(&mut self, id: VersionId) -> Result<u64> {
        self.change(|change| {
            let found = find(&change.transaction, id)?;
            found.refuse_retired()?;
            model::find(&change.transaction, found.model)?.refuse_retired()?;
            let uses = found.uses.saturating_add(1);
            change.transaction.execute(
                "UPDATE model_versions SET uses = ?2, last_used_at = ?3 WHERE id = ?1",
                (id.value(), column::whole("the uses", uses)?, column::time(change.now)),
            )?;
            Ok((uses, Action::new("version.use", id, json!({"uses": uses}))))
        })
    }
}

impl ModelVersion {
    fn refuse_retired(&self) -> Result<()> {
        match self.retired {
            Some(_) => Err(TrackError::Retired { what: self.id.to_string() }),
            None => Ok(()),
        }
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: VersionId::new(row.get("id")?),
            model: ModelId::new(row.get("model_id")?),
            entry: VersionEntry {
                version: column::parsed(row, "version")?,
                parent: row.get::<_, Option<i64>>("parent_id")?.map(VersionId::new),
                experiment: row.get::<_, Option<i64>>("experiment_id")?.map(ExperimentId::new),
                location: row.get("location")?,
                content_hash: row.get("content_hash")?,
                description: row.get("description")?,
                metadata: column::object(row, "metadata")?,
            },
            created_at: column::parsed(row, "created_at")?,
            updated_at: column::parsed(row, "updated_at")?,
            retired: Retirement::read(row)?,
            uses: column::count(row, "uses")?,
            last_used_at: column::parsed_optional(row, "last_used_at")?,
        })
    }
}

/// Refuses a version that is not there.
pub(crate) fn exists(connection: &Connection, id: VersionId) -> Attempt<()> {
    let sql = "SELECT 1 FROM model_versions WHERE id = ?1";
    let found: Option<i64> = column::value(connection, sql, [id.value()])?;
    Ok(found.map(|_| ()).ok_or_else(|| id.missing())?)
}

pub(super) fn find(connection: &Connection, id: VersionId) -> Attempt<ModelVersion> {
    let sql = "SELECT * FROM model_versions WHERE id = ?1";
    let found = column::first(connection, sql, [id.value()], ModelVersion::read)?;
    Ok(found.ok_or_else(|| id.missing())?)
}
