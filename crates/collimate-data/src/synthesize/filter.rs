//! Which texts are good enough.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::duplicates::normalize_text;
use crate::safety::{KeywordLabeller, SafetyLabel};

/// Characters that a text may have.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Characters {
    /// Everything but control characters other than line breaks and tabs.
    #[default]
    Printable,
    /// Of those the ones of ASCII.
    Ascii,
    /// Everything.
    Any,
}

impl Characters {
    fn allows(self, text: &str) -> bool {
        let is_printable = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        match self {
            Self::Any => true,
            Self::Printable => text.chars().all(is_printable),
            Self::Ascii => text.is_ascii() && text.chars().all(is_printable),
        }
    }
}

/// Why a text was dropped.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FilterReason {
    /// It has too few characters.
    TooShort,
    /// It has too many characters.
    TooLong,
    /// It has a character that is not allowed.
    Characters,
    /// Another one says the same in other case or spacing.
    Duplicate,
    /// The keyword heuristic gives it another label.
    Label,
}

/// Checks texts one after the other.
pub(super) struct Filter {
    pub(super) length: std::ops::RangeInclusive<usize>,
    pub(super) characters: Characters,
    pub(super) label: Option<(SafetyLabel, KeywordLabeller)>,
}

/// What a filter has seen and dropped.
#[derive(Default)]
pub(super) struct Seen {
    texts: HashSet<String>,
    pub(super) dropped: BTreeMap<FilterReason, u64>,
}

impl Filter {
    /// Whether a text is good enough; counts why not.
    pub(super) fn keeps(&self, text: &str, seen: &mut Seen) -> bool {
        let length = text.chars().count();
        let other_label = |(label, labeller): &(SafetyLabel, KeywordLabeller)| {
            labeller.label(text).label != *label
        };
        let reason = if length < *self.length.start() {
            FilterReason::TooShort
        } else if length > *self.length.end() {
            FilterReason::TooLong
        } else if !self.characters.allows(text) {
            FilterReason::Characters
        } else if self.label.as_ref().is_some_and(other_label) {
            FilterReason::Label
        } else if !seen.texts.insert(normalize_text(text)) {
            FilterReason::Duplicate
        } else {
            return true;
        };
        *seen.dropped.entry(reason).or_default() += 1;
        false
    }
}
