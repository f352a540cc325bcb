//! Axes: which numbers they span, where their ticks stand, and where a value lies on them.

use crate::number::decimal;

/// Powers of ten of numbers that are written without them.
const PLAIN: std::ops::Range<i32> = -3..7;

/// An axis, linear or logarithmic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    from: f64,
    to: f64,
    logarithmic: bool,
    /// Values of the ticks and what is written beside them.
    pub(crate) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// A linear axis from one tick to another that spans all values, with about so many ticks at
    /// steps of 1, 2 or 5 times a power of ten. Values that are not finite don't count.
    pub(crate) fn linear(values: impl IntoIterator<Item = f64>, ticks: usize) -> Self {
        let (low, high) = wide_enough(span(values).unwrap_or((0.0, 1.0)));
        let ticks = steps(low, high, ticks, true);
        // A tick beyond the largest number there is leaves that end where it was.
        let from = ticks.first().map_or(low, |first| first.0.min(low));
        let to = ticks.last().map_or(high, |last| last.0.max(high));
        Self { from, to, logarithmic: false, ticks }
    }

    /// A linear axis whose ticks are whole numbers, from the least value to the largest with half a
    /// step around them.
    pub(crate) fn whole(values: impl IntoIterator<Item = f64>, ticks: usize) -> Self {
        let (low, high) = span(values).unwrap_or((0.0, 1.0));
        let mut ticks = steps(low, high.max(low + 1.0), ticks, false);
        ticks.retain(|(tick, _)| tick.fract() == 0.0 && *tick <= high);
        Self { from: low - 0.5, to: high + 0.5, logarithmic: false, ticks }
    }

    /// A linear axis that ends where the values end.
    pub(crate) fn tight(values: impl IntoIterator<Item = f64>, ticks: usize) -> Self {
        let (low, high) = wide_enough(span(values).unwrap_or((0.0, 1.0)));
        Self { from: low, to: high, logarithmic: false, ticks: steps(low, high, ticks, false) }
    }

    /// A logarithmic axis that spans all values; only finite ones above zero count.
    pub(crate) fn logarithmic(values: impl IntoIterator<Item = f64>, ticks: usize) -> Self {
        let positive = values.into_iter().filter(|x| *x > 0.0);
        let (low, high) = span(positive).unwrap_or((1.0, 10.0));
        let (from, to) = (low.log10(), high.log10());
        let pad = if to - from > 1e-6 { 0.03 * (to - from) } else { 0.18 };
        // Not beyond the numbers that there are.
        let (from, to) = ((from - pad).max(-323.5), (to + pad).min(308.25));
        let [floor, ceil] = [from.floor(), to.ceil()].map(power);
        let inside = |exponent: f64| (from..=to).contains(&exponent);
        let mut found: Vec<(f64, String)> = Vec::new();
        // Ones; with twos and fives, where that gives few.
        for mantissas in [&[1][..], &[1, 2, 5]] {
            found = (floor..=ceil)
                .flat_map(|exponent| mantissas.iter().map(move |m| (*m, exponent)))
                .map(|(m, e)| {
                    ((m as f64).log10() + f64::from(e), decimal(m, e, !PLAIN.contains(&e)))
                })
                .filter(|(at, _)| inside(*at))
                .collect();
            if found.len() >= 3 {
                break;
            }
        }
        if found.len() < 3 {
            let (low, high) = (10_f64.powf(from), 10_f64.powf(to));
            found = steps(low, high, ticks, false)
                .into_iter()
                .filter(|(tick, _)| *tick > 0.0)
                .map(|(tick, label)| (tick.log10(), label))
                .collect();
        }
        let every = found.len().div_ceil(ticks.max(1) + 2).max(1);
        let ticks = found.into_iter().step_by(every).map(|(at, label)| (10_f64.powf(at), label));
        Self { from, to, logarithmic: true, ticks: ticks.collect() }
    }

    /// Where a value lies: 0 at one end, 1 at the other, and beyond for values beyond.
    pub(crate) fn share(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.log10() } else { value };
        // Halves, so that no difference overflows.
        (value / 2.0 - self.from / 2.0) / (self.to / 2.0 - self.from / 2.0)
    }

    /// Whether a value can be drawn.
    pub(crate) fn takes(&self, value: f64) -> bool {
        value.is_finite() && (!self.logarithmic || value > 0.0)
    }
}

/// The least and the largest finite value.
fn span(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|x| x.is_finite()).fold(None, |span, x| match span {
        None => Some((x, x)),
        Some((low, high)) => Some((low.min(x), high.max(x))),
    })
}

/// Ends that can be told apart.
fn wide_enough((low, high): (f64, f64)) -> (f64, f64) {
    let least = (low.abs().max(high.abs()) * 1e-9).max(1e-300);
    if high / 2.0 - low / 2.0 > least {
        return (low, high);
    }
    let pad = (0.05 * low.abs()).max(if low == 0.0 { 1.0 } else { 1e-290 });
    ((low - pad).max(f64::MIN / 2.0), (high + pad).min(f64::MAX / 2.0))
}

