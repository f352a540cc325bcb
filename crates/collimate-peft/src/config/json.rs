//! JSON as Python's `json` prints it, and read so that nothing is lost.

use std::fmt::{self, Write as _};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Most characters of a value that an error shows.
const SHOWN: usize = 80;
/// From here on not every whole number is a float.
const TWO_POW_64: f64 = 18_446_744_073_709_551_616.0;

/// Reads an object, keeping the order of its keys.
///
/// # Errors
///
/// What is no JSON or no object; a key that stands twice in an object; a number too large to be
/// kept exactly.
pub(super) fn parse(text: &str) -> serde_json::Result<Map<String, Value>> {
    match serde_json::from_str::<Exact>(text)?.0 {
        Value::Object(map) => Ok(map),
        _ => Err(serde_json::Error::custom("an object is expected")),
    }
}

/// As `json.dumps(value, indent=2)` prints it.
pub(super) fn print(value: &Value) -> String {
    let mut out = String::new();
    print_value(&mut out, value, Some(0));
    out
}

/// A value in one line, shortened: for messages.
pub(super) fn shown(value: &Value) -> String {
    let mut out = String::new();
    print_value(&mut out, value, None);
    // Only DEL is left of the characters that don't belong in a line.
    let mut out = out.replace('\u{7f}', "\\u007f");
    if out.len() > SHOWN {
        out.truncate(SHOWN);
        out.push('…');
    }
    out
}

fn print_value(out: &mut String, value: &Value, indent: Option<usize>) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => out.push_str(&python_float(float)),
            _ => out.push_str(&number.to_string()),
        },
        Value::String(text) => print_text(out, text),
        Value::Array(items) => {
            let print = |out: &mut String, item: &Value, inner| print_value(out, item, inner);
            print_items(out, ['[', ']'], items.iter(), indent, print);
        }
        Value::Object(map) => {
            let print = |out: &mut String, (key, item): (&String, &Value), inner| {
                print_text(out, key);
                out.push_str(": ");
                print_value(out, item, inner);
            };
            print_items(out, ['{', '}'], map.iter(), indent, print);
        }
    }
}

fn print_items<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl ExactSizeIterator<Item = T>,
    indent: Option<usize>,
    print: impl Fn(&mut String, T, Option<usize>),
) {
    let inner = indent.map(|columns| columns + 2);
    let is_empty = items.len() == 0;
    out.push(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push_str(if inner.is_some() { "," } else { ", " });
        }
        new_line(out, inner);
        print(out, item, inner);
    }
    if !is_empty {
        new_line(out, indent);
    }
    out.push(close);
}

fn new_line(out: &mut String, indent: Option<usize>) {
    if let Some(columns) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', columns));
    }
}

fn print_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='\u{7f}' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing into a string can't fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// Python's `repr` of a finite float: the shortest digits that read back as the same number, with
/// an exponent below 1e-4 and from 1e16 on.
fn python_float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let Ok(power) = exponent.parse::<i32>() else { return scientific };
    if (-4..16).contains(&power) {
        // With a decimal point in every case.
        return format!("{number:?}");
    }
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", power.unsigned_abs())
}

/// A value without duplicate keys, whose numbers are exactly those of the text.
struct Exact(Value);

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExactVisitor).map(Self)
    }
}

struct ExactVisitor;

impl<'de> Visitor<'de> for ExactVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        if number.abs() < TWO_POW_64 {
            Ok(number.into())
        } else {
            Err(E::custom("a number is too large to be kept exactly"))
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Exact(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} stands twice")));
            }
            let Exact(value) = map.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn floats_are_printed_as_python_does() {
        // repr() of Python 3.13
        let expected = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (0.05, "0.05"),
            (16.0, "16.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (0.000_012_5, "1.25e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e-300, "1.5e-300"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (-2.5e-7, "-2.5e-07"),
        ];
        for (number, text) in expected {
            assert_eq!(python_float(number), text);
        }
    }

    #[test]
    fn values_are_printed_as_python_does() {
        let value = json!({"a": [], "b": {}, "ä\u{1f600}\"\\\n\u{1}/\u{7f}": [1, {"x": null}]});
        let expected = "{\n  \"a\": [],\n  \"b\": {},\n  \"\\u00e4\\ud83d\\ude00\\\"\\\\\\n\\u0001/\
                        \u{7f}\": [\n    1,\n    {\n      \"x\": null\n    }\n  ]\n}";
        assert_eq!(print(&value), expected);
        assert_eq!(shown(&json!({"a": [1, 2.0], "b": "c"})), r#"{"a": [1, 2.0], "b": "c"}"#);
        assert_eq!(shown(&json!("x".repeat(100))).chars().count(), SHOWN + 1);
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        let message = |text| parse(text).unwrap_err().to_string();
        assert_eq!(
            message(r#"{"a": 1, "a": 2}"#),
            r#"the key "a" stands twice at line 1 column 12"#
        );
        assert!(message(r#"{"x": [{"a": 1, "a": 2}]}"#).contains("stands twice"));
        assert!(message(r#"{"a": 123456789012345678901234567890}"#).contains("too large"));
        assert!(message("[1]").contains("an object is expected"));
        assert!(message("{} {}").contains("trailing characters"));
        assert!(message(r#"{"lora_alpha": NaN}"#).contains("line 1 column 16"));
        assert!(message(&format!("{{\"a\": {}", "[".repeat(100_000))).contains("recursion limit"));
    }
}
