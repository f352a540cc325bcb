//! The paper's own training of layer weights.

use super::activation::SimplexMap;
use super::adam::Adam;
use super::moments::gram;
use super::read::{Reader, check_layers, check_shape};
use super::scales::{LayerScales, check_scaled};
use super::weights::{LayerWeights, WeightSource};
use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::flag::Flag;
use crate::json_float;
use crate::labels::Labels;
use crate::moments::times_power_of_two;
use crate::rng::Stream;
use ndarray::{Array1, Array2, ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeSet;

/// The distance beyond which a pair costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Margin {
    /// 1.5 times the median distance of the pairs under uniform weights.
    #[default]
    Auto,
    /// A distance, in units of the scaled layers.
    Fixed(f64),
}

/// Minimizes `Σ max(0, M − ‖h̃_s − h̃_u‖)` over pairs of a safe and an unsafe row by Adam (Kingma
/// & Ba 2015) on the logits of the weights: the loss `L_sep` of Borah et al. 2025 (arXiv
/// 2506.13901, section 3.1), which leaves margin, optimizer and pairs open.
///
/// With the Gram matrix `G` of a pair's layer differences the distance is `√(αᵀ G α)`, and the
/// gradient of an active pair `−G α / √(αᵀ G α)`, taken back through the map. The loss rewards
/// length, not separation: on layers of different scale it runs to the longest, and with a
/// margin that all pairs exceed it has no gradient. Both are flagged in the [`HingeReport`].
///
/// ```
/// use collimate_aqi::PaperHinge;
/// let hinge = PaperHinge::default().with_steps(100).with_seed(7);
/// assert_eq!((hinge.steps, hinge.learning_rate), (100, 0.05));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PaperHinge {
    /// `M`; [`Margin::Auto`] by default.
    pub margin: Margin,
    /// Step size of Adam; 0.05 by default.
    pub learning_rate: f64,
    /// Steps over all pairs; 400 by default.
    pub steps: usize,
    /// Pairs that are sampled where there are more; 1024 by default.
    pub max_pairs: usize,
    /// From logits to weights; sparsemax by default.
    #[serde(flatten)]
    pub map: SimplexMap,
    /// What logits are divided by; 1 by default.
    pub temperature: f64,
    /// Of the sample of pairs; 0 by default.
    pub seed: u64,
}

impl Default for PaperHinge {
    fn default() -> Self {
        Self {
            margin: Margin::Auto,
            learning_rate: 0.05,
            steps: 400,
            max_pairs: 1024,
            map: SimplexMap::Sparsemax,
            temperature: 1.0,
            seed: 0,
        }
    }
}

/// How training with [`PaperHinge`] went. Losses and distances are in units of the scaled
/// layers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HingeReport {
    /// The settings.
    #[serde(flatten)]
    pub settings: PaperHinge,
    /// The margin used.
    #[serde(with = "json_float")]
    pub margin_distance: f64,
    /// Median distance of the pairs under uniform weights.
    #[serde(with = "json_float")]
    pub median_initial_distance: f64,
    /// Pairs trained on.
    pub pairs: usize,
    /// Pairs within the margin at the weights returned.
    pub active_pairs: usize,
    /// Loss of uniform weights, the sum over pairs.
    #[serde(with = "json_float")]
    pub initial_loss: f64,
    /// Loss of the weights returned, which are those of the smallest loss seen.
    #[serde(with = "json_float")]
    pub final_loss: f64,
    /// Steps made.
    pub steps_taken: usize,
    /// [`Flag::HingeWithoutGradient`], [`Flag::CollapsedOnLayer`].
    pub flags: Vec<Flag>,
}

/// A gradient below this share of its terms is zero.
const NO_GRADIENT: f64 = 1e-12;

/// More weight than this on one layer is a collapse.
const COLLAPSED: f64 = 0.99;

impl PaperHinge {
    /// With another margin.
    #[must_use]
    pub fn with_margin(mut self, margin: Margin) -> Self {
        self.margin = margin;
        self
    }

    /// With another step size.
    #[must_use]
    pub fn with_learning_rate(mut self, learning_rate: f64) -> Self {
        self.learning_rate = learning_rate;
        self
    }

    /// With another number of steps.
    #[must_use]
    pub fn with_steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// With another limit on pairs. Each costs `L²` numbers of memory.
    #[must_use]
    pub fn with_max_pairs(mut self, max_pairs: usize) -> Self {
        self.max_pairs = max_pairs;
        self
    }

    /// With another map from logits.
    #[must_use]
    pub fn with_map(mut self, map: SimplexMap) -> Self {
        self.map = map;
        self
    }

