//! What changes logits before a token is chosen, with the semantics of transformers'
//! `generation/logits_process.py`: computed in float32, dropped tokens get −∞.

use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Makes tokens of the row less probable: positive logits are divided, negative ones multiplied, once
/// for each token (Keskar et al. 2019, arXiv 1909.05858).
pub(super) fn repetition_penalty(scores: &mut [f32], seen: &BTreeSet<u32>, penalty: f32) {
    for &token in seen {
        // An embedding may have more tokens than the head.
        if let Some(score) = scores.get_mut(token as usize) {
            *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
        }
    }
}

/// Divides logits by the temperature.
pub(super) fn temperature(scores: &mut [f32], temperature: f32) {
    for score in scores {
        *score /= temperature;
    }
}

/// Drops what is less probable than the `k`-th; what is as probable stays.
pub(super) fn top_k(scores: &mut [f32], k: usize) {
    if k == 0 || k >= scores.len() {
        return;
    }
    let mut sorted = scores.to_vec();
    let (_, &mut least, _) = sorted.select_nth_unstable_by(k - 1, |a, b| compare(*b, *a));
    drop_where(scores, |score| score < least);
}

/// Keeps the smallest set of the most probable tokens whose probabilities add up to `p` or more, at
/// least one (Holtzman et al. 2020, arXiv 1904.09751); of equally probable ones the last.
pub(super) fn top_p(scores: &mut [f32], p: f64) {
    if p >= 1.0 {
        return;
    }
    let softmax = Softmax::of(scores);
    let mut candidates: Vec<(f32, usize)> =
        scores.iter().copied().zip(0..).filter(|(score, _)| *score > f32::NEG_INFINITY).collect();
    let most_probable_first =
        |a: &(f32, usize), b: &(f32, usize)| compare(b.0, a.0).then(b.1.cmp(&a.1));
    let threshold = (1.0 - p) as f32;
    // torch adds probabilities of float32 in float64, and compares in float32.
    let probability = |score: f32| f64::from(softmax.probability(score) as f32);
    // That of this token and of all that are less probable.
    let mut rest: f64 = candidates.iter().map(|(score, _)| probability(*score)).sum();
    let mut kept = 0;
    // As a rule few are kept: the most probable are sorted first, in blocks.
    let mut block = 128;
    let mut remaining = candidates.as_mut_slice();
    let dropped = loop {
        if block < remaining.len() {
            remaining.select_nth_unstable_by(block, most_probable_first);
        }
        let sorted = block.min(remaining.len());
        let (first, _) = remaining.split_at_mut(sorted);
        first.sort_unstable_by(most_probable_first);
        let end = first.iter().position(|(score, _)| {
            let drop = kept > 0 && rest as f32 <= threshold;
            kept += 1;
            rest -= probability(*score);
            drop
        });
        remaining = remaining.split_at_mut(end.unwrap_or(sorted)).1;
        if end.is_some() || remaining.is_empty() {
            break remaining;
        }
        block *= 4;
    };
    for &(_, token) in dropped.iter() {
        if let Some(score) = scores.get_mut(token) {
            *score = f32::NEG_INFINITY;
        }
    }
}

/// Drops what is less probable than `p` times the most probable (Nguyen et al. 2024, arXiv 2407.01082).
pub(super) fn min_p(scores: &mut [f32], p: f64) {
    if p <= 0.0 {
        return;
    }
    let softmax = Softmax::of(scores);
    let threshold = p as f32 * softmax.probability(softmax.largest) as f32;
    drop_where(scores, |score| (softmax.probability(score) as f32) < threshold);
}

/// The probabilities of scores, in float64.
#[derive(Clone, Copy, Debug)]
pub(super) struct Softmax {
    largest: f32,
    /// `Σ exp(score − largest)`.
    total: f64,
}

impl Softmax {
    pub(super) fn of(scores: &[f32]) -> Self {
        let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut softmax = Self { largest, total: 1.0 };
        softmax.total = scores.iter().map(|&score| softmax.probability(score)).sum();
        softmax
    }

    pub(super) fn probability(&self, score: f32) -> f64 {
        // Most scores are those of dropped tokens.
        if score == f32::NEG_INFINITY {
            return 0.0;
        }
        (f64::from(score) - f64::from(self.largest)).exp() / self.total
    }
}

fn drop_where(scores: &mut [f32], drop: impl Fn(f32) -> bool) {
    for score in scores.iter_mut().filter(|score| drop(**score)) {
        *score = f32::NEG_INFINITY;
    }
}

/// The order of numbers; nothing that is not a number comes here.
fn compare(a: f32, b: f32) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Reference {
        seen: BTreeSet<u32>,
        rows: Vec<Vec<Option<f32>>>,
        alone: Vec<Alone>,
    }

    #[derive(Deserialize)]
    struct Alone {
        row: usize,
        step: Step,
        /// None where a token was dropped.
        scores: Vec<Option<f32>>,
    }

    #[derive(Clone, Copy, Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Step {
        RepetitionPenalty(f32),
        Temperature(f32),
        TopK(usize),
        TopP(f64),
        MinP(f64),
    }

    fn scores(row: &[Option<f32>]) -> Vec<f32> {
        row.iter().map(|score| score.unwrap_or(f32::NEG_INFINITY)).collect()
    }

    #[test]
    fn scores_are_those_of_transformers() {
        let reference = include_str!("../../tests/fixtures/sampling.json");
        let reference: Reference = serde_json::from_str(reference).unwrap();
        for case in &reference.alone {
            let mut found = scores(&reference.rows[case.row]);
            match case.step {
                Step::RepetitionPenalty(penalty) => {
                    repetition_penalty(&mut found, &reference.seen, penalty);
                }
                Step::Temperature(value) => temperature(&mut found, value),
                Step::TopK(k) => top_k(&mut found, k),
                Step::TopP(p) => top_p(&mut found, p),
                Step::MinP(p) => min_p(&mut found, p),
            }
            // Not a bit differs.
            assert_eq!(found, scores(&case.scores), "row {}, {:?}", case.row, case.step);
        }
        assert!(reference.alone.len() > 100);
    }

    #[test]
    fn top_p_keeps_what_sorting_everything_keeps() {
        // More tokens than one block, and many that are equally probable.
        let row: Vec<f32> = (0..3000_u32).map(|at| (at * 7919 % 601) as f32 / 300.0).collect();
        for p in [0.01, 0.1, 0.5, 0.9, 0.999] {
            let mut found = row.clone();
            top_p(&mut found, p);
            let softmax = Softmax::of(&row);
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|&a, &b| compare(row[a], row[b]));
            let mut sum = 0.0;
            for token in order {
                sum += f64::from(softmax.probability(row[token]) as f32);
                let kept = found[token] > f32::NEG_INFINITY;
                assert_eq!(kept, sum as f32 > (1.0 - p) as f32, "{token} at {sum} of {p}");
            }
        }
    }
}
