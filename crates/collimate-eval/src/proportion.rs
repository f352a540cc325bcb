//! Shares with their intervals, and paired changes of them.

use serde::Serialize;
use statrs::distribution::{Binomial, DiscreteCDF};

/// The 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A share and the range in which it lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Proportion {
    /// How many it is.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// `count / of`; nothing of nothing.
    pub share: Option<f64>,
    /// Wilson's 95 % interval (E. B. Wilson, Probable inference, the law of succession, and statistical
    /// inference, 1927): 0 to 1 of nothing.
    pub ci95: [f64; 2],
}

/// How often the same items had a property before and after.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PairedChange {
    /// Before.
    pub before: Proportion,
    /// After.
    pub after: Proportion,
    /// Items that had it before and no longer have it.
    pub lost: u64,
    /// Items that have it only after.
    pub gained: u64,
    /// `after − before`; nothing without items.
    pub difference: Option<f64>,
    /// The 95% interval of the difference (R. G. Newcombe, Improved confidence intervals for the
    /// difference between binomial proportions based on paired data, 1998, method 10): −1 to 1 of nothing.
    pub ci95: [f64; 2],
    /// The two-sided p-value of McNemar's exact test: how likely are `lost` and `gained`, or two that
    /// differ more, if both directions are equally likely (Q. McNemar, Note on the sampling error of the
    /// difference between correlated proportions or percentages, 1947). 1 if nothing changed.
    pub p_value: f64,
}

impl Proportion {
    /// `count` of `of`; a count beyond that is taken for all.
    #[must_use]
    pub fn new(count: u64, of: u64) -> Self {
        let count = count.min(of);
        if of == 0 {
            return Self { count, of, share: None, ci95: [0.0, 1.0] };
        }
        let n = of as f64;
        let share = count as f64 / n;
        let square = Z * Z;
        let centre = (share + square / (2.0 * n)) / (1.0 + square / n);
        let spread = share * (1.0 - share) / n + square / (4.0 * n * n);
        let half = Z / (1.0 + square / n) * spread.sqrt();
        // At the ends the interval is exact, and rounding must not say otherwise.
        let low = if count == 0 { 0.0 } else { centre - half };
        let high = if count == of { 1.0 } else { centre + half };
        Self { count, of, share: Some(share), ci95: [low, high] }
    }
}

impl PairedChange {
    /// Compares two properties of the same items.
    pub(crate) fn new(pairs: impl Iterator<Item = (bool, bool)>) -> Self {
        let (mut of, mut before, mut after, mut lost, mut gained) = (0, 0, 0, 0, 0);
        for (was, is) in pairs {
            of += 1;
            before += u64::from(was);
            after += u64::from(is);
            lost += u64::from(was && !is);
            gained += u64::from(is && !was);
        }
        let (before, after) = (Proportion::new(before, of), Proportion::new(after, of));
        Self {
            before,
            after,
            lost,
            gained,
            difference: before.share.zip(after.share).map(|(before, after)| after - before),
            ci95: newcombe(&before, &after, lost, gained),
            p_value: mcnemar(lost, gained),
        }
    }
}

fn newcombe(before: &Proportion, after: &Proportion, lost: u64, gained: u64) -> [f64; 2] {
    let (Some(was), Some(is)) = (before.share, after.share) else { return [-1.0, 1.0] };
    let n = before.of as f64;
    let (lost, gained) = (lost as f64, gained as f64);
    let both = before.count as f64 - lost;
    let neither = n - both - lost - gained;
    let margins = [both + gained, lost + neither, both + lost, gained + neither];
    let product: f64 = margins.into_iter().product();
    let correlation = match both * neither - gained * lost {
        _ if product == 0.0 => 0.0,
        // Corrected for continuity.
        positive if positive > 0.0 => (positive - n / 2.0).max(0.0) / product.sqrt(),
        negative => negative / product.sqrt(),
    };
    let root = |one: f64, two: f64| {
        (one * one - 2.0 * correlation * one * two + two * two).max(0.0).sqrt()
    };
    let ([low, high], [low_before, high_before]) = (after.ci95, before.ci95);
    [is - was - root(is - low, high_before - was), is - was + root(was - low_before, high - is)]
}

fn mcnemar(lost: u64, gained: u64) -> f64 {
    // A fair coin is always a valid binomial distribution.
    let tail = Binomial::new(0.5, lost + gained).map_or(0.5, |coin| coin.cdf(lost.min(gained)));
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_nothing_has_no_share() {
        let none = Proportion::new(0, 0);
        assert_eq!((none.share, none.ci95), (None, [0.0, 1.0]));
        assert_eq!(PairedChange::new(std::iter::empty()).difference, None);
    }

    #[test]
    fn ends_are_exact() {
        assert_eq!(Proportion::new(0, 7).ci95[0], 0.0);
        assert_eq!(Proportion::new(7, 7).ci95[1], 1.0);
    }

    #[test]
    fn intervals_of_differences_are_those_of_the_paper() {
        let change = |both: usize, gained: usize, lost: usize, neither: usize| {
            let pairs = |pair, count| std::iter::repeat_n(pair, count);
            PairedChange::new(
                pairs((true, true), both)
                    .chain(pairs((false, true), gained))
                    .chain(pairs((true, false), lost))
                    .chain(pairs((false, false), neither)),
            )
        };
        let [low, high] = change(36, 12, 2, 0).ci95;
        assert!((low - 0.0569).abs() < 5e-5 && (high - 0.3404).abs() < 5e-5, "{low} {high}");
        let [low, high] = change(1, 97, 1, 1).ci95;
        assert!((low - 0.8737).abs() < 5e-5 && (high - 0.9850).abs() < 5e-5, "{low} {high}");
        let [low, high] = change(54, 0, 0, 0).ci95;
        assert!((low + 0.0664).abs() < 5e-5 && (low + high).abs() < 1e-12, "{low} {high}");
    }

    #[test]
    fn p_values_are_sums_of_the_binomial_distribution() {
        assert_eq!(mcnemar(0, 0), 1.0);
        assert!((mcnemar(0, 5) - 0.0625).abs() < 1e-12);
        assert!((mcnemar(9, 1) - 22.0 / 1024.0).abs() < 1e-12);
        assert_eq!(mcnemar(4, 4), 1.0);
    }
}
