use collimate_pipeline::{Every, MethodKind, MethodRecipe, Metric, OutputForm, Recipe};

use super::{refused, yaml};

#[test]
fn what_contradicts_is_named_on_both_sides() {
    for (text, first, second) in [
        (
            "method:\n  kind: full\n  rank: 8\n",
            "r.yaml:3: `method.rank`",
            "r.yaml:2: `method.kind`",
        ),
        (
            "training:\n  warmup_steps: 3\n  warmup_ratio: 0.1\n",
            "r.yaml:2: `training.warmup_steps`",
            "r.yaml:3: `training.warmup_ratio`",
        ),
        (
            "data: {held_out: 0}\nevaluation: {metrics: [perplexity]}\n",
            "r.yaml:2: `evaluation.metrics`",
            "r.yaml:1: `data.held_out`",
        ),
        (
            "data: {paths: a.jsonl}\nevaluation:\n  metrics: [refusal]\n",
            "r.yaml:3: `evaluation.metrics`",
            "`evaluation.probes`",
        ),
        (
            "data: {paths: a.jsonl}\nevaluation:\n  max_new_tokens: 5\n",
            "r.yaml:3: `evaluation.max_new_tokens`",
            "`evaluation.probes`",
        ),
        (
            "evaluation:\n  metrics: [refusal]\n  layers: 2\n",
            "r.yaml:3: `evaluation.layers`",
            "r.yaml:2: `evaluation.metrics`",
        ),
        (
            "evaluation: {fit_share: 0.4}\n",
            "r.yaml:1: `evaluation.fit_share`",
            "`evaluation.layers`",
        ),
        (
            "data: {held_out: 0}\ntraining: {keep_best: true}\n",
            "r.yaml:2: `training.keep_best`",
            "r.yaml:1: `data.held_out`",
        ),
        (
            "training:\n  patience: 2\n  evaluate_every: never\n",
            "r.yaml:2: `training.patience`",
            "r.yaml:3: `training.evaluate_every`",
        ),
        (
            "data: {held_out: 0}\ntraining: {evaluate_every: 5}\n",
            "r.yaml:2: `training.evaluate_every`",
            "r.yaml:1: `data.held_out`",
        ),
        ("training:\n  threshold: 0.1\n", "r.yaml:2: `training.threshold`", "`training.patience`"),
        (
            "data: {pack: true}\ntraining: {arrangement: {by_length: 8}}\n",
            "r.yaml:1: `data.pack`",
            "r.yaml:2: `training.arrangement`",
        ),
        (
            "training:\n  optimizer: sgd\n  beta_1: 0.9\n",
            "r.yaml:3: `training.beta_1`",
            "r.yaml:2: `training.optimizer`",
        ),
        (
            "method:\n  init: pissa\n  dora: true\n",
            "r.yaml:2: `method.init`",
            "r.yaml:3: `method.dora`",
        ),
        (
            "method: {kind: full}\noutput: {form: adapter}\n",
            "r.yaml:2: `output.form`",
            "r.yaml:1: `method.kind`",
        ),
        (
            "output:\n  form: adapter\n  dtype: f16\n",
            "r.yaml:3: `output.dtype`",
            "r.yaml:2: `output.form`",
        ),
        (
            "tracking:\n  enabled: false\n  experiment: x\n",
            "r.yaml:3: `tracking.experiment`",
            "r.yaml:2: `tracking.enabled`",
        ),
    ] {
        let message = refused(text);
        let expected = format!("{first} and {second} contradict each other: ");
        assert!(message.starts_with(&expected), "{message}\n{expected}");
    }
    assert!(refused("models: []\n").starts_with("r.yaml:1: `models` is empty"));
    assert!(refused("models: [a, {model: b, alias: a}]\n").contains("\"a\" twice"));
}

#[test]
fn what_follows_is_settled() {
    let own = yaml("data: {paths: /a.jsonl, held_out: 0}\nmethod: {kind: full}\n");
    assert_eq!(own.evaluation.metrics, Some(vec![]));
    assert_eq!(own.evaluation.probes, None);
    assert_eq!(own.training.evaluate_every, Every::Never);
    assert_eq!(own.output.form, Some(OutputForm::Merged));
    let probes = yaml("data: {paths: /a.jsonl}\nevaluation: {probes: /p.jsonl}\n");
    let all = [Metric::Perplexity, Metric::Aqi, Metric::Refusal];
    assert_eq!(probes.evaluation.metrics.as_deref(), Some(all.as_slice()));
    assert_eq!(probes.output.form, Some(OutputForm::Both));
    // What is empty is not given.
    let nowhere = yaml("tracking: {enabled: false, experiment: null}\n");
    assert!(!nowhere.tracking.enabled);
    // Both bound a run: no contradiction.
    let both = yaml("training: {epochs: 2, max_steps: 10}\n");
    assert_eq!((both.training.epochs, both.training.max_steps), (2.0, Some(10)));
}

#[test]
fn a_program_s_settings_are_checked_too() {
    let full = MethodRecipe::default().with_kind(MethodKind::Full);
    assert!(Recipe::default().with_method(full.clone()).check().is_ok());
    let error = Recipe::default().with_method(full.with_rank(8)).check().unwrap_err();
    assert!(error.to_string().starts_with("`method.rank` and `method.kind`"));
    let nan = Recipe::default().with_method(MethodRecipe::default().with_alpha(f64::NAN));
    assert!(nan.check().unwrap_err().to_string().contains("`method.alpha` is NaN"));
}
