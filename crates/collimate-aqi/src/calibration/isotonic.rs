//! Monotone regression.

use super::{check_pairs, not_nan};
use crate::error::{AqiError, Result};
use serde::Serialize;

/// The non-decreasing function that is closest to a set of points in weighted least squares:
/// maps a score to what a judge says, without a parametric form.
///
/// Fitted by pool-adjacent-violators (Barlow et al. 1972). Points with the same `x` are first
/// replaced by their weighted mean. Between the points the function is linear; beyond the ends
/// it is constant. The same as scikit-learn's `IsotonicRegression(out_of_bounds="clip")`, except
/// that only equal `x` count as tied, where scikit-learn also ties those closer than `1e-15`.
///
/// ```
/// use collimate_aqi::Isotonic;
/// let curve = Isotonic::fit(&[1.0, 2.0, 3.0, 4.0], &[0.1, 0.4, 0.2, 0.9], None)?;
/// assert!((curve.predict(2.5)? - 0.3).abs() < 1e-15);
/// assert_eq!(curve.predict(9.0)?, 0.9);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Isotonic {
    /// Where the slope changes, ascending.
    x: Vec<f64>,
    y: Vec<f64>,
}

/// Points that share one fitted value.
struct Block {
    first: f64,
    last: f64,
    value: f64,
    weight: f64,
}

impl Isotonic {
    /// The best fit to the points `(x, y)`, all of weight one unless weights are given. Points of
    /// weight zero are ignored.
    ///
    /// # Errors
    /// [`AqiError::Shape`] for lists of different length; [`AqiError::Parameter`] for values that
    /// are not finite, a negative weight, and where no point has weight.
    pub fn fit(x: &[f64], y: &[f64], weights: Option<&[f64]>) -> Result<Self> {
        check_pairs(x, y)?;
        let weights = match weights {
            Some(weights) => relative(weights, x.len())?,
            None => vec![1.0; x.len()],
        };
        let mut order: Vec<usize> = (0..x.len()).filter(|&i| weights[i] > 0.0).collect();
        order.sort_by(|&a, &b| x[a].total_cmp(&x[b]).then(y[a].total_cmp(&y[b])));
        let mut blocks: Vec<Block> = Vec::new();
        for tied in order.chunk_by(|&a, &b| x[a] == x[b]) {
            let weight: f64 = tied.iter().map(|&i| weights[i]).sum();
            let mut block = Block {
                first: x[tied[0]],
                last: x[tied[0]],
                value: tied.iter().map(|&i| weights[i] / weight * y[i]).sum(),
                weight,
            };
            while let Some(before) = blocks.pop_if(|before| before.value >= block.value) {
                let weight = before.weight + block.weight;
                block = Block {
                    first: before.first,
                    last: block.last,
                    value: before.weight / weight * before.value
                        + block.weight / weight * block.value,
                    weight,
                };
            }
            blocks.push(block);
        }
        let mut curve = Self { x: Vec::new(), y: Vec::new() };
        for block in &blocks {
            curve.x.push(block.first);
            curve.y.push(block.value);
            if block.last > block.first {
                curve.x.push(block.last);
                curve.y.push(block.value);
            }
        }
        Ok(curve)
    }

    /// The value of the function at `x`.
    ///
    /// # Errors
    /// [`AqiError::Parameter`] for NaN.
    pub fn predict(&self, x: f64) -> Result<f64> {
        not_nan("x", x)?;
        let right = self.x.partition_point(|&knot| knot < x);
        if right == 0 {
            return Ok(self.y[0]);
        }
        if right == self.x.len() {
            return Ok(self.y[right - 1]);
        }
        let (low, high) = (self.y[right - 1], self.y[right]);
        let t = (x - self.x[right - 1]) / (self.x[right] - self.x[right - 1]);
        Ok((low * (1.0 - t) + high * t).clamp(low, high))
    }

    /// Where the slope changes, as pairs `(x, y)`, ascending in both.
    pub fn knots(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.x.iter().copied().zip(self.y.iter().copied())
    }
}

/// Weights relative to the largest.
fn relative(weights: &[f64], expected: usize) -> Result<Vec<f64>> {
    if weights.len() != expected {
        return Err(AqiError::Shape { what: "weights", expected, found: weights.len() });
    }
    if let Some(bad) = weights.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
        return Err(AqiError::parameter("weight", bad, "a finite number, zero or more"));
    }
    let largest = weights.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        return Err(AqiError::parameter("weights", "all zero", "at least one point with weight"));
    }
    Ok(weights.iter().map(|weight| weight / largest).collect())
}
