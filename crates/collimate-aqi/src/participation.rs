//! In how many directions rows scatter.

use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::labels::Labels;
use crate::ordered::in_order;
use crate::pairwise::{matrix, matrix_mut};
use crate::range::{Rows, squared_norm};
use ndarray::ArrayView2;
use ndarray::linalg::general_mat_mul;
use std::ops::Range;

/// Rows or columns of a tile of the product.
const TILE: usize = 256;

/// Columns or rows that are summed over at a time.
const DEPTH: usize = 1024;

/// The participation ratio `r = (tr S)² / tr S²` of the pooled within-class covariance `S`: the
/// effective number of dimensions in which rows scatter about their class's centroid, between 1
/// and the rank of `S`.
///
/// `tr S²` is the sum of the squares of the scatter matrix `[d, d]` or of the Gram matrix
/// `[n, n]`, whichever is smaller; both are computed tile by tile and never held. One class is
/// enough. Time `O(n d min(n, d))`.
///
/// ```
/// use collimate_aqi::{Labels, participation_ratio};
/// use ndarray::array;
/// let rows = array![[1.0_f32, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
/// assert_eq!(participation_ratio(rows.view(), &Labels::new([0, 0, 0, 0])?)?, 2.0);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Empty`], [`AqiError::ZeroDim`], [`AqiError::Shape`], [`AqiError::NonFinite`],
/// [`AqiError::NoWithinScatter`] if every row equals its class's centroid.
pub fn participation_ratio<F: Element>(rows: ArrayView2<'_, F>, labels: &Labels) -> Result<f64> {
    let rows = Rows::new(rows)?;
    labels.check_len(rows.len())?;
    let moments = rows.moments(labels)?;
    let none = AqiError::NoWithinScatter { what: "the participation ratio" };
    let within: f64 = moments.classes.iter().map(|class| class.m2()).sum();
    if within == 0.0 {
        return Err(none);
    }
    let centroids: Vec<Vec<f64>> =
        (0..labels.class_count()).map(|class| moments.mean(class).unwrap_or_default()).collect();
    let centre = |row: usize| centroids[labels.codes()[row]].as_slice();
    let residuals = Residuals { rows: &rows, centre: &centre, by_row: rows.len() <= rows.dim() };
    let (trace, squares) = residuals.trace_and_squares();
    // The trace is taken from the same numbers as the squares, so that r keeps within its bounds.
    if squares > 0.0 { Ok(trace * trace / squares) } else { Err(none) }
}

/// Rows less their class's centroid, and the product of this matrix with its transpose.
struct Residuals<'r, 'a, 'c, F: Element> {
    rows: &'r Rows<'a, F>,
    centre: &'r (dyn Fn(usize) -> &'c [f64] + Sync),
    /// True for products of rows, `[n, n]`; false for products of columns, `[d, d]`.
    by_row: bool,
}

#[derive(Default)]
struct Scratch {
    a: Vec<f64>,
    b: Vec<f64>,
    products: Vec<f64>,
}

impl<F: Element> Residuals<'_, '_, '_, F> {
    /// The trace of the product, and the sum of the squares of its entries.
    fn trace_and_squares(&self) -> (f64, f64) {
        let (side, depth) = if self.by_row {
            (self.rows.len(), self.rows.dim())
        } else {
            (self.rows.dim(), self.rows.len())
        };
        let range = |start: usize, step: usize, end: usize| start..end.min(start + step);
        let tiles =
            (0..side).step_by(TILE).flat_map(|a| (a..side).step_by(TILE).map(move |b| (a, b)));
        let (mut trace, mut squares) = (0.0, 0.0);
        in_order(
            tiles,
            Scratch::default,
            |scratch, (a, b)| {
                let (a, b) = (range(a, TILE, side), range(b, TILE, side));
                scratch.products.clear();
                scratch.products.resize(a.len() * b.len(), 0.0);
                for inner in (0..depth).step_by(DEPTH) {
                    self.add_products(&a, &b, range(inner, DEPTH, depth), scratch);
                }
                let squares = squared_norm(&scratch.products);
                if a == b {
                    let diagonal = scratch.products.iter().step_by(a.len() + 1);
                    (diagonal.sum(), squares)
                } else {
                    (0.0, 2.0 * squares)
                }
            },
            |_, (part_trace, part_squares): (f64, f64)| {
                trace += part_trace;
                squares += part_squares;
            },
        );
        (trace, squares)
    }

    /// Adds the products of two ranges of rows over some columns, or of two ranges of columns
    /// over some rows.
    fn add_products(
        &self,
        a: &Range<usize>,
        b: &Range<usize>,
        inner: Range<usize>,
        scratch: &mut Scratch,
    ) {
        let mut products = matrix_mut(&mut scratch.products, b.len());
        if self.by_row {
            let x = self.read(a.clone(), inner.clone(), &mut scratch.a);
            let y = self.read(b.clone(), inner, &mut scratch.b);
            general_mat_mul(1.0, &x, &y.t(), 1.0, &mut products);
        } else {
            let x = self.read(inner.clone(), a.clone(), &mut scratch.a);
            let y = self.read(inner, b.clone(), &mut scratch.b);
            general_mat_mul(1.0, &x.t(), &y, 1.0, &mut products);
        }
    }

    fn read<'s>(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        out: &'s mut Vec<f64>,
    ) -> ArrayView2<'s, f64> {
        let width = columns.len();
        out.resize(rows.len() * width, 0.0);
        self.rows.read(rows, columns, self.centre, out);
        matrix(out, width)
    }
}
