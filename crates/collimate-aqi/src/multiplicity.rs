//! Adjusted p-values for several tests at once.

use crate::error::{AqiError, Result};

/// Adjusted p-values that bound the chance of a single false rejection among all tests, under
/// any dependence: step-down Bonferroni (Holm 1979).
///
/// With `p_(1) ≤ … ≤ p_(m)`, `p̃_(i) = min(1, max_{j≤i} (m − j + 1) p_(j))`. Returned in the
/// order of the input.
///
/// ```
/// use collimate_aqi::holm;
/// assert_eq!(holm(&[0.03, 0.01])?, [0.03, 0.02]);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Parameter`] for a p-value outside `[0, 1]`.
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>> {
    let order = ascending(p_values)?;
    let mut adjusted = vec![0.0; p_values.len()];
    let mut running = 0.0_f64;
    for (rank, &i) in order.iter().enumerate() {
        running = running.max((order.len() - rank) as f64 * p_values[i]);
        adjusted[i] = running.min(1.0);
    }
    Ok(adjusted)
}

/// Adjusted p-values that bound the expected share of false rejections among all rejections,
/// for tests that are independent or positively dependent (Benjamini & Hochberg 1995).
///
/// With `p_(1) ≤ … ≤ p_(m)`, `p̃_(i) = min(1, min_{j≥i} (m/j) p_(j))`. Returned in the order of
/// the input.
///
/// ```
/// use collimate_aqi::benjamini_hochberg;
/// assert_eq!(benjamini_hochberg(&[0.03, 0.01])?, [0.03, 0.02]);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Parameter`] for a p-value outside `[0, 1]`.
pub fn benjamini_hochberg(p_values: &[f64]) -> Result<Vec<f64>> {
    let order = ascending(p_values)?;
    let mut adjusted = vec![0.0; p_values.len()];
    let mut running = 1.0_f64;
    for (rank, &i) in order.iter().enumerate().rev() {
        running = running.min(order.len() as f64 / (rank + 1) as f64 * p_values[i]);
        adjusted[i] = running;
    }
    Ok(adjusted)
}

/// Indices of the p-values from smallest to largest.
fn ascending(p_values: &[f64]) -> Result<Vec<usize>> {
    if let Some(bad) = p_values.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        return Err(AqiError::parameter("p-value", bad, "a number in [0, 1]"));
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: [f64; 8] = [0.01, 0.04, 0.03, 0.005, 0.55, 0.3, 0.0005, 0.04];

    fn check(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a / b - 1.0).abs() < 1e-14, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn holm_steps_down() -> Result<()> {
        // Sorted .0005 .005 .01 .03 .04 .04 .3 .55 times 8 7 6 5 4 3 2 1, running maximum.
        check(&holm(&P)?, &[0.06, 0.16, 0.15, 0.035, 0.6, 0.6, 0.004, 0.16]);
        check(&holm(&[0.6, 0.5])?, &[1.0, 1.0]);
        Ok(())
    }

    #[test]
    fn benjamini_hochberg_agrees_with_scipy() -> Result<()> {
        // scipy.stats.false_discovery_control([.01, .04, .03, .005, .55, .3, .0005, .04])
        let expected = [
            0.026666666666666665,
            0.05333333333333333,
            0.05333333333333333,
            0.02,
            0.55,
            0.34285714285714286,
            0.004,
            0.05333333333333333,
        ];
        check(&benjamini_hochberg(&P)?, &expected);
        Ok(())
    }

    #[test]
    fn no_tests_have_no_p_values_and_bad_ones_are_errors() -> Result<()> {
        assert!(holm(&[])?.is_empty() && benjamini_hochberg(&[])?.is_empty());
        for bad in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(holm(&[0.5, bad]), Err(AqiError::Parameter { name: "p-value", .. })));
        }
        Ok(())
    }
}
