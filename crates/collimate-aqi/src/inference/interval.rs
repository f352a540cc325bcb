//! Intervals for `ρ`.

use super::bootstrap;
use super::geometry::Geometry;
use super::jackknife::Replicates;
use super::score_interval::Signal;
use crate::dispersion::Dispersion;
use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::json_float;
use crate::moments::Moments;
use crate::sample::Sample;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// How an interval is computed.
///
/// Coverage of each, measured, stands in the crate's guide to the statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "method")]
#[non_exhaustive]
pub enum IntervalMethod {
    /// Inverts a test whose variance follows the effect: the jackknife's variance of the signal
    /// ratio `φ = ρ/(1−ρ)`, less the half of its quadratic part that the jackknife counts twice
    /// (estimated without bias from inner products of the rows), with the linear part
    /// proportional to the effect. In closed form, without a seed. The default: its coverage is
    /// right at small and large samples and at no effect.
    #[default]
    Score,
    /// `ρ ± t · SE` with the jackknife's standard error. Too wide near no effect.
    Jackknife,
    /// Percentiles of the bootstrap, shifted so that their mean is the estimate: resampling rows
    /// inflates `δ²` by about `Σ T_c/n_c`, which the shift removes. Too wide in small samples.
    Centered {
        /// Number of resamples.
        resamples: usize,
        /// Seed.
        seed: u64,
    },
    /// Plain percentiles of the bootstrap. **Legacy: do not publish**: nearly always too high,
    /// covering far less than it says wherever `T_c/n_c` is comparable to `δ²`.
    LegacyPercentile {
        /// Number of resamples.
        resamples: usize,
        /// Seed.
        seed: u64,
    },
}

/// A two-sided interval for the unclipped `ρ_global`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Interval {
    /// The debiased `ρ_global`. Where rows come in groups, its bias is removed by group, so that
    /// it differs from that of independent rows.
    pub estimate: f64,
    /// Standard error of the estimate.
    pub standard_error: f64,
    /// Confidence level, for example 0.95.
    pub level: f64,
    /// Lower end; `−∞` where the data can't exclude any value below.
    #[serde(with = "json_float")]
    pub lower: f64,
    /// Upper end.
    #[serde(with = "json_float")]
    pub upper: f64,
    /// How it was computed.
    #[serde(flatten)]
    pub method: IntervalMethod,
}

/// Checks a confidence level and gives the quantile of Student's t for its two sides.
pub(super) fn t_quantile(level: f64, degrees_of_freedom: f64) -> Result<f64> {
    if !(level > 0.0 && level < 1.0) {
        return Err(AqiError::parameter("level", level, "a number between 0 and 1"));
    }
    Ok(student(degrees_of_freedom)?.inverse_cdf(0.5 + level / 2.0))
}

/// Two-sided p-value of a t statistic.
pub(super) fn t_p_value(t: f64, degrees_of_freedom: f64) -> Result<f64> {
    Ok((2.0 * student(degrees_of_freedom)?.sf(t.abs())).min(1.0))
}

fn student(degrees_of_freedom: f64) -> Result<StudentsT> {
    StudentsT::new(0.0, 1.0, degrees_of_freedom).map_err(|_| {
        AqiError::parameter("degrees of freedom", degrees_of_freedom, "a positive number")
    })
}

/// An interval for the unclipped `ρ_global` of a sample, by rows or by groups.
///
/// Time `O(n² d)` or `O(n d²)`, whichever is less; memory `n · d` numbers.
///
/// ```
/// use collimate_aqi::{IntervalMethod, Labels, Sample, rho_interval};
/// use ndarray::array;
/// let rows = array![
///     [0, 0, 0], [3, 0, 0], [0, 3, 0],
///     [6, 6, 6], [7, 6, 6], [6, 8, 6], [6, 6, 9], [10, 9, 8],
/// ].mapv(f64::from);
/// let labels = Labels::new([0, 0, 0, 1, 1, 1, 1, 1])?;
/// let sample = Sample::new(rows.view(), &labels)?;
/// let interval = rho_interval(&sample, IntervalMethod::Score, 0.95)?;
/// assert!((interval.estimate - 294.0 / 359.0).abs() < 1e-12);
/// assert!(interval.lower > 0.65 && interval.upper < 0.92);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// Those of [`Moments::from_rows`] and [`Moments::dispersion`]; [`AqiError::NeedThreePerClass`]
/// where leaving one row or group out would leave fewer than two; [`AqiError::Parameter`] for a
/// level outside `(0, 1)` or fewer than two resamples.
pub fn rho_interval<F: Element>(
    sample: &Sample<'_, F>,
    method: IntervalMethod,
    level: f64,
) -> Result<Interval> {
    let moments = Moments::from_rows(sample.rows, sample.labels)?;
    interval(sample, &moments, &Geometry::new(sample, &moments)?, method, level)
}

/// [`rho_interval`] of what was computed before.
pub(crate) fn interval<F: Element>(
    sample: &Sample<'_, F>,
    moments: &Moments,
    geometry: &Geometry,
    method: IntervalMethod,
    level: f64,
) -> Result<Interval> {
    let estimate = geometry.whole().rho_global()?;
    let (standard_error, lower, upper) = match method {
        IntervalMethod::Score => {
            let all: Vec<usize> = (0..geometry.whole().class_count()).collect();
            let signal = Signal::new(sample, moments, geometry, &all)?;
            let (lower, upper) = signal.interval(level)?;
            (signal.standard_error(), lower, upper)
        }
        IntervalMethod::Jackknife => {
            let strata: Vec<&[usize]> = geometry.strata().iter().map(Vec::as_slice).collect();
            let replicates = Replicates::new(geometry, &strata, Dispersion::rho_global)?;
            let error = replicates.variance().sqrt();
            let reach = error * t_quantile(level, replicates.degrees_of_freedom())?;
            (error, estimate - reach, estimate + reach)
        }
        IntervalMethod::Centered { resamples, seed } => {
            bootstrap::resample(sample, moments, geometry, resamples, seed)?
                .centered(estimate, level)?
        }
        IntervalMethod::LegacyPercentile { resamples, seed } => {
            bootstrap::resample(sample, moments, geometry, resamples, seed)?.percentile(level)?
        }
    };
    Ok(Interval { estimate, standard_error, level, lower, upper, method })
}

/// The same interval for every pair of classes, `a < b`, each by itself.
pub(crate) fn pair_intervals<F: Element>(
    sample: &Sample<'_, F>,
    moments: &Moments,
    geometry: &Geometry,
    level: f64,
) -> Result<Vec<(usize, usize, Interval)>> {
    geometry
        .whole()
        .pair_indices()
        .map(|(a, b)| {
            let signal = Signal::new(sample, moments, geometry, &[a, b])?;
            let (lower, upper) = signal.interval(level)?;
            let interval = Interval {
                estimate: geometry.whole().select(&[a, b]).rho_global()?,
                standard_error: signal.standard_error(),
                level,
                lower,
                upper,
                method: IntervalMethod::Score,
            };
            Ok((a, b, interval))
        })
        .collect()
}
