//! The weights that put the most gap over the least scatter.

use super::moments::LayerMoments;
use super::weights::{LayerWeights, WeightSource};
use crate::error::{AqiError, Result};
use crate::json_float;
use ndarray::{Array1, Array2};
use rayon::prelude::*;
use serde::Serialize;

/// Maximizes `αᵀ A α / αᵀ (C + ridge · (tr C / L) · I) α` over the simplex, where `A` is the
/// layer-by-layer gap between class centroids (the mean over pairs of classes) and `C` the
/// layer-by-layer scatter within classes: `1/Xie-Beni` of the pooled embedding, up to a factor,
/// with a ridge against layers that are chosen for their small scatter by accident. The default
/// objective.
///
/// Deterministic: exact line searches along one weight after the other, from every single layer
/// and from uniform weights. The result is never worse than the best of these starts.
///
/// ```
/// use collimate_aqi::{Labels, LayerMoments, Rayleigh};
/// use ndarray::Array3;
/// // Both layers carry the label; their errors cancel in the sum.
/// let rows = [[0.0, 2.0], [2.0, 0.0], [5.0, 7.0], [7.0, 5.0]];
/// let activations = Array3::from_shape_fn((4, 2, 1), |(i, l, _)| rows[i][l]);
/// let moments = LayerMoments::from_rows(activations.view(), &Labels::new([0, 0, 1, 1])?)?;
/// let weights = Rayleigh::default().fit(&moments)?;
/// assert!((weights.values()[0] - 0.5).abs() < 1e-9);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Rayleigh {
    /// Share of the mean scatter that is added to each layer's own; `1e-3` by default.
    pub ridge: f64,
}

impl Default for Rayleigh {
    fn default() -> Self {
        Self { ridge: 1e-3 }
    }
}

/// How a [`Rayleigh`] fit went. Objectives are the quotient above, ridge included.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RayleighReport {
    /// The ridge.
    pub ridge: f64,
    /// The objective at the weights found; `+∞` where scatter is zero.
    #[serde(with = "json_float")]
    pub objective: f64,
    /// The layer with the largest objective by itself.
    pub best_layer: usize,
    /// The objective of that layer.
    #[serde(with = "json_float")]
    pub best_layer_objective: f64,
    /// The objective of uniform weights.
    #[serde(with = "json_float")]
    pub uniform_objective: f64,
    /// Sweeps over all layers, in the ascent that won.
    pub sweeps: usize,
    /// False if that ascent was stopped by the limit on sweeps; its weights are valid, but a
    /// little more could be gained.
    pub converged: bool,
}

const MOST_SWEEPS: usize = 2000;

/// An ascent ends when a sweep gains less than this share.
const SMALLEST_GAIN: f64 = 1e-13;

impl Rayleigh {
    /// With another ridge.
    #[must_use]
    pub fn with_ridge(mut self, ridge: f64) -> Self {
        self.ridge = ridge;
        self
    }

