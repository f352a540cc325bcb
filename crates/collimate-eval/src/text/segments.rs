//! Hypotheses and references of equal number.

use super::python;
use crate::error::{EvalError, Result};

/// Checks that there is something to score, and references for each of it.
///
/// # Errors
/// [`EvalError::NothingToScore`], [`EvalError::Unpaired`] or [`EvalError::NoReference`].
pub(super) fn check<H, R, S>(hypotheses: &[H], references: &[R]) -> Result<()>
where
    R: AsRef<[S]>,
{
    if hypotheses.len() != references.len() {
        return Err(EvalError::Unpaired {
            left: "hypotheses",
            left_count: hypotheses.len(),
            right: "lists of references",
            right_count: references.len(),
        });
    }
    if hypotheses.is_empty() {
        return Err(EvalError::NothingToScore { what: "hypotheses" });
    }
    match references.iter().position(|of_segment| of_segment.as_ref().is_empty()) {
        Some(segment) => Err(EvalError::NoReference { segment }),
        None => Ok(()),
    }
}

/// How many hypotheses hold nothing but white space.
pub(super) fn empty<H: AsRef<str>>(hypotheses: &[H]) -> u64 {
    let empty = |text: &&H| python::words(text.as_ref()).next().is_none();
    hypotheses.iter().filter(empty).count() as u64
}

/// The number of references of each segment as signatures give it; `var` where it varies.
pub(super) fn reference_count<R: AsRef<[S]>, S>(references: &[R]) -> String {
    let mut counts = references.iter().map(|of_segment| of_segment.as_ref().len());
    let first = counts.next().unwrap_or(0);
    if counts.all(|count| count == first) { first.to_string() } else { "var".to_owned() }
}
