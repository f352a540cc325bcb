//! Maps from scores to weights on the simplex.

use crate::error::{AqiError, Result};
use serde::Serialize;

/// A map from `L` scores to `L` weights that are not negative and sum to one.
///
/// All are `α`-entmax, `argmax_p ⟨p, s⟩ + H_α(p)` with Tsallis entropy `H_α`: softmax for
/// `α = 1`, sparsemax for `α = 2`. The larger `α`, the more weights are exactly zero. Scores are
/// divided by a temperature first.
///
/// ```
/// use collimate_aqi::SimplexMap;
/// assert_eq!(SimplexMap::Sparsemax.apply(&[2.0, 1.0, 0.0], 1.0)?, [1.0, 0.0, 0.0]);
/// assert!(SimplexMap::Entmax { alpha: 0.5 }.apply(&[1.0, 0.0], 1.0).is_err());
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "map")]
#[non_exhaustive]
pub enum SimplexMap {
    /// `exp(s_l) / Σ exp(s_m)`: no weight is zero.
    Softmax,
    /// The Euclidean projection onto the simplex (Martins & Astudillo 2016).
    #[default]
    Sparsemax,
    /// `p_l = max(0, (α−1) s_l − τ)^(1/(α−1))` with the `τ` that makes the sum one (Peters,
    /// Niculae & Martins 2019): exact for 1, 1.5 and 2, by bisection to the last digit between.
    Entmax {
        /// `α`, from 1 to 10.
        alpha: f64,
    },
}

/// Largest `α`: beyond, `p^(α−1)` leaves the range of `f64` for small weights.
const LARGEST_ALPHA: f64 = 10.0;

impl SimplexMap {
    /// The weights of `scores`, `[L]`, at a temperature.
    ///
    /// # Errors
    /// [`AqiError::Empty`] without scores; [`AqiError::Parameter`] for a score that is not
    /// finite, a temperature that is not positive, or an `α` outside `[1, 10]`.
    pub fn apply(&self, scores: &[f64], temperature: f64) -> Result<Vec<f64>> {
        let alpha = self.check(temperature)?;
        if scores.is_empty() {
            return Err(AqiError::Empty);
        }
        if let Some(bad) = scores.iter().find(|score| !score.is_finite()) {
            return Err(AqiError::parameter("score", bad, "a finite number"));
        }
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let below: Vec<f64> = scores.iter().map(|score| (score - largest) / temperature).collect();
        Ok(if alpha == 1.0 {
            softmax(&below)
        } else if alpha == 1.5 {
            entmax_15(&below)
        } else if alpha == 2.0 {
            sparsemax(&below)
        } else {
            entmax_bisection(&below, alpha)
        })
    }

    /// The derivative of the weights in direction `vector` of the scores, `[L]`. The Jacobian
    /// `(diag(s) − s sᵀ / Σ s) / temperature` with `s_l = p_l^(2−α)` on the support is symmetric,
    /// so this is also the gradient that flows back to the scores.
    ///
    /// # Errors
    /// As [`apply`](Self::apply); [`AqiError::Shape`] if the lengths differ.
    pub fn jacobian_vector_product(
        &self,
        scores: &[f64],
        temperature: f64,
        vector: &[f64],
    ) -> Result<Vec<f64>> {
        if vector.len() != scores.len() {
            return Err(AqiError::Shape {
                what: "direction in which to differentiate",
                expected: scores.len(),
                found: vector.len(),
            });
        }
        if let Some(bad) = vector.iter().find(|v| !v.is_finite()) {
            return Err(AqiError::parameter("direction", bad, "a finite number"));
        }
        let weights = self.apply(scores, temperature)?;
        Ok(self.jacobian_at(&weights, temperature, vector))
    }

    /// The same from the weights that the map gave.
    pub(super) fn jacobian_at(
        &self,
        weights: &[f64],
        temperature: f64,
        vector: &[f64],
    ) -> Vec<f64> {
        /// Above `α = 2` the slope at the border of the support is infinite.
        const STEEPEST: f64 = 1e100;
        let power = 2.0 - self.alpha();
        let slopes: Vec<f64> = weights
            .iter()
            .map(|&p| if p > 0.0 { p.powf(power).min(STEEPEST) } else { 0.0 })
            .collect();
        let total: f64 = slopes.iter().sum();
        // As a sum of differences, which does not cancel where one slope dominates.
        (0..weights.len())
            .map(|i| {
                let differences = slopes.iter().zip(vector);
                let sum: f64 = differences.map(|(slope, v)| slope / total * (vector[i] - v)).sum();
                slopes[i] * sum / temperature
            })
            .collect()
    }

