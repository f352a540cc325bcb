use jiff::Timestamp;
use rusqlite::{Connection, Row, named_params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Retirement;
use crate::column;
use crate::database::{Action, Attempt, Database};
use crate::error::{Result, TrackError};
use crate::ids::ModelId;
use crate::json;
use crate::page::Page;

/// What a model is registered with.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelEntry {
    /// Its name, which no other model of the registry has.
    pub name: String,
    /// The model that its first versions were made from.
    pub base_model: String,
    /// What it is.
    pub description: String,
    /// More about it: an object.
    pub metadata: Value,
}

/// A model of the registry.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Model {
    /// Its id.
    pub id: ModelId,
    /// What it was registered with, and updated to.
    #[serde(flatten)]
    pub entry: ModelEntry,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last updated or retired.
    pub updated_at: Timestamp,
    /// Whether it is retired.
    pub retired: Option<Retirement>,
}

/// What is to be changed of a model; the rest stays.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelUpdate {
    /// Another description.
    pub description: Option<String>,
    /// Other metadata, in the place of all there were.
    pub metadata: Option<Value>,
}

/// Which models; by default all.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelFilter {
    /// Those that have this in their name, base, description or metadata, or in the version, description or
    /// metadata of a version; ASCII letters match whatever their case.
    pub text: Option<String>,
    /// Those of this base model.
    pub base_model: Option<String>,
    /// Those that are retired, or those that are not.
    pub retired: Option<bool>,
}

impl ModelEntry {
    /// A name, and the model that its first versions are made from.
    pub fn new(name: impl Into<String>, base_model: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            base_model: base_model.into(),
            description: String::new(),
            metadata: json!({}),
        }
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
}

impl ModelUpdate {
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

impl ModelFilter {
    /// With a part of what is known of it.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// With the base model.
    #[must_use]
    pub fn with_base_model(mut self, model: impl Into<String>) -> Self {
        self.base_model = Some(model.into());
        self
    }

    /// With whether it is retired.
    #[must_use]
    pub fn with_retired(mut self, retired: bool) -> Self {
        self.retired = Some(retired);
        self
    }
}

impl Database {
    /// Adds a model to the registry.
    ///
    /// # Errors
    ///
    /// [`TrackError::Duplicate`]: the name is taken; [`TrackError::Empty`], [`TrackError::TooLarge`],
    /// [`TrackError::NotAnObject`], [`TrackError::TooDeep`]; those of SQLite.
    pub fn register_model(&mut self, entry: &ModelEntry) -> Result<ModelId> {
        let limit = self.max_text_bytes();
        column::check_name("the name of a model", &entry.name)?;
        column::check_name("the base model", &entry.base_model)?;
        column::check_size("the description", &entry.description, limit)?;
        let metadata = json::canonical("the metadata", &entry.metadata, limit)?;
        self.change(|change| {
            let sql = "INSERT INTO models
                    (name, base_model, description, metadata, created_at, updated_at)
                VALUES (:name, :base_model, :description, :metadata, :now, :now)";
            let parameters = named_params! {
                ":name": entry.name,
                ":base_model": entry.base_model,
                ":description": entry.description,
                ":metadata": metadata,
                ":now": column::time(change.now),
            };
            let id = change.insert(sql, parameters, || format!("a model {:?}", entry.name))?;
            let details = json!({"base_model": entry.base_model, "name": entry.name});
            let id = ModelId::new(id);
            Ok((id, Action::new("model.register", id, details)))
        })
    }

    /// A model.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]; [`TrackError::Unreadable`]; those of SQLite.
    pub fn model(&self, id: ModelId) -> Result<Model> {
        self.read(|connection| find(connection, id))
    }

    /// The model of this name.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]; [`TrackError::Unreadable`]; those of SQLite.
    pub fn model_named(&self, name: &str) -> Result<Model> {
        self.read(|connection| {
            let sql = "SELECT * FROM models WHERE name = ?1";
            let found = column::first(connection, sql, [name], Model::read)?;
            let missing = || TrackError::NotFound { what: format!("model {name:?}") };
            Ok(found.ok_or_else(missing)?)
        })
    }

