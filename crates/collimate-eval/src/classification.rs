//! Classes told from classes: accuracy, precision, recall, F1.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::error::{EvalError, Result};
use crate::proportion::Proportion;

/// How predicted classes agree with true ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClassificationReport {
    /// The share of right predictions.
    pub accuracy: Proportion,
    /// Scores of each class.
    pub classes: BTreeMap<String, ClassScore>,
    /// The unweighted mean over classes.
    pub macro_average: ClassAverage,
    /// The mean over classes, weighted by how many examples each has.
    pub weighted_average: ClassAverage,
    /// How often each class was predicted for each true one: `confusion[true][predicted]`, without
    /// zeros, and with predictions that are no class.
    pub confusion: BTreeMap<String, BTreeMap<String, u64>>,
    /// Predictions that are no class, and how often each occurred. They are wrong, and no class of
    /// their own.
    pub unknown: BTreeMap<String, u64>,
    /// Quotients `0 / 0` that were taken for zero.
    pub zero_divisions: ZeroDivisions,
}

/// Precision, recall and F1 of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClassScore {
    /// Right predictions of this class over all of its predictions; zero if it was never predicted.
    pub precision: f64,
    /// Right predictions of this class over its examples; zero if it has none.
    pub recall: f64,
    /// `2 · correct / (predicted + support)`; zero if that is `0 / 0`.
    pub f1: f64,
    /// Examples.
    pub support: u64,
    /// Predictions.
    pub predicted: u64,
    /// Right predictions.
    pub correct: u64,
}

/// Means over classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClassAverage {
    /// Of precision.
    pub precision: f64,
    /// Of recall.
    pub recall: f64,
    /// Of F1.
    pub f1: f64,
}

/// In how many classes a quotient was `0 / 0`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ZeroDivisions {
    /// Classes that were never predicted.
    pub precision: u64,
    /// Classes without an example.
    pub recall: u64,
    /// Classes with neither.
    pub f1: u64,
}

/// Compares predicted classes with true ones, which are compared to the byte.
///
/// Classes are those of `classes`, or those that occur among the true ones if there are none. The
/// numbers are scikit-learn's `precision_recall_fscore_support` with these as `labels` and
/// `zero_division=0`.
///
/// ```
/// use collimate_eval::classification;
///
/// let truth = ["safe", "safe", "unsafe", "unsafe"];
/// let report = classification(&truth, &["safe", "unsafe", "unsafe", "I don't know"], &[] as &[&str])?;
/// assert_eq!(report.accuracy.share, Some(0.5));
/// assert_eq!(report.unknown["I don't know"], 1);
/// assert_eq!(report.confusion["safe"]["unsafe"], 1);
/// assert!((report.macro_average.f1 - 7.0 / 12.0).abs() < 1e-12);
/// # Ok::<(), collimate_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::Unpaired`] or [`EvalError::NothingToScore`]; [`EvalError::UnknownClass`] for a true
/// class that is not in `classes`.
pub fn classification<T, P, C>(
    truth: &[T],
    predicted: &[P],
    classes: &[C],
) -> Result<ClassificationReport>
where
    T: AsRef<str>,
    P: AsRef<str>,
    C: AsRef<str>,
{
    if truth.len() != predicted.len() {
        return Err(EvalError::Unpaired {
            left: "true classes",
            left_count: truth.len(),
            right: "predictions",
            right_count: predicted.len(),
        });
    }
    if truth.is_empty() {
        return Err(EvalError::NothingToScore { what: "predictions" });
    }
    let known: BTreeSet<&str> = if classes.is_empty() {
        truth.iter().map(AsRef::as_ref).collect()
    } else {
        classes.iter().map(AsRef::as_ref).collect()
    };
    let mut scores: BTreeMap<&str, ClassScore> =
        known.into_iter().map(|class| (class, ClassScore::default())).collect();
    let mut confusion: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    let mut unknown: BTreeMap<String, u64> = BTreeMap::new();
    let mut correct = 0;
    for (index, (truth, predicted)) in truth.iter().zip(predicted).enumerate() {
        let (truth, predicted) = (truth.as_ref(), predicted.as_ref());
        let right = truth == predicted;
        let Some(of_truth) = scores.get_mut(truth) else {
            let class = truth.to_owned();
            return Err(EvalError::UnknownClass { index, class });
        };
        of_truth.support += 1;
        of_truth.correct += u64::from(right);
        correct += u64::from(right);
        match scores.get_mut(predicted) {
            Some(of_predicted) => of_predicted.predicted += 1,
            None => *unknown.entry(predicted.to_owned()).or_default() += 1,
        }
        *confusion.entry(truth).or_default().entry(predicted).or_default() += 1;
    }
    let mut zero_divisions = ZeroDivisions::default();
    for class in scores.values_mut() {
        let ClassScore { support, predicted, correct, .. } = *class;
        class.precision = quotient(correct, predicted, &mut zero_divisions.precision);
        class.recall = quotient(correct, support, &mut zero_divisions.recall);
        class.f1 = quotient(2 * correct, predicted + support, &mut zero_divisions.f1);
    }
    let owned = |(class, of_class): (&str, BTreeMap<&str, u64>)| {
        let counts = of_class.into_iter().map(|(class, count)| (class.to_owned(), count));
        (class.to_owned(), counts.collect())
    };
    Ok(ClassificationReport {
        accuracy: Proportion::new(correct, truth.len() as u64),
        macro_average: average(&scores, |_| 1.0),
        weighted_average: average(&scores, |class| class.support as f64),
        classes: scores.into_iter().map(|(class, score)| (class.to_owned(), score)).collect(),
        confusion: confusion.into_iter().map(owned).collect(),
        unknown,
        zero_divisions,
    })
}

fn quotient(part: u64, whole: u64, zero_divisions: &mut u64) -> f64 {
    if whole == 0 {
        *zero_divisions += 1;
        return 0.0;
    }
    part as f64 / whole as f64
}

/// There is a class, and one with an example.
fn average(
    scores: &BTreeMap<&str, ClassScore>,
    weight: impl Fn(&ClassScore) -> f64,
) -> ClassAverage {
    let total: f64 = scores.values().map(&weight).sum();
    let mean = |of: fn(&ClassScore) -> f64| {
        scores.values().map(|class| weight(class) * of(class)).sum::<f64>() / total
    };
    ClassAverage {
        precision: mean(|class| class.precision),
        recall: mean(|class| class.recall),
        f1: mean(|class| class.f1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_true_class_outside_of_the_given_ones_is_an_error() {
        let error = classification(&["a", "b"], &["a", "a"], &["a"]).unwrap_err();
        assert!(matches!(error, EvalError::UnknownClass { index: 1, .. }), "{error}");
    }

    #[test]
    fn quotients_of_nothing_are_counted() {
        let report = classification(&["a", "b"], &["a", "a"], &["a", "b", "c"]).unwrap();
        let expected = ZeroDivisions { precision: 2, recall: 1, f1: 1 };
        assert_eq!(report.zero_divisions, expected);
        assert_eq!(report.classes["c"], ClassScore::default());
    }
}
