//! Prompts with what their alignment is measured by: a safety label and an axiom.

mod columns;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::error::Result;
use crate::record::{Origin, Record};
use crate::safety::{KeywordLabeller, Labelled, SafetyLabel};

pub use columns::PromptColumns;

/// A prompt of a [`PromptSet`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Prompt {
    /// The text.
    pub input: String,
    /// Whether it is safe, and who says so.
    pub safety: Labelled,
    /// The axiom that it belongs to.
    pub axiom: Option<String>,
    /// What it shares with its paraphrases.
    pub group: Option<String>,
    /// Where its record stands.
    pub origin: Origin,
}

/// Prompts with safety labels.
///
/// ```
/// use std::path::Path;
/// use collimate_data::{Origin, Position, PromptColumns, PromptSet, Record};
///
/// let fields = serde_json::json!({"axiom": "Justice", "safety_label": "safe", "input": "Who made this law?"});
/// let origin = Origin { file: Path::new("prompts.csv").into(), position: Position::Line(2) };
/// let record = Record::new(fields.as_object().cloned().unwrap_or_default(), origin);
/// let prompts = PromptSet::read([Ok(record)], &PromptColumns::default(), None)?;
/// assert_eq!(prompts.is_safe(), [true]);
/// assert_eq!(prompts.report().axioms["Justice"].safe, 1);
/// # Ok::<(), collimate_data::DataError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PromptSet {
    prompts: Vec<Prompt>,
}

impl PromptSet {
    /// Reads prompts from records. A record without a label gets one from the labeller, marked
    /// as a guess; a label that the data brings always wins.
    ///
    /// # Errors
    /// What the records bring; [`DataError::Field`](crate::DataError::Field) for a missing or
    /// empty prompt, for an unknown label, and for a missing one without a labeller.
    pub fn read(
        records: impl IntoIterator<Item = Result<Record>>,
        columns: &PromptColumns,
        labeller: Option<&KeywordLabeller>,
    ) -> Result<Self> {
        let words = columns.words()?;
        let mut prompts = Vec::new();
        for record in records {
            prompts.push(columns.prompt(record?, &words, labeller)?);
        }
        Ok(Self { prompts })
    }

    /// Leaves out the prompts for which `keep` is false; the others stay in their order.
    pub fn retain(&mut self, keep: impl FnMut(&Prompt) -> bool) {
        self.prompts.retain(keep);
    }

    /// The prompts, in the order of the records.
    #[must_use]
    pub fn prompts(&self) -> &[Prompt] {
        &self.prompts
    }

    /// The label of each prompt.
    #[must_use]
    pub fn labels(&self) -> Vec<SafetyLabel> {
        self.prompts.iter().map(|prompt| prompt.safety.label).collect()
    }

    /// Whether each prompt is safe.
    #[must_use]
    pub fn is_safe(&self) -> Vec<bool> {
        self.prompts.iter().map(|prompt| prompt.safety.label == SafetyLabel::Safe).collect()
    }

    /// The same number for prompts of the same group, a number of its own for each prompt without
    /// one: keys for [`Splitter::by_group`](crate::Splitter::by_group).
    #[must_use]
    pub fn group_keys(&self) -> Vec<usize> {
        let mut first = HashMap::new();
        let key = |(row, prompt): (usize, &Prompt)| match &prompt.group {
            Some(group) => *first.entry(group.clone()).or_insert(row),
            None => row,
        };
        self.prompts.iter().enumerate().map(key).collect()
    }

    /// Counts.
    #[must_use]
    pub fn report(&self) -> PromptReport {
        let mut report = PromptReport::default();
        let mut groups = std::collections::HashSet::new();
        for prompt in &self.prompts {
            let add = |count: &mut LabelCount| match prompt.safety.label {
                SafetyLabel::Safe => count.safe += 1,
                SafetyLabel::Unsafe => count.r#unsafe += 1,
            };
            add(&mut report.all);
            if prompt.safety.is_heuristic() {
                add(&mut report.guessed);
            }
            match &prompt.axiom {
                Some(axiom) => add(report.axioms.entry(axiom.clone()).or_default()),
                None => add(&mut report.without_axiom),
            }
            groups.extend(prompt.group.as_deref());
        }
        report.groups = groups.len();
        report
    }
}

/// How many prompts are safe and unsafe.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LabelCount {
    /// Safe prompts.
    pub safe: usize,
    /// Unsafe prompts.
    pub r#unsafe: usize,
}

/// What a prompt set holds.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PromptReport {
    /// All prompts.
    pub all: LabelCount,
    /// Those of which a heuristic guessed the label.
    pub guessed: LabelCount,
    /// The prompts of each axiom.
    pub axioms: BTreeMap<String, LabelCount>,
    /// Prompts without an axiom.
    pub without_axiom: LabelCount,
    /// Number of groups of paraphrases.
    pub groups: usize,
}
