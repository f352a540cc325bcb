//! Layer weights of each row by itself, from cosines with a concept vector.

use super::activation::SimplexMap;
use super::pool::add_layers;
use super::read::{Reader, check_layers, check_shape, fill_rows};
use super::scales::LayerScales;
use super::weights::{LayerWeights, WeightSource, entropy};
use crate::element::Element;
use crate::error::{AqiError, Result};
use ndarray::{Array2, ArrayView2, ArrayView3, Axis};
use serde::Serialize;

/// Weights without training: `s_l = cos(h^(l), r^(l))` with a frozen concept vector `r`, then
/// `α = map(s / temperature)`, for each row by itself (Borah et al. 2025, arXiv 2506.13901,
/// appendix C).
///
/// The concept vector is the mean of embeddings known to be aligned. Defaults: sparsemax at
/// temperature 1, as in the paper. Cosines of neighbouring layers are close, so that few zeros
/// come out at that temperature; about 0.02 leaves two or three of 32 layers.
///
/// ```
/// use collimate_aqi::{CosineAnchor, LayerScales};
/// use ndarray::{Array3, array};
/// let anchor = CosineAnchor::shared(&[1.0, 0.0], 2)?;
/// // The first layer points along the anchor, the second away from it.
/// let activations = Array3::from_shape_fn((1, 2, 2), |(_, l, j)| [[3.0, 0.0], [-2.0, 0.0]][l][j]);
/// let pooling = anchor.pool(activations.view(), &LayerScales::none(2)?)?;
/// assert_eq!(pooling.weights, array![[1.0, 0.0]]);
/// assert_eq!(pooling.pooled, array![[3.0, 0.0]]);
/// assert_eq!(pooling.report.l_align, 2.0);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CosineAnchor {
    /// Unit vectors, `[L, d]`.
    directions: Array2<f64>,
    map: SimplexMap,
    temperature: f64,
}

/// What a [`CosineAnchor`] made of a set of rows.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AnchorPooling {
    /// Pooled embeddings, `[n, d]`.
    pub pooled: Array2<f64>,
    /// Weights of each row, `[n, L]`.
    pub weights: Array2<f64>,
    /// Means over the rows.
    pub report: AnchorReport,
}

/// Diagnostics of a [`CosineAnchor`], means over the rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AnchorReport {
    /// The map.
    #[serde(flatten)]
    pub map: SimplexMap,
    /// What cosines were divided by.
    pub temperature: f64,
    /// `L_align = 2 − (2/L) Σ_l cos(h^(l), r^(l))`, between 0 (aligned) and 4.
    pub l_align: f64,
    /// Number of layers with weight.
    pub mean_support: f64,
    /// Entropy of the weights in nats.
    pub mean_entropy: f64,
}

impl CosineAnchor {
    /// One concept vector for each layer, `[L, d]`.
    ///
    /// # Errors
    /// [`AqiError::ZeroDim`]; [`AqiError::Parameter`] for a vector that is zero or not finite.
    pub fn per_layer(anchors: ArrayView2<'_, f64>) -> Result<Self> {
        if anchors.is_empty() {
            return Err(AqiError::ZeroDim);
        }
        let mut directions = anchors.to_owned();
        for mut row in directions.rows_mut() {
            let length = row.to_vec();
            let norm = Norm::of(&length).ok_or_else(|| {
                AqiError::parameter("concept vector", "zero or not finite", "a direction")
            })?;
            row.mapv_inplace(|x| x / norm.largest / norm.rest);
        }
        Ok(Self { directions, map: SimplexMap::default(), temperature: 1.0 })
    }

    /// One concept vector, `[d]`, for all `layers` layers.
    ///
    /// # Errors
    /// As [`per_layer`](Self::per_layer).
    pub fn shared(anchor: &[f64], layers: usize) -> Result<Self> {
        let anchors = Array2::from_shape_fn((layers, anchor.len()), |(_, j)| anchor[j]);
        Self::per_layer(anchors.view())
    }

    /// The mean activations of rows that are known to be aligned, `[m, L, d]`.
    ///
    /// # Errors
    /// As [`per_layer`](Self::per_layer); [`AqiError::Empty`], [`AqiError::NonFiniteLayer`].
    pub fn mean_of<F: Element>(aligned: ArrayView3<'_, F>) -> Result<Self> {
        check_shape(&aligned)?;
        let (n, layers, dim) = aligned.dim();
        let mut mean = Array2::<f64>::zeros((layers, dim));
        let mut reader = Reader::<F>::new();
        for row in 0..n {
            let sample = reader.read(&aligned, row)?;
            for (mean, x) in mean.iter_mut().zip(sample) {
                *mean += x / n as f64;
            }
        }
        Self::per_layer(mean.view())
    }

