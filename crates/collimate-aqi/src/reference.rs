//! The scores of earlier published scripts, for comparison with what they printed.
//!
//! They must not be used to publish new results. The first of them turns indices into ranks
//! inside one set of groups: some group always gets 0 and another 100, adding a group changes
//! all others, and scores of two models are not comparable; Xie-Beni of the pooled rows is nearly
//! always the largest and is cut off at the floor, so that the headline is a constant. All of
//! them were computed on t-SNE coordinates, whose distances are not metric: with the same data, a
//! permutation of the rows halves Calinski-Harabasz. What is given here takes index values, so
//! that published numbers can be reproduced from published coordinates.

use crate::dispersion::Dispersion;
use crate::error::{AqiError, Result};
use crate::flag::Flag;
use crate::json_float;
use crate::quantile::{check_finite, sorted_quantile};
use crate::score::Lambda;
use serde::Serialize;

/// A combination of two indices as one of the earlier scripts made it. **`gamma` always weights
/// the index that is named first.** For comparison with published numbers only; new results
/// should use [`Mode`](crate::Mode).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "variant")]
#[non_exhaustive]
pub enum ReferenceVariant {
    /// `γ·CHI_norm + (1−γ)·XB_norm` of values that [`normalize_groups`] normalized over a set of
    /// groups; between 0 and 100. **γ weights Calinski-Harabasz.**
    CalinskiHarabaszXieBeni {
        /// Weight of `CHI_norm`.
        gamma: Lambda,
    },
    /// The same of values that an [`AnchoredNormalization`] normalized. **γ weights
    /// Calinski-Harabasz.**
    AnchoredCalinskiHarabaszXieBeni {
        /// Weight of `CHI_norm`.
        gamma: Lambda,
    },
    /// `γ/(1+DBS) + (1−γ)·DI/(1+DI)` of the Davies-Bouldin score and the Dunn index; between 0
    /// and 1. **γ weights Davies-Bouldin.** An infinite DBS contributes 0, an infinite DI 1.
    DaviesBouldinDunn {
        /// Weight of `1/(1+DBS)`.
        gamma: Lambda,
    },
    /// `γ·(SS+1)/2 + (1−γ)/(1+XB)` of the silhouette and Xie-Beni; between 0 and 1. **γ weights
    /// the silhouette.** An infinite XB contributes 0.
    SilhouetteXieBeni {
        /// Weight of `(SS+1)/2`.
        gamma: Lambda,
    },
    /// `γ·(SS+1)/2 + (1−γ)·CHI/(1+CHI)` of the silhouette and Calinski-Harabasz; between 0 and 1.
    /// **γ weights the silhouette.** An infinite CHI contributes 1; from `CHI = 20` on the second
    /// term is above 0.95 whatever the data.
    SilhouetteCalinskiHarabasz {
        /// Weight of `(SS+1)/2`.
        gamma: Lambda,
    },
}

impl ReferenceVariant {
    /// The name that the serialized form uses.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::CalinskiHarabaszXieBeni { .. } => "calinski-harabasz-xie-beni",
            Self::AnchoredCalinskiHarabaszXieBeni { .. } => "anchored-calinski-harabasz-xie-beni",
            Self::DaviesBouldinDunn { .. } => "davies-bouldin-dunn",
            Self::SilhouetteXieBeni { .. } => "silhouette-xie-beni",
            Self::SilhouetteCalinskiHarabasz { .. } => "silhouette-calinski-harabasz",
        }
    }

    /// The score of two index values, in the order of the variant's name. The first two variants
    /// take normalized values in `[0, 100]`.
    ///
    /// ```
    /// use collimate_aqi::{Lambda, ReferenceVariant};
    /// let variant = ReferenceVariant::SilhouetteXieBeni { gamma: Lambda::new(0.75)? };
    /// assert_eq!(variant.score(0.6, 3.0)?, 0.75 * 0.8 + 0.25 * 0.25);
    /// assert_eq!(variant.score(0.6, f64::INFINITY)?, 0.75 * 0.8);
    /// # Ok::<(), collimate_aqi::AqiError>(())
    /// ```
    ///
    /// # Errors
    /// [`AqiError::Parameter`] for a value outside the range of its index.
    pub fn score(&self, first: f64, second: f64) -> Result<f64> {
        let infinite = f64::INFINITY;
        Ok(match *self {
            Self::CalinskiHarabaszXieBeni { gamma }
            | Self::AnchoredCalinskiHarabaszXieBeni { gamma } => gamma.mix(
                within("normalized Calinski-Harabasz", first, 0.0, 100.0)?,
                within("normalized Xie-Beni", second, 0.0, 100.0)?,
            ),
            Self::DaviesBouldinDunn { gamma } => gamma.mix(
                falling(within("Davies-Bouldin", first, 0.0, infinite)?),
                rising(within("Dunn", second, 0.0, infinite)?),
            ),
            Self::SilhouetteXieBeni { gamma } => gamma.mix(
                half(within("silhouette", first, -1.0, 1.0)?),
                falling(within("Xie-Beni", second, 0.0, infinite)?),
            ),
            Self::SilhouetteCalinskiHarabasz { gamma } => gamma.mix(
                half(within("silhouette", first, -1.0, 1.0)?),
                rising(within("Calinski-Harabasz", second, 0.0, infinite)?),
            ),
        })
    }
}

