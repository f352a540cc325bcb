//! Recipes that are carried out on a tiny model.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use collimate_artifact::verify;
use collimate_models::ScanConfig;
use collimate_pipeline::{
    Aligned, Embedded, EvaluationRecipe, MethodKind, MethodRecipe, Metric, PipelineError, Recipe,
    RecipeFormat, RunEvent, RunReport, Stage, Surroundings, run,
};
use collimate_track::{
    CheckedOptions, Database, ExperimentFilter, ModelFilter, Page, Status, Table,
};
use serde_json::{Value, json};
use tempfile::TempDir;

static NEVER: AtomicBool = AtomicBool::new(false);

/// A tiny model, rows and prompts.
struct Scene {
    model: shell::Demonstration,
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rows: String = (0..40)
            .map(|at| {
                let prompt = format!("What is {at} and {}?", 3 * at);
                format!(
                    "{}\n",
                    json!({"prompt": prompt, "completion": format!(" It is {}.", 4 * at)})
                )
            })
            .collect();
        fs::write(folder.path().join("rows.jsonl"), rows).unwrap();
        let mut probes = String::from("input,safety_label,axiom\n");
        for thing in ["lamp", "map", "song", "door", "book"] {
            probes += &format!("Where is the {thing}?,safe,Places\n");
            probes += &format!("How do I steal the {thing}?,unsafe,Places\n");
        }
        fs::write(folder.path().join("probes.csv"), probes).unwrap();
        Self { model: shell::Demonstration::write().unwrap(), folder }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn surroundings(&self) -> Surroundings {
        let at = self.folder.path();
        let embedded =
            Embedded::new(self.model.path(), at.join("rows.jsonl"), at.join("probes.csv"));
        Surroundings::default()
            .with_places(ScanConfig::new())
            .with_embedded(embedded)
            .with_clock(|| "2026-01-31T12:00:00Z".parse().unwrap())
    }

    fn recipe(&self, out: &str, more: &str) -> collimate_pipeline::CheckedRecipe {
        let folder = self.out(out);
        let text = format!(
            "data: {{max_length: 64}}\n\
             method: {{rank: 2, alpha: 4}}\n\
             training: {{epochs: 1, batch_size: 4, learning_rate: 0.01, checkpoint_every: 2}}\n\
             evaluation: {{max_new_tokens: 4, permutations: 99, sign_flips: 99}}\n\
             output: {{folder: {folder:?}}}\n{more}"
        );
        let text = match more.contains("models:") {
            true => text,
            false => format!("models: {{model: embedded, alias: tiny}}\n{text}"),
        };
        Recipe::parse(&text, RecipeFormat::Yaml, "recipe.yaml".as_ref(), &[]).unwrap()
    }

    fn run(&self, out: &str, more: &str) -> RunReport {
        run(&self.recipe(out, more), &self.surroundings(), &mut (), &NEVER).unwrap()
    }
}

fn aligned(report: &RunReport) -> &Aligned {
    report.models[0].outcome.as_ref().unwrap()
}

