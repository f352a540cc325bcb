//! What holds of every run, whatever it is compared with.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use burn::tensor::{DType, Device, Tensor};
use collimate_data::Row;
use collimate_lm::Decoder;
use collimate_peft::{Adapter, AdapterKey, AdapterTensor, InitLoraWeights, LoraConfig};
use collimate_tensors::TensorFile;
use collimate_train::{
    AdamWConfig, AdanConfig, Arrangement, EarlyStopping, EvaluationConfig, Every, JsonLines,
    Method, NonFinite, Resume, Rows, StopReason, TrainConfig, TrainError, TrainEvent, Trainer,
};
use serde_json::Value;

use crate::fixture::{distance, fixture, parameters, run, tensors};

/// The gradients of the first step, by the names of the parameters, and its loss.
fn first_step(
    config: TrainConfig,
    rows: &[Row],
    start: Option<&Adapter>,
    decoder: &mut Decoder,
) -> (BTreeMap<String, Vec<f32>>, f64) {
    let config = config
        .with_max_steps(1)
        .with_max_grad_norm(None)
        .with_optimizer(AdamWConfig::default().with_betas(0.0, 0.0));
    let scratch = tempfile::tempdir().unwrap();
    let rows = rows.to_vec();
    let mut trainer = Trainer::new(config.check().unwrap(), &rows)
        .with_checkpoints(scratch.path(), Resume::Never);
    if let Some(start) = start {
        trainer = trainer.with_start(start);
    }
    let (steps, result) = run(trainer, decoder);
    let file = TensorFile::open(result.checkpoint.unwrap().join("optimizer.safetensors")).unwrap();
    let gradients = file.tensors().filter_map(|tensor| {
        let name = tensor.name().strip_prefix("exp_avg.")?.to_owned();
        Some((name, tensor.to_f32().unwrap()))
    });
    (gradients.collect(), steps[0].loss)
}

fn norm(numbers: &[f32]) -> f64 {
    numbers.iter().map(|&number| f64::from(number).powi(2)).sum::<f64>().sqrt()
}

/// Moves numbers along their gradient.
fn moved(numbers: &[f32], gradient: &[f32], by: f64) -> Vec<f32> {
    let factor = by / norm(gradient);
    let each = numbers.iter().zip(gradient);
    each.map(|(number, slope)| (f64::from(*number) + f64::from(*slope) * factor) as f32).collect()
}

#[test]
fn gradients_of_every_part_of_an_adapter_are_finite_differences() {
    let mut kinds = 0;
    // Of A and B with DoRA they are not, as the norm of the weights counts as constant.
    let parts = [
        ("llama", ["q_proj.lora_A", "down_proj.lora_B", "gate_proj.lora_A"].as_slice()),
        ("llama_dora", &["magnitude"]),
        ("llama_head", &["lora_B", "lm_head"]),
        ("gpt2", &["c_attn.lora_B", "c_fc.lora_A"]),
    ];
    for (name, parts) in parts {
        let fixture = fixture(name);
        let (rows, start) = (fixture.rows(), fixture.start().unwrap());
        // All rows are in the step, so that their mask and padding count.
        let config = fixture.config().with_batch_size(4);
        let step = |start: &Adapter| {
            first_step(config.clone(), &rows, Some(start), &mut fixture.decoder())
        };
        let (gradients, _) = step(&start);
        let values: BTreeMap<String, Vec<f32>> = tensors(&start).into_iter().collect();
        for part in parts {
            let name = part_name(&gradients, part);
            let gradient = &gradients[name];
            let loss = |by: f64| {
                let tensors = start.keys().map(|key| {
                    let tensor = start.get(key).unwrap().unwrap();
                    let name = key.to_string();
                    let numbers = &values[&name];
                    let changed = if &name == part_name(&gradients, part) {
                        moved(numbers, gradient, by)
                    } else {
                        numbers.clone()
                    };
                    (key.clone(), AdapterTensor::from_f32(tensor.shape().to_vec(), &changed))
                });
                let tensors: Vec<(AdapterKey, AdapterTensor<'_>)> = tensors.collect();
                step(&Adapter::new(start.config().clone(), tensors).unwrap()).1
            };
            let slope = slope(loss);
            let off = (slope / norm(gradient) - 1.0).abs();
            assert!(off < 5e-3, "{name}: a slope of {slope}, expected {}", norm(gradient));
            kinds += 1;
        }
    }
    assert_eq!(kinds, 8);
}

/// The slope of a function at 0, up to the fourth power.
fn slope(of: impl Fn(f64) -> f64) -> f64 {
    let step = 0.02;
    (8.0 * (of(step) - of(-step)) - (of(2.0 * step) - of(-2.0 * step))) / (12.0 * step)
}

fn part_name<'a>(gradients: &'a BTreeMap<String, Vec<f32>>, part: &str) -> &'a String {
    gradients.keys().find(|name| name.contains(part)).unwrap()
}