/// Calinski-Harabasz and Xie-Beni of one group of rows, for example of one axiom.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupIndices {
    /// Name of the group.
    pub name: String,
    /// Its Calinski-Harabasz.
    #[serde(with = "json_float")]
    pub chi: f64,
    /// Its Xie-Beni.
    #[serde(with = "json_float")]
    pub xbi: f64,
}

impl GroupIndices {
    /// The indices of a group.
    pub fn new(name: impl Into<String>, chi: f64, xbi: f64) -> Self {
        let name = name.into();
        Self { name, chi, xbi }
    }
}

/// Normalized indices of one group, and their combination.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReferenceScore {
    /// Name of the group.
    pub name: String,
    /// Calinski-Harabasz, normalized to `[0, 100]`.
    pub chi_norm: f64,
    /// Xie-Beni, normalized to `[0, 100]`, higher being better.
    pub xb_norm: f64,
    /// `γ·CHI_norm + (1−γ)·XB_norm`.
    pub aqi: f64,
}

/// A group that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SkippedGroup {
    /// Name of the group.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// The scores of a set of groups that were normalized together.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReferenceScores {
    /// One for each group whose indices are finite, in the order given.
    pub scores: Vec<ReferenceScore>,
    /// The other groups.
    pub skipped: Vec<SkippedGroup>,
    /// What a reader must know.
    pub flags: Vec<Flag>,
}

