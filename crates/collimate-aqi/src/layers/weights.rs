//! Weights of layers, and how they were obtained.

use super::activation::SimplexMap;
use super::anchor::AnchorReport;
use super::hinge::HingeReport;
use super::rayleigh::RayleighReport;
use crate::error::{AqiError, Result};
use serde::Serialize;

/// How far a sum of weights may be from one where it should be one.
const SUM_TOLERANCE: f64 = 1e-6;

/// Weights on the simplex, `[L]`: not negative, with sum one.
///
/// ```
/// use collimate_aqi::{LayerWeights, SimplexMap};
/// let weights = LayerWeights::from_scores(&[1.0, 0.8, 0.1], SimplexMap::Sparsemax, 1.0)?;
/// assert_eq!(weights.support(), 2);
/// assert!(LayerWeights::fixed(vec![0.5, 0.6]).is_err());
/// assert_eq!(LayerWeights::normalized(vec![1.0, 3.0])?.values(), [0.25, 0.75]);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerWeights {
    values: Vec<f64>,
    source: WeightSource,
}

/// Where weights come from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "source")]
#[non_exhaustive]
pub enum WeightSource {
    /// Given by the user.
    Fixed,
    /// Given by the user and divided by their sum.
    Normalized,
    /// `1/L` each.
    Uniform,
    /// One layer alone.
    SingleLayer {
        /// The layer, from zero.
        layer: usize,
    },
    /// Scores that went through a map.
    Scores {
        /// The map.
        #[serde(flatten)]
        map: SimplexMap,
        /// What scores were divided by.
        temperature: f64,
    },
    /// The mean of weights that each row had for itself.
    CosineAnchor(AnchorReport),
    /// Trained on pairs of rows.
    PaperHinge(HingeReport),
    /// The best quotient of gap and scatter.
    Rayleigh(RayleighReport),
}

impl LayerWeights {
    /// Weights as they are; their sum may be off one by `1e-6`, which is divided out.
    ///
    /// # Errors
    /// [`AqiError::ZeroDim`] without a weight; [`AqiError::Parameter`] for a weight that is
    /// negative or not finite, or a sum that is not one.
    pub fn fixed(values: Vec<f64>) -> Result<Self> {
        let sum = checked_sum(&values)?;
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(AqiError::parameter(
                "sum of layer weights",
                sum,
                "one: divide the weights by their sum, or ask for that",
            ));
        }
        Ok(Self::divided(values, sum, WeightSource::Fixed))
    }

    /// Weights divided by their sum.
    ///
    /// # Errors
    /// [`AqiError::ZeroDim`] without a weight; [`AqiError::Parameter`] for a weight that is
    /// negative or not finite, or a sum that is zero or infinite.
    pub fn normalized(values: Vec<f64>) -> Result<Self> {
        let sum = checked_sum(&values)?;
        if !(sum.is_finite() && sum > 0.0) {
            return Err(AqiError::parameter("sum of layer weights", sum, "a positive number"));
        }
        Ok(Self::divided(values, sum, WeightSource::Normalized))
    }

    /// The same weight for each of `layers` layers.
    ///
    /// # Errors
    /// [`AqiError::ZeroDim`] for no layer.
    pub fn uniform(layers: usize) -> Result<Self> {
        if layers == 0 {
            return Err(AqiError::ZeroDim);
        }
        let values = vec![1.0 / layers as f64; layers];
        Ok(Self::from_source(values, WeightSource::Uniform))
    }

    /// One of `layers` layers alone.
    ///
    /// # Errors
    /// [`AqiError::Shape`] for a layer that does not exist.
    pub fn single(layer: usize, layers: usize) -> Result<Self> {
        if layer >= layers {
            return Err(AqiError::Shape {
                what: "index of a layer, below the number of layers",
                expected: layers,
                found: layer,
            });
        }
        let mut values = vec![0.0; layers];
        values[layer] = 1.0;
        let source = WeightSource::SingleLayer { layer };
        Ok(Self::from_source(values, source))
    }

    /// `map(scores / temperature)` for one score per layer, `[L]`.
    ///
    /// # Errors
    /// As [`SimplexMap::apply`].
    pub fn from_scores(scores: &[f64], map: SimplexMap, temperature: f64) -> Result<Self> {
        let values = map.apply(scores, temperature)?;
        let source = WeightSource::Scores { map, temperature };
        Ok(Self::from_source(values, source))
    }

    /// Values that are known to lie on the simplex.
    pub(super) fn from_source(values: Vec<f64>, source: WeightSource) -> Self {
        debug_assert!((values.iter().sum::<f64>() - 1.0).abs() < SUM_TOLERANCE);
        Self { values, source }
    }

    fn divided(mut values: Vec<f64>, sum: f64, source: WeightSource) -> Self {
        if sum != 1.0 {
            values.iter_mut().for_each(|value| *value /= sum);
        }
        Self { values, source }
    }

    /// The weights, `[L]`.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// How they were obtained.
    #[must_use]
    pub fn source(&self) -> &WeightSource {
        &self.source
    }

    /// How many weights are not zero.
    #[must_use]
    pub fn support(&self) -> usize {
        self.values.iter().filter(|&&value| value > 0.0).count()
    }

    /// Shannon entropy `−Σ α_l ln α_l` in nats, between 0 and `ln L`.
    #[must_use]
    pub fn entropy(&self) -> f64 {
        entropy(&self.values)
    }
}

/// `−Σ p ln p` in nats, with `0 ln 0 = 0`.
pub(super) fn entropy(weights: &[f64]) -> f64 {
    let positive = weights.iter().filter(|&&p| p > 0.0);
    positive.map(|p| -p * p.ln()).sum::<f64>().max(0.0)
}

fn checked_sum(values: &[f64]) -> Result<f64> {
    if values.is_empty() {
        return Err(AqiError::ZeroDim);
    }
    if let Some(bad) = values.iter().find(|v| !(v.is_finite() && **v >= 0.0)) {
        return Err(AqiError::parameter("layer weight", bad, "a finite number, zero or more"));
    }
    Ok(values.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_checked() {
        for bad in [vec![], vec![0.5, f64::NAN], vec![1.5, -0.5], vec![f64::INFINITY]] {
            assert!(LayerWeights::fixed(bad.clone()).is_err());
            assert!(LayerWeights::normalized(bad).is_err());
        }
        assert!(LayerWeights::normalized(vec![0.0, 0.0]).is_err());
        assert!(LayerWeights::uniform(0).is_err());
        assert!(LayerWeights::single(2, 2).is_err());
    }

    #[test]
    fn support_and_entropy() -> Result<()> {
        let uniform = LayerWeights::uniform(8)?;
        assert_eq!(uniform.support(), 8);
        assert!((uniform.entropy() - 8.0_f64.ln()).abs() < 1e-15);
        let single = LayerWeights::single(3, 8)?;
        assert_eq!((single.support(), single.entropy()), (1, 0.0));
        Ok(())
    }

    #[test]
    fn the_source_is_written_beside_the_values() {
        let weights =
            LayerWeights::from_scores(&[1.0, 0.0], SimplexMap::Entmax { alpha: 2.0 }, 0.5).unwrap();
        assert_eq!(
            serde_json::to_string(&weights).unwrap(),
            r#"{"values":[1.0,0.0],"source":{"source":"scores","map":"entmax","alpha":2.0,"temperature":0.5}}"#
        );
    }
}
