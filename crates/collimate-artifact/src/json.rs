//! JSON as this crate writes it.

use std::path::Path;

use serde::Serialize;
use serde_json::{Number, Value};

use crate::error::{ArtifactError, Result};

/// The one text of a value that digests are made of: UTF-8 without white space, keys sorted by code
/// points, strings escaped only where JSON demands it. Whole numbers are written as digits, also those
/// given as floats up to 2⁵³ (`1.0` is `1`, `-0.0` is `0`); other numbers with the fewest digits that read
/// back to the same double.
pub(crate) fn canonical(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut value = serde_json::to_value(value)?;
    value.sort_all_objects();
    unify_numbers(&mut value);
    serde_json::to_vec(&value)
}

/// The text for people: indented by two, keys sorted, a newline at the end.
pub(crate) fn pretty(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut value = serde_json::to_value(value)?;
    value.sort_all_objects();
    let mut text = serde_json::to_vec_pretty(&value)?;
    text.push(b'\n');
    Ok(text)
}

/// [`pretty`], with the file that it is for in the error.
pub(crate) fn pretty_for(path: &Path, value: &impl Serialize) -> Result<Vec<u8>> {
    pretty(value).map_err(|source| ArtifactError::Json { path: path.to_owned(), source })
}

fn unify_numbers(value: &mut Value) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() <= EXACT);
            if let (true, Some(whole)) = (number.is_f64(), whole) {
                // In range, and a whole number.
                *number = Number::from(whole as i64);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(unify_numbers),
        Value::Object(map) => map.values_mut().for_each(unify_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_text_for_one_value() {
        let value =
            json!({"b": [1.0, -0.0, 2e-4, 1e300, u64::MAX, -5], "a": {"ü": null, "z": "\n\"/é"}});
        let text = String::from_utf8(canonical(&value).unwrap()).unwrap();
        let expected =
            r#"{"a":{"z":"\n\"/é","ü":null},"b":[1,0,0.0002,1e+300,18446744073709551615,-5]}"#;
        assert_eq!(text, expected);
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(canonical(&read).unwrap(), text.as_bytes());
    }

    #[test]
    fn pretty_text_is_sorted_and_ends_in_a_newline() {
        let text = pretty(&json!({"b": 1, "a": [{"d": 2, "c": 3}]})).unwrap();
        let expected =
            "{\n  \"a\": [\n    {\n      \"c\": 3,\n      \"d\": 2\n    }\n  ],\n  \"b\": 1\n}\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
