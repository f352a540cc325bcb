//! chrF and chrF++, as sacreBLEU computes them.

use serde::{Deserialize, Serialize};

use super::ngrams::{Counts, Vocabulary, counts, overlap, total};
use super::{VERSION, python, segments};
use crate::error::{EvalError, Result};

/// How chrF is computed; sacreBLEU's defaults, which are chrF2.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ChrfConfig {
    /// The longest n-grams of characters, at most 16; 6 by default.
    pub char_order: usize,
    /// The longest n-grams of words, at most 16; 0 by default, and 2 for chrF++.
    pub word_order: usize,
    /// How many times as important as precision recall is; 2 by default.
    pub beta: u32,
    /// Whether case makes no difference; false by default.
    pub lowercase: bool,
    /// Whether white space belongs to the characters; false by default.
    pub whitespace: bool,
    /// Whether the F scores of all orders are averaged, with 10⁻¹⁶ for those that don't exist, as
    /// the first implementation did; false by default: precision and recall are averaged
    /// over the orders that both texts have.
    pub eps_smoothing: bool,
}

/// Checked settings of chrF: what computes it.
#[derive(Clone, Debug)]
pub struct Chrf {
    config: ChrfConfig,
}

/// A chrF score.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChrfScore {
    /// The score, 0 to 100.
    pub score: f64,
    /// chrF, beta, and a plus sign for each order of words: `chrF2++`.
    pub name: String,
    /// Hypotheses.
    pub segments: u64,
    /// Hypotheses without a word.
    pub empty_hypotheses: u64,
    /// The settings in sacreBLEU's form, with this crate as the version.
    pub signature: String,
}

impl Default for ChrfConfig {
    fn default() -> Self {
        Self {
            char_order: 6,
            word_order: 0,
            beta: 2,
            lowercase: false,
            whitespace: false,
            eps_smoothing: false,
        }
    }
}

impl ChrfConfig {
    /// Sets the length of the longest n-grams of characters.
    #[must_use]
    pub fn with_char_order(mut self, order: usize) -> Self {
        self.char_order = order;
        self
    }

    /// Sets the length of the longest n-grams of words.
    #[must_use]
    pub fn with_word_order(mut self, order: usize) -> Self {
        self.word_order = order;
        self
    }

    /// Sets how many times as important as precision recall is.
    #[must_use]
    pub fn with_beta(mut self, beta: u32) -> Self {
        self.beta = beta;
        self
    }

    /// Sets whether case makes no difference.
    #[must_use]
    pub fn with_lowercase(mut self, lowercase: bool) -> Self {
        self.lowercase = lowercase;
        self
    }

    /// Sets whether white space belongs to the characters.
    #[must_use]
    pub fn with_whitespace(mut self, whitespace: bool) -> Self {
        self.whitespace = whitespace;
        self
    }

    /// Sets whether the F scores of all orders are averaged.
    #[must_use]
    pub fn with_eps_smoothing(mut self, eps: bool) -> Self {
        self.eps_smoothing = eps;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`EvalError::Setting`] if there is no order, one is too long, or beta is zero.
    pub fn check(self) -> Result<Chrf> {
        let refuse = |setting, message: String| Err(EvalError::Setting { setting, message });
        for (setting, order) in [("char_order", self.char_order), ("word_order", self.word_order)] {
            if order > 16 {
                return refuse(setting, format!("is {order}; it is at most 16"));
            }
        }
        if self.char_order + self.word_order == 0 {
            return refuse(
                "char_order",
                "and word_order are zero: nothing would be compared".into(),
            );
        }
        if self.beta == 0 {
            return refuse("beta", "is zero; it is at least 1".into());
        }
        Ok(Chrf { config: self })
    }
}