    /// The weights for layers as `moments` holds them; divide these by their scales first, see
    /// [`LayerMoments::scaled`].
    ///
    /// # Errors
    /// [`AqiError::Parameter`] for a ridge that is negative or not finite, [`AqiError::Empty`],
    /// [`AqiError::SingleClass`], [`AqiError::EmptyClass`], [`AqiError::DegenerateData`] if all
    /// rows are identical.
    pub fn fit(&self, moments: &LayerMoments) -> Result<LayerWeights> {
        if !(self.ridge.is_finite() && self.ridge >= 0.0) {
            return Err(AqiError::parameter("ridge", self.ridge, "a finite number, zero or more"));
        }
        moments.check_classes()?;
        let layers = moments.layers();
        let mut scatter = moments.within();
        let added = self.ridge * (scatter.diag().sum() / layers as f64);
        scatter.diag_mut().mapv_inplace(|value| value + added);
        let mut gap = moments.mean_gap();
        let (gaps, scatters) = (unit_trace(&mut gap), unit_trace(&mut scatter));
        if gaps == 0.0 && scatters == 0.0 {
            return Err(AqiError::DegenerateData);
        }
        let quotient = Quotient { gap, scatter };
        let unit = if gaps > 0.0 && scatters > 0.0 { gaps / scatters } else { 1.0 };
        // Uniform weights come first: they win where nothing is better.
        let starts: Vec<Array1<f64>> = [Array1::from_elem(layers, 1.0 / layers as f64)]
            .into_iter()
            .chain((0..layers).map(|layer| {
                let mut start = Array1::zeros(layers);
                start[layer] = 1.0;
                start
            }))
            .collect();
        let at_start: Vec<f64> = starts.iter().map(|start| quotient.at(start)).collect();
        let ascents: Vec<Ascent> =
            starts.into_par_iter().map(|start| quotient.ascend(start)).collect();
        let best = first_largest(ascents.iter().map(|ascent| ascent.objective));
        let best_layer = first_largest(at_start[1..].iter().copied());
        let ascent = &ascents[best];
        let report = RayleighReport {
            ridge: self.ridge,
            objective: ascent.objective * unit,
            best_layer,
            best_layer_objective: at_start[1 + best_layer] * unit,
            uniform_objective: at_start[0] * unit,
            sweeps: ascent.sweeps,
            converged: ascent.converged,
        };
        let weights = ascent.weights.to_vec();
        Ok(LayerWeights::from_source(weights, WeightSource::Rayleigh(report)))
    }
}

/// `αᵀ gap α / αᵀ scatter α`.
struct Quotient {
    gap: Array2<f64>,
    scatter: Array2<f64>,
}

struct Ascent {
    weights: Array1<f64>,
    objective: f64,
    sweeps: usize,
    converged: bool,
}

impl Quotient {
    fn at(&self, weights: &Array1<f64>) -> f64 {
        quotient(weights.dot(&self.gap.dot(weights)), weights.dot(&self.scatter.dot(weights)))
    }

    /// Cyclic coordinate ascent; each value is at least the last.
    fn ascend(&self, start: Array1<f64>) -> Ascent {
        let mut best = Ascent {
            objective: self.at(&start),
            weights: start.clone(),
            sweeps: 0,
            converged: false,
        };
        let mut weights = start;
        while best.sweeps < MOST_SWEEPS && best.objective < f64::INFINITY {
            self.sweep(&mut weights);
            weights /= weights.sum();
            let objective = self.at(&weights);
            best.sweeps += 1;
            let gain = objective - best.objective;
            if gain > 0.0 {
                best.weights.assign(&weights);
                best.objective = objective;
            }
            if gain <= SMALLEST_GAIN * objective {
                best.converged = true;
                return best;
            }
        }
        best.converged = best.objective == f64::INFINITY;
        best
    }

    /// Moves each weight in turn to where the quotient is largest.
    fn sweep(&self, weights: &mut Array1<f64>) {
        let mut gap = self.gap.dot(weights);
        let mut scatter = self.scatter.dot(weights);
        let mut above = Line { constant: weights.dot(&gap), ..Line::default() };
        let mut below = Line { constant: weights.dot(&scatter), ..Line::default() };
        for i in 0..weights.len() {
            (above.slope, above.curvature) = (gap[i], self.gap[[i, i]]);
            (below.slope, below.curvature) = (scatter[i], self.scatter[[i, i]]);
            let mut largest = quotient(above.constant, below.constant);
            let mut step = 0.0;
            let lowest = -weights[i];
            for t in stationary(&above, &below).chain([lowest, 1.0]) {
                let value = quotient(above.at(t), below.at(t));
                if t >= lowest && value > largest && !below.cancels(t) {
                    (largest, step) = (value, t);
                }
            }
            if step != 0.0 {
                weights[i] = if step == lowest { 0.0 } else { weights[i] + step };
                above.constant = above.at(step);
                below.constant = below.at(step);
                gap.scaled_add(step, &self.gap.row(i));
                scatter.scaled_add(step, &self.scatter.row(i));
            }
        }
    }
}

/// `constant + 2 slope t + curvature t²`: a quadratic form along one weight.
#[derive(Default)]
struct Line {
    constant: f64,
    slope: f64,
    curvature: f64,
}

impl Line {
    fn at(&self, t: f64) -> f64 {
        (self.constant + t * (2.0 * self.slope + t * self.curvature)).max(0.0)
    }

