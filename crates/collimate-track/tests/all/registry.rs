//! Models and their versions.

use collimate_track::{
    AqiScore, EvaluationSummary, Interval, Lineage, Model, ModelEntry, ModelFilter, ModelId,
    ModelUpdate, ModelVersion, Page, Phase, TrackError, Version, VersionComparison, VersionEntry,
    VersionId, VersionUpdate,
};
use serde_json::json;

use crate::Scratch;

fn version(text: &str) -> VersionEntry {
    VersionEntry::new(text.parse().unwrap())
}

#[test]
fn models_are_registered_updated_and_retired() {
    let mut scratch = Scratch::new();
    let database = &mut scratch.database;
    let entry = ModelEntry::new("fern-tamed", "Fern-1B")
        .with_description("refuses")
        .with_metadata(json!({"owner": "A"}));
    let id = database.register_model(&entry).unwrap();
    let model = database.model(id).unwrap();
    assert_eq!((&model.entry, &model.retired), (&entry, &None));
    assert_eq!(database.model_named("fern-tamed").unwrap(), model);
    let json = serde_json::to_string(&model).unwrap();
    assert_eq!(serde_json::from_str::<Model>(&json).unwrap(), model);
    let error = database.register_model(&entry).unwrap_err();
    assert_eq!(error.to_string(), "there is already a model \"fern-tamed\"");

    database.update_model(id, &ModelUpdate::default().with_metadata(json!({"b": 1}))).unwrap();
    let model = database.model(id).unwrap();
    assert_eq!(
        (model.entry.description.as_str(), model.entry.metadata),
        ("refuses", json!({"b": 1}))
    );
    database.update_model(id, &ModelUpdate::default().with_description("")).unwrap();
    assert_eq!(database.model(id).unwrap().entry.description, "");

    let used = database.register_version(id, &version("1.0.0")).unwrap();
    database.retire_model(id, Some("superseded")).unwrap();
    let retired = database.model(id).unwrap().retired.unwrap();
    assert_eq!(retired.reason.as_deref(), Some("superseded"));
    for error in [
        database.retire_model(id, None).unwrap_err(),
        database.register_version(id, &version("1.0.1")).unwrap_err(),
        database.use_version(used).unwrap_err(),
    ] {
        assert!(matches!(&error, TrackError::Retired { what } if what == "model 1"), "{error}");
    }
    let nowhere = ModelId::new(9);
    for error in [
        database.model(nowhere).unwrap_err(),
        database.model_named("?").unwrap_err(),
        database.versions(nowhere).unwrap_err(),
        database.update_model(nowhere, &ModelUpdate::default()).unwrap_err(),
        database.retire_model(nowhere, None).unwrap_err(),
        database.register_version(nowhere, &version("1.0.0")).unwrap_err(),
    ] {
        assert!(matches!(error, TrackError::NotFound { .. }), "{error}");
    }
}

#[test]
fn models_are_found() {
    let mut scratch = Scratch::new();
    let database = &mut scratch.database;
    let a = ModelEntry::new("b-model", "Fern-1B").with_description("Refuses politely");
    let a = database.register_model(&a).unwrap();
    let b = ModelEntry::new("a-model", "Moss-2B").with_metadata(json!({"team": "Red"}));
    let b = database.register_model(&b).unwrap();
    database.register_version(b, &version("3.1.4-rc.1").with_description("too polite")).unwrap();
    database.retire_model(b, None).unwrap();
    let found = |filter: ModelFilter| -> Vec<_> {
        let found = database.search_models(&filter, Page::ALL).unwrap();
        found.into_iter().map(|model| model.id).collect()
    };
    let all = ModelFilter::default;
    assert_eq!(found(all()), [b, a]);
    assert_eq!(found(all().with_text("POLITE")), [b, a]);
    assert_eq!(found(all().with_text("politely")), [a]);
    assert_eq!(found(all().with_text("red")), [b]);
    assert_eq!(found(all().with_text("3.1.4")), [b]);
    assert_eq!(found(all().with_text("moss")), [b]);
    assert_eq!(found(all().with_text("%")), []);
    assert_eq!(found(all().with_base_model("Fern-1B")), [a]);
    assert_eq!(found(all().with_retired(true)), [b]);
    assert_eq!(found(all().with_retired(false).with_text("model")), [a]);
    let second = database.search_models(&all(), Page::first(1).next()).unwrap();
    assert_eq!(second[0].id, a);
}

