//! t-SNE, for pictures.

use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::linalg::{gram, power_of_two_near};
use crate::moments::times_power_of_two;
use crate::pca::{Pca, largest};
use crate::rng::Stream;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// Iterations in which similarities are exaggerated, and by how much.
const EARLY: usize = 250;
const EXAGGERATION: f64 = 12.0;

/// Standard deviation of the first coordinate at the start.
const START: f64 = 1e-4;

/// Bisections for the bandwidth of one row, and the error of the entropy that ends them.
const BISECTIONS: usize = 200;
const ENTROPY_ERROR: f64 = 1e-9;

/// Settings of [`tsne_embedding`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TsneConfig {
    /// Dimensions of the picture, 2 or 3. Default 2.
    pub dim: usize,
    /// Effective number of neighbours of a row, at least 1 and below the number of rows less
    /// one. Default 30.
    pub perplexity: f64,
    /// Steps of gradient descent, of which the first 250 exaggerate similarities. Default 1000.
    pub iterations: usize,
}

impl Default for TsneConfig {
    fn default() -> Self {
        Self { dim: 2, perplexity: 30.0, iterations: 1000 }
    }
}

impl TsneConfig {
    /// Sets the dimensions of the picture, 2 or 3.
    #[must_use]
    pub fn with_dim(mut self, dim: usize) -> Self {
        self.dim = dim;
        self
    }

    /// Sets the effective number of neighbours of a row.
    #[must_use]
    pub fn with_perplexity(mut self, perplexity: f64) -> Self {
        self.perplexity = perplexity;
        self
    }

    /// Sets the steps of gradient descent.
    #[must_use]
    pub fn with_iterations(mut self, iterations: usize) -> Self {
        self.iterations = iterations;
        self
    }

    fn check(&self, rows: usize) -> Result<()> {
        if !matches!(self.dim, 2 | 3) {
            return Err(AqiError::parameter("dimensions of t-SNE", self.dim, "2 or 3"));
        }
        if !(self.perplexity >= 1.0 && self.perplexity < rows as f64 - 1.0) {
            return Err(AqiError::parameter(
                "perplexity",
                self.perplexity,
                "at least 1, and below the number of rows less one",
            ));
        }
        Ok(())
    }
}

