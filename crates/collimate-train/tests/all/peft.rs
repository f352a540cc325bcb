//! Equal to PEFT and the Trainer of transformers: what they make of the fixtures is in them.

use collimate_peft::{Adapter, InitLoraWeights, LoraConfig, TargetModules};
use collimate_tensors::TensorFile;
use collimate_train::{
    AdamWConfig, EvaluationConfig, Every, Method, Resume, ScheduleKind, TrainConfig, Trainer,
};

use crate::fixture::{Fixture, distance, fixture, parameters, run, schedule, tensors};

/// Trains as the script did; compares every step and the result.
fn assert_equal(fixture: &Fixture, config: TrainConfig) {
    let (rows, start) = (fixture.rows(), fixture.start());
    let mut decoder = fixture.decoder();
    let mut trainer = Trainer::new(config.check().unwrap(), &rows);
    if let Some(start) = &start {
        trainer = trainer.with_start(start);
    }
    let (steps, result) = run(trainer, &mut decoder);
    for (at, expected) in fixture.doubles("loss").into_iter().enumerate() {
        let off = (steps[at].loss / expected - 1.0).abs();
        assert!(off < 1e-5, "{}, step {at}: the loss is off by {off}", fixture.name);
    }
    for (at, expected) in fixture.doubles("learning_rate").into_iter().enumerate() {
        assert!((steps[at].learning_rate - expected).abs() < 1e-15, "{}, {at}", fixture.name);
    }
    assert_eq!(steps.len(), 20);
    // Of steps that are made by nearly nothing the direction is chance.
    for (at, expected) in fixture.doubles("grad_norm").into_iter().enumerate() {
        let off = (steps[at].grad_norm / expected - 1.0).abs();
        assert!(off < 2e-4, "{}, step {at}: the norm is off by {off}", fixture.name);
    }
    if fixture.name == "llama_pissa" {
        return;
    }
    let found = match &result.adapter {
        Some(adapter) => tensors(adapter),
        None => parameters(&decoder),
    };
    let names: Vec<&String> = found.iter().map(|(name, _)| name).collect();
    let mut expected = fixture.names("final.");
    expected.sort();
    assert_eq!(names.len(), expected.len(), "{names:?} {expected:?}");
    for (name, found) in &found {
        let mut found = found.clone();
        let mut expected = fixture.floats(&format!("final.{name}"));
        if fixture.name == "gpt2_full" && name.ends_with("c_attn.bias") {
            // Nothing depends on the bias of keys without rotary embeddings: its gradient is what
            // rounding leaves, which the optimizer makes as large as any other.
            let keys = found.len() / 3..2 * found.len() / 3;
            found.drain(keys.clone());
            expected.drain(keys);
        }
        let off = distance(&found, &expected);
        assert!(off < 1e-4, "{}: {name} is off by {off}", fixture.name);
    }
}

#[test]
fn llama_is_equal_to_peft() {
    let fixture = fixture("llama");
    assert_equal(&fixture, fixture.config());
}

#[test]
fn qwen2_with_biases_and_a_tied_head_and_clipping_is_equal_to_peft() {
    let fixture = fixture("qwen2");
    assert_equal(&fixture, fixture.config().with_max_grad_norm(0.2));
}

#[test]
fn gemma2_with_a_cosine_is_equal_to_peft() {
    let fixture = fixture("gemma2");
    assert_equal(&fixture, fixture.config().with_schedule(schedule(ScheduleKind::Cosine)));
}

#[test]
fn gpt2_with_a_constant_rate_is_equal_to_peft() {
    let fixture = fixture("gpt2");
    assert_equal(&fixture, fixture.config().with_schedule(schedule(ScheduleKind::Constant)));
}

#[test]
fn dora_is_equal_to_peft() {
    let fixture = fixture("llama_dora");
    assert_equal(&fixture, fixture.config());
}

#[test]
fn a_head_that_is_saved_whole_and_label_smoothing_are_equal_to_peft() {
    let fixture = fixture("llama_head");
    assert_equal(&fixture, fixture.config().with_label_smoothing(0.1));
}

#[test]
fn lora_plus_with_ranks_of_their_own_is_equal_to_peft() {
    let fixture = fixture("llama_plus");
    let adapter = Box::new(fixture.start().unwrap().config().clone());
    let method = Method::Lora { adapter, learning_rate_ratio: 8.0 };
    assert_equal(&fixture, fixture.config().with_method(method).with_learning_rate(2e-3));
}

