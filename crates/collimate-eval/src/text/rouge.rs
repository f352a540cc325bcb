//! ROUGE, as rouge-score computes it.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use super::ngrams::{Vocabulary, counts, overlap, total};
use super::{lcs, segments};
use crate::error::{EvalError, Result};

/// How many pairs of words a line of a hypothesis and one of a reference may make for ROUGE-Lsum: each
/// takes one bit of memory.
const MAX_WORD_PAIRS: usize = 1 << 33;

/// How ROUGE is computed; rouge-score's defaults, without a stemmer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RougeConfig {
    /// How text is cut into words; as rouge-score does by default.
    pub tokenizer: RougeTokenizer,
    /// Whether ROUGE-Lsum is computed; true by default. Its time and memory grow with the product of the
    /// lengths of lines.
    pub lsum: bool,
}

/// How ROUGE cuts text into words.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RougeTokenizer {
    /// Runs of the letters a to z and digits, in lower case: rouge-score's. Other letters are dropped
    /// and end words (`naïve` is `na` and `ve`); how many is counted in
    /// [`RougeReport::dropped_characters`].
    #[default]
    Ascii,
    /// Words of any script in lower case, as Unicode's annex 29 divides text. No longer
    /// rouge-score's numbers where text isn't plain English.
    Unicode,
}

/// Checked settings of ROUGE: what computes it.
#[derive(Clone, Debug)]
pub struct Rouge {
    config: RougeConfig,
}

/// Precision, recall and their harmonic mean, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RougeScore {
    /// The share of the hypothesis that is in the reference.
    pub precision: f64,
    /// The share of the reference that is in the hypothesis.
    pub recall: f64,
    /// `2 P R / (P + R)`; zero where nothing matches.
    pub f1: f64,
}

/// ROUGE of one hypothesis, or the mean of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RougeScores {
    /// Of words.
    pub rouge1: RougeScore,
    /// Of pairs of neighbouring words.
    pub rouge2: RougeScore,
    /// Of the longest common subsequence of words.
    pub rouge_l: RougeScore,
    /// Of the union of the longest common subsequences of each line of the reference with the lines
    /// of the hypothesis; nothing if it was not asked for.
    pub rouge_lsum: Option<RougeScore>,
}

/// ROUGE of hypotheses, and what was not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RougeReport {
    /// The mean over hypotheses.
    pub mean: RougeScores,
    /// Hypotheses.
    pub segments: u64,
    /// Hypotheses without a word; they score zero.
    pub wordless_hypotheses: u64,
    /// Letters and digits of hypotheses and references that [`RougeTokenizer::Ascii`] dropped: where
    /// they are many, the scores mean little.
    pub dropped_characters: u64,
}

impl Default for RougeConfig {
    fn default() -> Self {
        Self { tokenizer: RougeTokenizer::default(), lsum: true }
    }
}

impl RougeConfig {
    /// Sets how text is cut into words.
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: RougeTokenizer) -> Self {
        self.tokenizer = tokenizer;
        self
    }

    /// Sets whether ROUGE-Lsum is computed.
    #[must_use]
    pub fn with_lsum(mut self, lsum: bool) -> Self {
        self.lsum = lsum;
        self
    }

    /// Checks the settings; none that there are today is refused.
    ///
    /// # Errors
    /// [`EvalError::Setting`] for settings that contradict each other.
    pub fn check(self) -> Result<Rouge> {
        Ok(Rouge { config: self })
    }
}

