//! What is to be made.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::filter::{Characters, Filter};
use super::template::Template;
use super::{Source, Synthesizer};
use crate::error::{DataError, Result};
use crate::safety::{KeywordConfig, SafetyLabel};

/// Combinations of slot values, at most.
const COMBINATIONS: u64 = 1 << 62;

/// Combinations that may all be made, at most.
const EXHAUSTIVE: u64 = 100_000_000;

/// A text with slots, and what else its records say.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SlotTemplate {
    /// The text: `{name}` is a slot, `{{` and `}}` are braces.
    pub text: String,
    /// Further fields of each record: an axiom, a safety label, …
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

impl SlotTemplate {
    /// A text with slots.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), fields: BTreeMap::new() }
    }

    /// Adds a field to each record.
    #[must_use]
    pub fn with_field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }
}

/// Templates, the values of their slots, and which of the texts are wanted.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SynthesisConfig {
    /// The templates.
    pub templates: Vec<SlotTemplate>,
    /// The values of each slot.
    pub slots: BTreeMap<String, Vec<String>>,
    /// How many texts are drawn without replacement; all, in order, by default, of which there
    /// may be 100,000,000.
    pub count: Option<usize>,
    /// Seed of the drawing; 42 by default.
    pub seed: u64,
    /// The column of the text; `input` by default.
    pub column: String,
    /// Characters of a text, at least; 1 by default.
    pub min_characters: usize,
    /// Characters of a text, at most; 10,000 by default.
    pub max_characters: usize,
    /// Characters that a text may have; printable ones by default.
    pub characters: Characters,
    /// The label that the keyword heuristic must give; any by default.
    pub label: Option<SafetyLabel>,
    /// The keywords for that.
    pub keywords: KeywordConfig,
}

impl Default for SynthesisConfig {
    fn default() -> Self {
        Self {
            templates: Vec::new(),
            slots: BTreeMap::new(),
            count: None,
            seed: 42,
            column: "input".to_owned(),
            min_characters: 1,
            max_characters: 10_000,
            characters: Characters::default(),
            label: None,
            keywords: KeywordConfig::default(),
        }
    }
}

impl SynthesisConfig {
    /// Adds a template.
    #[must_use]
    pub fn with_template(mut self, template: SlotTemplate) -> Self {
        self.templates.push(template);
        self
    }

    /// Sets the values of a slot.
    #[must_use]
    pub fn with_slot<S: Into<String>>(
        mut self,
        name: &str,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        self.slots.insert(name.to_owned(), values.into_iter().map(Into::into).collect());
        self
    }

    /// Sets how many texts are drawn; nothing for all.
    #[must_use]
    pub fn with_count(mut self, count: impl Into<Option<usize>>) -> Self {
        self.count = count.into();
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the smallest and the largest number of characters.
    #[must_use]
    pub fn with_characters_between(mut self, min: usize, max: usize) -> Self {
        (self.min_characters, self.max_characters) = (min, max);
        self
    }

    /// Sets which characters a text may have.
    #[must_use]
    pub fn with_characters(mut self, characters: Characters) -> Self {
        self.characters = characters;
        self
    }

    /// Sets the label that the keyword heuristic must give.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<Option<SafetyLabel>>) -> Self {
        self.label = label.into();
        self
    }

    /// Checks templates, slots and filters.
    ///
    /// # Errors
    /// [`DataError::Setting`] for a template with unbalanced braces or an unknown slot, a slot
    /// without values, with one value twice or that no template uses, a field with the name of
    /// the text's column, and for more texts than there are combinations.
    pub fn check(self) -> Result<Synthesizer> {
        let wrong = |setting, message| DataError::Setting { setting, message };
        let mut sources = Vec::with_capacity(self.templates.len());
        let mut unused: BTreeSet<&String> = self.slots.keys().collect();
        let mut combinations = 0_u64;
        for (number, template) in (1..).zip(&self.templates) {
            let in_template = |message| wrong("templates", format!("template {number}, {message}"));
            let parsed = Template::new(&template.text).map_err(in_template)?;
            let mut size = 1_u64;
            for slot in &parsed.slots {
                let Some(values) = self.slots.get(slot) else {
                    let known: Vec<&str> = self.slots.keys().map(String::as_str).collect();
                    let message = format!("slot `{slot}` is unknown; known are {known:?}");
                    return Err(in_template(message));
                };
                unused.remove(slot);
                size = size.saturating_mul(values.len() as u64);
            }
            if template.fields.contains_key(&self.column) {
                return Err(in_template(format!("field `{}` is the text itself", self.column)));
            }
            combinations = combinations.saturating_add(size);
            sources.push(Source { template: parsed, size, fields: template.fields.clone() });
        }
        if sources.is_empty() {
            return Err(wrong("templates", "are none; give at least one".to_owned()));
        }
        if let Some(slot) = unused.first() {
            return Err(wrong("slots", format!("has `{slot}`, which no template uses")));
        }
        for (slot, values) in &self.slots {
            let mut distinct = BTreeSet::new();
            if values.is_empty() {
                return Err(wrong("slots", format!("has no value for `{slot}`")));
            }
            if let Some(twice) = values.iter().find(|value| !distinct.insert(*value)) {
                return Err(wrong("slots", format!("has {twice:?} twice for `{slot}`")));
            }
        }
        if combinations > COMBINATIONS {
            return Err(wrong("slots", "allow more than 2^62 combinations".to_owned()));
        }
        if self.count.is_none() && combinations > EXHAUSTIVE {
            let message = format!("allow {combinations} combinations: draw a number of texts");
            return Err(wrong("slots", message));
        }
        if let Some(count) = self.count.filter(|count| *count as u64 > combinations) {
            let message = format!("is {count}, but only {combinations} texts exist");
            return Err(wrong("count", message));
        }
        if self.min_characters > self.max_characters {
            let message = format!("is {}, above the most", self.min_characters);
            return Err(wrong("min_characters", message));
        }
        let label = match self.label {
            Some(label) => Some((label, self.keywords.clone().check()?)),
            None => None,
        };
        let filter = Filter {
            length: self.min_characters..=self.max_characters,
            characters: self.characters,
            label,
        };
        Ok(Synthesizer { config: self, sources, combinations, filter })
    }
}
