use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::read::{JsonFault, kind, parse_value};
use crate::recognize::mapping::ColumnMapping;
use crate::record::Message;

/// The field that is wrong, and what is wrong with it.
pub(crate) type Wrong = (String, String);

/// Names of roles, and what chat templates call them.
const ROLES: [(&str, &str); 20] = [
    ("system", "system"),
    ("developer", "developer"),
    ("user", "user"),
    ("human", "user"),
    ("prompter", "user"),
    ("assistant", "assistant"),
    ("gpt", "assistant"),
    ("chatgpt", "assistant"),
    ("bing", "assistant"),
    ("bard", "assistant"),
    ("bot", "assistant"),
    ("chatbot", "assistant"),
    ("model", "assistant"),
    ("function_call", "function_call"),
    ("tool_call", "function_call"),
    ("tool", "tool"),
    ("observation", "tool"),
    ("function_response", "tool"),
    ("ipython", "ipython"),
    ("function", "function"),
];

/// The turns in a column: a list of turns, one turn, or either as JSON text.
pub(crate) fn messages(
    column: &str,
    value: &Value,
    mapping: &ColumnMapping,
) -> Result<Vec<Message>, Wrong> {
    let value = from_text(column, value)?;
    let turns = match value.as_ref() {
        Value::Array(turns) => turns.as_slice(),
        Value::Object(_) => std::slice::from_ref(value.as_ref()),
        other => {
            return Err((column.to_owned(), format!("is {}, not a list of turns", kind(other))));
        }
    };
    if turns.is_empty() {
        return Err((column.to_owned(), "is an empty conversation".to_owned()));
    }
    let message = |(at, turn): (usize, &Value)| {
        message(turn, mapping).map_err(|(key, wrong)| {
            let key = if key.is_empty() { key } else { format!(".{key}") };
            (format!("{column}[{at}]{key}"), wrong)
        })
    };
    turns.iter().enumerate().map(message).collect()
}

/// Whether a value can be turns.
pub(crate) fn are_turns(value: &Value) -> bool {
    match value {
        Value::Array(turns) => turns.iter().all(Value::is_object),
        Value::Object(_) => true,
        _ => false,
    }
}

/// Whether a conversation is written as ShareGPT writes it.
pub(crate) fn is_sharegpt(value: &Value) -> bool {
    let Ok(value) = from_text("", value) else { return false };
    let first = match value.as_ref() {
        Value::Array(turns) => turns.first(),
        other => Some(other),
    };
    first.and_then(Value::as_object).is_some_and(|turn| {
        turn.contains_key("from") && turn.contains_key("value") && !turn.contains_key("role")
    })
}

/// The tools in a column: a list, or JSON text of one; nothing where there are none.
pub(crate) fn tools(column: &str, value: &Value) -> Result<Option<Vec<Value>>, Wrong> {
    if value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty()) {
        return Ok(None);
    }
    let value = from_text(column, value)?.into_owned();
    let Value::Array(tools) = value else {
        return Err((column.to_owned(), format!("is {}, not a list of tools", kind(&value))));
    };
    let wrapped = tools.into_iter().map(|tool| match &tool {
        // A bare function, where templates expect a typed tool.
        Value::Object(fields)
            if fields.contains_key("name")
                && !fields.contains_key("type")
                && !fields.contains_key("function") =>
        {
            json!({"type": "function", "function": tool})
        }
        _ => tool,
    });
    let tools: Vec<Value> = wrapped.collect();
    Ok((!tools.is_empty()).then_some(tools))
}

/// A list or an object that is written as text, as CSV and some Parquet files have it.
fn from_text<'a>(column: &str, value: &'a Value) -> Result<Cow<'a, Value>, Wrong> {
    match value.as_str().map(str::trim_ascii_start) {
        Some(text) if text.starts_with(['[', '{']) => match parse_value(text.as_bytes()) {
            Ok(value) => Ok(Cow::Owned(value)),
            Err(JsonFault { line, column: at, message }) => Err((
                column.to_owned(),
                format!("is no JSON text of a list: line {line}, column {at}: {message}"),
            )),
        },
        _ => Ok(Cow::Borrowed(value)),
    }
}

