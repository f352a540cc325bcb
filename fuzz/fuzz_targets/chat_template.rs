//! Text from anywhere, used as a chat template: a named error, or a text with spans inside it.

#![no_main]

use collimate_data::{ChatTemplate, DataError, Message, RenderOptions, Rendered, TemplateTime};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &str| {
    let template = match ChatTemplate::new("fuzzed", source) {
        Ok(template) => template,
        Err(error) => {
            assert!(matches!(error, DataError::Template { .. }), "{error}");
            return;
        }
    };
    let turns = [
        Message::new("system", "Be brief."),
        Message::new("user", "l'\u{e9}t\u{e9} <b>"),
        Message::new("assistant", " {{ x }} "),
        Message::new("user", ""),
        call(),
        Message::new("tool", "a tree"),
        Message::new("assistant", "ok"),
    ];
    let mut options = RenderOptions::default();
    options.now = TemplateTime::new(2024, 7, 26);
    for turns in [&turns[..], &turns[..3]] {
        if let Ok(rendered) = template.render(turns, &options) {
            check(&rendered);
        }
    }
    if let Ok(rendered) = template.render_pair(&turns[..4], &turns[4..], &options) {
        check(&rendered);
    }
});

/// A turn of the assistant that says nothing and calls a tool.
fn call() -> Message {
    let function = serde_json::json!({"name": "look", "arguments": {"at": "\u{e9}"}});
    let call = serde_json::json!({"type": "function", "function": function});
    let turn = serde_json::json!({"role": "assistant", "content": "", "tool_calls": [call]});
    let fields = turn.as_object().cloned().expect("an object");
    Message::from_fields(fields).expect("a role")
}

fn check(rendered: &Rendered) {
    let mut before = 0;
    for span in &rendered.assistant {
        assert!(before <= span.start && span.start < span.end && span.end <= rendered.text.len());
        assert!(rendered.text.get(span.clone()).is_some(), "spans end between characters");
        before = span.end;
    }
    assert!(rendered.text.get(rendered.completion..).is_some());
}
