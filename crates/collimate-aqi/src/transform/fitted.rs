//! A chain with its parameters: what is applied, reported and compared.

use super::random_projection::project;
use super::scaling::{ZScore, mean, normalize_rows, rms};
use super::whitening::{Root, Whitening};
use super::{ProjectionKind, Shrinkage, Transform, TransformChain};
use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::json_float;
use crate::linalg::power_of_two_near;
use crate::moments::times_power_of_two;
use crate::pca::{Pca, largest};
use ndarray::{Array1, Array2, ArrayView2};
use serde::Serialize;

/// Values up to `2^±SAFE` are worked on as they are.
const SAFE: i32 = 300;

/// A removed share of variance above this leaves nothing but rounding.
const ALL_VARIANCE: f64 = 1.0 - 1e-12;

/// A [`TransformChain`] fitted to rows, ready to be applied to these or others.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedChain {
    chain: TransformChain,
    rows: usize,
    dims: (usize, usize),
    /// Rows are divided by `2^exponent` first: their squares would leave the range of `f64`.
    exponent: i32,
    steps: Vec<Step>,
}

/// A fitted [`Transform`].
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Centre(Array1<f64>),
    Rms(f64),
    ZScore(ZScore, usize),
    L2,
    RemoveTop(Pca),
    Whiten(Whitening, bool),
    RandomProjection(usize, ProjectionKind, u64),
}

/// What a [`FittedChain`] is, for a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChainSummary {
    /// The chain as text, for example `"z-score,l2"`.
    pub chain: String,
    /// Rows that it was fitted on.
    pub fitted_rows: usize,
    /// Dimensions before.
    pub input_dim: usize,
    /// Dimensions after.
    pub output_dim: usize,
    /// What was fitted, step by step.
    pub steps: Vec<StepSummary>,
    /// [`FittedChain::fingerprint`].
    pub fingerprint: String,
}

/// What one step was fitted to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "transform", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StepSummary {
    /// The mean was subtracted.
    Centre,
    /// Rows were divided by a number.
    Rms {
        /// The number, `√(Σ‖x − mean‖² / n)`.
        #[serde(with = "json_float")]
        scale: f64,
    },
    /// Dimensions were standardized.
    ZScore {
        /// Dimensions without variance, which were dropped.
        dropped_dims: usize,
    },
    /// Rows were divided by their lengths.
    L2,
    /// Principal components were removed.
    RemoveTop {
        /// How many.
        components: usize,
        /// Share of the total variance that each of them held.
        explained_variance_ratio: Vec<f64>,
    },
    /// Rows were whitened.
    Whiten {
        /// Shrinkage intensity `γ`.
        shrinkage: f64,
        /// True if `γ` was estimated, by Ledoit and Wolf's formula.
        estimated: bool,
    },
    /// Rows were projected at random.
    RandomProjection {
        /// Kind of the random matrix.
        kind: ProjectionKind,
        /// Its seed.
        seed: u64,
    },
}

impl FittedChain {
    pub(super) fn new<F: Element>(chain: &TransformChain, rows: ArrayView2<'_, F>) -> Result<Self> {
        if rows.nrows() == 0 {
            return Err(AqiError::Empty);
        }
        if rows.ncols() == 0 {
            return Err(AqiError::ZeroDim);
        }
        let exponent = exponent(largest(rows)?);
        let mut fitted = Self {
            chain: chain.clone(),
            rows: rows.nrows(),
            dims: (rows.ncols(), rows.ncols()),
            exponent,
            steps: Vec::with_capacity(chain.steps().len()),
        };
        if chain.is_none() {
            return Ok(fitted);
        }
        let mut work = converted(rows, exponent);
        for (index, transform) in chain.steps().iter().enumerate() {
            let step = Step::fit(transform, &work)?;
            fitted.dims.1 = step.output_dim(work.ncols());
            if index + 1 < chain.steps().len() {
                work = step.apply(work)?;
            }
            fitted.steps.push(step);
        }
        Ok(fitted)
    }

