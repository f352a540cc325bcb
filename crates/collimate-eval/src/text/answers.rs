//! Short answers: exact match and token F1, as SQuAD scores them.

use serde::Serialize;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use super::ngrams::{Vocabulary, counts, overlap};
use super::{python, segments};
use crate::error::Result;
use crate::proportion::Proportion;

/// How an answer agrees with the accepted ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AnswerScore {
    /// Whether it is one of them to the byte.
    pub literal: bool,
    /// Whether it is one of them after [`normalize_answer`].
    pub exact: bool,
    /// The highest F1 of its words with those of one of them, 0 to 1, after [`normalize_answer`].
    pub f1: f64,
}

/// How answers agree with the accepted ones, over all questions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AnswerScores {
    /// The share that is right to the byte.
    pub literal: Proportion,
    /// The share that is right after [`normalize_answer`].
    pub exact: Proportion,
    /// The mean of F1, 0 to 1.
    pub f1: f64,
    /// Questions.
    pub questions: u64,
    /// Answers that are empty after [`normalize_answer`].
    pub empty_answers: u64,
}

/// Lower case, without ASCII punctuation, without the words *a*, *an* and *the*, and with single
/// spaces (P. Rajpurkar et al., SQuAD: 100,000+ questions for machine comprehension of text, 2016).
///
/// ```
/// assert_eq!(collimate_eval::normalize_answer(" The  U.S. Senate"), "us senate");
/// ```
#[must_use]
pub fn normalize_answer(text: &str) -> String {
    let text: String =
        text.to_lowercase().chars().filter(|&char| !python::is_punctuation(char)).collect();
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let of_word = is_word(first);
        let end = rest.find(|char| is_word(char) != of_word).unwrap_or(rest.len());
        let (run, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        kept.push_str(if matches!(run, "a" | "an" | "the") { " " } else { run });
        rest = after;
    }
    python::words(&kept).collect::<Vec<_>>().join(" ")
}

/// Compares an answer with the accepted ones; the best of them counts.
///
/// F1 is `2 · common / (words of one + words of the other)`; where one has no words, it is one if the
/// other has none either, as SQuAD 2.0 has it.
///
/// # Errors
/// [`EvalError::NoReference`](crate::EvalError::NoReference).
pub fn score_answer<S: AsRef<str>>(answer: &str, accepted: &[S]) -> Result<AnswerScore> {
    segments::check(&[answer], &[accepted])?;
    Ok(score(answer, accepted).0)
}

/// Compares answers with the accepted ones of each question.
///
/// ```
/// use collimate_eval::score_answers;
///
/// let scores = score_answers(&["the Elbe", "1,870 metres"], &[vec!["Elbe", "River Elbe"], vec!["1870"]])?;
/// assert_eq!((scores.literal.count, scores.exact.count), (0, 1));
/// assert!((scores.f1 - 5.0 / 6.0).abs() < 1e-12);
/// # Ok::<(), collimate_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::Unpaired`](crate::EvalError::Unpaired),
/// [`EvalError::NothingToScore`](crate::EvalError::NothingToScore) or
/// [`EvalError::NoReference`](crate::EvalError::NoReference).
pub fn score_answers<H, R, S>(answers: &[H], accepted: &[R]) -> Result<AnswerScores>
where
    H: AsRef<str>,
    R: AsRef<[S]>,
    S: AsRef<str>,
{
    segments::check(answers, accepted)?;
    let questions = answers.len() as u64;
    let (mut literal, mut exact, mut f1, mut empty_answers) = (0, 0, 0.0, 0);
    for (answer, accepted) in answers.iter().zip(accepted) {
        let (score, empty) = score(answer.as_ref(), accepted.as_ref());
        literal += u64::from(score.literal);
        exact += u64::from(score.exact);
        f1 += score.f1;
        empty_answers += u64::from(empty);
    }
    Ok(AnswerScores {
        literal: Proportion::new(literal, questions),
        exact: Proportion::new(exact, questions),
        f1: f1 / questions as f64,
        questions,
        empty_answers,
    })
}

/// The score, and whether the answer is empty.
fn score<S: AsRef<str>>(answer: &str, accepted: &[S]) -> (AnswerScore, bool) {
    let normalized = normalize_answer(answer);
    let mut best = AnswerScore::default();
    for text in accepted {
        let other = normalize_answer(text.as_ref());
        best.literal |= answer == text.as_ref();
        best.exact |= normalized == other;
        best.f1 = best.f1.max(f1(&normalized, &other));
    }
    (best, normalized.is_empty())
}

fn f1(one: &str, other: &str) -> f64 {
    let mut vocabulary = Vocabulary::default();
    let (one, other) = (vocabulary.ids(python::words(one)), vocabulary.ids(python::words(other)));
    if one.is_empty() || other.is_empty() {
        return f64::from(u8::from(one.is_empty() && other.is_empty()));
    }
    let common = overlap(&counts(&one, 1), &counts(&other, 1)) as f64;
    2.0 * common / (one.len() + other.len()) as f64
}

/// Whether Python's `\w` has a character.
fn is_word(char: char) -> bool {
    use GeneralCategoryGroup::{Letter, Number};
    char == '_' || matches!(char.general_category_group(), Letter | Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles_are_whole_words() {
        assert_eq!(normalize_answer("The theatre, an AN a-b"), "theatre ab");
        assert_eq!(normalize_answer("“the” été à a"), "“ ” été à");
        assert_eq!(normalize_answer("a\u{301} the"), "\u{301}");
    }

    #[test]
    fn no_words_agree_with_no_words() {
        assert_eq!(score_answer("the", &["."]).unwrap().f1, 1.0);
        assert_eq!(score_answer("", &["x"]).unwrap().f1, 0.0);
        assert!(score_answer("x", &[] as &[&str]).is_err());
    }
}
