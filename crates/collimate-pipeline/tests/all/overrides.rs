use std::path::Path;

use collimate_pipeline::{Override, Recipe, RecipeError, RecipeFormat, Targets};

use super::overrides;

fn with(text: &str, changes: &[&str]) -> Result<Recipe, RecipeError> {
    let path = Path::new("r.yaml");
    let checked = Recipe::parse(text, RecipeFormat::Yaml, path, &overrides(changes))?;
    Ok(checked.recipe().clone())
}

#[test]
fn overrides_take_the_place_of_what_the_file_says() {
    let text = "models: [a, b]\ntraining:\n  epochs: 2\n  batch_size: 4\n";
    let recipe = with(
        text,
        &[
            "training.epochs=0.5",
            "models.1=c",
            "models.2={model: d, alias: e}",
            "method.targets=[q_proj]",
            "output.name='7'",
            "training.max_steps=",
            "data.columns.prompt=goal",
            "training.epochs=1",
        ],
    )
    .unwrap();
    assert_eq!((recipe.training.epochs, recipe.training.batch_size), (1.0, 4));
    let models: Vec<&str> = recipe.models.iter().map(|model| model.model.as_str()).collect();
    assert_eq!(models, ["a", "c", "d"]);
    assert_eq!(recipe.method.targets, Targets::Names(vec!["q_proj".into()]));
    assert_eq!(recipe.output.name.as_deref(), Some("7"));
    assert_eq!(recipe.data.columns.len(), 1);
    // A whole section, and one without a file.
    assert_eq!(with(text, &["training={epochs: 9}"]).unwrap().training.batch_size, 8);
    assert_eq!(with("", &["models.0=a"]).unwrap().models.len(), 1);
}

#[test]
fn what_an_override_does_wrong_is_said_of_it() {
    let refused = |text: &str, change: &str| with(text, &[change]).unwrap_err().to_string();
    for (text, change, expected) in [
        (
            "",
            "trainng.epochs=1",
            "--set trainng.epochs=1: there is no field `trainng`; `training` is meant?",
        ),
        (
            "training:\n  epochs: 2\n",
            "training.epoch=1",
            "--set training.epoch=1: there is no field `training.epoch`; `training.epochs` is meant?",
        ),
        ("", "seed=x", "--set seed=x: `seed` is \"x\"; it has to be a whole number, not below 0"),
        (
            "models: [a]\n",
            "models.3=x",
            "--set models.3=x: `models` is a list of 1, counted from 0; 3 would leave a gap",
        ),
        (
            "models: [a]\n",
            "models.x=x",
            "--set models.x=x: `models` is a list; `x` is no number of a place",
        ),
        ("seed: 1\n", "seed.x=1", "--set seed.x=1: `seed` is a number, in which there is no `x`"),
        (
            "method: {kind: full}\n",
            "method.rank=4",
            "--set method.rank=4: `method.rank` and r.yaml:1: `method.kind` contradict each other: \
             all parameters are trained, and no adapter; leave it out, or choose `lora`",
        ),
    ] {
        assert_eq!(refused(text, change), expected);
    }
    for text in ["seed", "=1", "a..b=1", "seed=[1", "a.b.c.d.e.f.g.h.i=1"] {
        let error = text.parse::<Override>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("--set {text}: ")), "{error}");
    }
}

#[test]
fn a_recipe_of_a_program_is_overridden_too() {
    let recipe = Recipe::default().with_seed(3);
    let recipe = recipe.with_overrides(&overrides(&["training.epochs=1"])).unwrap();
    assert_eq!((recipe.seed, recipe.training.epochs), (3, 1.0));
    let text = Override::text("data.paths", "[odd].jsonl").unwrap();
    assert_eq!(recipe.with_overrides(&[text]).unwrap().data.paths, ["[odd].jsonl"]);
}
