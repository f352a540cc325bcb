use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::error::LogitsProblem;
use super::process::{Softmax, min_p, repetition_penalty, temperature, top_k, top_p};

/// What only counts where tokens are drawn, in the order in which it is applied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sampling {
    pub(super) temperature: f32,
    pub(super) top_k: usize,
    pub(super) top_p: f64,
    pub(super) min_p: f64,
}

/// Chooses the tokens of one row.
pub(super) struct Chooser {
    penalty: f32,
    sampling: Option<Sampling>,
    /// The tokens of the row, its prompt included.
    seen: BTreeSet<u32>,
    /// A stream of the row's own, of which each token takes one number.
    random: ChaCha8Rng,
}

impl Chooser {
    pub(super) fn new(penalty: f32, sampling: Option<Sampling>, seed: u64, stream: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        Self { penalty, sampling, seen: BTreeSet::new(), random }
    }

    /// Tells it tokens that the row has.
    pub(super) fn see(&mut self, tokens: &[u32]) {
        // The set is only for the penalty.
        if self.penalty != 1.0 {
            self.seen.extend(tokens);
        }
    }

    /// The next token by its logits, which are changed.
    pub(super) fn choose(&mut self, scores: &mut [f32]) -> Result<usize, LogitsProblem> {
        self.process(scores)?;
        match self.sampling {
            None => most_probable(scores),
            Some(_) => draw(scores, uniform(&mut self.random)),
        }
    }

    fn process(&self, scores: &mut [f32]) -> Result<(), LogitsProblem> {
        if self.penalty != 1.0 {
            repetition_penalty(scores, &self.seen, self.penalty);
        }
        let Some(sampling) = self.sampling else { return check(scores) };
        if sampling.temperature != 1.0 {
            temperature(scores, sampling.temperature);
        }
        check(scores)?;
        top_k(scores, sampling.top_k);
        top_p(scores, sampling.top_p);
        min_p(scores, sampling.min_p);
        Ok(())
    }
}

/// Refuses what stays infinite, or not a number, whatever it is divided by.
fn check(scores: &[f32]) -> Result<(), LogitsProblem> {
    match scores.iter().position(|score| score.is_nan() || *score == f32::INFINITY) {
        None => Ok(()),
        Some(token) if scores.get(token).is_some_and(|score| score.is_nan()) => {
            Err(LogitsProblem::NotANumber { token })
        }
        Some(token) => Err(LogitsProblem::Infinite { token }),
    }
}

/// The first of the largest.
fn most_probable(scores: &[f32]) -> Result<usize, LogitsProblem> {
    let mut best = Err(LogitsProblem::Impossible);
    let mut largest = f32::NEG_INFINITY;
    for (token, &score) in scores.iter().enumerate() {
        if score > largest {
            (best, largest) = (Ok(token), score);
        }
    }
    best
}

/// The first token at which the sum of probabilities exceeds a number of `[0, 1)`.
fn draw(scores: &[f32], at: f64) -> Result<usize, LogitsProblem> {
    let softmax = Softmax::of(scores);
    let mut sum = 0.0;
    // Rounding may leave a sum below 1: then it is the last that is possible.
    let mut chosen = Err(LogitsProblem::Impossible);
    for (token, &score) in scores.iter().enumerate() {
        let probability = softmax.probability(score);
        if probability > 0.0 {
            chosen = Ok(token);
            sum += probability;
            if sum > at {
                break;
            }
        }
    }
    chosen
}

