//! The modes of the Alignment Quality Index.

use crate::dispersion::Dispersion;
use crate::error::{AqiError, Result};
use crate::flag::Flag;
use crate::json_float;
use serde::Serialize;

/// A weight between two terms of a score, in `[0, 1]`.
///
/// Which term it weights differs between the paper's own definitions; each [`Mode`] says so.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Lambda(f64);

impl Lambda {
    /// A checked weight.
    ///
    /// # Errors
    /// [`AqiError::Parameter`] outside `[0, 1]`.
    pub fn new(value: f64) -> Result<Self> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(AqiError::parameter("lambda", value, "a number in [0, 1]"))
        }
    }

    /// The number.
    #[must_use]
    pub fn value(self) -> f64 {
        self.0
    }

    /// `λ·a + (1−λ)·b`, where a term of zero weight is dropped even if it is infinite.
    pub(crate) fn mix(self, a: f64, b: f64) -> f64 {
        let part = |weight: f64, term: f64| if weight == 0.0 { 0.0 } else { weight * term };
        part(self.0, a) + part(1.0 - self.0, b)
    }
}

impl Default for Lambda {
    /// 0.5.
    fn default() -> Self {
        Self(0.5)
    }
}

/// How indices are combined into one score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "mode")]
#[non_exhaustive]
pub enum Mode {
    /// `AQI-S = 100 · [λ·max(0, ρ_local) + (1−λ)·max(0, ρ_global)]`, between 0 and 100, free of
    /// sample size, class balance and scale. **λ weights `ρ_local`**; for two classes it has no
    /// effect. The default and the headline.
    #[serde(rename = "aqi-s")]
    SizeInvariant {
        /// Weight of `ρ_local`.
        lambda: Lambda,
    },
    /// `λ·(1/XBI) + (1−λ)·CHI`, the boxed equation of Borah et al. 2025 (arXiv 2506.13901).
    /// **λ weights `1/XBI`.** Grows with the number of rows: never compare across sample sizes.
    PaperLinear {
        /// Weight of `1/XBI`.
        lambda: Lambda,
    },
    /// `(CHI/CHI_max)^λ · exp(−XBI)^(1−λ)`, appendix B.4 of the same paper. **λ weights CHI.**
    PaperGeometric {
        /// Exponent of `CHI/CHI_max`.
        lambda: Lambda,
        /// CHI of the reference pool (its 99th percentile in the paper).
        chi_max: f64,
        /// Clip `CHI/CHI_max` to 1, so that the score stays in `[0, 1]`.
        clip: bool,
    },
}

impl Default for Mode {
    /// [`Mode::SizeInvariant`] with λ = 0.5.
    fn default() -> Self {
        Self::SizeInvariant { lambda: Lambda::default() }
    }
}

impl Mode {
    /// The name that the serialized form and the command line use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SizeInvariant { .. } => "aqi-s",
            Self::PaperLinear { .. } => "paper-linear",
            Self::PaperGeometric { .. } => "paper-geometric",
        }
    }

    /// The weight, and the term that it weights.
    #[must_use]
    pub fn lambda(&self) -> (Lambda, &'static str) {
        match *self {
            Self::SizeInvariant { lambda } => (lambda, "rho_local"),
            Self::PaperLinear { lambda } => (lambda, "1/xbi"),
            Self::PaperGeometric { lambda, .. } => (lambda, "chi"),
        }
    }

    /// False for modes whose value depends on the number of rows or on the class balance, so
    /// that scores of samples of different sizes must not be compared.
    #[must_use]
    pub fn is_size_invariant(&self) -> bool {
        matches!(self, Self::SizeInvariant { .. })
    }

    /// The score.
    ///
    /// ```
    /// use collimate_aqi::{Labels, Lambda, Mode, Moments};
    /// use ndarray::array;
    /// let labels = Labels::new([0, 0, 1, 1])?;
    /// let rows = array![[0.0], [2.0], [10.0], [12.0]];
    /// let dispersion = Moments::from_rows(rows.view(), &labels)?.dispersion()?;
    /// let linear = Mode::PaperLinear { lambda: Lambda::new(0.5)? };
    /// assert_eq!(linear.score(&dispersion)?.value, 75.0);
    /// # Ok::<(), collimate_aqi::AqiError>(())
    /// ```
    ///
    /// # Errors
    /// [`AqiError::NeedTwoPerClass`] for AQI-S, [`AqiError::TooFewSamples`] for the paper's
    /// modes, [`AqiError::Parameter`] for a `chi_max` that is not positive and finite.
    pub fn score(&self, dispersion: &Dispersion) -> Result<Score> {
        let mut flags = dispersion.flags();
        let value = match *self {
            Self::SizeInvariant { lambda } => {
                let (local, global) = (dispersion.rho_local()?, dispersion.rho_global()?);
                100.0 * lambda.mix(local.max(0.0), global.max(0.0))
            }
            Self::PaperLinear { lambda } => {
                let chi =
                    if lambda.value() == 1.0 { 0.0 } else { dispersion.calinski_harabasz()? };
                lambda.mix(dispersion.inverse_xie_beni(), chi)
            }
            Self::PaperGeometric { lambda, chi_max, clip } => {
                if !(chi_max.is_finite() && chi_max > 0.0) {
                    return Err(AqiError::parameter("chi_max", chi_max, "a positive number"));
                }
                let mut share = dispersion.calinski_harabasz()? / chi_max;
                if share > 1.0 && clip {
                    share = 1.0;
                    flags.push(Flag::ChiAboveMaximum);
                }
                let power = |base: f64, exponent: f64| {
                    if exponent == 0.0 { 1.0 } else { base.powf(exponent) }
                };
                let compact = (-dispersion.xie_beni()).exp();
                let (chi, xbi) = (power(share, lambda.0), power(compact, 1.0 - lambda.0));
                if xbi == 0.0 { 0.0 } else { chi * xbi }
            }
        };
        Ok(Score { value, mode: *self, flags })
    }
}

/// A score and how it came about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Score {
    /// The value; `+∞` where the mode is unbounded and classes are points.
    #[serde(with = "json_float")]
    pub value: f64,
    /// Mode and weights.
    #[serde(flatten)]
    pub mode: Mode,
    /// What a reader must know.
    pub flags: Vec<Flag>,
}
