//! What is recorded is what is read.

use collimate_track::{
    AqiScore, EvaluationSummary, Experiment, ExperimentFilter, ExperimentId, ExperimentSetup,
    Interval, ModelResponse, Outcome, Page, Phase, Recorded, Safety, Status, TrackError,
    TrainingMetric, VersionId,
};
use serde_json::json;

use crate::Scratch;

#[test]
fn an_experiment_starts_and_ends() {
    let mut scratch = Scratch::new();
    let setup = ExperimentSetup::new("O'Brien; DROP TABLE experiments; --", "Fern-1B", "DPO")
        .with_base_version("1.2.0")
        .with_config(json!({"rank": 16, "b": {"z": 0.1, "a": [1e300, null]}, "a": "\u{1f331}\n"}))
        .with_seed(u64::MAX)
        .with_device("cpu")
        .with_dtype("bf16")
        .with_data_hash("00ff")
        .with_software("collimate", "0.1.0")
        .with_software("burn", "0.22.1");
    let id = scratch.database.start_experiment(&setup).unwrap();
    let running = scratch.database.experiment(id).unwrap();
    assert_eq!(running.setup, setup);
    assert_eq!((running.status, running.ended_at), (Status::Running, None));
    assert_eq!(running.started_at.to_string(), "2026-01-31T12:00:00.123456Z");

    scratch.database.end_experiment(id, &Outcome::Failed("out of memory".to_owned())).unwrap();
    let failed = scratch.database.experiment(id).unwrap();
    assert_eq!((failed.status, failed.error.as_deref()), (Status::Failed, Some("out of memory")));
    assert_eq!(failed.ended_at, Some(failed.started_at));
    let error = scratch.database.end_experiment(id, &Outcome::Finished).unwrap_err();
    assert!(matches!(error, TrackError::Ended { status: Status::Failed, .. }), "{error}");
    assert_eq!(scratch.database.experiment(id).unwrap(), failed);

    let json = serde_json::to_string(&failed).unwrap();
    assert_eq!(serde_json::from_str::<Experiment>(&json).unwrap(), failed);
}

#[test]
fn experiments_are_found() {
    let mut scratch = Scratch::new();
    let mut ids = Vec::new();
    for (name, base, method) in [
        ("Refusals 100%", "Fern-1B", "LoRA"),
        ("refusals_b", "Moss-2B", "LoRA"),
        ("other", "Fern-1B", "DPO"),
    ] {
        let setup = ExperimentSetup::new(name, base, method);
        ids.push(scratch.database.start_experiment(&setup).unwrap());
    }
    scratch.database.end_experiment(ids[0], &Outcome::Interrupted).unwrap();
    let found = |filter: ExperimentFilter, page| -> Vec<_> {
        let found = scratch.database.experiments(&filter, page).unwrap();
        found.into_iter().map(|experiment| experiment.id).collect()
    };
    let all = ExperimentFilter::default;
    assert_eq!(found(all(), Page::default()), ids);
    assert_eq!(found(all(), Page::first(2)), ids[..2]);
    assert_eq!(found(all(), Page::first(2).next()), ids[2..]);
    assert_eq!(found(all(), Page::first(0)), []);
    assert_eq!(found(all().with_name("REFUSALS"), Page::ALL), ids[..2]);
    // Neither is a wildcard.
    assert_eq!(found(all().with_name("%"), Page::ALL), ids[..1]);
    assert_eq!(found(all().with_name("_"), Page::ALL), ids[1..2]);
    assert_eq!(found(all().with_status(Status::Running), Page::ALL), ids[1..]);
    assert_eq!(found(all().with_base_model("Fern-1B"), Page::ALL), [ids[0], ids[2]]);
    assert_eq!(found(all().with_method("LoRA").with_base_model("Moss-2B"), Page::ALL), [ids[1]]);
}

#[test]
fn a_continued_experiment_leads_to_the_first() {
    let mut scratch = Scratch::new();
    let first = scratch.experiment();
    let other = scratch.experiment();
    let setup = ExperimentSetup::new("second", "Fern-1B", "LoRA");
    let second = scratch.database.start_experiment(&setup.clone().with_parent(first)).unwrap();
    let third = scratch.database.start_experiment(&setup.with_parent(second)).unwrap();
    let line = |id| -> Vec<_> {
        let line = scratch.database.experiment_lineage(id).unwrap();
        line.into_iter().map(|experiment| experiment.id).collect()
    };
    assert_eq!(line(third), [third, second, first]);
    assert_eq!(line(other), [other]);
    // A circle that somebody has made in the file.
    scratch.tamper("UPDATE experiments SET parent_id = 4 WHERE id = 1");
    assert_eq!(line(third).len(), 3);
}

