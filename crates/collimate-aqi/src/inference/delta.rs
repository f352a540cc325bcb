//! Paired comparison: the same prompts before and after.

use super::geometry::Geometry;
use super::interval::{t_p_value, t_quantile};
use super::jackknife::Replicates;
use super::score_interval::{strata, unit_vectors};
use super::trace_products::UnitVectors;
use crate::dispersion::Dispersion;
use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::json_float;
use crate::moments::Moments;
use crate::rng::Stream;
use crate::sample::{Sample, Subset};
use ndarray::{Array2, Axis, concatenate};
use serde::Serialize;
use std::collections::HashMap;

/// All sign flips are enumerated for at most this many units.
const EXACT_UNITS: usize = 14;

/// Which way a difference counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DeltaSign {
    /// After minus before: positive means better separated than before. The default.
    #[default]
    AfterMinusBefore,
    /// Before minus after: positive means erosion, as in the FAQ and appendix I of Borah et
    /// al. 2025 (whose table 16 uses the other sign).
    BeforeMinusAfter,
}

/// Settings of a paired comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct DeltaConfig {
    sign: DeltaSign,
    level: f64,
    sign_flips: usize,
    seed: u64,
}

impl Default for DeltaConfig {
    /// After minus before, a 95% interval, 9,999 sign flips, seed 0.
    fn default() -> Self {
        Self { sign: DeltaSign::default(), level: 0.95, sign_flips: 9_999, seed: 0 }
    }
}

impl DeltaConfig {
    /// Sets which way the difference counts.
    #[must_use]
    pub fn with_sign(self, sign: DeltaSign) -> Self {
        Self { sign, ..self }
    }

    /// Sets the confidence level of the interval.
    #[must_use]
    pub fn with_level(self, level: f64) -> Self {
        Self { level, ..self }
    }

    /// Sets the number of random sign flips.
    #[must_use]
    pub fn with_sign_flips(self, sign_flips: usize) -> Self {
        Self { sign_flips, ..self }
    }

    /// Sets the seed of the sign flips.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

/// How the separation of the same prompts changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Delta {
    /// Unclipped `ρ_global` before, of the paired rows.
    pub before: f64,
    /// Unclipped `ρ_global` after, of the paired rows.
    pub after: f64,
    /// The difference of the two, counted as `sign` says.
    pub delta: f64,
    /// 100 times the difference of the two clipped at zero: that of AQI-S for two classes.
    pub delta_aqi_s: f64,
    /// Which way the difference counts.
    pub sign: DeltaSign,
    /// Standard error of the difference.
    pub standard_error: f64,
    /// Confidence level of the interval.
    pub level: f64,
    /// Lower end of the interval for `delta`.
    pub lower: f64,
    /// Upper end of the interval for `delta`.
    pub upper: f64,
    /// `delta / standard_error`; infinite where the difference is the same for every row.
    #[serde(with = "json_float")]
    pub t: f64,
    /// Degrees of freedom: units less strata.
    pub degrees_of_freedom: f64,
    /// Two-sided p-value of `t`.
    pub p_value: f64,
    /// Two-sided p-value from flipping the signs of the units' contributions.
    pub sign_flip_p_value: f64,
    /// `t / √units`, the difference in units of its standard deviation over prompts (`d_z`).
    #[serde(with = "json_float")]
    pub effect_size: f64,
    /// Rows that are in both samples.
    pub paired_rows: usize,
    /// Ids that are only in the first sample, sorted.
    pub only_before: Vec<String>,
    /// Ids that are only in the second sample, sorted.
    pub only_after: Vec<String>,
}

