//! One model, from what was found to what is shown.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use collimate_artifact::{
    ArtifactWriter, Checksum, FolderName, Form, LedgerEntry, Replace, SourceFolder, Technique,
    TokenizerSuite, verify,
};
use collimate_data::{PromptSet, TemplateFolder, Tokenizer};
use collimate_eval::model_fingerprint;
use collimate_lm::LoadEvent;
use collimate_peft::Adapter;
use collimate_report::{Fact, Figure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Aligned;
use super::data::{Data, probes};
use super::events::{RunEvent, RunObserver, Stage};
use super::find::Found;
use super::place::Place;
use super::record::{self, finish};
use super::surroundings::Surroundings;
use super::train::{self, Trained, TrainedWeights};
use crate::error::{PipelineError, Result};
use crate::files::{sha256, sha256_of_file, write_whole};
use crate::measure::{Comparison, HeldOutData, MeasureCache, MeasureConfig, Measured, Subject};
use crate::recipe::{CheckedRecipe, FigureFormat, Metric};

/// What is noted when all was done.
#[derive(Deserialize, Serialize)]
struct Done {
    /// What everything follows from.
    key: String,
    /// The SHA-256 of the file of numbers.
    metrics: String,
    aligned: Aligned,
}

/// What a model is measured on.
struct Measuring<'a> {
    config: MeasureConfig,
    probes: &'a PromptSet,
    held_out: Option<HeldOutData>,
    cache: MeasureCache,
}

pub(super) fn align(
    recipe: &CheckedRecipe,
    surroundings: &Surroundings,
    model: &Found,
    place: &Place,
    observer: &mut dyn RunObserver,
    cancelled: &AtomicBool,
) -> Result<Aligned> {
    fs::create_dir_all(&place.work).map_err(PipelineError::io(&place.work))?;
    observer.on_event(&RunEvent::Stage { stage: Stage::Format });
    let fingerprint = model_fingerprint(&model.folder, None)?;
    let tokenizer = Tokenizer::from_folder(&model.folder)?;
    let template = recipe.template(&TemplateFolder::read(&model.folder)?)?;
    let probes = probes(recipe, surroundings)?;
    let data = Data::prepare(recipe, surroundings, model, &tokenizer, place, cancelled)?;
    for text in &data.notes {
        observer.on_event(&RunEvent::Note { text: text.clone() });
    }
    let key = key(recipe, &fingerprint, &data, &probes);
    if let Some(aligned) = done(recipe, place, &key, cancelled)? {
        observer.on_event(&RunEvent::Done { stage: Stage::Record });
        return Ok(aligned);
    }
    check_place(recipe, place, &key)?;
    let experiment = record::begin(recipe, surroundings, model, place, &key)?;

    let config = measuring(recipe)?;
    let held_out = match recipe.wants(Metric::Perplexity) {
        true => data.held_out()?,
        false => None,
    };
    let cache = MeasureCache::new(place.work.join("measured"));
    let measuring = Measuring { config, probes: &probes, held_out, cache };
    let load = |folder: &Path, observer: &mut dyn RunObserver| {
        recipe.load(folder, cancelled, &mut |event: &LoadEvent| {
            if let LoadEvent::Loaded { bytes, of } = event {
                observer.on_event(&RunEvent::Loading { bytes: *bytes, of: *of });
            }
        })
    };

    observer.on_event(&RunEvent::Stage { stage: Stage::MeasureBefore });
    let mut decoder = load(&model.folder, observer)?;
    let subject = Subject {
        decoder: &decoder,
        tokenizer: &tokenizer,
        template: template.as_ref(),
        fingerprint: fingerprint.clone(),
    };
    let before = measuring.measure(&subject, cancelled)?;

    observer.on_event(&RunEvent::Stage { stage: Stage::Train });
    let trained =
        train::train(recipe, model, &fingerprint, &data, place, &mut decoder, observer, cancelled)?;
    drop(decoder);

    observer.on_event(&RunEvent::Stage { stage: Stage::Write });
    let mut wrote = false;
    for (form, folder) in place.written(recipe) {
        if !is_sound(&folder, &key, cancelled)? {
            wrote = true;
            write(recipe, surroundings, model, place, (form, &folder), &key, &trained, cancelled)?;
        }
    }
    if !wrote {
        observer.on_event(&RunEvent::Done { stage: Stage::Write });
    }

    observer.on_event(&RunEvent::Stage { stage: Stage::MeasureAfter });
    // What was written is what is measured.
    let is_adapter = recipe.forms() == [Form::Adapter];
    let mut decoder = load(if is_adapter { &model.folder } else { &place.model }, observer)?;
    if is_adapter {
        decoder.attach_adapter("aligned", &Adapter::read(&place.model)?)?;
    }
    let base = is_adapter.then_some(model.folder.as_path());
    let fingerprint = match base {
        Some(base) => model_fingerprint(base, Some(&place.model))?,
        None => model_fingerprint(&place.model, None)?,
    };
    let subject = Subject {
        decoder: &decoder,
        tokenizer: &tokenizer,
        template: template.as_ref(),
        fingerprint,
    };
    let after = measuring.measure(&subject, cancelled)?;
    drop(decoder);
    let comparison = measuring.config.compare(&probes, before, after)?;

    observer.on_event(&RunEvent::Stage { stage: Stage::Record });
    let names = [model.name.as_str(), place.name.as_str()];
    let mut aligned = show(recipe, model, place, &trained, &comparison, &measuring, names)?;
    let what = (&comparison, measuring.probes, &measuring.config);
    aligned.experiment =
        finish(recipe, surroundings, model, place, &key, experiment, &trained, what, cancelled)?;
    let done = Done { key, metrics: sha256_of_file(&aligned.metrics)?, aligned };
    write_json(&place.done(), &json!(done))?;
    Ok(done.aligned)
}