    /// `rows`, `[n, d]`, transformed: `[n, output_dim]`.
    ///
    /// # Errors
    /// [`AqiError::Shape`] if the rows have other dimensions than those fitted;
    /// [`AqiError::NonFinite`] for NaN or infinite values, before or after;
    /// [`AqiError::ZeroRow`] from `l2`.
    pub fn apply<F: Element>(&self, rows: ArrayView2<'_, F>) -> Result<Array2<f64>> {
        if rows.ncols() != self.dims.0 {
            return Err(AqiError::Shape {
                what: "columns of the rows to transform",
                expected: self.dims.0,
                found: rows.ncols(),
            });
        }
        largest(rows)?;
        if self.steps.is_empty() {
            return Ok(converted(rows, 0));
        }
        let mut work = converted(rows, self.exponent);
        let mut exponent = self.exponent;
        for step in &self.steps {
            work = step.apply(work)?;
            if step.sets_the_scale() {
                exponent = 0;
            }
        }
        if exponent != 0 {
            work.mapv_inplace(|x| times_power_of_two(x, exponent));
        }
        largest(work.view())?;
        Ok(if work.is_standard_layout() { work } else { work.as_standard_layout().into_owned() })
    }

    /// The chain that was fitted.
    #[must_use]
    pub fn chain(&self) -> &TransformChain {
        &self.chain
    }

    /// What was fitted, for a report.
    #[must_use]
    pub fn summary(&self) -> ChainSummary {
        let mut exponent = self.exponent;
        let mut steps = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            steps.push(step.summary(exponent));
            if step.sets_the_scale() {
                exponent = 0;
            }
        }
        ChainSummary {
            chain: self.chain.to_string(),
            fitted_rows: self.rows,
            input_dim: self.dims.0,
            output_dim: self.dims.1,
            steps,
            fingerprint: self.fingerprint(),
        }
    }

    /// Identifies the chain and the parameters that it was fitted to, as 16 hexadecimal digits:
    /// states can be merged only if their rows went through the same map. 64-bit FNV-1a over the
    /// chain's text and the bits of every parameter: it tells honest states apart, and is no
    /// protection against forged ones.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Fnv1a::default();
        hash.write(self.chain.to_string().as_bytes());
        hash.write(&(self.dims.0 as u64).to_le_bytes());
        if !self.steps.is_empty() {
            hash.write(&self.exponent.to_le_bytes());
        }
        for step in &self.steps {
            step.numbers(&mut |x| hash.write(&x.to_bits().to_le_bytes()));
        }
        format!("{:016x}", hash.0)
    }
}

impl Step {
    fn fit(transform: &Transform, rows: &Array2<f64>) -> Result<Self> {
        Ok(match *transform {
            Transform::Centre => Self::Centre(mean(rows)),
            Transform::Rms => Self::Rms(rms(rows)?),
            Transform::ZScore => Self::ZScore(ZScore::fit(rows)?, rows.ncols()),
            Transform::L2 => {
                // Nothing to fit, but a row of zeros is better named now.
                normalize_rows(&mut rows.clone())?;
                Self::L2
            }
            Transform::RemoveTop { components } => {
                let pca = Pca::fit(rows.view(), components)?;
                if pca.explained_variance_ratio.iter().sum::<f64>() > ALL_VARIANCE {
                    return Err(AqiError::parameter(
                        "number of components to remove",
                        components,
                        "fewer than the directions in which the rows vary",
                    ));
                }
                Self::RemoveTop(pca)
            }
            Transform::Whiten { shrinkage } => {
                Self::Whiten(Whitening::fit(rows, shrinkage)?, shrinkage == Shrinkage::LedoitWolf)
            }
            Transform::RandomProjection { dim, kind, seed } => {
                Self::RandomProjection(dim, kind, seed)
            }
        })
    }

    fn apply(&self, mut rows: Array2<f64>) -> Result<Array2<f64>> {
        Ok(match self {
            Self::Centre(mean) => rows - mean,
            Self::Rms(scale) => rows / *scale,
            Self::ZScore(fitted, _) => fitted.apply(&rows),
            Self::L2 => {
                normalize_rows(&mut rows)?;
                rows
            }
            Self::RemoveTop(pca) => {
                let shares = pca.project(rows.view())?;
                rows - &pca.mean - shares.dot(&pca.components)
            }
            Self::Whiten(fitted, _) => fitted.apply(&rows),
            Self::RandomProjection(dim, kind, seed) => project(&rows, *dim, *kind, *seed),
        })
    }

