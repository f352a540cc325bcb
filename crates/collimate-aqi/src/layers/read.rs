//! One row of activations at a time, as `f64`.

use crate::element::Element;
use crate::error::{AqiError, Result};
use ndarray::{Array2, ArrayView3, Axis};
use rayon::prelude::*;

/// Buffers for the values of one row.
pub(super) struct Reader<F: Element> {
    lanes: Vec<F::Lane>,
    values: Vec<f64>,
}

impl<F: Element> Reader<F> {
    pub(super) fn new() -> Self {
        Self { lanes: Vec::new(), values: Vec::new() }
    }

    /// The `L · d` values of a row, layer after layer.
    pub(super) fn read(&mut self, activations: &ArrayView3<'_, F>, row: usize) -> Result<&[f64]> {
        self.values.clear();
        let sample = activations.index_axis(Axis(0), row);
        for line in sample.rows() {
            if let Some(lanes) = line.as_slice().and_then(F::lanes) {
                self.values.extend(lanes.iter().map(|x| x.to_f64()));
                continue;
            }
            self.lanes.clear();
            match line.as_slice() {
                Some(line) => F::extend_lanes(line, &mut self.lanes),
                None => F::extend_lanes(&line.to_vec(), &mut self.lanes),
            }
            self.values.extend(self.lanes.iter().map(|x| x.to_f64()));
        }
        if !self.values.iter().all(|x| x.is_finite()) {
            return Err(self.non_finite(row, sample.ncols()));
        }
        Ok(&self.values)
    }

    fn non_finite(&self, row: usize, dim: usize) -> AqiError {
        let at = self.values.iter().position(|x| !x.is_finite());
        let at = at.unwrap_or_default();
        AqiError::NonFiniteLayer {
            row,
            layer: at / dim,
            col: at % dim,
            value: self.values[at].to_string(),
        }
    }
}

/// Checks that activations `[n, L, d]` have rows, layers and dimensions.
pub(super) fn check_shape<F>(activations: &ArrayView3<'_, F>) -> Result<()> {
    match activations.dim() {
        (0, _, _) => Err(AqiError::Empty),
        (_, 0, _) | (_, _, 0) => Err(AqiError::ZeroDim),
        _ => Ok(()),
    }
}

/// An `[n, d]` array whose rows are filled in parallel by `fill(reader, row, out)`, and what
/// `fill` returned for each; the error is that of the first row that has one.
pub(super) fn fill_rows<F, T, Fill>(
    n: usize,
    dim: usize,
    fill: Fill,
) -> Result<(Array2<f64>, Vec<T>)>
where
    F: Element,
    T: Send,
    Fill: Fn(&mut Reader<F>, usize, &mut [f64]) -> Result<T> + Sync,
{
    let mut values = vec![0.0; n * dim];
    let results: Vec<Result<T>> = values
        .par_chunks_mut(dim)
        .enumerate()
        .map_init(Reader::<F>::new, |reader, (row, out)| fill(reader, row, out))
        .collect();
    let results = results.into_iter().collect::<Result<Vec<T>>>()?;
    let length = values.len();
    let rows = Array2::from_shape_vec((n, dim), values).map_err(|_| AqiError::Shape {
        what: "values of rows",
        expected: n * dim,
        found: length,
    })?;
    Ok((rows, results))
}

/// Checks that there are as many layers here as there.
pub(super) fn check_layers(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found { Ok(()) } else { Err(AqiError::Shape { what, expected, found }) }
}