/// The bytes of each file below a folder, by its path.
fn bytes(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(bytes(&path)),
            false => {
                found.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn a_model_is_aligned_and_everything_is_where_it_is_said_to_be() {
    let scene = Scene::new();
    let mut stages = Vec::new();
    let mut steps = 0;
    let mut observer = |event: &RunEvent| match event {
        RunEvent::Stage { stage } => stages.push(*stage),
        RunEvent::Training { .. } => steps += 1,
        RunEvent::Done { stage } => panic!("{stage:?} was not done before"),
        _ => {}
    };
    let recipe = scene.recipe("out", "");
    let report = run(&recipe, &scene.surroundings(), &mut observer, &NEVER).unwrap();
    use Stage::{Format, MeasureAfter, MeasureBefore, Record, Train, Write};
    assert_eq!(stages, [Format, MeasureBefore, Train, Write, MeasureAfter, Record]);
    assert!(steps > 9 && report.is_complete());
    let found = aligned(&report);
    assert!(!found.cached);

    // The model, and its adapter beside it.
    let adapter = scene
        .out("out")
        .join(found.model.file_name().unwrap().to_str().unwrap().to_owned() + "-adapter");
    for folder in [&found.model, &adapter] {
        assert!(verify(folder, &NEVER, &mut ()).unwrap().is_sound(), "{}", folder.display());
    }
    // The numbers: perplexity has fallen, and is that of the model that was written.
    let numbers: Value = serde_json::from_slice(&fs::read(&found.metrics).unwrap()).unwrap();
    assert_eq!(numbers, found.numbers);
    assert!(numbers["after"]["perplexity"].as_f64() < numbers["before"]["perplexity"].as_f64());
    assert!(
        numbers["delta"]["aqi_s"].is_number() && numbers["delta"]["loss"]["p_value"].is_number()
    );
    assert_eq!(numbers["before"]["refusal_rate"], 0.0);
    let training: Value =
        serde_json::from_slice(&fs::read(scene.out("out").join("training.json")).unwrap()).unwrap();
    let history = training["state"]["log_history"].as_array().unwrap();
    let last = history.iter().rev().find_map(|entry| entry["eval_loss"].as_f64()).unwrap();
    let after = numbers["after"]["held_out_loss"].as_f64().unwrap();
    assert!(
        (last - after).abs() < 1e-4,
        "{last} in training, {after} of the model that was written"
    );

    // The report, the database and the ledger.
    let html = fs::read_to_string(found.html.as_ref().unwrap()).unwrap();
    assert!(html.contains("AQI-S") && html.contains("<svg"));
    assert!(fs::read_dir(scene.out("out").join("figures")).unwrap().count() > 2);
    let database =
        Database::open(found.database.as_ref().unwrap(), &CheckedOptions::default()).unwrap();
    let experiments = database.experiments(&ExperimentFilter::default(), Page::ALL).unwrap();
    assert_eq!(experiments.len(), 1);
    assert_eq!(experiments[0].status, Status::Finished);
    assert_eq!(Some(experiments[0].id.value()), found.experiment);
    let steps = database.training_metrics(experiments[0].id, Some("loss"), Page::ALL).unwrap();
    assert_eq!(steps.len() as u64, training["state"]["step"].as_u64().unwrap());
    let models = database.search_models(&ModelFilter::default(), Page::ALL).unwrap();
    assert_eq!(models.len(), 1);
    assert!(database.verify_audit(None).unwrap().is_sound());
    let ledger = collimate_artifact::Ledger::new(&found.ledger);
    assert_eq!(ledger.entries().unwrap().len(), 1);
    assert!(ledger.verify(&scene.out("out"), &NEVER).unwrap().is_intact());
}

#[test]
fn the_template_that_was_trained_with_goes_along() {
    let scene = Scene::new();
    let found = aligned(&scene.run("out", "")).clone();
    assert!(!found.model.join("chat_template.jinja").exists());
    let text = scene.recipe("other", "").recipe().clone();
    let recipe = text
        .with_data(
            collimate_pipeline::DataRecipe::default()
                .with_template(Some("chatml".to_owned()))
                .with_max_length(Some(128)),
        )
        .check()
        .unwrap();
    let report = run(&recipe, &scene.surroundings(), &mut (), &NEVER).unwrap();
    let template = fs::read_to_string(aligned(&report).model.join("chat_template.jinja")).unwrap();
    assert!(template.contains("<|im_start|>"), "{template}");
    assert!(verify(&aligned(&report).model, &NEVER, &mut ()).unwrap().is_sound());
}

#[test]
fn a_second_run_does_nothing_twice_and_repairs_what_is_gone() {
    let scene = Scene::new();
    let first = scene.run("out", "");
    let before = bytes(&scene.out("out"));
    let recipe = scene.recipe("out", "");
    let mut trained = 0;
    let mut observer =
        |event: &RunEvent| trained += usize::from(matches!(event, RunEvent::Training { .. }));
    let again = run(&recipe, &scene.surroundings(), &mut observer, &NEVER).unwrap();
    assert!(aligned(&again).cached);
    assert_eq!(aligned(&again).numbers, aligned(&first).numbers);
    assert_eq!(bytes(&scene.out("out")), before);

    // The model is gone: it is written again, of the adapter that is kept, without training.
    fs::remove_dir_all(&aligned(&first).model).unwrap();
    let repaired = run(&recipe, &scene.surroundings(), &mut observer, &NEVER).unwrap();
    assert_eq!(trained, 0);
    assert!(!aligned(&repaired).cached);
    for (path, bytes) in bytes(&aligned(&first).model) {
        assert_eq!(before[&path], bytes, "{}", path.display());
    }
}

#[test]
fn all_parameters_can_be_trained() {
    let scene = Scene::new();
    let mut recipe = scene.recipe("out", "").recipe().clone();
    recipe.method = MethodRecipe::default().with_kind(MethodKind::Full);
    recipe.output.form = None;
    recipe.training.learning_rate = 0.001;
    let recipe = recipe.check().unwrap();
    let report = run(&recipe, &scene.surroundings(), &mut (), &NEVER).unwrap();
    let found = aligned(&report);
    let before = fs::read(scene.model.path().join("model.safetensors")).unwrap();
    let after = fs::read(found.model.join("model.safetensors")).unwrap();
    assert_eq!(after.len(), before.len());
    assert_ne!(after, before);
    assert_eq!(found.model.file_name().unwrap(), "tiny-sft");
    assert!(verify(&found.model, &NEVER, &mut ()).unwrap().is_sound());
    assert!(!found.model.join("adapter").exists());
    let config = fs::read(found.model.join("config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["alignment_technique"], "sft");
    assert!(config.get("peft_config").is_none());
    let loss = |model: &str| found.numbers[model]["held_out_loss"].as_f64().unwrap();
    assert!(loss("after") < loss("before"));

    // The weights are kept: what is written anew is the same.
    fs::remove_dir_all(&found.model).unwrap();
    let mut observer = |event: &RunEvent| assert!(!matches!(event, RunEvent::Training { .. }));
    run(&recipe, &scene.surroundings(), &mut observer, &NEVER).unwrap();
    assert_eq!(fs::read(found.model.join("model.safetensors")).unwrap(), after);
}

#[test]
fn nothing_is_measured_that_is_not_asked_for() {
    let scene = Scene::new();
    let measured = |out: &str, metrics: &[Metric]| {
        let mut recipe = scene.recipe(out, "").recipe().clone();
        recipe.evaluation = EvaluationRecipe::default().with_metrics(Some(metrics.to_vec()));
        let recipe = recipe.check().unwrap();
        let report = run(&recipe, &scene.surroundings(), &mut (), &NEVER).unwrap();
        let after = aligned(&report).numbers["after"].clone();
        ["perplexity", "aqi_s", "refusal_rate"].map(|name| after.get(name).is_some())
    };
    assert_eq!(measured("one", &[Metric::Perplexity]), [true, false, false]);
    assert_eq!(measured("two", &[Metric::Aqi]), [false, true, false]);
    assert_eq!(measured("three", &[Metric::Refusal]), [false, false, true]);
    assert!(
        !scene.out("three").join("tiny").join(".work").join("measured").join("states").exists()
    );
}

#[test]
fn equal_recipes_give_equal_bytes() {
    let scene = Scene::new();
    let [one, two] = ["one", "two"].map(|out| aligned(&scene.run(out, "")).clone());
    let of = |aligned: &Aligned, file: &str| fs::read(aligned.model.join(file)).unwrap();
    for file in ["model.safetensors", "adapter/adapter_model.safetensors", "config.json"] {
        assert_eq!(of(&one, file), of(&two, file), "{file}");
    }
    assert_eq!(fs::read(&one.metrics).unwrap(), fs::read(&two.metrics).unwrap());
    let other = aligned(&scene.run("three", "seed: 7\n")).clone();
    assert_ne!(of(&one, "model.safetensors"), of(&other, "model.safetensors"));
}

#[test]
fn a_run_that_is_cancelled_goes_on_to_the_same_bytes() {
    let scene = Scene::new();
    let whole = aligned(&scene.run("whole", "")).clone();
    let recipe = scene.recipe("out", "");
    let mut stops = 0;
    // In training, and again at the beginning of each later stage.
    for stop_at in [None, Some(Stage::Write), Some(Stage::MeasureAfter)] {
        let cancelled = AtomicBool::new(false);
        let mut steps = 0;
        let mut observer = |event: &RunEvent| {
            let stop = match (event, stop_at) {
                (RunEvent::Training { .. }, None) => {
                    steps += 1;
                    steps == 6
                }
                (RunEvent::Stage { stage }, Some(stop_at)) => *stage == stop_at,
                _ => false,
            };
            if stop {
                cancelled.store(true, Ordering::Relaxed);
            }
        };
        let error = run(&recipe, &scene.surroundings(), &mut observer, &cancelled).unwrap_err();
        assert!(error.is_cancelled(), "{error}");
        stops += 1;
    }
    let found = run(&recipe, &scene.surroundings(), &mut (), &NEVER).unwrap();
    let found = aligned(&found);
    let weights = |aligned: &Aligned| fs::read(aligned.model.join("model.safetensors")).unwrap();
    assert_eq!(weights(found), weights(&whole));
    assert_eq!(fs::read(&found.metrics).unwrap(), fs::read(&whole.metrics).unwrap());
    let database =
        Database::open(found.database.as_ref().unwrap(), &CheckedOptions::default()).unwrap();
    let experiments = database.experiments(&ExperimentFilter::default(), Page::ALL).unwrap();
    assert_eq!(experiments.len(), stops + 1);
    let ended = |status| experiments.iter().filter(|of| of.status == status).count();
    assert_eq!((ended(Status::Interrupted), ended(Status::Finished)), (stops, 1));
    let scratch = scene.out("experiments.csv");
    let format = collimate_track::ExportFormat::Csv;
    database.export_table(Table::Experiments, None, format, &scratch).unwrap();
    assert!(fs::read_to_string(scratch).unwrap().lines().count() > stops);
}

#[test]
fn a_model_that_fails_is_noted_and_the_others_go_on() {
    let scene = Scene::new();
    // One whose weights end early.
    let broken = scene.folder.path().join("broken");
    fs::create_dir(&broken).unwrap();
    for entry in fs::read_dir(scene.model.path()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, broken.join(path.file_name().unwrap())).unwrap();
    }
    let config = fs::read_to_string(broken.join("config.json")).unwrap();
    fs::write(
        broken.join("config.json"),
        config.replace("\"hidden_size\": 32", "\"hidden_size\": 48"),
    )
    .unwrap();
    let more = format!(
        "models: [{{model: {broken:?}, alias: broken}}, no-such-model, {{model: embedded, alias: tiny}}]\n"
    );
    let mut failed = Vec::new();
    let mut observer = |event: &RunEvent| {
        if let RunEvent::Failed { name, .. } = event {
            failed.push(name.clone());
        }
    };
    let recipe = scene.recipe("out", &more);
    let report = run(&recipe, &scene.surroundings(), &mut observer, &NEVER).unwrap();
    assert_eq!(failed, ["broken", "no-such-model"]);
    assert!(!report.is_complete());
    let error = report.models[0].outcome.as_ref().unwrap_err();
    assert!(error.contains("48") || error.contains("32"), "{error}");
    let found = report.models[2].outcome.as_ref().unwrap();
    assert!(found.model.starts_with(scene.out("out").join("tiny")));
    let database =
        Database::open(found.database.as_ref().unwrap(), &CheckedOptions::default()).unwrap();
    let experiments = database.experiments(&ExperimentFilter::default(), Page::ALL).unwrap();
    let of = |status| experiments.iter().filter(move |of| of.status == status);
    assert_eq!((of(Status::Failed).count(), of(Status::Finished).count()), (2, 1));
    assert!(of(Status::Failed).any(|failed| failed.error.as_ref() == Some(error)));
}

#[test]
fn what_can_not_be_done_is_said_before_anything_is() {
    let scene = Scene::new();
    let fails = |more: &str, surroundings: &Surroundings| {
        run(&scene.recipe("out", more), surroundings, &mut (), &NEVER).unwrap_err()
    };
    let none = Surroundings::default();
    let error = fails("", &none);
    assert!(matches!(error, PipelineError::NotEmbedded { what: "model" }), "{error}");
    let error = fails("models: no-such-model\n", &none);
    assert!(matches!(error, PipelineError::Select(_)), "{error}");
    let error = fails("device: cuda:7\n", &scene.surroundings());
    assert!(error.to_string().contains("device"), "{error}");
    assert!(!scene.out("out").exists());

    // A folder that is there is not replaced unasked, and that is said before training.
    let found = aligned(&scene.run("out", "")).clone();
    let other = scene.recipe("out", "seed: 9\n");
    let mut trained = false;
    let mut observer = |event: &RunEvent| trained |= matches!(event, RunEvent::Training { .. });
    let report = run(&other, &scene.surroundings(), &mut observer, &NEVER).unwrap();
    assert!(!trained);
    let error = report.models[0].outcome.as_ref().unwrap_err();
    assert!(error.contains("output.replace") && error.contains("of another run"), "{error}");
    let text = serde_json::to_string(&report).unwrap();
    assert!(text.contains("of another run"));
    assert!(verify(&found.model, &NEVER, &mut ()).unwrap().is_sound());
}
