use std::path::Path;

use collimate_pipeline::{
    DataFormat, Every, Metric, Optimizer, Recipe, RecipeFormat, Schedule, Targets, WeightDtype,
};

use super::{overrides, refused, yaml};

const CONFIGURATION: &str = "\
model:
  name: Fern-1B
  type: causal_lm
  quantization: null
training_data:
  path: /data/train.jsonl
  format: jsonl
  validation_split: 0.2
  max_length: 512
  template: chatml
hyperparameters:
  learning_rate: 1e-4
  batch_size: 4
  num_epochs: 2
  warmup_ratio: 0.1
  weight_decay: 0.01
  max_grad_norm: 0.5
  gradient_accumulation_steps: 2
  seed: 7
  lora:
    r: 8
    alpha: 16
    dropout: 0.1
    target_modules: [q_proj, v_proj]
optimization:
  optimizer: adamw_torch
  scheduler: cosine
  mixed_precision: bf16
  gradient_checkpointing: true
evaluation:
  metrics: [loss, aqi, refusal_rate]
  eval_steps: 50
  probes: /data/probes.jsonl
output:
  folder: /out
";

#[test]
fn a_conventional_configuration_is_a_recipe() {
    let recipe = yaml(CONFIGURATION);
    let same = yaml(
        "models: Fern-1B
data: {paths: /data/train.jsonl, format: json_lines, held_out: 0.2, max_length: 512, template: chatml}
method: {rank: 8, alpha: 16, dropout: 0.1, targets: [q_proj, v_proj]}
training:
  learning_rate: 1e-4
  batch_size: 4
  epochs: 2
  warmup_ratio: 0.1
  weight_decay: 0.01
  max_grad_norm: 0.5
  accumulation: 2
  schedule: cosine
  recompute: true
  evaluate_every: 50
evaluation: {metrics: [perplexity, aqi, refusal], probes: /data/probes.jsonl}
output: {folder: /out}
dtype: bf16
seed: 7
",
    );
    assert_eq!(recipe, same);
    // And that is not the default.
    assert_eq!(recipe.data.format, Some(DataFormat::JsonLines));
    assert_eq!(recipe.training.optimizer, Optimizer::AdamW);
    assert_eq!(recipe.training.schedule, Schedule::Cosine);
    assert_eq!(recipe.training.evaluate_every, Every::Steps(50));
    assert_eq!(recipe.dtype, WeightDtype::Bf16);
    assert_eq!(recipe.method.targets, Targets::Names(vec!["q_proj".into(), "v_proj".into()]));
    assert_eq!(recipe.evaluation.metrics.as_ref().map(Vec::len), Some(3));
    assert!(recipe.evaluation.metrics.unwrap().contains(&Metric::Refusal));
}

#[test]
fn it_may_be_in_any_format_and_is_overridden_by_a_recipe_s_names() {
    let path = Path::new("r.toml");
    let text = "[model]\npath = 'Fern-1B'\n[hyperparameters]\nepochs = 2\n[hyperparameters.lora]\nrank = 4\n";
    let checked =
        Recipe::parse(text, RecipeFormat::Toml, path, &overrides(&["training.epochs=5"])).unwrap();
    let recipe = checked.recipe();
    assert_eq!((recipe.training.epochs, recipe.method.rank), (5.0, 4));
    let text = "{\"model\": {\"base_model\": \"./here\"}}";
    let checked = Recipe::parse(text, RecipeFormat::Json, Path::new("/a/r.json"), &[]).unwrap();
    assert_eq!(checked.recipe().models[0].model, "/a/./here");
}

#[test]
fn nothing_of_it_is_ignored() {
    let changed = |from: &str, to: &str| refused(&CONFIGURATION.replace(from, to));
    for (from, to, expected) in [
        (
            "quantization: null",
            "quantization: 4bit",
            "r.yaml:4: `model.quantization` has no counterpart here: weights are not quantized",
        ),
        ("type: causal_lm", "type: seq2seq", "r.yaml:3: `model.type` has no counterpart here: "),
        (
            "  max_length: 512",
            "  max_lenght: 512",
            "r.yaml:9: `training_data.max_lenght` has no counterpart here: it is not known; \
             `max_length` is meant?",
        ),
        (
            "    r: 8",
            "    loftq: 8",
            "r.yaml:21: `hyperparameters.lora.loftq` has no counterpart here: ",
        ),
        (
            "scheduler: cosine",
            "scheduler: polynomial",
            "r.yaml:27: `optimization.scheduler` has no counterpart here: `polynomial` is none of \
             linear, cosine, constant, constant_with_warmup",
        ),
        (
            "metrics: [loss, aqi, refusal_rate]",
            "metrics: [bleu]",
            "r.yaml:31: `evaluation.metrics` has no counterpart here: `bleu` is none of ",
        ),
        (
            "  eval_steps: 50",
            "  eval_stps: 50",
            "r.yaml:32: there is no field `evaluation.eval_stps`",
        ),
        (
            "  lora:\n    r: 8\n    alpha: 16\n    dropout: 0.1\n    target_modules: [q_proj, v_proj]\n",
            "  lora: null\n",
            "r.yaml:20: `hyperparameters.lora` is empty; it has to be a group of fields",
        ),
        (
            "output:\n",
            "outptu:\n",
            "r.yaml:34: `outptu` has no counterpart here: it is not known; `output` is meant?",
        ),
        (
            "output:\n  folder: /out",
            "training:\n  epochs: 1",
            "r.yaml:34: `training` has no counterpart here: sections of a recipe and of such a \
             configuration can't be mixed",
        ),
        (
            "  type: causal_lm",
            "  path: /models/fern",
            "r.yaml:2: `model.name` and r.yaml:3: `model.path` contradict each other: both are \
             `models` in a recipe",
        ),
        // Values are checked under the names that the file has.
        (
            "num_epochs: 2",
            "num_epochs: two",
            "r.yaml:14: `hyperparameters.num_epochs` (in a recipe `training.epochs`) is \"two\"; \
             it has to be a number",
        ),
        (
            "warmup_ratio: 0.1",
            "warmup_ratio: 1.5",
            "r.yaml:15: `hyperparameters.warmup_ratio` (in a recipe `training.warmup_ratio`) is \
             1.5; it has to be from 0 to 1",
        ),
        (
            "model:\n  name: Fern-1B\n  type: causal_lm\n  quantization: null\n",
            "model: Fern-1B\n",
            "r.yaml:1: `model` is text; it has to be a group of fields",
        ),
    ] {
        let message = changed(from, to);
        assert!(message.starts_with(expected), "{message}\n{expected}");
    }
}
