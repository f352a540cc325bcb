//! Jinja's filters over lists.

use std::cmp::Ordering;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Tuple, ValueKind};
use minijinja::{Error, State, Value};

use super::arguments::{Arguments, is_undefined, split};
use super::bounds::{charge, charge_product, check_nesting, fault};
use super::filters::Filter;
use super::python;
use super::values::Generator;

/// The filters of this module that have no name of their own elsewhere.
pub(super) const FILTERS: [(&str, Filter); 13] = [
    ("map", map),
    ("select", |state, given| select(state, "select", given, false, false)),
    ("reject", |state, given| select(state, "reject", given, true, false)),
    ("selectattr", |state, given| select(state, "selectattr", given, false, true)),
    ("rejectattr", |state, given| select(state, "rejectattr", given, true, true)),
    ("sort", sort),
    ("unique", unique),
    ("groupby", group_by),
    ("batch", batch),
    ("slice", slice),
    ("sum", sum),
    ("min", |state, given| extreme(state, given, Ordering::Less)),
    ("max", |state, given| extreme(state, given, Ordering::Greater)),
];

/// `value|list`.
pub(super) fn list(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("list", &["value"], given)?;
    python::items(state, arguments.required(0)?).map(Value::from)
}

/// `value|first`.
pub(super) fn first(_: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("first", &["seq"], given)?;
    let value = arguments.required(0)?;
    if value.is_none() {
        return Err(fault("'NoneType' object is not iterable"));
    }
    Ok(value.try_iter()?.next().unwrap_or(Value::UNDEFINED))
}

/// `value|last`.
pub(super) fn last(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("last", &["seq"], given)?;
    let value = arguments.required(0)?;
    if let Some(text) = value.as_str() {
        return Ok(text.chars().next_back().map_or(Value::UNDEFINED, Value::from));
    }
    if value.downcast_object_ref::<Generator>().is_some() {
        return Err(fault("'generator' object is not reversible"));
    }
    if value.kind() == ValueKind::Seq {
        let last = value.len().unwrap_or(0).checked_sub(1);
        return last.map_or(Ok(Value::UNDEFINED), |last| value.get_item_by_index(last));
    }
    Ok(python::items(state, value)?.pop().unwrap_or(Value::UNDEFINED))
}

/// `value|reverse`.
pub(super) fn reverse(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("reverse", &["value"], given)?;
    let value = arguments.required(0)?;
    if let Some(text) = value.as_str() {
        charge(state, text.len())?;
        return Ok(Value::from(text.chars().rev().collect::<String>()));
    }
    let mut items = python::items(state, value)?;
    items.reverse();
    Ok(Generator::value(items))
}

/// `value|join(d, attribute)`.
pub(super) fn join(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("join", &["value", "d", "attribute"], given)?;
    let separator = arguments.get(1).map_or_else(|| Ok(String::new()), python::text)?;
    let attribute = arguments.some(2).map(path).transpose()?;
    let mut out = String::new();
    for (index, item) in python::items(state, arguments.required(0)?)?.into_iter().enumerate() {
        let start = out.len();
        if index > 0 {
            out.push_str(&separator);
        }
        let item = match &attribute {
            Some(path) => lookup(item, path, None)?,
            None => item,
        };
        match item.as_str() {
            Some(text) => out.push_str(text),
            None => out.push_str(&python::text(&item)?),
        }
        charge(state, out.len() - start)?;
    }
    Ok(Value::from(out))
}

/// `value|dictsort(case_sensitive, by, reverse)`.
pub(super) fn dictsort(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments =
        Arguments::bind("dictsort", &["value", "case_sensitive", "by", "reverse"], given)?;
    let value = arguments.required(0)?;
    if value.kind() != ValueKind::Map {
        return Err(fault("dictsort takes a mapping"));
    }
    let by_value = match arguments.text_or_none(2)?.unwrap_or("key") {
        "key" => false,
        "value" => true,
        _ => return Err(fault("dictsort sorts by 'key' or by 'value'")),
    };
    let folds = !arguments.is_true(1);
    let mut keyed = Vec::new();
    for key in python::items(state, value)? {
        let held = value.get_item(&key)?;
        let sorted = folded(if by_value { held.clone() } else { key.clone() }, folds);
        keyed.push((vec![sorted], Value::from(Tuple::new(vec![key, held]))));
    }
    sorted(keyed, arguments.is_true(3)).map(Value::from)
}

/// The names and indices of an attribute such as `function.parameters.0`.
fn path(attribute: &Value) -> Result<Vec<Value>, Error> {
    if python::as_integer(attribute).is_some() {
        return Ok(vec![attribute.clone()]);
    }
    let text = attribute.as_str().ok_or_else(|| fault("an attribute is a string or an integer"))?;
    Ok(text
        .split('.')
        .map(|part| part.parse::<u32>().map_or_else(|_| Value::from(part), Value::from))
        .collect())
}

