//! BLEU, as sacreBLEU computes it.

use serde::{Deserialize, Serialize};

use super::ngrams::{Vocabulary, counts, total};
use super::tokenizer::BleuTokenizer;
use super::{VERSION, python, segments};
use crate::error::{EvalError, Result};

/// How BLEU is computed; sacreBLEU's defaults.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BleuConfig {
    /// How text is cut into words; `13a` by default.
    pub tokenizer: BleuTokenizer,
    /// What orders without a match count; `exp` by default.
    pub smoothing: Smoothing,
    /// Whether case makes no difference; false by default.
    pub lowercase: bool,
    /// Whether orders that a hypothesis is too short for are left out; false by default. For
    /// single sentences it should be true.
    pub effective_order: bool,
    /// The longest n-grams, 1 to 16; 4 by default.
    pub max_order: usize,
}

/// What BLEU takes for the precision of an order in which nothing matches
/// (B. Chen and C. Cherry, A systematic comparison of smoothing techniques for sentence-level
/// BLEU, 2014).
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Smoothing {
    /// Zero: so is the score.
    None,
    /// As if this many n-grams matched, 0.1 in the paper.
    Floor(f64),
    /// This is added to matches and n-grams of all orders from 2, 1 in the paper.
    AddK(f64),
    /// Half a match in the first such order, a quarter in the next, and so on.
    #[default]
    Exp,
}

/// Checked settings of BLEU: what computes it.
#[derive(Clone, Debug)]
pub struct Bleu {
    config: BleuConfig,
}

/// A BLEU score and what it is made of. Lists begin with unigrams.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BleuScore {
    /// The score, 0 to 100.
    pub score: f64,
    /// The smoothed share of matching n-grams of each order, in percent.
    pub precisions: Vec<f64>,
    /// The matching n-grams of each order, before smoothing.
    pub counts: Vec<u64>,
    /// The n-grams of the hypotheses of each order, before smoothing.
    pub totals: Vec<u64>,
    /// What hypotheses shorter than their references are multiplied with.
    pub brevity_penalty: f64,
    /// Words of the hypotheses.
    pub hypothesis_length: u64,
    /// Words of the references, for each hypothesis of the one that is closest in length.
    pub reference_length: u64,
    /// Hypotheses.
    pub segments: u64,
    /// Hypotheses without a word.
    pub empty_hypotheses: u64,
    /// The settings in sacreBLEU's form, with this crate as the version.
    pub signature: String,
}

impl Default for BleuConfig {
    fn default() -> Self {
        Self {
            tokenizer: BleuTokenizer::default(),
            smoothing: Smoothing::default(),
            lowercase: false,
            effective_order: false,
            max_order: 4,
        }
    }
}

impl BleuConfig {
    /// Sets how text is cut into words.
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: BleuTokenizer) -> Self {
        self.tokenizer = tokenizer;
        self
    }

    /// Sets what orders without a match count.
    #[must_use]
    pub fn with_smoothing(mut self, smoothing: Smoothing) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// Sets whether case makes no difference.
    #[must_use]
    pub fn with_lowercase(mut self, lowercase: bool) -> Self {
        self.lowercase = lowercase;
        self
    }

    /// Sets whether orders that a hypothesis is too short for are left out.
    #[must_use]
    pub fn with_effective_order(mut self, effective: bool) -> Self {
        self.effective_order = effective;
        self
    }

    /// Sets the length of the longest n-grams.
    #[must_use]
    pub fn with_max_order(mut self, order: usize) -> Self {
        self.max_order = order;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`EvalError::Setting`] if the order or what smoothing adds is out of its range.
    pub fn check(self) -> Result<Bleu> {
        if !(1..=16).contains(&self.max_order) {
            let message = format!("is {}; it is 1 to 16", self.max_order);
            return Err(EvalError::Setting { setting: "max_order", message });
        }
        if let Smoothing::Floor(value) | Smoothing::AddK(value) = self.smoothing
            && !(value.is_finite() && value >= 0.0)
        {
            let message = format!("adds {value}; it has to be finite and not negative");
            return Err(EvalError::Setting { setting: "smoothing", message });
        }
        Ok(Bleu { config: self })
    }
}

