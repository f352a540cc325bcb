//! Xie-Beni of fuzzy memberships.

use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::json_float;
use crate::moments::times_power_of_two;
use crate::ordered::in_order;
use crate::range::{CHUNK_ROWS, Rows, squared_distance};
use ndarray::{Array2, ArrayView1, ArrayView2};
use serde::Serialize;

/// How far the memberships of a row may be from a sum of one.
const SUM_TOLERANCE: f64 = 1e-6;

/// Settings of [`fuzzy_xie_beni`].
#[derive(Clone, Debug, PartialEq)]
pub struct FuzzySettings {
    m: f64,
    normalize: bool,
    possibilistic: bool,
    centres: Option<Array2<f64>>,
}

impl Default for FuzzySettings {
    /// `m = 2`, memberships that sum to one, centres from the memberships.
    fn default() -> Self {
        Self { m: 2.0, normalize: false, possibilistic: false, centres: None }
    }
}

impl FuzzySettings {
    /// The exponent `m ≥ 1` of the memberships ("fuzzifier"): 2 by default, as in the paper.
    #[must_use]
    pub fn with_m(mut self, m: f64) -> Self {
        self.m = m;
        self
    }

    /// Divides the memberships of each row by their sum; they may then be any weights `≥ 0`.
    #[must_use]
    pub fn with_normalize(mut self, normalize: bool) -> Self {
        self.normalize = normalize;
        self
    }

    /// Accepts memberships in `[0, 1]` that don't sum to one (Krishnapuram & Keller 1993).
    #[must_use]
    pub fn with_possibilistic(mut self, possibilistic: bool) -> Self {
        self.possibilistic = possibilistic;
        self
    }

    /// Centres, `[k, d]`, to use instead of `Σ u^m x / Σ u^m`.
    #[must_use]
    pub fn with_centres(mut self, centres: Array2<f64>) -> Self {
        self.centres = Some(centres);
        self
    }
}

/// Xie-Beni of fuzzy memberships, and what it was computed from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FuzzyXieBeni {
    /// `J / (n · min_{a≠b} ‖v_a − v_b‖²)`: lower is better; `+∞` where two centres coincide.
    #[serde(with = "json_float")]
    pub index: f64,
    /// `J = Σ_i Σ_c u_ic^m ‖x_i − v_c‖²`, in squared units of the rows; `+∞` beyond `f64`.
    #[serde(with = "json_float")]
    pub objective: f64,
    /// The centres `v`, `[k][d]`.
    pub centres: Vec<Vec<f64>>,
    /// The exponent of the memberships.
    pub m: f64,
}

/// The Xie-Beni index (Xie & Beni 1991) of `rows`, `[n, d]`, that belong to each of `k ≥ 2`
/// clusters to the degree that `memberships`, `[n, k]`, says. Hard memberships, 0 or 1, give
/// [`Dispersion::xie_beni`](crate::Dispersion::xie_beni).
///
/// ```
/// use collimate_aqi::{FuzzySettings, fuzzy_xie_beni};
/// use ndarray::array;
/// let rows = array![[0.0_f32], [2.0], [10.0], [12.0]];
/// let u = array![[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]];
/// let found = fuzzy_xie_beni(rows.view(), u.view(), &FuzzySettings::default())?;
/// assert!((found.index - 0.0433003804004313).abs() < 1e-15);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Empty`], [`AqiError::ZeroDim`], [`AqiError::NonFinite`]; [`AqiError::Shape`] if
/// memberships or centres don't fit the rows or there are fewer than two clusters;
/// [`AqiError::Parameter`] unless `m` is finite and `m ≥ 1`, or for centres that are not finite;
/// [`AqiError::Membership`] for a row whose memberships are outside `[0, 1]` or don't sum to one
/// within `10⁻⁶`; [`AqiError::EmptyCluster`]; [`AqiError::DegenerateData`] where `J` and the
/// smallest distance of centres are both zero.
pub fn fuzzy_xie_beni<F: Element>(
    rows: ArrayView2<'_, F>,
    memberships: ArrayView2<'_, f64>,
    settings: &FuzzySettings,
) -> Result<FuzzyXieBeni> {
    let m = settings.m;
    if !(m.is_finite() && m >= 1.0) {
        return Err(AqiError::parameter("m", m, "a finite number, one or more"));
    }
    let rows = Rows::new(rows)?;
    let (n, d, k) = (rows.len(), rows.dim(), memberships.ncols());
    shape("rows of memberships", n, memberships.nrows())?;
    if k < 2 {
        return Err(AqiError::Shape {
            what: "columns of memberships, at least",
            expected: 2,
            found: k,
        });
    }
    let powers = powers(memberships, settings)?;
    let totals: Vec<f64> = (0..k).map(|c| powers.column(c).sum()).collect();
    if let Some(cluster) = totals.iter().position(|&total| total == 0.0) {
        return Err(AqiError::EmptyCluster { cluster });
    }
    let centres = match &settings.centres {
        Some(centres) => {
            shape("rows of centres", k, centres.nrows())?;
            shape("columns of centres", d, centres.ncols())?;
            if let Some(bad) = centres.iter().find(|x| !x.is_finite()) {
                return Err(AqiError::parameter("centre", bad, "a finite number"));
            }
            let scaled = |&x: &f64| times_power_of_two(x, -rows.exponent());
            centres.rows().into_iter().map(|centre| centre.iter().map(scaled).collect()).collect()
        }
        None => own_centres(&rows, &powers, &totals),
    };
    let parts = rows.map(|i, row| {
        let terms = powers.row(i).into_iter().zip(&centres);
        terms.map(|(&power, centre)| power * squared_distance(row, centre)).sum::<f64>()
    });
    let objective: f64 = parts.iter().sum();
    let gap = (0..k)
        .flat_map(|a| (a + 1..k).map(move |b| (a, b)))
        .map(|(a, b)| squared_distance(&centres[a], &centres[b]))
        .fold(f64::INFINITY, f64::min);
    let index = match (objective > 0.0, gap > 0.0) {
        (false, false) => return Err(AqiError::DegenerateData),
        (true, false) => f64::INFINITY,
        (_, true) => objective / (n as f64 * gap),
    };
    let unscaled = |x: f64| times_power_of_two(x, rows.exponent());
    Ok(FuzzyXieBeni {
        index,
        objective: times_power_of_two(objective, 2 * rows.exponent()),
        centres: centres
            .into_iter()
            .map(|centre: Vec<f64>| centre.into_iter().map(unscaled).collect())
            .collect(),
        m,
    })
}