fn lookup(mut value: Value, path: &[Value], default: Option<&Value>) -> Result<Value, Error> {
    for part in path {
        value = value.get_item(part)?;
        if let (true, Some(default)) = (is_undefined(&value), default) {
            value = default.clone();
        }
    }
    Ok(value)
}

fn folded(value: Value, folds: bool) -> Value {
    match value.as_str() {
        Some(text) if folds => Value::from(text.to_lowercase()),
        _ => value,
    }
}

/// Sorts by keys, keeping the order of equals.
fn sorted(mut keyed: Vec<(Vec<Value>, Value)>, reverse: bool) -> Result<Vec<Value>, Error> {
    let mut refused = None;
    keyed.sort_by(|(left, _), (right, _)| {
        for (left, right) in left.iter().zip(right) {
            match python::compare(left, right) {
                Ok(Some(Ordering::Equal) | None) => {}
                Ok(Some(order)) => return if reverse { order.reverse() } else { order },
                Err(error) => {
                    refused = Some(error);
                    return Ordering::Equal;
                }
            }
        }
        Ordering::Equal
    });
    match refused {
        Some(error) => Err(error),
        None => Ok(keyed.into_iter().map(|(_, value)| value).collect()),
    }
}

fn sort(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments =
        Arguments::bind("sort", &["value", "reverse", "case_sensitive", "attribute"], given)?;
    let folds = !arguments.is_true(2);
    let paths: Vec<Vec<Value>> = match arguments.some(3) {
        Some(attribute) => match attribute.as_str() {
            Some(text) => {
                text.split(',').map(|part| path(&Value::from(part))).collect::<Result<_, _>>()?
            }
            None => vec![path(attribute)?],
        },
        None => vec![Vec::new()],
    };
    let mut keyed = Vec::new();
    for item in python::items(state, arguments.required(0)?)? {
        let keys: Result<Vec<Value>, Error> = paths
            .iter()
            .map(|path| lookup(item.clone(), path, None).map(|key| folded(key, folds)))
            .collect();
        keyed.push((keys?, item));
    }
    sorted(keyed, arguments.is_true(1)).map(Value::from)
}

fn unique(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("unique", &["value", "case_sensitive", "attribute"], given)?;
    let folds = !arguments.is_true(1);
    let path = arguments.some(2).map(path).transpose()?.unwrap_or_default();
    let (mut seen, mut kept) = (Vec::new(), Vec::new());
    for item in python::items(state, arguments.required(0)?)? {
        let key = folded(lookup(item.clone(), &path, None)?, folds);
        if matches!(python::type_name(&key), "list" | "dict") {
            return Err(fault(format!("unhashable type: '{}'", python::type_name(&key))));
        }
        charge_product(state, seen.len(), 16)?;
        if !seen.contains(&key) {
            seen.push(key);
            kept.push(item);
        }
    }
    Ok(Generator::value(kept))
}

fn map(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let (positional, named) = split(given)?;
    let Some((value, rest)) = positional.split_first() else {
        return Err(fault("map misses an argument"));
    };
    if !value.is_true() {
        return Ok(Generator::value(Vec::new()));
    }
    let mut mapped = Vec::new();
    if let (true, Some(named)) = (rest.is_empty(), &named) {
        let path = path(
            &named
                .peek::<Value>("attribute")
                .map_err(|_| fault("map takes a filter or an attribute"))?,
        )?;
        let default: Option<Value> = named.peek("default").ok();
        if let Some(name) = named.args().find(|name| !matches!(*name, "attribute" | "default")) {
            return Err(fault(format!("map takes no argument named '{name}'")));
        }
        for item in python::items(state, value)? {
            mapped.push(lookup(item, &path, default.as_ref().filter(|value| !value.is_none()))?);
        }
        return Ok(Generator::value(mapped));
    }
    let Some((filter, rest)) = rest.split_first() else {
        return Err(fault("map takes a filter or an attribute"));
    };
    let filter = filter.as_str().ok_or_else(|| fault("map takes the name of a filter"))?;
    if filter.starts_with("py_") {
        return Err(fault(format!("no filter named '{filter}'")));
    }
    for item in python::items(state, value)? {
        let mut arguments = vec![item];
        arguments.extend_from_slice(rest);
        arguments.extend(named.clone().map(Value::from));
        mapped.push(state.apply_filter(filter, &arguments)?);
    }
    Ok(Generator::value(mapped))
}