#[test]
fn versions_are_ordered_and_lead_back_to_the_base() {
    let mut scratch = Scratch::new();
    let experiment = scratch.experiment();
    let database = &mut scratch.database;
    let base = database.register_model(&ModelEntry::new("fern", "Fern-1B")).unwrap();
    let tuned = database.register_model(&ModelEntry::new("tuned", "fern")).unwrap();
    let first = database.register_version(base, &version("1.0.0")).unwrap();
    let entry = version("1.10.0")
        .with_parent(first)
        .with_experiment(experiment)
        .with_location("hf://org/fern")
        .with_content_hash("00ff")
        .with_description("more")
        .with_metadata(json!({"rows": 10}));
    let tenth = database.register_version(base, &entry).unwrap();
    let ninth = database.register_version(base, &version("1.9.0").with_parent(first)).unwrap();
    let candidate = database.register_version(base, &version("1.10.0-rc.1")).unwrap();
    let child = database.register_version(tuned, &version("0.1.0").with_parent(tenth)).unwrap();

    let read = database.version(tenth).unwrap();
    assert_eq!((&read.entry, read.uses, read.last_used_at), (&entry, 0, None));
    let json = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<ModelVersion>(&json).unwrap(), read);
    let ids = |versions: Vec<ModelVersion>| versions.iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(ids(database.versions(base).unwrap()), [first, ninth, candidate, tenth]);
    let lineage = database.lineage(child).unwrap();
    assert_eq!(lineage.base_model, "Fern-1B");
    let json = serde_json::to_string(&lineage).unwrap();
    assert_eq!(serde_json::from_str::<Lineage>(&json).unwrap(), lineage);
    assert_eq!(ids(lineage.versions), [child, tenth, first]);

    let error = database.register_version(base, &entry).unwrap_err();
    assert_eq!(error.to_string(), "there is already 1.10.0 of model 1");
    let nowhere = VersionId::new(99);
    for error in [
        database.version(nowhere).unwrap_err(),
        database.lineage(nowhere).unwrap_err(),
        database.use_version(nowhere).unwrap_err(),
        database.update_version(nowhere, &VersionUpdate::default()).unwrap_err(),
        database.retire_version(nowhere, None).unwrap_err(),
        database.compare_versions(first, nowhere).unwrap_err(),
        database.register_version(base, &version("2.0.0").with_parent(nowhere)).unwrap_err(),
    ] {
        assert!(matches!(error, TrackError::NotFound { .. }), "{error}");
    }
}

#[test]
fn versions_are_updated_used_and_retired() {
    let mut scratch = Scratch::new();
    let database = &mut scratch.database;
    let model = database.register_model(&ModelEntry::new("fern", "Fern-1B")).unwrap();
    let id = database.register_version(model, &version("1.0.0").with_description("a")).unwrap();
    let update = VersionUpdate::default().with_location("/models/fern").with_metadata(json!({}));
    database.update_version(id, &update).unwrap();
    let read = database.version(id).unwrap();
    assert_eq!(read.entry.location.as_deref(), Some("/models/fern"));
    assert_eq!(read.entry.description, "a");
    assert_eq!(database.use_version(id).unwrap(), 1);
    assert_eq!(database.use_version(id).unwrap(), 2);
    let read = database.version(id).unwrap();
    assert_eq!((read.uses, read.last_used_at), (2, Some(read.created_at)));
    database.retire_version(id, None).unwrap();
    for error in [
        database.use_version(id).unwrap_err(),
        database.retire_version(id, Some("again")).unwrap_err(),
    ] {
        assert!(matches!(error, TrackError::Retired { .. }), "{error}");
    }
    assert_eq!(database.version(id).unwrap().uses, 2);
}

#[test]
fn versions_are_compared_by_what_was_measured_last() {
    let mut scratch = Scratch::new();
    let (one, two) = (scratch.experiment(), scratch.experiment());
    let database = &mut scratch.database;
    let model = database.register_model(&ModelEntry::new("fern", "Fern-1B")).unwrap();
    let first = database.register_version(model, &version("1.0.0")).unwrap();
    let second = database.register_version(model, &version("1.1.0")).unwrap();
    let of = |version: VersionId, metric: &str, value| {
        EvaluationSummary::new(Phase::After, metric, value).with_version(version)
    };
    let summaries =
        [of(first, "bleu", 10.0), of(first, "perplexity", f64::INFINITY), of(second, "chrf", 50.0)];
    database.record_summaries(one, &summaries).unwrap();
    let summaries = [
        of(first, "bleu", 20.0),
        of(second, "bleu", 25.0),
        of(second, "perplexity", f64::INFINITY),
    ];
    database.record_summaries(two, &summaries).unwrap();
    let score = AqiScore::new(Phase::After, 0.25, 10, 15)
        .with_version(second)
        .with_interval(Interval::new(0.2, 0.3, 0.95));
    let layer = AqiScore::new(Phase::After, 0.9, 10, 15).with_version(second).with_layer("3");
    database.record_scores(two, &[score, layer]).unwrap();

    let performance = database.performance(second).unwrap();
    assert_eq!(performance.keys().collect::<Vec<_>>(), ["aqi_s", "bleu", "chrf", "perplexity"]);
    let aqi = &performance["aqi_s"].record;
    assert_eq!(
        (aqi.value, aqi.n, aqi.interval),
        (0.25, Some(25), Some(Interval::new(0.2, 0.3, 0.95)))
    );

    let comparison = database.compare_versions(first, second).unwrap();
    assert_eq!(comparison.first.entry.version, Version::new(1, 0, 0));
    let row = |metric: &str| {
        let row = &comparison.metrics[metric];
        let value = |side: &Option<collimate_track::Recorded<EvaluationSummary>>| {
            side.as_ref().map(|it| it.record.value)
        };
        (value(&row.first), value(&row.second), row.difference)
    };
    assert_eq!(row("bleu"), (Some(20.0), Some(25.0), Some(5.0)));
    assert_eq!(row("chrf"), (None, Some(50.0), None));
    assert_eq!(row("aqi_s"), (None, Some(0.25), None));
    assert_eq!(row("perplexity"), (Some(f64::INFINITY), Some(f64::INFINITY), None));
    let json = serde_json::to_string(&comparison).unwrap();
    assert_eq!(serde_json::from_str::<VersionComparison>(&json).unwrap(), comparison);
}
