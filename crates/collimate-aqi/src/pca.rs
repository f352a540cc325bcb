//! Principal components, for pictures and for removing dominant directions.

use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::linalg::{fix_signs, gram, orthonormal_complement, power_of_two_near, symmetric_eigen};
use crate::moments::times_power_of_two;
use crate::rng::Stream;
use ndarray::{Array1, Array2, ArrayView2, Axis, Slice, concatenate};
use rayon::prelude::*;

/// Rows that are converted to `f64` at a time. Never depends on the machine.
const TILE_ROWS: usize = 256;

/// Tiles worked on side by side, before their sums are added in order.
const TILES_AT_ONCE: usize = 8;

/// Up to this many rows or columns the whole Gram matrix is decomposed.
const EXACT: usize = 128;

/// Length of `C v − λ v` over the largest eigenvalue, below which a component is taken.
const TOLERANCE: f64 = 1e-10;

/// Times that the search space is extended before giving up.
const MAX_EXTENSIONS: usize = 500;

/// An eigenvalue below this share of the largest is rounding, not variance.
const RANK_TOLERANCE: f64 = 1e-13;

/// The first `m` principal components of rows in `d` dimensions (Pearson 1901).
///
/// For pictures, and for [`Transform::RemoveTop`](crate::Transform::RemoveTop). Don't score on
/// these coordinates: the components are chosen for their variance in these very rows, so that
/// indices on them are biased upwards, the more the fewer components are kept.
///
/// ```
/// use collimate_aqi::Pca;
/// use ndarray::array;
/// let rows = array![[0.0_f32, 0.0], [3.0, 4.0], [6.0, 8.0]];
/// let pca = Pca::fit(rows.view(), 1)?;
/// assert!((pca.components[[0, 1]] - 0.8).abs() < 1e-12);
/// assert!((pca.project(rows.view())?[[2, 0]] - 5.0).abs() < 1e-12);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Pca {
    /// Mean of the rows, `[d]`.
    pub mean: Array1<f64>,
    /// Orthonormal directions as rows, `[m, d]`, by falling variance. In each, the loading of
    /// largest magnitude is positive.
    pub components: Array2<f64>,
    /// Variance along each component, with `n − 1` in the denominator, `[m]`.
    pub explained_variance: Vec<f64>,
    /// The same as a share of the total variance, `[m]`.
    pub explained_variance_ratio: Vec<f64>,
}

impl Pca {
    /// The first `m` components of `rows`, `[n, d]`.
    ///
    /// Where rows or columns are few, from the eigenvectors of the smaller Gram matrix;
    /// otherwise by block Krylov iteration with thick restarts and Rayleigh-Ritz (Wu & Simon
    /// 2000) from a fixed start, until the residual of every component falls below `1e-10` of
    /// the largest eigenvalue. Rows are read in tiles: the input is never converted to `f64` as
    /// a whole. Meant for a few components: time grows with the cube of `m`.
    ///
    /// # Errors
    /// [`AqiError::Empty`], [`AqiError::ZeroDim`], [`AqiError::NonFinite`];
    /// [`AqiError::DegenerateData`] if all rows are equal; [`AqiError::Parameter`] if `m` is zero
    /// or above the number of directions in which the rows vary; [`AqiError::NotConverged`].
    pub fn fit<F: Element>(rows: ArrayView2<'_, F>, m: usize) -> Result<Self> {
        let centred = Centred::new(rows)?;
        let smaller = rows.nrows().min(rows.ncols());
        if m == 0 || m > smaller {
            return Err(too_many(m));
        }
        let (values, mut components) = if smaller <= EXACT.max(search_space(m)) {
            centred.exact(m)?
        } else {
            centred.iterate(m)?
        };
        if values[m - 1] <= RANK_TOLERANCE * values[0] {
            return Err(too_many(m));
        }
        fix_signs(&mut components);
        let n = rows.nrows() as f64;
        let scale = |value: f64| times_power_of_two(value * n / (n - 1.0), 2 * centred.exponent);
        Ok(Self {
            mean: centred.mean.mapv(|x| times_power_of_two(x, centred.exponent)),
            explained_variance: values.iter().map(|&value| scale(value)).collect(),
            explained_variance_ratio: values.iter().map(|v| v / centred.total).collect(),
            components,
        })
    }

