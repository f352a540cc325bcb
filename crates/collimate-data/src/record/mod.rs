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

    /// What it says, without system turns and names of roles: what duplicates are looked for in.
    pub fn text(&self) -> String {
        self.said(|role| !matches!(role, "system" | "developer"))
    }

    /// What the user says; all of a plain text.
    pub fn user_text(&self) -> String {
        self.said(|role| matches!(role, "user" | ""))
    }

    /// What the wanted roles say, each turn on lines of its own. A string that is a prompt is said by
    /// the user, one that is a completion by the assistant, and a plain text by nobody.
    fn said(&self, wanted: impl Fn(&str) -> bool) -> String {
        let mut said = String::new();
        let mut add = |role: &str, text: &str| {
            if wanted(role) && !text.is_empty() {
                if !said.is_empty() {
                    said.push('\n');
                }
                said.push_str(text);
            }
        };
        match &self.content {
            Content::Text(text) => add("", text),
            Content::Conversation(messages) => {
                messages.iter().for_each(|message| message.add_text(&mut add));
            }
            Content::PromptCompletion { prompt, completion }
            | Content::Unpaired { prompt, completion, .. } => {
                prompt.add_text("user", &mut add);
                completion.add_text("assistant", &mut add);
            }
            Content::Preference { prompt, chosen, rejected } => {
                prompt.iter().for_each(|prompt| prompt.add_text("user", &mut add));
                chosen.add_text("assistant", &mut add);
                rejected.add_text("assistant", &mut add);
            }
        }
        said
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn messages(turns: Value) -> Vec<Message> {
        let turns = turns.as_array().into_iter().flatten();
        turns.filter_map(|turn| Message::from_fields(turn.as_object()?.clone())).collect()
    }

    #[test]
    fn texts_are_those_of_the_turns() {
        let origin = Origin { file: std::path::Path::new("a").into(), position: Position::Line(1) };
        let texts = |content| {
            let example = Example::new(content, origin.clone());
            (example.text(), example.user_text())
        };
        let turns = messages(json!([
            { "role": "system", "content": "Be kind." },
            { "role": "user", "content": [{ "type": "image" }, { "type": "text", "text": "Hi" }] },
            { "role": "assistant", "content": null, "tool_calls": [{ "name": "f" }] },
            { "role": "tool", "content": "1" },
        ]));
        let (text, asked) = texts(Content::Conversation(turns.clone()));
        assert_eq!((text.as_str(), asked.as_str()), ("Hi\n[{\"name\":\"f\"}]\n1", "Hi"));
        let string = |text: &str| Turns::Text(text.to_owned());
        let preference = Content::Preference {
            prompt: Some(Turns::Messages(turns[..2].to_vec())),
            chosen: string("yes"),
            rejected: string("no"),
        };
        assert_eq!(texts(preference), ("Hi\nyes\nno".to_owned(), "Hi".to_owned()));
        let pair = Content::PromptCompletion { prompt: string("a"), completion: string("b") };
        assert_eq!(texts(pair), ("a\nb".to_owned(), "a".to_owned()));
        assert_eq!(texts(Content::Text("t".to_owned())), ("t".to_owned(), "t".to_owned()));
    }
}