impl Bleu {
    /// BLEU of hypotheses, each with at least one reference (K. Papineni et al., BLEU: a method for
    /// automatic evaluation of machine translation, 2002).
    ///
    /// `score = bp · exp(mean of ln p_n)`, where `p_n` is the share of n-grams that some reference has
    /// too, over all hypotheses, and `bp = exp(1 − r/h)` for `h` words where the references have
    /// more, `r`. Zero where nothing matches.
    ///
    /// ```
    /// use collimate_eval::BleuConfig;
    ///
    /// let bleu = BleuConfig::default().check()?;
    /// let hypotheses = ["The valve opens at noon.", "Nobody was hurt."];
    /// let references = [vec!["The valve opens at noon."], vec!["No one was hurt.", "Nobody got hurt."]];
    /// let score = bleu.corpus(&hypotheses, &references)?;
    /// assert_eq!(score.counts, [10, 7, 5, 3]);
    /// assert!((score.score - 85.99).abs() < 0.01);
    /// assert!(score.signature.starts_with("nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:"));
    /// # Ok::<(), collimate_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// [`EvalError::Unpaired`], [`EvalError::NothingToScore`] or [`EvalError::NoReference`].
    pub fn corpus<H, R, S>(&self, hypotheses: &[H], references: &[R]) -> Result<BleuScore>
    where
        H: AsRef<str>,
        R: AsRef<[S]>,
        S: AsRef<str>,
    {
        segments::check(hypotheses, references)?;
        let mut matches = Matches::new(self.config.max_order);
        for (hypothesis, of_segment) in hypotheses.iter().zip(references) {
            matches.add(&self.config, hypothesis.as_ref(), of_segment.as_ref());
        }
        let empty = segments::empty(hypotheses);
        let signature = self.signature(&segments::reference_count(references));
        Ok(matches.score(&self.config, hypotheses.len() as u64, empty, signature))
    }

    /// BLEU of one hypothesis. Short ones have no 4-grams and score zero, unless
    /// [`effective_order`](BleuConfig::effective_order) is set.
    ///
    /// # Errors
    /// [`EvalError::NoReference`].
    pub fn sentence<S: AsRef<str>>(&self, hypothesis: &str, references: &[S]) -> Result<BleuScore> {
        self.corpus(&[hypothesis], &[references])
    }

    fn signature(&self, references: &str) -> String {
        let BleuConfig { tokenizer, smoothing, lowercase, effective_order, .. } = &self.config;
        let smoothing = match smoothing {
            Smoothing::None => "none".to_owned(),
            Smoothing::Floor(value) => format!("floor[{value:.2}]"),
            Smoothing::AddK(value) => format!("add-k[{value:.2}]"),
            Smoothing::Exp => "exp".to_owned(),
        };
        let case = if *lowercase { "lc" } else { "mixed" };
        let effective = if *effective_order { "yes" } else { "no" };
        let tokenizer = tokenizer.name();
        format!(
            "nrefs:{references}|case:{case}|eff:{effective}|tok:{tokenizer}|smooth:{smoothing}\
             |version:{VERSION}"
        )
    }
}

/// What the score is computed from: sums over segments.
struct Matches {
    counts: Vec<u64>,
    totals: Vec<u64>,
    hypothesis_length: u64,
    reference_length: u64,
}

impl Matches {
    fn new(max_order: usize) -> Self {
        let zeros = vec![0; max_order];
        Self { counts: zeros.clone(), totals: zeros, hypothesis_length: 0, reference_length: 0 }
    }