#[test]
fn metrics_are_curves() {
    let mut scratch = Scratch::new();
    let id = scratch.experiment();
    let values = [1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324, f64::MAX];
    let mut metrics: Vec<_> = (0..)
        .zip(values)
        .map(|(step, value)| TrainingMetric::new(step, "loss", value).with_epoch(0.5))
        .collect();
    metrics.reverse();
    scratch.database.record_metrics(id, &metrics).unwrap();
    let rate = TrainingMetric::new(i64::MAX as u64, "learning_rate", 1e-4);
    scratch.database.record_metrics(id, std::slice::from_ref(&rate)).unwrap();

    let loss = scratch.database.training_metrics(id, Some("loss"), Page::ALL).unwrap();
    // SQLite has one zero only.
    let bits = |value: f64| if value.is_nan() { None } else { Some((value + 0.0).to_bits()) };
    assert_eq!(loss.len(), values.len());
    for ((step, value), found) in (0..).zip(values).zip(&loss) {
        assert_eq!((found.record.step, bits(found.record.value)), (step, bits(value)));
        assert_eq!(found.record.epoch, Some(0.5));
        let json = serde_json::to_string(found).unwrap();
        let read: Recorded<TrainingMetric> = serde_json::from_str(&json).unwrap();
        assert_eq!(bits(read.record.value), bits(value), "{json}");
    }
    let all = scratch.database.training_metrics(id, None, Page::first(1)).unwrap();
    assert_eq!(all[0].record, rate);
    assert_eq!(scratch.database.metric_names(id).unwrap(), ["learning_rate", "loss"]);
}

#[test]
fn a_batch_is_recorded_whole_or_not_at_all() {
    let mut scratch = Scratch::new();
    let id = scratch.experiment();
    scratch.database.record_metrics(id, &[TrainingMetric::new(2, "loss", 1.0)]).unwrap();
    let before = scratch.database.audit_head().unwrap();
    let batch = [1, 2, 3].map(|step| TrainingMetric::new(step, "loss", 2.0));
    let error = scratch.database.record_metrics(id, &batch).unwrap_err();
    assert_eq!(error.to_string(), "there is already \"loss\" of step 2 in experiment 1");
    assert!(matches!(error, TrackError::Duplicate { .. }));
    let found = scratch.database.training_metrics(id, None, Page::ALL).unwrap();
    assert_eq!((found.len(), found[0].record.value), (1, 1.0));
    assert_eq!(scratch.database.audit_head().unwrap(), before);
    scratch.database.record_metrics(id, &[]).unwrap();
    assert_eq!(scratch.database.audit_head().unwrap(), before);
}

#[test]
fn scores_responses_and_summaries_come_back() {
    let mut scratch = Scratch::new();
    let id = scratch.experiment();
    let scores = [
        AqiScore::new(Phase::Before, 0.1, 10, 20),
        AqiScore::new(Phase::After, 0.5, 10, 20)
            .with_indices(f64::INFINITY, 0.0)
            .with_interval(Interval::new(0.4, 0.6, 0.95))
            .with_p_value(0.0)
            .with_layer("model.layers.3")
            .with_axiom("Duty")
            .with_pooling("last")
            .with_transform("center"),
        AqiScore::new(Phase::Step(100), -0.2, 0, u64::MAX / 2),
    ];
    scratch.database.record_scores(id, &scores).unwrap();
    let responses = [
        ModelResponse::new(Phase::Before, "p'1", "How?\0\r\n", ""),
        ModelResponse::new(Phase::Before, "p'1", "How?\0\r\n", "\u{feff}so \u{1f331}")
            .with_sample(1)
            .with_safety(Safety::Unsafe)
            .with_refused(false)
            .with_judge_score(4.5)
            .with_tokens(3)
            .with_latency_ms(12.25),
    ];
    scratch.database.record_responses(id, &responses).unwrap();
    let summaries = [
        EvaluationSummary::new(Phase::After, "perplexity", f64::INFINITY),
        EvaluationSummary::new(Phase::After, "bleu", 31.5)
            .with_interval(Interval::new(30.0, 33.0, 0.9))
            .with_n(500)
            .with_details(json!({"tokenize": "13a"})),
    ];
    scratch.database.record_summaries(id, &summaries).unwrap();

    let read = scratch.database.aqi_scores(id, None, Page::ALL).unwrap();
    assert!(read.iter().map(|it| &it.record).eq(&scores));
    let json = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Recorded<AqiScore>>>(&json).unwrap(), read);
    let after = scratch.database.aqi_scores(id, Some(Phase::After), Page::ALL).unwrap();
    assert_eq!(after, read[1..2]);
    let step = |step| scratch.database.aqi_scores(id, Some(Phase::Step(step)), Page::ALL).unwrap();
    assert_eq!((step(100).len(), step(99).len()), (1, 0));

    let read = scratch.database.model_responses(id, Some(Phase::Before), Page::ALL).unwrap();
    assert!(read.iter().map(|it| &it.record).eq(&responses));
    let json = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Recorded<ModelResponse>>>(&json).unwrap(), read);

    let read = scratch.database.evaluation_summary(id, None, Page::ALL).unwrap();
    assert!(read.iter().map(|it| &it.record).eq(&summaries));
    let json = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Recorded<EvaluationSummary>>>(&json).unwrap(), read);
}