    /// True where little more than rounding is left, as when the only weight is taken away.
    fn cancels(&self, t: f64) -> bool {
        let size = self.constant + (2.0 * self.slope * t).abs() + self.curvature * t * t;
        self.at(t) <= 1e-12 * size
    }
}

/// Where the derivative of `above / below` is zero: at most two finite places.
fn stationary(above: &Line, below: &Line) -> impl Iterator<Item = f64> {
    let square = above.curvature * below.slope - above.slope * below.curvature;
    let linear = above.curvature * below.constant - above.constant * below.curvature;
    let constant = above.slope * below.constant - above.constant * below.slope;
    let root = (linear * linear - 4.0 * square * constant).max(0.0).sqrt();
    let half = -0.5 * (linear + root.copysign(linear));
    let places = [half / square, constant / half];
    places.into_iter().filter(|t| t.is_finite())
}

/// Divides by the trace, and returns it; a matrix of zeros stays.
fn unit_trace(matrix: &mut Array2<f64>) -> f64 {
    let trace = matrix.diag().sum();
    if trace > 0.0 {
        matrix.mapv_inplace(|value| value / trace);
    }
    trace
}

/// `a / b` for `a, b ≥ 0`, with `a / 0 = +∞` and `0 / 0 = 0`.
fn quotient(a: f64, b: f64) -> f64 {
    let (a, b) = (a.max(0.0), b.max(0.0));
    if b > 0.0 {
        a / b
    } else if a > 0.0 {
        f64::INFINITY
    } else {
        0.0
    }
}

fn first_largest(values: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (index, value) in values.enumerate() {
        if value > best.1 {
            best = (index, value);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn random(layers: usize, seed: u64) -> Quotient {
        let mut stream = Stream::new(seed, 0);
        let mut form = |columns: usize, shared: f64| {
            let common: Vec<f64> = (0..columns).map(|_| stream.normal()).collect();
            let x = Array2::from_shape_fn((layers, columns), |(_, j)| {
                stream.normal() + shared * common[j]
            });
            x.dot(&x.t())
        };
        Quotient { gap: form(3, 0.5), scatter: form(40, 2.0) }
    }

    #[test]
    fn no_point_of_a_fine_grid_is_better() {
        for seed in 0..20 {
            let quotient = random(3, seed);
            let starts = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
            let found = starts
                .iter()
                .map(|start| quotient.ascend(Array1::from(start.to_vec())).objective)
                .fold(0.0, f64::max);
            let steps = 200;
            for i in 0..=steps {
                for j in 0..=steps - i {
                    let (a, b) = (f64::from(i) / 200.0, f64::from(j) / 200.0);
                    let point = Array1::from(vec![a, b, (1.0 - a - b).max(0.0)]);
                    assert!(quotient.at(&point) <= found * (1.0 + 1e-12), "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn gradients_vanish_where_weights_are_positive_and_point_outwards_elsewhere() {
        for seed in 0..10 {
            let quotient = random(24, 100 + seed);
            let ascent = quotient.ascend(Array1::from_elem(24, 1.0 / 24.0));
            assert!(ascent.converged);
            let w = &ascent.weights;
            let gradient = quotient.gap.dot(w) - quotient.scatter.dot(w) * ascent.objective;
            let size = w.dot(&quotient.gap.dot(w));
            for (gradient, weight) in gradient.iter().zip(w) {
                let bound = 1e-5 * size;
                assert!(*gradient <= bound, "{gradient} {size}");
                assert!(*weight == 0.0 || *gradient >= -bound, "{gradient} {size}");
            }
        }
    }

    #[test]
    fn scatter_of_zero_is_infinite_and_ends_the_search() {
        let quotient =
            Quotient { gap: Array2::eye(2), scatter: ndarray::array![[1.0, 0.0], [0.0, 0.0]] };
        let ascent = quotient.ascend(Array1::from(vec![1.0, 0.0]));
        assert!(ascent.objective >= 1.0 && ascent.converged);
        let ascent = quotient.ascend(Array1::from(vec![0.0, 1.0]));
        assert_eq!(ascent.objective, f64::INFINITY);
    }
}
