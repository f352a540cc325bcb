//! Jinja's filters over text, numbers and mappings.

use minijinja::value::{Tuple, ValueKind};
use minijinja::{Error, State, Value};

use super::arguments::{Arguments, is_undefined, split};
use super::bounds::{charge, charge_product, check_held, check_nesting, fault};
use super::lexer::is_space;
use super::values::Pairs;
use super::{format, method_names, methods, python};

/// A filter: the filtered value is the first argument.
pub(super) type Filter = fn(&mut State<'_, '_>, &[Value]) -> Result<Value, Error>;

/// The filters of this module, and what this crate's translation writes.
pub(super) const FILTERS: [(&str, Filter); 49] = [
    ("py_add", |state, given| pair(given).and_then(|[a, b]| python::add(state, a, b))),
    ("py_multiply", |state, given| pair(given).and_then(|[a, b]| python::multiply(state, a, b))),
    ("py_modulo", |state, given| pair(given).and_then(|[a, b]| python::modulo(state, a, b))),
    ("py_in", |_, given| pair(given).and_then(|[a, b]| python::contains(b, a)).map(Value::from)),
    ("py_compare", |_, given| match given {
        [left, operator, right] => {
            python::compares(left, operator.as_str().unwrap_or_default(), right).map(Value::from)
        }
        _ => Err(fault("a comparison takes two values")),
    }),
    ("py_concatenate", concatenate),
    ("py_positive", |_, given| match given {
        [value] if python::as_float(value).is_some() => Ok(value.clone()),
        _ => Err(fault("bad operand type for unary +")),
    }),
    ("py_negative", |state, given| match given {
        [value] => python::multiply(state, &Value::from(-1), value),
        _ => Err(fault("one value is negated at a time")),
    }),
    ("py_slice", |state, given| {
        let none = Value::from(());
        let bound = |index: usize| given.get(index).unwrap_or(&none);
        python::slice(state, bound(0), [bound(1), bound(2), bound(3)])
    }),
    ("py_iterate", |_, given| match given {
        [value] if value.kind() == ValueKind::None => {
            Err(fault("'NoneType' object is not iterable"))
        }
        [value] => Ok(match value.downcast_object_ref::<super::values::Generator>() {
            Some(generator) => Value::from(generator.rest()),
            None => value.clone(),
        }),
        _ => Err(fault("a loop takes one value")),
    }),
    ("py_nest", |state, given| match given {
        [value] => check_nesting(state, value).map(|()| value.clone()),
        _ => Err(fault("one value is nested at a time")),
    }),
    ("py_hold", |state, given| match given {
        [value] => check_held(state, value).map(|()| value.clone()),
        _ => Err(fault("one value is held at a time")),
    }),
    ("py_key", |_, given| match given {
        [key] if python::is_list(key) && !key.is_tuple() || key.kind() == ValueKind::Map => {
            Err(fault(format!("unhashable type: '{}'", python::type_name(key))))
        }
        [key] => Ok(key.clone()),
        _ => Err(fault("a mapping takes one key at a time")),
    }),
    ("py_method", |_, given| {
        let [value, name] = pair(given)?;
        python::method(value, name.as_str().unwrap_or_default())
    }),
    ("lower", |state, given| {
        text(state, "lower", given).map(|text| Value::from(text.to_lowercase()))
    }),
    ("upper", |state, given| {
        text(state, "upper", given).map(|text| Value::from(text.to_uppercase()))
    }),
    ("capitalize", |state, given| {
        text(state, "capitalize", given).map(|text| Value::from(methods::capitalize(&text)))
    }),
    ("title", |state, given| text(state, "title", given).map(|text| Value::from(title(&text)))),
    ("string", |state, given| text(state, "string", given).map(Value::from)),
    ("safe", |state, given| text(state, "safe", given).map(Value::from)),
    ("escape", escape),
    ("e", escape),
    ("forceescape", escape),
    ("wordcount", |state, given| {
        let text = text(state, "wordcount", given)?;
        let words =
            text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        Ok(Value::from(words.count()))
    }),
    ("trim", |state, given| {
        let arguments = Arguments::bind("trim", &["value", "chars"], given)?;
        let text = python::text(arguments.required(0)?)?;
        charge(state, text.len())?;
        Ok(Value::from(python::strip(&text, arguments.text_or_none(1)?, true, true)))
    }),
    ("replace", |state, given| {
        let arguments = Arguments::bind("replace", &["s", "old", "new", "count"], given)?;
        let count = if arguments.some(3).is_some() { arguments.integer_or(3, -1)? } else { -1 };
        let [text, old, new] =
            [0, 1, 2].map(|index| arguments.required(index).and_then(python::text));
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        methods::replace(state, &text?, &old?, &new?, count).map(Value::from)
    }),
    ("center", |state, given| {
        let arguments = Arguments::bind("center", &["value", "width"], given)?;
        let text = Value::from(python::text(arguments.required(0)?)?);
        methods::call(state, &text, "center", &[Value::from(arguments.integer_or(1, 80)?)])
    }),
    ("truncate", truncate),
    ("indent", indent),
    ("format", |state, given| {
        let (positional, named) = split(given)?;
        let Some((template, values)) = positional.split_first() else {
            return Err(fault("format misses an argument"));
        };
        let values = match named {
            Some(_) if !values.is_empty() => {
                return Err(fault(
                    "can't handle positional and keyword arguments at the same time",
                ));
            }
            Some(named) => Value::from(named),
            None => Value::from(Tuple::new(values.to_vec())),
        };
        format::percent(state, &python::text(template)?, &values).map(Value::from)
    }),
    ("default", default),
    ("d", default),
    ("length", length),
    ("count", length),
    ("abs", |_, given| {
        let arguments = Arguments::bind("abs", &["x"], given)?;
        let value = arguments.required(0)?;
        match (python::as_integer(value), python::as_float(value)) {
            (Some(integer), _) => Ok(number(integer.saturating_abs())),
            (None, Some(float)) => Ok(Value::from(float.abs())),
            _ => Err(fault(format!("bad operand type for abs(): '{}'", python::type_name(value)))),
        }
    }),
    ("round", round),
    ("int", int),
    ("float", float),
    ("tojson", super::tojson::tojson),
    ("items", |_, given| {
        let arguments = Arguments::bind("items", &["value"], given)?;
        let value = arguments.required(0)?;
        match value.kind() {
            ValueKind::Undefined => Ok(super::values::Generator::value(Vec::new())),
            ValueKind::Map => {
                let pairs = value.try_iter()?.map(|key| {
                    let held = value.get_item(&key)?;
                    Ok(Value::from(Tuple::new(vec![key, held])))
                });
                Ok(super::values::Generator::value(pairs.collect::<Result<_, Error>>()?))
            }
            _ => Err(fault("can only get item pairs from a mapping")),
        }
    }),
    ("attr", |_, given| {
        let arguments = Arguments::bind("attr", &["obj", "name"], given)?;
        let (value, name) = (arguments.required(0)?, arguments.text(1)?);
        if method_names::has(value, name) {
            return python::method(value, name);
        }
        match value.kind() {
            ValueKind::Map if !super::environment::is_namespace(value) => Ok(Value::UNDEFINED),
            _ => value.get_attr(name),
        }
    }),
    ("dictsort", super::lists::dictsort),
    ("py_generation", super::environment::generation),
    ("pprint", |state, given| {
        let arguments = Arguments::bind("pprint", &["value"], given)?;
        let mut out = super::bounds::Capped::new();
        python::write_repr(&mut out, arguments.required(0)?)
            .map_err(|_| fault("the value's text is too long"))?;
        charge(state, out.text.len())?;
        Ok(Value::from(out.text))
    }),
    ("list", super::lists::list),
    ("first", super::lists::first),
    ("last", super::lists::last),
    ("reverse", super::lists::reverse),
    ("join", super::lists::join),
];

