use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The result of parsing one record's text.
pub(crate) type Parsed<T> = Result<T, JsonFault>;

/// Why some JSON can't be read, with the line and the column in bytes, both from 1, in its text.
#[derive(Debug)]
pub(crate) struct JsonFault {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
}

/// A JSON object: every key once, whole numbers within 64 bits, at most 128 levels.
pub(crate) fn parse_object(text: &[u8]) -> Parsed<Map<String, Value>> {
    match parse_value(text)? {
        Value::Object(fields) => Ok(fields),
        other => {
            let message = format!(
                "a record is expected, as in {{\"text\": …}}, but this is {}",
                kind(&other)
            );
            Err(JsonFault { line: 1, column: 1, message })
        }
    }
}

/// A JSON value under the same rules.
pub(crate) fn parse_value(text: &[u8]) -> Parsed<Value> {
    let outsized = Cell::new(false);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Strict { outsized: &outsized }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    match value {
        Ok(_) if outsized.get() => match outsized_integer(text) {
            Some(fault) => Err(fault),
            None => value.map_err(|error| fault(text, &error)),
        },
        other => other.map_err(|error| fault(text, &error)),
    }
}

/// What a value is, in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn fault(text: &[u8], error: &serde_json::Error) -> JsonFault {
    let (line, column) = (error.line().max(1), error.column().max(1));
    let whole = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let message = whole.strip_suffix(&position).unwrap_or(&whole);
    let message = if message.contains("surrogate") || message.contains("unexpected end of hex") {
        format!("{message}: half of a surrogate pair, which is no character")
    } else if message.contains("control character") && at(text, line, column).contains(&0) {
        "a NUL byte; within a text it is written \\u0000".to_owned()
    } else if message.contains("recursion limit") {
        "lists and objects nest more than 127 deep".to_owned()
    } else if message == "expected value" && at(text, line, column).starts_with(b"N") {
        "expected value: NaN is no JSON; write null".to_owned()
    } else {
        message.to_owned()
    };
    JsonFault { line, column, message }
}

/// The bytes from a line and column on, at most two.
fn at(text: &[u8], line: usize, column: usize) -> &[u8] {
    let mut lines = text.splitn(line, |byte| *byte == b'\n');
    let rest = lines.nth(line - 1).unwrap_or_default();
    let rest = rest.get(column - 1..).unwrap_or_default();
    rest.get(..2).unwrap_or(rest)
}

/// Finds the whole number that does not fit into 64 bits and was therefore read as a float.
fn outsized_integer(text: &[u8]) -> Option<JsonFault> {
    let (mut line, mut line_start) = (1, 0);
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at += 1;
                while let Some(byte) = text.get(at).filter(|byte| **byte != b'"') {
                    at += if *byte == b'\\' { 2 } else { 1 };
                }
            }
            b'\n' => {
                line += 1;
                line_start = at + 1;
            }
            b'-' | b'0'..=b'9' => {
                let rest = text.get(at..).unwrap_or_default();
                let end = rest
                    .iter()
                    .position(|byte| {
                        !matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
                    })
                    .unwrap_or(rest.len());
                let token = rest.get(..end).and_then(|token| std::str::from_utf8(token).ok())?;
                let whole = !token.contains(['.', 'e', 'E']);
                if whole && token.parse::<i64>().is_err() && token.parse::<u64>().is_err() {
                    let message =
                        "a whole number of more than 64 bits; write it as a text".to_owned();
                    return Some(JsonFault { line, column: at - line_start + 1, message });
                }
                at += end.max(1) - 1;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Reads a value; unlike `Value`'s own reading, it refuses a key that is given twice.
#[derive(Clone, Copy)]
struct Strict<'a> {
    /// Set when a number may have been a whole one that does not fit into 64 bits.
    outsized: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        if value.abs() >= 9.2e18 {
            self.outsized.set(true);
        }
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if fields.contains_key(&key) {
                return Err(A::Error::custom(format!("field `{key}` is given twice")));
            }
            let value = entries.next_value_seed(self)?;
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_or_refused() {
        let text = br#"{"a": 18446744073709551615, "b": -9223372036854775808, "c": 1e300,
            "d": "123456789012345678901234567890", "e": 0.1, "f": 12345678901234567890.5}"#;
        let fields = parse_object(text).unwrap();
        assert_eq!(fields["a"], u64::MAX);
        assert_eq!(fields["b"], i64::MIN);
        assert_eq!(fields["c"], 1e300);
        let fault = parse_object(b"{\"a\": 1,\n \"b\": [18446744073709551616]}").unwrap_err();
        assert_eq!((fault.line, fault.column), (2, 8));
        assert!(fault.message.contains("64 bits"), "{}", fault.message);
        assert!(parse_object(b"{\"a\": -9223372036854775809}").is_err());
        assert!(parse_object(b"{\"a\": 1e999}").is_err());
        // Python reads these digits as the same double.
        assert_eq!(parse_object(b"{\"a\": 2.0716e-31}").unwrap()["a"].as_f64(), Some(2.0716e-31));
    }

    #[test]
    fn agrees_with_serde_json_on_what_both_read() {
        let text =
            r#"{"a": [1, -2, 3.5, null, true, "é\u00e9\n\ud83d\ude00"], "b": {"c": {}}, "": ""}"#;
        let expected: Map<String, Value> = serde_json::from_str(text).unwrap();
        assert_eq!(parse_object(text.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn faults_say_where_and_what() {
        for (text, column, word) in [
            (&br#"{"a": 1, "a": 2}"#[..], 12, "`a` is given twice"),
            (br#"{"m": [{"x": 1, "x": 1}]}"#, 19, "`x` is given twice"),
            (br#"{"a": "\ud800"}"#, 14, "surrogate"),
            (br#"{"a": "\ud800\u0041"}"#, 19, "surrogate"),
            (b"{\"a\": \"\x00\"}", 8, "NUL"),
            (b"{\"a\": \"\xff\"}", 8, "unicode"),
            (br#"{"a": NaN}"#, 7, "NaN"),
            (br#"{"a": 1} x"#, 10, "trailing"),
            (br#"[1]"#, 1, "a list"),
            (br#"{"a": 1"#, 7, "EOF"),
        ] {
            let fault = parse_object(text).unwrap_err();
            let shown = String::from_utf8_lossy(text);
            assert!(fault.message.contains(word), "{shown}: {}", fault.message);
            assert_eq!((fault.line, fault.column), (1, column), "{shown}: {}", fault.message);
        }
        let deep = [b"{\"a\":".as_slice(), &vec![b'['; 10_000]].concat();
        assert!(parse_object(&deep).unwrap_err().message.contains("127 deep"));
    }
}
