//! What templates are given, as values of the engine.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Enumerator, Object, ObjectRepr};
use minijinja::{Error, State, Value};
use serde_json::Value as Json;

use super::bounds::fault;
use super::python;
use crate::record::Message;

/// A JSON value.
pub(super) fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => {
            if let Some(value) = number.as_i64() {
                Value::from(value)
            } else if let Some(value) = number.as_u64() {
                Value::from(value)
            } else {
                Value::from(number.as_f64().unwrap_or(f64::NAN))
            }
        }
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        Json::Object(fields) => fields
            .iter()
            .map(|(name, value)| (Value::from(name.as_str()), from_json(value)))
            .collect::<Pairs>()
            .into(),
    }
}

/// A turn, with `reasoning_content` under the names that transformers gives it.
pub(super) fn from_message(message: &Message) -> Value {
    const NAMES: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];
    let fields = message.fields();
    let reasoning =
        NAMES.iter().filter_map(|name| fields.get(*name)).find(|value| !value.is_null());
    let mut pairs = Vec::with_capacity(fields.len() + if reasoning.is_some() { 2 } else { 0 });
    if let Some(reasoning) = reasoning {
        // Python puts the alias first; the turn's own value wins, in the alias's place.
        pairs.push((Arc::from("thinking"), from_json(fields.get("thinking").unwrap_or(reasoning))));
    }
    for (name, value) in fields {
        let value = match (reasoning, name.as_str()) {
            (Some(_), "thinking") => continue,
            (Some(reasoning), "reasoning_content") => reasoning,
            _ => value,
        };
        pairs.push((Arc::from(name.as_str()), from_json(value)));
    }
    if let Some(reasoning) = reasoning
        && !fields.contains_key("reasoning_content")
    {
        pairs.push((Arc::from("reasoning_content"), from_json(reasoning)));
    }
    Value::from_object(Fields { pairs })
}

/// Pairs that become a mapping in their order.
pub(super) struct Pairs(Vec<(Value, Value)>);

impl FromIterator<(Value, Value)> for Pairs {
    fn from_iter<I: IntoIterator<Item = (Value, Value)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl From<Pairs> for Value {
    fn from(pairs: Pairs) -> Self {
        Value::from_pairs(pairs.0)
    }
}

/// Few named values in their order: a turn, or the variables of a rendering.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) pairs: Vec<(Arc<str>, Value)>,
}

impl Fields {
    /// The same, with one field changed.
    pub(super) fn with(&self, name: &str, value: Value) -> Self {
        let mut pairs = self.pairs.clone();
        match pairs.iter_mut().find(|(found, _)| &**found == name) {
            Some(pair) => pair.1 = value,
            None => pairs.push((Arc::from(name), value)),
        }
        Self { pairs }
    }
}

impl Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.pairs.iter().find(|(name, _)| &**name == key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(
            self.pairs.iter().map(|(name, _)| Value::from(Arc::clone(name))).collect(),
        )
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.pairs.len())
    }
}

/// Values that can be gone through once, as Python's generators and iterators.
#[derive(Debug)]
pub(super) struct Generator {
    items: Mutex<std::vec::IntoIter<Value>>,
}

impl Generator {
    pub(super) fn value(items: Vec<Value>) -> Value {
        Value::from_object(Self { items: Mutex::new(items.into_iter()) })
    }

    /// What was not gone through yet.
    pub(super) fn left(&self) -> Vec<Value> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).as_slice().to_vec()
    }

    /// What was not gone through yet, after which nothing is left.
    pub(super) fn rest(&self) -> Vec<Value> {
        std::mem::take(&mut *self.items.lock().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    /// The next value.
    pub(super) fn next(&self) -> Option<Value> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

impl Object for Generator {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let this = Arc::clone(self);
        Enumerator::Iter(Box::new(std::iter::from_fn(move || this.next())))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        None
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<generator object>")
    }
}

/// `dict.keys()`, `dict.values()` or `dict.items()`: a view that has a length but no indices.
#[derive(Debug)]
pub(super) struct View {
    pub(super) name: &'static str,
    pub(super) items: Vec<Value>,
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items.clone())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.items.len())
    }
}

/// `range(…)`.
#[derive(Debug)]
pub(super) struct Range {
    pub(super) start: i64,
    pub(super) stop: i64,
    pub(super) step: i64,
    pub(super) length: usize,
}

impl Range {
    fn at(&self, index: usize) -> Value {
        let index = i64::try_from(index).unwrap_or_default();
        Value::from(self.start.saturating_add(index.saturating_mul(self.step)))
    }
}

impl Object for Range {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let index = key.as_usize()?;
        (index < self.length).then(|| self.at(index))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.length)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.step == 1 {
            write!(f, "range({}, {})", self.start, self.stop)
        } else {
            write!(f, "range({}, {}, {})", self.start, self.stop, self.step)
        }
    }
}

/// Objects that hold values which a template gave them.
#[derive(Debug)]
pub(super) enum Held {
    /// A method, with the value that it belongs to.
    Method(Arc<str>, [Value; 1]),
    /// `cycler(…)`, with its position.
    Cycler(Vec<Value>, Mutex<usize>),
    /// `joiner(…)`, with whether it was called.
    Joiner([Value; 1], Mutex<bool>),
}

impl Held {
    pub(super) fn values(&self) -> &[Value] {
        match self {
            Self::Method(_, value) | Self::Joiner(value, _) => value,
            Self::Cycler(values, _) => values,
        }
    }
}

impl Object for Held {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match &**self {
            Self::Cycler(values, position) if key.as_str() == Some("current") => {
                values.get(*position.lock().unwrap_or_else(PoisonError::into_inner)).cloned()
            }
            _ => None,
        }
    }

    fn call(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        match &**self {
            Self::Method(name, [value]) => value.call_method(state, name, arguments),
            Self::Joiner([separator], used) => {
                let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(if std::mem::replace(&mut *used, true) {
                    separator.clone()
                } else {
                    Value::from("")
                })
            }
            Self::Cycler(..) => Err(fault("a cycler can't be called")),
        }
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        _: &[Value],
    ) -> Result<Value, Error> {
        match (&**self, method) {
            (Self::Cycler(values, position), "next" | "reset") => {
                let mut position = position.lock().unwrap_or_else(PoisonError::into_inner);
                if method == "reset" {
                    *position = 0;
                    return Ok(Value::from(()));
                }
                let current = values.get(*position).cloned();
                *position = (*position + 1) % values.len().max(1);
                current.ok_or_else(|| fault("a cycler without items"))
            }
            _ => Err(Error::from(minijinja::ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &**self {
            Self::Method(name, [value]) => {
                write!(f, "<built-in method {name} of {} object>", python::type_name(value))
            }
            Self::Cycler(..) => f.write_str("<Cycler>"),
            Self::Joiner(..) => f.write_str("<Joiner>"),
        }
    }
}
