use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{LmError, Result};

/// Largest size that a configuration may state.
const MAX_SIZE: u64 = 1 << 31;
/// Characters of a value that an error shows.
const SHOWN: usize = 60;

/// The fields of an object in a `config.json`, each checked as it is read.
///
/// What is absent has the default of transformers. What is null is none where that means something,
/// and an error elsewhere.
pub(crate) struct Fields<'a> {
    path: &'a Path,
    /// Where the object stands in the file: `rope_scaling.`, or nothing.
    within: String,
    object: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(path: &'a Path, object: &'a Map<String, Value>) -> Self {
        Self { path, within: String::new(), object }
    }

    /// Whether a field is there and not null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.object.get(name).is_some_and(|value| !value.is_null())
    }

    /// Whether a field is there and means something: not null, false, 0 or empty.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.object.get(name).is_some_and(|value| match value {
            Value::Null => false,
            Value::Bool(flag) => *flag,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::Object(object) => !object.is_empty(),
        })
    }

    /// A whole number from 1.
    pub(crate) fn size(&self, name: &str, default: usize) -> Result<usize> {
        self.object.get(name).map_or(Ok(default), |value| self.whole(name, value, 1))
    }

    /// A whole number from 0.
    pub(crate) fn count(&self, name: &str, default: usize) -> Result<usize> {
        self.object.get(name).map_or(Ok(default), |value| self.whole(name, value, 0))
    }

    /// A whole number from 1, or none.
    pub(crate) fn size_or_none(&self, name: &str, default: Option<usize>) -> Result<Option<usize>> {
        match self.object.get(name) {
            None => Ok(default),
            Some(Value::Null) => Ok(None),
            Some(value) => self.whole(name, value, 1).map(Some),
        }
    }

    /// A number above 0.
    pub(crate) fn positive(&self, name: &str, default: f64) -> Result<f64> {
        self.object.get(name).map_or(Ok(default), |value| self.number(name, value))
    }

    /// A number above 0 that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<f64> {
        match self.object.get(name) {
            Some(value) => self.number(name, value),
            None => Err(self.error(name, "is missing".to_owned())),
        }
    }

    /// A number above 0, or none.
    pub(crate) fn positive_or_none(&self, name: &str, default: Option<f64>) -> Result<Option<f64>> {
        match self.object.get(name) {
            None => Ok(default),
            Some(Value::Null) => Ok(None),
            Some(value) => self.number(name, value).map(Some),
        }
    }

    /// Numbers above 0, `length` of them.
    pub(crate) fn numbers(&self, name: &str, length: usize) -> Result<Vec<f64>> {
        let Some(value) = self.object.get(name) else {
            return Err(self.error(name, "is missing".to_owned()));
        };
        let list =
            value.as_array().ok_or_else(|| self.expected("a list of numbers", name, value))?;
        if list.len() != length {
            let message = format!("expected {length} numbers, found {}", list.len());
            return Err(self.error(name, message));
        }
        list.iter().map(|value| self.number(name, value)).collect()
    }

    /// True or false.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        let of = |value: &Value| {
            value.as_bool().ok_or_else(|| self.expected("true or false", name, value))
        };
        self.object.get(name).map_or(Ok(default), of)
    }

    /// A text.
    pub(crate) fn text(&self, name: &str, default: &'a str) -> Result<&'a str> {
        let of =
            |value: &'a Value| value.as_str().ok_or_else(|| self.expected("a text", name, value));
        self.object.get(name).map_or(Ok(default), of)
    }

    /// The texts of a list, if there is one.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<&'a str>>> {
        let of = |value: &'a Value| {
            let texts = value.as_array().map(|list| list.iter().map(Value::as_str).collect());
            texts.flatten().ok_or_else(|| self.expected("a list of texts", name, value))
        };
        self.object.get(name).filter(|value| !value.is_null()).map(of).transpose()
    }

    /// One token id, several, or none.
    pub(crate) fn token_ids(&self, name: &str, default: &[u32]) -> Result<Vec<u32>> {
        let id = |value: &Value| {
            let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
            id.ok_or_else(|| self.expected("token ids", name, value))
        };
        match self.object.get(name) {
            None => Ok(default.to_vec()),
            Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => list.iter().map(id).collect(),
            Some(value) => Ok(vec![id(value)?]),
        }
    }

    /// The fields of an object, if there is one that is not empty.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Self>> {
        match self.object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) if object.is_empty() => Ok(None),
            Some(Value::Object(object)) => {
                let within = format!("{}{name}.", self.within);
                Ok(Some(Self { path: self.path, within, object }))
            }
            Some(value) => Err(self.expected("an object", name, value)),
        }
    }

    /// An error about a field.
    pub(crate) fn error(&self, name: &str, message: String) -> LmError {
        let field = format!("{}{name}", self.within);
        LmError::Config { path: self.path.to_owned(), field, message }
    }

    /// An error about a value that is understood and not supported.
    pub(crate) fn unsupported(&self, name: &str) -> LmError {
        let value = self.object.get(name).map(shown).unwrap_or_default();
        self.error(name, format!("{value} is not supported"))
    }

    fn expected(&self, what: &str, name: &str, value: &Value) -> LmError {
        self.error(name, format!("expected {what}, found {}", shown(value)))
    }

    fn whole(&self, name: &str, value: &Value, least: u64) -> Result<usize> {
        let number = value.as_u64().filter(|number| (least..=MAX_SIZE).contains(number));
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| {
            self.expected(&format!("a whole number from {least} to {MAX_SIZE}"), name, value)
        })
    }

    fn number(&self, name: &str, value: &Value) -> Result<f64> {
        let number = value.as_f64().filter(|number| number.is_finite() && *number > 0.0);
        number.ok_or_else(|| self.expected("a number above 0", name, value))
    }
}

/// A value in one line, its end left out if it is long.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "an object".to_owned(),
        value => {
            let text = value.to_string();
            let mut shown: String = text.chars().take(SHOWN).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            shown
        }
    }
}
