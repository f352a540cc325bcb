//! A run in the database.

use std::sync::atomic::AtomicBool;

use collimate_data::PromptSet;
use collimate_track::{
    Clock, Database, ExperimentFilter, ExperimentId, ExperimentSetup, ModelEntry, Options, Outcome,
    Page, Status, TrackError, TrainingMetric, Version, VersionEntry,
};
use serde_json::{Value, json};

use super::align::note_in_ledger;
use super::find::Found;
use super::place::Place;
use super::surroundings::Surroundings;
use super::train::Trained;
use crate::error::Result;
use crate::files::sha256_of_file;
use crate::measure::{Comparison, MeasureConfig};
use crate::recipe::CheckedRecipe;

fn open(recipe: &CheckedRecipe, surroundings: &Surroundings) -> Result<Option<Database>> {
    let Some(path) = super::place::database(recipe) else { return Ok(None) };
    let clock = surroundings.clock.clone();
    let options = Options::default().with_clock(Clock::new(move || clock())).check()?;
    Ok(Some(Database::open(path, &options)?))
}

fn setup(recipe: &CheckedRecipe, name: &str, reference: &str, key: &str) -> ExperimentSetup {
    let settled = recipe.recipe();
    let name = settled.tracking.experiment.clone().unwrap_or_else(|| name.to_owned());
    let config = json!({"recipe": settled, "run": key, "tags": settled.tracking.tags});
    ExperimentSetup::new(name, reference, recipe.technique())
        .with_config(config)
        .with_seed(settled.seed)
        .with_device(&settled.device)
        .with_dtype(recipe.dtype())
        .with_software(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
}

/// Begins an experiment. One of the same run that still seems to be running was killed: it is ended as
/// interrupted, and this one goes on with it.
pub(super) fn begin(
    recipe: &CheckedRecipe,
    surroundings: &Surroundings,
    model: &Found,
    place: &Place,
    key: &str,
) -> Result<Option<ExperimentId>> {
    let Some(mut database) = open(recipe, surroundings)? else { return Ok(None) };
    let mut setup = setup(recipe, &place.name, &model.parent.reference, key);
    if let Some(revision) = &model.parent.revision {
        setup = setup.with_base_version(revision);
    }
    let running = ExperimentFilter::default().with_status(Status::Running);
    for other in database.experiments(&running, Page::ALL)? {
        if other.setup.config["run"] == key {
            database.end_experiment(other.id, &Outcome::Interrupted)?;
            setup = setup.with_parent(other.id);
        }
    }
    let experiment = database.start_experiment(&setup)?;
    database.close()?;
    Ok(Some(experiment))
}

/// Records what was found, registers the model, and ends the experiment.
#[expect(clippy::too_many_arguments, reason = "all of a run comes together here")]
pub(super) fn finish(
    recipe: &CheckedRecipe,
    surroundings: &Surroundings,
    model: &Found,
    place: &Place,
    key: &str,
    experiment: Option<ExperimentId>,
    trained: &Trained,
    (comparison, probes, config): (&Comparison, &PromptSet, &MeasureConfig),
    cancelled: &AtomicBool,
) -> Result<Option<i64>> {
    note_in_ledger(surroundings, place, key, cancelled)?;
    let (Some(mut database), Some(experiment)) = (open(recipe, surroundings)?, experiment) else {
        return Ok(None);
    };
    database.record_metrics(experiment, &metrics(&trained.summary))?;
    comparison.record(&mut database, experiment, probes, config)?;
    let of_model = match database.model_named(&place.name) {
        Ok(found) => found.id,
        Err(TrackError::NotFound { .. }) => {
            database.register_model(&ModelEntry::new(&place.name, &model.parent.reference))?
        }
        Err(error) => return Err(error.into()),
    };
    let versions = database.versions(of_model)?;
    let last = versions.iter().map(|version| &version.entry.version).max();
    let next = last.map_or(Version::new(1, 0, 0), Version::next_minor);
    let entry = VersionEntry::new(next)
        .with_experiment(experiment)
        .with_location(place.model.display().to_string())
        .with_content_hash(sha256_of_file(&place.model.join("SHA256SUMS"))?);
    database.register_version(of_model, &entry)?;
    database.end_experiment(experiment, &Outcome::Finished)?;
    database.close()?;
    Ok(Some(experiment.value()))
}

/// Notes that a model could not be aligned.
pub(super) fn failed(
    recipe: &CheckedRecipe,
    surroundings: &Surroundings,
    name: &str,
    reference: &str,
    error: &str,
) -> Result<()> {
    let Some(mut database) = open(recipe, surroundings)? else { return Ok(()) };
    let running =
        ExperimentFilter::default().with_status(Status::Running).with_base_model(reference);
    let running = database.experiments(&running, Page::ALL)?;
    let own = running.iter().find(|other| other.setup.config["recipe"] == json!(recipe.recipe()));
    let experiment = match own {
        Some(own) => own.id,
        None => database.start_experiment(&setup(recipe, name, reference, ""))?,
    };
    database.end_experiment(experiment, &Outcome::Failed(error.to_owned()))?;
    Ok(database.close()?)
}

/// The numbers of each step, as the history of training has them.
fn metrics(summary: &Value) -> Vec<TrainingMetric> {
    let entries = summary["state"]["log_history"].as_array();
    let mut found = Vec::new();
    for entry in entries.into_iter().flatten() {
        let Some(step) = entry["step"].as_u64() else { continue };
        for name in ["loss", "eval_loss", "grad_norm", "learning_rate"] {
            let Some(value) = entry[name].as_f64() else { continue };
            let metric = TrainingMetric::new(step, name, value);
            found.push(match entry["epoch"].as_f64() {
                Some(epoch) => metric.with_epoch(epoch),
                None => metric,
            });
        }
    }
    found
}