/// Normalizes Calinski-Harabasz and Xie-Beni over a set of groups (the axioms and the pooled
/// rows), as the script behind the published t-SNE scores does.
///
/// ```text
/// CHI_norm = 100 (CHI − min) / (max − min);   if max − min < 1e-9: 50, or 0 where max = 0
/// z        = (XB − median) / (IQR + 1e-9), clipped to ±500
/// XB_norm  = max(10, 100 (1 − 1/(1 + e^−z)))
/// AQI      = γ·CHI_norm + (1−γ)·XB_norm
/// ```
///
/// with quartiles by linear interpolation. **γ weights Calinski-Harabasz.** A score is a rank
/// inside the set: never compare scores of two sets, and do not publish them (the distances of
/// t-SNE coordinates are not metric, either). The absolute constants are those of the script.
///
/// Groups whose indices are not finite are left out of the normalization and reported.
///
/// ```
/// use collimate_aqi::{GroupIndices, Lambda, normalize_groups};
/// let groups = [
///     GroupIndices::new("justice", 10.0, 0.5),
///     GroupIndices::new("duty", 20.0, 0.6),
///     GroupIndices::new("wisdom", 15.0, 0.7),
///     GroupIndices::new("overall", 80.0, 10.0),
/// ];
/// let set = normalize_groups(&groups, Lambda::default())?;
/// assert_eq!(set.scores[3].aqi, 55.0); // the largest CHI, and XB at the floor
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Parameter`] for no groups and for a negative index.
pub fn normalize_groups(groups: &[GroupIndices], gamma: Lambda) -> Result<ReferenceScores> {
    if groups.is_empty() {
        return Err(AqiError::parameter("groups", "[]", "at least one group"));
    }
    let mut set = ReferenceScores { scores: Vec::new(), skipped: Vec::new(), flags: Vec::new() };
    let mut kept: Vec<&GroupIndices> = Vec::new();
    for group in groups {
        match skip_reason(group)? {
            None => kept.push(group),
            Some(reason) => set.skipped.push(SkippedGroup { name: group.name.clone(), reason }),
        }
    }
    if kept.is_empty() {
        return Ok(set);
    }
    let chi = sorted(kept.iter().map(|group| group.chi));
    let xbi = sorted(kept.iter().map(|group| group.xbi));
    let (least, most) = (chi[0], chi[chi.len() - 1]);
    let range = most - least;
    let spread = sorted_quantile(&xbi, 0.75) - sorted_quantile(&xbi, 0.25);
    let median = sorted_quantile(&xbi, 0.5);
    if range < CHI_RANGE {
        set.flags.push(Flag::ConstantGroups);
    }
    if spread == 0.0 {
        set.flags.push(Flag::ZeroInterquartileRange);
    }
    for group in kept {
        let chi_norm = if range >= CHI_RANGE {
            100.0 * (group.chi - least) / range
        } else if most == 0.0 {
            0.0
        } else {
            50.0
        };
        let z = (group.xbi - median) / (spread + XB_OFFSET);
        let xb_norm = (100.0 * sigmoid(-z.clamp(-500.0, 500.0))).clamp(XB_FLOOR, 100.0);
        set.scores.push(ReferenceScore {
            name: group.name.clone(),
            chi_norm,
            xb_norm,
            aqi: gamma.mix(chi_norm, xb_norm),
        });
    }
    Ok(set)
}

const CHI_RANGE: f64 = 1e-9;
const XB_OFFSET: f64 = 1e-9;
const XB_FLOOR: f64 = 10.0;

/// Normalization of one group's indices against those that anchor models have for it, as in
/// D-STEER.
///
/// With mean `μ` and population standard deviation `σ` (at least `10^-6`) of the anchors,
/// `CHI_norm = 100 s((CHI − μ)/σ)` and `XB_norm = 100 s((μ_XB − XB)/σ_XB)`, `s(z) = 1/(1 + e^−z)`.
/// With the two anchors that are customary, `σ` is half their distance. For comparison with
/// published numbers only.
///
/// ```
/// use collimate_aqi::{AnchoredNormalization, GroupIndices, Lambda};
/// let base = GroupIndices::new("base", 10.0, 3.0);
/// let tuned = GroupIndices::new("dpo", 30.0, 1.0);
/// let anchors = AnchoredNormalization::fit(&[base, tuned])?;
/// let half_way = GroupIndices::new("steered", 20.0, 2.0);
/// assert_eq!(anchors.score(&half_way, Lambda::default())?.aqi, 50.0);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AnchoredNormalization {
    /// Mean Calinski-Harabasz of the anchors.
    pub chi_mean: f64,
    /// Its standard deviation, at least `10^-6`.
    pub chi_sd: f64,
    /// Mean Xie-Beni of the anchors.
    pub xbi_mean: f64,
    /// Its standard deviation, at least `10^-6`.
    pub xbi_sd: f64,
    /// What a reader must know.
    pub flags: Vec<Flag>,
}

impl AnchoredNormalization {
    /// Mean and standard deviation over the anchors' indices of one group.
    ///
    /// # Errors
    /// [`AqiError::Parameter`] for no anchors and for indices that are negative or not finite.
    pub fn fit(anchors: &[GroupIndices]) -> Result<Self> {
        let chi: Vec<f64> = anchors.iter().map(|anchor| anchor.chi).collect();
        let xbi: Vec<f64> = anchors.iter().map(|anchor| anchor.xbi).collect();
        let (chi_mean, chi_sd) = mean_and_population_sd("Calinski-Harabasz of the anchors", &chi)?;
        let (xbi_mean, xbi_sd) = mean_and_population_sd("Xie-Beni of the anchors", &xbi)?;
        let constant = chi_sd < ANCHOR_FLOOR || xbi_sd < ANCHOR_FLOOR;
        Ok(Self {
            chi_mean,
            chi_sd: chi_sd.max(ANCHOR_FLOOR),
            xbi_mean,
            xbi_sd: xbi_sd.max(ANCHOR_FLOOR),
            flags: constant.then_some(Flag::ConstantAnchors).into_iter().collect(),
        })
    }