    fn add<S: AsRef<str>>(&mut self, config: &BleuConfig, hypothesis: &str, references: &[S]) {
        let cased = |text: &str| config.lowercase.then(|| text.to_lowercase());
        let separate = |text: &str| {
            config.tokenizer.separate(text.trim_end_matches(python::is_space)).into_owned()
        };
        let prepare = |text: &str| separate(cased(text).as_deref().unwrap_or(text));
        let hypothesis = prepare(hypothesis);
        let references: Vec<String> =
            references.iter().map(|text| prepare(text.as_ref())).collect();
        let mut vocabulary = Vocabulary::default();
        let hypothesis = vocabulary.ids(python::words(&hypothesis));
        let references: Vec<Vec<u32>> =
            references.iter().map(|text| vocabulary.ids(python::words(text))).collect();

        // Of two equally close lengths the shorter.
        let closest = references.iter().map(Vec::len);
        let closest = closest.min_by_key(|&length| (length.abs_diff(hypothesis.len()), length));
        self.reference_length += closest.unwrap_or(0) as u64;
        self.hypothesis_length += hypothesis.len() as u64;
        for (order, (matched, all)) in (1..).zip(self.counts.iter_mut().zip(&mut self.totals)) {
            *all += total(&hypothesis, order) as u64;
            let of_hypothesis = counts(&hypothesis, order);
            if let [reference] = references.as_slice() {
                *matched += super::ngrams::overlap(&of_hypothesis, &counts(reference, order));
                continue;
            }
            let of_references: Vec<_> =
                references.iter().map(|reference| counts(reference, order)).collect();
            for (ngram, &count) in &of_hypothesis {
                let most = of_references.iter().filter_map(|counts| counts.get(ngram)).max();
                *matched += u64::from(count.min(most.copied().unwrap_or(0)));
            }
        }
    }

    fn score(
        self,
        config: &BleuConfig,
        segments: u64,
        empty_hypotheses: u64,
        signature: String,
    ) -> BleuScore {
        let Self { counts, totals, hypothesis_length, reference_length } = self;
        let (hypothesis, reference) = (hypothesis_length as f64, reference_length as f64);
        let brevity_penalty = if hypothesis_length >= reference_length {
            1.0
        } else if hypothesis_length == 0 {
            0.0
        } else {
            (1.0 - reference / hypothesis).exp()
        };
        let (precisions, geometric_mean) = precisions(config, &counts, &totals);
        BleuScore {
            score: brevity_penalty * geometric_mean,
            precisions,
            counts,
            totals,
            brevity_penalty,
            hypothesis_length,
            reference_length,
            segments,
            empty_hypotheses,
            signature,
        }
    }
}

/// Smoothed precisions in percent, and the geometric mean of those that count.
fn precisions(config: &BleuConfig, counts: &[u64], totals: &[u64]) -> (Vec<f64>, f64) {
    let mut precisions = vec![0.0; counts.len()];
    if counts.iter().all(|&count| count == 0) {
        return (precisions, 0.0);
    }
    let mut orders = counts.len();
    let mut exponential = 1.0;
    for (index, precision) in precisions.iter_mut().enumerate() {
        let at = |list: &[u64]| list.get(index).map_or(0.0, |&count| count as f64);
        let added = match config.smoothing {
            Smoothing::AddK(added) if index > 0 => added,
            _ => 0.0,
        };
        let (count, total) = (at(counts) + added, at(totals) + added);
        if total == 0.0 {
            break;
        }
        if config.effective_order {
            orders = index + 1;
        }
        *precision = match config.smoothing {
            _ if count > 0.0 => 100.0 * count / total,
            Smoothing::Exp => {
                exponential *= 2.0;
                100.0 / (exponential * total)
            }
            Smoothing::Floor(floor) => 100.0 * floor / total,
            Smoothing::None | Smoothing::AddK(_) => 0.0,
        };
    }
    // The logarithm of zero is minus infinity, and its exponential zero.
    let logarithms: f64 = precisions.iter().take(orders).map(|precision| precision.ln()).sum();
    let mean = (logarithms / orders as f64).exp();
    (precisions, mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_refused() {
        for order in [0, 17] {
            assert!(BleuConfig::default().with_max_order(order).check().is_err());
        }
        for added in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(BleuConfig::default().with_smoothing(Smoothing::AddK(added)).check().is_err());
            assert!(BleuConfig::default().with_smoothing(Smoothing::Floor(added)).check().is_err());
        }
    }

    #[test]
    fn settings_are_read_as_they_are_written() {
        let config = BleuConfig::default()
            .with_tokenizer(BleuTokenizer::International)
            .with_smoothing(Smoothing::AddK(0.5));
        let json = serde_json::to_string(&config).unwrap();
        assert!(json.contains(r#""tokenizer":"intl","smoothing":{"add-k":0.5}"#), "{json}");
        assert_eq!(serde_json::from_str::<BleuConfig>(&json).unwrap(), config);
    }
}
