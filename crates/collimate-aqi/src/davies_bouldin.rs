//! The Davies-Bouldin index.

use crate::element::Element;
use crate::error::Result;
use crate::labels::Labels;
use crate::range::{Rows, squared_distance};
use ndarray::ArrayView2;

/// The Davies-Bouldin index, `mean_a max_{b≠a} (S_a + S_b) / δ_ab` with `S` the mean Euclidean
/// distance of a class's rows to its centroid and `δ` the distance of two centroids (Davies &
/// Bouldin 1979): lower is better.
///
/// `+∞` where two centroids coincide; scikit-learn reports 0, a perfect score, there or leaves
/// the pair out. Zero where every row equals its centroid and centroids differ. A second pass
/// over `rows`, `[n, d]`, after that of the [`Moments`](crate::Moments).
///
/// ```
/// use collimate_aqi::{Labels, davies_bouldin};
/// use ndarray::array;
/// let rows = array![[0.0_f32], [2.0], [10.0], [12.0]];
/// assert_eq!(davies_bouldin(rows.view(), &Labels::new([0, 0, 1, 1])?)?, 0.2);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Empty`](crate::AqiError::Empty), [`ZeroDim`](crate::AqiError::ZeroDim),
/// [`Shape`](crate::AqiError::Shape), [`NonFinite`](crate::AqiError::NonFinite),
/// [`SingleClass`](crate::AqiError::SingleClass), and
/// [`DegenerateData`](crate::AqiError::DegenerateData) if all rows are identical.
pub fn davies_bouldin<F: Element>(rows: ArrayView2<'_, F>, labels: &Labels) -> Result<f64> {
    let rows = Rows::labelled(rows, labels)?;
    let moments = rows.moments(labels)?;
    let dispersion = moments.dispersion()?;
    let k = labels.class_count();
    if dispersion.pair_indices().any(|(a, b)| dispersion.gap(a, b) == 0.0) {
        return Ok(f64::INFINITY);
    }
    let centroids: Vec<Vec<f64>> = (0..k).filter_map(|class| moments.mean(class)).collect();
    let codes = labels.codes();
    let distances = rows.map(|i, row| squared_distance(row, &centroids[codes[i]]).sqrt());
    let mut scatter = vec![0.0; k];
    for (distance, &code) in distances.iter().zip(codes) {
        scatter[code] += distance;
    }
    for (scatter, count) in scatter.iter_mut().zip(labels.counts()) {
        *scatter /= count as f64;
    }
    let unit = f64::powi(2.0, moments.exponent.unwrap_or(0));
    let worst = |a: usize| {
        (0..k)
            .filter(|&b| b != a)
            .map(|b| (scatter[a] + scatter[b]) / (dispersion.gap(a, b).sqrt() * unit))
            .fold(0.0, f64::max)
    };
    Ok((0..k).map(worst).sum::<f64>() / k as f64)
}
