//! The indices that need only class sizes, scatters and centroid gaps.

use crate::error::{AqiError, Result};
use crate::flag::Flag;
use crate::json_float;
use crate::moments::{ClassMoments, Moments};
use serde::Serialize;

/// A squared gap below this share of the classes' mean squared norms is rounding: the centroids
/// are the same.
pub(crate) const COINCIDENT: f64 = 16.0 * f64::EPSILON * f64::EPSILON;

/// Sizes `n_c`, scatters `M2_c = Σ‖x−μ_c‖²` and squared centroid gaps `δ²_ab = ‖μ_a−μ_b‖²` of
/// `k` classes: the sufficient statistics of every moment-based index.
///
/// With `n = Σ n_c`, `W = Σ M2_c` and `B = (1/n) Σ_{a<b} n_a n_b δ²_ab`. Values are in a common
/// unit that cancels in every index. Indices that are infinite by definition are returned as
/// `f64::INFINITY`; none is ever NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispersion {
    pub(crate) names: Vec<String>,
    /// Total weights; the numbers of rows where rows carry no weights.
    pub(crate) sizes: Vec<f64>,
    /// Effective sizes `(Σw)²/Σw²`.
    pub(crate) effective: Vec<f64>,
    pub(crate) m2: Vec<f64>,
    /// `[k, k]`, row-major, symmetric, zero diagonal.
    pub(crate) gaps: Vec<f64>,
    /// `[k, k]`: traces of the centroids' covariances where groups of rows depend on each other.
    /// `None` for independent rows: `T_c / n_c` on the diagonal, else zero.
    pub(crate) centroid_covariance: Option<Vec<f64>>,
}

/// One pair of classes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Pair {
    /// Name of the first class.
    pub a: String,
    /// Name of the second class.
    pub b: String,
    /// Xie-Beni of the two classes alone, `(M2_a + M2_b) / ((n_a + n_b) δ²_ab)`.
    #[serde(with = "json_float")]
    pub xie_beni: f64,
    /// Debiased share of variance that this pair's label explains,
    /// `δ²_u / (δ²_u + 2(T_a + T_b))`; `None` where a class has one row.
    #[serde(with = "json_float::option")]
    pub rho: Option<f64>,
    /// `√max(0, δ²_u / ((T_a + T_b)/2))`, the gap in units of within-class spread; `None` where
    /// a class has one row.
    #[serde(with = "json_float::option")]
    pub effect_size: Option<f64>,
}

impl Moments {
    /// The statistics from which all moment-based indices follow.
    ///
    /// # Errors
    /// [`AqiError::Empty`] before the first row, [`AqiError::SingleClass`],
    /// [`AqiError::EmptyClass`], [`AqiError::DegenerateData`] if all rows are identical.
    pub fn dispersion(&self) -> Result<Dispersion> {
        let occupied: Vec<usize> =
            (0..self.classes.len()).filter(|&c| self.classes[c].weight > 0.0).collect();
        match (occupied.len(), self.classes.len()) {
            (0, _) => return Err(AqiError::Empty),
            (1, _) => {
                return Err(AqiError::SingleClass { class: self.names[occupied[0]].clone() });
            }
            (some, all) if some < all => {
                let empty = (0..all).find(|c| !occupied.contains(c)).unwrap_or_default();
                return Err(AqiError::EmptyClass { class: self.names[empty].clone() });
            }
            _ => {}
        }
        let k = self.classes.len();
        let norm = |class: &ClassMoments| {
            class.mean.iter().map(|m| m * m).sum::<f64>() + class.m2() / class.weight
        };
        let norms: Vec<f64> = self.classes.iter().map(norm).collect();
        let mut gaps = vec![0.0; k * k];
        for a in 0..k {
            for b in a + 1..k {
                let means = self.classes[a].mean.iter().zip(&self.classes[b].mean);
                let gap: f64 = means.map(|(x, y)| (x - y) * (x - y)).sum();
                let floor = COINCIDENT * (norms[a] + norms[b]);
                let gap = if gap <= floor { 0.0 } else { gap };
                gaps[a * k + b] = gap;
                gaps[b * k + a] = gap;
            }
        }
        let dispersion = Dispersion {
            names: self.names.clone(),
            sizes: self.classes.iter().map(|class| class.weight).collect(),
            effective: self
                .classes
                .iter()
                .map(|class| class.weight * class.weight / class.weight_squared)
                .collect(),
            m2: self.classes.iter().map(ClassMoments::m2).collect(),
            gaps,
            centroid_covariance: None,
        };
        if dispersion.within() == 0.0 && dispersion.between() == 0.0 {
            return Err(AqiError::DegenerateData);
        }
        Ok(dispersion)
    }
}

impl Dispersion {
    /// Number of classes `k`, at least two.
    #[must_use]
    pub fn class_count(&self) -> usize {
        self.sizes.len()
    }

    /// Number of rows `n`, or their total weight.
    #[must_use]
    pub fn n(&self) -> f64 {
        self.sizes.iter().sum()
    }

