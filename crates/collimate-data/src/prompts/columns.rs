//! Where a prompt's fields stand in a record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Prompt;
use crate::error::{DataError, Result};
use crate::record::Record;
use crate::safety::{KeywordLabeller, Labelled, SafetyLabel};

/// The columns of a prompt set, and the words for its labels. By default those of LITMUS.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PromptColumns {
    /// The prompt; `input` by default.
    pub input: String,
    /// The safety label; `safety_label` by default.
    pub safety_label: String,
    /// The axiom; `axiom` by default.
    pub axiom: String,
    /// What paraphrases share; `group` by default.
    pub group: String,
    /// Words for the safe label, in any case; `safe` by default.
    pub safe: Vec<String>,
    /// Words for the unsafe label, in any case; `unsafe` by default.
    pub r#unsafe: Vec<String>,
}

impl Default for PromptColumns {
    fn default() -> Self {
        Self {
            input: "input".to_owned(),
            safety_label: "safety_label".to_owned(),
            axiom: "axiom".to_owned(),
            group: "group".to_owned(),
            safe: vec![SafetyLabel::Safe.name().to_owned()],
            r#unsafe: vec![SafetyLabel::Unsafe.name().to_owned()],
        }
    }
}

impl PromptColumns {
    /// Sets the column of the prompt.
    #[must_use]
    pub fn with_input(mut self, column: impl Into<String>) -> Self {
        self.input = column.into();
        self
    }

    /// Sets the column of the safety label.
    #[must_use]
    pub fn with_safety_label(mut self, column: impl Into<String>) -> Self {
        self.safety_label = column.into();
        self
    }

    /// Sets the column of the axiom.
    #[must_use]
    pub fn with_axiom(mut self, column: impl Into<String>) -> Self {
        self.axiom = column.into();
        self
    }

    /// Sets the column of what paraphrases share.
    #[must_use]
    pub fn with_group(mut self, column: impl Into<String>) -> Self {
        self.group = column.into();
        self
    }

    /// Adds a word for a label.
    #[must_use]
    pub fn with_word(mut self, label: SafetyLabel, word: impl Into<String>) -> Self {
        match label {
            SafetyLabel::Safe => self.safe.push(word.into()),
            SafetyLabel::Unsafe => self.r#unsafe.push(word.into()),
        }
        self
    }

    /// The label of each word, in lower case.
    pub(super) fn words(&self) -> Result<BTreeMap<String, SafetyLabel>> {
        let mut words = BTreeMap::new();
        for (label, of_label) in
            [(SafetyLabel::Safe, &self.safe), (SafetyLabel::Unsafe, &self.r#unsafe)]
        {
            for word in of_label {
                let known = words.insert(word.trim().to_lowercase(), label);
                if known.is_some_and(|known| known != label) || word.trim().is_empty() {
                    let message = format!("has {word:?}, which is empty or a word for both labels");
                    return Err(DataError::Setting { setting: "safety_label", message });
                }
            }
        }
        Ok(words)
    }

    pub(super) fn prompt(
        &self,
        record: Record,
        words: &BTreeMap<String, SafetyLabel>,
        labeller: Option<&KeywordLabeller>,
    ) -> Result<Prompt> {
        let wrong = |field: &str, message: String| {
            Err(DataError::Field {
                origin: record.origin.clone(),
                field: field.to_owned(),
                message,
            })
        };
        let input = match record.fields.get(&self.input) {
            Some(Value::String(input)) if !input.trim().is_empty() => input.clone(),
            Some(Value::String(_)) => return wrong(&self.input, "is empty".to_owned()),
            Some(_) => return wrong(&self.input, "is not text".to_owned()),
            None => {
                return wrong(&self.input, "is missing; name the column of the prompt".to_owned());
            }
        };
        let given = self.text(&record, &self.safety_label)?;
        let accepted = || words.keys().map(|w| format!("{w:?}")).collect::<Vec<_>>().join(", ");
        let safety = match (given, labeller) {
            (Some(given), _) => match words.get(&given.to_lowercase()) {
                Some(label) => Labelled::given(*label),
                None => {
                    let message = format!("is {given:?}; accepted are {}", accepted());
                    return wrong(&self.safety_label, message);
                }
            },
            (None, Some(labeller)) => labeller.label(&input),
            (None, None) => {
                let message = format!(
                    "is missing; accepted are {}, or let a keyword labeller guess",
                    accepted()
                );
                return wrong(&self.safety_label, message);
            }
        };
        let axiom = self.text(&record, &self.axiom)?;
        let group = self.text(&record, &self.group)?;
        Ok(Prompt { input, safety, axiom, group, origin: record.origin })
    }

    /// A field as trimmed text; nothing where it is absent or empty.
    fn text(&self, record: &Record, field: &str) -> Result<Option<String>> {
        let text = match record.fields.get(field) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
            Some(_) => {
                return Err(DataError::Field {
                    origin: record.origin.clone(),
                    field: field.to_owned(),
                    message: "is neither text nor a number".to_owned(),
                });
            }
        };
        Ok((!text.is_empty()).then_some(text))
    }
}