/// Multiples of a step of 1, 2 or 5 times a power of ten: within the ends, or with those around.
fn steps(low: f64, high: f64, ticks: usize, around: bool) -> Vec<(f64, String)> {
    let rough = (high / ticks.max(1) as f64 - low / ticks.max(1) as f64).max(f64::MIN_POSITIVE);
    let exponent = power(rough.log10().floor());
    let unit = scale(1.0, exponent);
    let (mantissa, exponent) = match rough / unit {
        share if share <= 1.0 + 1e-9 => (1, exponent),
        share if share <= 2.0 + 1e-9 => (2, exponent),
        share if share <= 5.0 + 1e-9 => (5, exponent),
        _ => (1, exponent + 1),
    };
    let step = scale(f64::from(mantissa), exponent);
    let near = 1e-9;
    let (first, last) = if around {
        ((low / step + near).floor(), (high / step - near).ceil())
    } else {
        ((low / step - near).ceil(), (high / step + near).floor())
    };
    let (first, last) = (whole(first), whole(last));
    // Written alike on the whole axis.
    let powers =
        !PLAIN.contains(&power(low.abs().max(high.abs()).max(f64::MIN_POSITIVE).log10().floor()));
    // Never more than a few; a step that vanishes beside its values gives none.
    let last = last.min(first.saturating_add(4 * i64::try_from(ticks).unwrap_or(16) + 4));
    (first..=last)
        .map(|index| {
            let units = index.saturating_mul(i64::from(mantissa));
            (scale(units as f64, exponent), decimal(units, exponent, powers))
        })
        .filter(|(tick, _)| tick.is_finite())
        .collect()
}

/// `units · 10^exponent`, as exactly as division gives it.
fn scale(units: f64, exponent: i32) -> f64 {
    match exponent {
        0.. => units * 10_f64.powi(exponent),
        -300..0 => units / 10_f64.powi(-exponent),
        // 10^301 and more would be infinite.
        _ => units / 1e300 / 10_f64.powi(-exponent - 300),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "exponents of finite numbers are small")]
fn power(exponent: f64) -> i32 {
    exponent as i32
}

#[allow(clippy::cast_possible_truncation, reason = "the cast saturates")]
fn whole(x: f64) -> i64 {
    x as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_plain_numbers() {
        for (values, ticks) in [
            (&[0.0, 100.0][..], &["0", "20", "40", "60", "80", "100"][..]),
            (&[2.13, 2.94], &["2", "2.2", "2.4", "2.6", "2.8", "3"]),
            (&[0.0, 2e-5], &["0", "5e−6", "1e−5", "1.5e−5", "2e−5"]),
            (&[-0.3, 0.7], &["−0.4", "−0.2", "0", "0.2", "0.4", "0.6", "0.8"]),
            (&[5.0], &["4.7", "4.8", "4.9", "5", "5.1", "5.2", "5.3"]),
            (&[], &["0", "0.2", "0.4", "0.6", "0.8", "1"]),
            (&[f64::NAN, f64::INFINITY, 0.0, 1.0], &["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        ] {
            let axis = Axis::linear(values.iter().copied(), 5);
            let found = labels(&axis);
            assert_eq!(found, ticks, "{values:?}");
        }
    }

    #[test]
    fn every_value_has_a_place() {
        for values in [
            [0.0, 0.0],
            [5.0, 5.0],
            [-1e308, 1e308],
            [1e308, 1.7e308],
            [5e-324, 1e-310],
            [1e15, 1e15 + 1.0],
            [1e-200, 1.0],
            [-7.0, -7.0],
        ] {
            for axis in [Axis::linear(values, 5), Axis::tight(values, 5)] {
                assert!(axis.ticks.len() <= 25, "{values:?}: {:?}", axis.ticks);
                for value in values {
                    let share = axis.share(value);
                    assert!((-1e-6..=1.0 + 1e-6).contains(&share), "{values:?}: {share}");
                }
            }
            let axis = Axis::logarithmic(values, 5);
            for value in values.into_iter().filter(|x| *x > 0.0) {
                let share = axis.share(value);
                assert!((-1e-3..=1.0 + 1e-3).contains(&share), "{values:?}: {share}");
            }
        }
    }

    #[test]
    fn logarithmic_ticks() {
        for (values, ticks) in [
            ([0.1, 1000.0], &["0.1", "1", "10", "100", "1000"][..]),
            ([0.8, 30.0], &["1", "2", "5", "10", "20"]),
            ([2.1, 2.9], &["2.2", "2.4", "2.6", "2.8"]),
        ] {
            let axis = Axis::logarithmic(values, 5);
            let found = labels(&axis);
            assert_eq!(found, ticks, "{values:?}");
        }
        let axis = Axis::logarithmic([1.0, 100.0], 5);
        assert!((axis.share(10.0) - 0.5).abs() < 1e-12);
        assert!(axis.takes(1e-9) && !axis.takes(0.0) && !axis.takes(f64::NAN));
        assert!(Axis::logarithmic([1e-300, 1e300], 5).ticks.len() <= 9);
    }

    #[test]
    fn layers_have_whole_numbers() {
        let axis = Axis::whole([0.0, 1.0, 2.0, 3.0], 8);
        assert_eq!(labels(&axis), ["0", "1", "2", "3"]);
        assert_eq!(labels(&Axis::whole([7.0], 8)), ["7"]);
        assert_eq!(Axis::whole([7.0], 8).share(7.0), 0.5);
    }
}
