//! The methods of Python's `str`, `list` and `dict` that don't change what they belong to.

use minijinja::value::{Tuple, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use super::arguments::Arguments;
use super::bounds::{charge, charge_product, fault};
use super::lexer::is_space;
use super::method_names::{changes_dict, has};
use super::values::View;
use super::{format, python};

/// Calls a method.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    name: &str,
    given: &[Value],
) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => of_string(state, value.as_str().unwrap_or_default(), name, given),
        ValueKind::Map if has(value, name) => of_dict(value, name, given),
        ValueKind::Seq if has(value, name) => of_list(state, value, name, given),
        ValueKind::Undefined => {
            value.get_attr(name).and_then(|_| Err(Error::from(ErrorKind::UndefinedError)))
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn changes(name: &str) -> Error {
    fault(format!(
        "access to attribute '{name}' is unsafe: a template may not change what it is given"
    ))
}

fn of_dict(value: &Value, name: &str, given: &[Value]) -> Result<Value, Error> {
    match name {
        "get" => {
            let arguments = Arguments::bind("get", &["key", "default"], given)?;
            let found = value.as_object().and_then(|o| o.get_value(arguments.required(0).ok()?));
            arguments.required(0)?;
            Ok(found
                .unwrap_or_else(|| arguments.get(1).cloned().unwrap_or_else(|| Value::from(()))))
        }
        "items" | "keys" | "values" => {
            Arguments::bind("dict's method", &[], given)?;
            let mut items = Vec::with_capacity(value.len().unwrap_or_default());
            for key in value.try_iter()? {
                items.push(match name {
                    "keys" => key,
                    "values" => value.get_item(&key)?,
                    _ => {
                        let held = value.get_item(&key)?;
                        Value::from(Tuple::new(vec![key, held]))
                    }
                });
            }
            let name = match name {
                "keys" => "dict_keys",
                "values" => "dict_values",
                _ => "dict_items",
            };
            Ok(Value::from_object(View { name, items }))
        }
        "copy" => Ok(value.clone()),
        name if changes_dict(name) => Err(changes(name)),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn of_list(
    state: &mut State<'_, '_>,
    value: &Value,
    name: &str,
    given: &[Value],
) -> Result<Value, Error> {
    match name {
        "index" => {
            let arguments = Arguments::bind("index", &["value"], given)?;
            let needle = arguments.required(0)?;
            let found = value.try_iter()?.position(|item| item == *needle);
            found.map(Value::from).ok_or_else(|| fault("the value is not in the list"))
        }
        "count" => {
            let arguments = Arguments::bind("count", &["value"], given)?;
            let needle = arguments.required(0)?;
            Ok(Value::from(value.try_iter()?.filter(|item| item == needle).count()))
        }
        "copy" => python::items(state, value).map(Value::from),
        name => Err(changes(name)),
    }
}

fn of_string(
    state: &mut State<'_, '_>,
    text: &str,
    name: &str,
    given: &[Value],
) -> Result<Value, Error> {
    charge(state, text.len())?;
    let none = |function| Arguments::bind(function, &[], given).map(drop);
    let letters = |test: fn(char) -> bool| -> Result<Value, Error> {
        Arguments::bind("a string's test", &[], given)?;
        Ok(Value::from(!text.is_empty() && text.chars().all(test)))
    };
    match name {
        "upper" => none("upper").map(|()| Value::from(text.to_uppercase())),
        "lower" => none("lower").map(|()| Value::from(text.to_lowercase())),
        "casefold" => {
            none("casefold").map(|()| Value::from(text.to_lowercase().replace('ß', "ss")))
        }
        "title" => none("title").map(|()| Value::from(title(text))),
        "capitalize" => none("capitalize").map(|()| Value::from(capitalize(text))),
        "swapcase" => {
            none("swapcase")?;
            let swap = |c: char| -> String {
                if c.is_uppercase() {
                    c.to_lowercase().collect()
                } else {
                    c.to_uppercase().collect()
                }
            };
            Ok(Value::from(text.chars().map(swap).collect::<String>()))
        }
        "strip" | "lstrip" | "rstrip" => {
            let arguments = Arguments::bind("strip", &["chars"], given)?;
            let characters = arguments.text_or_none(0)?;
            Ok(Value::from(python::strip(text, characters, name != "rstrip", name != "lstrip")))
        }
        "split" | "rsplit" => {
            let arguments = Arguments::bind("split", &["sep", "maxsplit"], given)?;
            let limit = arguments.integer_or(1, -1)?;
            let parts = split(text, arguments.text_or_none(0)?, limit, name == "rsplit")?;
            charge_product(state, parts.len(), 24)?;
            Ok(Value::from(parts.into_iter().map(Value::from).collect::<Vec<_>>()))
        }
        "splitlines" => {
            let arguments = Arguments::bind("splitlines", &["keepends"], given)?;
            Ok(Value::from(lines(text, arguments.is_true(0))))
        }
        "startswith" | "endswith" => starts_or_ends(text, name == "startswith", given),
        "replace" => {
            let arguments = Arguments::bind("replace", &["old", "new", "count"], given)?;
            let (old, new) = (arguments.text(0)?, arguments.text(1)?);
            let count = usize::try_from(arguments.integer_or(2, -1)?).unwrap_or(usize::MAX);
            replace(state, text, old, new, count).map(Value::from)
        }
        "join" => {
            let arguments = Arguments::bind("join", &["iterable"], given)?;
            let parts = python::items(state, arguments.required(0)?)?;
            let length: usize =
                parts.iter().map(|part| part.as_str().map_or(0, str::len) + text.len()).sum();
            charge(state, length)?;
            let parts: Option<Vec<&str>> = parts.iter().map(Value::as_str).collect();
            let parts = parts.ok_or_else(|| fault("join takes strings only"))?;
            Ok(Value::from(parts.join(text)))
        }
        "find" | "rfind" | "index" | "rindex" | "count" => find(text, name, given),
        "isdigit" => letters(|c| c.is_ascii_digit() || is_digit(c)),
        "isdecimal" => letters(is_decimal),
        "isnumeric" => letters(char::is_numeric),
        "isalpha" => letters(|c| c.is_alphabetic() && !c.is_numeric()),
        "isalnum" => letters(char::is_alphanumeric),
        "isspace" => letters(is_space),
        "isascii" => none("isascii").map(|()| Value::from(text.is_ascii())),
        "isprintable" => {
            none("isprintable")?;
            Ok(Value::from(!text.chars().any(char::is_control)))
        }
        "isidentifier" => {
            none("isidentifier")?;
            let mut letters = text.chars();
            let first = letters.next().is_some_and(|c| c == '_' || c.is_alphabetic());
            Ok(Value::from(first && letters.all(|c| c == '_' || c.is_alphanumeric())))
        }
        "isupper" | "islower" => {
            none("isupper")?;
            let (upper, lower) =
                (text.chars().any(char::is_uppercase), text.chars().any(char::is_lowercase));
            Ok(Value::from(if name == "isupper" { upper && !lower } else { lower && !upper }))
        }
        "istitle" => {
            none("istitle")?;
            let cased = text.chars().any(|c| c.is_uppercase() || c.is_lowercase());
            Ok(Value::from(cased && title(text) == text))
        }
        "center" | "ljust" | "rjust" | "zfill" => pad(state, text, name, given),
        "partition" | "rpartition" => {
            let arguments = Arguments::bind("partition", &["sep"], given)?;
            let separator = arguments.text(0)?;
            if separator.is_empty() {
                return Err(fault("empty separator"));
            }
            let (cut, missing) = if name == "partition" {
                (text.split_once(separator), [text, "", ""])
            } else {
                (text.rsplit_once(separator), ["", "", text])
            };
            let parts = cut.map_or(missing, |(before, after)| [before, separator, after]);
            Ok(Value::from(Tuple::new(parts.map(Value::from).to_vec())))
        }
        "removeprefix" => {
            let arguments = Arguments::bind("removeprefix", &["prefix"], given)?;
            Ok(Value::from(text.strip_prefix(arguments.text(0)?).unwrap_or(text)))
        }
        "removesuffix" => {
            let arguments = Arguments::bind("removesuffix", &["suffix"], given)?;
            Ok(Value::from(text.strip_suffix(arguments.text(0)?).unwrap_or(text)))
        }
        "expandtabs" => {
            let arguments = Arguments::bind("expandtabs", &["tabsize"], given)?;
            let size = usize::try_from(arguments.integer_or(0, 8)?).unwrap_or(0);
            charge_product(state, text.matches('\t').count(), size)?;
            Ok(Value::from(expand_tabs(text, size)))
        }
        "format" => format::braces(state, text, given).map(Value::from),
        "__len__" => Ok(Value::from(text.chars().count())),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// `str.title`.
pub(super) fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            titled.extend(c.to_lowercase())
        } else {
            titled.push_str(&title_case(c))
        }
        inside = c.is_alphabetic() && (c.is_uppercase() || c.is_lowercase() || is_title(c));
    }
    titled
}

/// The letters that have a title case of their own.
fn title_case(c: char) -> String {
    match c {
        'Ǆ' | 'ǅ' | 'ǆ' => "ǅ".to_owned(),
        'Ǉ' | 'ǈ' | 'ǉ' => "ǈ".to_owned(),
        'Ǌ' | 'ǋ' | 'ǌ' => "ǋ".to_owned(),
        'Ǳ' | 'ǲ' | 'ǳ' => "ǲ".to_owned(),
        'ß' => "Ss".to_owned(),
        c => c.to_uppercase().collect(),
    }
}

fn is_title(c: char) -> bool {
    matches!(c, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ')
}

/// `str.capitalize`.
pub(super) fn capitalize(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| title_case(first) + &letters.as_str().to_lowercase())
}

fn is_decimal(c: char) -> bool {
    c.is_ascii_digit()
        || matches!(c as u32, 0x660..=0x669 | 0x6f0..=0x6f9 | 0x966..=0x96f | 0xff10..=0xff19)
}

fn is_digit(c: char) -> bool {
    is_decimal(c) || matches!(c, '²' | '³' | '¹' | '⁰' | '⁴'..='⁹' | '₀'..='₉')
}

fn split<'text>(
    text: &'text str,
    separator: Option<&str>,
    limit: i64,
    from_right: bool,
) -> Result<Vec<&'text str>, Error> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
    if let Some(separator) = separator {
        if separator.is_empty() {
            return Err(fault("empty separator"));
        }
        if !from_right {
            return Ok(text.splitn(limit, separator).collect());
        }
        let mut parts: Vec<&str> = text.rsplitn(limit, separator).collect();
        parts.reverse();
        return Ok(parts);
    }
    let mut parts = Vec::new();
    let mut rest = python::strip(text, None, !from_right, from_right);
    while !rest.is_empty() {
        if parts.len() + 1 == limit {
            parts.push(rest);
            break;
        }
        if from_right {
            let start = rest
                .char_indices()
                .rev()
                .find(|(_, c)| is_space(*c))
                .map_or(0, |(at, c)| at + c.len_utf8());
            parts.push(&rest[start..]);
            rest = python::strip(&rest[..start], None, false, true);
        } else {
            let end = rest.find(is_space).unwrap_or(rest.len());
            parts.push(&rest[..end]);
            rest = python::strip(&rest[end..], None, true, false);
        }
    }
    if from_right {
        parts.reverse();
    }
    Ok(parts)
}