fn pair(given: &[Value]) -> Result<[&Value; 2], Error> {
    match given {
        [first, second] => Ok([first, second]),
        _ => Err(fault("an operator takes two values")),
    }
}

fn text(state: &mut State<'_, '_>, name: &'static str, given: &[Value]) -> Result<String, Error> {
    let arguments = Arguments::bind(name, &["value"], given)?;
    let text = python::text(arguments.required(0)?)?;
    charge(state, text.len())?;
    Ok(text)
}

fn concatenate(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let mut all = String::new();
    for value in given {
        let start = all.len();
        match value.as_str() {
            Some(text) => {
                charge(state, text.len())?;
                all.push_str(text);
            }
            None => all.push_str(&python::text(value)?),
        }
        charge(state, all.len() - start)?;
    }
    Ok(Value::from(all))
}

fn title(text: &str) -> String {
    let starts = |c: char| is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if starts(c) {
            out.push(c);
            inside = false;
        } else if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
            inside = true;
        }
    }
    out
}

fn escape(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let text = text(state, "escape", given)?;
    charge_product(state, text.len(), 4)?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    Ok(Value::from(out))
}

fn truncate(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments =
        Arguments::bind("truncate", &["s", "length", "killwords", "end", "leeway"], given)?;
    let text = python::text(arguments.required(0)?)?;
    charge(state, text.len())?;
    let length = usize::try_from(arguments.integer_or(1, 255)?).unwrap_or(0);
    let leeway = if arguments.some(4).is_some() { arguments.integer_or(4, 5)? } else { 5 };
    let end = arguments.text_or_none(3)?.unwrap_or("...");
    let limit = length.saturating_add(usize::try_from(leeway).unwrap_or(0));
    if text.chars().count() <= limit {
        return Ok(Value::from(text));
    }
    let kept = length
        .checked_sub(end.chars().count())
        .ok_or_else(|| fault("truncate's length is too small"))?;
    let kept: String = text.chars().take(kept).collect();
    let kept = if arguments.is_true(2) {
        &kept
    } else {
        kept.rsplit_once(' ').map_or(kept.as_str(), |(k, _)| k)
    };
    Ok(Value::from(format!("{kept}{end}")))
}

