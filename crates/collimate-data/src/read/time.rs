//! Dates and times of Parquet columns as ISO 8601 text.

const DAY_MILLIS: i64 = 86_400_000;

/// A date from days since 1970-01-01, in the proleptic Gregorian calendar.
pub(crate) fn date(days: i64) -> String {
    // Eras of 400 years that begin on 1 March (Howard Hinnant, "chrono-compatible low-level date
    // algorithms").
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A time of day from milliseconds since midnight.
pub(crate) fn time_millis(millis: i64) -> String {
    let (seconds, rest) = (millis.div_euclid(1000), millis.rem_euclid(1000));
    format!("{:02}:{:02}:{:02}.{rest:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A time of day from microseconds since midnight.
pub(crate) fn time_micros(micros: i64) -> String {
    format!("{}{:03}", time_millis(micros.div_euclid(1000)), micros.rem_euclid(1000))
}

/// A moment from milliseconds since 1970-01-01T00:00.
pub(crate) fn moment_millis(millis: i64) -> String {
    let (days, rest) = (millis.div_euclid(DAY_MILLIS), millis.rem_euclid(DAY_MILLIS));
    format!("{}T{}", date(days), time_millis(rest))
}

/// A moment from microseconds since 1970-01-01T00:00.
pub(crate) fn moment_micros(micros: i64) -> String {
    format!("{}{:03}", moment_millis(micros.div_euclid(1000)), micros.rem_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(19_782), "2024-02-29");
        assert_eq!(date(-1), "1969-12-31");
        assert_eq!(date(-719_162), "0001-01-01");
        assert_eq!(moment_millis(1_709_210_096_007), "2024-02-29T12:34:56.007");
        assert_eq!(moment_micros(-1), "1969-12-31T23:59:59.999999");
        assert_eq!(time_micros(86_399_999_999), "23:59:59.999999");
        // The ends of the ranges do not overflow.
        for extreme in [i64::MIN, i64::MAX] {
            assert!(!moment_micros(extreme).is_empty());
            assert!(!moment_millis(extreme).is_empty());
        }
    }
}
