//! Where everything of a model lies.

use std::path::{Path, PathBuf};

use collimate_artifact::{Form, Ledger};

use super::find::Found;
use crate::error::{PipelineError, Result};
use crate::recipe::CheckedRecipe;

/// The folders and files of a model.
pub(super) struct Place {
    /// The folder that has everything.
    pub(super) root: PathBuf,
    /// What the aligned model is called.
    pub(super) name: String,
    /// The folder of the aligned model.
    pub(super) model: PathBuf,
    /// What is kept for the next run.
    pub(super) work: PathBuf,
    /// The database, if there is to be one.
    pub(super) database: Option<PathBuf>,
}

impl Place {
    pub(super) fn new(recipe: &CheckedRecipe, model: &Found, several: bool) -> Result<Self> {
        let database = database(recipe);
        let method = recipe.technique().to_lowercase();
        let recipe = recipe.recipe();
        let root = match several {
            true => recipe.output.folder.join(&model.name),
            false => recipe.output.folder.clone(),
        };
        let name = match (&recipe.output.name, several) {
            (Some(name), false) => name.clone(),
            (Some(name), true) => format!("{name}-{}", model.name),
            (None, _) => format!("{}-{method}", model.name),
        };
        let is_plain = Path::new(&name).file_name().is_some_and(|last| last == name.as_str());
        if !is_plain || name.starts_with('.') {
            let message = format!("is '{name}', which is no name of a folder");
            return Err(PipelineError::Setting { field: "output.name", message });
        }
        Ok(Self { model: root.join(&name), work: root.join(".work"), database, name, root })
    }

    /// What is written, and where: an adapter that stands beside its model has a folder of its own.
    pub(super) fn written(&self, recipe: &CheckedRecipe) -> Vec<(Form, PathBuf)> {
        let folder = |at| match at {
            0 => self.model.clone(),
            _ => self.root.join(format!("{}-adapter", self.name)),
        };
        recipe.forms().iter().enumerate().map(|(at, form)| (*form, folder(at))).collect()
    }

    pub(super) fn ledger(&self) -> Ledger {
        Ledger::new(self.root.join("ledger.jsonl"))
    }

    pub(super) fn metrics(&self) -> PathBuf {
        self.root.join("metrics.json")
    }

    /// What was found when all was done.
    pub(super) fn done(&self) -> PathBuf {
        self.work.join("done.json")
    }
}

/// The database of all models, if there is to be one.
pub(super) fn database(recipe: &CheckedRecipe) -> Option<PathBuf> {
    let recipe = recipe.recipe();
    let beside = || recipe.output.folder.join("experiments.sqlite");
    recipe.tracking.enabled.then(|| recipe.tracking.database.clone().unwrap_or_else(beside))
}