fn indent(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("indent", &["s", "width", "first", "blank"], given)?;
    let text = python::text(arguments.required(0)?)?;
    let indention = match arguments.get(1).and_then(Value::as_str) {
        Some(indention) => indention.to_owned(),
        None => {
            let width = usize::try_from(arguments.integer_or(1, 4)?).unwrap_or(0);
            charge(state, width)?;
            " ".repeat(width)
        }
    };
    let lines = methods::call(state, &Value::from(text + "\n"), "splitlines", &[])?;
    let lines = python::items(state, &lines)?;
    charge_product(state, lines.len(), indention.len() + 1)?;
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        let line = line.as_str().unwrap_or_default();
        if index > 0 {
            out.push('\n');
        }
        let indents = if index == 0 {
            arguments.is_true(2)
        } else {
            !line.is_empty() || arguments.is_true(3)
        };
        if indents {
            out.push_str(&indention);
        }
        out.push_str(line);
    }
    Ok(Value::from(out))
}

fn default(_: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("default", &["value", "default_value", "boolean"], given)?;
    let value = arguments.required(0)?;
    let replaces = is_undefined(value) || arguments.is_true(2) && !value.is_true();
    Ok(if replaces {
        arguments.get(1).cloned().unwrap_or_else(|| Value::from(""))
    } else {
        value.clone()
    })
}

fn length(_: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("length", &["object"], given)?;
    let value = arguments.required(0)?;
    match value.kind() {
        ValueKind::Undefined => Some(Value::from(0)),
        ValueKind::String => {
            Some(Value::from(value.as_str().map_or(0, |text| text.chars().count())))
        }
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => value.len().map(Value::from),
        _ => None,
    }
    .ok_or_else(|| fault(format!("object of type '{}' has no len()", python::type_name(value))))
}

fn number(value: i128) -> Value {
    i64::try_from(value).map_or_else(|_| Value::from(value), Value::from)
}

