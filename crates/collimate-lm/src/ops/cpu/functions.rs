//! Functions of one number without branches and table look-ups, so that a loop over them is computed
//! for as many numbers at once as a register holds.
//!
//! The coefficients are minimax fits. Errors are below two units in the last place, where a comment
//! says nothing else.

use std::f32::consts::{LN_2, LOG2_E};

/// `1.5·2²³`: a small number added to it is rounded to an integer, which then is in the last bits.
const ROUND: f32 = 12_582_912.0;

/// `eˣ`; 0 where it would be subnormal.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // ln 2 in two parts; the product of the first and a small integer is exact.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = (LN_2 as f64 - HIGH as f64 - 1.904_654_3e-9) as f32;
    const LEAST: f32 = -87.336_54;
    const MOST: f32 = 88.722_83;
    // Written so that NaN stays NaN.
    let inside = if x < LEAST { LEAST } else { x };
    let inside = if inside > MOST { MOST } else { inside };
    let rounded = inside * LOG2_E + ROUND;
    let whole = rounded - ROUND;
    let r = (inside - whole * HIGH) - whole * LOW;
    let p = 1.394_574e-3 + r * 1.978_929e-4;
    let p = 8.333_503e-3 + r * p;
    let p = 4.166_628e-2 + r * p;
    let p = 1.666_666_6e-1 + r * p;
    let p = 0.5 + r * p;
    let p = 1.0 + (r + r * r * p);
    let y = f32::from_bits(p.to_bits().wrapping_add(rounded.to_bits() << 23));
    let y = if x < LEAST { 0.0 } else { y };
    if x > MOST { f32::INFINITY } else { y }
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let large = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
    let z = x * x;
    let p = 2.063_907_9e-2 + z * -5.704_979e-3;
    let p = -5.373_971e-2 + z * p;
    let p = 1.333_144_2e-1 + z * p;
    let p = -3.333_328e-1 + z * p;
    let small = size + size * (z * p);
    (if size < 0.625 { small } else { large }).copysign(x)
}

/// `Φ(x)`, the part of the normal distribution below `x`, to within 2e-7 and above −4 to within two
/// millionths of itself.
#[inline(always)]
pub(crate) fn normal_cdf(x: f32) -> f32 {
    // Φ(−|x|)·exp(x²/2) is smooth in u.
    let u = 1.0 / (1.0 + 0.3 * x.abs());
    let p = 1.123_764_3e-1 + u * -2.061_294_3e-2;
    let p = -2.280_690_5e-1 + u * p;
    let p = 1.915_837_5e-1 + u * p;
    let p = -7.924_905e-2 + u * p;
    let p = 9.605_875e-2 + u * p;
    let p = 7.842_526e-2 + u * p;
    let p = 1.102_273_7e-1 + u * p;
    let p = 1.195_728_3e-1 + u * p;
    let p = 1.196_866_3e-1 + u * p;
    let below = exp(-0.5 * x * x) * (u * p);
    if x > 0.0 { 1.0 - below } else { below }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::Arch;

    /// The largest error of `values`, in units in the last place.
    fn error(
        xs: impl Iterator<Item = f32>,
        values: impl Fn(f32) -> f32,
        exact: impl Fn(f64) -> f64,
    ) -> (f32, f64) {
        let mut worst = (0.0, 0.0);
        for x in xs {
            let exact = exact(f64::from(x));
            let unit = (exact.abs() as f32).max(f32::MIN_POSITIVE);
            let unit = f64::from(f32::from_bits(unit.to_bits() + 1) - unit);
            let error = (f64::from(values(x)) - exact).abs() / unit;
            if error > worst.1 {
                worst = (x, error);
            }
        }
        worst
    }

    fn spread(from: f32, to: f32) -> impl Iterator<Item = f32> {
        (0..400_000).map(move |at| from + (to - from) * (at as f32 / 400_000.0))
    }

    #[test]
    fn exp_is_near() {
        let worst = error(spread(-87.33, 88.72), exp, f64::exp);
        assert!(worst.1 < 1.5, "{worst:?}");
        for x in [f32::NEG_INFINITY, -1e30, -104.0, -87.4] {
            assert_eq!(exp(x), 0.0);
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-87.33654) > 0.0);
        assert_eq!(exp(89.0), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_is_near() {
        let worst = error(spread(-10.0, 10.0).chain(spread(-1e-3, 1e-3)), tanh, f64::tanh);
        assert!(worst.1 < 2.0, "{worst:?}");
        assert_eq!(tanh(0.0), 0.0);
        assert_eq!(tanh(f32::INFINITY), 1.0);
        assert_eq!(tanh(-1e30), -1.0);
        assert!(tanh(f32::NAN).is_nan());
    }

    #[test]
    fn normal_cdf_is_near() {
        // Simpson's rule from −12.
        let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let steps = 24_000;
        let width = 24.0 / steps as f64;
        let mut sum = 0.0;
        for step in 0..steps {
            let x = -12.0 + step as f64 * width;
            sum += (density(x) + 4.0 * density(x + width / 2.0) + density(x + width)) * width / 6.0;
            let at = (x + width) as f32;
            // The number of f32 that is next, by the density.
            let exact = sum + (f64::from(at) - (x + width)) * density(x + width);
            let error = (f64::from(normal_cdf(at)) - exact).abs();
            assert!(error < 2e-7, "{at}: {error:e}");
            if at > -4.0 {
                assert!(error < 2e-6 * exact, "{at}: {error:e} of {exact:e}");
            }
        }
        assert_eq!(normal_cdf(-1e30), 0.0);
        assert_eq!(normal_cdf(1e30), 1.0);
        assert!(normal_cdf(f32::NAN).is_nan());
    }

    #[test]
    fn all_processors_give_the_same_bits() {
        let xs: Vec<f32> = spread(-20.0, 20.0).collect();
        let all = || -> Vec<u32> {
            xs.iter().flat_map(|&x| [exp(x), tanh(x), normal_cdf(x)]).map(f32::to_bits).collect()
        };
        assert_eq!(Arch::new().dispatch(&all), all());
    }
}
