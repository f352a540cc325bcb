//! Models that are evaluated, against what transformers makes of them (`conformance/eval.py`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use burn::tensor::{DType, Device};
use collimate_aqi::{AqiConfig, DeltaConfig, Labels, Sample};
use collimate_data::{PromptColumns, PromptSet, ReadSettings, Row, Source, Tokenizer};
use collimate_eval::{
    AlignmentConfig, Cached, EvalError, HiddenStates, LayerRule, Pool, Probed, SpeedConfig,
    StatesCache, StatesConfig, alignment, compare_alignment, compare_held_out, held_out,
    hidden_states, model_fingerprint, prompt_ids, random_twin, responses, speed,
};
use collimate_lm::Decoder;
use ndarray::Axis;
use serde::Deserialize;

static NEVER: AtomicBool = AtomicBool::new(false);

#[derive(Deserialize)]
struct Expected {
    ids: Vec<Vec<u32>>,
    before: OfModel,
    after: OfModel,
}

#[derive(Deserialize)]
struct OfModel {
    last: Vec<Vec<Vec<f32>>>,
    mean: Vec<Vec<Vec<f32>>>,
    held_out: Predicted,
}

#[derive(Deserialize)]
struct Predicted {
    loss: f64,
    tokens: u64,
    token_accuracy: f64,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models")
}

fn expected() -> Expected {
    serde_json::from_slice(&std::fs::read(folder().join("expected.json")).unwrap()).unwrap()
}

fn prompts() -> PromptSet {
    let source = Source::open([folder().join("prompts.jsonl")]).unwrap();
    let records = source.records(&ReadSettings::default()).unwrap();
    let columns = PromptColumns::default().with_input("prompt").with_safety_label("label");
    PromptSet::read(records, &columns, None).unwrap()
}

fn texts(prompts: &PromptSet) -> Vec<String> {
    prompts.prompts().iter().map(|prompt| prompt.input.clone()).collect()
}

fn decoder(name: &str) -> Decoder {
    Decoder::load(folder().join(name), &Device::flex(), DType::F32).unwrap()
}

fn states(name: &str, config: &StatesConfig, cached: Option<Cached<'_>>) -> HiddenStates {
    let tokenizer = Tokenizer::from_folder(folder().join(name)).unwrap();
    hidden_states(&decoder(name), &tokenizer, &texts(&prompts()), config, cached, &NEVER).unwrap()
}

#[test]
fn states_are_those_of_transformers() {
    let expected = expected();
    for (name, of_model) in [("before", &expected.before), ("after", &expected.after)] {
        for (pool, of_pool) in [(Pool::Last, &of_model.last), (Pool::Mean, &of_model.mean)] {
            let config = StatesConfig::default().with_pool(pool).with_batch_tokens(64);
            let found = states(name, &config, None);
            assert_eq!(found.layers, [0, 1, 2]);
            assert_eq!(found.states.dim(), (of_pool.len(), 3, 16));
            let wanted = of_pool.iter().flatten().flatten();
            for (found, wanted) in found.states.iter().zip(wanted) {
                assert!((found - wanted).abs() < 2e-5, "{name} {pool:?}: {found}, {wanted}");
            }
            // One of the prompts is there twice.
            let report = found.report;
            assert_eq!((report.texts, report.distinct, report.computed), (26, 25, 25));
        }
    }
}