fn shape(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found { Ok(()) } else { Err(AqiError::Shape { what, expected, found }) }
}

/// The checked memberships to the power `m`, `[n, k]`.
fn powers(memberships: ArrayView2<'_, f64>, settings: &FuzzySettings) -> Result<Array2<f64>> {
    let mut powers = memberships.to_owned();
    for (row, mut values) in powers.rows_mut().into_iter().enumerate() {
        check(values.view(), settings).map_err(|reason| AqiError::Membership { row, reason })?;
        if settings.normalize {
            // Divided by the largest first, so that the sum does not overflow.
            let largest = values.fold(0.0_f64, |largest, &u| largest.max(u));
            values.mapv_inplace(|u| u / largest);
            let sum = values.sum();
            values.mapv_inplace(|u| u / sum);
        }
    }
    if settings.m != 1.0 {
        powers.mapv_inplace(|u| u.powf(settings.m));
    }
    Ok(powers)
}

fn check(values: ArrayView1<'_, f64>, settings: &FuzzySettings) -> Result<(), String> {
    let most = if settings.normalize { f64::MAX } else { 1.0 };
    if let Some((column, u)) = values.iter().enumerate().find(|(_, u)| !(0.0..=most).contains(*u)) {
        let range =
            if settings.normalize { "a finite number, zero or more" } else { "a number in [0, 1]" };
        return Err(format!("column {column} is {u}, expected {range}"));
    }
    if settings.normalize {
        if values.iter().all(|&u| u == 0.0) {
            return Err("all are zero, so that they can't be made to sum to one".to_owned());
        }
        return Ok(());
    }
    let sum = values.sum();
    if !settings.possibilistic && (sum - 1.0).abs() > SUM_TOLERANCE {
        return Err(format!(
            "they sum to {sum}, expected 1: normalize them, or declare them possibilistic"
        ));
    }
    Ok(())
}

/// `v_c = Σ u^m x / Σ u^m`, relative to the first row so that offsets cost no digits.
fn own_centres<F: Element>(
    rows: &Rows<'_, F>,
    powers: &Array2<f64>,
    totals: &[f64],
) -> Vec<Vec<f64>> {
    let (n, d, k) = (rows.len(), rows.dim(), totals.len());
    let mut origin = vec![0.0; d];
    let zero = origin.clone();
    rows.read([0], 0..d, |_| &zero, &mut origin);
    let mut centres = vec![vec![0.0; d]; k];
    in_order(
        0..n.div_ceil(CHUNK_ROWS),
        || vec![0.0; d],
        |row, chunk| {
            let mut sums = vec![vec![0.0; d]; k];
            for i in chunk * CHUNK_ROWS..n.min((chunk + 1) * CHUNK_ROWS) {
                rows.read([i], 0..d, |_| &origin, row);
                for (sum, &power) in sums.iter_mut().zip(powers.row(i)) {
                    for (sum, x) in sum.iter_mut().zip(&*row) {
                        *sum += power * x;
                    }
                }
            }
            sums
        },
        |_, sums| {
            for (centre, sum) in centres.iter_mut().zip(sums) {
                centre.iter_mut().zip(sum).for_each(|(c, x)| *c += x);
            }
        },
    );
    for (centre, total) in centres.iter_mut().zip(totals) {
        for (value, origin) in centre.iter_mut().zip(&origin) {
            *value = origin + *value / total;
        }
    }
    centres
}
