//! Rows that can be squared and summed: not empty, finite, and within the range of `f64`.

use crate::element::{Element, Lane};
use crate::error::{AqiError, Result};
use crate::labels::Labels;
use crate::moments::{Moments, times_power_of_two};
use crate::ordered::in_order;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, Slice};
use std::ops::Range;

/// Rows read or reduced by one task.
pub(crate) const CHUNK_ROWS: usize = 256;

/// Values between `2^-SAFE` and `2^SAFE` can be squared and summed as they are.
const SAFE: i32 = 300;

/// Checked rows `[n, d]`, `n, d > 0`, all finite.
///
/// Where the largest value is too large or too small to be squared in `f64`, this holds a copy
/// divided by `2^exponent`; every index that is free of scale may ignore that.
#[derive(Debug)]
pub(crate) struct Rows<'a, F: Element> {
    data: Data<'a, F>,
    exponent: i32,
}

#[derive(Debug)]
enum Data<'a, F: Element> {
    Given(ArrayView2<'a, F>),
    Rescaled(Array2<f64>),
}

impl<'a, F: Element> Rows<'a, F> {
    /// Checks the rows.
    ///
    /// # Errors
    /// [`AqiError::Empty`], [`AqiError::ZeroDim`], [`AqiError::NonFinite`].
    pub(crate) fn new(rows: ArrayView2<'a, F>) -> Result<Self> {
        if rows.nrows() == 0 {
            return Err(AqiError::Empty);
        }
        if rows.ncols() == 0 {
            return Err(AqiError::ZeroDim);
        }
        let (mut largest, mut bad) = (0.0_f64, None);
        in_order(
            0..rows.nrows().div_ceil(CHUNK_ROWS),
            || (),
            |(), chunk| {
                let start = chunk * CHUNK_ROWS;
                let end = rows.nrows().min(start + CHUNK_ROWS);
                largest_value(rows.slice_axis(Axis(0), Slice::from(start..end)), start)
            },
            |_, part| match part {
                Ok(value) => largest = largest.max(value),
                Err(error) => bad = bad.take().or(Some(error)),
            },
        );
        if let Some(error) = bad {
            return Err(error);
        }
        let exponent = if F::Lane::WIDE { exponent_of(largest) } else { 0 };
        let data = if exponent == 0 {
            Data::Given(rows)
        } else {
            Data::Rescaled(rows.mapv(|x| times_power_of_two(x.to_f64(), -exponent)))
        };
        Ok(Self { data, exponent })
    }

    /// Checks rows that labels shall separate.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`AqiError::Shape`] if there is not one label for each row,
    /// [`AqiError::SingleClass`], [`AqiError::DegenerateData`] if all rows are identical.
    pub(crate) fn labelled(rows: ArrayView2<'a, F>, labels: &Labels) -> Result<Self> {
        if rows.nrows() == 0 {
            return Err(AqiError::Empty);
        }
        labels.check_len(rows.nrows())?;
        let rows = Self::new(rows)?;
        if let [class] = labels.classes() {
            return Err(AqiError::SingleClass { class: class.clone() });
        }
        if rows.all_identical() {
            return Err(AqiError::DegenerateData);
        }
        Ok(rows)
    }

    /// Number of rows `n`.
    pub(crate) fn len(&self) -> usize {
        match &self.data {
            Data::Given(view) => view.nrows(),
            Data::Rescaled(copy) => copy.nrows(),
        }
    }

    /// Number of dimensions `d`.
    pub(crate) fn dim(&self) -> usize {
        match &self.data {
            Data::Given(view) => view.ncols(),
            Data::Rescaled(copy) => copy.ncols(),
        }
    }

    /// The power of two that these rows were divided by; 0 for all but extreme values.
    pub(crate) fn exponent(&self) -> i32 {
        self.exponent
    }

    /// True if every row equals the first.
    pub(crate) fn all_identical(&self) -> bool {
        fn identical<E: Element>(rows: ArrayView2<'_, E>) -> bool {
            let first = rows.row(0);
            rows.rows().into_iter().all(|row| {
                let mut values = row.iter().zip(&first);
                values.all(|(a, b)| a.to_f64() == b.to_f64())
            })
        }
        match &self.data {
            Data::Given(view) => identical(*view),
            Data::Rescaled(copy) => identical(copy.view()),
        }
    }

