//! The known keys of an object in JSON (or YAML), read in one pass; everything else is skipped.

use std::fmt;

use collimate_tensors::is_lfs_pointer;
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::fields::{Fields, Schema, Value};
use crate::folder::{Folder, SMALL_JSON};
use crate::problem::Problem;

/// Deepest nesting that is read. Python's reader gives up too, at about a thousand.
const MAX_DEPTH: usize = 100;
/// Most elements of a list that are kept.
const MAX_ELEMENTS: usize = 1 << 16;

/// Reads the known keys of a JSON file.
///
/// # Errors
///
/// The problem, where the file can't be read or is not an object.
pub(super) fn read(
    folder: &Folder,
    file: &str,
    schema: &'static Schema,
) -> Result<Fields, Problem> {
    parse(file, &folder.read(file, SMALL_JSON)?, schema)
}

/// Reads the known keys of a JSON object as Python's `json` does, which transformers and PEFT use:
/// of a key that stands twice the last value counts, and `NaN` and `Infinity` are values (of a
/// kind that no known key has).
///
/// # Errors
///
/// [`Problem::LfsPointer`] or [`Problem::Invalid`], with line and column.
pub(super) fn parse(file: &str, bytes: &[u8], schema: &'static Schema) -> Result<Fields, Problem> {
    if is_lfs_pointer(bytes) {
        return Err(Problem::LfsPointer { file: file.to_owned() });
    }
    let invalid = |message| Problem::Invalid { file: file.to_owned(), message };
    let text = std::str::from_utf8(bytes)
        .map_err(|error| invalid(format!("it is not UTF-8 at byte {}", error.valid_up_to())))?;
    if text.starts_with('\u{feff}') {
        return Err(invalid("it begins with a byte order mark; save it as UTF-8 without".into()));
    }
    if let Some(place) = too_deep(text) {
        return Err(invalid(format!("it is nested more than {MAX_DEPTH} deep at {place}")));
    }
    let error = match object(text, schema) {
        Ok(fields) => return Ok(fields),
        Err(error) => error,
    };
    match quote_literals(text) {
        Some(quoted) => object(&quoted, schema).map_err(|error| invalid(error.to_string())),
        None => Err(invalid(error.to_string())),
    }
}

fn object(text: &str, schema: &'static Schema) -> serde_json::Result<Fields> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fields = Object { schema, within: "" }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(fields)
}

/// Where a text is nested too deep. What is skipped is skipped without recursion, so that the
/// reader itself would not notice.
fn too_deep(text: &str) -> Option<String> {
    let opening = text.bytes().filter(|&byte| byte == b'[' || byte == b'{').count();
    if opening <= MAX_DEPTH {
        return None;
    }
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            let before = text.as_bytes().get(..index).unwrap_or_default();
            let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
            let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
            return Some(format!("line {line} column {column}"));
        }
    }
    None
}

/// The text with `NaN`, `Infinity` and `-Infinity` in quotes, if one of them stands outside of
/// quotes. Columns in later messages about the same line are off by the quotes.
fn quote_literals(text: &str) -> Option<String> {
    let (mut quoted, mut escaped, mut found) = (false, false, false);
    let mut result = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let literal = match character {
            'N' | 'I' | '-' if !quoted => {
                ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| rest.starts_with(word))
            }
            _ => None,
        };
        if let Some(word) = literal {
            found = true;
            result.extend(["\"", word, "\""]);
            rest = rest.strip_prefix(word)?;
            continue;
        }
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        result.push(character);
        rest = rest.strip_prefix(character)?;
    }
    found.then_some(result)
}

/// Reads the known keys of an object.
pub(super) struct Object {
    pub(super) schema: &'static Schema,
    /// The key of the object around it, or nothing.
    pub(super) within: &'static str,
}

