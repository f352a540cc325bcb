use serde::Serialize;
use serde_json::Value;

use crate::recipe::{CheckedRecipe, Recipe, RecipeFormat};

/// A recipe in YAML that is sound.
pub(super) fn checked(text: &str) -> CheckedRecipe {
    Recipe::parse(text, RecipeFormat::Yaml, "recipe.yaml".as_ref(), &[]).unwrap()
}

/// Settings, as they are serialized.
pub(super) fn value(settings: &impl Serialize) -> Value {
    serde_json::to_value(settings).unwrap()
}
