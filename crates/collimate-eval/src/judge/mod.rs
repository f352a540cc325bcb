//! Responses rated by a model (G-Eval, Liu et al. 2023, <https://arxiv.org/abs/2303.16634>).

#[cfg(feature = "http")]
mod http;
#[cfg(feature = "model")]
mod local;
mod rubric;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::{EvalError, Result};
use crate::paired::MeanChange;

#[cfg(feature = "http")]
pub use http::{HttpJudge, HttpJudgeConfig, HttpJudgeUsage, TokenLimit};
#[cfg(feature = "model")]
pub use local::LocalJudge;
pub use rubric::Rubric;

/// A model that rates.
pub trait Judge {
    /// What a report calls it.
    fn name(&self) -> &str;

    /// What it says to a prompt, in at most so many tokens: its likeliest words, or, with a seed, words
    /// drawn as likely as they are.
    ///
    /// # Errors
    ///
    /// [`EvalError::Judge`]: it can't.
    fn say(&mut self, prompt: &str, most_tokens: usize, seed: Option<u64>) -> Result<String>;

    /// How likely it is to begin its answer to a prompt with each of these texts, in their order; `None`
    /// from a judge that doesn't tell.
    ///
    /// # Errors
    ///
    /// [`EvalError::Judge`]: it can't.
    fn probabilities(&mut self, prompt: &str, answers: &[String]) -> Result<Option<Vec<f64>>>;
}

/// What is rated.
#[derive(Clone, Copy, Debug)]
pub struct JudgeCase<'a> {
    /// What was asked.
    pub prompt: &'a str,
    /// What was answered.
    pub response: &'a str,
    /// What would have been a good answer.
    pub reference: Option<&'a str>,
}

/// What a judge makes of a response.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct JudgeScore {
    /// The mean of the ratings, each weighted by its probability.
    pub score: f64,
    /// The probability of each rating; they add up to 1.
    pub ratings: BTreeMap<u8, f64>,
    /// How much of the judge's probability, or of its answers, was a rating at all. Little says that it
    /// didn't understand what it was asked.
    pub understood: f64,
    /// Where the probabilities are from.
    pub source: ScoreSource,
}

/// Where the probabilities of ratings are from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScoreSource {
    /// From the judge's probabilities of tokens.
    Tokens,
    /// From so many answers that were drawn.
    Answers(u32),
}

/// How responses are rated.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct JudgeConfig {
    /// How many answers are drawn from a judge that doesn't tell probabilities. Default 20, as in the
    /// paper.
    pub answers: u32,
    /// Least share of the judge's probability, or of its answers, that has to be ratings. Default 0.1.
    pub least_understood: f64,
    /// What drawing follows from. Default 0.
    pub seed: u64,
}

impl Default for JudgeConfig {
    fn default() -> Self {
        Self { answers: 20, least_understood: 0.1, seed: 0 }
    }
}

impl JudgeConfig {
    /// Sets how many answers are drawn.
    #[must_use]
    pub fn with_answers(mut self, answers: u32) -> Self {
        self.answers = answers;
        self
    }

    /// Sets the least share that has to be ratings.
    #[must_use]
    pub fn with_least_understood(mut self, share: f64) -> Self {
        self.least_understood = share;
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// Ratings of several responses.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct JudgeReport {
    /// The judge.
    pub judge: String,
    /// What was rated, with the steps that the judge followed.
    pub rubric: Rubric,
    /// Each response's score, or why it has none.
    pub scores: Vec<JudgeOutcome>,
    /// The mean of the scores that there are; none without one.
    pub mean: Option<f64>,
    /// How many responses have a score.
    pub scored: usize,
}

/// A score, or the reason why there is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JudgeOutcome {
    /// The response was rated.
    Score(JudgeScore),
    /// It was not.
    Failed(String),
}

impl JudgeOutcome {
    /// The score, if the response was rated.
    pub fn score(&self) -> Option<&JudgeScore> {
        match self {
            Self::Score(score) => Some(score),
            Self::Failed(_) => None,
        }
    }
}

