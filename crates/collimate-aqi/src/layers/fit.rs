//! Weights fitted on some rows and scored on others.

use super::anchor::CosineAnchor;
use super::hinge::PaperHinge;
use super::moments::LayerMoments;
use super::rayleigh::Rayleigh;
use super::read::check_shape;
use super::scales::{LayerScales, LayerScaling};
use super::weights::{LayerWeights, WeightSource};
use crate::dispersion::Dispersion;
use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::flag::Flag;
use crate::json_float;
use crate::labels::Labels;
use crate::moments::Moments;
use crate::score::Mode;
use ndarray::{ArrayView3, Axis};
use serde::Serialize;

/// How the weights of layers are chosen.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LayerObjective {
    /// The most gap over the least scatter; the default.
    Rayleigh(Rayleigh),
    /// The paper's own loss.
    PaperHinge(PaperHinge),
    /// Weights of each row by itself, from cosines with a concept vector; nothing is trained.
    CosineAnchor(CosineAnchor),
    /// Weights that were made elsewhere; nothing is trained.
    Fixed(LayerWeights),
}

impl Default for LayerObjective {
    fn default() -> Self {
        Self::Rayleigh(Rayleigh::default())
    }
}

/// The indices of one embedding.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LayerScore {
    /// Debiased share of variance that the labels explain.
    pub rho_global: f64,
    /// The same for the closest pair of classes.
    pub rho_local: f64,
    /// Xie-Beni.
    #[serde(with = "json_float")]
    pub xie_beni: f64,
    /// Its inverse.
    #[serde(with = "json_float")]
    pub inverse_xie_beni: f64,
    /// Calinski-Harabasz.
    #[serde(with = "json_float")]
    pub calinski_harabasz: f64,
    /// AQI-S with λ = 0.5, from 0 to 100.
    pub aqi_s: f64,
}

impl LayerScore {
    /// The indices of a dispersion.
    ///
    /// # Errors
    /// [`AqiError::NeedTwoPerClass`].
    pub fn of(dispersion: &Dispersion) -> Result<Self> {
        Ok(Self {
            rho_global: dispersion.rho_global()?,
            rho_local: dispersion.rho_local()?,
            xie_beni: dispersion.xie_beni(),
            inverse_xie_beni: dispersion.inverse_xie_beni(),
            calinski_harabasz: dispersion.calinski_harabasz()?,
            aqi_s: Mode::default().score(dispersion)?.value,
        })
    }
}

/// What [`fit_and_score`] found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LayerFit {
    /// The weights, and how they were obtained. For [`LayerObjective::CosineAnchor`] the mean
    /// over the training rows.
    pub weights: LayerWeights,
    /// What layers were divided by, fitted on the training rows.
    pub scales: LayerScales,
    /// Number of training rows.
    pub train_rows: usize,
    /// Number of held-out rows.
    pub held_out_rows: usize,
    /// On the rows that chose the weights: optimistic.
    pub train: LayerScore,
    /// On the other rows: the number to report.
    pub held_out: LayerScore,
    /// Each layer by itself on the training rows; `None` for a layer whose rows are all equal.
    pub profile_train: Vec<Option<LayerScore>>,
    /// Each layer by itself on the held-out rows.
    pub profile_held_out: Vec<Option<LayerScore>>,
    /// The layer with the largest `ρ_local` on the training rows, which may choose; its held-out
    /// score stands in the profile.
    pub best_layer: usize,
    /// Uniform weights on the held-out rows, divided by the same scales.
    pub uniform_held_out: LayerScore,
    /// What a reader must know of data and training.
    pub flags: Vec<Flag>,
}