    /// With another map than sparsemax.
    #[must_use]
    pub fn with_map(mut self, map: SimplexMap) -> Self {
        self.map = map;
        self
    }

    /// With another temperature than 1.
    #[must_use]
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// Weights and pooled embeddings of activations `[n, L, d]`; scales are applied to what is
    /// pooled, and don't affect cosines.
    ///
    /// # Errors
    /// [`AqiError::Empty`], [`AqiError::ZeroDim`]; [`AqiError::Shape`] for other layers or
    /// dimensions; [`AqiError::NonFiniteLayer`]; [`AqiError::ZeroLayer`] for a layer without
    /// direction; as [`SimplexMap::apply`] for the settings.
    pub fn pool<F: Element>(
        &self,
        activations: ArrayView3<'_, F>,
        scales: &LayerScales,
    ) -> Result<AnchorPooling> {
        check_shape(&activations)?;
        let rows: Vec<usize> = (0..activations.len_of(Axis(0))).collect();
        self.pool_some(&activations, &rows, scales)
    }

    /// The same for the rows listed, which exist, at least one.
    pub(super) fn pool_some<F: Element>(
        &self,
        activations: &ArrayView3<'_, F>,
        rows: &[usize],
        scales: &LayerScales,
    ) -> Result<AnchorPooling> {
        let (_, layers, dim) = activations.dim();
        check_layers("concept vectors", layers, self.directions.nrows())?;
        check_layers("dimensions of concept vectors", dim, self.directions.ncols())?;
        check_layers("layer scales", layers, scales.divisors().len())?;
        self.map.check(self.temperature)?;
        let (pooled, each) = fill_rows::<F, _, _>(rows.len(), dim, |reader, position, out| {
            let row = rows[position];
            let sample = reader.read(activations, row)?;
            let mut cosines = Vec::with_capacity(layers);
            let pairs = sample.chunks_exact(dim).zip(self.directions.rows());
            for (layer, (values, direction)) in pairs.enumerate() {
                let norm = Norm::of(values).ok_or(AqiError::ZeroLayer { row, layer })?;
                let dot: f64 =
                    values.iter().zip(direction).map(|(x, r)| x / norm.largest * r).sum();
                cosines.push((dot / norm.rest).clamp(-1.0, 1.0));
            }
            let weights = self.map.apply(&cosines, self.temperature)?;
            add_layers(out, sample, &weights, scales)?;
            let l_align = 2.0 - 2.0 * cosines.iter().sum::<f64>() / layers as f64;
            Ok(RowWeights { weights, l_align })
        })?;
        let rows = each.len() as f64;
        let support = |row: &RowWeights| row.weights.iter().filter(|&&w| w > 0.0).count() as f64;
        let report = AnchorReport {
            map: self.map,
            temperature: self.temperature,
            l_align: each.iter().map(|row| row.l_align).sum::<f64>() / rows,
            mean_support: each.iter().map(support).sum::<f64>() / rows,
            mean_entropy: each.iter().map(|row| entropy(&row.weights)).sum::<f64>() / rows,
        };
        let weights = Array2::from_shape_fn((each.len(), layers), |(i, l)| each[i].weights[l]);
        Ok(AnchorPooling { pooled, weights, report })
    }
}

impl AnchorPooling {
    /// The mean of the rows' weights. For a summary: pooling all rows with it is another
    /// embedding than [`pooled`](Self::pooled).
    #[must_use]
    pub fn mean_weights(&self) -> LayerWeights {
        let rows = self.weights.nrows().max(1) as f64;
        let sums = self.weights.columns().into_iter().map(|column| column.sum());
        let means: Vec<f64> = sums.map(|sum| sum / rows).collect();
        LayerWeights::from_source(means, WeightSource::CosineAnchor(self.report.clone()))
    }
}

struct RowWeights {
    weights: Vec<f64>,
    l_align: f64,
}

/// A Euclidean norm `largest · rest` whose factors neither overflow nor vanish.
struct Norm {
    largest: f64,
    rest: f64,
}

impl Norm {
    /// `None` for zeros and for what is not finite.
    fn of(values: &[f64]) -> Option<Self> {
        let largest = values.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let squares = values.iter().map(|x| (x / largest) * (x / largest));
        let rest = squares.sum::<f64>().sqrt();
        // 0/0 and ∞/∞ are NaN, which is not finite either.
        (largest > 0.0 && rest.is_finite()).then_some(Self { largest, rest })
    }
}
