use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{CheckedRecipe, Recipe};

/// A part of a recipe.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Section {
    /// [`Recipe::models`].
    Models,
    /// [`Recipe::data`].
    Data,
    /// [`Recipe::method`].
    Method,
    /// [`Recipe::training`].
    Training,
    /// [`Recipe::evaluation`].
    Evaluation,
    /// [`Recipe::output`].
    Output,
    /// [`Recipe::tracking`].
    Tracking,
    /// [`Recipe::report`].
    Report,
    /// [`Recipe::device`].
    Device,
    /// [`Recipe::dtype`].
    Dtype,
    /// [`Recipe::seed`].
    Seed,
}

impl Section {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Models,
        Self::Data,
        Self::Method,
        Self::Training,
        Self::Evaluation,
        Self::Output,
        Self::Tracking,
        Self::Report,
        Self::Device,
        Self::Dtype,
        Self::Seed,
    ];

    /// Its name in a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Data => "data",
            Self::Method => "method",
            Self::Training => "training",
            Self::Evaluation => "evaluation",
            Self::Output => "output",
            Self::Tracking => "tracking",
            Self::Report => "report",
            Self::Device => "device",
            Self::Dtype => "dtype",
            Self::Seed => "seed",
        }
    }

    fn of(self, recipe: &Recipe) -> Value {
        match self {
            Self::Models => canonical(&recipe.models),
            Self::Data => canonical(&recipe.data),
            Self::Method => canonical(&recipe.method),
            Self::Training => canonical(&recipe.training),
            Self::Evaluation => canonical(&recipe.evaluation),
            Self::Output => canonical(&recipe.output),
            Self::Tracking => canonical(&recipe.tracking),
            Self::Report => canonical(&recipe.report),
            Self::Device => canonical(&recipe.device),
            Self::Dtype => canonical(&recipe.dtype),
            Self::Seed => canonical(&recipe.seed),
        }
    }
}

impl CheckedRecipe {
    /// The SHA-256 of all settings, in hexadecimal digits: of their JSON, without spaces, its keys sorted.
    ///
    /// Paths are part of it, contents of files are not.
    pub fn hash(&self) -> String {
        self.hash_of(&Section::ALL)
    }

    /// The SHA-256 of some sections, in hexadecimal digits, whatever their order.
    pub fn hash_of(&self, sections: &[Section]) -> String {
        let mut sections = sections.to_vec();
        sections.sort_by_key(|section| section.name());
        let fields = sections.iter().map(|of| (of.name().to_owned(), of.of(self.recipe())));
        let text = Value::Object(fields.collect::<Map<_, _>>()).to_string();
        Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// As JSON, keys sorted, whatever features serde_json has. Nothing in a recipe can't be JSON.
fn canonical(value: &impl Serialize) -> Value {
    serde_json::to_value(value).map(sorted).unwrap_or(Value::Null)
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(fields.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        value => value,
    }
}
