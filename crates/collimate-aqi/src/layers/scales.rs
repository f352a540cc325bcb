//! What each layer is divided by before layers are pooled.

use crate::error::{AqiError, Result};
use serde::Serialize;

/// How layers are brought to one scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LayerScaling {
    /// Divide layer `l` by `√(Tot_ll / n)`, the root mean square distance of its rows from their
    /// mean. A layer whose rows are all equal is divided by the length of that row instead.
    #[default]
    Rms,
    /// Take layers as they are. Hidden states grow from layer to layer, so the last ones decide.
    None,
}

/// The divisor of each layer, fitted on some rows and applied to any.
///
/// ```
/// use collimate_aqi::{LayerScales, LayerScaling};
/// let scales = LayerScales::none(3)?;
/// assert_eq!(scales.divisors(), [1.0; 3]);
/// assert_eq!(scales.scaling(), LayerScaling::None);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerScales {
    scaling: LayerScaling,
    divisors: Vec<f64>,
}

impl LayerScales {
    /// Divisors from elsewhere, `[L]`, for example from an earlier fit.
    ///
    /// # Errors
    /// [`AqiError::ZeroDim`] for no layer; [`AqiError::Parameter`] for a divisor that is not
    /// positive and finite.
    pub fn new(scaling: LayerScaling, divisors: Vec<f64>) -> Result<Self> {
        if divisors.is_empty() {
            return Err(AqiError::ZeroDim);
        }
        if let Some(bad) = divisors.iter().find(|d| !(d.is_finite() && **d > 0.0)) {
            return Err(AqiError::parameter("layer divisor", bad, "a positive number"));
        }
        Ok(Self { scaling, divisors })
    }

    /// Divides `layers` layers by one.
    ///
    /// # Errors
    /// [`AqiError::ZeroDim`] for no layer.
    pub fn none(layers: usize) -> Result<Self> {
        Self::new(LayerScaling::None, vec![1.0; layers])
    }

    /// How the divisors came about.
    #[must_use]
    pub fn scaling(&self) -> LayerScaling {
        self.scaling
    }

    /// What each layer is divided by, `[L]`; positive.
    #[must_use]
    pub fn divisors(&self) -> &[f64] {
        &self.divisors
    }
}

/// Checks that what was divided did not overflow: scales of other data may be far too small.
pub(super) fn check_scaled(value: f64) -> Result<()> {
    if value.is_finite() {
        Ok(())
    } else {
        Err(AqiError::parameter(
            "activation over layer scale",
            value,
            "a finite number: use the scales of these layers",
        ))
    }
}