impl<'de> DeserializeSeed<'de> for Object {
    type Value = Fields;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::new(self.schema, self.within);
        while let Some(known) = map.next_key_seed(Key(self.schema))? {
            match known {
                Some((index, name, below)) => {
                    let value = map.next_value_seed(Any { name, below, in_list: false })?;
                    fields.set(index, value);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

/// Finds a key among the known ones without copying it.
struct Key(&'static Schema);

type Known = (usize, &'static str, Option<&'static Schema>);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<Known>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Known>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<Known>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<Known>, E> {
        Ok(self.0.find(key))
    }
}

/// Reads a value of any kind.
struct Any {
    name: &'static str,
    below: Option<&'static Schema>,
    in_list: bool,
}

impl<'de> DeserializeSeed<'de> for Any {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Flag(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Number(value as f64), Value::Integer))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        let keep = if self.in_list { 0 } else { MAX_ELEMENTS };
        while elements.len() < keep {
            let element = Any { name: self.name, below: self.below, in_list: true };
            match sequence.next_element_seed(element)? {
                Some(value) => elements.push(value),
                None => return Ok(Value::List(elements)),
            }
        }
        let mut skipped = 0_usize;
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            skipped += 1;
        }
        Ok(if skipped == 0 || self.in_list {
            Value::List(elements)
        } else {
            Value::LongList(elements.len() + skipped)
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        if let Some(schema) = self.below {
            return Object { schema, within: self.name }.visit_map(map).map(Value::Object);
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(Fields::none()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static BELOW: Schema = Schema(&[("a", None), ("below", Some(&BELOW))]);

    fn read(text: &str) -> Result<Fields, String> {
        parse("f.json", text.as_bytes(), &BELOW).map_err(|problem| problem.to_string())
    }

    fn a(text: &str) -> Value {
        read(text).unwrap().get("a").clone()
    }

    #[test]
    fn unknown_keys_are_skipped_whatever_they_hold() {
        let text = r#"{"x": [1, {"y": "\ud800"}], "a": 3, "z": {"a": 4}, "1e": 1e999}"#;
        assert_eq!(a(text), Value::Integer(3));
    }

    #[test]
    fn of_a_key_that_stands_twice_the_last_value_counts() {
        assert_eq!(a(r#"{"a": [], "a": 7}"#), Value::Integer(7));
        assert_eq!(a(r#"{"a": 7, "a": null}"#), Value::Null);
    }

    #[test]
    fn python_writes_floats_that_json_has_not() {
        assert_eq!(a(r#"{"x": NaN, "a": "NaN", "y": [-Infinity]}"#), Value::Text("NaN".into()));
        assert_eq!(a(r#"{"a": Infinity}"#), Value::Text("Infinity".into()));
        assert_eq!(a(r#"{"x": NaN, "a": "\"NaN"}"#), Value::Text("\"NaN".into()));
        read(r#"{"a": -NaN}"#).unwrap_err();
        read(r#"{"a": NaNa}"#).unwrap_err();
    }

    #[test]
    fn messages_say_where() {
        for (text, message) in [
            ("", "f.json is invalid: EOF while parsing a value at line 1 column 0"),
            (
                "[]",
                "f.json is invalid: invalid type: sequence, expected an object at line 1 column 0",
            ),
            ("{\n \"a\": x}", "f.json is invalid: expected value at line 2 column 7"),
            ("{} {}", "f.json is invalid: trailing characters at line 1 column 4"),
            ("\u{feff}{}", "it begins with a byte order mark"),
            ("{\"a\": \"\u{1}\"}", "control character"),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.contains(message), "{text:?}: {found}");
        }
        let found = parse("f.json", b"{\"x\": \"\xff\"}", &BELOW).unwrap_err().to_string();
        assert_eq!(found, "f.json is invalid: it is not UTF-8 at byte 7");
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n";
        let found = parse("f.json", pointer, &BELOW).unwrap_err();
        assert_eq!(found, Problem::LfsPointer { file: "f.json".into() });
    }

    #[test]
    fn depth_is_bounded_in_what_is_read_and_in_what_is_skipped() {
        for key in ["a", "below", "x"] {
            let nested = |depth: usize| {
                format!("{{\n\"{key}\": {}{}}}", "[".repeat(depth), "]".repeat(depth))
            };
            read(&nested(MAX_DEPTH - 1)).unwrap();
            let found = read(&nested(10_000)).unwrap_err();
            assert!(found.contains("nested more than 100 deep at line 2 column "), "{found}");
        }
        let below = format!("{}1{}", "{\"below\":".repeat(10_000), "}".repeat(10_000));
        assert!(read(&below).unwrap_err().contains("nested more than 100 deep"));
        let wide = format!("{{\"x\": [{}[]], \"a\": \"{}\"}}", "[],".repeat(500), "[".repeat(500));
        read(&wide).unwrap();
    }

    #[test]
    fn long_lists_are_counted_and_lists_in_lists_are_not_kept() {
        let list = |n: usize| format!("{{\"a\": [{}0]}}", "0,".repeat(n - 1));
        assert!(
            matches!(a(&list(MAX_ELEMENTS)), Value::List(elements) if elements.len() == MAX_ELEMENTS)
        );
        assert_eq!(a(&list(MAX_ELEMENTS + 1)), Value::LongList(MAX_ELEMENTS + 1));
        assert_eq!(
            a(r#"{"a": [[1, 2], 3]}"#),
            Value::List(vec![Value::List(Vec::new()), Value::Integer(3)])
        );
    }
}