/// Chooses layer weights on `train_rows` of activations `[n, L, d]` and scores them on
/// `score_rows`. Scales are fitted on the training rows, too. No row may be used twice.
///
/// ```
/// use collimate_aqi::{LayerObjective, LayerScaling, Labels, fit_and_score};
/// use ndarray::Array3;
/// // The first layer knows the label, the second does not.
/// let activations = Array3::from_shape_fn((16, 2, 1), |(i, l, _)| {
///     let noise = ((i * 7 + l * 3) % 5) as f64;
///     if l == 0 { noise + 10.0 * (i % 2) as f64 } else { noise }
/// });
/// let labels = Labels::new((0..16).map(|i| i % 2))?;
/// let (train, rest): (Vec<usize>, Vec<usize>) = (0..16).partition(|&i| i < 8);
/// let objective = LayerObjective::default();
/// let fit = fit_and_score(
///     activations.view(), &labels, &train, &rest, &objective, LayerScaling::Rms,
/// )?;
/// assert_eq!(fit.best_layer, 0);
/// assert!(fit.weights.values()[0] > 0.5 && fit.held_out.aqi_s > 80.0);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Empty`] for a part without rows; [`AqiError::Shape`] for a row that does not
/// exist, or another number of labels or weights; [`AqiError::RowUsedTwice`];
/// [`AqiError::EmptyClass`] and [`AqiError::NeedTwoPerClass`] if a class lacks rows in a part;
/// [`AqiError::NonFiniteLayer`]; [`AqiError::DegenerateData`]; what the objective returns.
pub fn fit_and_score<F: Element>(
    activations: ArrayView3<'_, F>,
    labels: &Labels,
    train_rows: &[usize],
    score_rows: &[usize],
    objective: &LayerObjective,
    scaling: LayerScaling,
) -> Result<LayerFit> {
    check_shape(&activations)?;
    labels.check_len(activations.len_of(Axis(0)))?;
    check_split(labels.len(), train_rows, score_rows)?;
    let train = LayerMoments::from_some_rows(&activations, labels, train_rows)?;
    let held_out = LayerMoments::from_some_rows(&activations, labels, score_rows)?;
    train.check_classes()?;
    held_out.check_classes()?;
    let scales = train.scales(scaling)?;
    let constant = train.constant_layers();
    let train = train.scaled(&scales)?;
    let held_out = held_out.scaled(&scales)?;

    let mut flags: Vec<Flag> =
        constant.into_iter().map(|layer| Flag::ConstantLayer { layer }).collect();
    let (weights, scores) = match objective {
        LayerObjective::Rayleigh(rayleigh) => (rayleigh.fit(&train)?, None),
        LayerObjective::PaperHinge(hinge) => {
            let weights = hinge.fit_some(&activations, labels, train_rows, &scales)?;
            if let WeightSource::PaperHinge(report) = weights.source() {
                flags.extend(report.flags.iter().cloned());
            }
            (weights, None)
        }
        LayerObjective::Fixed(weights) => (weights.clone(), None),
        LayerObjective::CosineAnchor(anchor) => {
            let score = |rows: &[usize]| {
                let pooling = anchor.pool_some(&activations, rows, &scales)?;
                let moments = Moments::from_rows(pooling.pooled.view(), &labels.select(rows)?)?;
                Ok((pooling.mean_weights(), LayerScore::of(&moments.dispersion()?)?))
            };
            let (weights, in_train) = score(train_rows)?;
            let (_, in_held_out) = score(score_rows)?;
            (weights, Some((in_train, in_held_out)))
        }
    };
    let of = |moments: &LayerMoments, weights| LayerScore::of(&moments.dispersion(weights)?);
    let (in_train, in_held_out) = match scores {
        Some(scores) => scores,
        None => (of(&train, &weights)?, of(&held_out, &weights)?),
    };
    let profile_train = profile(&train)?;
    let best_layer = best(&profile_train);
    Ok(LayerFit {
        uniform_held_out: of(&held_out, &LayerWeights::uniform(train.layers())?)?,
        weights,
        scales,
        train_rows: train_rows.len(),
        held_out_rows: score_rows.len(),
        train: in_train,
        held_out: in_held_out,
        profile_train,
        profile_held_out: profile(&held_out)?,
        best_layer,
        flags,
    })
}

/// Checks that rows exist and that none is used twice.
fn check_split(n: usize, train: &[usize], held_out: &[usize]) -> Result<()> {
    let mut used: Vec<Option<&'static str>> = vec![None; n];
    for (rows, part) in [(train, "training"), (held_out, "held-out")] {
        if rows.is_empty() {
            return Err(AqiError::Empty);
        }
        for &row in rows {
            let place = used.get_mut(row).ok_or(AqiError::Shape {
                what: "row of a split, below the number of rows",
                expected: n,
                found: row,
            })?;
            if let Some(first) = place.replace(part) {
                return Err(AqiError::RowUsedTwice { row, first, second: part });
            }
        }
    }
    Ok(())
}

fn profile(moments: &LayerMoments) -> Result<Vec<Option<LayerScore>>> {
    let profile = moments.profile()?;
    let scores = profile.iter();
    scores.map(|layer| layer.as_ref().map(LayerScore::of).transpose()).collect()
}

/// The first layer with the largest `ρ_local`.
fn best(profile: &[Option<LayerScore>]) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (layer, score) in profile.iter().enumerate() {
        if let Some(score) = score.as_ref().filter(|score| score.rho_local > best.1) {
            best = (layer, score.rho_local);
        }
    }
    best.0
}
