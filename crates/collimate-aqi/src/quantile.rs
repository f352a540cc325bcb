//! Quantiles by linear interpolation.

use crate::error::{AqiError, Result};

/// The `q`-quantile by linear interpolation between order statistics: type 7 of Hyndman & Fan
/// (1996), the default of NumPy and of R.
///
/// ```
/// use collimate_aqi::quantile;
/// assert_eq!(quantile(&[40.0, 10.0, 20.0], 0.75)?, 30.0);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Parameter`] for `q` outside `[0, 1]`, for no values, and for a value that is not
/// finite.
pub fn quantile(values: &[f64], q: f64) -> Result<f64> {
    if !(0.0..=1.0).contains(&q) {
        return Err(AqiError::parameter("q", q, "a number in [0, 1]"));
    }
    check_finite("values", values)?;
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Ok(sorted_quantile(&sorted, q))
}

/// The same for values that are sorted, finite and at least one.
pub(crate) fn sorted_quantile(sorted: &[f64], q: f64) -> f64 {
    let last = sorted.len() - 1;
    let position = q * last as f64;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between zero and a length"
    )]
    let below = (position.floor() as usize).min(last);
    let (a, b) = (sorted[below], sorted[(below + 1).min(last)]);
    let t = position - below as f64;
    let gap = b - a;
    if gap.is_infinite() {
        a * (1.0 - t) + b * t
    } else if t < 0.5 {
        a + gap * t
    } else {
        b - gap * (1.0 - t)
    }
}

/// Checks that there are values and that all of them are finite.
pub(crate) fn check_finite(name: &'static str, values: &[f64]) -> Result<()> {
    if values.is_empty() {
        return Err(AqiError::parameter(name, "[]", "at least one number"));
    }
    match values.iter().find(|value| !value.is_finite()) {
        Some(bad) => Err(AqiError::parameter(name, bad, "finite numbers")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_numpy() -> Result<()> {
        let values = [3.5, -1.25, 7.0, 0.1, 2.2, 9.75, 4.0];
        // np.percentile([3.5, -1.25, 7, 0.1, 2.2, 9.75, 4], [0, 10, 25, 33, 50, 75, 99, 100])
        let expected = [
            (0.0, -1.25),
            (0.10, -0.44),
            (0.25, 1.15),
            (0.33, 2.158),
            (0.5, 3.5),
            (0.75, 5.5),
            (0.99, 9.585),
            (1.0, 9.75),
        ];
        for (q, expected) in expected {
            let found = quantile(&values, q)?;
            assert!((found / expected - 1.0).abs() < 1e-14, "{q}: {found}");
        }
        Ok(())
    }

    #[test]
    fn one_value_is_every_quantile_and_extremes_do_not_overflow() -> Result<()> {
        assert_eq!(quantile(&[4.0], 0.3)?, 4.0);
        assert_eq!(quantile(&[-f64::MAX, f64::MAX], 0.5)?, 0.0);
        let quarter = quantile(&[-f64::MAX, f64::MAX], 0.25)?;
        assert!((quarter / f64::MAX + 0.5).abs() < 1e-15);
        Ok(())
    }

    #[test]
    fn what_has_no_quantile_is_an_error() {
        for (values, q) in [
            (vec![], 0.5),
            (vec![f64::NAN], 0.5),
            (vec![1.0, f64::INFINITY], 0.5),
            (vec![1.0], 1.5),
            (vec![1.0], f64::NAN),
        ] {
            assert!(
                matches!(quantile(&values, q), Err(AqiError::Parameter { .. })),
                "{values:?}, {q}"
            );
        }
    }
}