#[test]
fn gradients_of_every_kind_of_the_models_parameters_are_finite_differences() {
    let fixture = fixture("gpt2_full");
    let rows = fixture.rows();
    let config = fixture.config().with_batch_size(4);
    let (gradients, _) = first_step(config.clone(), &rows, None, &mut fixture.decoder());
    for part in ["wte", "wpe", "ln_1.weight", "ln_f.bias", "c_attn.weight", "c_proj.bias"] {
        let name = part_name(&gradients, part);
        let gradient = &gradients[name];
        let loss = |by: f64| {
            let mut decoder = fixture.decoder();
            let numbers: Vec<f32> =
                decoder.parameter(name).unwrap().into_data().try_into_vec().unwrap();
            let changed = moved(&numbers, gradient, by);
            let changed = Tensor::<1>::from_data(changed.as_slice(), (&Device::flex(), DType::F32));
            decoder.set_parameters([(name.clone(), changed)].into()).unwrap();
            first_step(config.clone(), &rows, None, &mut decoder).1
        };
        let slope = slope(loss);
        let off = (slope / norm(gradient) - 1.0).abs();
        assert!(off < 5e-3, "{name}: a slope of {slope}, expected {}", norm(gradient));
    }
}

#[test]
fn packed_rows_and_any_accumulation_give_the_gradients_of_one_batch() {
    for name in ["llama", "gemma2", "gpt2", "qwen2_full"] {
        let fixture = fixture(name);
        let (rows, start) = (fixture.rows(), fixture.start());
        let step =
            |config: TrainConfig| first_step(config, &rows, start.as_ref(), &mut fixture.decoder());
        let whole = fixture.config().with_accumulation(1).with_batch_size(7);
        let (expected, loss) = step(whole);
        let others = [
            fixture.config().with_accumulation(7).with_batch_size(1),
            fixture.config().with_accumulation(3).with_batch_size(3),
            fixture.config().with_pack(16).with_accumulation(4).with_batch_size(1),
            fixture.config().with_pack(55).with_batch_size(1),
            fixture.config().with_accumulation(4).with_recompute(true),
        ];
        for other in others {
            let what = format!("{name}, {} of {}", other.accumulation, other.batch_size);
            let (found, found_loss) = step(other);
            assert!((found_loss / loss - 1.0).abs() < 1e-6, "{what}: {found_loss}, {loss}");
            for (parameter, expected) in &expected {
                if name == "gpt2" && norm(expected) < 1e-6 {
                    continue;
                }
                let off = distance(&found[parameter], expected);
                assert!(off < 2e-5, "{what}: the gradient of {parameter} is off by {off}");
            }
        }
    }
}

#[test]
fn dropout_and_noise_follow_from_the_seed() {
    let fixture = fixture("llama");
    let (rows, start) = (fixture.rows(), fixture.start().unwrap());
    let loss =
        |config: TrainConfig| first_step(config, &rows, Some(&start), &mut fixture.decoder()).1;
    let plain = loss(fixture.config());
    let dropout = Method::lora(start.config().clone().with_dropout(0.5));
    let drawing = [fixture.config().with_method(dropout), fixture.config().with_neftune_alpha(5.0)];
    for config in drawing {
        let [one, again, two] = [1, 1, 2].map(|seed| loss(config.clone().with_seed(seed)));
        assert_eq!(one, again);
        assert!((one - two).abs() > 1e-4 && (one - plain).abs() > 1e-4, "{one}, {two}, {plain}");
        // In evaluation nothing is drawn.
        let evaluation = EvaluationConfig::default().with_every(Every::Epoch);
        let config = config.with_evaluation(evaluation).with_learning_rate(0.0).with_max_steps(1);
        let losses = [1, 2].map(|seed| {
            let config = config.clone().with_seed(seed).check().unwrap();
            let trainer = Trainer::new(config, &rows).with_start(&start).with_validation(&rows);
            run(trainer, &mut fixture.decoder()).1.state.best.unwrap().metric
        });
        assert_eq!(losses[0], losses[1]);
    }
}