/// Rates a response.
///
/// # Errors
///
/// [`EvalError::NotRated`]: too little of what the judge says is a rating; [`EvalError::Judge`];
/// [`EvalError::Setting`]: the rubric has no steps yet, or no scale.
pub fn rate(
    judge: &mut dyn Judge,
    rubric: &Rubric,
    case: JudgeCase<'_>,
    config: &JudgeConfig,
) -> Result<JudgeScore> {
    rubric.check()?;
    let prompt = rubric.question(case)?;
    let ratings: Vec<u8> = rubric.scale().collect();
    let names: Vec<String> = ratings.iter().map(u8::to_string).collect();
    let (weights, understood, source) = match judge.probabilities(&prompt, &names)? {
        Some(weights) => {
            let is_share = |weight: &f64| weight.is_finite() && (0.0..=1.0).contains(weight);
            if weights.len() != ratings.len() || !weights.iter().all(is_share) {
                let message = format!("gave {weights:?} as the probabilities of {names:?}");
                return Err(EvalError::Judge { judge: judge.name().to_owned(), message });
            }
            let sum = weights.iter().sum::<f64>();
            (weights, sum.min(1.0), ScoreSource::Tokens)
        }
        None => {
            let mut weights = vec![0.0; ratings.len()];
            for number in 0..u64::from(config.answers) {
                let answer = judge.say(&prompt, 8, Some(config.seed.wrapping_add(number)))?;
                let rating = rating(&answer);
                if let Some(at) = ratings.iter().position(|of| Some(*of) == rating)
                    && let Some(weight) = weights.get_mut(at)
                {
                    *weight += 1.0 / f64::from(config.answers);
                }
            }
            let understood = weights.iter().sum::<f64>().min(1.0);
            (weights, understood, ScoreSource::Answers(config.answers))
        }
    };
    let sum: f64 = weights.iter().sum();
    if sum <= 0.0 || understood < config.least_understood {
        return Err(EvalError::NotRated {
            judge: judge.name().to_owned(),
            understood,
            least: config.least_understood,
        });
    }
    let ratings: BTreeMap<u8, f64> =
        ratings.into_iter().zip(weights).map(|(rating, weight)| (rating, weight / sum)).collect();
    let score = ratings.iter().map(|(rating, share)| f64::from(*rating) * share).sum();
    Ok(JudgeScore { score, ratings, understood, source })
}

/// Rates several responses by one rubric, whose steps the judge writes first if it has none. A response
/// that can't be rated has no score, and doesn't stop the others.
///
/// # Errors
///
/// [`EvalError::Judge`]: the judge can't write the steps; [`EvalError::Setting`];
/// [`EvalError::Cancelled`].
pub fn rate_all<'a>(
    judge: &mut dyn Judge,
    rubric: &Rubric,
    cases: impl IntoIterator<Item = JudgeCase<'a>>,
    config: &JudgeConfig,
) -> Result<JudgeReport> {
    rubric.check()?;
    let rubric = match rubric.steps.is_empty() {
        false => rubric.clone(),
        true => {
            rubric.clone().with_steps(judge.say(&rubric.request_for_steps(), 512, None)?.trim())
        }
    };
    if rubric.steps.is_empty() {
        let message = "wrote no steps".to_owned();
        return Err(EvalError::Judge { judge: judge.name().to_owned(), message });
    }
    let outcome = |case| match rate(judge, &rubric, case, config) {
        Ok(score) => Ok(JudgeOutcome::Score(score)),
        Err(EvalError::Cancelled) => Err(EvalError::Cancelled),
        Err(error) => Ok(JudgeOutcome::Failed(error.to_string())),
    };
    let scores: Vec<JudgeOutcome> = cases.into_iter().map(outcome).collect::<Result<_>>()?;
    let found: Vec<f64> =
        scores.iter().filter_map(|outcome| Some(outcome.score()?.score)).collect();
    let mean = (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64);
    let scored = found.len();
    Ok(JudgeReport { judge: judge.name().to_owned(), rubric, scores, mean, scored })
}

/// Compares ratings of responses of two models to the same prompts, in the same order; none if less than two
/// prompts have both.
///
/// # Errors
///
/// [`EvalError::Unpaired`]: there are not equally many.
pub fn compare_ratings(before: &JudgeReport, after: &JudgeReport) -> Result<Option<MeanChange>> {
    if before.scores.len() != after.scores.len() {
        return Err(EvalError::Unpaired {
            left: "responses before",
            left_count: before.scores.len(),
            right: "responses after",
            right_count: after.scores.len(),
        });
    }
    let both = |(before, after): (&JudgeOutcome, &JudgeOutcome)| {
        Some((1.0, after.score()?.score - before.score()?.score))
    };
    let items: Vec<(f64, f64)> = before.scores.iter().zip(&after.scores).filter_map(both).collect();
    Ok(MeanChange::of(&items))
}

