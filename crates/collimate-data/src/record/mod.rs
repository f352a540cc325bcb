//! What a line of a data set is, before and after it is understood.

mod message;
mod origin;

use serde_json::{Map, Value};

pub use message::{Message, Turns};
pub use origin::{Origin, Position};

/// One record as it was read: named fields, and where they stood.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// The fields, in the order of the file.
    pub fields: Map<String, Value>,
    /// Where it was read.
    pub origin: Origin,
}

impl Record {
    /// A record of these fields.
    pub fn new(fields: Map<String, Value>, origin: Origin) -> Self {
        Self { fields, origin }
    }
}

/// A record whose meaning is known.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Example {
    /// What it holds.
    pub content: Content,
    /// Tools that a conversation may call, as JSON schemas.
    pub tools: Option<Vec<Value>>,
    /// Where its record was read.
    pub origin: Origin,
}

impl Example {
    /// An example without tools.
    pub fn new(content: Content, origin: Origin) -> Self {
        Self { content, tools: None, origin }
    }
}

/// What an example holds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// One text, all of it to be learned.
    Text(String),
    /// A conversation.
    Conversation(Vec<Message>),
    /// A prompt, and what is to follow it.
    PromptCompletion {
        /// What is given.
        prompt: Turns,
        /// What is to be learned.
        completion: Turns,
    },
    /// Two ways to go on, of which the first is preferred.
    Preference {
        /// What is given; absent where both ways contain it.
        prompt: Option<Turns>,
        /// The preferred way.
        chosen: Turns,
        /// The other.
        rejected: Turns,
    },
    /// One way to go on, and whether it is wanted.
    Unpaired {
        /// What is given.
        prompt: Turns,
        /// The way to go on.
        completion: Turns,
        /// Whether it is wanted.
        label: bool,
    },
}
