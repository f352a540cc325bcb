use serde_json::{Map, Value};

/// One turn of a conversation: a role, a content, and whatever else the data set gives it
/// (`tool_calls`, `name`, `reasoning_content`, …), which templates may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    fields: Map<String, Value>,
}

impl Message {
    /// A turn of `role` that says `content`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        let mut fields = Map::new();
        fields.insert("role".to_owned(), Value::String(role.into()));
        fields.insert("content".to_owned(), Value::String(content.into()));
        Self { fields }
    }

    /// A turn of these fields; nothing where there is no textual `role`.
    pub fn from_fields(fields: Map<String, Value>) -> Option<Self> {
        fields.get("role").is_some_and(Value::is_string).then_some(Self { fields })
    }

    /// Who speaks: `system`, `user`, `assistant`, `tool`, …
    pub fn role(&self) -> &str {
        self.fields.get("role").and_then(Value::as_str).unwrap_or_default()
    }

    /// What is said, where it is plain text.
    pub fn content(&self) -> Option<&str> {
        self.fields.get("content").and_then(Value::as_str)
    }

    /// All fields, in the order of the data set.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }
}

/// A part of an example: plain text, or turns of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum Turns {
    /// Text that is used as it is.
    Text(String),
    /// Turns that a chat template renders.
    Messages(Vec<Message>),
}