/// With everything that draws or carries over from step to step.
fn busy(rank: u32) -> TrainConfig {
    let adapter =
        LoraConfig::new(rank).with_dropout(0.2).with_target_modules(["q_proj", "down_proj"]);
    let evaluation = EvaluationConfig::default().with_every(Every::Steps(3)).with_keep_best(true);
    TrainConfig::default()
        .with_method(Method::lora(adapter))
        .with_batch_size(1)
        .with_accumulation(2)
        .with_pack(20)
        .with_max_steps(9)
        .with_neftune_alpha(5.0)
        .with_label_smoothing(0.1)
        .with_learning_rate(0.02)
        .with_evaluation(evaluation)
        .with_logging_steps(2)
}

/// Tensors by name.
type Tensors = Vec<(String, Vec<f32>)>;

/// Runs until so many batches have begun, or to the end; whether it got there.
fn run_until(
    config: &TrainConfig,
    rows: &dyn Rows,
    folder: &std::path::Path,
    events: usize,
) -> Option<(Tensors, Value)> {
    let cancelled = AtomicBool::new(false);
    let mut left = events;
    let mut observer = |event: &TrainEvent| {
        if let TrainEvent::Step(_) | TrainEvent::Evaluation { .. } = event {
            left -= 1;
            if left == 0 {
                cancelled.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
    };
    let trainer = Trainer::new(config.clone().check().unwrap(), rows)
        .with_validation(rows)
        .with_checkpoints(folder, Resume::Latest);
    let mut decoder = fixture("llama").decoder();
    let result = trainer.run(&mut decoder, &mut observer, &cancelled).unwrap();
    let state = serde_json::to_value(&result.state).unwrap();
    let trained = match &result.adapter {
        Some(adapter) => tensors(adapter),
        None => parameters(&decoder),
    };
    (result.reason == StopReason::Done).then_some((trained, state))
}

#[test]
fn interrupted_at_any_step_it_comes_to_the_same_bits() {
    let rows = fixture("llama").rows();
    let dora = |adapter: LoraConfig| Method::lora(adapter.with_dora(true));
    let Method::Lora { adapter, .. } = busy(3).method else { unreachable!() };
    let head = LoraConfig::new(2).with_target_modules(["v_proj"]).with_modules_to_save(["lm_head"]);
    let configs = [
        busy(3),
        busy(3).with_method(dora(*adapter)).with_pack(None).with_recompute(true),
        busy(3).with_method(Method::lora(head)).with_arrangement(Arrangement::Shuffled),
        busy(3).with_method(Method::Full).with_learning_rate(1e-3),
        busy(2).with_optimizer(AdanConfig::default().with_weight_decay(0.1)),
    ];
    for (at, config) in configs.iter().enumerate() {
        let scratch = tempfile::tempdir().unwrap();
        let whole = run_until(config, &rows, scratch.path(), usize::MAX);
        let Some((expected, state)) = whole else { panic!("it was not interrupted") };
        for events in [1, 2, 3, 4, 7] {
            let scratch = tempfile::tempdir().unwrap();
            let mut runs = 1;
            let (found, found_state) = loop {
                if let Some(found) = run_until(config, &rows, scratch.path(), events) {
                    break found;
                }
                runs += 1;
                assert!(runs < 20);
            };
            assert!(runs > 1);
            assert!(found == expected, "settings {at}: interrupted every {events} events");
            assert_eq!(found_state, state, "settings {at}: interrupted every {events} events");
        }
    }
}

#[test]
fn a_checkpoint_of_other_settings_or_rows_is_refused() {
    let mut rows = fixture("llama").rows();
    let scratch = tempfile::tempdir().unwrap();
    run_until(&busy(3), &rows, scratch.path(), 2);
    let refused = |config: &TrainConfig, rows: &Vec<Row>| {
        let trainer = Trainer::new(config.clone().check().unwrap(), rows)
            .with_validation(rows)
            .with_checkpoints(scratch.path(), Resume::Latest);
        let mut decoder = fixture("llama").decoder();
        trainer.run(&mut decoder, &mut (), &AtomicBool::new(false)).unwrap_err()
    };
    let fields = |error: TrainError| match error {
        TrainError::OtherRun { differences, .. } => {
            differences.into_iter().map(|difference| difference.field).collect::<Vec<_>>()
        }
        error => panic!("{error}"),
    };
    let error = refused(&busy(4).with_seed(7), &rows);
    let text = error.to_string();
    assert!(text.contains("config.seed was 42 and is 7"), "{text}");
    assert_eq!(fields(error), ["config.method.lora.adapter.r", "config.seed"]);
    rows[0].ids[1] += 1;
    assert_eq!(fields(refused(&busy(3), &rows)), ["data.sha256", "validation.sha256"]);
}

#[test]
fn what_is_not_finite_is_named_with_its_rows_and_the_last_good_checkpoint() {
    let fixture = fixture("llama");
    let rows = fixture.rows();
    // Of token 63 alone the embedding is no number.
    let broken = || {
        let mut decoder = fixture.decoder();
        let name = "model.embed_tokens.weight";
        let mut values: Vec<f32> =
            decoder.parameter(name).unwrap().into_data().try_into_vec().unwrap();
        values[63 * 16] = f32::NAN;
        let values = Tensor::<1>::from_data(values.as_slice(), (&Device::flex(), DType::F32));
        decoder.set_parameters([(name.to_owned(), values)].into()).unwrap();
        decoder
    };
    let mut rows: Vec<Row> = rows
        .into_iter()
        .map(|row| Row::new(row.ids.iter().map(|id| (*id).min(62)).collect(), row.trained))
        .collect();
    rows[5].ids[0] = 63;
    let config = fixture.config().with_method(busy(2).method).with_accumulation(1);
    let config = config
        .with_checkpoints(collimate_train::CheckpointConfig::default().with_every(Every::Steps(1)));
    let scratch = tempfile::tempdir().unwrap();
    let trainer = Trainer::new(config.clone().check().unwrap(), &rows)
        .with_checkpoints(scratch.path(), Resume::Never);
    let error = trainer.run(&mut broken(), &mut (), &AtomicBool::new(false)).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("step 3: the loss is not finite, in row 5; "), "{text}");
    assert!(text.ends_with("checkpoint-2"), "{text}");

    // Skipped it changes nothing, and is counted.
    let config = config.with_max_steps(7).with_non_finite(NonFinite::Skip(1));
    let mut skipped = Vec::new();
    let mut observer = |event: &TrainEvent| {
        if let TrainEvent::Skipped { step, rows, .. } = event {
            skipped.push((*step, rows.clone()));
        }
    };
    let trainer = Trainer::new(config.clone().check().unwrap(), &rows);
    let error = trainer.run(&mut broken(), &mut observer, &AtomicBool::new(false)).unwrap_err();
    assert!(error.to_string().starts_with("step 7: the loss"), "{error}");
    assert_eq!(skipped, [(3, vec!["row 5".to_owned()])]);
    let trainer = Trainer::new(config.with_max_steps(6).check().unwrap(), &rows);
    let (steps, result) = run(trainer, &mut broken());
    assert_eq!((steps.len(), result.state.skipped, result.state.step), (5, 1, 6));
    let adapter = tensors(&result.adapter.unwrap());
    assert!(adapter.iter().all(|(_, numbers)| numbers.iter().all(|number| number.is_finite())));
}

#[test]
fn training_stops_early_and_the_best_model_is_kept() {
    let fixture = fixture("llama");
    let rows = fixture.rows();
    let evaluation = EvaluationConfig::default()
        .with_every(Every::Steps(1))
        .with_metric("eval_score", true)
        .with_keep_best(true)
        .with_early_stopping(EarlyStopping::new(2));
    let config = busy(2).with_max_steps(50).with_evaluation(evaluation);
    let scores = [0.1, 0.2, 0.5, 0.4, 0.5, 0.9];
    let mut best = Vec::new();
    let mut evaluator = |decoder: &Decoder, step: u64| {
        if step == 3 {
            let batch = collimate_lm::Batch::padded(&[&rows[0].ids])?;
            best = decoder.log_probs(&batch)?.concat();
        }
        Ok([("eval_score".to_owned(), scores[step as usize - 1])].into())
    };
    let trainer =
        Trainer::new(config.clone().check().unwrap(), &rows).with_evaluator(&mut evaluator);
    let mut decoder = fixture.decoder();
    let (steps, result) = run(trainer, &mut decoder);
    assert_eq!((result.reason, steps.len()), (StopReason::EarlyStopping, 5));
    let kept = result.state.best.unwrap();
    assert_eq!((kept.step, kept.metric), (3, 0.5));
    let batch = collimate_lm::Batch::padded(&[&rows[0].ids]).unwrap();
    assert_eq!(decoder.log_probs(&batch).unwrap().concat(), best);

    let mut nothing = |_: &Decoder, _: u64| Ok(BTreeMap::new());
    let trainer = Trainer::new(config.check().unwrap(), &rows).with_evaluator(&mut nothing);
    let error = trainer.run(&mut fixture.decoder(), &mut (), &AtomicBool::new(false)).unwrap_err();
    assert!(matches!(error, TrainError::NoMetric { step: 1, .. }), "{error}");
}

#[test]
fn events_are_lines_of_json_and_the_history_is_that_of_transformers() {
    let rows = fixture("llama").rows();
    let scratch = tempfile::tempdir().unwrap();
    let mut lines = JsonLines::new(Vec::new());
    let trainer = Trainer::new(busy(2).check().unwrap(), &rows)
        .with_validation(&rows)
        .with_checkpoints(scratch.path(), Resume::Never);
    let mut decoder = fixture("llama").decoder();
    let result = trainer.run(&mut decoder, &mut lines, &AtomicBool::new(false)).unwrap();
    let text = String::from_utf8(lines.finish().unwrap()).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((events[0]["event"].as_str(), count("step")), (Some("started"), 9));
    assert_eq!(events[0]["coverage"]["modules"], 4);
    assert_eq!(count("evaluation"), 3);
    assert_eq!(events.last().unwrap()["reason"], "done");
    let file = result.checkpoint.unwrap().join("trainer_state.json");
    let state: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!((&state["global_step"], &state["max_steps"]), (&9.into(), &9.into()));
    let history = state["log_history"].as_array().unwrap();
    let with = |key: &str| history.iter().filter(|entry| entry.get(key).is_some()).count();
    assert_eq!((with("loss"), with("eval_loss")), (4, 3));
    assert_eq!(state["best_metric"], result.state.best.unwrap().metric);
}

#[test]
fn a_new_adapter_changes_nothing_until_it_is_trained() {
    let fixture = fixture("llama");
    let rows = fixture.rows();
    let batch = collimate_lm::Batch::padded(&[&rows[2].ids]).unwrap();
    let before = fixture.decoder().log_probs(&batch).unwrap().concat();
    let named = |name: &str| InitLoraWeights::Named(name.to_owned());
    let adapter = || LoraConfig::new(3).with_alpha(6.0).with_target_modules(["q_proj", "up_proj"]);
    let adapters = [
        adapter(),
        adapter().with_init(named("gaussian")),
        adapter().with_dora(true),
        adapter().with_init(named("pissa")),
    ];
    for adapter in adapters {
        let config = busy(3).with_method(Method::lora(adapter)).with_learning_rate(0.0);
        let trainer =
            Trainer::new(config.with_max_steps(1).check().unwrap(), &rows).with_validation(&rows);
        let mut decoder = fixture.decoder();
        let (_, result) = run(trainer, &mut decoder);
        let after = decoder.log_probs(&batch).unwrap().concat();
        assert!(distance(&after, &before) < 2e-6);
        // And so for whoever loads it, also where it has twice the rank.
        let mut decoder = fixture.decoder();
        decoder.attach_adapter("read", &result.adapter.unwrap()).unwrap();
        assert!(distance(&decoder.log_probs(&batch).unwrap().concat(), &before) < 2e-6);
    }
}
