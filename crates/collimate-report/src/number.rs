//! Numbers as a reader sees them.

/// How many decimals a row of numbers that belong together needs: three digits of the largest, and
/// two of the change between them.
pub(crate) fn decimals(values: &[f64], change: Option<f64>) -> usize {
    let finite = |x: &f64| x.is_finite() && *x != 0.0;
    let largest = values.iter().copied().filter(finite).map(f64::abs).fold(0.0, f64::max);
    let places = |x: f64, digits: i32| {
        if x == 0.0 { 0 } else { usize::try_from(digits - 1 - magnitude(x)).unwrap_or(0) }
    };
    let wanted = places(largest, 3).min(4);
    match change.filter(finite) {
        Some(change) => wanted.max(places(change.abs(), 2).min(wanted + 2)),
        None => wanted,
    }
}

/// The power of ten of the first digit.
#[allow(clippy::cast_possible_truncation, reason = "the logarithm of a finite f64 is small")]
fn magnitude(x: f64) -> i32 {
    x.log10().floor() as i32
}

/// A number with this many decimals; one that is too large or too small for that in powers of ten.
pub(crate) fn fixed(x: f64, decimals: usize) -> String {
    if x.is_nan() {
        return "not a number".to_owned();
    }
    if x.is_infinite() {
        return if x > 0.0 { "∞".to_owned() } else { "−∞".to_owned() };
    }
    if x.abs() >= 1e7 || (x != 0.0 && x.abs() < 1e-4) {
        return with_minus(&format!("{x:.2e}"));
    }
    let written = format!("{x:.decimals$}");
    // No minus before zero.
    let zero = written.chars().all(|c| matches!(c, '-' | '0' | '.'));
    with_minus(if zero { written.trim_start_matches('-') } else { &written })
}

/// A number by itself.
pub(crate) fn number(x: f64) -> String {
    fixed(x, decimals(&[x], None))
}

/// A number with its sign.
pub(crate) fn signed(x: f64, decimals: usize) -> String {
    let written = fixed(x, decimals);
    let zero = written.chars().all(|c| matches!(c, '0' | '.'));
    if x > 0.0 && !zero { format!("+{written}") } else { written }
}

/// A p-value with what stands before it: "p = 0.012".
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {}", p_digits(p)) }
}

/// A p-value by itself.
pub(crate) fn p_digits(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else if p < 0.1 {
        format!("{p:.3}")
    } else {
        format!("{p:.2}")
    }
}

/// `mantissa · 10^exponent`, exactly; in powers of ten where that is asked for.
pub(crate) fn decimal(mantissa: i64, exponent: i32, powers: bool) -> String {
    if mantissa == 0 {
        return "0".to_owned();
    }
    let (mut mantissa, mut exponent) = (mantissa, exponent);
    while mantissa % 10 == 0 {
        mantissa /= 10;
        exponent += 1;
    }
    let digits = mantissa.unsigned_abs().to_string();
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let first = exponent + length - 1;
    let size = |x: i32| usize::try_from(x).unwrap_or(0);
    let written = if !powers {
        if exponent >= 0 {
            format!("{digits}{}", "0".repeat(size(exponent)))
        } else if first < 0 {
            format!("0.{}{digits}", "0".repeat(size(-first - 1)))
        } else {
            let (whole, part) = digits.split_at(size(first + 1));
            format!("{whole}.{part}")
        }
    } else {
        let (whole, part) = digits.split_at(1);
        let point = if part.is_empty() { "" } else { "." };
        format!("{whole}{point}{part}e{first}")
    };
    with_minus(&if mantissa < 0 { format!("-{written}") } else { written })
}

/// "1 row", "2 rows", "12,345 rows".
pub(crate) fn count(n: usize, what: &str) -> String {
    format!("{} {what}{}", whole(n), if n == 1 { "" } else { "s" })
}

/// A whole number with commas.
pub(crate) fn whole(n: usize) -> String {
    let digits = n.to_string();
    let mut written = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

fn with_minus(written: &str) -> String {
    written.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_they_need() {
        for (values, change, shown) in [
            (&[63.412, 60.0][..], None, "63.4"),
            (&[2.345, 2.340], Some(-0.005), "2.3450"),
            (&[2.0, 2.0], Some(1e-9), "2.0000"),
            (&[0.0], None, "0"),
            (&[1234.5], None, "1234"),
            (&[0.00123], None, "0.0012"),
            (&[f64::INFINITY, 3.0], None, "∞"),
            (&[1.5e9], None, "1.50e9"),
            (&[-2.5e-7], None, "−2.50e−7"),
        ] {
            assert_eq!(fixed(values[0], decimals(values, change)), shown, "{values:?}");
        }
        assert_eq!(fixed(-0.001, 1), "0.0");
        assert_eq!(signed(0.04, 1), "0.0");
        assert_eq!(signed(0.4, 1), "+0.4");
        assert_eq!(signed(-0.4, 1), "−0.4");
        assert_eq!(number(f64::NAN), "not a number");
    }

    #[test]
    fn p_values_are_never_zero() {
        assert_eq!(p_value(0.0), "p < 0.001");
        assert_eq!(p_value(0.0123), "p = 0.012");
        assert_eq!(p_value(0.61), "p = 0.61");
    }

    #[test]
    fn ticks_are_exact() {
        for (mantissa, exponent, powers, written) in [
            (0, 5, true, "0"),
            (15, -6, true, "1.5e−5"),
            (20, -6, true, "2e−5"),
            (25, -1, false, "2.5"),
            (-5, -1, false, "−0.5"),
            (5, -3, false, "0.005"),
            (12, 3, false, "12000"),
            (2, 9, true, "2e9"),
        ] {
            assert_eq!(decimal(mantissa, exponent, powers), written);
        }
        assert_eq!(whole(1_234_567), "1,234,567");
        assert_eq!(count(1, "row"), "1 row");
        assert_eq!(count(999, "row"), "999 rows");
    }
}
