//! Weighted sums of layers, row by row.

use super::read::{check_layers, check_shape, fill_rows};
use super::scales::{LayerScales, check_scaled};
use super::weights::LayerWeights;
use crate::element::Element;
use crate::error::Result;
use ndarray::{Array2, ArrayView3};

/// The embeddings `Σ_l α_l h^(l) / s_l`, `[n, d]`, of activations `[n, L, d]`.
///
/// What [`LayerMoments::dispersion`](crate::LayerMoments::dispersion) says of the weights is what
/// [`Moments`](crate::Moments) says of these rows; inference that needs rows starts here.
///
/// ```
/// use collimate_aqi::{LayerScales, LayerWeights, pool_layers};
/// use ndarray::{Array3, array};
/// let activations = Array3::from_shape_fn((1, 2, 3), |(_, l, j)| (10 * l + j) as f64);
/// let weights = LayerWeights::fixed(vec![0.5, 0.5])?;
/// let pooled = pool_layers(activations.view(), &weights, &LayerScales::none(2)?)?;
/// assert_eq!(pooled, array![[5.0, 6.0, 7.0]]);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Empty`](crate::AqiError::Empty),
/// [`AqiError::ZeroDim`](crate::AqiError::ZeroDim),
/// [`AqiError::Shape`](crate::AqiError::Shape) unless weights and scales have `L` entries,
/// [`AqiError::NonFiniteLayer`](crate::AqiError::NonFiniteLayer);
/// [`AqiError::Parameter`](crate::AqiError::Parameter) if a quotient overflows.
pub fn pool_layers<F: Element>(
    activations: ArrayView3<'_, F>,
    weights: &LayerWeights,
    scales: &LayerScales,
) -> Result<Array2<f64>> {
    check_shape(&activations)?;
    let (n, layers, dim) = activations.dim();
    check_layers("layer weights", layers, weights.values().len())?;
    check_layers("layer scales", layers, scales.divisors().len())?;
    let (pooled, _) = fill_rows::<F, _, _>(n, dim, |reader, row, out| {
        let sample = reader.read(&activations, row)?;
        add_layers(out, sample, weights.values(), scales)
    })?;
    Ok(pooled)
}

/// Adds `Σ_l α_l h^(l) / s_l` of one row, layers one after the other, to `out`, `[d]`.
pub(super) fn add_layers(
    out: &mut [f64],
    sample: &[f64],
    weights: &[f64],
    scales: &LayerScales,
) -> Result<()> {
    let layers = sample.chunks_exact(out.len());
    for ((layer, &weight), &divisor) in layers.zip(weights).zip(scales.divisors()) {
        if weight == 0.0 {
            continue;
        }
        for (sum, x) in out.iter_mut().zip(layer) {
            *sum += weight * (x / divisor);
        }
    }
    out.iter().copied().try_for_each(check_scaled)
}