    /// Models, by name.
    ///
    /// # Errors
    ///
    /// Those of SQLite; [`TrackError::Unreadable`].
    pub fn search_models(&self, filter: &ModelFilter, page: Page) -> Result<Vec<Model>> {
        let (limit, offset) = page.bounds();
        let parameters = named_params! {
            ":text": filter.text,
            ":base_model": filter.base_model,
            ":retired": filter.retired,
            ":limit": limit,
            ":offset": offset,
        };
        self.read(|connection| {
            let sql = "SELECT * FROM models
                WHERE (:base_model IS NULL OR base_model = :base_model)
                    AND (:retired IS NULL OR (retired_at IS NOT NULL) = :retired)
                    AND (:text IS NULL
                        OR instr(lower(name), lower(:text)) > 0
                        OR instr(lower(base_model), lower(:text)) > 0
                        OR instr(lower(description), lower(:text)) > 0
                        OR instr(lower(metadata), lower(:text)) > 0
                        OR EXISTS (
                            SELECT 1 FROM model_versions AS v
                            WHERE v.model_id = models.id AND (
                                instr(lower(v.version), lower(:text)) > 0
                                OR instr(lower(v.description), lower(:text)) > 0
                                OR instr(lower(v.metadata), lower(:text)) > 0)))
                ORDER BY name LIMIT :limit OFFSET :offset";
            column::rows(connection, sql, parameters, Model::read)
        })
    }

    /// Changes what is known of a model.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]; [`TrackError::TooLarge`], [`TrackError::NotAnObject`],
    /// [`TrackError::TooDeep`]; those of SQLite.
    pub fn update_model(&mut self, id: ModelId, update: &ModelUpdate) -> Result<()> {
        let limit = self.max_text_bytes();
        if let Some(description) = &update.description {
            column::check_size("the description", description, limit)?;
        }
        let metadata = update.metadata.as_ref();
        let metadata = metadata.map(|it| json::canonical("the metadata", it, limit)).transpose()?;
        self.change(|change| {
            find(&change.transaction, id)?;
            change.transaction.execute(
                "UPDATE models SET description = ifnull(?2, description),
                     metadata = ifnull(?3, metadata), updated_at = ?4
                 WHERE id = ?1",
                (id.value(), &update.description, &metadata, column::time(change.now)),
            )?;
            Ok(((), Action::new("model.update", id, json!(update))))
        })
    }

    /// Says that a model, with all its versions, is not to be used any more. Nothing is removed.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]; [`TrackError::Retired`]: it is already; [`TrackError::Empty`],
    /// [`TrackError::TooLarge`]: the reason; those of SQLite.
    pub fn retire_model(&mut self, id: ModelId, reason: Option<&str>) -> Result<()> {
        column::check_optional_text("the reason", reason, self.max_text_bytes())?;
        self.change(|change| {
            find(&change.transaction, id)?.refuse_retired()?;
            change.transaction.execute(
                "UPDATE models SET retired_at = ?2, retired_reason = ?3, updated_at = ?2
                 WHERE id = ?1",
                (id.value(), column::time(change.now), reason),
            )?;
            Ok(((), Action::new("model.retire", id, json!({"reason": reason}))))
        })
    }
}

impl Model {
    pub(super) fn refuse_retired(&self) -> Result<()> {
        match self.retired {
            Some(_) => Err(TrackError::Retired { what: self.id.to_string() }),
            None => Ok(()),
        }
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: ModelId::new(row.get("id")?),
            entry: ModelEntry {
                name: row.get("name")?,
                base_model: row.get("base_model")?,
                description: row.get("description")?,
                metadata: column::object(row, "metadata")?,
            },
            created_at: column::parsed(row, "created_at")?,
            updated_at: column::parsed(row, "updated_at")?,
            retired: Retirement::read(row)?,
        })
    }
}

pub(super) fn find(connection: &Connection, id: ModelId) -> Attempt<Model> {
    let sql = "SELECT * FROM models WHERE id = ?1";
    let found = column::first(connection, sql, [id.value()], Model::read)?;
    Ok(found.ok_or_else(|| id.missing())?)
}