impl Chrf {
    /// chrF of hypotheses, each with at least one reference (M. Popović, chrF: character n-gram F-score
    /// for automatic MT evaluation, 2015; chrF++: words helping character n-grams, 2017).
    ///
    /// `score = (1 + β²) P R / (β² P + R)`, with precision and recall of n-grams over all hypotheses,
    /// averaged over their orders. Of several references the one counts with which
    /// the hypothesis by itself scores best.
    ///
    /// ```
    /// use collimate_eval::ChrfConfig;
    ///
    /// let chrf = ChrfConfig::default().with_word_order(2).check()?;
    /// let score = chrf.corpus(&["The valve opened."], &[["The valve opens."]])?;
    /// assert_eq!(score.name, "chrF2++");
    /// assert!((score.score - 75.02).abs() < 0.01);
    /// # Ok::<(), collimate_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// [`EvalError::Unpaired`], [`EvalError::NothingToScore`] or [`EvalError::NoReference`].
    pub fn corpus<H, R, S>(&self, hypotheses: &[H], references: &[R]) -> Result<ChrfScore>
    where
        H: AsRef<str>,
        R: AsRef<[S]>,
        S: AsRef<str>,
    {
        segments::check(hypotheses, references)?;
        let mut sums = vec![Matches::default(); self.config.char_order + self.config.word_order];
        for (hypothesis, of_segment) in hypotheses.iter().zip(references) {
            let best = self.segment(hypothesis.as_ref(), of_segment.as_ref());
            sums.iter_mut().zip(best).for_each(|(sum, matches)| sum.add(matches));
        }
        Ok(ChrfScore {
            score: self.score(&sums),
            name: format!("chrF{}{}", self.config.beta, "+".repeat(self.config.word_order)),
            segments: hypotheses.len() as u64,
            empty_hypotheses: segments::empty(hypotheses),
            signature: self.signature(&segments::reference_count(references)),
        })
    }

    /// chrF of one hypothesis.
    ///
    /// # Errors
    /// [`EvalError::NoReference`].
    pub fn sentence<S: AsRef<str>>(&self, hypothesis: &str, references: &[S]) -> Result<ChrfScore> {
        self.corpus(&[hypothesis], &[references])
    }

    /// The matches of each order with the reference that is matched best; the first of equals.
    fn segment<S: AsRef<str>>(&self, hypothesis: &str, references: &[S]) -> Vec<Matches> {
        let cased = |text: &str| {
            if self.config.lowercase { text.to_lowercase() } else { text.to_owned() }
        };
        let hypothesis = cased(hypothesis);
        let references: Vec<String> = references.iter().map(|text| cased(text.as_ref())).collect();
        let mut vocabulary = Vocabulary::default();
        let hypothesis = self.units(&hypothesis, &mut vocabulary);
        let of_hypothesis = self.all_counts(&hypothesis);
        let mut best = (-1.0, Vec::new());
        for reference in &references {
            let reference = self.units(reference, &mut vocabulary);
            let matches: Vec<Matches> = (self.orders(&reference).zip(self.orders(&hypothesis)))
                .zip(&of_hypothesis)
                .map(|(((units, order), (of_hypothesis, _)), counted)| {
                    let in_reference = total(units, order) as u64;
                    let in_hypothesis = total(of_hypothesis, order) as u64;
                    Matches {
                        // An order that the reference is too short for counts nowhere.
                        hypothesis: if in_reference > 0 { in_hypothesis } else { 0 },
                        reference: in_reference,
                        both: match (counted.is_empty(), in_reference) {
                            (true, _) | (_, 0) => 0,
                            _ => overlap(counted, &counts(units, order)),
                        },
                    }
                })
                .collect();
            let score = self.score(&matches);
            if score > best.0 {
                best = (score, matches);
            }
        }
        best.1
    }

