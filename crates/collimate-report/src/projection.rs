//! Hidden states in two dimensions.

use collimate_aqi::{AqiError, Element, Pca};
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use serde::{Deserialize, Serialize};

use crate::error::{ReportError, Result};

/// What a prompt is labelled.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Safety {
    /// A safe prompt.
    Safe,
    /// An unsafe prompt.
    Unsafe,
}

impl Safety {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Unsafe => "unsafe",
        }
    }
}

/// Whether two models are drawn in one basis.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Basis {
    /// Each model in the components of its own rows: the spaces of two models differ, and neither
    /// places nor directions can be compared between the two pictures.
    #[default]
    Separate,
    /// Both in the components of all rows together: for models that share their coordinates, as a
    /// model and its adapter do.
    Joint,
}

/// One prompt in a picture.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ProjectedPoint {
    /// Which prompt.
    pub id: String,
    /// What it is labelled.
    pub safety: Safety,
    /// Along the first component and the second.
    pub at: [f64; 2],
}

impl ProjectedPoint {
    /// A prompt at a place.
    #[must_use]
    pub fn new(id: impl Into<String>, safety: Safety, at: [f64; 2]) -> Self {
        Self { id: id.into(), safety, at }
    }
}

/// The prompts of one model.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Panel {
    /// One for each prompt.
    pub points: Vec<ProjectedPoint>,
    /// Share of the variance along the first component and the second, where it is known.
    #[serde(default)]
    pub explained: Option<[f64; 2]>,
}

/// The same prompts in the hidden states of both models.
///
/// ```
/// use collimate_report::{Basis, Projection, Safety};
/// use ndarray::array;
/// let before = array![[0.0_f32, 0.1, 0.0], [1.0, 1.0, 0.2], [0.1, 0.0, 0.0], [1.1, 0.9, 0.1]];
/// let after = array![[0.0_f32, 0.1, 0.0], [3.0, 3.0, 0.2], [0.1, 0.0, 0.0], [3.1, 2.9, 0.1]];
/// let prompts = [
///     ("a", Safety::Safe), ("b", Safety::Unsafe), ("c", Safety::Safe), ("d", Safety::Unsafe),
/// ];
/// let picture =
///     Projection::new("Last layer", before.view(), after.view(), &prompts, Basis::Separate)?;
/// assert!(picture.after.unwrap().explained.unwrap()[0] > 0.9);
/// # Ok::<(), collimate_report::ReportError>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Projection {
    /// What is drawn: which layer, which token.
    pub name: String,
    /// Whether both are drawn in one basis.
    #[serde(default)]
    pub basis: Basis,
    /// Of the model before.
    #[serde(default)]
    pub before: Option<Panel>,
    /// Of the model after.
    #[serde(default)]
    pub after: Option<Panel>,
}

impl Projection {
    /// Principal components of the rows of both models, `[prompts, d]`, one row for each prompt.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] unless both have a row for each prompt, or in a joint basis the
    /// same number of columns; [`ReportError::Projection`] for rows that [`pca`] refuses.
    pub fn new<F: Element, I: AsRef<str>>(
        name: impl Into<String>,
        before: ArrayView2<'_, F>,
        after: ArrayView2<'_, F>,
        prompts: &[(I, Safety)],
        basis: Basis,
    ) -> Result<Self> {
        for (side, rows) in [("before", before.nrows()), ("after", after.nrows())] {
            if rows != prompts.len() {
                let message = format!("{} prompts, but {rows} rows", prompts.len());
                return Err(ReportError::invalid(format!("projection, {side}"), message));
            }
        }
        let panel = |components: &Components, from: usize| Panel {
            points: prompts
                .iter()
                .zip(components.coordinates.rows().into_iter().skip(from))
                .map(|((id, safety), row)| {
                    let at = [row.first().copied(), row.get(1).copied()];
                    ProjectedPoint::new(id.as_ref(), *safety, at.map(Option::unwrap_or_default))
                })
                .collect(),
            explained: Some(components.explained),
        };
        let (before, after) = match basis {
            Basis::Separate => (panel(&pca(before)?, 0), panel(&pca(after)?, 0)),
            Basis::Joint => {
                let both = concatenate(Axis(0), &[before, after]).map_err(|_| {
                    let found = format!("{} and {}", before.ncols(), after.ncols());
                    ReportError::invalid(
                        "projection",
                        format!("a joint basis needs as many columns in both, found {found}"),
                    )
                })?;
                let components = pca(both.view())?;
                (panel(&components, 0), panel(&components, prompts.len()))
            }
        };
        Ok(Self { name: name.into(), basis, before: Some(before), after: Some(after) })
    }
}

/// Rows along their two principal components.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Components {
    /// `[rows, 2]`.
    pub coordinates: Array2<f64>,
    /// Share of the variance along each.
    pub explained: [f64; 2],
}

/// The first two principal components of `rows`, `[n, d]`, and the coordinates along them: exact,
/// with the loading of largest magnitude positive in each. A component along which nothing varies
/// is zero, and so is its share.
///
/// # Errors
/// [`ReportError::Projection`] without rows or columns, or for numbers that are not finite.
pub fn pca<F: Element>(rows: ArrayView2<'_, F>) -> Result<Components> {
    let error = |source| ReportError::Projection { what: "hidden states", source };
    let mut found =
        Components { coordinates: Array2::zeros((rows.nrows(), 2)), explained: [0.0; 2] };
    for count in [2, 1] {
        let fitted = match Pca::fit(rows, count) {
            Ok(fitted) => fitted,
            Err(AqiError::DegenerateData) => return Ok(found),
            // The rows vary in fewer directions than that.
            Err(AqiError::Parameter { .. }) => continue,
            Err(source) => return Err(error(source)),
        };
        let coordinates = fitted.project(rows).map_err(error)?;
        for (mut to, from) in found.coordinates.columns_mut().into_iter().zip(coordinates.columns())
        {
            to.assign(&from);
        }
        for (to, from) in found.explained.iter_mut().zip(&fitted.explained_variance_ratio) {
            // Rounding may lead beyond all of it.
            *to = from.min(1.0);
        }
        break;
    }
    Ok(found)
}