/// The rating that an answer begins with; none if it begins otherwise, or with a longer number.
fn rating(answer: &str) -> Option<u8> {
    let mut characters = answer.trim_start().chars();
    let rating = characters.next()?.to_digit(10)?;
    let goes_on = characters.next().is_some_and(|next| next.is_ascii_digit());
    (!goes_on).then_some(rating as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says what it is told to, and notes what it was asked.
    #[derive(Default)]
    struct Told {
        weights: Option<Vec<f64>>,
        answers: Vec<&'static str>,
        asked: Vec<String>,
    }

    impl Judge for Told {
        fn name(&self) -> &str {
            "told"
        }

        fn say(&mut self, prompt: &str, _: usize, seed: Option<u64>) -> Result<String> {
            self.asked.push(prompt.to_owned());
            let at = seed.unwrap_or(0) as usize % self.answers.len().max(1);
            Ok(self.answers.get(at).copied().unwrap_or_default().to_owned())
        }

        fn probabilities(&mut self, prompt: &str, _: &[String]) -> Result<Option<Vec<f64>>> {
            self.asked.push(prompt.to_owned());
            Ok(self.weights.clone())
        }
    }

    fn rubric() -> Rubric {
        Rubric::new("helpfulness", "Does it help?").with_steps("1. Read.\n2. Rate.")
    }

    const CASE: JudgeCase<'_> =
        JudgeCase { prompt: "How far is it?", response: "Two miles.", reference: None };

    #[test]
    fn ratings_are_weighted_by_their_probability() {
        let weights = Some(vec![0.0, 0.1, 0.0, 0.3, 0.1]);
        let mut judge = Told { weights, ..Told::default() };
        let score = rate(&mut judge, &rubric(), CASE, &JudgeConfig::default()).unwrap();
        assert!((score.score - (0.1 * 2.0 + 0.3 * 4.0 + 0.1 * 5.0) / 0.5).abs() < 1e-12);
        assert!((score.understood - 0.5).abs() < 1e-12);
        assert!((score.ratings[&4] - 0.6).abs() < 1e-12);
        assert_eq!(score.source, ScoreSource::Tokens);
        for text in ["helpfulness", "Does it help?", "2. Rate.", "How far is it?", "Two miles."] {
            assert!(judge.asked[0].contains(text), "{text}");
        }
    }

    #[test]
    fn a_judge_without_probabilities_is_asked_again_and_again() {
        let answers = vec!["4", " 5\n", "12", "perhaps 3", "4.", "2 of 5"];
        let mut judge = Told { answers, ..Told::default() };
        let config = JudgeConfig::default().with_answers(6);
        let score = rate(&mut judge, &rubric(), CASE, &config).unwrap();
        assert!((score.score - (4.0 + 5.0 + 4.0 + 2.0) / 4.0).abs() < 1e-12);
        assert!((score.understood - 4.0 / 6.0).abs() < 1e-12);
        assert_eq!(score.source, ScoreSource::Answers(6));
    }

    #[test]
    fn what_is_no_rating_is_no_score() {
        let cases = [
            Told { weights: Some(vec![0.0; 5]), ..Told::default() },
            Told { weights: Some(vec![0.01; 5]), ..Told::default() },
            Told { answers: vec!["It is good."], ..Told::default() },
        ];
        for mut judge in cases {
            let error = rate(&mut judge, &rubric(), CASE, &JudgeConfig::default()).unwrap_err();
            assert!(matches!(error, EvalError::NotRated { .. }), "{error}");
        }
        for weights in [vec![0.5], vec![0.1, 0.1, f64::NAN, 0.1, 0.1], vec![2.0; 5]] {
            let mut judge = Told { weights: Some(weights), ..Told::default() };
            let error = rate(&mut judge, &rubric(), CASE, &JudgeConfig::default()).unwrap_err();
            assert!(matches!(error, EvalError::Judge { .. }), "{error}");
        }
    }

    #[test]
    fn the_judge_writes_steps_where_there_are_none_and_one_failure_stops_nothing() {
        let mut judge = Told { answers: vec!["4", "no", "2", "no"], ..Told::default() };
        let without = Rubric::new("candour", "Is it candid?");
        assert!(rate(&mut judge, &without, CASE, &JudgeConfig::default()).is_err());
        let config = JudgeConfig::default().with_answers(1).with_seed(1);
        let cases = [CASE, CASE];
        let report = rate_all(&mut judge, &without, cases, &config).unwrap();
        assert_eq!(report.rubric.steps, "4");
        assert_eq!((report.scored, report.mean), (0, None));
        let report = rate_all(&mut judge, &without, cases, &config.with_seed(2)).unwrap();
        assert_eq!((report.scored, report.mean), (2, Some(2.0)));
        let mut silent = Told::default();
        let error = rate_all(&mut silent, &without, cases, &JudgeConfig::default()).unwrap_err();
        assert_eq!(error.to_string(), "the judge told: wrote no steps");
    }
}