impl Measuring<'_> {
    fn measure(&self, subject: &Subject<'_>, cancelled: &AtomicBool) -> Result<Measured> {
        let held_out = self.held_out.as_ref();
        self.config.measure(subject, self.probes, held_out, &self.cache, None, cancelled)
    }
}

/// What everything that a run makes follows from.
fn key(recipe: &CheckedRecipe, fingerprint: &str, data: &Data, probes: &PromptSet) -> String {
    let probes: Vec<_> = probes
        .prompts()
        .iter()
        .map(|prompt| json!([prompt.input, prompt.safety.label, prompt.axiom, prompt.group]))
        .collect();
    let parts = json!({
        "recipe": recipe.hash(),
        "model": fingerprint,
        "data": data.rows.fingerprint(),
        "probes": probes,
        "version": env!("CARGO_PKG_VERSION"),
    });
    sha256(parts.to_string().as_bytes())
}

/// What an earlier run came to, if it did the same and all of it is still there.
fn done(
    recipe: &CheckedRecipe,
    place: &Place,
    key: &str,
    cancelled: &AtomicBool,
) -> Result<Option<Aligned>> {
    let bytes = match fs::read(place.done()) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PipelineError::io(place.done())(error)),
    };
    // One that can't be read was not ours, or of another version.
    let Ok(done) = serde_json::from_slice(&bytes) else { return Ok(None) };
    let Done { key: of, metrics, aligned } = done;
    let files = [&aligned.html, &aligned.markdown, &aligned.database];
    let are_there = files.into_iter().flatten().chain([&aligned.metrics]).all(|at| at.is_file());
    if of != key || !are_there || sha256_of_file(&aligned.metrics)? != metrics {
        return Ok(None);
    }
    for (_, folder) in place.written(recipe) {
        if !is_sound(&folder, key, cancelled)? {
            return Ok(None);
        }
    }
    Ok(Some(Aligned { cached: true, ..aligned }))
}

/// Whether a folder is of this very run.
fn is_ours(folder: &Path, key: &str) -> bool {
    let written = fs::read(folder.join("alignment_info.json"));
    let info = written.ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    info.is_some_and(|info| info["run_id"] == key)
}

/// Whether a folder is of this very run, and nothing of it is damaged.
fn is_sound(folder: &Path, key: &str, cancelled: &AtomicBool) -> Result<bool> {
    Ok(is_ours(folder, key) && verify(folder, cancelled, &mut ())?.is_sound())
}

/// That nothing stands where the result will.
fn check_place(recipe: &CheckedRecipe, place: &Place, key: &str) -> Result<()> {
    for (_, folder) in place.written(recipe) {
        if folder.exists() && !recipe.recipe().output.replace && !is_ours(&folder, key) {
            let folder = folder.display();
            let message = format!(
                "is false, and {folder} is there, of another run; name another folder, or set it to true"
            );
            return Err(PipelineError::Setting { field: "output.replace", message });
        }
    }
    Ok(())
}