    /// Coordinates of `rows`, `[n, d]`, along the components: `(x − mean) · components'`,
    /// `[n, m]`.
    ///
    /// # Errors
    /// [`AqiError::Shape`] if the rows have other dimensions than those fitted;
    /// [`AqiError::NonFinite`] for rows with NaN or infinite coordinates.
    pub fn project<F: Element>(&self, rows: ArrayView2<'_, F>) -> Result<Array2<f64>> {
        if rows.ncols() != self.mean.len() {
            return Err(AqiError::Shape {
                what: "columns of the rows to project",
                expected: self.mean.len(),
                found: rows.ncols(),
            });
        }
        largest(rows)?;
        let mut coordinates = Array2::zeros((rows.nrows(), self.components.nrows()));
        coordinates
            .axis_chunks_iter_mut(Axis(0), TILE_ROWS)
            .zip(rows.axis_chunks_iter(Axis(0), TILE_ROWS))
            .par_bridge()
            .for_each(|(mut part, rows)| {
                let tile = rows.mapv(Element::to_f64) - &self.mean;
                part.assign(&tile.dot(&self.components.t()));
            });
        Ok(coordinates)
    }
}

fn too_many(m: usize) -> AqiError {
    AqiError::parameter(
        "number of principal components",
        m,
        "at least one, and no more than the directions in which the rows vary",
    )
}

/// Largest magnitude, or an error that names the first value that is not finite.
pub(crate) fn largest<F: Element>(rows: ArrayView2<'_, F>) -> Result<f64> {
    let mut largest = 0.0_f64;
    for ((row, col), value) in rows.indexed_iter() {
        let value = value.to_f64();
        if !value.is_finite() {
            return Err(AqiError::NonFinite { row, col, value: value.to_string() });
        }
        largest = largest.max(value.abs());
    }
    Ok(largest)
}

/// Vectors in the search space of the iteration when it restarts.
fn search_space(m: usize) -> usize {
    (5 * (m + 2)).max(60)
}

/// Rows less their mean, in units of `2^exponent`, read in tiles.
struct Centred<'a, F> {
    rows: ArrayView2<'a, F>,
    exponent: i32,
    mean: Array1<f64>,
    /// `Σ ‖x − mean‖² / n`.
    total: f64,
}

