//! Values of known keys, taken as the kind that is expected; another kind is a problem.

use std::fmt;

use crate::problem::Problem;

/// The keys of an object that are read, sorted, each with those of the object below it.
pub(super) struct Schema(pub(super) &'static [(&'static str, Option<&'static Schema>)]);

impl Schema {
    /// The place of a key, itself and what is read below it.
    pub(super) fn find(&self, key: &str) -> Option<(usize, &'static str, Option<&'static Schema>)> {
        let index = self.0.binary_search_by(|(known, _)| (*known).cmp(key)).ok()?;
        self.0.get(index).map(|&(known, below)| (index, known, below))
    }
}

static NOTHING: Schema = Schema(&[]);

/// A value, as far as it is read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// The key is not there.
    Absent,
    Null,
    Flag(bool),
    Integer(u64),
    /// A number that is negative, has a fraction or is beyond 64 bits.
    Number(f64),
    Text(String),
    /// Its elements; lists within are empty.
    List(Vec<Value>),
    /// A list of so many elements, more than are kept.
    LongList(usize),
    Object(Fields),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("missing"),
            Self::Null => f.write_str("null"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Number(number) if number.abs() < 1e15 => write!(f, "{number}"),
            Self::Number(number) => write!(f, "{number:e}"),
            Self::Text(text) if text.len() <= 40 => write!(f, "{text:?}"),
            Self::Text(_) => f.write_str("a text"),
            Self::List(_) => f.write_str("a list"),
            Self::LongList(elements) => write!(f, "a list of {elements} elements"),
            Self::Object(_) => f.write_str("an object"),
        }
    }
}

/// The values of the known keys of one object.
#[derive(Clone)]
pub(super) struct Fields {
    schema: &'static Schema,
    within: &'static str,
    values: Vec<Value>,
}

impl Fields {
    pub(super) fn new(schema: &'static Schema, within: &'static str) -> Self {
        Self { schema, within, values: vec![Value::Absent; schema.0.len()] }
    }

    /// An object of which nothing is read.
    pub(super) fn none() -> Self {
        Self::new(&NOTHING, "")
    }

    pub(super) fn set(&mut self, index: usize, value: Value) {
        if let Some(place) = self.values.get_mut(index) {
            *place = value;
        }
    }

    /// The value of a key, which must be one of the schema.
    pub(super) fn get(&self, key: &str) -> &Value {
        let place = self.schema.find(key);
        debug_assert!(place.is_some() || self.schema.0.is_empty(), "{key} is not read");
        place.and_then(|(index, ..)| self.values.get(index)).unwrap_or(&Value::Absent)
    }

    /// A text that is not blank, without the white space around it.
    pub(super) fn text(&self, key: &str, report: &mut Report<'_>) -> Option<&str> {
        match self.get(key) {
            Value::Absent | Value::Null => None,
            Value::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            other => report.wrong(self, key, other, "a text"),
        }
    }

    /// Texts, where one or a list of them may stand.
    pub(super) fn texts(&self, key: &str, report: &mut Report<'_>) -> Vec<String> {
        let mut texts = Vec::new();
        match self.get(key) {
            Value::Absent | Value::Null => {}
            Value::Text(text) => texts.push(text.trim().to_owned()),
            Value::List(elements) => {
                for element in elements {
                    match element {
                        Value::Text(text) => texts.push(text.trim().to_owned()),
                        other => {
                            let found = format!("holds {other}; a list of texts is expected");
                            report.field(self, key, found);
                            return Vec::new();
                        }
                    }
                }
            }
            other => {
                report.wrong::<()>(self, key, other, "a text or a list of texts");
            }
        }
        texts.retain(|text| !text.is_empty());
        texts
    }

    pub(super) fn flag(&self, key: &str, report: &mut Report<'_>) -> Option<bool> {
        match self.get(key) {
            Value::Absent | Value::Null => None,
            Value::Flag(flag) => Some(*flag),
            other => report.wrong(self, key, other, "true or false"),
        }
    }

    /// A count or a width: a whole number from 1 to 2³² - 1. A list states it for each layer: their
    /// value where all are equal, else nothing.
    pub(super) fn size(&self, key: &str, report: &mut Report<'_>) -> Option<u64> {
        let size = |value: &Value| match value {
            Value::Integer(size) => (1..=u64::from(u32::MAX)).contains(size).then_some(*size),
            _ => None,
        };
        match self.get(key) {
            Value::Absent | Value::Null => None,
            Value::List(elements) if !elements.is_empty() => {
                match elements.iter().find(|element| size(element).is_none()) {
                    Some(other) => {
                        let found = format!("holds {other}; whole numbers above 0 are expected");
                        report.field(self, key, found);
                        None
                    }
                    None => {
                        let first = elements.first().and_then(size);
                        first
                            .filter(|_| elements.windows(2).all(|pair| pair.first() == pair.last()))
                    }
                }
            }
            value => size(value)
                .or_else(|| report.wrong(self, key, value, "a whole number from 1 to 4294967295")),
        }
    }

    pub(super) fn number(&self, key: &str, report: &mut Report<'_>) -> Option<f64> {
        match self.get(key) {
            Value::Absent | Value::Null => None,
            Value::Integer(number) => Some(*number as f64),
            Value::Number(number) if number.is_finite() => Some(*number),
            other => report.wrong(self, key, other, "a number"),
        }
    }

    pub(super) fn object(&self, key: &str, report: &mut Report<'_>) -> Option<&Fields> {
        match self.get(key) {
            Value::Absent | Value::Null => None,
            Value::Object(fields) => Some(fields),
            other => report.wrong(self, key, other, "an object"),
        }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.schema.0.iter().map(|(key, _)| key);
        f.debug_map().entries(keys.zip(&self.values)).finish()
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.schema, other.schema) && self.values == other.values
    }
}

/// Where problems with the fields of one file go.
pub(super) struct Report<'a> {
    pub(super) file: &'static str,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Report<'_> {
    /// A field is not of the kind that is expected.
    pub(super) fn wrong<T>(
        &mut self,
        fields: &Fields,
        key: &str,
        found: &Value,
        expected: &str,
    ) -> Option<T> {
        self.field(fields, key, format!("is {found}; {expected} is expected"));
        None
    }

    pub(super) fn field(&mut self, fields: &Fields, key: &str, message: String) {
        let field = match fields.within {
            "" => key.to_owned(),
            within => format!("{within}.{key}"),
        };
        let problem = Problem::Field { file: self.file.to_owned(), field, message };
        // The same key is asked for once for each use.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}
