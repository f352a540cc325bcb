//! Values as Python prints, compares and combines them.

use std::cmp::Ordering;
use std::fmt::{self, Write};

use minijinja::value::{Tuple, ValueKind};
use minijinja::{Error, State, Value};

use super::bounds::{Capped, charge, charge_product, fault};
use super::format;
use super::lexer::is_space;
use super::values::{Generator, Held, Range, View};

/// The name of a value's type.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "Undefined",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Bytes => "bytes",
        ValueKind::Seq if value.is_tuple() => "tuple",
        ValueKind::Seq if value.downcast_object_ref::<Range>().is_some() => "range",
        ValueKind::Seq => "list",
        ValueKind::Map => "dict",
        ValueKind::Iterable => match value.downcast_object_ref::<View>() {
            Some(view) => view.name,
            None if value.downcast_object_ref::<Generator>().is_some() => "generator",
            None => "list",
        },
        _ => "object",
    }
}

/// Whether a value is what Python calls a list or a tuple.
pub(super) fn is_list(value: &Value) -> bool {
    matches!(type_name(value), "list" | "tuple")
}

/// A number that is no integer.
pub(super) fn as_float(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        _ => None,
    }
}

/// An integer; `True` and `False` are 1 and 0.
pub(super) fn as_integer(value: &Value) -> Option<i128> {
    match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok(),
        _ => None,
    }
}

/// `str(value)`.
pub(super) fn text(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    let mut capped = Capped::new();
    write_text(&mut capped, value)
        .map_err(|_| fault("a value's text is longer than a rendering may write"))?;
    Ok(capped.text)
}

/// Writes `str(value)`.
pub(super) fn write_text(out: &mut dyn Write, value: &Value) -> fmt::Result {
    match value.kind() {
        ValueKind::String => out.write_str(value.as_str().unwrap_or_default()),
        ValueKind::Undefined => Ok(()),
        _ => write_repr(out, value),
    }
}

