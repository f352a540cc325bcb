//! Whether a prompt is safe: labels that data brings, and keyword heuristics where it brings none.

mod config;
mod evaluation;
mod keywords;
mod labeller;
mod pattern;
mod words;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};

pub use config::KeywordConfig;
pub use evaluation::{CategoryCount, LabelEvaluation, evaluate_labels};
pub use labeller::{Finding, KeywordLabeller, KeywordMatch};

/// Whether a prompt is one that a model should simply answer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SafetyLabel {
    /// It is.
    Safe,
    /// It asks for what does harm.
    Unsafe,
}

impl SafetyLabel {
    /// `safe` or `unsafe`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Unsafe => "unsafe",
        }
    }
}

impl fmt::Display for SafetyLabel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Reads `safe` and `unsafe`, in any case and with white space around. Every other word is an
/// error, never one of the two.
///
/// ```
/// use collimate_data::SafetyLabel;
///
/// assert_eq!(" Safe".parse::<SafetyLabel>()?, SafetyLabel::Safe);
/// assert!("not safe".parse::<SafetyLabel>().is_err());
/// # Ok::<(), collimate_data::DataError>(())
/// ```
impl FromStr for SafetyLabel {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self> {
        let word = text.trim();
        let mut labels = [Self::Safe, Self::Unsafe].into_iter();
        labels.find(|label| word.eq_ignore_ascii_case(label.name())).ok_or_else(|| {
            let message = format!("is {text:?}; it is \"safe\" or \"unsafe\"");
            DataError::Setting { setting: "safety_label", message }
        })
    }
}

/// Where a label comes from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LabelSource {
    /// The data brings it.
    Given,
    /// A keyword heuristic: a guess.
    Heuristic {
        /// The category of the keyword that made it unsafe; none where no keyword counts.
        category: Option<String>,
        /// That keyword.
        keyword: Option<String>,
    },
}

/// A label, and where it comes from.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Labelled {
    /// The label.
    pub label: SafetyLabel,
    /// Where it comes from.
    pub source: LabelSource,
}

impl Labelled {
    /// A label that the data brings.
    #[must_use]
    pub fn given(label: SafetyLabel) -> Self {
        Self { label, source: LabelSource::Given }
    }

    /// Whether a heuristic guessed it.
    #[must_use]
    pub fn is_heuristic(&self) -> bool {
        self.source != LabelSource::Given
    }
}
