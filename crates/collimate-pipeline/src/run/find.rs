//! The models of a recipe, found.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use collimate_artifact::Parent;
use collimate_models::Catalog;

use super::Surroundings;
use crate::error::{PipelineError, Result};
use crate::recipe::{CheckedRecipe, ModelChoice};

/// The word for what a program brings along.
pub(super) const EMBEDDED: &str = "embedded";

/// A model that was found.
pub(super) struct Found {
    /// What it is called in folders and reports: the alias, else its name.
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) parent: Parent,
}

/// A model that was looked for: found, or what it was called and why it was not.
pub(super) type Looked = Result<Found, (String, PipelineError)>;

/// Looks for every model of a recipe. One alone that isn't there is an error; of several, the others are
/// still aligned.
pub(super) fn find(recipe: &CheckedRecipe, surroundings: &Surroundings) -> Result<Vec<Looked>> {
    let choices = &recipe.recipe().models;
    let catalog = OnceCell::new();
    let mut found: Vec<Looked> = Vec::new();
    for choice in choices {
        let model = match find_one(choice, surroundings, &catalog) {
            Err(error) if choices.len() > 1 => {
                Err((choice.alias.clone().unwrap_or_else(|| choice.model.clone()), error))
            }
            model => Ok(model?),
        };
        if let Ok(model) = &model
            && found.iter().flatten().any(|other| other.name == model.name)
        {
            let message = format!("has two models called {}; give one an alias", model.name);
            return Err(PipelineError::Setting { field: "models", message });
        }
        found.push(model);
    }
    Ok(found)
}

fn find_one(
    choice: &ModelChoice,
    surroundings: &Surroundings,
    catalog: &OnceCell<Catalog>,
) -> Result<Found> {
    let text = choice.model.as_str();
    let parent = if text == EMBEDDED {
        let folder = surroundings.embedded.model.as_deref();
        Parent::open(folder.ok_or(PipelineError::NotEmbedded { what: "model" })?)?
    } else if text.starts_with('.') || Path::new(text).is_absolute() {
        Parent::open(text)?
    } else {
        let catalog = catalog.get_or_init(|| Catalog::scan(&surroundings.places));
        match catalog.select(text)?.as_slice() {
            [one] => {
                one.entry.loadable()?;
                Parent::from_entry(one.entry)?
            }
            several => {
                let message = format!("{text} names {} models; one is expected", several.len());
                return Err(PipelineError::Setting { field: "models", message });
            }
        }
    };
    let Some(folder) = parent.folder.clone() else {
        let message = format!("{text} is a name without a folder");
        return Err(PipelineError::Setting { field: "models", message });
    };
    let own = || {
        let last = parent.reference.rsplit('/').next().unwrap_or_default();
        last.trim_start_matches('.').to_owned()
    };
    Ok(Found { name: choice.alias.clone().unwrap_or_else(own), folder, parent })
}