    /// The per-class moments of these rows.
    pub(crate) fn moments(&self, labels: &Labels) -> Result<Moments> {
        match &self.data {
            Data::Given(view) => Moments::from_rows(*view, labels),
            Data::Rescaled(copy) => Moments::from_rows(copy.view(), labels),
        }
    }

    /// Reads some columns of some rows into `out`, `[rows, columns]` row-major, with the centre
    /// of each row (all `d` columns of it) subtracted.
    pub(crate) fn read<'c>(
        &self,
        rows: impl IntoIterator<Item = usize>,
        columns: Range<usize>,
        centre: impl Fn(usize) -> &'c [f64],
        out: &mut [f64],
    ) {
        match &self.data {
            Data::Given(view) => read(*view, rows, columns, centre, out),
            Data::Rescaled(copy) => read(copy.view(), rows, columns, centre, out),
        }
    }

    /// Applies `each` to every row (its index and its values) and returns the results in order.
    pub(crate) fn map<T: Send>(&self, each: impl Fn(usize, &[f64]) -> T + Sync + Send) -> Vec<T> {
        let (n, d) = (self.len(), self.dim());
        let zero = vec![0.0; d];
        let mut results = Vec::with_capacity(n);
        in_order(
            0..n.div_ceil(CHUNK_ROWS),
            || vec![0.0; d],
            |row, chunk| {
                let rows = chunk * CHUNK_ROWS..n.min((chunk + 1) * CHUNK_ROWS);
                let result = |i| {
                    self.read([i], 0..d, |_| &zero, row);
                    each(i, row)
                };
                rows.map(result).collect::<Vec<T>>()
            },
            |_, part| results.extend(part),
        );
        results
    }

    /// Euclidean norm of each row.
    ///
    /// # Errors
    /// [`AqiError::ZeroRow`] for the first row that has no direction.
    pub(crate) fn norms(&self) -> Result<Vec<f64>> {
        let norms = self.map(|_, row| norm(row));
        match norms.iter().position(|&norm| norm == 0.0) {
            Some(row) => Err(AqiError::ZeroRow { row }),
            None => Ok(norms),
        }
    }
}

/// `Σ x²` in eight lanes.
pub(crate) fn squared_norm(x: &[f64]) -> f64 {
    let (blocks, rest) = x.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for block in blocks {
        for (lane, x) in lanes.iter_mut().zip(block) {
            *lane += x * x;
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|x| x * x).sum::<f64>()
}

/// `Σ (x − y)²` in eight lanes; exactly zero for equal vectors.
pub(crate) fn squared_distance(x: &[f64], y: &[f64]) -> f64 {
    let (blocks, rest) = x.as_chunks::<8>();
    let (blocks_y, rest_y) = y.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for (block, block_y) in blocks.iter().zip(blocks_y) {
        for ((lane, x), y) in lanes.iter_mut().zip(block).zip(block_y) {
            *lane += (x - y) * (x - y);
        }
    }
    let rest = rest.iter().zip(rest_y).map(|(x, y)| (x - y) * (x - y));
    lanes.iter().sum::<f64>() + rest.sum::<f64>()
}

/// `√Σx²` without underflow of the squares.
fn norm(x: &[f64]) -> f64 {
    let squared = squared_norm(x);
    if squared > f64::powi(2.0, -2 * SAFE) {
        return squared.sqrt();
    }
    let largest = x.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    let sum: f64 = x.iter().map(|x| (x / largest) * (x / largest)).sum();
    largest * sum.sqrt()
}

fn largest_value<E: Element>(rows: ArrayView2<'_, E>, first_row: usize) -> Result<f64> {
    let mut largest = 0.0_f64;
    for (i, row) in rows.rows().into_iter().enumerate() {
        let mut finite = true;
        for x in row {
            let x = x.to_f64().abs();
            finite &= x < f64::INFINITY;
            largest = if x > largest { x } else { largest };
        }
        if !finite {
            let value = |col: usize| row[col].to_f64();
            let col = (0..row.len()).find(|&col| !value(col).is_finite());
            let col = col.unwrap_or_default();
            return Err(AqiError::NonFinite {
                row: first_row + i,
                col,
                value: value(col).to_string(),
            });
        }
    }
    Ok(largest)
}

/// The power of two that brings the largest value near one; 0 where it may stay.
fn exponent_of(largest: f64) -> i32 {
    if largest == 0.0 {
        return 0;
    }
    #[allow(clippy::cast_possible_truncation, reason = "the logarithm of a finite f64 is small")]
    let exponent = largest.log2().floor() as i32;
    if exponent.abs() < SAFE { 0 } else { exponent }
}

fn read<'c, E: Element>(
    view: ArrayView2<'_, E>,
    rows: impl IntoIterator<Item = usize>,
    columns: Range<usize>,
    centre: impl Fn(usize) -> &'c [f64],
    out: &mut [f64],
) {
    let mut scratch = Vec::new();
    for (i, out) in rows.into_iter().zip(out.chunks_exact_mut(columns.len())) {
        let row = view.row(i);
        let row = row.slice_axis(Axis(0), Slice::from(columns.clone()));
        let centre = &centre(i)[columns.clone()];
        read_row(row, centre, &mut scratch, out);
    }
}

