//! An approximate test that needs no permutations.

use crate::dispersion::Dispersion;
use crate::error::{AqiError, Result};
use statrs::distribution::{ContinuousCDF, FisherSnedecor};

impl Dispersion {
    /// Approximate p-value of Calinski-Harabasz for rows of one covariance in each class: the F
    /// distribution with `(k−1)·r` and `(n−k)·r` degrees of freedom (Satterthwaite's
    /// approximation), where `r = (tr Σ)²/tr Σ²` is the
    /// [participation ratio](crate::participation_ratio) of the pooled within-class covariance.
    /// For one dimension, `r = 1`, it is the F test of the analysis of variance.
    ///
    /// # Errors
    /// [`AqiError::TooFewSamples`] if `n ≤ k`; [`AqiError::Parameter`] for a participation
    /// ratio that is not positive and finite.
    pub fn f_test(&self, participation_ratio: f64) -> Result<f64> {
        let chi = self.calinski_harabasz()?;
        let k = self.class_count() as f64;
        let (between, within) = (k - 1.0, self.n() - k);
        let f = FisherSnedecor::new(between * participation_ratio, within * participation_ratio)
            .map_err(|_| {
                let expected = "a positive number";
                AqiError::parameter("participation ratio", participation_ratio, expected)
            })?;
        Ok(if chi.is_infinite() { 0.0 } else { f.sf(chi) })
    }
}