/// Writes `repr(value)`.
pub(super) fn write_repr(out: &mut dyn Write, value: &Value) -> fmt::Result {
    match value.kind() {
        ValueKind::Undefined => out.write_str("Undefined"),
        ValueKind::None => out.write_str("None"),
        ValueKind::Bool => out.write_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => match as_float(value) {
            Some(float) if !value.is_integer() => write_float(out, float),
            _ => write!(out, "{value}"),
        },
        ValueKind::String => write_string(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq if value.downcast_object_ref::<Range>().is_some() => write!(out, "{value}"),
        ValueKind::Seq => {
            let tuple = value.is_tuple();
            write_items(out, value, if tuple { ("(", ")") } else { ("[", "]") }, tuple)
        }
        ValueKind::Iterable => {
            if let Some(view) = value.downcast_object_ref::<View>() {
                out.write_str(view.name)?;
                return write_items(out, value, ("([", "])"), false);
            }
            if value.downcast_object_ref::<Generator>().is_some() {
                return write!(out, "{value}");
            }
            write_items(out, value, ("[", "]"), false)
        }
        ValueKind::Map => {
            let namespace = super::environment::is_namespace(value);
            out.write_str(if namespace { "<Namespace {" } else { "{" })?;
            for (index, key) in value.try_iter().map_err(|_| fmt::Error)?.enumerate() {
                if index > 0 {
                    out.write_str(", ")?;
                }
                write_repr(out, &key)?;
                out.write_str(": ")?;
                write_repr(out, &value.get_item(&key).map_err(|_| fmt::Error)?)?;
            }
            out.write_str(if namespace { "}>" } else { "}" })
        }
        _ => write!(out, "{value}"),
    }
}

fn write_items(
    out: &mut dyn Write,
    value: &Value,
    brackets: (&str, &str),
    tuple: bool,
) -> fmt::Result {
    out.write_str(brackets.0)?;
    let mut count = 0_usize;
    for item in value.try_iter().map_err(|_| fmt::Error)? {
        if count > 0 {
            out.write_str(", ")?;
        }
        write_repr(out, &item)?;
        count += 1;
    }
    if tuple && count == 1 {
        out.write_str(",")?;
    }
    out.write_str(brackets.1)
}

/// Writes `repr` of a string.
fn write_string(out: &mut dyn Write, text: &str) -> fmt::Result {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.write_char(quote)?;
    for c in text.chars() {
        match c {
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            c if c == quote => write!(out, "\\{c}")?,
            ' '..='~' => out.write_char(c)?,
            c if is_printable(c) => out.write_char(c)?,
            c if (c as u32) < 0x100 => write!(out, "\\x{:02x}", c as u32)?,
            c if (c as u32) < 0x1_0000 => write!(out, "\\u{:04x}", c as u32)?,
            c => write!(out, "\\U{:08x}", c as u32)?,
        }
    }
    out.write_char(quote)
}

/// Whether Python prints a character as it is: all but controls, formats, separators, surrogates,
/// private use and the unassigned.
fn is_printable(c: char) -> bool {
    if c.is_control() || (c.is_whitespace() && c != ' ') {
        return false;
    }
    !matches!(c as u32,
        0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x890..=0x891 | 0x8e2 | 0x180e
        | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xe000..=0xf8ff | 0xfeff
        | 0xfff0..=0xfffb | 0xfffe..=0xffff | 0x110bd | 0x110cd | 0x13430..=0x1343f
        | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe00ff | 0xe01f0..=0x10_ffff)
}

/// Writes `repr` of a float.
pub(super) fn write_float(out: &mut dyn Write, float: f64) -> fmt::Result {
    if float.is_nan() {
        return out.write_str("nan");
    }
    if float.is_infinite() {
        return out.write_str(if float > 0.0 { "inf" } else { "-inf" });
    }
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if float == 0.0 || (-4..16).contains(&exponent) {
        let plain = format!("{float}");
        out.write_str(&plain)?;
        return if plain.contains('.') { Ok(()) } else { out.write_str(".0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    write!(out, "{digits}e{sign}{:02}", exponent.abs())
}

/// How two values are ordered, where Python orders them.
pub(super) fn compare(left: &Value, right: &Value) -> Result<Option<Ordering>, Error> {
    let unordered =
        || fault(format!("'{}' and '{}' can't be compared", type_name(left), type_name(right)));
    if let (Some(left), Some(right)) = (as_integer(left), as_integer(right)) {
        return Ok(Some(left.cmp(&right)));
    }
    if let (Some(left), Some(right)) = (as_float(left), as_float(right)) {
        return Ok(left.partial_cmp(&right));
    }
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        return Ok(Some(left.cmp(right)));
    }
    if is_list(left) && type_name(left) == type_name(right) {
        let (mut left, mut right) = (left.try_iter()?, right.try_iter()?);
        loop {
            return match (left.next(), right.next()) {
                (None, None) => Ok(Some(Ordering::Equal)),
                (None, Some(_)) => Ok(Some(Ordering::Less)),
                (Some(_), None) => Ok(Some(Ordering::Greater)),
                (Some(left), Some(right)) if left == right => continue,
                (Some(left), Some(right)) => compare(&left, &right),
            };
        }
    }
    Err(unordered())
}

/// `left < right` and the like.
pub(super) fn compares(left: &Value, operator: &str, right: &Value) -> Result<bool, Error> {
    let ordering = compare(left, right)?;
    Ok(match operator {
        "<" => ordering == Some(Ordering::Less),
        ">" => ordering == Some(Ordering::Greater),
        "<=" => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        _ => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
    })
}

fn unsupported(operator: &str, left: &Value, right: &Value) -> Error {
    fault(format!(
        "unsupported operand types for {operator}: '{}' and '{}'",
        type_name(left),
        type_name(right)
    ))
}

fn integer(value: i128) -> Value {
    i64::try_from(value).map_or_else(|_| Value::from(value), Value::from)
}

/// A value's items, for which room was counted.
pub(super) fn items(state: &mut State<'_, '_>, value: &Value) -> Result<Vec<Value>, Error> {
    if matches!(value.kind(), ValueKind::None) {
        return Err(fault("'NoneType' object is not iterable"));
    }
    if let Some(text) = value.as_str() {
        charge_product(state, text.len(), 24)?;
    } else if let Some(length) = value.len() {
        charge_product(state, length, 24)?;
    }
    Ok(value.try_iter()?.collect())
}

/// `left + right`.
pub(super) fn add(state: &mut State<'_, '_>, left: &Value, right: &Value) -> Result<Value, Error> {
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        charge(state, left.len() + right.len())?;
        return Ok(Value::from([left, right].concat()));
    }
    if let (Some(a), Some(b)) = (as_integer(left), as_integer(right)) {
        return a.checked_add(b).map(integer).ok_or_else(|| unsupported("+", left, right));
    }
    if let (Some(left), Some(right)) = (as_float(left), as_float(right)) {
        return Ok(Value::from(left + right));
    }
    if is_list(left) && type_name(left) == type_name(right) {
        let mut all = items(state, left)?;
        all.extend(items(state, right)?);
        return Ok(if left.is_tuple() { Value::from(Tuple::new(all)) } else { Value::from(all) });
    }
    Err(unsupported("+", left, right))
}

/// `left * right`.
pub(super) fn multiply(
    state: &mut State<'_, '_>,
    left: &Value,
    right: &Value,
) -> Result<Value, Error> {
    if let (Some(a), Some(b)) = (as_integer(left), as_integer(right)) {
        return a.checked_mul(b).map(integer).ok_or_else(|| unsupported("*", left, right));
    }
    if let (Some(left), Some(right)) = (as_float(left), as_float(right)) {
        return Ok(Value::from(left * right));
    }
    let (repeated, times) = match (as_integer(left), as_integer(right)) {
        (Some(times), None) => (right, times),
        (None, Some(times)) => (left, times),
        _ => return Err(unsupported("*", left, right)),
    };
    let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
    if let Some(text) = repeated.as_str() {
        charge_product(state, text.len(), times)?;
        return Ok(Value::from(if text.is_empty() { String::new() } else { text.repeat(times) }));
    }
    if !is_list(repeated) {
        return Err(unsupported("*", left, right));
    }
    let once = items(state, repeated)?;
    charge_product(state, once.len() * 24, times)?;
    let all =
        if once.is_empty() { once } else { std::iter::repeat_n(once, times).flatten().collect() };
    Ok(if repeated.is_tuple() { Value::from(Tuple::new(all)) } else { Value::from(all) })
}

/// `left % right`: the remainder, or formatting.
pub(super) fn modulo(
    state: &mut State<'_, '_>,
    left: &Value,
    right: &Value,
) -> Result<Value, Error> {
    if let Some(template) = left.as_str() {
        return format::percent(state, template, right).map(Value::from);
    }
    if let (Some(a), Some(b)) = (as_integer(left), as_integer(right)) {
        let remainder = a.checked_rem(b).ok_or_else(|| fault("integer modulo by zero"))?;
        let moved = remainder != 0 && (remainder < 0) != (b < 0);
        return Ok(integer(if moved { remainder + b } else { remainder }));
    }
    if let (Some(a), Some(b)) = (as_float(left), as_float(right)) {
        if b == 0.0 {
            return Err(fault("float modulo by zero"));
        }
        let remainder = a % b;
        let moved = remainder != 0.0 && (remainder < 0.0) != (b < 0.0);
        return Ok(Value::from(if moved { remainder + b } else { remainder }));
    }
    Err(unsupported("%", left, right))
}

/// `needle in haystack`.
pub(super) fn contains(haystack: &Value, needle: &Value) -> Result<bool, Error> {
    if let Some(text) = haystack.as_str() {
        let Some(needle) = needle.as_str() else {
            return Err(fault(format!(
                "'in <string>' requires a string, not '{}'",
                type_name(needle)
            )));
        };
        return Ok(text.contains(needle));
    }
    match haystack.kind() {
        ValueKind::Undefined => Ok(false),
        ValueKind::Map => {
            Ok(haystack.as_object().is_some_and(|object| object.get_value(needle).is_some()))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            Ok(haystack.try_iter()?.any(|item| item == *needle))
        }
        _ => Err(fault(format!("argument of type '{}' is not iterable", type_name(haystack)))),
    }
}

/// `value[start:stop:step]`.
pub(super) fn slice(
    state: &mut State<'_, '_>,
    value: &Value,
    bounds: [&Value; 3],
) -> Result<Value, Error> {
    let bound = |value: &Value| -> Result<Option<i64>, Error> {
        if value.is_none() {
            return Ok(None);
        }
        let integer =
            as_integer(value).ok_or_else(|| fault("slice indices must be integers or None"))?;
        Ok(Some(integer.clamp(i128::from(i64::MIN + 1), i128::from(i64::MAX)) as i64))
    };
    let (start, stop, step) =
        (bound(bounds[0])?, bound(bounds[1])?, bound(bounds[2])?.unwrap_or(1));
    if step == 0 {
        return Err(fault("slice step cannot be zero"));
    }
    if let Some(text) = value.as_str() {
        charge(state, text.len())?;
        if step == 1 && text.is_ascii() {
            let (start, end) = span(start, stop, text.len());
            return Ok(Value::from(text.get(start..end).unwrap_or_default()));
        }
        let characters: Vec<char> = text.chars().collect();
        let picked = positions(start, stop, step, characters.len());
        return Ok(Value::from(picked.filter_map(|at| characters.get(at)).collect::<String>()));
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable
            if !matches!(
                type_name(value),
                "generator" | "dict_keys" | "dict_values" | "dict_items"
            ) =>
        {
            let all = items(state, value)?;
            let picked = positions(start, stop, step, all.len());
            let picked: Vec<Value> = picked.filter_map(|at| all.get(at).cloned()).collect();
            Ok(if value.is_tuple() { Value::from(Tuple::new(picked)) } else { Value::from(picked) })
        }
        ValueKind::Undefined => value.get_item(&Value::from(0)),
        _ => Err(fault(format!("'{}' object is not subscriptable by a slice", type_name(value)))),
    }
}

fn span(start: Option<i64>, stop: Option<i64>, length: usize) -> (usize, usize) {
    let place = |bound: i64| -> usize {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let bound = if bound < 0 { bound.saturating_add(length).max(0) } else { bound.min(length) };
        usize::try_from(bound).unwrap_or_default()
    };
    let start = start.map_or(0, place);
    (start, stop.map_or(length, place).max(start))
}

fn positions(
    start: Option<i64>,
    stop: Option<i64>,
    step: i64,
    length: usize,
) -> Box<dyn Iterator<Item = usize>> {
    let every = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
    if step > 0 {
        let (start, end) = span(start, stop, length);
        return Box::new((start..end).step_by(every));
    }
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let place = |bound: i64| {
        if bound < 0 { bound.saturating_add(length).max(-1) } else { bound.min(length - 1) }
    };
    let start = start.map_or(length - 1, place);
    let stop = stop.map_or(-1, place);
    let first = usize::try_from(start + 1).unwrap_or_default();
    let last = usize::try_from(stop + 1).unwrap_or_default();
    Box::new((last..first).rev().step_by(every))
}

/// `str.strip` and its kin: without `characters`, white space.
pub(super) fn strip<'text>(
    text: &'text str,
    characters: Option<&str>,
    left: bool,
    right: bool,
) -> &'text str {
    let strips = |c: char| match characters {
        Some(characters) => characters.contains(c),
        None => is_space(c),
    };
    let text = if left { text.trim_start_matches(strips) } else { text };
    if right { text.trim_end_matches(strips) } else { text }
}

/// A method that isn't called yet, or the attribute where the value has no such method.
pub(super) fn method(value: &Value, name: &str) -> Result<Value, Error> {
    let has = super::method_names::has(value, name);
    if has {
        Ok(Value::from_object(Held::Method(name.into(), [value.clone()])))
    } else {
        value.get_attr(name)
    }
}
