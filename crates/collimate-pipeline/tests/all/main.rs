//! Recipes: what is read, what is refused, and where it is said to be wrong.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod contradictions;
mod conventional;
mod example;
mod fields;
mod hash;
mod hostile;
mod overrides;
mod paths;
mod run;

use std::path::Path;

use collimate_pipeline::{CheckedRecipe, Override, Recipe, RecipeError, RecipeFormat};

fn parsed(format: RecipeFormat, text: &str) -> Result<CheckedRecipe, RecipeError> {
    let name = match format {
        RecipeFormat::Yaml => "r.yaml",
        RecipeFormat::Toml => "r.toml",
        _ => "r.json",
    };
    Recipe::parse(text, format, Path::new(name), &[])
}

/// A recipe in YAML.
fn yaml(text: &str) -> Recipe {
    parsed(RecipeFormat::Yaml, text).unwrap().recipe().clone()
}

/// What is wrong with a recipe in YAML.
fn refused(text: &str) -> String {
    parsed(RecipeFormat::Yaml, text).unwrap_err().to_string()
}

fn overrides(texts: &[&str]) -> Vec<Override> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}
