//! A recipe carried out.

mod align;
mod data;
mod events;
mod find;
mod place;
mod record;
mod surroundings;
mod train;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{PipelineError, Result};
use crate::recipe::{CheckedRecipe, FigureFormat};

pub use events::{RunEvent, RunObserver, Stage};
pub use surroundings::{Clock, Embedded, Surroundings};

use align::align;
use find::find;
use place::Place;

/// What became of each model of a recipe.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RunReport {
    /// One for each model, in the order of the recipe.
    pub models: Vec<ModelRun>,
}

/// What became of a model.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ModelRun {
    /// What it is called.
    pub name: String,
    /// Its result, or why there is none.
    pub outcome: Result<Aligned, String>,
}

/// A model that was aligned.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Aligned {
    /// The folder of the aligned model.
    pub model: PathBuf,
    /// All numbers, before and after.
    pub metrics: PathBuf,
    /// The HTML page.
    pub html: Option<PathBuf>,
    /// The summary in Markdown.
    pub markdown: Option<PathBuf>,
    /// The database.
    pub database: Option<PathBuf>,
    /// The number of the experiment in it.
    pub experiment: Option<i64>,
    /// The ledger, in which each run notes what it wrote.
    pub ledger: PathBuf,
    /// What can be said of what changed, a sentence each.
    pub findings: Vec<String>,
    /// What [`Comparison::json`](crate::Comparison::json) has.
    pub numbers: Value,
    /// Whether all of it was there from an earlier run.
    #[serde(default)]
    pub cached: bool,
}

impl RunReport {
    /// Whether every model was aligned.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.models.iter().all(|model| model.outcome.is_ok())
    }
}

/// Aligns each model of a recipe: finds it, formats the data, measures, trains, writes the result, loads and
/// verifies it, measures again, records and reports.
///
/// What a stage follows from decides whether it has to be done: the same recipe on the same files does
/// nothing twice, and after an interruption, of any kind, it goes on where it was. A model that fails is
/// noted in the report and in the database, and the others go on.
///
/// # Errors
///
/// What concerns all models: the recipe asks for what can't be done, or names a model that isn't there;
/// [`PipelineError::is_cancelled`].
pub fn run(
    recipe: &CheckedRecipe,
    surroundings: &Surroundings,
    observer: &mut dyn RunObserver,
    cancelled: &AtomicBool,
) -> Result<RunReport> {
    if recipe.recipe().report.figures == FigureFormat::Png && !cfg!(feature = "png") {
        let message = "is png, which this program was built without; svg is always there";
        return Err(PipelineError::Setting {
            field: "report.figures",
            message: message.to_owned(),
        });
    }
    recipe.check_device()?;
    let found = find(recipe, surroundings)?;
    let root = recipe.recipe().output.folder.clone();
    fs::create_dir_all(&root).map_err(PipelineError::io(&root))?;
    let (of, several) = (found.len(), found.len() > 1);
    let mut models = Vec::new();
    for (at, looked) in found.into_iter().enumerate() {
        let (name, path) = match &looked {
            Ok(model) => (model.name.clone(), model.folder.clone()),
            Err((name, _)) => (name.clone(), PathBuf::new()),
        };
        observer.on_event(&RunEvent::Model { name: name.clone(), path, number: at + 1, of });
        let outcome = match looked {
            Ok(model) => {
                let place = Place::new(recipe, &model, several)?;
                align(recipe, surroundings, &model, &place, observer, cancelled)
                    .map_err(|error| (error, model.parent.reference))
            }
            Err((reference, error)) => Err((error, reference)),
        };
        let outcome = match outcome {
            Err((error, _)) if error.is_cancelled() || cancelled.load(Ordering::Relaxed) => {
                return Err(PipelineError::Cancelled);
            }
            Err((error, reference)) => {
                let error = chain(&error);
                record::failed(recipe, surroundings, &name, &reference, &error)?;
                let event = RunEvent::Failed { name: name.clone(), error: error.clone() };
                observer.on_event(&event);
                Err(error)
            }
            Ok(aligned) => {
                observer.on_event(&RunEvent::Aligned {
                    name: name.clone(),
                    folder: aligned.model.clone(),
                    cached: aligned.cached,
                });
                Ok(aligned)
            }
        };
        models.push(ModelRun { name, outcome });
    }
    Ok(RunReport { models })
}

/// An error with all that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
