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

    /// Gives its role and its texts: its content or the textual parts of it, and the tools it calls.
    pub(super) fn add_text(&self, add: &mut impl FnMut(&str, &str)) {
        match self.fields.get("content") {
            Some(Value::String(text)) => add(self.role(), text),
            Some(Value::Array(parts)) => {
                let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
                texts.for_each(|text| add(self.role(), text));
            }
            _ => {}
        }
        if let Some(calls) = self.fields.get("tool_calls").filter(|calls| !calls.is_null()) {
            add(self.role(), &calls.to_string());
        }
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

impl Turns {
    /// Gives the texts of the turns; a string is what `role` says.
    pub(super) fn add_text(&self, role: &str, add: &mut impl FnMut(&str, &str)) {
        match self {
            Self::Text(text) => add(role, text),
            Self::Messages(messages) => messages.iter().for_each(|message| message.add_text(add)),
        }
    }
}