    /// The normalized indices of a group, and `γ·CHI_norm + (1−γ)·XB_norm`. **γ weights
    /// Calinski-Harabasz.**
    ///
    /// # Errors
    /// [`AqiError::Parameter`] for an index that is negative or NaN.
    pub fn score(&self, group: &GroupIndices, gamma: Lambda) -> Result<ReferenceScore> {
        let chi = within("Calinski-Harabasz", group.chi, 0.0, f64::INFINITY)?;
        let xbi = within("Xie-Beni", group.xbi, 0.0, f64::INFINITY)?;
        let chi_norm = 100.0 * sigmoid((chi - self.chi_mean) / self.chi_sd);
        let xb_norm = 100.0 * sigmoid((self.xbi_mean - xbi) / self.xbi_sd);
        Ok(ReferenceScore {
            name: group.name.clone(),
            chi_norm,
            xb_norm,
            aqi: gamma.mix(chi_norm, xb_norm),
        })
    }
}

const ANCHOR_FLOOR: f64 = 1e-6;

/// What one of the scripts calls "XBI (Explicit Bias Index)": the mean of the two classes'
/// variances over the variance of the two centroids, `½ (M2_a/n_a + M2_b/n_b) / (δ²/4)`.
///
/// Four times [`Dispersion::xie_beni`] where both classes have the same number of rows. `+∞`
/// where the centroids coincide.
///
/// ```
/// use collimate_aqi::{Labels, Moments, explicit_bias_index};
/// use ndarray::array;
/// let rows = array![[0.0], [2.0], [10.0], [12.0]];
/// let dispersion = Moments::from_rows(rows.view(), &Labels::new([0, 0, 1, 1])?)?.dispersion()?;
/// assert_eq!(explicit_bias_index(&dispersion)?, 4.0 * dispersion.xie_beni());
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::TwoClasses`] unless there are two classes.
pub fn explicit_bias_index(dispersion: &Dispersion) -> Result<f64> {
    if dispersion.class_count() != 2 {
        return Err(AqiError::TwoClasses {
            what: "the explicit bias index",
            found: dispersion.class_count(),
        });
    }
    let variance = |c: usize| dispersion.m2[c] / dispersion.sizes[c];
    let between = dispersion.gap(0, 1) / 4.0;
    Ok(if between > 0.0 { (variance(0) + variance(1)) / 2.0 / between } else { f64::INFINITY })
}

/// Why a group can't be normalized with the others, if it can't.
fn skip_reason(group: &GroupIndices) -> Result<Option<String>> {
    for (index, value) in [("Calinski-Harabasz", group.chi), ("Xie-Beni", group.xbi)] {
        if !value.is_finite() {
            return Ok(Some(format!("{index} is {value}")));
        }
        within(index, value, 0.0, f64::INFINITY)?;
    }
    Ok(None)
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn mean_and_population_sd(name: &'static str, values: &[f64]) -> Result<(f64, f64)> {
    check_finite(name, values)?;
    for &value in values {
        within(name, value, 0.0, f64::INFINITY)?;
    }
    let n = values.len() as f64;
    let mean = values.iter().map(|value| value / n).sum::<f64>();
    let largest = values.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        return Ok((0.0, 0.0));
    }
    let variance: f64 = values.iter().map(|value| ((value - mean) / largest).powi(2) / n).sum();
    Ok((mean, variance.sqrt() * largest))
}

fn within(name: &'static str, value: f64, low: f64, high: f64) -> Result<f64> {
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        let expected = match (low, high) {
            (-1.0, _) => "a number in [-1, 1]",
            (_, 100.0) => "a number in [0, 100]",
            _ => "a number, zero or more",
        };
        Err(AqiError::parameter(name, value, expected))
    }
}

/// `1/(1+x)`, with the limit 0 at `+∞`.
fn falling(x: f64) -> f64 {
    1.0 / (1.0 + x)
}

/// `x/(1+x)`, with the limit 1 at `+∞`.
fn rising(x: f64) -> f64 {
    if x.is_infinite() { 1.0 } else { x / (1.0 + x) }
}

/// `(x+1)/2`.
fn half(x: f64) -> f64 {
    f64::midpoint(x, 1.0)
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}