#[test]
fn pissa_is_equal_to_peft() {
    let fixture = fixture("llama_pissa");
    let adapter = LoraConfig::new(4)
        .with_alpha(8.0)
        .with_targets(TargetModules::AllLinear)
        .with_init(InitLoraWeights::Named("pissa".to_owned()));
    let config = fixture.config().with_method(Method::lora(adapter)).with_learning_rate(1e-3);
    assert_equal(&fixture, config);
}

#[test]
fn all_parameters_are_equal_to_transformers() {
    for name in ["qwen2_full", "gpt2_full"] {
        let fixture = fixture(name);
        assert_equal(&fixture, fixture.config().with_learning_rate(1e-3));
    }
}

/// The first moment after one step is a tenth of the gradient, and is in the checkpoint.
#[test]
fn the_first_gradients_are_those_of_peft() {
    let names =
        ["llama", "qwen2", "gemma2", "gpt2", "llama_dora", "llama_head", "qwen2_full", "gpt2_full"];
    for name in names {
        let fixture = fixture(name);
        let (rows, start) = (fixture.rows(), fixture.start());
        let smoothing = if name == "llama_head" { 0.1 } else { 0.0 };
        let config = fixture
            .config()
            .with_max_steps(1)
            .with_max_grad_norm(None)
            .with_label_smoothing(smoothing)
            .with_optimizer(AdamWConfig::default().with_betas(0.0, 0.0));
        let scratch = tempfile::tempdir().unwrap();
        let mut trainer = Trainer::new(config.check().unwrap(), &rows)
            .with_checkpoints(scratch.path(), Resume::Never);
        if let Some(start) = &start {
            trainer = trainer.with_start(start);
        }
        let (_, result) = run(trainer, &mut fixture.decoder());
        let file = result.checkpoint.unwrap().join("optimizer.safetensors");
        let file = TensorFile::open(file).unwrap();
        let names = fixture.names("gradient.");
        assert_eq!(file.names().count(), 2 * names.len(), "{name}");
        for parameter in names {
            let found = file.get(&format!("exp_avg.{parameter}")).unwrap().to_f32().unwrap();
            let off = distance(&found, &fixture.floats(&format!("gradient.{parameter}")));
            assert!(off < 1e-5, "{name}: the gradient of {parameter} is off by {off}");
        }
    }
}

/// What was trained is what the adapter says: attached to a new model it computes the same.
#[test]
fn the_adapter_is_what_was_trained() {
    let fixture = fixture("llama_dora");
    let (rows, start) = (fixture.rows(), fixture.start().unwrap());
    let evaluation = EvaluationConfig::default().with_every(Every::Steps(5));
    let config = fixture.config().with_evaluation(evaluation).check().unwrap();
    let trainer = Trainer::new(config, &rows).with_start(&start).with_validation(&rows);
    let mut decoder = fixture.decoder();
    let (_, result) = run(trainer, &mut decoder);
    let folder = tempfile::tempdir().unwrap();
    result.adapter.unwrap().write(folder.path()).unwrap();
    let mut new = fixture.decoder();
    new.attach_adapter("read", &Adapter::read(folder.path()).unwrap()).unwrap();
    let ids: Vec<Vec<u32>> = rows.iter().map(|row| row.ids.clone()).collect();
    let batch = collimate_lm::Batch::padded(&ids).unwrap();
    let [one, two] = [decoder, new].map(|decoder| decoder.log_probs(&batch).unwrap().concat());
    assert_eq!(one, two);
    let best = result.state.best.unwrap();
    let trained = rows.iter().flat_map(|row| row.trained[1..].iter());
    let losses = one.iter().zip(trained).filter(|(_, trained)| **trained).map(|(loss, _)| loss);
    let (sum, count) =
        losses.fold((0.0, 0), |(sum, count), loss| (sum - f64::from(*loss), count + 1));
    let last = result.state.log_history.iter().rev().find_map(|entry| entry.get("eval_loss"));
    assert!((last.unwrap().as_f64().unwrap() - sum / f64::from(count)).abs() < 1e-6);
    assert!(best.metric < 4.3);
}