fn read_row<E: Element>(
    row: ArrayView1<'_, E>,
    centre: &[f64],
    scratch: &mut Vec<E::Lane>,
    out: &mut [f64],
) {
    let Some(values) = row.to_slice() else {
        for ((out, x), c) in out.iter_mut().zip(row).zip(centre) {
            *out = x.to_f64() - c;
        }
        return;
    };
    let lanes = match E::lanes(values) {
        Some(lanes) => lanes,
        None => {
            scratch.clear();
            E::extend_lanes(values, scratch);
            scratch
        }
    };
    for ((out, x), c) in out.iter_mut().zip(lanes).zip(centre) {
        *out = x.to_f64() - c;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;
    use ndarray::{Array2, array};

    #[test]
    fn extreme_values_are_brought_near_one() -> Result<()> {
        for (scale, exponent) in [(1e160, 531), (1e-170, -565), (1e3, 0), (1e80, 0)] {
            let rows = array![[1.0, -2.0], [0.5, 0.0]] * scale;
            let checked = Rows::new(rows.view())?;
            assert!((checked.exponent() - exponent).abs() <= 1, "{scale:e}");
            let mut out = [0.0; 4];
            checked.read(0..2, 0..2, |_| &[0.0, 0.0], &mut out);
            let power = times_power_of_two(1.0, -checked.exponent());
            assert_eq!(out, [scale, -2.0 * scale, 0.5 * scale, 0.0].map(|x| x * power));
        }
        Ok(())
    }

    #[test]
    fn what_cannot_be_measured_is_an_error() {
        let empty = Array2::<f64>::zeros((0, 3));
        assert!(matches!(Rows::new(empty.view()), Err(AqiError::Empty)));
        let flat = Array2::<f64>::zeros((3, 0));
        assert!(matches!(Rows::new(flat.view()), Err(AqiError::ZeroDim)));
        let mut rows = Array2::<f32>::zeros((1000, 3));
        rows[[700, 1]] = f32::NEG_INFINITY;
        rows[[999, 0]] = f32::NAN;
        match Rows::new(rows.view()) {
            Err(AqiError::NonFinite { row, col, value }) => {
                assert_eq!((row, col, value.as_str()), (700, 1, "-inf"));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rows_of_any_layout_and_type_read_the_same() -> Result<()> {
        let wide = Array2::from_shape_fn((5, 7), |(i, j)| (i * 7 + j) as f32);
        let half = wide.mapv(bf16::from_f32);
        let columns_first = wide.t().as_standard_layout().into_owned();
        let centre = vec![1.5; 7];
        let values = |read: &dyn Fn(&mut [f64])| {
            let mut out = [0.0; 8];
            read(&mut out);
            out
        };
        let expected = [20.5, 21.5, 22.5, 23.5, 6.5, 7.5, 8.5, 9.5];
        let a = Rows::new(wide.view())?;
        let b = Rows::new(half.view())?;
        let c = Rows::new(columns_first.t())?;
        assert_eq!(values(&|out| a.read([3, 1], 1..5, |_| &centre, out)), expected);
        assert_eq!(values(&|out| b.read([3, 1], 1..5, |_| &centre, out)), expected);
        assert_eq!(values(&|out| c.read([3, 1], 1..5, |_| &centre, out)), expected);
        Ok(())
    }

    #[test]
    fn norms_of_tiny_rows_keep_their_digits() {
        assert_eq!(norm(&[3e-200, 4e-200]), 5e-200);
        assert_eq!(norm(&[0.0, 0.0]), 0.0);
    }
}