impl Rouge {
    /// ROUGE of hypotheses, each with at least one reference (C.-Y. Lin, ROUGE: a package for automatic
    /// evaluation of summaries, 2004). Of several references each score takes the one with the highest F1.
    ///
    /// ```
    /// use collimate_eval::RougeConfig;
    ///
    /// let rouge = RougeConfig::default().check()?;
    /// let report = rouge.corpus(&["The valve opens at noon."], &[["At noon the valve opens."]])?;
    /// assert_eq!(report.mean.rouge1.f1, 1.0);
    /// assert_eq!(report.mean.rouge2.f1, 0.75);
    /// assert_eq!(report.mean.rouge_l.f1, 0.6);
    /// assert_eq!(report.dropped_characters, 0);
    /// # Ok::<(), collimate_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// [`EvalError::Unpaired`], [`EvalError::NothingToScore`] or [`EvalError::NoReference`];
    /// [`EvalError::TooLong`] if ROUGE-Lsum would take more than a gigabyte.
    pub fn corpus<H, R, S>(&self, hypotheses: &[H], references: &[R]) -> Result<RougeReport>
    where
        H: AsRef<str>,
        R: AsRef<[S]>,
        S: AsRef<str>,
    {
        segments::check(hypotheses, references)?;
        let mut sums = RougeScores::default();
        let (mut wordless, mut dropped) = (0, 0);
        for (segment, (hypothesis, of_segment)) in hypotheses.iter().zip(references).enumerate() {
            let scores = self.segment(segment, hypothesis.as_ref(), of_segment.as_ref())?;
            wordless += u64::from(scores.wordless);
            dropped += scores.dropped;
            sums = sums.zip(scores.best, |sum, score| sum + score);
        }
        let count = hypotheses.len() as f64;
        Ok(RougeReport {
            mean: sums.zip(sums, |sum, _| sum / count),
            segments: hypotheses.len() as u64,
            wordless_hypotheses: wordless,
            dropped_characters: dropped,
        })
    }

    /// ROUGE of one hypothesis.
    ///
    /// # Errors
    /// [`EvalError::NoReference`]; [`EvalError::TooLong`] if ROUGE-Lsum would take more than a gigabyte.
    pub fn sentence<S: AsRef<str>>(
        &self,
        hypothesis: &str,
        references: &[S],
    ) -> Result<RougeScores> {
        self.corpus(&[hypothesis], &[references]).map(|report| report.mean)
    }

    fn segment<S: AsRef<str>>(
        &self,
        segment: usize,
        hypothesis: &str,
        references: &[S],
    ) -> Result<Segment> {
        let hypothesis = hypothesis.to_lowercase();
        let references: Vec<String> =
            references.iter().map(|text| text.as_ref().to_lowercase()).collect();
        let dropped = match self.config.tokenizer {
            RougeTokenizer::Ascii => {
                references.iter().chain([&hypothesis]).map(|text| beyond_ascii(text)).sum()
            }
            RougeTokenizer::Unicode => 0,
        };
        let mut vocabulary = Vocabulary::default();
        let hypothesis = self.document(&hypothesis, &mut vocabulary);
        let mut best: Option<RougeScores> = None;
        for reference in &references {
            let reference = self.document(reference, &mut vocabulary);
            let ngrams = |order| {
                let both =
                    overlap(&counts(&hypothesis.words, order), &counts(&reference.words, order));
                let totals = (total(&hypothesis.words, order), total(&reference.words, order));
                RougeScore::new(both, totals.0, totals.1)
            };
            let lengths = (hypothesis.words.len(), reference.words.len());
            let longest = lcs::length(&hypothesis.words, &reference.words) as u64;
            let scores = RougeScores {
                rouge1: ngrams(1),
                rouge2: ngrams(2),
                rouge_l: RougeScore::new(longest, lengths.0, lengths.1),
                rouge_lsum: if self.config.lsum {
                    let hits = union_lcs(segment, &hypothesis, &reference)?;
                    Some(RougeScore::new(hits, lengths.0, lengths.1))
                } else {
                    None
                },
            };
            best = Some(best.map_or(scores, |best| best.better(scores)));
        }
        let wordless = hypothesis.words.is_empty();
        Ok(Segment { best: best.unwrap_or_default(), wordless, dropped })
    }

    fn document<'a>(&self, text: &'a str, vocabulary: &mut Vocabulary<'a>) -> Document {
        let (mut words, mut lines) = (Vec::new(), Vec::new());
        for line in text.split('\n') {
            let start = words.len();
            words.extend(match self.config.tokenizer {
                RougeTokenizer::Ascii => {
                    let parts = line.split(|char: char| !char.is_ascii_alphanumeric());
                    vocabulary.ids(parts.filter(|word| !word.is_empty()))
                }
                RougeTokenizer::Unicode => vocabulary.ids(line.unicode_words()),
            });
            if words.len() > start {
                lines.push(start..words.len());
            }
        }
        Document { words, lines }
    }
}

/// The best scores of one hypothesis.
struct Segment {
    best: RougeScores,
    wordless: bool,
    dropped: u64,
}

/// A text as numbers of its words, and the lines that have some.
struct Document {
    words: Vec<u32>,
    lines: Vec<Range<usize>>,
}

