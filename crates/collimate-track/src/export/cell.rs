use rusqlite::types::ValueRef;

use crate::column;
use crate::database::{Attempt, Fault};
use crate::json;

/// What a column holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Holds {
    Text,
    Json,
    Integer,
    Truth,
    Real,
    /// A number of which there is no absence: NULL is NaN.
    Measured,
}

/// A value on its way into a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Absent,
    Text(String),
    /// An object with sorted keys, on one line.
    Json(String),
    Integer(i64),
    Truth(bool),
    Real(f64),
}

impl Cell {
    pub(super) fn read(name: &str, holds: Holds, value: ValueRef<'_>) -> Attempt<Self> {
        let refused = |source| Fault::Sql(column::unreadable(name, source));
        let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(refused(error.into())),
        };
        Ok(match (holds, value) {
            (Holds::Measured, ValueRef::Null) => Self::Real(f64::NAN),
            (_, ValueRef::Null) => Self::Absent,
            (Holds::Text, ValueRef::Text(bytes)) => Self::Text(text(bytes)?),
            (Holds::Json, ValueRef::Text(bytes)) => {
                let object = serde_json::from_str(&text(bytes)?);
                let object = object.map_err(|error| refused(error.into()))?;
                Self::Json(json::canonical("a column of JSON", &object, u64::MAX)?)
            }
            (Holds::Integer, ValueRef::Integer(number)) => Self::Integer(number),
            (Holds::Truth, ValueRef::Integer(number @ (0 | 1))) => Self::Truth(number == 1),
            (Holds::Real | Holds::Measured, ValueRef::Real(number)) => Self::Real(number),
            (_, other) => {
                return Err(refused(format!("it holds a {}", other.data_type()).into()));
            }
        })
    }
}