/// Compares the separation of the same prompts in two samples, for example the hidden states of
/// a model before and after training. The two may differ in their number of dimensions.
///
/// Rows are joined by id; what stands in one sample only is left out of both and reported. The
/// groups and axioms of the first sample count. The variance of the difference is the
/// jackknife's over joint deletions, less the part that it counts twice:
/// `V = max(V_J − 2Q, 2Q)` with `Q` from the differences of the inner products of the rows
/// before and after; the test is Student's.
///
/// ```
/// use collimate_aqi::{DeltaConfig, Labels, Sample, delta};
/// use ndarray::array;
/// let before = array![[0., 0.], [1., 0.], [0., 2.], [1., 1.], [2., 0.], [1., 3.]];
/// let after = array![[0., 0.], [1., 0.], [0., 2.], [5., 4.], [6., 3.], [5., 6.]];
/// let labels = Labels::new([0, 0, 0, 1, 1, 1])?;
/// let ids: Vec<String> = (0..6).map(|i| format!("prompt {i}")).collect();
/// let change = delta(
///     &Sample::new(before.view(), &labels)?.with_ids(&ids)?,
///     &Sample::new(after.view(), &labels)?.with_ids(&ids)?,
///     &DeltaConfig::default(),
/// )?;
/// assert!(change.delta > 0.0);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::MissingIds`], [`AqiError::NoCommonIds`], [`AqiError::LabelChanged`]; those of
/// [`Moments::from_rows`] and [`Moments::dispersion`]; [`AqiError::NeedThreePerClass`];
/// [`AqiError::Parameter`] for a level outside `(0, 1)` or no sign flips.
pub fn delta<A: Element, B: Element>(
    before: &Sample<'_, A>,
    after: &Sample<'_, B>,
    config: &DeltaConfig,
) -> Result<Delta> {
    if config.sign_flips == 0 {
        return Err(AqiError::parameter("sign flips", config.sign_flips, "at least 1"));
    }
    let join = Join::new(before, after)?;
    let before = Subset::of(before, &join.before)?;
    let mut after = Subset::of(after, &join.after)?;
    after.take_groups(&before);
    let (before, after) = (Arm::new(&before.sample())?, Arm::new(&after.sample())?);

    let replicates = Replicates::difference(&after.replicates, &before.replicates);
    let jackknife = replicates.variance();
    let quadratic = 2.0 * paired_vectors(&after, &before)?.trace_products().quadratic_variance();
    let variance = (jackknife - quadratic).max(quadratic);
    let standard_error = variance.sqrt();
    let degrees_of_freedom = replicates.degrees_of_freedom();

    let sign = match config.sign {
        DeltaSign::AfterMinusBefore => 1.0,
        DeltaSign::BeforeMinusAfter => -1.0,
    };
    let delta = sign * (after.rho - before.rho);
    let reach = standard_error * t_quantile(config.level, degrees_of_freedom)?;
    let influence = replicates.scaled_influence();
    let units = influence.len() as f64;
    let spread = if jackknife > 0.0 { (variance / jackknife).sqrt() } else { 0.0 };
    let contributions: Vec<f64> =
        influence.iter().map(|psi| sign * spread * psi + delta / units).collect();
    let t = if standard_error > 0.0 {
        delta / standard_error
    } else if delta == 0.0 {
        0.0
    } else {
        f64::INFINITY.copysign(delta)
    };
    Ok(Delta {
        before: before.rho,
        after: after.rho,
        delta,
        delta_aqi_s: sign * 100.0 * (after.rho.max(0.0) - before.rho.max(0.0)),
        sign: config.sign,
        standard_error,
        level: config.level,
        lower: delta - reach,
        upper: delta + reach,
        t,
        degrees_of_freedom,
        p_value: if t.is_infinite() { 0.0 } else { t_p_value(t, degrees_of_freedom)? },
        sign_flip_p_value: sign_flip(&contributions, delta, config.sign_flips, config.seed),
        effect_size: t / units.sqrt(),
        paired_rows: join.before.len(),
        only_before: join.only_before,
        only_after: join.only_after,
    })
}

/// One of the two samples, reduced to the common rows.
struct Arm {
    rho: f64,
    replicates: Replicates,
    /// Vectors of the units whose inner products give the quadratic part of `ρ`'s variance.
    vectors: Vec<Array2<f64>>,
}