fn message(turn: &Value, mapping: &ColumnMapping) -> Result<Message, Wrong> {
    let Value::Object(turn) = turn else {
        return Err((String::new(), format!("is {}, not a turn with a role", kind(turn))));
    };
    let role_key = key(turn, mapping.role_key.as_deref(), &["role", "from"]);
    let name = match turn.get(role_key) {
        Some(Value::String(name)) => name,
        Some(other) => {
            return Err((role_key.to_owned(), format!("is {}, not a text", kind(other))));
        }
        None => return Err((role_key.to_owned(), "is missing".to_owned())),
    };
    let role = role(name, mapping).ok_or_else(|| {
        let known: Vec<&str> = ROLES.iter().map(|(name, _)| *name).collect();
        let wrong = format!(
            "is `{}`, an unknown role; known are {}; others are named in the column mapping",
            name.chars().take(40).collect::<String>(),
            known.join(", ")
        );
        (role_key.to_owned(), wrong)
    })?;
    let content_key = key(turn, mapping.content_key.as_deref(), &["content", "value"]);
    if role == "function_call" {
        return call(turn, content_key);
    }

    let mut fields = Map::with_capacity(turn.len());
    for (key, value) in turn {
        if key == role_key {
            fields.insert("role".to_owned(), Value::String(role.to_owned()));
        } else if key == content_key {
            if let Some(content) = content(value).map_err(|wrong| (key.clone(), wrong))? {
                fields.insert("content".to_owned(), content);
            }
        } else if !value.is_null() {
            // A key that only other turns have a value for, as tables write it.
            fields.insert(key.clone(), value.clone());
        }
    }
    if !fields.contains_key("content") && !fields.contains_key("tool_calls") {
        let wrong = if turn.contains_key(content_key) { "is null" } else { "is missing" };
        return Err((content_key.to_owned(), wrong.to_owned()));
    }
    Message::from_fields(fields).ok_or_else(|| (role_key.to_owned(), "is missing".to_owned()))
}

fn key<'a>(turn: &Map<String, Value>, given: Option<&'a str>, usual: &[&'a str]) -> &'a str {
    let first = usual.first().copied().unwrap_or_default();
    given.or_else(|| usual.iter().copied().find(|key| turn.contains_key(*key))).unwrap_or(first)
}

fn role<'a>(name: &str, mapping: &'a ColumnMapping) -> Option<&'a str> {
    if let Some(role) = mapping.roles.get(name) {
        return Some(role);
    }
    let known = |name: &str| ROLES.iter().find(|(known, _)| *known == name).map(|(_, role)| *role);
    known(name).or_else(|| known(&name.to_ascii_lowercase()))
}

/// A turn's content: a text, or parts; nothing where it is null.
fn content(value: &Value) -> Result<Option<Value>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(_) => Ok(Some(value.clone())),
        Value::Array(parts) => {
            if !parts.iter().all(Value::is_object) {
                return Err("is a list that does not consist of typed parts".to_owned());
            }
            // Texts under `value` are another spelling that no template knows.
            let texts: Option<Vec<&str>> = parts
                .iter()
                .map(|part| {
                    (part.get("type")?.as_str()? == "text").then(|| part.get("value")?.as_str())?
                })
                .collect();
            Ok(Some(match texts {
                Some(texts) if !texts.is_empty() => Value::String(texts.concat()),
                _ => value.clone(),
            }))
        }
        other => Err(format!("is {}, not a text", kind(other))),
    }
}

/// A turn that calls functions, as ShareGPT sets write it: JSON text of one or several
/// `{name, arguments}`.
fn call(turn: &Map<String, Value>, content_key: &str) -> Result<Message, Wrong> {
    let wrong = |wrong: &str| (content_key.to_owned(), wrong.to_owned());
    let expected = "is not JSON text of a call, as in {\"name\": …, \"arguments\": {…}}";
    let value = turn.get(content_key).ok_or_else(|| wrong("is missing"))?;
    let value = match value {
        Value::String(text) => parse_value(text.as_bytes()).map_err(|_| wrong(expected))?,
        other => other.clone(),
    };
    let calls = match value {
        Value::Array(calls) if !calls.is_empty() => calls,
        call @ Value::Object(_) => vec![call],
        _ => return Err(wrong(expected)),
    };
    let mut tool_calls = Vec::with_capacity(calls.len());
    for call in calls {
        let Value::Object(mut call) = call else { return Err(wrong(expected)) };
        if !call.get("name").is_some_and(Value::is_string) {
            return Err(wrong(expected));
        }
        // Templates expect arguments as an object; some sets write them as text once more.
        let inner = match call.get("arguments") {
            Some(Value::String(text)) => parse_value(text.as_bytes()).ok(),
            _ => None,
        };
        if let Some(inner @ Value::Object(_)) = inner {
            call.insert("arguments".to_owned(), inner);
        }
        tool_calls.push(json!({"type": "function", "function": call}));
    }
    let mut fields = Map::new();
    fields.insert("role".to_owned(), Value::String("assistant".to_owned()));
    fields.insert("content".to_owned(), Value::String(String::new()));
    fields.insert("tool_calls".to_owned(), Value::Array(tool_calls));
    Message::from_fields(fields).ok_or_else(|| wrong(expected))
}
