//! Paired changes of means.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// How a mean over the same items changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MeanChange {
    /// Items that have a number before and after.
    pub n: usize,
    /// The mean after less the mean before.
    pub difference: f64,
    /// Its 95% interval.
    pub ci95: [f64; 2],
    /// Two-sided p-value of no change.
    pub p_value: f64,
}

impl MeanChange {
    /// That of items with weights, which the means are weighted by, and the weighted sums' differences; none
    /// for less than two. With equal weights it is Student's paired test. With others the difference is a
    /// ratio of sums, its variance that of the linearised ratio (W. G. Cochran, Sampling Techniques, 1977,
    /// section 6.3).
    pub(crate) fn of(items: &[(f64, f64)]) -> Option<Self> {
        let n = items.len() as f64;
        let student = StudentsT::new(0.0, 1.0, n - 1.0).ok()?;
        let weight: f64 = items.iter().map(|item| item.0).sum();
        let difference = items.iter().map(|item| item.1).sum::<f64>() / weight;
        let squares: f64 = items.iter().map(|item| (item.1 - difference * item.0).powi(2)).sum();
        let error = (n / (n - 1.0) * squares).sqrt() / weight;
        let half = student.inverse_cdf(0.975) * error;
        let p_value = match error > 0.0 {
            true => 2.0 * student.sf((difference / error).abs()),
            false => f64::from(u8::from(difference == 0.0)),
        };
        let ci95 = [difference - half, difference + half];
        Some(Self { n: items.len(), difference, ci95, p_value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_give_the_paired_test() {
        // "Student", The probable error of a mean, 1908: hours of sleep gained by ten patients.
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let items: Vec<(f64, f64)> =
            first.iter().zip(second).map(|(first, second)| (1.0, second - first)).collect();
        let found = MeanChange::of(&items).unwrap();
        assert!((found.difference - 1.58).abs() < 1e-12);
        assert!((found.p_value - 0.002_833).abs() < 1e-6, "{found:?}");
        assert!((found.ci95[0] - 0.700_114).abs() < 1e-6, "{found:?}");
        assert!((found.ci95[1] - 2.459_886).abs() < 1e-6, "{found:?}");
        assert_eq!(MeanChange::of(&items[..1]), None);
        let same = MeanChange::of(&[(1.0, 0.0), (3.0, 0.0)]).unwrap();
        assert_eq!((same.difference, same.ci95, same.p_value), (0.0, [0.0, 0.0], 1.0));
    }
}