#[test]
fn what_was_computed_before_is_read_and_what_is_damaged_is_computed_again() {
    let scratch = tempfile::tempdir().unwrap();
    let cache = StatesCache::new(scratch.path().join("cache"));
    let fingerprint = model_fingerprint(&folder().join("before"), None).unwrap();
    let cached = || Some(Cached { cache: &cache, fingerprint: &fingerprint });
    let some = StatesConfig::default().with_layers(vec![2]);
    let first = states("before", &some, cached());
    assert_eq!((first.report.computed, first.report.from_cache), (25, 0));
    // Another model's weights would be found out: nothing of them is read.
    let again = states("after", &some, cached());
    assert_eq!((again.report.computed, again.report.from_cache), (0, 25));
    assert_eq!(again.states, first.states);

    let all = states("before", &StatesConfig::default(), cached());
    assert_eq!((all.report.computed, all.report.damaged), (25, 0));
    assert_eq!(all.states.index_axis(Axis(1), 2), first.states.index_axis(Axis(1), 0));
    let mean = StatesConfig::default().with_pool(Pool::Mean);
    assert_eq!(states("before", &mean, cached()).report.computed, 25);

    let mut damaged = 0;
    for entry in std::fs::read_dir(scratch.path().join("cache")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let end = bytes.len() - 1;
        bytes[end] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        damaged += 1;
    }
    assert_eq!(damaged, 6);
    let repaired = states("before", &StatesConfig::default(), cached());
    assert_eq!((repaired.report.damaged, repaired.report.computed), (3, 25));
    assert_eq!(repaired.states, all.states);
    let read = states("before", &StatesConfig::default(), cached());
    assert_eq!((read.report.damaged, read.report.computed), (0, 0));
    assert_eq!(read.states, all.states);
}

#[test]
fn a_fingerprint_follows_from_contents() {
    let before = model_fingerprint(&folder().join("before"), None).unwrap();
    let after = model_fingerprint(&folder().join("after"), None).unwrap();
    let both = model_fingerprint(&folder().join("before"), Some(&folder().join("after"))).unwrap();
    assert!(before != after && before != both && after != both);
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder().join("before")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    assert_eq!(model_fingerprint(copy.path(), None).unwrap(), before);
    let empty = tempfile::tempdir().unwrap();
    let error = model_fingerprint(empty.path(), None).unwrap_err();
    assert!(matches!(error, EvalError::NoWeights { .. }), "{error}");
}

#[test]
fn held_out_rows_are_predicted_as_by_transformers() {
    let expected = expected();
    let rows: Vec<Row> = expected
        .ids
        .iter()
        .map(|ids| Row::new(ids.clone(), (0..ids.len()).map(|at| at % 3 != 1).collect()))
        .collect();
    for (name, of_model) in [("before", &expected.before), ("after", &expected.after)] {
        for batch_tokens in [1, 4096] {
            let found = held_out(&decoder(name), &rows, batch_tokens, &NEVER).unwrap();
            let wanted = &of_model.held_out;
            assert_eq!((found.rows, found.tokens), (26, wanted.tokens));
            assert!((found.loss - wanted.loss).abs() < 1e-5, "{found:?} {}", wanted.loss);
            assert!((found.perplexity - wanted.loss.exp()).abs() < 1e-4 * found.perplexity);
            assert!((found.token_accuracy - wanted.token_accuracy).abs() < 1e-12);
        }
    }
    let of = |name| held_out(&decoder(name), &rows, 4096, &NEVER).unwrap();
    let (before, after) = (of("before"), of("after"));
    let change = compare_held_out(&before, &after).unwrap();
    assert!((change.difference - (after.loss - before.loss)).abs() < 1e-12);
    // The same by the jackknife over rows, which linearises as well but for higher terms.
    let rows: Vec<(f64, f64)> = before
        .per_row
        .iter()
        .zip(&after.per_row)
        .map(|(before, after)| (before.0 as f64, after.1 - before.1))
        .collect();
    let n = rows.len() as f64;
    let sums = rows.iter().fold((0.0, 0.0), |sums, row| (sums.0 + row.0, sums.1 + row.1));
    let without: Vec<f64> = rows.iter().map(|row| (sums.1 - row.1) / (sums.0 - row.0)).collect();
    let mean = without.iter().sum::<f64>() / n;
    let squares: f64 = without.iter().map(|value| (value - mean).powi(2)).sum();
    let error = ((n - 1.0) / n * squares).sqrt();
    // The 0.975 quantile of Student's t with 25 degrees of freedom.
    let half = 2.059_538_552_753_294 * error;
    assert!((change.ci95[1] - change.difference - half).abs() < 0.02 * half, "{change:?} {half}");
    assert_eq!(change.p_value < 0.05, change.ci95[0] > 0.0 || change.ci95[1] < 0.0);
    let same = compare_held_out(&before, &before).unwrap();
    assert_eq!((same.difference, same.ci95, same.p_value), (0.0, [0.0, 0.0], 1.0));
    let one = held_out(&decoder("before"), &[Row::new(vec![5, 6], vec![true, true])], 64, &NEVER);
    let one = one.unwrap();
    assert!(matches!(compare_held_out(&one, &one), Err(EvalError::FewRows { rows: 1 })));
    assert!(matches!(compare_held_out(&one, &before), Err(EvalError::Unpaired { .. })));

    let first_only = Row::new(vec![5, 6], vec![true, false]);
    let error = held_out(&decoder("before"), &[first_only], 64, &NEVER).unwrap_err();
    assert!(matches!(error, EvalError::NothingToPredict { rows: 1 }), "{error}");
}