    /// With another temperature.
    #[must_use]
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// With another seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Trains on activations `[n, L, d]`, divided by `scales`.
    ///
    /// Pairs join a row of the class declared safe with one of any other; of two classes none
    /// needs to be declared.
    ///
    /// # Errors
    /// [`AqiError::Parameter`] for a setting out of range; [`AqiError::Shape`];
    /// [`AqiError::SingleClass`]; [`AqiError::TwoClasses`] for more classes without a safe one;
    /// [`AqiError::NonFiniteLayer`]; [`AqiError::DegenerateData`] if all pairs are identical.
    pub fn fit<F: Element>(
        &self,
        activations: ArrayView3<'_, F>,
        labels: &Labels,
        scales: &LayerScales,
    ) -> Result<LayerWeights> {
        check_shape(&activations)?;
        labels.check_len(activations.len_of(Axis(0)))?;
        let rows: Vec<usize> = (0..labels.len()).collect();
        self.fit_some(&activations, labels, &rows, scales)
    }

    /// The same on the rows listed, which exist.
    pub(super) fn fit_some<F: Element>(
        &self,
        activations: &ArrayView3<'_, F>,
        labels: &Labels,
        rows: &[usize],
        scales: &LayerScales,
    ) -> Result<LayerWeights> {
        self.check()?;
        check_layers("layer scales", activations.len_of(Axis(1)), scales.divisors().len())?;
        let pairs = self.pairs(labels, rows)?;
        let pairs = Pairs::of(activations, &pairs, scales)?;
        self.train(&pairs)
    }

    fn check(&self) -> Result<()> {
        self.map.check(self.temperature)?;
        let positive = [
            ("learning rate", self.learning_rate),
            (
                "margin",
                match self.margin {
                    Margin::Auto => 1.0,
                    Margin::Fixed(margin) => margin,
                },
            ),
        ];
        for (name, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return Err(AqiError::parameter(name, value, "a positive number"));
            }
        }
        if self.max_pairs == 0 {
            return Err(AqiError::parameter("max_pairs", 0, "at least one pair"));
        }
        Ok(())
    }

    /// A sample of distinct pairs without replacement (Floyd's algorithm), in a fixed order.
    fn pairs(&self, labels: &Labels, rows: &[usize]) -> Result<Vec<(usize, usize)>> {
        let code = |row: &usize| labels.codes()[*row];
        let mut present: Vec<usize> = rows.iter().map(code).collect();
        present.sort_unstable();
        present.dedup();
        let first = match (present.as_slice(), labels.safe()) {
            ([], _) => return Err(AqiError::Empty),
            ([only], _) => {
                return Err(AqiError::SingleClass { class: labels.classes()[*only].clone() });
            }
            (some, Some(safe)) if some.contains(&safe) => safe,
            ([first, _], _) => *first,
            (some, _) => {
                return Err(AqiError::TwoClasses {
                    what: "the paper's loss without a safe class",
                    found: some.len(),
                });
            }
        };
        let (safe, others): (Vec<usize>, Vec<usize>) =
            rows.iter().partition(|&row| code(row) == first);
        let total = safe.len() * others.len();
        let chosen: BTreeSet<usize> = if total <= self.max_pairs {
            (0..total).collect()
        } else {
            let mut stream = Stream::new(self.seed, 0);
            let mut chosen = BTreeSet::new();
            for last in total - self.max_pairs..total {
                let candidate = stream.below(last + 1);
                if !chosen.insert(candidate) {
                    chosen.insert(last);
                }
            }
            chosen
        };
        Ok(chosen
            .into_iter()
            .map(|index| (safe[index / others.len()], others[index % others.len()]))
            .collect())
    }

    fn train(&self, pairs: &Pairs) -> Result<LayerWeights> {
        let layers = pairs.layers;
        let margin = match self.margin {
            Margin::Auto => 1.5 * pairs.median,
            Margin::Fixed(margin) => times_power_of_two(margin, -pairs.exponent) / pairs.unit,
        };
        let mut adam = Adam::new(layers, self.learning_rate);
        let mut logits = vec![0.0; layers];
        let mut flags = Vec::new();
        let mut best: Option<(Loss, Vec<f64>)> = None;
        let (mut initial, mut steps_taken) = (0.0, 0);
        for step in 0..=self.steps {
            let weights = self.map.apply(&logits, self.temperature)?;
            let loss = pairs.loss(&weights, margin);
            if step == 0 {
                initial = loss.value;
            }
            let slope = self.map.jacobian_at(&weights, self.temperature, &loss.gradient);
            let largest = |values: &[f64]| values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
            let still = largest(&slope) * self.temperature <= NO_GRADIENT * largest(&loss.gradient);
            if best.as_ref().is_none_or(|(b, _)| loss.value < b.value) {
                best = Some((loss, weights));
            }
            if still {
                flags.push(Flag::HingeWithoutGradient { step });
                break;
            }
            if step < self.steps {
                adam.step(&mut logits, &slope);
                steps_taken += 1;
            }
        }
        let Some((loss, weights)) = best else {
            return Err(AqiError::Empty);
        };
        if let Some(layer) = weights.iter().position(|&weight| weight > COLLAPSED)
            && layers > 1
        {
            flags.push(Flag::CollapsedOnLayer { layer });
        }
        let total = pairs.count as f64;
        let report = HingeReport {
            settings: *self,
            margin_distance: pairs.distance(margin),
            median_initial_distance: pairs.distance(pairs.median),
            pairs: pairs.count,
            active_pairs: loss.active,
            initial_loss: pairs.distance(initial * total),
            final_loss: pairs.distance(loss.value * total),
            steps_taken,
            flags,
        };
        Ok(LayerWeights::from_source(weights, WeightSource::PaperHinge(report)))
    }
}