fn round(_: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("round", &["value", "precision", "method"], given)?;
    let value = arguments.required(0)?;
    let precision = i32::try_from(arguments.integer_or(1, 0)?.clamp(-300, 300)).unwrap_or(0);
    let method = arguments.text_or_none(2)?.unwrap_or("common");
    let Some(float) = python::as_float(value) else {
        return Err(fault(format!("type {} doesn't define __round__", python::type_name(value))));
    };
    match method {
        "common" => {}
        "ceil" => {
            return Ok(Value::from(
                (float * 10_f64.powi(precision)).ceil() / 10_f64.powi(precision),
            ));
        }
        "floor" => {
            return Ok(Value::from(
                (float * 10_f64.powi(precision)).floor() / 10_f64.powi(precision),
            ));
        }
        _ => return Err(fault("method must be common, ceil or floor")),
    }
    if let Some(integer) = python::as_integer(value) {
        let Some(unit) =
            u32::try_from(-precision).ok().and_then(|digits| 10_i128.checked_pow(digits))
        else {
            return Ok(number(integer));
        };
        let (quotient, rest) = (integer.div_euclid(unit), integer.rem_euclid(unit));
        let up = rest * 2 > unit || rest * 2 == unit && quotient % 2 != 0;
        return Ok(number((quotient + i128::from(up)) * unit));
    }
    if precision < 0 {
        let unit = 10_f64.powi(-precision);
        return Ok(Value::from((float / unit).round_ties_even() * unit));
    }
    let digits = usize::try_from(precision).unwrap_or(0);
    Ok(Value::from(format!("{float:.digits$}").parse().unwrap_or(float)))
}

fn parsed_int(text: &str, base: u32) -> Option<i128> {
    let text = python::strip(text, None, true, true);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let prefix = match base {
        16 => ["0x", "0X"],
        8 => ["0o", "0O"],
        2 => ["0b", "0B"],
        _ => ["", ""],
    };
    let digits = prefix.iter().find_map(|prefix| digits.strip_prefix(prefix)).unwrap_or(digits);
    if digits.starts_with(['_', '+', '-']) || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let value = i128::from_str_radix(&digits.replace('_', ""), base).ok()?;
    Some(if negative { -value } else { value })
}

fn parsed_float(text: &str) -> Option<f64> {
    python::strip(text, None, true, true).replace('_', "").parse().ok()
}

fn int(_: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("int", &["value", "default", "base"], given)?;
    let value = arguments.required(0)?;
    let base =
        u32::try_from(arguments.integer_or(2, 10)?).ok().filter(|base| (2..=36).contains(base));
    let base = base.ok_or_else(|| fault("int() base must be >= 2 and <= 36"))?;
    let truncated = |float: f64| float.is_finite().then(|| float.trunc() as i128);
    let integer = match value.as_str() {
        Some(text) => parsed_int(text, base).or_else(|| parsed_float(text).and_then(truncated)),
        None => python::as_integer(value).or_else(|| python::as_float(value).and_then(truncated)),
    };
    Ok(integer.map_or_else(|| arguments.get(1).cloned().unwrap_or_else(|| Value::from(0)), number))
}

fn float(_: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("float", &["value", "default"], given)?;
    let value = arguments.required(0)?;
    let float = match value.as_str() {
        Some(text) => parsed_float(text),
        None => python::as_float(value),
    };
    Ok(float
        .map_or_else(|| arguments.get(1).cloned().unwrap_or_else(|| Value::from(0.0)), Value::from))
}

/// `dict(…)`.
pub(super) fn dict(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let (positional, named) = split(given)?;
    let mut pairs = Vec::new();
    match positional {
        [] => {}
        [first] if first.kind() == ValueKind::Map => {
            for key in first.try_iter()? {
                pairs.push((key.clone(), first.get_item(&key)?));
            }
        }
        [first] => {
            for item in python::items(state, first)? {
                match python::items(state, &item)?.as_slice() {
                    [key, value] => pairs.push((key.clone(), value.clone())),
                    _ => return Err(fault("dict takes pairs")),
                }
            }
        }
        _ => return Err(fault("dict takes at most one positional argument")),
    }
    if let Some(named) = named {
        for name in named.args() {
            pairs.push((Value::from(name), named.peek(name)?));
        }
    }
    let made = Value::from(pairs.into_iter().collect::<Pairs>());
    check_nesting(state, &made)?;
    Ok(made)
}
