//! The course of a training run.

use serde::{Deserialize, Serialize};

use crate::float;

/// What was logged at one step. A value that is absent was not logged; one that is not a finite
/// number is a gap in the drawing, and counted.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CurvePoint {
    /// The step.
    pub step: u64,
    /// Loss of the training rows, in nats per token.
    #[serde(default, with = "float::option", skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Loss of the held-out rows, in nats per token.
    #[serde(default, with = "float::option", skip_serializing_if = "Option::is_none")]
    pub eval_loss: Option<f64>,
    /// Learning rate.
    #[serde(default, with = "float::option", skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Norm of the gradient, before clipping.
    #[serde(default, with = "float::option", skip_serializing_if = "Option::is_none")]
    pub gradient_norm: Option<f64>,
}

impl CurvePoint {
    /// A step at which nothing was logged yet.
    #[must_use]
    pub const fn new(step: u64) -> Self {
        Self { step, loss: None, eval_loss: None, learning_rate: None, gradient_norm: None }
    }

    /// Sets the loss of the training rows.
    #[must_use]
    pub const fn with_loss(self, loss: f64) -> Self {
        Self { loss: Some(loss), ..self }
    }

    /// Sets the loss of the held-out rows.
    #[must_use]
    pub const fn with_eval_loss(self, loss: f64) -> Self {
        Self { eval_loss: Some(loss), ..self }
    }

    /// Sets the learning rate.
    #[must_use]
    pub const fn with_learning_rate(self, learning_rate: f64) -> Self {
        Self { learning_rate: Some(learning_rate), ..self }
    }

    /// Sets the norm of the gradient.
    #[must_use]
    pub const fn with_gradient_norm(self, norm: f64) -> Self {
        Self { gradient_norm: Some(norm), ..self }
    }
}

/// The course of a training run, by rising step.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Curve {
    /// What was logged, by rising step.
    pub points: Vec<CurvePoint>,
    /// Whether the loss is drawn on a logarithmic axis.
    #[serde(default)]
    pub logarithmic: bool,
}

impl Curve {
    /// A curve through these points.
    #[must_use]
    pub fn new(points: impl IntoIterator<Item = CurvePoint>) -> Self {
        Self { points: points.into_iter().collect(), logarithmic: false }
    }

    /// Draws the loss on a logarithmic axis.
    #[must_use]
    pub fn with_logarithmic_loss(self) -> Self {
        Self { logarithmic: true, ..self }
    }
}
