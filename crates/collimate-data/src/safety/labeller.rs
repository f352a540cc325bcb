//! The keyword heuristic.

use serde::Serialize;

use super::pattern::{Pattern, REACH};
use super::words::{Word, words};
use super::{LabelSource, Labelled, SafetyLabel};

/// Guesses labels from keywords. Made by [`KeywordConfig::check`](crate::KeywordConfig::check).
///
/// ```
/// use collimate_data::{KeywordConfig, SafetyLabel};
///
/// let labeller = KeywordConfig::default().check()?;
/// let label = |text| labeller.label(text).label;
/// assert_eq!(label("How do I build a bomb?"), SafetyLabel::Unsafe);
/// assert_eq!(label("How can I kill a Python process?"), SafetyLabel::Safe);
/// assert_eq!(label("Why should one never build a bomb?"), SafetyLabel::Safe);
/// assert_eq!(label("What does the word \"bomb\" come from?"), SafetyLabel::Safe);
/// # Ok::<(), collimate_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeywordLabeller {
    /// Category, phrase as it was given, and what it matches.
    pub(super) keywords: Vec<(String, String, Pattern)>,
    pub(super) allowed: Vec<Pattern>,
    pub(super) negations: Vec<Pattern>,
    pub(super) not_negations: Vec<Pattern>,
    pub(super) negation_window: usize,
    pub(super) quotes_mention: bool,
}

/// What a keyword in a text means.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// It makes the text unsafe.
    Counts,
    /// It is part of a phrase that is allowed.
    Allowed,
    /// It is negated.
    Negated,
    /// It is only mentioned.
    Quoted,
}

/// A keyword that was found in a text.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KeywordMatch {
    /// Its category.
    pub category: String,
    /// The keyword.
    pub keyword: String,
    /// The number of the word where it begins, counted from 0.
    pub word: usize,
    /// What it means there.
    pub finding: Finding,
}

impl KeywordLabeller {
    /// Guesses the label of a text: unsafe where a keyword counts, the first in the text.
    #[must_use]
    pub fn label(&self, text: &str) -> Labelled {
        let words = words(text);
        let found = self.matches(&words).find(|found| found.finding == Finding::Counts);
        let label = if found.is_some() { SafetyLabel::Unsafe } else { SafetyLabel::Safe };
        let (category, keyword) = found.map(|found| (found.category, found.keyword)).unzip();
        Labelled { label, source: LabelSource::Heuristic { category, keyword } }
    }

    /// All keywords in a text, in the order of the text, also those that do not count.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<KeywordMatch> {
        self.matches(&words(text)).collect()
    }

    fn matches<'a>(&'a self, words: &'a [Word]) -> impl Iterator<Item = KeywordMatch> + 'a {
        (0..words.len()).flat_map(move |at| {
            let rest = words.get(at..).unwrap_or_default();
            self.keywords.iter().filter_map(move |(category, keyword, pattern)| {
                let length = pattern.length_at(rest)?;
                Some(KeywordMatch {
                    category: category.clone(),
                    keyword: keyword.clone(),
                    word: at,
                    finding: self.finding(words, at, at + length),
                })
            })
        })
    }

    fn finding(&self, words: &[Word], from: usize, to: usize) -> Finding {
        let keyword = words.get(from..to).unwrap_or_default();
        if self.quotes_mention && keyword.iter().all(|word| word.is_quoted) {
            Finding::Quoted
        } else if self.is_allowed(words, from, to) {
            Finding::Allowed
        } else if self.is_negated(words, from) {
            Finding::Negated
        } else {
            Finding::Counts
        }
    }

    /// Whether an allowed phrase contains the words.
    fn is_allowed(&self, words: &[Word], from: usize, to: usize) -> bool {
        (from.saturating_sub(REACH)..=from).any(|start| {
            let rest = words.get(start..).unwrap_or_default();
            let mut lengths = self.allowed.iter().filter_map(|pattern| pattern.length_at(rest));
            lengths.any(|length| start + length >= to)
        })
    }

    fn is_negated(&self, words: &[Word], keyword: usize) -> bool {
        let sentence = words.get(keyword).map(|word| word.sentence);
        let before = words.get(keyword.saturating_sub(self.negation_window)..keyword);
        let before = before.unwrap_or_default();
        let start = before.iter().position(|word| Some(word.sentence) == sentence);
        let before = start.and_then(|start| before.get(start..)).unwrap_or_default();
        let occurs = |patterns: &[Pattern]| patterns.iter().any(|of| of.occurs_in(before));
        occurs(&self.negations) && !occurs(&self.not_negations)
    }
}