    /// `δ²_ab`.
    pub(crate) fn gap(&self, a: usize, b: usize) -> f64 {
        self.gaps[a * self.class_count() + b]
    }

    /// All pairs `a < b`.
    pub(crate) fn pair_indices(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let k = self.class_count();
        (0..k).flat_map(move |a| (a + 1..k).map(move |b| (a, b)))
    }

    /// Within-class sum of squares `W`.
    #[must_use]
    pub fn within(&self) -> f64 {
        self.m2.iter().sum()
    }

    /// Between-class sum of squares `B`.
    #[must_use]
    pub fn between(&self) -> f64 {
        let sum: f64 =
            self.pair_indices().map(|(a, b)| self.sizes[a] * self.sizes[b] * self.gap(a, b)).sum();
        sum / self.n()
    }

    /// `min_{a≠b} δ²_ab`.
    fn smallest_gap(&self) -> f64 {
        self.pair_indices().map(|(a, b)| self.gap(a, b)).fold(f64::INFINITY, f64::min)
    }

    /// Calinski-Harabasz, `(B/(k−1)) / (W/(n−k))` (Caliński & Harabasz 1974): higher is better.
    /// `+∞` where `W = 0`.
    ///
    /// # Errors
    /// [`AqiError::TooFewSamples`] if `n ≤ k`.
    pub fn calinski_harabasz(&self) -> Result<f64> {
        let (n, k) = (self.n(), self.class_count());
        if n <= k as f64 {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "n ≤ k")]
            return Err(AqiError::TooFewSamples { n: n as usize, k });
        }
        Ok(ratio(self.between() / (k - 1) as f64, self.within() / (n - k as f64)))
    }

    /// Calinski-Harabasz as scikit-learn returns it: 1 where `W = 0`, where the definition says
    /// `+∞`.
    ///
    /// # Errors
    /// As [`calinski_harabasz`](Self::calinski_harabasz).
    pub fn calinski_harabasz_sklearn(&self) -> Result<f64> {
        let value = self.calinski_harabasz()?;
        Ok(if self.within() == 0.0 { 1.0 } else { value })
    }

    /// Xie-Beni, `W / (n · min δ²_ab)` (Xie & Beni 1991, hard memberships): lower is better.
    /// `+∞` where two centroids coincide.
    #[must_use]
    pub fn xie_beni(&self) -> f64 {
        let gap = self.smallest_gap();
        if gap == 0.0 { f64::INFINITY } else { self.within() / (self.n() * gap) }
    }

    /// `1 / Xie-Beni`: `+∞` where `W = 0`, zero where two centroids coincide.
    #[must_use]
    pub fn inverse_xie_beni(&self) -> f64 {
        let gap = self.smallest_gap();
        if gap == 0.0 { 0.0 } else { ratio(self.n() * gap, self.within()) }
    }

    /// `η² = B / (B + W)`, the share of variance that the labels explain, biased upwards: `k − 1`
    /// over `n − 1` under random labels.
    #[must_use]
    pub fn eta_squared(&self) -> f64 {
        self.between() / (self.between() + self.within())
    }

    /// `ε² = 1 − (W/(n−k)) / ((B+W)/(n−1))`, `η²` corrected for its bias (Kelley 1935).
    ///
    /// # Errors
    /// [`AqiError::TooFewSamples`] if `n ≤ k`.
    pub fn epsilon_squared(&self) -> Result<f64> {
        self.calinski_harabasz()?;
        let (n, k) = (self.n(), self.class_count() as f64);
        let total = self.between() + self.within();
        Ok(1.0 - (self.within() / (n - k)) / (total / (n - 1.0)))
    }

    /// Unbiased trace of each class's covariance: `T_c = M2_c / (n_c − 1)` for independent rows,
    /// `M2_c / n_c` plus the variance of the centroid for dependent ones.
    ///
    /// # Errors
    /// [`AqiError::NeedTwoPerClass`].
    pub(crate) fn traces(&self) -> Result<Vec<f64>> {
        let k = self.class_count();
        (0..k)
            .map(|c| match &self.centroid_covariance {
                Some(covariance) => Ok(self.m2[c] / self.sizes[c] + covariance[c * k + c]),
                None if self.effective[c] > 1.0 => {
                    Ok(self.m2[c] / (self.sizes[c] * (1.0 - 1.0 / self.effective[c])))
                }
                None => Err(AqiError::NeedTwoPerClass {
                    class: self.names[c].clone(),
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    count: self.effective[c] as usize,
                }),
            })
            .collect()
    }

    /// `δ²_u`, the unbiased squared gap: `δ²_ab − T_a/n_a − T_b/n_b` for independent rows (the
    /// linear-kernel MMD²), else `δ²_ab` less the trace of the difference's covariance.
    fn unbiased_gap(&self, traces: &[f64], a: usize, b: usize) -> f64 {
        let k = self.class_count();
        self.gap(a, b)
            - match &self.centroid_covariance {
                Some(v) => v[a * k + a] + v[b * k + b] - 2.0 * v[a * k + b],
                None => traces[a] / self.effective[a] + traces[b] / self.effective[b],
            }
    }

    /// `B̄_u = (1/k²) Σ_{a<b} δ²_u,ab` and `W̄ = (1/k) Σ T_c`: the debiased between-class and the
    /// within-class variance of a class-balanced mixture.
    ///
    /// # Errors
    /// [`AqiError::NeedTwoPerClass`].
    pub(crate) fn balanced_variances(&self) -> Result<(f64, f64)> {
        let traces = self.traces()?;
        let k = self.class_count() as f64;
        let gaps: f64 = self.pair_indices().map(|(a, b)| self.unbiased_gap(&traces, a, b)).sum();
        Ok((gaps / (k * k), traces.iter().sum::<f64>() / k))
    }

    /// `min δ²_u` and `W̄`.
    fn closest_pair(&self) -> Result<(f64, f64)> {
        let traces = self.traces()?;
        let gaps = self.pair_indices().map(|(a, b)| self.unbiased_gap(&traces, a, b));
        let within = traces.iter().sum::<f64>() / self.class_count() as f64;
        Ok((gaps.fold(f64::INFINITY, f64::min), within))
    }

    /// The debiased share of a class-balanced mixture's variance that the labels explain:
    /// `ρ = B̄_u / (B̄_u + W̄)` with `W̄ = (1/k) Σ T_c` and `B̄_u = (1/k²) Σ_{a<b} δ²_u,ab`.
    ///
    /// Independent of sample size, class balance, and scale; zero in expectation where classes
    /// have the same mean, and then negative as often as positive. Not clipped.
    ///
    /// # Errors
    /// [`AqiError::NeedTwoPerClass`].
    pub fn rho_global(&self) -> Result<f64> {
        let (between, within) = self.balanced_variances()?;
        Ok(between / (between + within))
    }

    /// The same for the closest pair of classes: `min δ²_u / (min δ²_u + 4 W̄)`. Equal to
    /// [`rho_global`](Self::rho_global) for two classes. −1 where the denominator is not
    /// positive, which takes more than eight classes.
    ///
    /// # Errors
    /// [`AqiError::NeedTwoPerClass`].
    pub fn rho_local(&self) -> Result<f64> {
        let (gap, within) = self.closest_pair()?;
        let denominator = gap + 4.0 * within;
        Ok(if denominator > 0.0 { gap / denominator } else { -1.0 })
    }

    /// `√max(0, min δ²_u / W̄)`: how many within-class spreads lie between the closest classes.
    /// `+∞` where `W = 0`.
    ///
    /// # Errors
    /// [`AqiError::NeedTwoPerClass`].
    pub fn effect_size(&self) -> Result<f64> {
        let (gap, within) = self.closest_pair()?;
        Ok(ratio(gap.max(0.0), within).sqrt())
    }

    /// Every pair of classes by itself.
    #[must_use]
    pub fn pairs(&self) -> Vec<Pair> {
        self.pair_indices()
            .map(|(a, b)| {
                let only = self.select(&[a, b]);
                Pair {
                    a: self.names[a].clone(),
                    b: self.names[b].clone(),
                    xie_beni: only.xie_beni(),
                    rho: only.rho_local().ok().filter(|_| only.gaps[1] + only.within() > 0.0),
                    effect_size: only.effect_size().ok(),
                }
            })
            .collect()
    }

    /// Some of the classes alone.
    pub(crate) fn select(&self, classes: &[usize]) -> Self {
        let of = |values: &[f64]| classes.iter().map(|&c| values[c]).collect();
        let k = self.class_count();
        let of_pairs = |values: &Vec<f64>| {
            classes.iter().flat_map(|a| classes.iter().map(move |b| values[a * k + b])).collect()
        };
        Self {
            names: classes.iter().map(|&c| self.names[c].clone()).collect(),
            sizes: of(&self.sizes),
            effective: of(&self.effective),
            m2: of(&self.m2),
            gaps: of_pairs(&self.gaps),
            centroid_covariance: self.centroid_covariance.as_ref().map(of_pairs),
        }
    }

    /// What a reader of the indices must know: coincident centroids, no scatter, singletons.
    #[must_use]
    pub fn flags(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        for (a, b) in self.pair_indices().filter(|&(a, b)| self.gap(a, b) == 0.0) {
            flags.push(Flag::CoincidentCentroids {
                a: self.names[a].clone(),
                b: self.names[b].clone(),
            });
        }
        if self.within() == 0.0 {
            flags.push(Flag::NoWithinScatter);
        }
        for c in (0..self.class_count()).filter(|&c| self.effective[c] <= 1.0) {
            flags.push(Flag::Singleton { class: self.names[c].clone() });
        }
        if self.rho_local().is_ok_and(|rho| rho == -1.0) {
            flags.push(Flag::RhoLocalUndefined);
        }
        flags
    }
}

/// `a / b` for `a, b ≥ 0`, with `a / 0 = +∞` and `0 / 0 = 0`.
fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 {
        a / b
    } else if a > 0.0 {
        f64::INFINITY
    } else {
        0.0
    }
}