#[test]
fn a_comparison_is_that_of_the_metric() {
    let prompts = prompts();
    let [before, after] = ["before", "after"].map(|name| states(name, &Default::default(), None));
    let config = AlignmentConfig::default();
    let found = compare_alignment(&prompts, &before, &after, &config).unwrap();

    let labels = Labels::from_safe(&prompts.is_safe()).unwrap();
    let ids: Vec<String> = (0..26).map(|row| row.to_string()).collect();
    let aqi = AqiConfig::default().check().unwrap();
    let of = |states: &HiddenStates, at: usize| states.states.index_axis(Axis(1), at).to_owned();
    for layer in 0..3 {
        let [before, after] = [of(&before, layer), of(&after, layer)];
        let sample = |rows| Sample::new(rows, &labels).unwrap().with_ids(&ids).unwrap();
        let (before, after) = (sample(before.view()), sample(after.view()));
        let change = &found.change.per_layer[layer];
        assert_eq!(change.layer, layer);
        match aqi.delta(&before, &after, &DeltaConfig::default()) {
            Ok(delta) => {
                let of_layer = change.delta.value().unwrap();
                assert!((of_layer.delta - delta.delta).abs() < 1e-9);
                assert!((of_layer.p_value - delta.p_value).abs() < 1e-6);
                assert!(change.p_holm.unwrap() >= delta.p_value - 1e-9);
                let reports = [&found.before, &found.after].map(|of| &of.per_layer[layer].report);
                let direct = [&before, &after].map(|sample| aqi.evaluate(sample).unwrap());
                for (report, direct) in reports.into_iter().zip(direct) {
                    assert!((report.aqi_s.unwrap() - direct.aqi_s.unwrap()).abs() < 1e-9);
                    assert!((report.chi.unwrap() / direct.chi.unwrap() - 1.0).abs() < 1e-9);
                }
            }
            Err(_) => assert!(change.delta.value().is_none()),
        }
    }
    assert_eq!(Some(&found.change.headline), found.change.per_layer[2].delta.value());
    let axioms: Vec<_> = found.change.per_axiom.iter().collect();
    assert_eq!(axioms.len(), 3);
    for (name, delta) in axioms {
        assert_eq!(delta.value().is_some(), name != "alone", "{name}");
    }
    assert_eq!(found.before.headline.axioms.len(), 3);
    assert!(found.before.controls.shuffled_aqi_s < 30.0);

    let same = compare_alignment(&prompts, &before, &before, &config).unwrap();
    assert_eq!((same.change.headline.delta, same.change.headline.p_value), (0.0, 1.0));
}