    /// True if the output has the same size whatever the unit of the input.
    fn sets_the_scale(&self) -> bool {
        matches!(self, Self::Rms(_) | Self::ZScore(..) | Self::L2 | Self::Whiten(..))
    }

    fn output_dim(&self, input_dim: usize) -> usize {
        match self {
            Self::ZScore(fitted, _) => fitted.kept.len(),
            Self::RandomProjection(dim, ..) => *dim,
            _ => input_dim,
        }
    }

    fn summary(&self, exponent: i32) -> StepSummary {
        match self {
            Self::Centre(_) => StepSummary::Centre,
            Self::Rms(scale) => StepSummary::Rms { scale: times_power_of_two(*scale, exponent) },
            Self::ZScore(fitted, dims) => {
                StepSummary::ZScore { dropped_dims: dims - fitted.kept.len() }
            }
            Self::L2 => StepSummary::L2,
            Self::RemoveTop(pca) => StepSummary::RemoveTop {
                components: pca.components.nrows(),
                explained_variance_ratio: pca.explained_variance_ratio.clone(),
            },
            Self::Whiten(fitted, estimated) => {
                StepSummary::Whiten { shrinkage: fitted.shrinkage, estimated: *estimated }
            }
            Self::RandomProjection(_, kind, seed) => {
                StepSummary::RandomProjection { kind: *kind, seed: *seed }
            }
        }
    }

    /// Every fitted number; those of the chain's text are not repeated.
    fn numbers(&self, write: &mut dyn FnMut(f64)) {
        let mut all = |values: &mut dyn Iterator<Item = &f64>| values.for_each(|x| write(*x));
        match self {
            Self::Centre(mean) => all(&mut mean.iter()),
            Self::Rms(scale) => all(&mut std::iter::once(scale)),
            Self::ZScore(fitted, _) => {
                let kept: Vec<f64> = fitted.kept.iter().map(|&column| column as f64).collect();
                all(&mut kept.iter().chain(&fitted.mean).chain(&fitted.sd));
            }
            Self::RemoveTop(pca) => all(&mut pca.mean.iter().chain(&pca.components)),
            Self::Whiten(fitted, _) => {
                all(&mut fitted.mean.iter().chain([&fitted.unit, &fitted.shrinkage]));
                match &fitted.root {
                    Root::Columns { factor } => all(&mut factor.iter()),
                    Root::Rows { rows, floor, .. } => {
                        all(&mut rows.iter().chain(std::iter::once(floor)));
                    }
                }
            }
            Self::L2 | Self::RandomProjection(..) => {}
        }
    }
}

/// The 64-bit hash of Fowler, Noll & Vo.
struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv1a {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// The power of two to divide by; 0 where squares are safe as they are.
fn exponent(largest: f64) -> i32 {
    #[allow(clippy::cast_possible_truncation, reason = "the logarithm of a finite f64 is small")]
    let exponent = power_of_two_near(largest).log2() as i32;
    if exponent.abs() < SAFE { 0 } else { exponent }
}

/// `rows / 2^exponent` in `f64`, row by row in memory.
fn converted<F: Element>(rows: ArrayView2<'_, F>, exponent: i32) -> Array2<f64> {
    let mut out = Array2::zeros(rows.dim());
    out.zip_mut_with(&rows, |out, x| *out = x.to_f64());
    if exponent != 0 {
        out.mapv_inplace(|x| times_power_of_two(x, -exponent));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    // The published test vectors of 64-bit FNV-1a.
    #[test]
    fn the_hash_is_fnv_1a() {
        let of = |text: &str| {
            let mut hash = Fnv1a::default();
            hash.write(text.as_bytes());
            hash.0
        };
        assert_eq!(of(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(of("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(of("foobar"), 0x8594_4171_f739_67e8);
    }
}
