use collimate_pipeline::{
    Arrangement, Column, Every, LayerChoice, MethodKind, Metric, ModelChoice, NonFinite, Optimizer,
    OutputDtype, Recipe, RecipeFormat, Schedule, Targets,
};

use super::{parsed, refused, yaml};

pub const YAML: &str = "\
models: [embedded, {model: Fern-1B, alias: fern}]
data:
  columns: {prompt: goal, completion: target}
  held_out: 0.2
method:
  rank: 8
  targets: [q_proj, v_proj]
training:
  schedule: cosine
  learning_rate: 1e-4
  epochs: 1
  arrangement: {by_length: 64}
  optimizer: lion
  non_finite:
    skip: 3
  evaluate_every: 10
evaluation:
  metrics: [aqi]
  layers: 3
output:
  dtype: bf16
  shard_size: 5GB
seed: 7
";

pub const TOML: &str = r#"
models = ["embedded", {model = "Fern-1B", alias = "fern"}]
seed = 7
[data]
columns = {prompt = "goal", completion = "target"}
held_out = 0.2
[method]
rank = 8
targets = ["q_proj", "v_proj"]
[training]
schedule = "cosine"
learning_rate = 1e-4
epochs = 1
arrangement.by_length = 64
optimizer = "lion"
evaluate_every = 10
[training.non_finite]
skip = 3
[evaluation]
metrics = ["aqi"]
layers = 3
[output]
dtype = "bf16"
shard_size = "5GB"
"#;

pub const JSON: &str = r#"{
  "models": ["embedded", {"model": "Fern-1B", "alias": "fern"}],
  "data": {"columns": {"prompt": "goal", "completion": "target"}, "held_out": 0.2},
  "method": {"rank": 8, "targets": ["q_proj", "v_proj"]},
  "training": {"schedule": "cosine", "learning_rate": 1e-4, "epochs": 1,
    "arrangement": {"by_length": 64}, "optimizer": "lion", "non_finite": {"skip": 3},
    "evaluate_every": 10},
  "evaluation": {"metrics": ["aqi"], "layers": 3},
  "output": {"dtype": "bf16", "shard_size": 5000000000},
  "seed": 7
}"#;

#[test]
fn a_recipe_is_the_same_in_all_formats() {
    let recipe = yaml(YAML);
    assert_eq!(
        recipe.models,
        [ModelChoice::new("embedded"), ModelChoice::new("Fern-1B").with_alias("fern")]
    );
    assert_eq!(recipe.data.columns[&Column::Prompt], "goal");
    assert_eq!((recipe.method.rank, recipe.method.kind), (8, MethodKind::Lora));
    assert_eq!(recipe.method.targets, Targets::Names(vec!["q_proj".into(), "v_proj".into()]));
    assert_eq!(recipe.training.schedule, Schedule::Cosine);
    assert_eq!((recipe.training.learning_rate, recipe.training.epochs), (1e-4, 1.0));
    assert_eq!(recipe.training.arrangement, Arrangement::ByLength(64));
    assert_eq!(recipe.training.optimizer, Optimizer::Lion);
    assert_eq!(recipe.training.non_finite, NonFinite::Skip(3));
    assert_eq!(recipe.training.evaluate_every, Every::Steps(10));
    assert_eq!(recipe.evaluation.metrics, Some(vec![Metric::Aqi]));
    assert_eq!(recipe.evaluation.layers, LayerChoice::Index(3));
    assert_eq!(recipe.output.dtype, OutputDtype::Bf16);
    assert_eq!(recipe.output.shard_size, Some(5_000_000_000));
    assert_eq!(recipe.seed, 7);
    assert_eq!(parsed(RecipeFormat::Toml, TOML).unwrap().recipe(), &recipe);
    assert_eq!(parsed(RecipeFormat::Json, JSON).unwrap().recipe(), &recipe);
    // What is written is read again.
    let written = serde_json::to_string_pretty(&recipe).unwrap();
    let again: Recipe = serde_json::from_str(&written).unwrap();
    assert_eq!(again, recipe);
    // What was settled is settled.
    assert_eq!(recipe.clone().check().unwrap().recipe(), &recipe);
}

#[test]
fn nothing_is_the_default() {
    let default = Recipe::default().check().unwrap();
    for text in ["", "# nothing\n", "{}", "data:\nmethod:\n"] {
        assert_eq!(&yaml(text), default.recipe(), "{text:?}");
    }
    assert_eq!(parsed(RecipeFormat::Toml, "").unwrap(), default);
    assert_eq!(parsed(RecipeFormat::Json, "{}").unwrap(), default);
}

