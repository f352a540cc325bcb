//! What is done to embeddings before they are scored.

mod cross_fit;
mod fitted;
mod random_projection;
mod scaling;
mod whitening;

pub use cross_fit::{cross_fit_folds, split_rows};
pub use fitted::{ChainSummary, FittedChain, StepSummary};

use crate::element::Element;
use crate::error::{AqiError, Result};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One step of a [`TransformChain`]. Every step is fitted without labels.
///
/// Written as in the list, which is also what [`FromStr`] reads.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Transform {
    /// `centre` (or `center`): subtracts the mean. Indices don't change by it; cosines do.
    Centre,
    /// `rms`: divides by `√(Σ‖x − mean‖² / n)`, so that layers of different norm can be compared
    /// or mixed. Indices of one layer don't change by it.
    Rms,
    /// `z-score`: subtracts each dimension's mean and divides by its population standard
    /// deviation. Dimensions without variance are dropped, and counted in the summary.
    ZScore,
    /// `l2`: divides each row by its Euclidean length, so that distances measure angles.
    L2,
    /// `remove-top:3`: subtracts the mean and the projections on the first principal components,
    /// which often hold token frequency rather than meaning (Mu & Viswanath 2018, "All-but-the-Top").
    RemoveTop {
        /// How many components are removed.
        components: usize,
    },
    /// `whiten` or `whiten:0.1`: subtracts the mean and multiplies by an inverse square root of
    /// the shrunk covariance `(1−γ) S + γ (tr S / d) I`, so that Euclidean distances become
    /// Mahalanobis distances. Must be fitted on other rows than it is scored on:
    /// [`TransformChain::needs_cross_fitting`].
    Whiten {
        /// How `γ` is chosen.
        shrinkage: Shrinkage,
    },
    /// `jl:256`, `jl:256:7`, `count-sketch:256`: a random linear map to fewer dimensions under
    /// which squared distances are right in expectation (Johnson & Lindenstrauss 1984). The
    /// second number is the seed, zero if left out.
    ///
    /// The moment-based indices are exact in `O(n d)`: a sketch pays only before indices that
    /// look at all pairs of rows.
    RandomProjection {
        /// Dimensions afterwards.
        dim: usize,
        /// Kind of the random matrix.
        kind: ProjectionKind,
        /// Seed of the random matrix.
        seed: u64,
    },
}

/// How the intensity `γ` of [`Transform::Whiten`] is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Shrinkage {
    /// Estimated to minimize the expected squared error of the covariance (Ledoit & Wolf 2004,
    /// "A well-conditioned estimator for large-dimensional covariance matrices").
    LedoitWolf,
    /// Given, between 0 (the sample covariance) and 1 (only its mean variance).
    Fixed(f64),
}

/// The random matrix of [`Transform::RandomProjection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProjectionKind {
    /// Independent normal entries of variance `1/m`: `O(n d m)`.
    Gaussian,
    /// Each dimension is added, with a random sign, to one random output dimension: `O(n d)`,
    /// with more variance where few dimensions dominate (Charikar, Chen & Farach-Colton 2002).
    CountSketch,
}

/// The steps applied to embeddings before scoring, in order; none by default.
///
/// Choose a chain before looking at scores, and report it. Reducing dimensions by principal
/// components before scoring is biased upwards, since the components follow the sample (at
/// d = 1024 and n = 600, 1/Xie-Beni on 8 components was found 4.5 times as large as on all
/// dimensions): there is no such step. Whitening is biased likewise unless cross-fitted.
///
/// ```
/// use collimate_aqi::TransformChain;
/// use ndarray::array;
/// let chain: TransformChain = "z-score,l2".parse()?;
/// let rows = array![[1.0_f32, 0.0, 9.0], [2.0, 5.0, 9.0], [3.0, 1.0, 9.0]];
/// let fitted = chain.fit(rows.view())?;
/// assert_eq!(fitted.apply(rows.view())?.dim(), (3, 2));
/// assert_eq!(fitted.summary().output_dim, 2);
/// assert_eq!(chain.to_string(), "z-score,l2");
/// assert!("z-score,pca:8".parse::<TransformChain>().is_err());
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TransformChain {
    steps: Vec<Transform>,
}

impl TransformChain {
    /// The chain of these steps.
    ///
    /// # Errors
    /// [`AqiError::Parameter`] for a setting outside its range.
    pub fn new(steps: impl IntoIterator<Item = Transform>) -> Result<Self> {
        let steps: Vec<Transform> = steps.into_iter().collect();
        steps.iter().try_for_each(Transform::check)?;
        Ok(Self { steps })
    }

    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[Transform] {
        &self.steps
    }

    /// True for the chain that changes nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.steps.is_empty()
    }

    /// True if scores are biased upwards on the rows that the chain was fitted on. Fit it on
    /// each complement of [`cross_fit_folds`], and score the fold.
    #[must_use]
    pub fn needs_cross_fitting(&self) -> bool {
        self.steps.iter().any(Transform::overfits)
    }

    /// Fits every step to `rows`, `[n, d]`, as the steps before it leave them.
    ///
    /// # Errors
    /// [`AqiError::Empty`], [`AqiError::ZeroDim`], [`AqiError::NonFinite`];
    /// [`AqiError::DegenerateData`] where a step needs variance and there is none;
    /// [`AqiError::ZeroRow`] from `l2`; [`AqiError::Parameter`] for more components than the
    /// rows have, or for shrinkage without which the covariance is singular.
    pub fn fit<F: Element>(&self, rows: ArrayView2<'_, F>) -> Result<FittedChain> {
        FittedChain::new(self, rows)
    }
}

