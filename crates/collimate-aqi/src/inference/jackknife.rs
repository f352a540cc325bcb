//! The jackknife: leave each row, or each group, out in turn.

use super::geometry::Geometry;
use crate::dispersion::Dispersion;
use crate::element::Element;
use crate::error::Result;
use crate::moments::Moments;
use crate::sample::Sample;

/// The values of a statistic without each unit, stratum by stratum, and what follows from them.
pub(crate) struct Replicates {
    strata: Vec<Vec<f64>>,
}

impl Replicates {
    /// Leaves out the units of some strata of a sample.
    pub(crate) fn new(
        geometry: &Geometry,
        strata: &[&[usize]],
        statistic: impl Fn(&Dispersion) -> Result<f64> + Sync,
    ) -> Result<Self> {
        let of = |units: &&[usize]| geometry.replicates(units, &statistic);
        Ok(Self { strata: strata.iter().map(of).collect::<Result<_>>()? })
    }

    /// Differences of two statistics of the same units.
    pub(crate) fn difference(after: &Self, before: &Self) -> Self {
        let of = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a - b).collect();
        Self { strata: after.strata.iter().zip(&before.strata).map(of).collect() }
    }

    /// `Σ_c ((G_c − 1)/G_c) Σ_u (θ_(u) − θ̄_c)²` over the `G_c` units of each stratum.
    pub(crate) fn variance(&self) -> f64 {
        let of = |values: &Vec<f64>| {
            let (count, mean) = (values.len() as f64, mean(values));
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            squares * (count - 1.0) / count
        };
        self.strata.iter().map(of).sum()
    }

    /// Units less strata.
    pub(crate) fn degrees_of_freedom(&self) -> f64 {
        self.strata.iter().map(|values| values.len() as f64 - 1.0).sum()
    }

    /// `ψ_u / G_c` with the influence `ψ_u = (G_c − 1)(θ̄_c − θ_(u))` of each unit, in order of
    /// the strata; sums to zero in each.
    pub(crate) fn scaled_influence(&self) -> Vec<f64> {
        let of = |values: &Vec<f64>| {
            let (count, mean) = (values.len() as f64, mean(values));
            values
                .iter()
                .map(move |value| (count - 1.0) * (mean - value) / count)
                .collect::<Vec<_>>()
        };
        self.strata.iter().flat_map(of).collect()
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Jackknife standard error of the unclipped `ρ_global` (Efron & Stein 1981), by leaving out
/// each row, or each group where the sample has groups. Exact and `O(n · d · k)`.
///
/// ```
/// use collimate_aqi::{Labels, Sample, rho_standard_error};
/// use ndarray::array;
/// let rows = array![[0., 0.], [1., 0.], [0., 2.], [5., 5.], [6., 5.], [5., 7.]];
/// let labels = Labels::new([0, 0, 0, 1, 1, 1])?;
/// assert!(rho_standard_error(&Sample::new(rows.view(), &labels)?)? > 0.0);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// Those of [`Moments::from_rows`] and [`Moments::dispersion`];
/// [`AqiError::NeedThreePerClass`](crate::AqiError::NeedThreePerClass) where leaving one out would leave fewer than two.
pub fn rho_standard_error<F: Element>(sample: &Sample<'_, F>) -> Result<f64> {
    let moments = Moments::from_rows(sample.rows, sample.labels)?;
    let geometry = Geometry::new(sample, &moments)?;
    let strata: Vec<&[usize]> = geometry.strata().iter().map(Vec::as_slice).collect();
    Ok(Replicates::new(&geometry, &strata, Dispersion::rho_global)?.variance().sqrt())
}