    fn alpha(&self) -> f64 {
        match *self {
            Self::Softmax => 1.0,
            Self::Sparsemax => 2.0,
            Self::Entmax { alpha } => alpha,
        }
    }

    /// `α`, if it and the temperature are in range.
    pub(super) fn check(&self, temperature: f64) -> Result<f64> {
        if !(temperature.is_finite() && temperature > 0.0) {
            return Err(AqiError::parameter("temperature", temperature, "a positive number"));
        }
        let alpha = self.alpha();
        if !(1.0..=LARGEST_ALPHA).contains(&alpha) {
            return Err(AqiError::parameter("entmax alpha", alpha, "a number in [1, 10]"));
        }
        Ok(alpha)
    }
}

/// The point of the simplex that is nearest to `values`, `[L]` (Held, Wolfe & Crowder 1974);
/// the same as sparsemax.
///
/// # Errors
/// [`AqiError::Empty`] without values; [`AqiError::Parameter`] for one that is not finite.
pub fn project_onto_simplex(values: &[f64]) -> Result<Vec<f64>> {
    SimplexMap::Sparsemax.apply(values, 1.0)
}

// All of these take scores whose maximum is zero; a score may be −∞.

fn softmax(below: &[f64]) -> Vec<f64> {
    normalized(below.iter().map(|score| score.exp()).collect())
}

fn sparsemax(below: &[f64]) -> Vec<f64> {
    let mut threshold = -1.0;
    let mut sum = 0.0;
    for (i, &score) in descending(below, -1.0).iter().enumerate() {
        sum += score;
        let candidate = (sum - 1.0) / (i + 1) as f64;
        if score <= candidate {
            break;
        }
        threshold = candidate;
    }
    normalized(below.iter().map(|s| (s - threshold).max(0.0)).collect())
}

fn entmax_15(below: &[f64]) -> Vec<f64> {
    let halves: Vec<f64> = below.iter().map(|score| 0.5 * score).collect();
    let mut threshold = -1.0;
    let (mut mean, mut squares) = (0.0, 0.0);
    for (i, &score) in descending(&halves, -1.0).iter().enumerate() {
        let count = (i + 1) as f64;
        let delta = score - mean;
        mean += delta / count;
        squares += delta * (score - mean);
        let candidate = mean - ((1.0 - squares) / count).max(0.0).sqrt();
        if score < candidate {
            break;
        }
        threshold = candidate;
    }
    normalized(halves.iter().map(|s| (s - threshold).max(0.0).powi(2)).collect())
}

/// Bisection over the logarithm `c` of the largest weight, between `−ln L` and 0: with
/// `e = α − 1`, `p_l = (exp(e c) + e s_l)^(1/e)`, which stays exact as `α` approaches 1.
fn entmax_bisection(below: &[f64], alpha: f64) -> Vec<f64> {
    let e = alpha - 1.0;
    let weights = |c: f64| -> Vec<f64> {
        below
            .iter()
            .map(|score| {
                let shift = e * c;
                let log = if shift > -0.5 {
                    let excess = shift.exp_m1() + e * score;
                    if excess <= -1.0 {
                        return 0.0;
                    }
                    excess.ln_1p()
                } else {
                    let base = shift.exp() + e * score;
                    if base <= 0.0 {
                        return 0.0;
                    }
                    base.ln()
                };
                (log / e).exp()
            })
            .collect()
    };
    let (mut low, mut high) = (-(below.len() as f64).ln(), 0.0);
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return normalized(weights(high));
        }
        if weights(middle).iter().sum::<f64>() < 1.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// Scores above `floor`, largest first.
fn descending(scores: &[f64], floor: f64) -> Vec<f64> {
    let mut sorted: Vec<f64> = scores.iter().copied().filter(|&s| s > floor).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted
}

