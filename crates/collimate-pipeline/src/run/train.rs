//! The stage that trains.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use collimate_lm::Decoder;
use collimate_peft::Adapter;
use collimate_report::{Curve, CurvePoint};
use collimate_train::{PreparedPart, Resume, StopReason, TrainConfig, TrainEvent, Trainer};
use serde_json::{Value, json};

use super::align::write_json;
use super::data::Data;
use super::events::{RunEvent, RunObserver, Stage};
use super::find::Found;
use super::place::Place;
use crate::error::{PipelineError, Result};
use crate::files::sha256;
use crate::recipe::{CheckedRecipe, MethodKind};

/// What training came to.
pub(super) struct Trained {
    pub(super) what: TrainedWeights,
    /// The settings, the history and what they follow from.
    pub(super) summary: Value,
}

/// What has new values.
pub(super) enum TrainedWeights {
    /// An adapter.
    Adapter(Box<Adapter>),
    /// All weights of the model, in this folder.
    All(PathBuf),
}

impl Trained {
    /// The course of training.
    pub(super) fn curve(&self) -> Curve {
        let entries = self.summary["state"]["log_history"].as_array();
        let point = |entry: &Value| {
            let mut point = CurvePoint::new(entry["step"].as_u64()?);
            point.loss = entry["loss"].as_f64();
            point.eval_loss = entry["eval_loss"].as_f64();
            point.learning_rate = entry["learning_rate"].as_f64();
            point.gradient_norm = entry["grad_norm"].as_f64();
            Some(point)
        };
        let points: Vec<CurvePoint> = entries.into_iter().flatten().filter_map(point).collect();
        Curve::new(merged(points))
    }
}

/// One point for each step: a step may have an entry for training and one for evaluation.
fn merged(points: Vec<CurvePoint>) -> Vec<CurvePoint> {
    let mut found: Vec<CurvePoint> = Vec::new();
    for point in points {
        match found.last_mut() {
            Some(last) if last.step == point.step => {
                last.loss = last.loss.or(point.loss);
                last.eval_loss = last.eval_loss.or(point.eval_loss);
                last.learning_rate = last.learning_rate.or(point.learning_rate);
                last.gradient_norm = last.gradient_norm.or(point.gradient_norm);
            }
            _ => found.push(point),
        }
    }
    found
}

/// Trains, or reads what an earlier run has trained, or goes on where it was interrupted.
#[expect(clippy::too_many_arguments, reason = "all that training follows from")]
pub(super) fn train(
    recipe: &CheckedRecipe,
    model: &Found,
    fingerprint: &str,
    data: &Data,
    place: &Place,
    decoder: &mut Decoder,
    observer: &mut dyn RunObserver,
    cancelled: &AtomicBool,
) -> Result<Trained> {
    let config = recipe.train_config(&model.parent.reference, data.max_length)?;
    let config = bounded(config, data)?;
    let parts = json!({
        "model": fingerprint,
        "data": data.rows.fingerprint(),
        "trained": data.trained,
        "held_out": data.held_out,
        "config": config,
        "dtype": recipe.dtype(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    let key = sha256(parts.to_string().as_bytes());
    let folder = place.work.join("training").join(&key);
    let (result_folder, summary_file) = (folder.join("result"), folder.join("training.json"));
    let weights_file = result_folder.join("model.safetensors");
    let read = || match recipe.recipe().method.kind {
        MethodKind::Lora => Ok(TrainedWeights::Adapter(Box::new(Adapter::read(&result_folder)?))),
        MethodKind::Full => match weights_file.metadata() {
            Ok(_) => Ok(TrainedWeights::All(result_folder.clone())),
            Err(error) => Err(PipelineError::io(&weights_file)(error)),
        },
    };
    // Written last.
    if summary_file.is_file() {
        let bytes = fs::read(&summary_file).map_err(PipelineError::io(&summary_file))?;
        if let (Ok(summary), Ok(what)) = (serde_json::from_slice(&bytes), read()) {
            observer.on_event(&RunEvent::Done { stage: Stage::Train });
            return Ok(Trained { what, summary });
        }
    }
    fs::create_dir_all(&result_folder).map_err(PipelineError::io(&result_folder))?;
    let rows = PreparedPart::new(&data.rows, data.trained.clone());
    let held_out = PreparedPart::new(&data.rows, data.held_out.clone());
    let mut trainer = Trainer::new(config.check()?, &rows)
        .with_model_name(&model.parent.reference)
        .with_checkpoints(folder.join("checkpoints"), Resume::Latest);
    if !held_out.chosen().is_empty() {
        trainer = trainer.with_validation(&held_out);
    }
    let mut watched = |event: &TrainEvent| {
        observer.on_event(&RunEvent::Training { training: event.clone() });
    };
    let result = trainer.run(decoder, &mut watched, cancelled)?;
    if result.reason == StopReason::Cancelled {
        return Err(PipelineError::Cancelled);
    }
    let summary = json!({
        "reason": result.reason,
        "epoch": result.epoch,
        "steps": result.steps,
        "state": result.state,
        "provenance": result.provenance,
    });
    match result.adapter {
        Some(adapter) => adapter.write(&result_folder)?,
        // What a killed run has left may be a part.
        None => match fs::remove_file(&weights_file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(PipelineError::io(&weights_file)(error));
            }
            _ => decoder.write_weights(&weights_file)?,
        },
    }
    write_json(&summary_file, &summary)?;
    Ok(Trained { what: read()?, summary })
}

/// The settings as they hold for these rows.
fn bounded(mut config: TrainConfig, data: &Data) -> Result<TrainConfig> {
    if data.held_out.is_empty() {
        config.evaluation.every = None;
    }
    // Both bound the steps, whichever is less.
    if let Some(most) = config.max_steps {
        let lengths: Vec<usize> = data.rows.lengths().collect();
        let lengths: Vec<usize> =
            data.trained.iter().filter_map(|&row| lengths.get(row).copied()).collect();
        let by_epochs = config.clone().with_max_steps(None).check()?.steps(&lengths)?;
        config = config.with_max_steps(most.min(by_epochs));
    }
    Ok(config)
}
