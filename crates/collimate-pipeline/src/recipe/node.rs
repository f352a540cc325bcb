//! What a file says, with the line on which it says it.

use std::sync::Arc;

use serde_json::Value;

/// Where a value was given.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Origin {
    /// Nowhere: by a program.
    #[default]
    None,
    /// On a line of the file.
    Line(u64),
    /// By an override, as it was written.
    Override(Arc<str>),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) content: Content,
}

#[derive(Clone, Debug, Default)]
pub(super) enum Content {
    #[default]
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Fields(Vec<Field>),
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) origin: Origin,
    /// What the file calls it, where that is not its name in a recipe.
    pub(super) called: Option<String>,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn new(origin: Origin, content: Content) -> Self {
        Self { origin, content }
    }

    /// What is in its fields; none where it is something else.
    pub(super) fn fields(&self) -> &[Field] {
        match &self.content {
            Content::Fields(fields) => fields,
            _ => &[],
        }
    }

    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields().iter().find(|field| field.name == name)
    }

    /// The field at a path of names with dots between them.
    pub(super) fn at(&self, path: &str) -> Option<&Field> {
        match path.split_once('.') {
            None => self.field(path),
            Some((first, rest)) => self.field(first)?.value.at(rest),
        }
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self.content {
            Content::Null => "empty",
            Content::Bool(_) => "true or false",
            Content::Integer(_) | Content::Float(_) => "a number",
            Content::Text(_) => "text",
            Content::List(_) => "a list",
            Content::Fields(_) => "a group of fields",
        }
    }

    /// The parts of `value` that are not as in `default`.
    pub(super) fn of_difference(value: &Value, default: &Value) -> Self {
        let (Value::Object(fields), Value::Object(defaults)) = (value, default) else {
            return Self::of_value(value);
        };
        let field = |(name, value): (&String, &Value)| {
            let value = match defaults.get(name) {
                Some(default) if default == value => return None,
                Some(default) => Self::of_difference(value, default),
                None => Self::of_value(value),
            };
            Some(Field { name: name.clone(), origin: Origin::None, called: None, value })
        };
        let fields = fields.iter().filter_map(field).collect();
        Self::new(Origin::None, Content::Fields(fields))
    }

    fn of_value(value: &Value) -> Self {
        let content = match value {
            Value::Null => Content::Null,
            Value::Bool(value) => Content::Bool(*value),
            Value::Number(number) => match number.as_i128() {
                Some(integer) => Content::Integer(integer),
                None => Content::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Content::Text(text.clone()),
            Value::Array(values) => Content::List(values.iter().map(Self::of_value).collect()),
            Value::Object(fields) => {
                let field = |(name, value): (&String, &Value)| Field {
                    name: name.clone(),
                    origin: Origin::None,
                    called: None,
                    value: Self::of_value(value),
                };
                Content::Fields(fields.iter().map(field).collect())
            }
        };
        Self::new(Origin::None, content)
    }
}
