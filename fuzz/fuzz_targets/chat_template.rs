//! Text from anywhere, used as a chat template: a named error, or a text with spans inside it.

#![no_main]

use collimate_data::{ChatTemplate, DataError, Message, RenderOptions, TemplateTime};
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
        Message::new("assistant", "ok"),
    ];
    let mut options = RenderOptions::default();
    options.now = TemplateTime::new(2024, 7, 26);
    let Ok(rendered) = template.render(&turns, &options) else { return };
    let mut before = 0;
    for span in &rendered.assistant {
        assert!(before <= span.start && span.start < span.end && span.end <= rendered.text.len());
        assert!(rendered.text.get(span.clone()).is_some(), "spans end between characters");
        before = span.end;
    }
    assert!(rendered.text.get(rendered.completion..).is_some());
});