fn select(
    state: &mut State<'_, '_>,
    name: &'static str,
    given: &[Value],
    rejects: bool,
    by_attribute: bool,
) -> Result<Value, Error> {
    let (positional, _) = split(given)?;
    let missing = || fault(format!("{name} misses an argument"));
    let (value, mut rest) = positional.split_first().ok_or_else(missing)?;
    if !value.is_true() {
        return Ok(Generator::value(Vec::new()));
    }
    let mut attribute = Vec::new();
    if by_attribute {
        let (first, others) = rest.split_first().ok_or_else(missing)?;
        attribute = path(first)?;
        rest = others;
    }
    let test = rest.split_first();
    let mut kept = Vec::new();
    for item in python::items(state, value)? {
        let tested = lookup(item.clone(), &attribute, None)?;
        let passes = match test {
            None => tested.is_true(),
            Some((test, rest)) => {
                let mut arguments = vec![tested];
                arguments.extend_from_slice(rest);
                let test = test
                    .as_str()
                    .ok_or_else(|| fault(format!("{name} takes the name of a test")))?;
                state.perform_test(test, &arguments)?
            }
        };
        if passes != rejects {
            kept.push(item);
        }
    }
    Ok(Generator::value(kept))
}

/// A group of `groupby`: a pair whose parts also have names.
#[derive(Debug)]
struct Group([Value; 2]);

impl Object for Group {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let [grouper, list] = &self.0;
        match (key.as_str(), key.as_usize()) {
            (Some("grouper"), _) | (None, Some(0)) => Some(grouper.clone()),
            (Some("list"), _) | (None, Some(1)) => Some(list.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(2)
    }
}

fn group_by(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments =
        Arguments::bind("groupby", &["value", "attribute", "default", "case_sensitive"], given)?;
    let path = path(arguments.required(1)?)?;
    let folds = !arguments.is_true(3);
    let mut keyed = Vec::new();
    for item in python::items(state, arguments.required(0)?)? {
        let key = lookup(item.clone(), &path, arguments.some(2))?;
        keyed.push((vec![folded(key.clone(), folds)], Value::from(Tuple::new(vec![key, item]))));
    }
    let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    for entry in sorted(keyed, false)? {
        let (key, item) = (entry.get_item_by_index(0)?, entry.get_item_by_index(1)?);
        let sorted_by = folded(key.clone(), folds);
        match groups.last_mut() {
            Some((last, _, items)) if *last == sorted_by => items.push(item),
            _ => groups.push((sorted_by, key, vec![item])),
        }
    }
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|(_, key, items)| Value::from_object(Group([key, Value::from(items)])))
        .collect();
    let groups = Value::from(groups);
    check_nesting(state, &groups)?;
    Ok(groups)
}

fn batch(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("batch", &["value", "linecount", "fill_with"], given)?;
    arguments.required(1)?;
    let size = usize::try_from(arguments.integer_or(1, 0)?).unwrap_or(0).max(1);
    let mut batches = Vec::new();
    for chunk in python::items(state, arguments.required(0)?)?.chunks(size) {
        let mut chunk = chunk.to_vec();
        if let Some(fill) = arguments.some(2) {
            charge_product(state, size - chunk.len(), 24)?;
            chunk.resize(size, fill.clone());
        }
        batches.push(Value::from(chunk));
    }
    let batches = Value::from(batches);
    check_nesting(state, &batches)?;
    Ok(Generator::value(batches.try_iter()?.collect()))
}

fn slice(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("slice", &["value", "slices", "fill_with"], given)?;
    arguments.required(1)?;
    let slices = usize::try_from(arguments.integer_or(1, 0)?).unwrap_or(0);
    if slices == 0 {
        return Err(fault("integer division or modulo by zero"));
    }
    charge_product(state, slices, 64)?;
    let items = python::items(state, arguments.required(0)?)?;
    let (each, longer) = (items.len() / slices, items.len() % slices);
    let mut rest = items.as_slice();
    let mut parts = Vec::new();
    for index in 0..slices {
        let (part, after) = rest.split_at((each + usize::from(index < longer)).min(rest.len()));
        rest = after;
        let mut part = part.to_vec();
        if let (Some(fill), true) = (arguments.some(2), index >= longer) {
            part.push(fill.clone());
        }
        parts.push(Value::from(part));
    }
    let parts = Value::from(parts);
    check_nesting(state, &parts)?;
    Ok(Generator::value(parts.try_iter()?.collect()))
}

fn sum(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("sum", &["iterable", "attribute", "start"], given)?;
    let path = arguments.some(1).map(path).transpose()?.unwrap_or_default();
    let mut total = arguments.get(2).cloned().unwrap_or_else(|| Value::from(0));
    for item in python::items(state, arguments.required(0)?)? {
        total = python::add(state, &total, &lookup(item, &path, None)?)?;
    }
    Ok(total)
}

fn extreme(state: &mut State<'_, '_>, given: &[Value], wanted: Ordering) -> Result<Value, Error> {
    let arguments = Arguments::bind("min", &["value", "case_sensitive", "attribute"], given)?;
    let folds = !arguments.is_true(1);
    let path = arguments.some(2).map(path).transpose()?.unwrap_or_default();
    let mut best: Option<(Value, Value)> = None;
    for item in python::items(state, arguments.required(0)?)? {
        let key = folded(lookup(item.clone(), &path, None)?, folds);
        let better = match &best {
            Some((found, _)) => python::compare(&key, found)? == Some(wanted),
            None => true,
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or(Value::UNDEFINED, |(_, item)| item))
}
