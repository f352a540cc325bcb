//! Python's two ways to format text: `'%s' % value` and `'{}'.format(value)`.

use std::fmt::Write as _;

use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};

use super::arguments::split;
use super::bounds::{charge, fault};
use super::python::{self, as_float, as_integer};

/// How one value is to be written.
#[derive(Default)]
struct Layout {
    fill: Option<char>,
    align: Option<char>,
    plus: Option<char>,
    alternate: bool,
    zeros: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

/// Widths and precisions that are accepted.
const WIDEST: usize = 1 << 20;

/// `template % values`.
pub(super) fn percent(
    state: &mut State<'_, '_>,
    template: &str,
    values: &Value,
) -> Result<String, Error> {
    let is_mapping = values.kind() == ValueKind::Map;
    let mut positional: Vec<Value> =
        if values.is_tuple() { values.try_iter()?.collect() } else { vec![values.clone()] };
    positional.reverse();
    let mut used = is_mapping;
    let mut out = String::new();
    let mut rest = template.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut layout = Layout::default();
        let mut value = None;
        if rest.peek() == Some(&'(') {
            rest.next();
            let name: String = rest.by_ref().take_while(|c| *c != ')').collect();
            if !is_mapping {
                return Err(fault("format requires a mapping"));
            }
            let held = values.as_object().and_then(|object| object.get_value(&Value::from(name)));
            value =
                Some(held.ok_or_else(|| fault("the mapping lacks a key that the format names"))?);
        }
        while let Some(flag) = rest.next_if(|c| matches!(c, '-' | '+' | ' ' | '0' | '#')) {
            match flag {
                '-' => layout.align = Some('<'),
                '0' => layout.zeros = true,
                '#' => layout.alternate = true,
                sign => layout.plus = Some(sign),
            }
        }
        let mut number =
            |rest: &mut std::iter::Peekable<std::str::Chars<'_>>| -> Result<Option<usize>, Error> {
                if rest.next_if_eq(&'*').is_some() {
                    let given = positional.pop().as_ref().and_then(as_integer);
                    return Ok(Some(
                        usize::try_from(given.ok_or_else(|| fault("* wants an integer"))?)
                            .unwrap_or(0),
                    ));
                }
                digits(rest)
            };
        layout.width = number(&mut rest)?.unwrap_or(0);
        if rest.next_if_eq(&'.').is_some() {
            layout.precision = Some(number(&mut rest)?.unwrap_or(0));
        }
        while rest.next_if(|c| matches!(c, 'l' | 'h' | 'L')).is_some() {}
        let kind = rest.next().ok_or_else(|| fault("incomplete format"))?;
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = match value {
            Some(value) => value,
            None => {
                positional.pop().ok_or_else(|| fault("not enough arguments for format string"))?
            }
        };
        used = true;
        let text = match kind {
            's' => python::text(&value)?,
            'r' | 'a' => repr(&value)?,
            'c' if value.as_str().is_some() => python::text(&value)?,
            'c' => {
                let code = as_integer(&value).and_then(|code| u32::try_from(code).ok());
                code.and_then(char::from_u32)
                    .ok_or_else(|| fault("%c wants a character"))?
                    .to_string()
            }
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
                layout.kind = Some(match kind {
                    'i' | 'u' => 'd',
                    kind => kind,
                });
                if as_float(&value).is_none() {
                    return Err(fault(format!(
                        "%{kind} format: a number is required, not {}",
                        python::type_name(&value)
                    )));
                }
                let whole = as_integer(&value)
                    .or_else(|| as_float(&value).map(|float| float.trunc() as i128));
                let whole = if layout.kind == Some('d') { whole.map(Value::from) } else { None };
                let text = laid_out(whole.as_ref().unwrap_or(&value), &mut layout, '>')?;
                charge(state, text.len())?;
                out.push_str(&text);
                continue;
            }
            other => return Err(fault(format!("unsupported format character '{other}'"))),
        };
        let text = match layout.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text,
        };
        layout.zeros = false;
        let text = padded("", &text, &layout, '>')?;
        charge(state, text.len())?;
        out.push_str(&text);
    }
    let left_over =
        if values.is_tuple() { !positional.is_empty() } else { !used && !python::is_list(values) };
    if left_over {
        return Err(fault("not all arguments converted during string formatting"));
    }
    charge(state, out.len())?;
    Ok(out)
}

