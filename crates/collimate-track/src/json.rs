//! JSON objects with sorted keys, so that equal objects are equal texts.

use serde_json::Value;

use crate::error::{Result, TrackError};

/// Deepest nesting that is written; what reads it back has a limit as well.
const MAX_DEPTH: usize = 100;

/// An object as text: keys sorted, no white space.
pub(crate) fn canonical(what: &'static str, object: &Value, max_bytes: u64) -> Result<String> {
    if !object.is_object() {
        return Err(TrackError::NotAnObject { what });
    }
    let mut text = String::new();
    write(object, MAX_DEPTH, &mut text).ok_or(TrackError::TooDeep { what, limit: MAX_DEPTH })?;
    crate::column::check_size(what, &text, max_bytes)?;
    Ok(text)
}

/// `None`: it is nested too deeply.
fn write(value: &Value, depth: usize, text: &mut String) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write(item, depth, text)?;
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (at, (key, value)) in fields.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write(value, depth, text)?;
            }
            text.push('}');
        }
        plain => text.push_str(&plain.to_string()),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_objects_are_equal_texts() {
        let parsed: Value =
            serde_json::from_str(r#"{"b": [1, {"d": 0.1, "c": null}], "a\n": ""}"#).unwrap();
        let text = canonical("it", &parsed, 100).unwrap();
        assert_eq!(text, r#"{"a\n":"","b":[1,{"c":null,"d":0.1}]}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), parsed);
    }

    #[test]
    fn what_could_not_be_read_back_is_not_written() {
        let nested = |depth| (1..depth).fold(json!({}), |inner, _| json!({"a": inner}));
        let deepest = canonical("it", &nested(MAX_DEPTH), 10_000).unwrap();
        assert!(serde_json::from_str::<Value>(&deepest).is_ok());
        let error = canonical("it", &nested(MAX_DEPTH + 1), 10_000).unwrap_err();
        assert!(matches!(error, TrackError::TooDeep { what: "it", limit: MAX_DEPTH }), "{error}");
        let error = canonical("it", &json!([1]), 10_000).unwrap_err();
        assert!(matches!(error, TrackError::NotAnObject { what: "it" }), "{error}");
        let error = canonical("it", &json!({"a": "b"}), 8).unwrap_err();
        assert!(matches!(error, TrackError::TooLarge { found: 9, limit: 8, .. }), "{error}");
    }
}
