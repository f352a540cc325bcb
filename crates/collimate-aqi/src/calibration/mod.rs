//! Scores in relation to other scores: of the same model, of a model family, of judges.

mod isotonic;
mod quantile_regression;

pub use isotonic::Isotonic;
pub use quantile_regression::QuantileRegression;

use crate::error::{AqiError, Result};
use crate::quantile::{check_finite, quantile};
use serde::Serialize;

/// How many standard deviations a score lies above the mean of a pool of scores,
/// `z = (AQI − μ) / σ`, where `σ` has the divisor `n − 1`.
///
/// ```
/// use collimate_aqi::ZScore;
/// assert_eq!(ZScore::fit(&[60.0, 70.0, 80.0])?.score(85.0)?, 1.5);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ZScore {
    /// Mean of the pool.
    pub mean: f64,
    /// Standard deviation of the pool.
    pub sd: f64,
}

impl ZScore {
    /// Mean and standard deviation of the scores of one model, for example of its validation
    /// sets.
    ///
    /// # Errors
    /// [`AqiError::Parameter`] for fewer than two different scores, or one that is not finite.
    pub fn fit(pool: &[f64]) -> Result<Self> {
        check_finite("pool", pool)?;
        let scale = pool.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
        let (mean, sd) = mean_and_sd(pool.iter().map(|value| value / scale));
        if pool.iter().all(|value| *value == pool[0]) {
            return Err(AqiError::parameter(
                "pool",
                format!("{} equal score(s)", pool.len()),
                "at least two different scores",
            ));
        }
        Ok(Self { mean: mean * scale, sd: sd * scale })
    }

    /// The standardized score.
    ///
    /// # Errors
    /// [`AqiError::Parameter`] for NaN.
    pub fn score(&self, value: f64) -> Result<f64> {
        Ok((not_nan("score", value)? - self.mean) / self.sd)
    }
}

/// Where a score stands in a pool, from 0 to 100: `100 · (#less + ½ #equal) / N`.
///
/// ```
/// use collimate_aqi::percentile_rank;
/// assert_eq!(percentile_rank(&[0.2, 0.4, 0.4, 0.8], 0.4)?, 50.0);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Parameter`] for an empty pool and for NaN.
pub fn percentile_rank(pool: &[f64], value: f64) -> Result<f64> {
    not_nan("score", value)?;
    if pool.is_empty() {
        return Err(AqiError::parameter("pool", "[]", "at least one score"));
    }
    let mut halves = 0_usize;
    for &other in pool {
        halves += match not_nan("pool", other)? {
            other if other < value => 2,
            other if other == value => 1,
            _ => 0,
        };
    }
    Ok(100.0 * (halves as f64 / 2.0) / pool.len() as f64)
}

/// The `chi_max` of [`Mode::PaperGeometric`](crate::Mode::PaperGeometric): the 99th percentile
/// (linear interpolation) of Calinski-Harabasz over a reference pool, as appendix B.4 of Borah
/// et al. 2025 (arXiv 2506.13901) has it.
///
/// ```
/// use collimate_aqi::chi_max;
/// let pool: Vec<f64> = (0..=100).map(f64::from).collect();
/// assert_eq!(chi_max(&pool)?, 99.0);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Parameter`] for an empty pool and for a value that is not finite.
pub fn chi_max(pool: &[f64]) -> Result<f64> {
    quantile(pool, 0.99)
}

/// The change of a score relative to a reference task, `(AQI_task − AQI_ref) / AQI_ref`:
/// negative where the task's classes are less separated.
///
/// ```
/// use collimate_aqi::relative_change;
/// assert_eq!(relative_change(60.0, 80.0)?, -0.25);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Parameter`] for a reference of zero and for values that are not finite.
pub fn relative_change(task: f64, reference: f64) -> Result<f64> {
    check_finite("task score", &[task])?;
    check_finite("reference score", &[reference])?;
    if reference == 0.0 {
        return Err(AqiError::parameter(
            "reference score",
            reference,
            "a number other than zero: nothing can be relative to it",
        ));
    }
    Ok((task - reference) / reference)
}

/// Mean and standard deviation (divisor `n − 1`; zero for one value), in two passes.
pub(crate) fn mean_and_sd(values: impl ExactSizeIterator<Item = f64> + Clone) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.clone().sum::<f64>() / n;
    let squares: f64 = values.map(|value| (value - mean) * (value - mean)).sum();
    let sd = if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
    (mean, sd)
}

fn not_nan(name: &'static str, value: f64) -> Result<f64> {
    if value.is_nan() { Err(AqiError::parameter(name, value, "a number")) } else { Ok(value) }
}

/// Checks that there is a `y` for each `x`, and that all are finite.
fn check_pairs(x: &[f64], y: &[f64]) -> Result<()> {
    if x.len() != y.len() {
        return Err(AqiError::Shape { what: "y values", expected: x.len(), found: y.len() });
    }
    check_finite("x", x)?;
    check_finite("y", y)
}