/// `template.format(…)`.
pub(super) fn braces(
    state: &mut State<'_, '_>,
    template: &str,
    given: &[Value],
) -> Result<String, Error> {
    let (positional, named) = split(given)?;
    let mut next = 0_usize;
    let mut out = String::new();
    let mut rest = template.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '{' if rest.next_if_eq(&'{').is_some() => out.push('{'),
            '}' if rest.next_if_eq(&'}').is_some() => out.push('}'),
            '}' => return Err(fault("single '}' encountered in format string")),
            '{' => {
                let mut field = String::new();
                loop {
                    match rest.next() {
                        Some('}') => break,
                        Some('{') => {
                            return Err(fault("nested replacement fields are not supported"));
                        }
                        Some(c) => field.push(c),
                        None => return Err(fault("expected '}' before end of string")),
                    }
                }
                let (field, layout) = field.split_once(':').unwrap_or((&field, ""));
                let (field, conversion) = match field.split_once('!') {
                    Some((field, conversion)) => (field, Some(conversion)),
                    None => (field, None),
                };
                let end = field.find(['.', '[']).unwrap_or(field.len());
                let (name, path) = field.split_at(end);
                let value = if name.is_empty() {
                    next += 1;
                    positional.get(next - 1).cloned()
                } else if let Ok(index) = name.parse::<usize>() {
                    positional.get(index).cloned()
                } else {
                    named.as_ref().and_then(|named| named.peek::<Value>(name).ok())
                };
                let value =
                    value.ok_or_else(|| fault("a replacement field without an argument"))?;
                let value = attribute(value, path)?;
                let value = match conversion {
                    None => value,
                    Some("s") => Value::from(python::text(&value)?),
                    Some("r" | "a") => Value::from(repr(&value)?),
                    Some(_) => return Err(fault("unknown conversion specifier")),
                };
                let text = if layout.is_empty() {
                    python::text(&value)?
                } else {
                    laid_out(&value, &mut parse(layout)?, '<')?
                };
                charge(state, text.len())?;
                out.push_str(&text);
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

fn attribute(mut value: Value, path: &str) -> Result<Value, Error> {
    let mut rest = path;
    while !rest.is_empty() {
        let (key, after) = if let Some(inner) = rest.strip_prefix('[') {
            inner.split_once(']').ok_or_else(|| fault("missing ']' in format string"))?
        } else {
            let inner = rest
                .strip_prefix('.')
                .ok_or_else(|| fault("only '.' or '[' may follow ']' in format string"))?;
            inner.split_at(inner.find(['.', '[']).unwrap_or(inner.len()))
        };
        let key = key.parse::<usize>().map_or_else(|_| Value::from(key), Value::from);
        value = value.get_item(&key)?;
        if value.is_undefined() {
            return Err(fault("a replacement field names an attribute that is missing"));
        }
        rest = after;
    }
    Ok(value)
}

fn repr(value: &Value) -> Result<String, Error> {
    let mut out = super::bounds::Capped::new();
    python::write_repr(&mut out, value)
        .map_err(|_| fault("a value's text is longer than a rendering may write"))?;
    Ok(out.text)
}

fn digits(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Option<usize>, Error> {
    let mut number = None;
    while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
        rest.next();
        let longer = number.unwrap_or(0_usize) * 10 + digit as usize;
        if longer > WIDEST {
            return Err(fault("a format's width is too large"));
        }
        number = Some(longer);
    }
    Ok(number)
}

fn parse(layout: &str) -> Result<Layout, Error> {
    let mut parsed = Layout::default();
    let mut rest = layout.chars().peekable();
    let mut ahead = rest.clone();
    let first = ahead.next();
    if ahead.next().is_some_and(|c| matches!(c, '<' | '>' | '^' | '=')) {
        parsed.fill = first;
        rest.next();
    }
    parsed.align = rest.next_if(|c| matches!(c, '<' | '>' | '^' | '='));
    parsed.plus = rest.next_if(|c| matches!(c, '+' | '-' | ' '));
    parsed.alternate = rest.next_if_eq(&'#').is_some();
    parsed.zeros = rest.next_if_eq(&'0').is_some();
    parsed.width = digits(&mut rest)?.unwrap_or(0);
    parsed.grouping = rest.next_if(|c| matches!(c, ',' | '_'));
    if rest.next_if_eq(&'.').is_some() {
        parsed.precision =
            Some(digits(&mut rest)?.ok_or_else(|| fault("format specifier missing precision"))?);
    }
    parsed.kind = rest.next();
    if rest.next().is_some() {
        return Err(fault("invalid format specifier"));
    }
    Ok(parsed)
}

/// A value as a layout wants it; texts are aligned to `align` unless the layout says otherwise.
fn laid_out(value: &Value, layout: &mut Layout, align: char) -> Result<String, Error> {
    let kind = layout.kind;
    if let Some(text) = value.as_str() {
        if !matches!(kind, None | Some('s')) {
            return Err(fault(format!(
                "unknown format code '{}' for a string",
                kind.unwrap_or_default()
            )));
        }
        let text: String = match layout.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text.to_owned(),
        };
        return padded("", &text, layout, align);
    }
    let (negative, digits) = match (as_integer(value), as_float(value)) {
        (Some(integer), _) if matches!(kind, None | Some('d' | 'x' | 'X' | 'o' | 'b' | 'n')) => {
            let size = integer.unsigned_abs();
            let (prefix, digits) = match kind {
                Some('x') => ("0x", format!("{size:x}")),
                Some('X') => ("0X", format!("{size:X}")),
                Some('o') => ("0o", format!("{size:o}")),
                Some('b') => ("0b", format!("{size:b}")),
                _ => ("", size.to_string()),
            };
            let digits = grouped(&digits, layout.grouping);
            (integer < 0, if layout.alternate { format!("{prefix}{digits}") } else { digits })
        }
        (_, Some(float)) => {
            let sign = float.is_sign_negative() && !float.is_nan();
            (sign, float_digits(float.abs(), kind, layout)?)
        }
        _ => return Err(fault(format!("unsupported format for {}", python::type_name(value)))),
    };
    let sign = match (negative, layout.plus) {
        (true, _) => "-",
        (false, Some('+')) => "+",
        (false, Some(' ')) => " ",
        _ => "",
    };
    padded(sign, &digits, layout, '>')
}

fn float_digits(float: f64, kind: Option<char>, layout: &Layout) -> Result<String, Error> {
    if !float.is_finite() {
        return Ok(if float.is_nan() { "nan" } else { "inf" }.to_owned());
    }
    let precision = layout.precision.unwrap_or(6);
    let scientific = |precision: usize, e: char| {
        let text = format!("{float:.precision$e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or_default();
        format!("{digits}{e}{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
    };
    Ok(match kind {
        Some('f' | 'F') => {
            let text = format!("{float:.precision$}");
            let (whole, after) =
                text.split_once('.').map_or((text.as_str(), None), |(w, a)| (w, Some(a)));
            let mut digits = grouped(whole, layout.grouping);
            if let Some(after) = after {
                let _ = write!(digits, ".{after}");
            }
            digits
        }
        Some('%') => format!("{:.precision$}%", float * 100.0),
        Some('e') => scientific(precision, 'e'),
        Some('E') => scientific(precision, 'E'),
        Some('g' | 'G') | None if kind.is_some() || layout.precision.is_some() => {
            let precision = precision.max(1);
            let rounded = format!("{float:.0$e}", precision - 1);
            let exponent: i32 =
                rounded.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or_default();
            let shorten = |text: String| match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            };
            if exponent < -4 || exponent >= i32::try_from(precision).unwrap_or(i32::MAX) {
                let text = scientific(precision - 1, 'e');
                let (digits, exponent) = text.split_once('e').unwrap_or((&text, "+00"));
                format!("{}e{exponent}", shorten(digits.to_owned()))
            } else {
                let after = i32::try_from(precision).unwrap_or(i32::MAX) - 1 - exponent;
                shorten(format!("{float:.0$}", usize::try_from(after).unwrap_or(0)))
            }
        }
        None => {
            let mut text = String::new();
            python::write_float(&mut text, float)
                .map_err(|_| fault("a number can't be written"))?;
            text
        }
        Some(other) => return Err(fault(format!("unknown format code '{other}' for a number"))),
    })
}

fn grouped(digits: &str, separator: Option<char>) -> String {
    let Some(separator) = separator else { return digits.to_owned() };
    let mut out = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(digit);
    }
    out
}

fn padded(sign: &str, text: &str, layout: &Layout, align: char) -> Result<String, Error> {
    if layout.width > WIDEST || layout.precision.is_some_and(|precision| precision > WIDEST) {
        return Err(fault("a format's width is too large"));
    }
    let missing = layout.width.saturating_sub(sign.len() + text.chars().count());
    let (fill, align) = match (layout.fill, layout.align, layout.zeros) {
        (fill, Some(align), _) => (fill.unwrap_or(' '), align),
        (None, None, true) => ('0', '='),
        (fill, None, _) => (fill.unwrap_or(' '), align),
    };
    let fill = |count: usize| fill.to_string().repeat(count);
    Ok(match align {
        '<' => format!("{sign}{text}{}", fill(missing)),
        '^' => format!("{}{sign}{text}{}", fill(missing / 2), fill(missing - missing / 2)),
        '=' => format!("{sign}{}{text}", fill(missing)),
        _ => format!("{}{sign}{text}", fill(missing)),
    })
}