/// Coordinates of `rows`, `[n, d]`, in a picture: `[n, 2]` or `[n, 3]`, by exact t-SNE (van der
/// Maaten & Hinton 2008) from the principal components, with the learning rate
/// `max(n / 48, 50)` (Belkina et al. 2019). `O(n²)` in time for each step and in memory: for a
/// few thousand rows.
///
/// For pictures only: never score on these coordinates. Their distances are not distances of
/// embeddings, separation appears where there is none, and another order of the rows, another
/// perplexity or another version changes every index. The same input gives the same bytes on
/// one machine, whatever the number of threads.
///
/// ```
/// use collimate_aqi::{TsneConfig, tsne_embedding};
/// use ndarray::Array2;
/// let rows = Array2::from_shape_fn((20, 3), |(i, j)| (i * (j + 1) % 7) as f32);
/// let config = TsneConfig::default().with_perplexity(5.0).with_iterations(300);
/// assert_eq!(tsne_embedding(rows.view(), &config)?.dim(), (20, 2));
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Parameter`] for a setting outside its range; [`AqiError::Empty`],
/// [`AqiError::ZeroDim`], [`AqiError::NonFinite`]; [`AqiError::DegenerateData`] if all rows are
/// equal.
pub fn tsne_embedding<F: Element>(
    rows: ArrayView2<'_, F>,
    config: &TsneConfig,
) -> Result<Array2<f64>> {
    if rows.nrows() == 0 {
        return Err(AqiError::Empty);
    }
    config.check(rows.nrows())?;
    let mut points = start(rows, config.dim)?;
    let similarities = joint_similarities(&squared_distances(rows)?, config.perplexity);
    let n = points.nrows();
    let rate = (n as f64 / EXAGGERATION / 4.0).max(50.0);
    let mut velocity = Array2::<f64>::zeros(points.dim());
    let mut gains = Array2::<f64>::ones(points.dim());
    for iteration in 0..config.iterations {
        let (exaggeration, momentum) =
            if iteration < EARLY { (EXAGGERATION, 0.5) } else { (1.0, 0.8) };
        let gradient = gradient(&points, &similarities, exaggeration);
        ndarray::Zip::from(&mut velocity).and(&mut gains).and(&gradient).for_each(
            |velocity, gain, slope| {
                *gain = if *velocity * slope < 0.0 { *gain + 0.2 } else { (*gain * 0.8).max(0.01) };
                *velocity = momentum * *velocity - rate * *gain * slope;
            },
        );
        points += &velocity;
    }
    if let Some(mean) = points.mean_axis(Axis(0)) {
        points -= &mean;
    }
    Ok(points)
}

/// The principal components, the first with standard deviation [`START`]; small noise in
/// dimensions for which the rows have no component.
fn start<F: Element>(rows: ArrayView2<'_, F>, dim: usize) -> Result<Array2<f64>> {
    let mut points = Array2::from_shape_fn((rows.nrows(), dim), |(row, column)| {
        START * Stream::new(column as u64, row as u64).normal()
    });
    for m in (1..=dim).rev() {
        let pca = match Pca::fit(rows, m) {
            Err(AqiError::Parameter { .. }) => continue,
            other => other?,
        };
        let coordinates = pca.project(rows)?;
        let unit = power_of_two_near(largest(coordinates.view())?);
        let coordinates = coordinates / unit;
        let sd = coordinates.column(0).std(0.0);
        for (mut to, from) in points.columns_mut().into_iter().zip(coordinates.columns()) {
            to.assign(&(&from * (START / sd)));
        }
        break;
    }
    Ok(points)
}

/// `‖x_i − x_j‖²` up to a common factor that keeps the largest near one.
fn squared_distances<F: Element>(rows: ArrayView2<'_, F>) -> Result<Array2<f64>> {
    let unit = power_of_two_near(largest(rows)?).log2();
    #[allow(clippy::cast_possible_truncation, reason = "an exponent of an f64")]
    let mut x = rows.mapv(|x| times_power_of_two(x.to_f64(), -(unit as i32)));
    let origin = x.row(0).to_owned();
    x -= &origin;
    if let Some(mean) = x.mean_axis(Axis(0)) {
        x -= &mean;
    }
    let largest = x.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    x.mapv_inplace(|x| x / power_of_two_near(largest));
    let mut distances = gram(x.view());
    let squares = distances.diag().to_owned();
    for ((i, j), value) in distances.indexed_iter_mut() {
        *value = if i == j { 0.0 } else { (squares[i] + squares[j] - 2.0 * *value).max(0.0) };
    }
    Ok(distances)
}

/// `p_ij = (p_j|i + p_i|j) / 2n`, each `p_·|i` with the entropy of `perplexity` neighbours.
fn joint_similarities(distances: &Array2<f64>, perplexity: f64) -> Array2<f64> {
    let n = distances.nrows();
    let conditional: Vec<Vec<f64>> = (0..n)
        .into_par_iter()
        .map(|i| neighbours(distances.row(i).to_vec(), i, perplexity.ln()))
        .collect();
    Array2::from_shape_fn((n, n), |(i, j)| {
        (conditional[i][j] + conditional[j][i]) / (2.0 * n as f64)
    })
}

/// `exp(−β d²) / Σ` over the others, with `β` such that its entropy is `entropy` nats.
fn neighbours(mut distances: Vec<f64>, own: usize, entropy: f64) -> Vec<f64> {
    let others = |row: usize| row != own;
    let nearest = (0..distances.len())
        .filter(|&j| others(j))
        .map(|j| distances[j])
        .fold(f64::INFINITY, f64::min);
    let mean = distances.iter().map(|d| d - nearest).sum::<f64>() / distances.len() as f64;
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let mut beta = if mean > 0.0 { 1.0 / mean } else { 1.0 };
    for _ in 0..BISECTIONS {
        let (mut sum, mut moment) = (0.0, 0.0);
        for (_, d) in distances.iter().enumerate().filter(|(j, _)| others(*j)) {
            let weight = (-beta * (d - nearest)).exp();
            sum += weight;
            moment += weight * (d - nearest);
        }
        let found = sum.ln() + beta * moment / sum;
        if (found - entropy).abs() < ENTROPY_ERROR {
            break;
        }
        if found > entropy {
            low = beta;
            beta = if high.is_finite() { f64::midpoint(low, high) } else { 2.0 * beta };
        } else {
            high = beta;
            beta = f64::midpoint(low, high);
        }
        // More copies of the row than neighbours: no bandwidth tells them apart.
        beta = beta.min(f64::MAX / 4.0);
    }
    let mut sum = 0.0;
    for (j, d) in distances.iter_mut().enumerate() {
        *d = if others(j) {
            // Zero times infinity cannot come up: beta is finite.
            (-beta * (*d - nearest)).exp()
        } else {
            0.0
        };
        sum += *d;
    }
    distances.iter_mut().for_each(|d| *d /= sum);
    distances
}

/// `4 Σ_j (e p_ij − q_ij) (y_i − y_j) / (1 + ‖y_i − y_j‖²)`.
fn gradient(points: &Array2<f64>, similarities: &Array2<f64>, exaggeration: f64) -> Array2<f64> {
    let (n, dim) = points.dim();
    let parts: Vec<(f64, [f64; 3], [f64; 3])> = (0..n)
        .into_par_iter()
        .map(|i| {
            let own = points.row(i);
            let (mut sum, mut pull, mut push) = (0.0, [0.0; 3], [0.0; 3]);
            for (j, (other, p)) in points.rows().into_iter().zip(similarities.row(i)).enumerate() {
                if i == j {
                    continue;
                }
                let mut delta = [0.0; 3];
                for ((delta, a), b) in delta.iter_mut().zip(own).zip(other) {
                    *delta = a - b;
                }
                let square: f64 = delta.iter().map(|x| x * x).sum();
                let closeness = 1.0 / (1.0 + square);
                sum += closeness;
                for axis in 0..3 {
                    pull[axis] += p * closeness * delta[axis];
                    push[axis] += closeness * closeness * delta[axis];
                }
            }
            (sum, pull, push)
        })
        .collect();
    let total: Array1<f64> = parts.iter().map(|part| part.0).collect();
    let total = total.sum();
    Array2::from_shape_fn((n, dim), |(i, axis)| {
        4.0 * (exaggeration * parts[i].1[axis] - parts[i].2[axis] / total)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn blobs(n: usize) -> Array2<f64> {
        let mut stream = Stream::new(1, 0);
        Array2::from_shape_fn((n, 10), |(i, j)| {
            stream.normal() + if j == i % 3 { 12.0 } else { 0.0 }
        })
    }

    // from sklearn.manifold._t_sne import _joint_probabilities
    // x = np.array([[0,0],[1,0],[0,2],[3,3],[5,1.]]); D = squared distances, float32
    // squareform(_joint_probabilities(D, 2.0, 0)): scikit-learn stops at an entropy error of 1e-5
    #[test]
    fn similarities_are_those_of_scikit_learn() -> Result<()> {
        let x = array![[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 3.0], [5.0, 1.0]];
        let p = joint_similarities(&squared_distances(x.view())?, 2.0);
        for ((i, j), expected) in SKLEARN_P {
            let found = p[[i, j]];
            assert!((found - expected).abs() < 2e-5, "{i} {j}: {found} {expected}");
        }
        assert!((p.sum() - 1.0).abs() < 1e-14);
        Ok(())
    }

    const SKLEARN_P: [((usize, usize), f64); 10] = [
        ((1, 0), 0.14009276993419081),
        ((2, 0), 0.09770306319545083),
        ((2, 1), 0.056721161290933866),
        ((3, 0), 0.0012491369008296237),
        ((3, 1), 0.006100762195639637),
        ((3, 2), 0.023441782211515626),
        ((4, 0), 0.0032117946249277606),
        ((4, 1), 0.016250478020378857),
        ((4, 2), 0.003060397063587468),
        ((4, 3), 0.1521686545625455),
    ];

    #[test]
    fn the_gradient_is_the_derivative_of_the_divergence() -> Result<()> {
        let x = blobs(12);
        let p = joint_similarities(&squared_distances(x.view())?, 4.0);
        let points = x.select(Axis(1), &[0, 1, 5]).mapv(|x| x / 8.0);
        let divergence = |points: &Array2<f64>| {
            let closeness = Array2::from_shape_fn((12, 12), |(i, j)| {
                let delta = &points.row(i) - &points.row(j);
                if i == j { 0.0 } else { 1.0 / (1.0 + delta.dot(&delta)) }
            });
            let total = closeness.sum();
            let term = |(p, q): (&f64, &f64)| {
                if *p > 0.0 { p * (p * total / q).ln() } else { 0.0 }
            };
            p.iter().zip(&closeness).map(term).sum::<f64>()
        };
        let found = gradient(&points, &p, 1.0);
        for ((i, axis), slope) in found.indexed_iter() {
            let moved = |step: f64| {
                let mut points = points.clone();
                points[[i, axis]] += step;
                divergence(&points)
            };
            let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - expected).abs() < 1e-8, "{slope} {expected}");
        }
        Ok(())
    }

    #[test]
    fn clusters_far_apart_stay_apart_for_any_number_of_threads() -> Result<()> {
        let x = blobs(60);
        let config = TsneConfig::default().with_perplexity(8.0).with_iterations(500);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| tsne_embedding(x.view(), &config))
        };
        let y = on(1)?;
        assert_eq!(on(3)?, y);
        for i in 0..60 {
            let distance = |j: usize| {
                let delta = &y.row(i) - &y.row(j);
                delta.dot(&delta)
            };
            let nearest =
                (0..60).filter(|&j| j != i).min_by(|&a, &b| distance(a).total_cmp(&distance(b)));
            assert_eq!(nearest.map(|j| j % 3), Some(i % 3), "row {i}");
        }
        assert_eq!(tsne_embedding(x.view(), &config.with_dim(3))?.dim(), (60, 3));
        Ok(())
    }

    #[test]
    fn copies_and_lines_and_extremes_of_scale_give_finite_pictures() -> Result<()> {
        let config = TsneConfig::default().with_perplexity(3.0).with_iterations(300);
        let line = Array2::from_shape_fn((30, 4), |(i, j)| (i * (j + 1)) as f64);
        let copies = Array2::from_shape_fn((30, 2), |(i, j)| ((i / 10) * (j + 1)) as f64);
        for rows in [&line, &copies, &(&line * 1e170), &(&line * 1e-170)] {
            let y = tsne_embedding(rows.view(), &config)?;
            assert!(y.iter().all(|y| y.is_finite()));
        }
        assert!(matches!(
            tsne_embedding(Array2::<f64>::ones((30, 2)).view(), &config),
            Err(AqiError::DegenerateData)
        ));
        let refused = |config: TsneConfig| {
            matches!(tsne_embedding(line.view(), &config), Err(AqiError::Parameter { .. }))
        };
        assert!(refused(config.clone().with_dim(4)));
        assert!(refused(config.clone().with_perplexity(29.0)));
        assert!(refused(config.with_perplexity(f64::NAN)));
        Ok(())
    }
}
