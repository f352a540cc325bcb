//! `json.dumps` as chat templates call it.

use std::fmt::{self, Write};

use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};

use super::arguments::Arguments;
use super::bounds::{Capped, charge, fault};
use super::python;
use super::values::Range;

struct Style {
    ascii: bool,
    indent: Option<String>,
    between_items: String,
    after_key: String,
    sort_keys: bool,
}

/// `value|tojson(ensure_ascii, indent, separators, sort_keys)`.
pub(super) fn tojson(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let names = ["x", "ensure_ascii", "indent", "separators", "sort_keys"];
    let arguments = Arguments::bind("tojson", &names, given)?;
    let indent = match arguments.some(2) {
        None => None,
        Some(text) if text.as_str().is_some() => text.as_str().map(str::to_owned),
        Some(_) => {
            let width = usize::try_from(arguments.integer_or(2, 0)?).unwrap_or(0);
            if width > 1024 {
                return Err(fault("tojson indents by at most 1024"));
            }
            Some(" ".repeat(width))
        }
    };
    let (between_items, after_key) = match arguments.some(3) {
        Some(separators) => {
            let parts = python::items(state, separators)?;
            match parts.as_slice() {
                [items, keys] => match (items.as_str(), keys.as_str()) {
                    (Some(items), Some(keys)) => (items.to_owned(), keys.to_owned()),
                    _ => return Err(fault("tojson's separators must be strings")),
                },
                _ => return Err(fault("tojson takes two separators")),
            }
        }
        None => ((if indent.is_some() { "," } else { ", " }).to_owned(), ": ".to_owned()),
    };
    let style = Style {
        ascii: arguments.is_true(1),
        indent,
        between_items,
        after_key,
        sort_keys: arguments.is_true(4),
    };
    let mut capped = Capped::new();
    let mut writer = Writer { out: &mut capped, style: &style, fault: None };
    let written = writer.value(arguments.required(0)?, 0);
    if let Some(error) = writer.fault {
        return Err(error);
    }
    written.map_err(|_| fault("the JSON text is longer than a rendering may write"))?;
    charge(state, capped.text.len())?;
    Ok(Value::from(capped.text))
}

struct Writer<'a> {
    out: &'a mut Capped,
    style: &'a Style,
    fault: Option<Error>,
}

impl Writer<'_> {
    fn refuse(&mut self, message: String) -> fmt::Result {
        self.fault = Some(fault(message));
        Err(fmt::Error)
    }

    fn line(&mut self, depth: usize) -> fmt::Result {
        if let Some(indent) = &self.style.indent {
            self.out.write_char('\n')?;
            for _ in 0..depth {
                self.out.write_str(indent)?;
            }
        }
        Ok(())
    }

    fn value(&mut self, value: &Value, depth: usize) -> fmt::Result {
        match value.kind() {
            ValueKind::None => self.out.write_str("null"),
            ValueKind::Bool => self.out.write_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.number(value),
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Map => self.mapping(value, depth),
            ValueKind::Seq | ValueKind::Iterable
                if python::is_list(value) && value.downcast_object_ref::<Range>().is_none() =>
            {
                self.list(value, depth)
            }
            _ => self.refuse(format!(
                "Object of type {} is not JSON serializable",
                python::type_name(value)
            )),
        }
    }

    fn number(&mut self, value: &Value) -> fmt::Result {
        let float = python::as_float(value).filter(|_| !value.is_integer());
        match float {
            Some(float) if float.is_nan() => self.out.write_str("NaN"),
            Some(float) if float.is_infinite() => {
                self.out.write_str(if float > 0.0 { "Infinity" } else { "-Infinity" })
            }
            Some(float) => python::write_float(self.out, float),
            None => write!(self.out, "{value}"),
        }
    }

    fn list(&mut self, value: &Value, depth: usize) -> fmt::Result {
        let style = self.style;
        self.out.write_char('[')?;
        let mut count = 0_usize;
        for item in value.try_iter().map_err(|_| fmt::Error)? {
            if count > 0 {
                self.out.write_str(&style.between_items)?;
            }
            self.line(depth + 1)?;
            self.value(&item, depth + 1)?;
            count += 1;
        }
        if count > 0 {
            self.line(depth)?;
        }
        self.out.write_char(']')
    }

    fn mapping(&mut self, value: &Value, depth: usize) -> fmt::Result {
        let style = self.style;
        let mut keys: Vec<Value> = value.try_iter().map_err(|_| fmt::Error)?.collect();
        if style.sort_keys {
            let mut refused = None;
            keys.sort_by(|left, right| match python::compare(left, right) {
                Ok(order) => order.unwrap_or(std::cmp::Ordering::Equal),
                Err(error) => {
                    refused = Some(error);
                    std::cmp::Ordering::Equal
                }
            });
            if let Some(error) = refused {
                self.fault = Some(error);
                return Err(fmt::Error);
            }
        }
        self.out.write_char('{')?;
        for (index, key) in keys.iter().enumerate() {
            if index > 0 {
                self.out.write_str(&style.between_items)?;
            }
            self.line(depth + 1)?;
            match key.kind() {
                ValueKind::String => self.string(key.as_str().unwrap_or_default())?,
                ValueKind::Number | ValueKind::Bool | ValueKind::None => {
                    self.out.write_char('"')?;
                    self.value(key, 0)?;
                    self.out.write_char('"')?;
                }
                _ => {
                    let name = python::type_name(key);
                    return self
                        .refuse(format!("keys must be str, int, float, bool or None, not {name}"));
                }
            }
            self.out.write_str(&style.after_key)?;
            let held = value.get_item(key).map_err(|_| fmt::Error)?;
            self.value(&held, depth + 1)?;
        }
        if !keys.is_empty() {
            self.line(depth)?;
        }
        self.out.write_char('}')
    }

    fn string(&mut self, text: &str) -> fmt::Result {
        self.out.write_char('"')?;
        let plain = |c: char| {
            c >= ' '
                && c != '"'
                && c != '\\'
                && (c.is_ascii() || !self.style.ascii)
                && (!self.style.ascii || c != '\x7f')
        };
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c| !plain(c)).unwrap_or(rest.len());
            self.out.write_str(&rest[..end])?;
            rest = &rest[end..];
            let mut after = rest.chars();
            match after.next() {
                None => break,
                Some('"') => self.out.write_str("\\\"")?,
                Some('\\') => self.out.write_str("\\\\")?,
                Some('\n') => self.out.write_str("\\n")?,
                Some('\r') => self.out.write_str("\\r")?,
                Some('\t') => self.out.write_str("\\t")?,
                Some('\x08') => self.out.write_str("\\b")?,
                Some('\x0c') => self.out.write_str("\\f")?,
                Some('\x7f') => self.out.write_char('\x7f')?,
                Some(c) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(self.out, "\\u{unit:04x}")?;
                    }
                }
            }
            rest = after.as_str();
        }
        self.out.write_char('"')
    }
}
