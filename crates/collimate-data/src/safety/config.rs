//! Settings of the keyword heuristic.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::keywords;
use super::labeller::KeywordLabeller;
use super::pattern::Pattern;
use crate::error::{DataError, Result};

/// Which words make a prompt look unsafe, and which circumstances take that back.
///
/// Phrases are whole words in any case; `bomb*` is every word that begins so, and a `*` of its
/// own stands for up to three words. A phrase never reaches over the end of a sentence.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct KeywordConfig {
    /// Phrases that make a prompt unsafe, by category.
    pub categories: BTreeMap<String, Vec<String>>,
    /// Phrases in which a keyword is harmless (`kill * process`).
    pub allowed: Vec<String>,
    /// Phrases that negate a keyword that follows them in the same sentence (`how not to`).
    pub negations: Vec<String>,
    /// Phrases that look like negations and are none (`why not`).
    pub not_negations: Vec<String>,
    /// Words before a keyword among which a negation is looked for; 4 by default, 0 for none.
    pub negation_window: usize,
    /// Whether a keyword in quotation marks is only mentioned; true by default. A prompt that is
    /// quoted as a whole is never a mention.
    pub quotes_mention: bool,
}

impl Default for KeywordConfig {
    /// Keywords of moderate number. They find plain requests, not disguised ones, and need data
    /// of your own kind to be measured: see [`evaluate_labels`](crate::evaluate_labels).
    fn default() -> Self {
        let owned = |phrases: &[&str]| phrases.iter().map(|&phrase| phrase.to_owned()).collect();
        let categories = keywords::CATEGORIES.iter();
        Self {
            categories: categories.map(|(name, of)| ((*name).to_owned(), owned(of))).collect(),
            allowed: owned(keywords::ALLOWED),
            negations: owned(keywords::NEGATIONS),
            not_negations: owned(keywords::NOT_NEGATIONS),
            negation_window: 4,
            quotes_mention: true,
        }
    }
}

impl KeywordConfig {
    /// No keywords at all, to begin from.
    #[must_use]
    pub fn empty() -> Self {
        Self { categories: BTreeMap::new(), allowed: Vec::new(), ..Self::default() }
    }

    /// Adds keywords to a category.
    #[must_use]
    pub fn with_keywords<S: Into<String>>(
        mut self,
        category: &str,
        keywords: impl IntoIterator<Item = S>,
    ) -> Self {
        let of_category = self.categories.entry(category.to_owned()).or_default();
        of_category.extend(keywords.into_iter().map(Into::into));
        self
    }

    /// Adds phrases in which a keyword is harmless.
    #[must_use]
    pub fn with_allowed<S: Into<String>>(mut self, phrases: impl IntoIterator<Item = S>) -> Self {
        self.allowed.extend(phrases.into_iter().map(Into::into));
        self
    }

    /// Sets among how many words before a keyword a negation is looked for.
    #[must_use]
    pub fn with_negation_window(mut self, words: usize) -> Self {
        self.negation_window = words;
        self
    }

    /// Sets whether a keyword in quotation marks is only mentioned.
    #[must_use]
    pub fn with_quotes_mention(mut self, mention: bool) -> Self {
        self.quotes_mention = mention;
        self
    }

    /// Checks the phrases.
    ///
    /// # Errors
    /// [`DataError::Setting`] without a keyword, or for a phrase that can't match.
    pub fn check(self) -> Result<KeywordLabeller> {
        let read = |setting: &'static str, phrases: &[String]| {
            let patterns = phrases.iter().map(|phrase| Pattern::new(phrase));
            let patterns: std::result::Result<Vec<Pattern>, String> = patterns.collect();
            patterns.map_err(|error| DataError::Setting {
                setting,
                message: format!("has a phrase that can't be used: {error}"),
            })
        };
        let mut keywords = Vec::new();
        for (category, phrases) in &self.categories {
            for (phrase, pattern) in phrases.iter().zip(read("categories", phrases)?) {
                keywords.push((category.clone(), phrase.clone(), pattern));
            }
        }
        if keywords.is_empty() {
            let message = "have no keyword: every prompt would be safe".to_owned();
            return Err(DataError::Setting { setting: "categories", message });
        }
        Ok(KeywordLabeller {
            keywords,
            allowed: read("allowed", &self.allowed)?,
            negations: read("negations", &self.negations)?,
            not_negations: read("not_negations", &self.not_negations)?,
            negation_window: self.negation_window,
            quotes_mention: self.quotes_mention,
        })
    }
}
