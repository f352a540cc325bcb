//! Arguments of methods, filters and functions, bound to names as Python binds them.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, Value};

use super::bounds::fault;
use super::python::{as_integer, type_name};

/// Arguments in the order of their names.
pub(super) struct Arguments {
    function: &'static str,
    values: Vec<Option<Value>>,
}

impl Arguments {
    /// Binds what a call passes.
    pub(super) fn bind(
        function: &'static str,
        names: &[&str],
        given: &[Value],
    ) -> Result<Self, Error> {
        let (positional, named) = split(given)?;
        if positional.len() > names.len() {
            return Err(fault(format!("{function} takes at most {} arguments", names.len())));
        }
        let mut values: Vec<Option<Value>> = positional.iter().cloned().map(Some).collect();
        values.resize(names.len(), None);
        if let Some(named) = named {
            for name in named.args() {
                let position = names.iter().position(|known| *known == name);
                let Some(slot) = position.and_then(|position| values.get_mut(position)) else {
                    return Err(fault(format!("{function} takes no argument named '{name}'")));
                };
                if slot.is_some() {
                    return Err(fault(format!("{function} got '{name}' twice")));
                }
                *slot = Some(named.peek::<Value>(name)?);
            }
        }
        Ok(Self { function, values })
    }

    /// An argument that may be missing.
    pub(super) fn get(&self, index: usize) -> Option<&Value> {
        self.values.get(index).and_then(Option::as_ref)
    }

    /// An argument that may be missing or `None`.
    pub(super) fn some(&self, index: usize) -> Option<&Value> {
        self.get(index).filter(|value| !value.is_none())
    }

    /// An argument that must be there.
    pub(super) fn required(&self, index: usize) -> Result<&Value, Error> {
        self.get(index).ok_or_else(|| fault(format!("{} misses an argument", self.function)))
    }

    /// A string that must be there.
    pub(super) fn text(&self, index: usize) -> Result<&str, Error> {
        let value = self.required(index)?;
        value.as_str().ok_or_else(|| {
            fault(format!("{} takes a string, not '{}'", self.function, type_name(value)))
        })
    }

    /// A string, if it is there and not `None`.
    pub(super) fn text_or_none(&self, index: usize) -> Result<Option<&str>, Error> {
        if self.some(index).is_some() { self.text(index).map(Some) } else { Ok(None) }
    }

    /// An integer, or a value in its place.
    pub(super) fn integer_or(&self, index: usize, otherwise: i64) -> Result<i64, Error> {
        let Some(value) = self.get(index) else { return Ok(otherwise) };
        let integer = as_integer(value).ok_or_else(|| {
            fault(format!("{} takes an integer, not '{}'", self.function, type_name(value)))
        })?;
        Ok(i64::try_from(integer).unwrap_or(if integer < 0 { i64::MIN } else { i64::MAX }))
    }

    /// Whether an argument is there and true.
    pub(super) fn is_true(&self, index: usize) -> bool {
        self.get(index).is_some_and(Value::is_true)
    }
}

/// The positional arguments, and the named ones.
pub(super) fn split(given: &[Value]) -> Result<(&[Value], Option<Kwargs>), Error> {
    match given.split_last() {
        Some((last, rest)) if last.is_kwargs() => Ok((rest, Some(Kwargs::try_from(last.clone())?))),
        _ => Ok((given, None)),
    }
}

/// Whether a value is undefined.
pub(super) fn is_undefined(value: &Value) -> bool {
    value.kind() == ValueKind::Undefined
}