/// The Gram matrices of all pairs, in a unit of length in which distances are about one.
struct Pairs {
    layers: usize,
    count: usize,
    /// `[pairs · L, L]`.
    grams: Array2<f64>,
    /// The unit is `unit · 2^exponent`.
    unit: f64,
    exponent: i32,
    /// Median distance under uniform weights.
    median: f64,
}

/// Means over the pairs.
struct Loss {
    value: f64,
    active: usize,
    gradient: Vec<f64>,
}

impl Pairs {
    fn of<F: Element>(
        activations: &ArrayView3<'_, F>,
        pairs: &[(usize, usize)],
        scales: &LayerScales,
    ) -> Result<Self> {
        let (_, layers, dim) = activations.dim();
        let rows: Vec<usize> =
            pairs.iter().flat_map(|&(a, b)| [a, b]).collect::<BTreeSet<_>>().into_iter().collect();
        let largest: Vec<Result<f64>> = rows
            .par_iter()
            .map_init(Reader::<F>::new, |reader, &row| {
                let sample = reader.read(activations, row)?;
                let layers = sample.chunks_exact(dim).zip(scales.divisors());
                Ok(layers
                    .flat_map(|(layer, divisor)| layer.iter().map(move |x| (x / divisor).abs()))
                    .fold(0.0, f64::max))
            })
            .collect();
        let largest =
            largest.into_iter().try_fold(0.0_f64, |m, value| value.map(|value| m.max(value)))?;
        if largest == 0.0 {
            return Err(AqiError::DegenerateData);
        }
        check_scaled(largest)?;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the logarithm of a finite f64 is small"
        )]
        let exponent = largest.log2().floor() as i32;
        let each: Vec<Result<Array2<f64>>> = pairs
            .par_iter()
            .map_init(
                || (Reader::<F>::new(), Reader::<F>::new()),
                |(left, right), &(a, b)| {
                    let a = left.read(activations, a)?;
                    let b = right.read(activations, b)?;
                    let differences = Array2::from_shape_fn((layers, dim), |(l, j)| {
                        let divisor = scales.divisors()[l];
                        let at = |values: &[f64]| {
                            times_power_of_two(values[l * dim + j] / divisor, -exponent)
                        };
                        at(a) - at(b)
                    });
                    Ok(gram(&differences.view()))
                },
            )
            .collect();
        let mut grams = Vec::with_capacity(pairs.len() * layers * layers);
        for gram in each {
            grams.extend(gram?);
        }
        let mut pairs = Self {
            layers,
            count: pairs.len(),
            grams: Array2::from_shape_vec((pairs.len() * layers, layers), grams).map_err(|_| {
                AqiError::Shape { what: "pairs of rows", expected: pairs.len(), found: 0 }
            })?,
            unit: 1.0,
            exponent,
            median: 0.0,
        };
        let uniform = Array1::from_elem(layers, 1.0 / layers as f64);
        let mut distances: Vec<f64> =
            pairs.each().map(|gram| uniform.dot(&gram.dot(&uniform)).max(0.0).sqrt()).collect();
        distances.sort_by(f64::total_cmp);
        let half = distances.len() / 2;
        pairs.median = if distances.len() % 2 == 1 {
            distances[half]
        } else {
            0.5 * (distances[half - 1] + distances[half])
        };
        pairs.unit = if pairs.median > 0.0 {
            pairs.median
        } else {
            distances.last().copied().unwrap_or(0.0)
        };
        if pairs.unit == 0.0 {
            return Err(AqiError::DegenerateData);
        }
        let square = pairs.unit * pairs.unit;
        pairs.grams.mapv_inplace(|value| value / square);
        pairs.median /= pairs.unit;
        Ok(pairs)
    }

    fn each(&self) -> impl Iterator<Item = ArrayView2<'_, f64>> {
        self.grams.axis_chunks_iter(Axis(0), self.layers)
    }

    /// A length in the units of the scaled layers.
    fn distance(&self, length: f64) -> f64 {
        times_power_of_two(length * self.unit, self.exponent)
    }

    /// The mean of `max(0, margin − √(αᵀ G α))` and its gradient. A pair of identical rows is
    /// active but has no direction in which to part.
    fn loss(&self, weights: &[f64], margin: f64) -> Loss {
        let alpha = Array1::from(weights.to_vec());
        let mut gradient: Array1<f64> = Array1::zeros(self.layers);
        let (mut value, mut active) = (0.0, 0);
        for gram in self.each() {
            let product = gram.dot(&alpha);
            let distance = alpha.dot(&product).max(0.0).sqrt();
            if distance < margin {
                active += 1;
                value += margin - distance;
                if distance > 0.0 {
                    gradient.scaled_add(-1.0 / distance, &product);
                }
            }
        }
        let count = self.count as f64;
        Loss { value: value / count, active, gradient: (gradient / count).to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    fn sample(n: usize, layers: usize, dim: usize) -> (Array3<f64>, Labels) {
        let mut stream = Stream::new(3, 1);
        let activations =
            Array3::from_shape_fn((n, layers, dim), |(i, _, _)| stream.normal() + (i % 2) as f64);
        (activations, Labels::new((0..n).map(|i| i % 2)).unwrap())
    }

    fn pairs(hinge: &PaperHinge) -> Pairs {
        let (activations, labels) = sample(20, 4, 3);
        let rows: Vec<usize> = (0..20).collect();
        let pairs = hinge.pairs(&labels, &rows).unwrap();
        Pairs::of(&activations.view(), &pairs, &LayerScales::none(4).unwrap()).unwrap()
    }

    #[test]
    fn the_gradient_agrees_with_differences_of_the_loss() {
        let hinge = PaperHinge::default().with_map(SimplexMap::Entmax { alpha: 1.5 });
        let pairs = pairs(&hinge);
        let logits = [0.3, -0.2, 0.1, 0.4];
        let loss = |logits: &[f64]| {
            let weights = hinge.map.apply(logits, 0.7).unwrap();
            pairs.loss(&weights, 1.1)
        };
        let weights = hinge.map.apply(&logits, 0.7).unwrap();
        let here = loss(&logits);
        assert!(here.active > 0 && here.active < pairs.count);
        let found = hinge.map.jacobian_at(&weights, 0.7, &here.gradient);
        for i in 0..4 {
            let step = 1e-6;
            let at = |t: f64| {
                let mut moved = logits;
                moved[i] += t;
                loss(&moved).value
            };
            let expected = (at(step) - at(-step)) / (2.0 * step);
            let error = (found[i] - expected).abs();
            assert!(error < 1e-7, "{found:?}, {expected} at {i}");
        }
    }

    #[test]
    fn pairs_are_distinct_and_join_both_classes() {
        let (_, labels) = sample(20, 1, 1);
        let rows: Vec<usize> = (0..20).collect();
        let few = PaperHinge::default().with_max_pairs(60);
        let chosen = few.pairs(&labels, &rows).unwrap();
        let distinct: BTreeSet<_> = chosen.iter().copied().collect();
        assert_eq!((chosen.len(), distinct.len()), (60, 60));
        assert!(chosen.iter().all(|(a, b)| a % 2 == 0 && b % 2 == 1));
        assert_ne!(few.with_seed(1).pairs(&labels, &rows).unwrap(), chosen);
        let all = PaperHinge::default().pairs(&labels, &rows).unwrap();
        assert_eq!(all.len(), 100);
    }

    #[test]
    fn three_classes_need_a_safe_one() -> Result<()> {
        let rows = [0, 1, 2, 3];
        let labels = Labels::new(["a", "b", "c", "b"])?;
        let hinge = PaperHinge::default();
        assert!(matches!(hinge.pairs(&labels, &rows), Err(AqiError::TwoClasses { found: 3, .. })));
        let pairs = hinge.pairs(&labels.with_safe("b")?, &rows)?;
        assert_eq!(pairs, [(1, 0), (1, 2), (3, 0), (3, 2)]);
        Ok(())
    }

    #[test]
    fn settings_are_checked() {
        for bad in [
            PaperHinge::default().with_learning_rate(0.0),
            PaperHinge::default().with_margin(Margin::Fixed(-1.0)),
            PaperHinge::default().with_max_pairs(0),
            PaperHinge::default().with_temperature(f64::NAN),
        ] {
            assert!(matches!(bad.check(), Err(AqiError::Parameter { .. })));
        }
    }
}