#[test]
fn a_twin_has_the_shape_of_its_model_and_nothing_that_it_learned() {
    let prompts = prompts();
    let decoder = decoder("after");
    let twin = random_twin(&decoder, 7).unwrap();
    let tokenizer = Tokenizer::from_folder(folder().join("after")).unwrap();
    let config = StatesConfig::default();
    let of = |model| hidden_states(model, &tokenizer, &texts(&prompts), &config, None, &NEVER);
    let (states, of_twin) = (of(&decoder).unwrap(), of(&twin).unwrap());
    assert_eq!(states.states.dim(), of_twin.states.dim());
    assert_ne!(states.states, of_twin.states);
    assert_eq!(of(&random_twin(&decoder, 7).unwrap()).unwrap(), of_twin);

    for rule in [LayerRule::Final, LayerRule::Index(1), LayerRule::Uniform, LayerRule::Fitted] {
        let config = AlignmentConfig::default().with_layers(rule);
        let alone = alignment(&prompts, &states, &config).unwrap();
        assert!(alone.controls.excess_over_random_twin.is_none());
        let found = alignment(&prompts, Probed::new(&states).with_twin(&of_twin), &config).unwrap();
        let excess = found.controls.excess_over_random_twin.unwrap();
        let excess = excess.value().unwrap();
        // What stands before is the twin, what stands after is the model.
        let twin_alone = alignment(&prompts, &of_twin, &config).unwrap().headline;
        assert!((excess.before - twin_alone.rho_global.unwrap()).abs() < 1e-9, "{rule:?}");
        assert!((excess.after - alone.headline.rho_global.unwrap()).abs() < 1e-9, "{rule:?}");
        let itself = Probed::new(&states).with_twin(&states);
        let itself = alignment(&prompts, itself, &config).unwrap().controls.excess_over_random_twin;
        assert_eq!(itself.unwrap().value().unwrap().delta, 0.0, "{rule:?}");
    }
}

#[test]
fn responses_are_the_same_however_many_run_together() {
    let decoder = decoder("after");
    let tokenizer = Tokenizer::from_folder(folder().join("after")).unwrap();
    let prompts: Vec<Vec<u32>> =
        texts(&prompts()).iter().map(|text| prompt_ids(&tokenizer, None, text).unwrap()).collect();
    let run =
        |batch_tokens| responses(&decoder, &tokenizer, &prompts, 12, batch_tokens, &NEVER).unwrap();
    let alone = run(1);
    assert_eq!(alone.len(), 26);
    assert_eq!(run(4096), alone);
    for response in &alone {
        assert_eq!(response.ended, response.tokens < 12, "{response:?}");
        assert!(!response.text.is_empty());
    }
    let different: std::collections::BTreeSet<&str> =
        alone.iter().map(|response| response.text.as_str()).collect();
    assert!(different.len() > 5, "{different:?}");
    let cancelled = AtomicBool::new(true);
    let error = responses(&decoder, &tokenizer, &prompts, 12, 64, &cancelled).unwrap_err();
    assert!(matches!(error, EvalError::Cancelled));
    let error = responses(&decoder, &tokenizer, &[vec![3], vec![]], 12, 64, &NEVER).unwrap_err();
    assert!(matches!(error, EvalError::EmptyText { text: 1 }), "{error}");
}

#[test]
fn speed_is_of_as_many_tokens_as_were_asked_for() {
    let decoder = decoder("before");
    let prompts = [vec![5, 6, 7], vec![8, 9], vec![10]];
    let config = SpeedConfig::default().with_prompts(2).with_new_tokens(5);
    let found = speed(&decoder, &prompts, &config, &NEVER).unwrap();
    assert_eq!((found.answers, found.new_tokens), (2, 5));
    assert!(found.first_token_ms.p50 > 0.0 && found.first_token_ms.max <= found.latency_ms.max);
    assert!(found.latency_ms.p50 <= found.latency_ms.p90);
    assert!(found.tokens_per_second.unwrap() > 0.0 && found.prompt_tokens_per_second > 0.0);
    let one = speed(&decoder, &prompts, &config.with_new_tokens(1), &NEVER).unwrap();
    assert_eq!(one.tokens_per_second, None);
    let error = speed(&decoder, &[], &config, &NEVER).unwrap_err();
    assert_eq!(error.to_string(), "prompts is 0");
}