/// Writes the model, or the adapter, loads it again and verifies it.
#[expect(clippy::too_many_arguments, reason = "all that a folder tells of its origin")]
fn write(
    recipe: &CheckedRecipe,
    surroundings: &Surroundings,
    model: &Found,
    place: &Place,
    (form, folder): (Form, &Path),
    key: &str,
    trained: &Trained,
    cancelled: &AtomicBool,
) -> Result<()> {
    let technique = Technique::new(recipe.technique(), json!({}))?;
    let training = trained.summary["provenance"]["config"].as_object().cloned();
    let now = (surroundings.clock)();
    let alignment = recipe
        .alignment(&place.name, technique, now, training.unwrap_or_default())
        .with_run_id(key);
    let mut writer = ArtifactWriter::new(&model.parent, &alignment)
        .with_dtype(recipe.merge_dtype())
        .with_sharding(recipe.sharding())
        .with_replace(recipe.replace());
    writer = match &trained.what {
        TrainedWeights::Adapter(adapter) => writer.with_adapter(adapter, 1.0),
        TrainedWeights::All(folder) => writer.with_trained_weights(folder),
    };
    if let Some(tokenizer) = tokenizer(recipe, model, place)? {
        writer = writer.with_tokenizer(tokenizer);
    }
    if is_ours(folder, key) {
        // Damaged since it was written.
        writer = writer.with_replace(Replace::Existing);
    }
    match form {
        Form::Adapter => writer.write_adapter(folder, cancelled, &mut ())?,
        _ => writer.write_standalone(folder, cancelled, &mut ())?,
    };
    let found = verify(folder, cancelled, &mut ())?;
    if !found.is_sound() {
        let findings: Vec<String> = found.findings.iter().map(ToString::to_string).collect();
        let findings = findings.join("; ");
        return Err(PipelineError::Unsound { path: folder.to_owned(), findings });
    }
    Ok(())
}

/// The model's tokenizer with the chat template that the recipe names, in a folder of its own: whoever loads
/// the result is to use the template that it was trained with. None where the recipe names none.
fn tokenizer(recipe: &CheckedRecipe, model: &Found, place: &Place) -> Result<Option<PathBuf>> {
    if recipe.recipe().data.template.is_none() {
        return Ok(None);
    }
    let Some(template) = recipe.template(&TemplateFolder::read(&model.folder)?)? else {
        return Ok(None);
    };
    let folder = place.work.join("tokenizer");
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(PipelineError::io(&folder)(error));
        }
        _ => fs::create_dir_all(&folder).map_err(PipelineError::io(&folder))?,
    }
    for name in TokenizerSuite::of(&SourceFolder::open(&model.folder)?)?.files {
        // The templates of the model: this one replaces them.
        if !name.starts_with("chat_template") && !name.contains('/') {
            let file = folder.join(&name);
            fs::copy(model.folder.join(&name), &file).map_err(PipelineError::io(&file))?;
        }
    }
    write_whole(&folder.join("chat_template.jinja"), template.source().as_bytes())?;
    Ok(Some(folder))
}

/// How a recipe has models measured.
fn measuring(recipe: &CheckedRecipe) -> Result<MeasureConfig> {
    let answers =
        recipe.wants(Metric::Refusal).then_some(recipe.recipe().evaluation.max_new_tokens);
    let alignment = recipe.wants(Metric::Aqi).then(|| recipe.alignment_config()).transpose()?;
    Ok(MeasureConfig::default()
        .with_states(recipe.states_config())
        .with_chat(recipe.recipe().evaluation.chat)
        .with_alignment(alignment)
        .with_answers(answers))
}