fn lines(text: &str, keep: bool) -> Vec<Value> {
    let ends = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(ends).unwrap_or(rest.len());
        let mut after = rest[end..].chars();
        let length = match after.next() {
            Some('\r') if after.next() == Some('\n') => 2,
            Some(c) => c.len_utf8(),
            None => 0,
        };
        lines.push(Value::from(&rest[..if keep { end + length } else { end }]));
        rest = &rest[end + length..];
    }
    lines
}

fn starts_or_ends(text: &str, starts: bool, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("startswith", &["prefix", "start", "end"], given)?;
    let text = part(text, &arguments, 1)?.map(|(_, part)| part);
    let matches = |affix: &Value| -> Result<bool, Error> {
        let affix = affix
            .as_str()
            .ok_or_else(|| fault("startswith takes a string or a tuple of strings"))?;
        Ok(text.is_some_and(
            |text| if starts { text.starts_with(affix) } else { text.ends_with(affix) },
        ))
    };
    let affix = arguments.required(0)?;
    if !affix.is_tuple() {
        return matches(affix).map(Value::from);
    }
    for affix in affix.try_iter()? {
        if matches(&affix)? {
            return Ok(Value::from(true));
        }
    }
    Ok(Value::from(false))
}

/// The part of a text that the arguments `start` and `end` name, and where it begins in characters;
/// nothing where it begins behind the end.
fn part<'text>(
    text: &'text str,
    arguments: &Arguments,
    first: usize,
) -> Result<Option<(usize, &'text str)>, Error> {
    if arguments.some(first).is_none() && arguments.some(first + 1).is_none() {
        return Ok(Some((0, text)));
    }
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let place = |bound: i64| if bound < 0 { (bound + length).max(0) } else { bound };
    let start =
        if arguments.some(first).is_some() { place(arguments.integer_or(first, 0)?) } else { 0 };
    let end = if arguments.some(first + 1).is_some() {
        place(arguments.integer_or(first + 1, 0)?).min(length)
    } else {
        length
    };
    if start > length || start > end {
        return Ok(None);
    }
    let byte = |position: i64| {
        text.char_indices()
            .nth(usize::try_from(position).unwrap_or_default())
            .map_or(text.len(), |(at, _)| at)
    };
    Ok(Some((usize::try_from(start).unwrap_or_default(), &text[byte(start)..byte(end)])))
}