impl<'a, F: Element> Centred<'a, F> {
    fn new(rows: ArrayView2<'a, F>) -> Result<Self> {
        if rows.nrows() == 0 {
            return Err(AqiError::Empty);
        }
        if rows.ncols() == 0 {
            return Err(AqiError::ZeroDim);
        }
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the logarithm of a finite f64 is small"
        )]
        let exponent = power_of_two_near(largest(rows)?).log2() as i32;
        let mut centred = Self { rows, exponent, mean: Array1::zeros(rows.ncols()), total: 0.0 };
        // Relative to the first row, so that large offsets cost no digits.
        let origin = centred.tile(0, 1).row(0).to_owned();
        centred.mean.assign(&origin);
        let sums = centred.sum_tiles(|tile| tile.sum_axis(Axis(0)));
        centred.mean = origin + sums / rows.nrows() as f64;
        let squares =
            centred.sum_tiles(|tile| Array1::from_elem(1, tile.iter().map(|x| x * x).sum()));
        centred.total = squares[0] / rows.nrows() as f64;
        if centred.total == 0.0 {
            return Err(AqiError::DegenerateData);
        }
        Ok(centred)
    }

    fn tile(&self, from: usize, to: usize) -> Array2<f64> {
        let rows = self.rows.slice_axis(Axis(0), Slice::from(from..to));
        // Two factors, since one alone could overflow.
        let half = -self.exponent / 2;
        let factors = (f64::powi(2.0, half), f64::powi(2.0, -self.exponent - half));
        rows.mapv(|x| x.to_f64() * factors.0 * factors.1) - &self.mean
    }

    /// `Σ f(tile)` over all tiles, in their order.
    fn sum_tiles<D: ndarray::Dimension>(
        &self,
        f: impl Fn(Array2<f64>) -> ndarray::Array<f64, D> + Sync,
    ) -> ndarray::Array<f64, D> {
        let n = self.rows.nrows();
        let starts: Vec<usize> = (0..n).step_by(TILE_ROWS).collect();
        let mut sum = None;
        for group in starts.chunks(TILES_AT_ONCE) {
            let parts: Vec<_> = group
                .par_iter()
                .map(|&from| f(self.tile(from, (from + TILE_ROWS).min(n))))
                .collect();
            for part in parts {
                match &mut sum {
                    None => sum = Some(part),
                    Some(sum) => *sum += &part,
                }
            }
        }
        sum.unwrap_or_else(|| ndarray::Array::zeros(D::zeros(D::NDIM.unwrap_or(0))))
    }

    /// `C B'` as rows for a block `B`, `[b, d]`, with `C` the population covariance.
    fn covariance_times(&self, block: &Array2<f64>) -> Array2<f64> {
        let product = self.sum_tiles(|tile| tile.dot(&block.t()).t().dot(&tile));
        product / self.rows.nrows() as f64
    }

    /// Eigenvalues and eigenvectors, as rows, from the smaller Gram matrix.
    fn exact(&self, m: usize) -> Result<(Vec<f64>, Array2<f64>)> {
        let (n, d) = self.rows.dim();
        if d <= n {
            let covariance = self.sum_tiles(|tile| tile.t().dot(&tile)) / n as f64;
            let (mut values, vectors) = symmetric_eigen(&covariance);
            values.truncate(m);
            let vectors = vectors.t().slice_axis(Axis(0), Slice::from(..m)).to_owned();
            return Ok((values, vectors));
        }
        let x = self.tile(0, n);
        let (mut values, vectors) = symmetric_eigen(&(gram(x.view()) / n as f64));
        values.truncate(m);
        if values[m - 1] <= RANK_TOLERANCE * values[0] {
            return Err(too_many(m));
        }
        let vectors = vectors.t().slice_axis(Axis(0), Slice::from(..m)).dot(&x);
        let vectors = orthonormal_complement(Array2::zeros((0, d)).view(), vectors.view());
        if vectors.nrows() < m {
            return Err(too_many(m));
        }
        Ok((values, vectors))
    }

    /// The same by extending a search space with the residuals of its best approximations.
    fn iterate(&self, m: usize) -> Result<(Vec<f64>, Array2<f64>)> {
        let d = self.rows.ncols();
        let (block, most) = (m + 2, search_space(m));
        let mut stream = Stream::new(0, 0);
        let start = Array2::from_shape_simple_fn((block, d), || stream.normal());
        let start = self.covariance_times(&start);
        let mut basis = orthonormal_complement(Array2::zeros((0, d)).view(), start.view());
        let mut images = self.covariance_times(&basis);
        let mut worst = f64::INFINITY;
        for _ in 0..MAX_EXTENSIONS {
            let (mut values, vectors) = symmetric_eigen(&images.dot(&basis.t()));
            let kept = if basis.nrows() + block > most { most / 2 } else { basis.nrows() };
            let turn = vectors.t().slice_axis(Axis(0), Slice::from(..kept)).to_owned();
            basis = turn.dot(&basis);
            images = turn.dot(&images);
            values.truncate(kept);

            let lead = block.min(kept);
            let mut residuals = Vec::with_capacity(lead);
            worst = 0.0;
            for i in 0..lead {
                let residual = &images.row(i) - &(&basis.row(i) * values[i]);
                let length = residual.dot(&residual).sqrt() / values[0];
                if i < m {
                    worst = f64::max(worst, length);
                }
                if length > TOLERANCE / 2.0 {
                    residuals.push(i);
                }
            }
            if kept >= m && worst <= TOLERANCE {
                values.truncate(m);
                return Ok((values, basis.slice_axis(Axis(0), Slice::from(..m)).to_owned()));
            }
            let mut directions = images.select(Axis(0), &residuals);
            for (mut direction, &i) in directions.rows_mut().into_iter().zip(&residuals) {
                direction.scaled_add(-values[i], &basis.row(i));
            }
            let new = orthonormal_complement(basis.view(), directions.view());
            if new.nrows() == 0 {
                // The rows vary in no further direction.
                return Err(too_many(m));
            }
            let new_images = self.covariance_times(&new);
            basis = joined(&basis, &new);
            images = joined(&images, &new_images);
        }
        Err(AqiError::NotConverged {
            what: "principal components",
            iterations: MAX_EXTENSIONS,
            residual: worst,
        })
    }
}

/// The rows of both; they have the same number of columns.
fn joined(a: &Array2<f64>, b: &Array2<f64>) -> Array2<f64> {
    concatenate(Axis(0), &[a.view(), b.view()]).unwrap_or_else(|_| a.clone())
}