#[test]
fn layers_are_chosen_by_a_rule() {
    let prompts = prompts();
    let states = states("after", &StatesConfig::default(), None);
    let of = |rule| alignment(&prompts, &states, &AlignmentConfig::default().with_layers(rule));
    let last = of(LayerRule::Final).unwrap();
    assert_eq!(of(LayerRule::Index(2)).unwrap().headline, last.headline);
    let first = of(LayerRule::Index(1)).unwrap();
    assert_ne!(first.headline.rho_global, last.headline.rho_global);
    assert_eq!(first.per_layer, last.per_layer);
    let uniform = of(LayerRule::Uniform).unwrap();
    assert_eq!((uniform.headline.n, uniform.headline.dim), (26, 16));
    assert!(uniform.fit.is_none());
    let fitted = of(LayerRule::Fitted).unwrap();
    let fit = fitted.fit.unwrap();
    assert_eq!(fit.train_rows + fit.held_out_rows, 26);
    assert_eq!(fitted.headline.n, fit.held_out_rows);
    let rho = fitted.headline.rho_global.unwrap();
    assert!((100.0 * rho.max(0.0) - fit.held_out.aqi_s).abs() < 1e-6);
    let error = of(LayerRule::Index(3)).unwrap_err();
    assert_eq!(error.to_string(), "there are no states of layer 3, but of [0, 1, 2]");
}

#[test]
fn prompts_that_end_alike_have_no_score_at_the_embedding() {
    let prompts = prompts();
    let mut states = states("after", &StatesConfig::default(), None);
    let first = states.states.index_axis(Axis(0), 0).index_axis(Axis(0), 0).to_owned();
    for mut row in states.states.axis_iter_mut(Axis(0)) {
        row.index_axis_mut(Axis(0), 0).assign(&first);
    }
    let found = alignment(&prompts, &states, &AlignmentConfig::default()).unwrap();
    let layers: Vec<usize> = found.per_layer.iter().map(|of| of.layer).collect();
    assert_eq!(layers, [1, 2]);
    assert!(found.not_scored[&0].contains("identical"), "{:?}", found.not_scored);
    assert!(found.controls.excess_over_embedding.unwrap().value().is_none());
    let change = compare_alignment(&prompts, &states, &states, &AlignmentConfig::default());
    assert!(change.unwrap().change.per_layer[0].delta.value().is_none());
}

#[test]
fn what_does_not_fit_is_an_error() {
    let tokenizer = Tokenizer::from_folder(folder().join("before")).unwrap();
    let decoder = decoder("before");
    let run = |texts: &[&str], config: &StatesConfig, cancelled: bool| {
        let cancelled = AtomicBool::new(cancelled);
        hidden_states(&decoder, &tokenizer, texts, config, None, &cancelled).unwrap_err()
    };
    let config = StatesConfig::default();
    assert!(matches!(run(&["a"], &config, true), EvalError::Cancelled));
    let error = run(&["a"], &config.clone().with_batch_tokens(0), false);
    assert_eq!(error.to_string(), "batch_tokens is 0; it is at least 1");
    let error = run(&["a"], &config.clone().with_layers(vec![]), false);
    assert_eq!(error.to_string(), "layers is empty; leave it out for all layers");
    assert!(matches!(run(&["a"], &config.with_layers(vec![3]), false), EvalError::Lm(_)));
    let short = hidden_states(&decoder, &tokenizer, &["a"], &Default::default(), None, &NEVER);
    let error = alignment(&prompts(), &short.unwrap(), &AlignmentConfig::default()).unwrap_err();
    assert!(matches!(error, EvalError::Rows { prompts: 26, states: 1 }), "{error}");
    let text = serde_json::to_value(BTreeMap::from([("layers", LayerRule::Index(3))])).unwrap();
    assert_eq!(text.to_string(), r#"{"layers":{"index":3}}"#);
}
