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
        let mut score = match *self {
            Self::SizeInvariant { lambda } => {
                let (local, global) = (dispersion.rho_local()?, dispersion.rho_global()?);
                let value = 100.0 * lambda.mix(local.max(0.0), global.max(0.0));
                Score { value, mode: *self, flags: Vec::new() }
            }
            Self::PaperLinear { lambda } if lambda.value() == 1.0 => {
                self.score_of(0.0, dispersion.xie_beni())?
            }
            _ => self.score_of(dispersion.calinski_harabasz()?, dispersion.xie_beni())?,
        };
        score.flags.splice(0..0, dispersion.flags());
        Ok(score)
    }

    /// The score of given values of Calinski-Harabasz and Xie-Beni, such as published ones.
    ///
    /// ```
    /// use collimate_aqi::{Lambda, Mode};
    /// // A batch of 16 in table 14 of Borah et al. 2025, whose CHI_max is about 38.7.
    /// let mode = Mode::PaperGeometric { lambda: Lambda::default(), chi_max: 38.7, clip: true };
    /// let score = mode.score_of(24.6, 0.087)?;
    /// assert_eq!((score.value * 100.0).round(), 76.0);
    /// # Ok::<(), collimate_aqi::AqiError>(())
    /// ```
    ///
    /// # Errors
    /// [`AqiError::Parameter`] for AQI-S, which does not follow from them, for an index that is
    /// negative or NaN, and for a `chi_max` that is not positive and finite.
    pub fn score_of(&self, chi: f64, xbi: f64) -> Result<Score> {
        for (name, index) in [("Calinski-Harabasz", chi), ("Xie-Beni", xbi)] {
            if index.is_nan() || index < 0.0 {
                return Err(AqiError::parameter(name, index, "zero or more"));
            }
        }
        let mut flags = Vec::new();
        let value = match *self {
            Self::SizeInvariant { .. } => {
                let expected = "a mode of the paper: AQI-S needs the rows, or their moments";
                return Err(AqiError::parameter("mode", self.name(), expected));
            }
            Self::PaperLinear { lambda } => lambda.mix(1.0 / xbi, chi),
            Self::PaperGeometric { lambda, chi_max, clip } => {
                if !(chi_max.is_finite() && chi_max > 0.0) {
                    return Err(AqiError::parameter("chi_max", chi_max, "a positive number"));
                }
                let mut share = chi / chi_max;
                if share > 1.0 && clip {
                    share = 1.0;
                    flags.push(Flag::ChiAboveMaximum);
                }
                let power = |base: f64, exponent: f64| {
                    if exponent == 0.0 { 1.0 } else { base.powf(exponent) }
                };
                let compact = power((-xbi).exp(), 1.0 - lambda.0);
                if compact == 0.0 { 0.0 } else { power(share, lambda.0) * compact }
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
