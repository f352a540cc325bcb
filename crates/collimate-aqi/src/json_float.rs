//! Numbers in JSON, which knows no infinity: infinities become the strings `"inf"`, `"-inf"`.

use serde::{Serialize, Serializer};

/// Serializes a float that is never NaN.
pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        serializer.serialize_f64(*value)
    } else if value.is_nan() {
        Err(serde::ser::Error::custom("NaN in a result: this is a bug in collimate-aqi"))
    } else {
        serializer.serialize_str(if *value > 0.0 { "inf" } else { "-inf" })
    }
}

struct Float<'a>(&'a f64);

impl Serialize for Float<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.0, serializer)
    }
}

/// The same for `Option<f64>`: `null` where there is no value.
pub(crate) mod option {
    use super::{Float, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().map(Float).serialize(serializer)
    }
}

/// The same for lists of numbers.
pub(crate) mod list {
    use super::{Float, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        values: &[f64],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(Float))
    }
}