/// Uniform in `[0, 1)`, a multiple of `2^-53`.
fn uniform(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 * f64::powi(2.0, -53)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::generate::GenerationConfig;

    const NONE: f32 = f32::NEG_INFINITY;

    fn chooser(sampling: Sampling, stream: u64) -> Chooser {
        Chooser::new(1.0, Some(sampling), 11, stream)
    }

    const PLAIN: Sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 };

    #[test]
    fn the_most_probable_is_the_first_of_equals() {
        assert_eq!(most_probable(&[-1.0, 2.0, 2.0, 1.0]), Ok(1));
        assert_eq!(most_probable(&[-0.0, 0.0]), Ok(0));
        assert_eq!(most_probable(&[NONE, -f32::MAX]), Ok(1));
    }

    #[test]
    fn a_number_falls_into_the_interval_of_its_token() {
        let scores = [NONE, 0.0, NONE, 3.0_f32.ln(), NONE];
        assert_eq!(draw(&scores, 0.0), Ok(1));
        assert_eq!(draw(&scores, 0.2499), Ok(1));
        assert_eq!(draw(&scores, 0.2501), Ok(3));
        // Beyond every sum, and still nothing that is impossible.
        assert_eq!(draw(&scores, 1.0), Ok(3));
    }

    #[test]
    fn logits_that_say_nothing_are_named() {
        let not_a_number = Err(LogitsProblem::NotANumber { token: 1 });
        for sampling in [None, Some(PLAIN)] {
            let choose =
                |mut scores: [f32; 3]| Chooser::new(1.5, sampling, 0, 0).choose(&mut scores);
            assert_eq!(choose([0.0, f32::NAN, 0.0]), not_a_number);
            assert_eq!(
                choose([0.0, 1.0, f32::INFINITY]),
                Err(LogitsProblem::Infinite { token: 2 })
            );
            assert_eq!(choose([NONE; 3]), Err(LogitsProblem::Impossible));
        }
        let cold = Sampling { temperature: 1e-30, ..PLAIN };
        let found = chooser(cold, 0).choose(&mut [1.0, 1e20]);
        assert_eq!(found, Err(LogitsProblem::Infinite { token: 1 }));
    }

    #[test]
    fn draws_have_the_probabilities_of_the_softmax() {
        let logits = [0.5_f32, -1.0, 2.0, 0.0, 1.0, -3.0, NONE, 1.5];
        let softmax = Softmax::of(&logits);
        let mut chooser = chooser(PLAIN, 0);
        let mut counts = [0_u32; 8];
        for _ in 0..40_000 {
            counts[chooser.choose(&mut logits.clone()).unwrap()] += 1;
        }
        assert_eq!(counts[6], 0);
        let statistic: f64 = logits
            .iter()
            .zip(counts)
            .filter(|(logit, _)| **logit > NONE)
            .map(|(&logit, count)| {
                let expected = softmax.probability(logit) * 40_000.0;
                (f64::from(count) - expected).powi(2) / expected
            })
            .sum();
        // The 99% quantile of chi-square with six degrees of freedom.
        assert!(statistic < 16.81, "{statistic}: {counts:?}");
    }

    #[test]
    fn settings_are_applied_as_in_transformers() {
        #[derive(Deserialize)]
        struct Reference {
            seen: Vec<u32>,
            rows: Vec<Vec<Option<f32>>>,
            together: Vec<Together>,
        }
        #[derive(Deserialize)]
        struct Together {
            row: usize,
            settings: GenerationConfig,
            scores: Vec<Option<f32>>,
            probabilities: Vec<f64>,
        }
        let scores = |row: &[Option<f32>]| -> Vec<f32> {
            row.iter().map(|score| score.unwrap_or(NONE)).collect()
        };
        let reference = include_str!("../../tests/fixtures/sampling.json");
        let reference: Reference = serde_json::from_str(reference).unwrap();
        assert!(reference.together.len() > 30);
        for case in reference.together {
            let settings = case.settings.clone().with_do_sample(true).check().unwrap();
            let mut chooser = Chooser::new(settings.penalty, settings.sampling, 0, 0);
            chooser.see(&reference.seen);
            let mut found = scores(&reference.rows[case.row]);
            chooser.process(&mut found).unwrap();
            assert_eq!(found, scores(&case.scores), "row {}, {:?}", case.row, case.settings);
            let softmax = Softmax::of(&found);
            for (score, expected) in found.iter().zip(case.probabilities) {
                let probability = softmax.probability(*score);
                assert!((probability - expected).abs() < 2e-7, "{probability} {expected}");
            }
        }
    }

    #[test]
    fn a_penalty_counts_in_greedy_search() {
        let mut chooser = Chooser::new(2.0, None, 0, 0);
        let logits = [3.0, 2.0, -1.0];
        assert_eq!(chooser.choose(&mut logits.clone()), Ok(0));
        chooser.see(&[0, 0, 99]);
        assert_eq!(chooser.choose(&mut logits.clone()), Ok(1));
    }
}