    fn units<'a>(&self, text: &'a str, vocabulary: &mut Vocabulary<'a>) -> Units {
        let kept = |char: &char| self.config.whitespace || !python::is_space(*char);
        let words = if self.config.word_order == 0 {
            Vec::new()
        } else {
            vocabulary.ids(python::words(text).flat_map(split_punctuation))
        };
        Units { characters: text.chars().filter(kept).map(u32::from).collect(), words }
    }

    /// What is compared, order by order: first characters, then words.
    fn orders<'a>(&self, units: &'a Units) -> impl Iterator<Item = (&'a [u32], usize)> {
        let characters = (1..=self.config.char_order).map(|order| (&*units.characters, order));
        characters.chain((1..=self.config.word_order).map(|order| (&*units.words, order)))
    }

    fn all_counts<'a>(&self, units: &'a Units) -> Vec<Counts<'a>> {
        self.orders(units).map(|(units, order)| counts(units, order)).collect()
    }

    fn score(&self, matches: &[Matches]) -> f64 {
        const EPS: f64 = 1e-16;
        let weight = f64::from(self.config.beta).powi(2);
        let share =
            |part: u64, whole: u64| if whole == 0 { EPS } else { part as f64 / whole as f64 };
        let f_score = |precision: f64, recall: f64| {
            (1.0 + weight) * precision * recall / (weight * precision + recall)
        };
        let (mut f_scores, mut precisions, mut recalls, mut orders) = (0.0, 0.0, 0.0, 0.0);
        for order in matches {
            let precision = share(order.both, order.hypothesis);
            let recall = share(order.both, order.reference);
            f_scores += if precision + recall > 0.0 { f_score(precision, recall) } else { EPS };
            if order.hypothesis > 0 && order.reference > 0 {
                precisions += precision;
                recalls += recall;
                orders += 1.0;
            }
        }
        if self.config.eps_smoothing {
            100.0 * f_scores / matches.len() as f64
        } else if precisions + recalls > 0.0 {
            100.0 * f_score(precisions / orders, recalls / orders)
        } else {
            0.0
        }
    }

    fn signature(&self, references: &str) -> String {
        let ChrfConfig { char_order, word_order, lowercase, whitespace, eps_smoothing, .. } =
            self.config;
        let case = if lowercase { "lc" } else { "mixed" };
        let effective = if eps_smoothing { "no" } else { "yes" };
        let space = if whitespace { "yes" } else { "no" };
        format!(
            "nrefs:{references}|case:{case}|eff:{effective}|nc:{char_order}|nw:{word_order}\
             |space:{space}|version:{VERSION}"
        )
    }
}

/// A text as numbers: its characters and its words.
struct Units {
    characters: Vec<u32>,
    words: Vec<u32>,
}

/// The n-grams of one order.
#[derive(Clone, Copy, Default)]
struct Matches {
    hypothesis: u64,
    reference: u64,
    both: u64,
}

impl Matches {
    fn add(&mut self, other: Self) {
        self.hypothesis += other.hypothesis;
        self.reference += other.reference;
        self.both += other.both;
    }
}

/// Takes one ASCII punctuation mark off a word: the last, or else the first.
fn split_punctuation(word: &str) -> impl Iterator<Item = &str> {
    let mut chars = word.char_indices();
    let (first, last) = (chars.next(), chars.next_back());
    let at = match (first, last) {
        (Some(_), Some((at, last))) if python::is_punctuation(last) => at,
        (Some((_, first)), Some(_)) if python::is_punctuation(first) => first.len_utf8(),
        _ => 0,
    };
    let (head, tail) = word.split_at_checked(at).unwrap_or(("", word));
    [head, tail].into_iter().filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mark_is_taken_off_a_word() {
        let split = |word| split_punctuation(word).collect::<Vec<_>>();
        assert_eq!(split("(hi)"), ["(hi", ")"]);
        assert_eq!(split("(hi"), ["(", "hi"]);
        assert_eq!(split("..."), ["..", "."]);
        assert_eq!(split("."), ["."]);
        assert_eq!(split("«é»"), ["«é»"]);
        assert_eq!(split("é."), ["é", "."]);
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let config = ChrfConfig::default;
        assert!(config().with_char_order(0).check().is_err());
        assert!(config().with_char_order(0).with_word_order(1).check().is_ok());
        assert!(config().with_char_order(17).check().is_err());
        assert!(config().with_word_order(17).check().is_err());
        assert!(config().with_beta(0).check().is_err());
    }
}
