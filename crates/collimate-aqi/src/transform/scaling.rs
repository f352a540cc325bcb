//! The steps that shift and scale: centre, rms, z-score, l2.

use crate::error::{AqiError, Result};
use crate::linalg::power_of_two_near;
use ndarray::{Array1, Array2, Axis};

/// Mean of the rows, relative to the first so that large offsets cost no digits, and equal rows
/// have exactly their own value as mean.
pub(super) fn mean(rows: &Array2<f64>) -> Array1<f64> {
    let origin = rows.row(0);
    let mut sums = Array1::<f64>::zeros(rows.ncols());
    for row in rows.rows() {
        for ((sum, x), o) in sums.iter_mut().zip(row).zip(origin) {
            *sum += x - o;
        }
    }
    &origin + &(sums / rows.nrows() as f64)
}

/// `√(Σ‖x − mean‖² / n)`.
///
/// # Errors
/// [`AqiError::DegenerateData`] if all rows are equal.
pub(super) fn rms(rows: &Array2<f64>) -> Result<f64> {
    let mean = mean(rows);
    let deviations = || rows.rows().into_iter().flat_map(|row| row.into_iter().zip(&mean));
    let unit = power_of_two_near(deviations().fold(0.0, |m, (x, c)| m.max((x - c).abs())));
    let squares: f64 = deviations().map(|(x, c)| ((x - c) / unit).powi(2)).sum();
    let rms = unit * (squares / rows.nrows() as f64).sqrt();
    if rms > 0.0 { Ok(rms) } else { Err(AqiError::DegenerateData) }
}

/// What a z-score was fitted to: columns with variance, their means and standard deviations.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ZScore {
    pub(super) kept: Vec<usize>,
    pub(super) mean: Array1<f64>,
    pub(super) sd: Array1<f64>,
}

impl ZScore {
    /// # Errors
    /// [`AqiError::DegenerateData`] if all rows are equal.
    pub(super) fn fit(rows: &Array2<f64>) -> Result<Self> {
        let mean = mean(rows);
        let mut units = Array1::<f64>::zeros(rows.ncols());
        for row in rows.rows() {
            for ((unit, x), c) in units.iter_mut().zip(row).zip(&mean) {
                *unit = unit.max((x - c).abs());
            }
        }
        units.mapv_inplace(power_of_two_near);
        let mut squares = Array1::<f64>::zeros(rows.ncols());
        for row in rows.rows() {
            for (((square, x), c), unit) in squares.iter_mut().zip(row).zip(&mean).zip(&units) {
                let deviation = (x - c) / unit;
                *square += deviation * deviation;
            }
        }
        let sd = (squares / rows.nrows() as f64).mapv(f64::sqrt) * &units;
        let kept: Vec<usize> = (0..rows.ncols()).filter(|&column| sd[column] > 0.0).collect();
        if kept.is_empty() {
            return Err(AqiError::DegenerateData);
        }
        Ok(Self { mean: mean.select(Axis(0), &kept), sd: sd.select(Axis(0), &kept), kept })
    }

    pub(super) fn apply(&self, rows: &Array2<f64>) -> Array2<f64> {
        (rows.select(Axis(1), &self.kept) - &self.mean) / &self.sd
    }
}

/// Divides each row by its length.
///
/// # Errors
/// [`AqiError::ZeroRow`].
pub(super) fn normalize_rows(rows: &mut Array2<f64>) -> Result<()> {
    for (index, mut row) in rows.rows_mut().into_iter().enumerate() {
        let largest = row.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        if largest == 0.0 {
            return Err(AqiError::ZeroRow { row: index });
        }
        let unit = power_of_two_near(largest);
        row.mapv_inplace(|x| x / unit);
        let length = row.dot(&row).sqrt();
        row.mapv_inplace(|x| x / length);
    }
    Ok(())
}
