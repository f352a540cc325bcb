//! Numbers that were measured: infinities are values, NaN is one only for a training metric.

use serde::{Deserialize, Serialize};

use crate::error::{Result, TrackError};

/// A confidence interval.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    #[serde(with = "number")]
    pub low: f64,
    /// Its upper end.
    #[serde(with = "number")]
    pub high: f64,
    /// How often such intervals contain what they are about, as 0.95.
    #[serde(with = "number")]
    pub level: f64,
}

impl Interval {
    /// The interval from `low` to `high`, at a level between zero and one.
    pub const fn new(low: f64, high: f64, level: f64) -> Self {
        Self { low, high, level }
    }

    pub(crate) fn check(self) -> Result<Self> {
        let Self { low, high, level } = self;
        if low <= high && level > 0.0 && level < 1.0 {
            return Ok(self);
        }
        Err(TrackError::OutOfRange {
            what: "the interval",
            found: format!("{low:?} to {high:?} at level {level:?}"),
            expected: "a lower end that is not above the upper one, and a level between 0 and 1"
                .to_owned(),
        })
    }
}

/// The number, unless it is none.
pub(crate) fn check(what: &'static str, number: f64) -> Result<f64> {
    if number.is_nan() { Err(TrackError::NotANumber { what }) } else { Ok(number) }
}

/// The number, unless it is none.
pub(crate) fn check_optional(what: &'static str, number: Option<f64>) -> Result<Option<f64>> {
    number.map(|number| check(what, number)).transpose()
}

/// The number between `least` and `most`.
pub(crate) fn check_range(
    what: &'static str,
    number: Option<f64>,
    least: f64,
    most: f64,
) -> Result<Option<f64>> {
    match check_optional(what, number)? {
        Some(number) if !(least..=most).contains(&number) => Err(TrackError::OutOfRange {
            what,
            found: format!("{number:?}"),
            expected: format!("from {least:?} to {most:?}"),
        }),
        checked => Ok(checked),
    }
}

/// Numbers in JSON, which has no infinities and no NaN: those are texts.
pub(crate) mod number {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        match name(*number) {
            Some(name) => serializer.serialize_str(name),
            None => serializer.serialize_f64(*number),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(number),
            Written::Name(name) => match name.as_str() {
                "inf" => Ok(f64::INFINITY),
                "-inf" => Ok(f64::NEG_INFINITY),
                "NaN" => Ok(f64::NAN),
                _ => Err(Error::custom("expected a number, \"inf\", \"-inf\" or \"NaN\"")),
            },
        }
    }

    /// What a number that is not finite is called.
    pub(crate) fn name(number: f64) -> Option<&'static str> {
        match number {
            f64::INFINITY => Some("inf"),
            f64::NEG_INFINITY => Some("-inf"),
            _ if number.is_nan() => Some("NaN"),
            _ => None,
        }
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Name(String),
    }
}

/// Numbers that may be absent.
pub(crate) mod optional_number {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize, Serialize)]
    #[serde(transparent)]
    struct Number(#[serde(with = "super::number")] f64);

    pub(crate) fn serialize<S: Serializer>(
        number: &Option<f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        number.map(Number).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Number>::deserialize(deserializer)?.map(|number| number.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_level_of_an_interval_are_checked() {
        let infinite = Interval::new(f64::NEG_INFINITY, f64::INFINITY, 0.95);
        assert!(infinite.check().is_ok() && Interval::new(1.0, 1.0, 0.5).check().is_ok());
        for (low, high, level) in [
            (1.0, 0.0, 0.95),
            (f64::NAN, 1.0, 0.95),
            (0.0, f64::NAN, 0.95),
            (0.0, 1.0, 0.0),
            (0.0, 1.0, 95.0),
            (0.0, 1.0, f64::NAN),
        ] {
            let error = Interval::new(low, high, level).check().unwrap_err();
            assert!(matches!(error, TrackError::OutOfRange { .. }), "{error}");
        }
    }

    #[test]
    fn json_has_every_number() {
        let interval = Interval::new(f64::NEG_INFINITY, f64::INFINITY, 0.1 + 0.2);
        let json = serde_json::to_string(&interval).unwrap();
        assert_eq!(json, r#"{"low":"-inf","high":"inf","level":0.30000000000000004}"#);
        assert_eq!(serde_json::from_str::<Interval>(&json).unwrap(), interval);
        assert!(serde_json::from_str::<Interval>(&json.replace("-inf", "-1")).is_err());
    }
}