fn find(text: &str, name: &str, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("find", &["sub", "start", "end"], given)?;
    let needle = arguments.text(0)?;
    let Some((offset, text)) = part(text, &arguments, 1)? else {
        return match name {
            "count" => Ok(Value::from(0)),
            "index" | "rindex" => Err(fault("substring not found")),
            _ => Ok(Value::from(-1)),
        };
    };
    if name == "count" {
        let count =
            if needle.is_empty() { text.chars().count() + 1 } else { text.matches(needle).count() };
        return Ok(Value::from(count));
    }
    let found = if name.starts_with('r') { text.rfind(needle) } else { text.find(needle) };
    match found {
        Some(byte) => Ok(Value::from(offset + text[..byte].chars().count())),
        None if name.ends_with("index") => Err(fault("substring not found")),
        None => Ok(Value::from(-1)),
    }
}

/// `str.replace`, counted before it is made.
pub(super) fn replace(
    state: &mut State<'_, '_>,
    text: &str,
    old: &str,
    new: &str,
    count: usize,
) -> Result<String, Error> {
    let found = if old.is_empty() { text.chars().count() + 1 } else { text.matches(old).count() };
    charge_product(state, found.min(count), new.len())?;
    charge(state, text.len())?;
    Ok(text.replacen(old, new, count))
}