/// Writes the numbers and the report.
fn show(
    recipe: &CheckedRecipe,
    model: &Found,
    place: &Place,
    trained: &Trained,
    comparison: &Comparison,
    measuring: &Measuring<'_>,
    names: [&str; 2],
) -> Result<Aligned> {
    let numbers = comparison.json(names);
    write_json(&place.metrics(), &numbers)?;
    write_json(&place.root.join("training.json"), &trained.summary)?;
    let mut report = comparison.report(&place.name, names, measuring.probes, &measuring.config)?;
    report.curve = Some(trained.curve());
    report.settings = settings(recipe, trained);
    report.lineage = lineage(model);
    let report = report.check()?;
    let (mut html, mut markdown) = (None, None);
    if recipe.recipe().report.html {
        let path = place.root.join("report.html");
        write_whole(&path, report.html().as_bytes())?;
        html = Some(path);
    }
    if recipe.recipe().report.markdown {
        let path = place.root.join("report.md");
        write_whole(&path, report.markdown().as_bytes())?;
        markdown = Some(path);
    }
    if recipe.recipe().report.figures != FigureFormat::None {
        let folder = place.root.join("figures");
        fs::create_dir_all(&folder).map_err(PipelineError::io(&folder))?;
        for figure in report.figures() {
            write_figure(&figure, &folder, recipe.recipe().report.figures)?;
        }
    }
    Ok(Aligned {
        model: place.model.clone(),
        metrics: place.metrics(),
        html,
        markdown,
        database: place.database.clone(),
        experiment: None,
        ledger: place.ledger().path().to_owned(),
        findings: report.findings().into_iter().map(|finding| finding.text).collect(),
        numbers,
        cached: false,
    })
}

#[cfg(feature = "png")]
fn write_figure(figure: &Figure, folder: &Path, format: FigureFormat) -> Result<()> {
    match format {
        FigureFormat::Png => {
            write_whole(&folder.join(format!("{}.png", figure.name())), &figure.png()?)
        }
        _ => write_whole(&folder.join(format!("{}.svg", figure.name())), figure.svg().as_bytes()),
    }
}

#[cfg(not(feature = "png"))]
fn write_figure(figure: &Figure, folder: &Path, _: FigureFormat) -> Result<()> {
    write_whole(&folder.join(format!("{}.svg", figure.name())), figure.svg().as_bytes())
}

fn settings(recipe: &CheckedRecipe, trained: &Trained) -> Vec<Fact> {
    let recipe = recipe.recipe();
    let rows = recipe.training.batch_size * recipe.training.accumulation;
    let mut facts = match trained.what {
        TrainedWeights::Adapter(_) => vec![
            Fact::new("method", "LoRA"),
            Fact::new("rank", recipe.method.rank.to_string()),
            Fact::new("alpha", recipe.method.alpha.to_string()),
        ],
        TrainedWeights::All(_) => vec![Fact::new("method", "all parameters are trained")],
    };
    facts.push(Fact::new("learning rate", format!("{:e}", recipe.training.learning_rate)));
    facts.push(Fact::new("rows in a step", rows.to_string()));
    if let Some(steps) = trained.summary["state"]["step"].as_u64() {
        facts.push(Fact::new("steps", steps.to_string()));
    }
    if let Some(tokens) = trained.summary["state"]["tokens"].as_u64() {
        facts.push(Fact::new("tokens", tokens.to_string()));
    }
    facts.push(Fact::new("device", &recipe.device));
    facts.push(Fact::new("seed", recipe.seed.to_string()));
    facts
}

/// What it was made of.
fn lineage(model: &Found) -> Vec<Fact> {
    let mut facts = vec![Fact::new("base model", &model.parent.reference)];
    if let Some(revision) = &model.parent.revision {
        facts.push(Fact::new("revision", revision));
    }
    facts
}

/// Appends what was written to the ledger, once for each run.
pub(super) fn note_in_ledger(
    surroundings: &Surroundings,
    place: &Place,
    key: &str,
    cancelled: &AtomicBool,
) -> Result<()> {
    let ledger = place.ledger();
    ledger.recover()?;
    let run = FolderName::new(key)?;
    let mut files = BTreeMap::new();
    for name in [format!("{}/SHA256SUMS", place.name), "metrics.json".to_owned()] {
        let sum = Checksum::of_file(&place.root.join(&name), cancelled)?;
        files.insert(name, sum);
    }
    let is_noted = |entry: &LedgerEntry| entry.run_id == run && entry.files == files;
    if !ledger.entries()?.iter().any(is_noted) {
        ledger.append(&run, (surroundings.clock)(), "aligned", files)?;
    }
    Ok(())
}

pub(super) fn write_json(path: &Path, value: &Value) -> Result<()> {
    write_whole(path, format!("{value:#}\n").as_bytes())
}