impl Transform {
    /// What the step is called in a chain's text, without its settings.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Centre => "centre",
            Self::Rms => "rms",
            Self::ZScore => "z-score",
            Self::L2 => "l2",
            Self::RemoveTop { .. } => "remove-top",
            Self::Whiten { .. } => "whiten",
            Self::RandomProjection { kind: ProjectionKind::Gaussian, .. } => "jl",
            Self::RandomProjection { kind: ProjectionKind::CountSketch, .. } => "count-sketch",
        }
    }

    /// True if the step flatters the rows that it was fitted on, so that it takes cross-fitting.
    #[must_use]
    pub fn overfits(&self) -> bool {
        matches!(self, Self::Whiten { .. })
    }

    fn check(&self) -> Result<()> {
        match *self {
            Self::RemoveTop { components: 0 } => {
                Err(AqiError::parameter("number of components to remove", 0, "at least one"))
            }
            Self::Whiten { shrinkage: Shrinkage::Fixed(intensity) }
                if !(0.0..=1.0).contains(&intensity) =>
            {
                Err(AqiError::parameter("shrinkage", intensity, "a number in [0, 1]"))
            }
            Self::RandomProjection { dim: 0, .. } => {
                Err(AqiError::parameter("dimensions of a random projection", 0, "at least one"))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::RemoveTop { components } => write!(f, ":{components}"),
            Self::Whiten { shrinkage: Shrinkage::Fixed(intensity) } => write!(f, ":{intensity}"),
            Self::RandomProjection { dim, seed: 0, .. } => write!(f, ":{dim}"),
            Self::RandomProjection { dim, seed, .. } => write!(f, ":{dim}:{seed}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for Transform {
    type Err = AqiError;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            AqiError::parameter(
                "transform",
                format!("{text:?}"),
                "none, centre, rms, z-score, l2, remove-top:M, whiten, whiten:SHRINKAGE, jl:DIM or count-sketch:DIM (with :SEED), separated by commas",
            )
        };
        let parts: Vec<&str> = text.trim().split(':').collect();
        let step = match parts[..] {
            ["centre" | "center"] => Self::Centre,
            ["rms"] => Self::Rms,
            ["z-score"] => Self::ZScore,
            ["l2"] => Self::L2,
            ["remove-top", components] => {
                Self::RemoveTop { components: components.parse().map_err(|_| unknown())? }
            }
            ["whiten"] => Self::Whiten { shrinkage: Shrinkage::LedoitWolf },
            ["whiten", intensity] => Self::Whiten {
                shrinkage: Shrinkage::Fixed(intensity.parse().map_err(|_| unknown())?),
            },
            [name @ ("jl" | "count-sketch"), dim, ref seed @ ..] if seed.len() <= 1 => {
                Self::RandomProjection {
                    dim: dim.parse().map_err(|_| unknown())?,
                    kind: if name == "jl" {
                        ProjectionKind::Gaussian
                    } else {
                        ProjectionKind::CountSketch
                    },
                    seed: match seed {
                        [seed] => seed.parse().map_err(|_| unknown())?,
                        _ => 0,
                    },
                }
            }
            _ => return Err(unknown()),
        };
        step.check()?;
        Ok(step)
    }
}

impl fmt::Display for TransformChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return f.write_str("none");
        }
        for (index, step) in self.steps.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{step}")?;
        }
        Ok(())
    }
}

impl FromStr for TransformChain {
    type Err = AqiError;

    fn from_str(text: &str) -> Result<Self> {
        if text.trim() == "none" {
            return Ok(Self::default());
        }
        let steps = text.split(',').map(str::parse).collect::<Result<_>>()?;
        Ok(Self { steps })
    }
}

impl From<TransformChain> for String {
    fn from(chain: TransformChain) -> Self {
        chain.to_string()
    }
}

impl TryFrom<String> for TransformChain {
    type Error = AqiError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chain_is_read_back_as_it_is_written() -> Result<()> {
        for text in [
            "none",
            "centre",
            "rms",
            "z-score",
            "l2",
            "remove-top:3",
            "whiten",
            "whiten:0.1",
            "whiten:0",
            "jl:256",
            "jl:256:7",
            "count-sketch:64",
            "count-sketch:64:18446744073709551615",
            "centre,l2,remove-top:1,whiten",
        ] {
            let chain: TransformChain = text.parse()?;
            assert_eq!(chain.to_string(), text);
            let json = serde_json::to_string(&chain).unwrap();
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<TransformChain>(&json).unwrap(), chain);
        }
        let alias: TransformChain = " center , l2".parse()?;
        assert_eq!(alias.to_string(), "centre,l2");
        Ok(())
    }

    #[test]
    fn what_is_not_a_chain_is_refused() {
        for text in [
            "",
            "none,l2",
            "l2,",
            "pca:8",
            "L2",
            "remove-top",
            "remove-top:0",
            "remove-top:-1",
            "whiten:1.5",
            "whiten:NaN",
            "whiten:0.1:2",
            "jl",
            "jl:0",
            "jl:2:3:4",
            "rms:1",
        ] {
            assert!(text.parse::<TransformChain>().is_err(), "{text:?}");
        }
        assert!(TransformChain::new([Transform::RemoveTop { components: 0 }]).is_err());
    }

    #[test]
    fn only_whitening_needs_cross_fitting() -> Result<()> {
        let needs =
            |text: &str| Ok::<_, AqiError>(text.parse::<TransformChain>()?.needs_cross_fitting());
        assert!(needs("l2,whiten:0.2")?);
        assert!(!needs("centre,rms,z-score,l2,remove-top:2,jl:8")?);
        assert!(!needs("none")?);
        Ok(())
    }
}
