//! Checked rows in the form and unit in which linfa can compute.

use crate::bridge::to_linfa;
use crate::error::Result;
use collimate_aqi::{AqiError, Element};
use linfa::Float;
use ndarray::ArrayView2;
use ndarray_linfa::{CowArray, Ix2};

/// Rows divided by `2^power`, with their mean and variance. `power` is zero and rows are borrowed
/// unless their squares would overflow or vanish, or they do not lie row after row in memory.
pub(crate) struct Spread<'a, F> {
    pub(crate) rows: CowArray<'a, F, Ix2>,
    pub(crate) power: i32,
    /// `[d]`.
    pub(crate) mean: Vec<f64>,
    /// Mean squared distance to the mean, positive.
    pub(crate) variance: f64,
}

impl<'a, F: Element + Float> Spread<'a, F> {
    /// Checks that rows exist, are finite, and differ.
    pub(crate) fn of(rows: ArrayView2<'a, F>) -> Result<Self> {
        let (n, d) = rows.dim();
        if n == 0 {
            return Err(AqiError::Empty.into());
        }
        if d == 0 {
            return Err(AqiError::ZeroDim.into());
        }
        let mut largest = 0.0_f64;
        for ((row, col), &value) in rows.indexed_iter() {
            let value = Element::to_f64(value);
            if !value.is_finite() {
                let value = value.to_string();
                return Err(AqiError::NonFinite { row, col, value }.into());
            }
            largest = largest.max(value.abs());
        }
        if largest == 0.0 {
            return Err(AqiError::DegenerateData.into());
        }
        let power = power_for::<F>(largest);
        let mut rows = to_linfa(rows);
        if power != 0 {
            rows.mapv_inplace(|x| F::cast(times_power_of_two(Element::to_f64(x), -power)));
        }
        let mut mean = vec![0.0; d];
        for row in rows.rows() {
            mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += Element::to_f64(x));
        }
        mean.iter_mut().for_each(|sum| *sum /= n as f64);
        let scatter: f64 = rows
            .rows()
            .into_iter()
            .map(|row| squared_distance(row.iter().map(|&x| Element::to_f64(x)), &mean))
            .sum();
        let identical = rows.rows().into_iter().all(|row| row == rows.row(0));
        if identical || scatter == 0.0 {
            return Err(AqiError::DegenerateData.into());
        }
        Ok(Self { rows, power, mean, variance: scatter / n as f64 })
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.nrows()
    }

    pub(crate) fn dim(&self) -> usize {
        self.rows.ncols()
    }
}

/// `‖row − point‖²`.
pub(crate) fn squared_distance(row: impl Iterator<Item = f64>, point: &[f64]) -> f64 {
    row.zip(point).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// `x · 2^power` without overflow of the factor itself.
pub(crate) fn times_power_of_two(x: f64, power: i32) -> f64 {
    let half = power / 2;
    x * f64::powi(2.0, half) * f64::powi(2.0, power - half)
}

/// Zero while sums of squares stay within the type, else the exponent of the largest value.
fn power_for<F: Element>(largest: f64) -> i32 {
    let safe = if size_of::<F>() == size_of::<f32>() { -30.0..50.0 } else { -400.0..480.0 };
    let exponent = largest.log2().floor();
    if safe.contains(&exponent) {
        return 0;
    }
    #[allow(clippy::cast_possible_truncation, reason = "between -1074 and 1023")]
    let power = exponent as i32;
    power
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ClusterError;
    use ndarray::array;

    #[test]
    fn ordinary_rows_are_borrowed() -> Result<()> {
        let rows = array![[1.0_f32, 0.0], [3.0, 4.0]];
        let spread = Spread::of(rows.view())?;
        assert_eq!(spread.rows.as_ptr(), rows.as_ptr());
        assert_eq!((spread.power, spread.variance), (0, 5.0));
        assert_eq!(spread.mean, [2.0, 2.0]);
        Ok(())
    }

    #[test]
    fn extreme_rows_are_divided_by_a_power_of_two() -> Result<()> {
        for unit in [f64::powi(2.0, 600), f64::powi(2.0, -600)] {
            let rows = array![[1.0, 0.0], [3.0, 4.0]] * unit;
            let spread = Spread::of(rows.view())?;
            let variance = spread.variance * f64::powi(4.0, spread.power - unit.log2() as i32);
            assert_eq!(variance, 5.0);
        }
        let single = array![[1e30_f32], [2e30]];
        assert!(Spread::of(single.view())?.variance < 1.0);
        Ok(())
    }

    #[test]
    fn rows_that_cannot_be_clustered_are_named() {
        let nan = array![[0.0, 1.0], [0.0, f64::NAN]];
        assert!(matches!(
            Spread::of(nan.view()),
            Err(ClusterError::Aqi(AqiError::NonFinite { row: 1, col: 1, .. }))
        ));
        let same = array![[0.1, 0.7], [0.1, 0.7], [0.1, 0.7]];
        assert!(matches!(
            Spread::of(same.view()),
            Err(ClusterError::Aqi(AqiError::DegenerateData))
        ));
        let none = ndarray::Array2::<f64>::zeros((0, 3));
        assert!(matches!(Spread::of(none.view()), Err(ClusterError::Aqi(AqiError::Empty))));
    }
}