/// Removes what rounding left of a sum other than one.
fn normalized(mut weights: Vec<f64>) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [[f64; 3]; 3] = [[0.5, 0.3, 0.1], [1.0, 0.8, 0.1], [2.0, 1.0, 0.0]];

    fn near(found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= tolerance, "{found:?}, {expected:?}");
        }
    }

    #[test]
    fn sparsemax_of_three() {
        let expected = [[8.0 / 15.0, 1.0 / 3.0, 2.0 / 15.0], [0.6, 0.4, 0.0], [1.0, 0.0, 0.0]];
        for (scores, expected) in SCORES.iter().zip(&expected) {
            near(&SimplexMap::Sparsemax.apply(scores, 1.0).unwrap(), expected, 1e-15);
            near(&project_onto_simplex(scores).unwrap(), expected, 1e-15);
        }
    }

    #[test]
    fn entmax_15_of_three() {
        let expected = [
            [0.450_976_19, 0.326_666_67, 0.222_357_15],
            [0.529_247_89, 0.393_749_04, 0.077_003_06],
            [0.830_718_91, 0.169_281_09, 0.0],
        ];
        for (scores, expected) in SCORES.iter().zip(&expected) {
            let map = SimplexMap::Entmax { alpha: 1.5 };
            near(&map.apply(scores, 1.0).unwrap(), expected, 1e-8);
        }
    }

    #[test]
    fn bisection_meets_the_closed_forms() {
        let scores: Vec<f64> = (0..40).map(|i| f64::from((i * 37) % 41) * 0.05 - 2.0).collect();
        let below = scores_below(&scores);
        near(&entmax_bisection(&below, 1.5), &entmax_15(&below), 1e-14);
        near(&entmax_bisection(&below, 2.0), &sparsemax(&below), 1e-14);
        near(&entmax_bisection(&below, 1.0 + 1e-9), &softmax(&below), 1e-8);
        let large = entmax_bisection(&below, 10.0);
        assert!((large.iter().sum::<f64>() - 1.0).abs() < 1e-14);
    }

    fn scores_below(scores: &[f64]) -> Vec<f64> {
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        scores.iter().map(|score| score - largest).collect()
    }

    #[test]
    fn the_temperature_divides_and_extremes_stay_on_the_simplex() {
        let maps = [1.0, 1.2, 1.5, 2.0, 3.0].map(|alpha| SimplexMap::Entmax { alpha });
        for map in maps {
            near(
                &map.apply(&[0.3, 0.1], 0.1).unwrap(),
                &map.apply(&[3.0, 1.0], 1.0).unwrap(),
                1e-14,
            );
            let extreme = map.apply(&[f64::MAX, f64::MIN, 0.0], 1e-300).unwrap();
            assert_eq!(extreme, [1.0, 0.0, 0.0]);
            near(&map.apply(&[7.0; 4], 1.0).unwrap(), &[0.25; 4], 1e-15);
            assert_eq!(map.apply(&[-5.0], 1.0).unwrap(), [1.0]);
        }
    }

    #[test]
    fn jacobians_agree_with_differences() {
        let scores = [0.7, 0.2, -0.1, 0.65, -3.0];
        let direction = [0.3, -1.0, 0.8, 0.1, 2.0];
        let step = 1e-6;
        for alpha in [1.0, 1.3, 1.5, 2.0, 2.5] {
            let map = SimplexMap::Entmax { alpha };
            let at = |t: f64| {
                let moved: Vec<f64> =
                    scores.iter().zip(&direction).map(|(s, d)| s + t * d).collect();
                map.apply(&moved, 0.8).unwrap()
            };
            let expected: Vec<f64> =
                at(step).iter().zip(at(-step)).map(|(a, b)| (a - b) / (2.0 * step)).collect();
            let found = map.jacobian_vector_product(&scores, 0.8, &direction).unwrap();
            near(&found, &expected, 1e-8);
        }
    }

    #[test]
    fn what_is_not_a_score_is_an_error() {
        for (scores, temperature) in [(vec![], 1.0), (vec![f64::NAN], 1.0), (vec![1.0], 0.0)] {
            assert!(SimplexMap::Softmax.apply(&scores, temperature).is_err());
        }
        let steep = SimplexMap::Entmax { alpha: 11.0 };
        assert!(steep.apply(&[1.0], 1.0).is_err());
        assert!(SimplexMap::Softmax.jacobian_vector_product(&[1.0, 2.0], 1.0, &[1.0]).is_err());
    }
}