impl Arm {
    fn new<F: Element>(sample: &Sample<'_, F>) -> Result<Self> {
        let moments = Moments::from_rows(sample.rows, sample.labels)?;
        let geometry = Geometry::new(sample, &moments)?;
        let all: Vec<usize> = (0..sample.labels.class_count()).collect();
        let strata = strata(&geometry, &all);
        let views: Vec<&[usize]> = strata.iter().map(Vec::as_slice).collect();
        let replicates = Replicates::new(&geometry, &views, Dispersion::rho_global)?;
        let (between, within) = geometry.whole().balanced_variances()?;
        // dρ/dB̄ = W̄ / (B̄ + W̄)²: the vectors' inner products are in units of B̄.
        let root = within.sqrt() / (between + within);
        let mut vectors = unit_vectors(sample, &moments, &geometry, &all);
        vectors.iter_mut().for_each(|vectors| vectors.mapv_inplace(|value| value * root));
        Ok(Self { rho: geometry.whole().rho_global()?, replicates, vectors })
    }
}

/// Vectors whose inner products are the differences of those after and before.
fn paired_vectors(after: &Arm, before: &Arm) -> Result<UnitVectors> {
    let strata = after.vectors.iter().zip(&before.vectors).map(|(after, before)| {
        concatenate(Axis(1), &[after.view(), before.view()]).map_err(|_| AqiError::Incompatible {
            what: "numbers of units",
            left: after.nrows().to_string(),
            right: before.nrows().to_string(),
        })
    });
    Ok(UnitVectors {
        strata: strata.collect::<Result<_>>()?,
        negative_from: after.vectors.first().map_or(0, Array2::ncols),
    })
}

/// Share of sign assignments under which the contributions sum to at least `|delta|`.
fn sign_flip(contributions: &[f64], delta: f64, flips: usize, seed: u64) -> f64 {
    let bar = delta.abs() * (1.0 - 1e-12);
    let units = contributions.len();
    if units <= EXACT_UNITS {
        let all = 1_u32 << units;
        let sum = |signs: u32| -> f64 {
            let signed = contributions.iter().enumerate();
            signed.map(|(i, z)| if signs >> i & 1 == 1 { -z } else { *z }).sum()
        };
        let reached = (0..all).filter(|&signs| sum(signs).abs() >= bar).count();
        return reached as f64 / f64::from(all);
    }
    let reached = (0..flips)
        .filter(|&flip| {
            let mut stream = Stream::new(seed, flip as u64);
            let sum: f64 = contributions.iter().map(|z| if stream.coin() { -z } else { *z }).sum();
            sum.abs() >= bar
        })
        .count();
    (1 + reached) as f64 / (1 + flips) as f64
}

/// Rows of the ids that two samples share, in the order of the first.
struct Join {
    before: Vec<usize>,
    after: Vec<usize>,
    only_before: Vec<String>,
    only_after: Vec<String>,
}

impl Join {
    fn new<A: Element, B: Element>(before: &Sample<'_, A>, after: &Sample<'_, B>) -> Result<Self> {
        let first = before.ids.ok_or(AqiError::MissingIds { sample: "first" })?;
        let second = after.ids.ok_or(AqiError::MissingIds { sample: "second" })?;
        let mut at: HashMap<&str, usize> =
            second.iter().enumerate().map(|(row, id)| (id.as_str(), row)).collect();
        let mut join = Self {
            before: Vec::new(),
            after: Vec::new(),
            only_before: Vec::new(),
            only_after: Vec::new(),
        };
        for (row, id) in first.iter().enumerate() {
            let Some(other) = at.remove(id.as_str()) else {
                join.only_before.push(id.clone());
                continue;
            };
            let (a, b) = (before.labels.name(row), after.labels.name(other));
            if a != b {
                let (before, after) = (a.to_owned(), b.to_owned());
                return Err(AqiError::LabelChanged { id: id.clone(), before, after });
            }
            join.before.push(row);
            join.after.push(other);
        }
        join.only_after = at.into_keys().map(str::to_owned).collect();
        join.only_before.sort();
        join.only_after.sort();
        if join.before.is_empty() { Err(AqiError::NoCommonIds) } else { Ok(join) }
    }
}