impl Document {
    fn lines(&self) -> impl Iterator<Item = &[u32]> {
        self.lines.iter().filter_map(|line| self.words.get(line.clone()))
    }
}

impl RougeScore {
    fn new(both: u64, hypothesis: usize, reference: usize) -> Self {
        let share = |whole: usize| both as f64 / whole.max(1) as f64;
        let (precision, recall) = (share(hypothesis), share(reference));
        let sum = precision + recall;
        let f1 = if sum > 0.0 { 2.0 * precision * recall / sum } else { 0.0 };
        Self { precision, recall, f1 }
    }

    fn better(self, other: Self) -> Self {
        if other.f1 > self.f1 { other } else { self }
    }

    fn zip(self, other: Self, with: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            precision: with(self.precision, other.precision),
            recall: with(self.recall, other.recall),
            f1: with(self.f1, other.f1),
        }
    }
}

impl RougeScores {
    /// For each score that of the higher F1; of equals the first.
    fn better(self, other: Self) -> Self {
        Self {
            rouge1: self.rouge1.better(other.rouge1),
            rouge2: self.rouge2.better(other.rouge2),
            rouge_l: self.rouge_l.better(other.rouge_l),
            rouge_lsum: self.rouge_lsum.zip(other.rouge_lsum).map(|(one, two)| one.better(two)),
        }
    }

    fn zip(self, other: Self, with: impl Fn(f64, f64) -> f64 + Copy) -> Self {
        Self {
            rouge1: self.rouge1.zip(other.rouge1, with),
            rouge2: self.rouge2.zip(other.rouge2, with),
            rouge_l: self.rouge_l.zip(other.rouge_l, with),
            rouge_lsum: other
                .rouge_lsum
                .map(|score| self.rouge_lsum.unwrap_or_default().zip(score, with)),
        }
    }
}

/// The words of the reference's lines that are in common subsequences with lines of the hypothesis, no
/// word more often than either text has it.
fn union_lcs(segment: usize, hypothesis: &Document, reference: &Document) -> Result<u64> {
    let mut left: HashMap<u32, [u32; 2], RandomState> = HashMap::default();
    for (text, document) in [hypothesis, reference].into_iter().enumerate() {
        for &word in &document.words {
            if let Some(count) = left.entry(word).or_default().get_mut(text) {
                *count += 1;
            }
        }
    }
    let mut hits = 0;
    for line in reference.lines() {
        let mut marks = vec![false; line.len()];
        for candidate in hypothesis.lines() {
            if line.len().saturating_mul(candidate.len()) > MAX_WORD_PAIRS {
                return Err(EvalError::TooLong {
                    segment,
                    hypothesis: candidate.len(),
                    reference: line.len(),
                });
            }
            lcs::mark(line, candidate, &mut marks);
        }
        for (word, _) in line.iter().zip(marks).filter(|(_, mark)| *mark) {
            if let Some([hypothesis, reference]) = left.get_mut(word)
                && *hypothesis > 0
                && *reference > 0
            {
                hits += 1;
                *hypothesis -= 1;
                *reference -= 1;
            }
        }
    }
    Ok(hits)
}

fn beyond_ascii(text: &str) -> u64 {
    text.chars().filter(|char| !char.is_ascii() && char.is_alphanumeric()).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ascii_drops_is_counted_and_unicode_keeps_it() {
        let texts = ["Žluťoučký kůň, 東京 2024"];
        let ascii = RougeConfig::default().check().unwrap().corpus(&texts, &[texts]).unwrap();
        assert_eq!((ascii.dropped_characters, ascii.wordless_hypotheses), (16, 0));
        let config = RougeConfig::default().with_tokenizer(RougeTokenizer::Unicode);
        let rouge = config.check().unwrap();
        assert_eq!(rouge.corpus(&texts, &[texts]).unwrap().dropped_characters, 0);
        // Four of its five words: each ideograph is one.
        let scores = rouge.sentence("žluťoučký kůň 東海 2024", &texts).unwrap();
        assert!((scores.rouge1.f1 - 0.8).abs() < 1e-12);
    }

    #[test]
    fn lsum_is_absent_where_it_is_not_asked_for() {
        let rouge = RougeConfig::default().with_lsum(false).check().unwrap();
        assert_eq!(rouge.sentence("a b", &["a", "b c"]).unwrap().rouge_lsum, None);
    }
}