fn pad(state: &mut State<'_, '_>, text: &str, name: &str, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("center", &["width", "fillchar"], given)?;
    arguments.required(0)?;
    let width = usize::try_from(arguments.integer_or(0, 0)?).unwrap_or(0);
    let fill = match arguments.get(1) {
        Some(_) => arguments.text(1)?,
        None => " ",
    };
    if fill.chars().count() != 1 {
        return Err(fault("the fill character must be exactly one character long"));
    }
    let missing = width.saturating_sub(text.chars().count());
    charge_product(state, missing, fill.len())?;
    Ok(Value::from(match name {
        "ljust" => text.to_owned() + &fill.repeat(missing),
        "rjust" => fill.repeat(missing) + text,
        "zfill" => {
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => (&text[..1], digits),
                None => ("", text),
            };
            format!("{sign}{}{digits}", "0".repeat(missing))
        }
        _ => {
            let left = missing / 2 + (missing & width & 1);
            format!("{}{text}{}", fill.repeat(left), fill.repeat(missing - left))
        }
    }))
}

fn expand_tabs(text: &str, size: usize) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' => {
                let spaces = if size == 0 { 0 } else { size - column % size };
                expanded.push_str(&" ".repeat(spaces));
                column += spaces;
            }
            '\n' | '\r' => {
                expanded.push(c);
                column = 0;
            }
            c => {
                expanded.push(c);
                column += 1;
            }
        }
    }
    expanded
}
