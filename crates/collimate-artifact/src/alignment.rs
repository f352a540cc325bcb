use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::measurement::Measurement;
use crate::technique::Technique;

/// What was done to a model: all that its folder says of it beside weights.
///
/// Nothing is made up: what isn't given isn't written.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Alignment {
    /// The name of the aligned model.
    pub model_name: String,
    /// How it was aligned.
    pub technique: Technique,
    /// When.
    pub timestamp: Timestamp,
    /// The run that it comes from.
    pub run_id: Option<String>,
    /// Every setting of the training, as it was.
    pub training: Map<String, Value>,
    /// What it was trained on.
    pub datasets: Vec<Dataset>,
    /// What was measured of it.
    pub evaluations: Vec<Evaluation>,
    /// Languages, as ISO 639-1 codes.
    pub languages: Vec<String>,
    /// Tags of its card, beside those of the technique.
    pub tags: Vec<String>,
    /// Its licence, where it is not that of the parent.
    pub licence: Option<String>,
    /// What it is for, in a few sentences of Markdown.
    pub description: Option<String>,
}

/// Data that a model was trained or measured on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Dataset {
    /// Its name for people.
    pub name: String,
    /// Its id on the Hub, where it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub_id: Option<String>,
    /// The part that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// Rows that were used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// SHA-256 of what was used, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// One thing that was measured, and on what.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// What it was measured on.
    pub dataset: Dataset,
    /// What came out.
    pub measurement: Measurement,
}

impl Alignment {
    /// A model of this name that was aligned in this way at this time.
    pub fn new(model_name: impl Into<String>, technique: Technique, timestamp: Timestamp) -> Self {
        Self {
            model_name: model_name.into(),
            technique,
            timestamp,
            run_id: None,
            training: Map::new(),
            datasets: Vec::new(),
            evaluations: Vec::new(),
            languages: Vec::new(),
            tags: Vec::new(),
            licence: None,
            description: None,
        }
    }

    /// With the run that it comes from.
    #[must_use]
    pub fn with_run_id(mut self, run_id: impl Into<String>) -> Self {
        self.run_id = Some(run_id.into());
        self
    }

    /// With the settings of its training.
    #[must_use]
    pub fn with_training(mut self, training: Map<String, Value>) -> Self {
        self.training = training;
        self
    }

    /// With data that it was trained on.
    #[must_use]
    pub fn with_dataset(mut self, dataset: Dataset) -> Self {
        self.datasets.push(dataset);
        self
    }

    /// With something that was measured of it.
    #[must_use]
    pub fn with_evaluation(mut self, dataset: Dataset, measurement: Measurement) -> Self {
        self.evaluations.push(Evaluation { dataset, measurement });
        self
    }

    /// With a language, as ISO 639-1 code.
    #[must_use]
    pub fn with_language(mut self, language: impl Into<String>) -> Self {
        self.languages.push(language.into());
        self
    }

    /// With a tag of its card.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// With a licence that is not the parent's.
    #[must_use]
    pub fn with_licence(mut self, licence: impl Into<String>) -> Self {
        self.licence = Some(licence.into());
        self
    }

    /// With what it is for.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }
}

impl Dataset {
    /// Data of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), hub_id: None, split: None, rows: None, sha256: None }
    }

    /// With its id on the Hub.
    #[must_use]
    pub fn with_hub_id(mut self, hub_id: impl Into<String>) -> Self {
        self.hub_id = Some(hub_id.into());
        self
    }

    /// With the part that was used.
    #[must_use]
    pub fn with_split(mut self, split: impl Into<String>) -> Self {
        self.split = Some(split.into());
        self
    }

    /// With the number of rows that were used.
    #[must_use]
    pub fn with_rows(mut self, rows: u64) -> Self {
        self.rows = Some(rows);
        self
    }

    /// With the SHA-256 of what was used.
    #[must_use]
    pub fn with_sha256(mut self, sha256: impl Into<String>) -> Self {
        self.sha256 = Some(sha256.into());
        self
    }
}
