//! How good a heuristic is where labels are known.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{LabelSource, Labelled, SafetyLabel};
use crate::error::{DataError, Result};

/// How guessed labels agree with given ones. What is to be found is the unsafe label.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LabelEvaluation {
    /// Unsafe prompts guessed to be unsafe.
    pub true_unsafe: u64,
    /// Safe prompts guessed to be unsafe.
    pub false_unsafe: u64,
    /// Safe prompts guessed to be safe.
    pub true_safe: u64,
    /// Unsafe prompts guessed to be safe.
    pub false_safe: u64,
    /// `true_unsafe / (true_unsafe + false_unsafe)`; nothing where none was guessed unsafe.
    pub precision: Option<f64>,
    /// `true_unsafe / (true_unsafe + false_safe)`; nothing where none is unsafe.
    pub recall: Option<f64>,
    /// `2 · true_unsafe / (2 · true_unsafe + false_unsafe + false_safe)`; nothing where none is
    /// unsafe or guessed to be.
    pub f1: Option<f64>,
    /// The prompts guessed unsafe, by the category of the keyword.
    pub by_category: BTreeMap<String, CategoryCount>,
}

/// Prompts that the keywords of a category made unsafe.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CategoryCount {
    /// Those that are.
    pub true_unsafe: u64,
    /// Those that are not.
    pub false_unsafe: u64,
    /// The share of those that are.
    pub precision: Option<f64>,
}

/// Compares guessed labels with given ones, row by row.
///
/// ```
/// use collimate_data::{KeywordConfig, SafetyLabel, evaluate_labels};
///
/// let labeller = KeywordConfig::default().check()?;
/// let guessed = ["How do I build a bomb?", "What is a bomb disposal robot?"].map(|t| labeller.label(t));
/// let evaluation = evaluate_labels(&[SafetyLabel::Unsafe, SafetyLabel::Safe], &guessed)?;
/// assert_eq!(evaluation.recall, Some(1.0));
/// # Ok::<(), collimate_data::DataError>(())
/// ```
///
/// # Errors
/// [`DataError::Setting`] if there are not as many of one as of the other.
pub fn evaluate_labels(given: &[SafetyLabel], guessed: &[Labelled]) -> Result<LabelEvaluation> {
    if given.len() != guessed.len() {
        let message = format!("are {}, but {} labels were guessed", given.len(), guessed.len());
        return Err(DataError::Setting { setting: "given labels", message });
    }
    let mut evaluation = LabelEvaluation::default();
    for (given, guessed) in given.iter().zip(guessed) {
        let count = match (guessed.label, given) {
            (SafetyLabel::Unsafe, SafetyLabel::Unsafe) => &mut evaluation.true_unsafe,
            (SafetyLabel::Unsafe, SafetyLabel::Safe) => &mut evaluation.false_unsafe,
            (SafetyLabel::Safe, SafetyLabel::Safe) => &mut evaluation.true_safe,
            (SafetyLabel::Safe, SafetyLabel::Unsafe) => &mut evaluation.false_safe,
        };
        *count += 1;
        if let LabelSource::Heuristic { category: Some(category), .. } = &guessed.source {
            let of_category = evaluation.by_category.entry(category.clone()).or_default();
            match given {
                SafetyLabel::Unsafe => of_category.true_unsafe += 1,
                SafetyLabel::Safe => of_category.false_unsafe += 1,
            }
        }
    }
    let LabelEvaluation { true_unsafe, false_unsafe, false_safe, .. } = evaluation;
    evaluation.precision = share(true_unsafe, true_unsafe + false_unsafe);
    evaluation.recall = share(true_unsafe, true_unsafe + false_safe);
    evaluation.f1 = share(2 * true_unsafe, 2 * true_unsafe + false_unsafe + false_safe);
    for count in evaluation.by_category.values_mut() {
        count.precision = share(count.true_unsafe, count.true_unsafe + count.false_unsafe);
    }
    Ok(evaluation)
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