#[test]
fn the_same_is_not_recorded_twice() {
    let mut scratch = Scratch::new();
    let id = scratch.experiment();
    let score = AqiScore::new(Phase::Before, 0.1, 1, 1);
    let others = [
        score.clone(),
        score.clone().with_layer("0"),
        score.clone().with_axiom("Duty"),
        score.clone().with_pooling("mean"),
        score.clone().with_transform("center"),
        AqiScore::new(Phase::Step(0), 0.1, 1, 1),
        AqiScore::new(Phase::After, 0.1, 1, 1),
    ];
    scratch.database.record_scores(id, &others).unwrap();
    for again in others {
        let error = scratch.database.record_scores(id, &[again]).unwrap_err();
        assert!(matches!(error, TrackError::Duplicate { .. }), "{error}");
    }
    let response = [ModelResponse::new(Phase::Before, "1", "?", "!")];
    scratch.database.record_responses(id, &response).unwrap();
    let error = scratch.database.record_responses(id, &response).unwrap_err();
    assert!(matches!(error, TrackError::Duplicate { .. }), "{error}");
    let summary = [EvaluationSummary::new(Phase::Before, "bleu", 1.0)];
    scratch.database.record_summaries(id, &summary).unwrap();
    let error = scratch.database.record_summaries(id, &summary).unwrap_err();
    assert!(matches!(error, TrackError::Duplicate { .. }), "{error}");
}

#[test]
fn nothing_belongs_to_what_is_not_there() {
    let mut scratch = Scratch::new();
    let id = scratch.experiment();
    let (nowhere, nothing) = (ExperimentId::new(77), VersionId::new(77));
    let metrics = [TrainingMetric::new(1, "loss", 1.0)];
    let score = AqiScore::new(Phase::Before, 0.1, 1, 1);
    let response = ModelResponse::new(Phase::Before, "1", "?", "!").with_version(nothing);
    let summary = EvaluationSummary::new(Phase::Before, "bleu", 1.0).with_version(nothing);
    let setup = ExperimentSetup::new("a", "b", "c").with_parent(nowhere);
    let database = &mut scratch.database;
    for error in [
        database.record_metrics(nowhere, &metrics).unwrap_err(),
        database.record_scores(nowhere, std::slice::from_ref(&score)).unwrap_err(),
        database.record_scores(id, &[score.with_version(nothing)]).unwrap_err(),
        database.record_responses(id, &[response]).unwrap_err(),
        database.record_summaries(id, &[summary]).unwrap_err(),
        database.start_experiment(&setup).unwrap_err(),
        database.end_experiment(nowhere, &Outcome::Finished).unwrap_err(),
        database.experiment(nowhere).unwrap_err(),
        database.experiment_lineage(nowhere).unwrap_err(),
        database.training_metrics(nowhere, None, Page::ALL).unwrap_err(),
        database.metric_names(nowhere).unwrap_err(),
        database.aqi_scores(nowhere, None, Page::ALL).unwrap_err(),
        database.model_responses(nowhere, None, Page::ALL).unwrap_err(),
        database.evaluation_summary(nowhere, None, Page::ALL).unwrap_err(),
        database.performance(nothing).unwrap_err(),
    ] {
        assert!(
            matches!(&error, TrackError::NotFound { what } if what.ends_with(" 77")),
            "{error}"
        );
    }
    assert_eq!(database.audit_head().unwrap().sequence, 2);
}