#[test]
fn an_unknown_field_is_named_with_its_line_in_all_formats() {
    for (format, text, expected) in [
        (
            RecipeFormat::Yaml,
            "model: x\n",
            "r.yaml:1: there is no field `model`; `models` is meant?",
        ),
        (
            RecipeFormat::Yaml,
            "seed: 1\n\nmodel_s: x\n",
            "r.yaml:3: there is no field `model_s`; `models` is meant?",
        ),
        (
            RecipeFormat::Yaml,
            "training:\n  epochs: 1\n  batchsize: 2\n",
            "r.yaml:3: there is no field `training.batchsize`; `training.batch_size` is meant?",
        ),
        (
            RecipeFormat::Yaml,
            "models:\n- embedded\n- model: x\n  alis: y\n",
            "r.yaml:4: there is no field `models.1.alis`; `models.1.alias` is meant?",
        ),
        (
            RecipeFormat::Yaml,
            "evaluation:\n  probe_columns:\n    inputs: x\n",
            "r.yaml:3: there is no field `evaluation.probe_columns.inputs`; \
             `evaluation.probe_columns.input` is meant?",
        ),
        // A known name at another place.
        (
            RecipeFormat::Yaml,
            "learning_rate: 1\n",
            "r.yaml:1: there is no field `learning_rate`; `training.learning_rate` is meant?",
        ),
        // Nothing is near.
        (RecipeFormat::Yaml, "data: {xyzzy: 1}\n", "r.yaml:1: there is no field `data.xyzzy`"),
        (
            RecipeFormat::Toml,
            "seed = 1\n\nmodel_s = 'x'\n",
            "r.toml:3: there is no field `model_s`; `models` is meant?",
        ),
        (
            RecipeFormat::Toml,
            "[training]\nepochs = 1\nbatchsize = 2\n",
            "r.toml:3: there is no field `training.batchsize`; `training.batch_size` is meant?",
        ),
        (
            RecipeFormat::Toml,
            "[evaluation.probe_columns]\ninputs = 'x'\n",
            "r.toml:2: there is no field `evaluation.probe_columns.inputs`; \
             `evaluation.probe_columns.input` is meant?",
        ),
        (
            RecipeFormat::Json,
            "{\n\"seed\": 1\n,\n\"model_s\": \"x\"}",
            "r.json:4: there is no field `model_s`; `models` is meant?",
        ),
        (
            RecipeFormat::Json,
            "{\"training\": {\n\"epochs\": 1,\n\"batchsize\":\n2}}",
            "r.json:3: there is no field `training.batchsize`; `training.batch_size` is meant?",
        ),
    ] {
        assert_eq!(parsed(format, text).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn a_wrong_value_is_named_with_its_line_in_all_formats() {
    for (format, text, expected) in [
        (
            RecipeFormat::Yaml,
            "training:\n  epochs: three\n",
            "r.yaml:2: `training.epochs` is \"three\"; it has to be a number",
        ),
        (
            RecipeFormat::Toml,
            "[training]\n\nepochs = 'three'\n",
            "r.toml:3: `training.epochs` is \"three\"; it has to be a number",
        ),
        (
            RecipeFormat::Json,
            "{\"training\":\n{\"epochs\":\n\"three\"\n}}",
            "r.json:3: `training.epochs` is \"three\"; it has to be a number",
        ),
        (
            RecipeFormat::Json,
            "{\"training\": {\"batch_size\": 1.5\n}}",
            "r.json:1: `training.batch_size` is 1.5; it has to be a whole number, not below 0",
        ),
    ] {
        assert_eq!(parsed(format, text).unwrap_err().to_string(), expected, "{text}");
    }
    for (text, expected) in [
        (
            "training:\n  schedule: cosin\n",
            "r.yaml:2: `training.schedule` is `cosin`; it has to be one of `constant`, `linear`, \
             `cosine`; `cosine` is meant?",
        ),
        ("training:\n  epochs:\n", "r.yaml:2: `training.epochs` is empty; it has to be a number"),
        ("data:\n  pack: yes\n", "r.yaml:2: `data.pack` is \"yes\"; it has to be true or false"),
        (
            "output:\n  name: 1.5\n",
            "r.yaml:2: `output.name` is 1.5; it has to be text; put it in quotes",
        ),
        ("seed: -1\n", "r.yaml:1: `seed` is -1; it has to be a whole number, not below 0"),
        ("models: [{alias: x}]\n", "r.yaml:1: `models.0` has no `model`, which it needs"),
        (
            "data:\n  columns:\n    promt: x\n",
            "r.yaml:3: `data.columns.promt` is `promt`; it has to be one of `text`, `messages`, \
             `tools`, `system`, `prompt`, `input`, `history`, `instruction`, `completion`; \
             `prompt` is meant?",
        ),
        ("data: [1]\n", "r.yaml:1: `data` is a list; it has to be a group of fields"),
        ("- 1\n", "r.yaml:1: `recipe` is a list; it has to be a group of fields"),
        (
            "evaluation: {layers: last}\n",
            "r.yaml:1: `evaluation.layers` is `last`; it has to be one of `final`, `uniform`, `fitted`",
        ),
        (
            "output: {shard_size: 5 apples}\n",
            "r.yaml:1: `output.shard_size` is \"5 apples\"; it has to be a whole number of bytes \
             above 0, such as 5GB",
        ),
        ("method: {rank: 0}\n", "r.yaml:1: `method.rank` is 0; it has to be from 1 to 65536"),
        (
            "training:\n  epochs: 0\n",
            "r.yaml:2: `training.epochs` is 0; it has to be a number above 0",
        ),
    ] {
        assert_eq!(refused(text), expected, "{text}");
    }
}

#[test]
fn the_schema_is_the_committed_one() {
    let committed: serde_json::Value =
        serde_json::from_str(include_str!("../../recipe.schema.json")).unwrap();
    assert!(
        committed == Recipe::schema(),
        "cargo run -p collimate-pipeline --example schema > crates/collimate-pipeline/recipe.schema.json"
    );
}
