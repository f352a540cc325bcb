//! Values that nobody should record, and files that nobody should have written.

use collimate_track::{
    AqiScore, Database, EvaluationSummary, ExperimentFilter, ExperimentSetup, Interval, ModelEntry,
    ModelFilter, ModelResponse, Options, Outcome, Page, Phase, TrackError, TrainingMetric,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Scratch, says};

#[test]
fn numbers_that_are_none_are_refused() {
    let mut scratch = Scratch::new();
    let id = scratch.experiment();
    let nan = f64::NAN;
    let score = || AqiScore::new(Phase::Before, 0.1, 1, 1);
    let response = || ModelResponse::new(Phase::Before, "1", "?", "!");
    let summary = |value| EvaluationSummary::new(Phase::Before, "bleu", value);
    let database = &mut scratch.database;
    for error in [
        database.record_metrics(id, &[TrainingMetric::new(1, "a", 1.0).with_epoch(nan)]),
        database.record_scores(id, &[AqiScore::new(Phase::Before, nan, 1, 1)]),
        database.record_scores(id, &[score().with_indices(nan, 1.0)]),
        database.record_scores(id, &[score().with_indices(1.0, nan)]),
        database.record_scores(id, &[score().with_p_value(nan)]),
        database.record_responses(id, &[response().with_judge_score(nan)]),
        database.record_responses(id, &[response().with_latency_ms(nan)]),
        database.record_summaries(id, &[summary(nan)]),
    ] {
        let error = error.unwrap_err();
        assert!(matches!(error, TrackError::NotANumber { .. }), "{error}");
    }
    let interval = Interval::new(1.0, 0.0, 0.95);
    for error in [
        database.record_metrics(id, &[TrainingMetric::new(u64::MAX, "a", 1.0)]),
        database.record_scores(id, &[AqiScore::new(Phase::Step(u64::MAX), 0.1, 1, 1)]),
        database.record_scores(id, &[AqiScore::new(Phase::Before, 0.1, u64::MAX, 1)]),
        database.record_scores(id, &[score().with_p_value(1.5)]),
        database.record_scores(id, &[score().with_interval(interval)]),
        database.record_responses(id, &[response().with_tokens(u64::MAX)]),
        database.record_responses(id, &[response().with_latency_ms(-1.0)]),
        database.record_summaries(id, &[summary(1.0).with_interval(interval)]),
    ] {
        let error = error.unwrap_err();
        assert!(matches!(error, TrackError::OutOfRange { .. }), "{error}");
    }
    assert_eq!(database.audit_head().unwrap().sequence, 2);
}

#[test]
fn empty_names_are_refused() {
    let mut scratch = Scratch::new();
    let id = scratch.experiment();
    let setup = || ExperimentSetup::new("a", "b", "c");
    let database = &mut scratch.database;
    for error in [
        database.start_experiment(&ExperimentSetup::new("", "b", "c")).unwrap_err(),
        database.start_experiment(&ExperimentSetup::new("a", "", "c")).unwrap_err(),
        database.start_experiment(&ExperimentSetup::new("a", "b", "")).unwrap_err(),
        database.start_experiment(&setup().with_device("")).unwrap_err(),
        database.end_experiment(id, &Outcome::Failed(String::new())).unwrap_err(),
        database.record_metrics(id, &[TrainingMetric::new(1, "", 1.0)]).unwrap_err(),
        database.register_model(&ModelEntry::new("", "b")).unwrap_err(),
        database.note("", &json!({})).unwrap_err(),
    ] {
        assert!(matches!(error, TrackError::Empty { .. }), "{error}");
    }
    for config in [json!(null), json!([]), json!("text"), json!(1)] {
        let error = database.start_experiment(&setup().with_config(config)).unwrap_err();
        assert!(matches!(error, TrackError::NotAnObject { .. }), "{error}");
    }
    let deep = (0..200).fold(json!({}), |inner: Value, _| json!({"a": inner}));
    let error = database.start_experiment(&setup().with_config(deep)).unwrap_err();
    assert!(matches!(error, TrackError::TooDeep { limit: 100, .. }), "{error}");
}

