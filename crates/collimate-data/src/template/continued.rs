//! Texts that end inside the last turn.

use std::sync::Arc;

use minijinja::Value;

use super::python::strip;
use super::rendering::{ChatTemplate, RenderOptions};
use super::values::Fields;
use crate::{Message, Result};

/// What transformers puts behind the last turn's content to find it again.
const TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// Renders a conversation up to the end of the last turn's content, as transformers does.
pub(super) fn render(
    template: &ChatTemplate,
    messages: &[Message],
    values: &[Value],
    options: &RenderOptions,
) -> Result<String> {
    let refuse = |what: &str| template.error(format!("can't continue the last turn: {what}"));
    let (Some(last), Some(value)) = (messages.last(), values.last()) else {
        return Err(refuse("the conversation is empty"));
    };
    let content = last.content().ok_or_else(|| refuse("its content is no text"))?;
    if !template.source().contains("content") {
        return Err(refuse("the template doesn't write `content`"));
    }
    let mut values = values.to_vec();
    if let (Some(slot), Some(fields)) = (values.last_mut(), value.downcast_object_ref::<Fields>()) {
        *slot = Value::from_object(fields.with("content", Value::from(format!("{content}{TAG}"))));
    }
    let text = template.raw(Value::from(values), options.add_generation_prompt, options)?.text;
    let tag = strip(TAG, None, true, true);
    match text.rfind(tag) {
        Some(place) if text.contains(strip(content, None, true, true)) => {
            let before = text.get(..place).unwrap_or_default();
            let kept = text.get(place..).is_some_and(|after| after.starts_with(TAG));
            Ok(if kept { before } else { strip(before, None, false, true) }.to_owned())
        }
        _ => Err(refuse("its content does not appear in the text")),
    }
}

/// A turn with another content.
pub(super) fn with_content(value: &Value, content: String) -> Option<Value> {
    let fields: Arc<Fields> = value.downcast_object::<Fields>()?;
    Some(Value::from_object(fields.with("content", Value::from(content))))
}
