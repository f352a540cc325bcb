//! Squared lengths and inner products of many weighted sums of rows.

use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::moments::{Moments, times_power_of_two};
use crate::sample::Sample;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut1, Axis, Slice};
use rayon::prelude::*;

/// Rows and columns of the blocks that products are computed in.
const BLOCK: usize = 128;

/// Sums of centred rows over fixed sets of rows ("cells"), stored so that inner products of
/// combinations of them are cheap: as coordinates `[cells, d]`, or as their Gram matrix
/// `[cells, cells]` where there are fewer cells than dimensions.
pub(crate) enum Space {
    Coordinates(Array2<f64>),
    Gram(Array2<f64>),
}

impl Space {
    /// The space of `cells`, centred on the grand mean of the rows in them, in the unit of
    /// `moments`. Memory: `cells · d` numbers while it is built, `cells · min(cells, d)` after.
    pub(crate) fn new<F: Element>(
        sample: &Sample<'_, F>,
        moments: &Moments,
        cells: &[Vec<usize>],
    ) -> Result<Self> {
        Ok(Self::with_squares(sample, moments, cells)?.0)
    }

    /// The same with the sum of the rows' squared distances from the grand mean, for each cell.
    pub(crate) fn with_squares<F: Element>(
        sample: &Sample<'_, F>,
        moments: &Moments,
        cells: &[Vec<usize>],
    ) -> Result<(Self, Vec<f64>)> {
        let dim = moments.dim;
        let exponent = moments.exponent.unwrap_or(0);
        let total: f64 = moments.classes.iter().map(|class| class.weight).sum();
        if total == 0.0 {
            return Err(AqiError::Empty);
        }
        let mut centre = vec![0.0; dim];
        for class in &moments.classes {
            for (c, mean) in centre.iter_mut().zip(&class.mean) {
                *c += mean * (class.weight / total);
            }
        }
        let mut sums = Array2::<f64>::zeros((cells.len(), dim));
        let fill = |(mut sum, rows): (ArrayViewMut1<'_, f64>, &Vec<usize>)| {
            let mut square = 0.0;
            for &row in rows {
                for ((sum, x), c) in sum.iter_mut().zip(sample.rows.row(row)).zip(&centre) {
                    let x = x.to_f64();
                    let x = if exponent == 0 { x } else { times_power_of_two(x, -exponent) };
                    let deviation = x - c;
                    *sum += deviation;
                    square += deviation * deviation;
                }
            }
            square
        };
        let squares = sums.axis_iter_mut(Axis(0)).into_par_iter().zip(cells).map(fill).collect();
        let space =
            if cells.len() < dim { Self::Gram(gram(&sums)) } else { Self::Coordinates(sums) };
        Ok((space, squares))
    }

    /// Number of cells.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Coordinates(sums) | Self::Gram(sums) => sums.nrows(),
        }
    }

    /// For `weights`, `[groups · size, cells]`: the `size × size` inner products of the
    /// combinations of each consecutive group of rows, row-major.
    pub(crate) fn inner_products(&self, weights: &Array2<f64>, size: usize) -> Vec<Vec<f64>> {
        let (Self::Coordinates(basis) | Self::Gram(basis)) = self;
        let mut images = Array2::zeros((weights.nrows(), basis.ncols()));
        general_mat_mul(1.0, weights, basis, 0.0, &mut images);
        let duals = match self {
            Self::Coordinates(_) => &images,
            Self::Gram(_) => weights,
        };
        (0..weights.nrows() / size)
            .map(|group| {
                let at = |i: usize| group * size + i;
                let mut products = vec![0.0; size * size];
                for a in 0..size {
                    for b in 0..=a {
                        let product = images.row(at(a)).dot(&duals.row(at(b)));
                        products[a * size + b] = product;
                        products[b * size + a] = product;
                    }
                }
                products
            })
            .collect()
    }
}

/// `X Xᵀ` by blocks, each computed once.
fn gram(rows: &Array2<f64>) -> Array2<f64> {
    let n = rows.nrows();
    let blocks = n.div_ceil(BLOCK);
    let pairs: Vec<(usize, usize)> =
        (0..blocks).flat_map(|i| (i..blocks).map(move |j| (i, j))).collect();
    let block = |index: usize| -> ArrayView2<'_, f64> {
        rows.slice_axis(Axis(0), Slice::from(index * BLOCK..((index + 1) * BLOCK).min(n)))
    };
    let products: Vec<Array2<f64>> =
        pairs.par_iter().map(|&(i, j)| block(i).dot(&block(j).t())).collect();
    let mut gram = Array2::zeros((n, n));
    for (&(i, j), product) in pairs.iter().zip(&products) {
        for ((a, b), &value) in product.indexed_iter() {
            gram[[i * BLOCK + a, j * BLOCK + b]] = value;
            gram[[j * BLOCK + b, i * BLOCK + a]] = value;
        }
    }
    gram
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;

    #[test]
    fn coordinates_and_gram_agree() -> Result<()> {
        for (n, d) in [(300, 7), (7, 300)] {
            let rows = Array2::from_shape_fn((n, d), |(i, j)| ((i * 37 + j * 91) % 101) as f64);
            let labels = Labels::new((0..n).map(|i| i % 2))?;
            let sample = Sample::new(rows.view(), &labels)?;
            let moments = Moments::from_rows(rows.view(), &labels)?;
            let cells: Vec<Vec<usize>> = (0..n).map(|row| vec![row]).collect();
            let space = Space::new(&sample, &moments, &cells)?;
            assert_eq!(matches!(space, Space::Gram(_)), n < d);
            let weights = Array2::from_shape_fn((4, n), |(i, j)| ((i + j) % 3) as f64);
            let found = space.inner_products(&weights, 2);
            let centred = &rows - &rows.mean_axis(Axis(0)).unwrap();
            let sums = weights.dot(&centred);
            for (group, products) in found.iter().enumerate() {
                for (index, product) in products.iter().enumerate() {
                    let (a, b) = (2 * group + index / 2, 2 * group + index % 2);
                    let expected = sums.row(a).dot(&sums.row(b));
                    assert!((product - expected).abs() <= 1e-9 * expected.abs().max(1.0));
                }
            }
        }
        Ok(())
    }
}