#[test]
fn texts_have_a_limit() {
    let mut scratch = Scratch::new();
    let id = scratch.experiment();
    let large = "x".repeat(100_000_000);
    let response = ModelResponse::new(Phase::Before, "1", "?", large);
    let error = scratch.database.record_responses(id, &[response]).unwrap_err();
    assert_eq!(error.to_string(), "the response has 100000000 bytes, at most 16777216 are stored");
    let metric = TrainingMetric::new(1, "x".repeat(1025), 1.0);
    let error = scratch.database.record_metrics(id, &[metric]).unwrap_err();
    assert!(matches!(error, TrackError::TooLarge { found: 1025, limit: 1024, .. }), "{error}");
    // Just as much as there may be.
    let response = ModelResponse::new(Phase::Before, "1", "?", "x".repeat(16 << 20));
    scratch.database.record_responses(id, std::slice::from_ref(&response)).unwrap();
    let read = scratch.database.model_responses(id, None, Page::ALL).unwrap();
    assert!(read[0].record == response);

    let options = Options::new().with_max_text_bytes(1024).check().unwrap();
    let other = Database::open(scratch.database.path(), &options).unwrap();
    let error = other.model_responses(id, None, Page::ALL).unwrap_err();
    assert!(matches!(error, TrackError::RowTooLarge { .. }), "{error}");
}

#[test]
fn values_that_were_not_written_here_are_named() {
    for (sql, text) in [
        ("UPDATE experiments SET config = '{'", "column config"),
        ("UPDATE experiments SET software = '[1]'", "column software"),
        ("UPDATE experiments SET seed = '-1'", "column seed"),
        ("UPDATE experiments SET status = 'done'", "\"done\" is no status"),
        ("UPDATE experiments SET started_at = 'yesterday'", "column started_at"),
        ("UPDATE experiments SET name = CAST(x'ff' AS TEXT)", "utf-8"),
    ] {
        let mut scratch = Scratch::new();
        let id = scratch.experiment();
        scratch.tamper(sql);
        let error = scratch.database.experiment(id).unwrap_err();
        assert!(matches!(error, TrackError::Unreadable { .. }), "{error}");
        assert!(says(&error, text), "{error:?}");
    }
    let mut scratch = Scratch::new();
    let id = scratch.experiment();
    scratch.database.record_scores(id, &[AqiScore::new(Phase::Before, 0.1, 1, 1)]).unwrap();
    for (sql, text) in [
        ("UPDATE aqi_scores SET phase = 'during'", "\"during\" is no phase"),
        ("UPDATE aqi_scores SET phase = 'step'", "column step: it is missing"),
        ("UPDATE aqi_scores SET phase = 'after', n_safe = -1", "column n_safe"),
    ] {
        scratch.tamper(sql);
        let error = scratch.database.aqi_scores(id, None, Page::ALL).unwrap_err();
        assert!(matches!(error, TrackError::Unreadable { .. }) && says(&error, text), "{error:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Quotes, NUL, emoji, control characters, wildcards: a name is found by itself, and by nothing else.
    #[test]
    fn any_text_is_a_name(name in "[\\PC\\x00-\\x1f'\"%_;\\\\-]{1,40}", key in ".{0,20}") {
        let mut scratch = Scratch::new();
        let config = json!({(key): name});
        let setup = ExperimentSetup::new(&name, &name, &name).with_config(config);
        let id = scratch.database.start_experiment(&setup).unwrap();
        let other = scratch.experiment();
        let database = &mut scratch.database;
        prop_assert_eq!(database.experiment(id).unwrap().setup, setup);
        let filter = ExperimentFilter::default().with_base_model(&name).with_name(&name);
        let found = database.experiments(&filter, Page::ALL).unwrap();
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(found[0].id, id);

        let metric = TrainingMetric::new(1, &name, 1.0);
        database.record_metrics(other, std::slice::from_ref(&metric)).unwrap();
        let found = database.training_metrics(other, Some(&name), Page::ALL).unwrap();
        prop_assert_eq!(&found[0].record, &metric);

        let model = database.register_model(&ModelEntry::new(&name, "Fern-1B")).unwrap();
        prop_assert_eq!(database.model_named(&name).unwrap().id, model);
        let found = database.search_models(&ModelFilter::default().with_text(&name), Page::ALL);
        prop_assert_eq!(found.unwrap().len(), 1);
        prop_assert!(database.verify_audit(None).unwrap().is_sound());
    }
}
