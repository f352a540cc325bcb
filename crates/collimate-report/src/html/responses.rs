//! Prompts and what the models answered.

use crate::markup::Markup;
use crate::number::{count, whole};
use crate::report::{Reading, Response};
use crate::text::{cut, one_line};

/// More responses than this are not shown.
pub(crate) const RESPONSES: usize = 100;

pub(super) fn write(m: &mut Markup, responses: &[Response], reading: &Reading) {
    for (index, response) in responses.iter().take(RESPONSES).enumerate() {
        m.element("article", &[("class", "response")], |m| {
            let kind = response.kind.as_deref().map(|kind| format!(", {}", one_line(kind)));
            m.leaf("h3", &[], &format!("Prompt {}{}", index + 1, kind.unwrap_or_default()));
            said(m, &response.prompt, reading);
            m.element("div", &[("class", "answers")], |m| {
                for (side, answer) in [("Before", &response.before), ("After", &response.after)] {
                    m.element("div", &[], |m| {
                        m.leaf("h4", &[], side);
                        match answer {
                            Some(answer) if answer.is_empty() => empty(m, "an empty answer"),
                            Some(answer) => said(m, answer, reading),
                            None => empty(m, "no answer was recorded"),
                        }
                    });
                }
            });
        });
    }
    if let Some(note) = left_out(responses) {
        m.leaf("p", &[("class", "note")], &note);
    }
}

/// What is said of responses that are not shown.
pub(crate) fn left_out(responses: &[Response]) -> Option<String> {
    let more = responses.len().saturating_sub(RESPONSES);
    (more > 0).then(|| format!("{} more not shown.", count(more, "response")))
}

/// "… 1,234 characters more", where something was cut.
pub(crate) fn cut_note(left: usize) -> Option<String> {
    (left > 0).then(|| {
        format!("[… {} more character{} not shown]", whole(left), if left == 1 { "" } else { "s" })
    })
}

fn said(m: &mut Markup, text: &str, reading: &Reading) {
    let (shown, left) = cut(text, reading.response_chars);
    m.element("p", &[("class", "said"), ("dir", "auto")], |m| {
        m.text(shown);
        if let Some(note) = cut_note(left) {
            m.text(" ");
            m.leaf("span", &[("class", "cut")], &note);
        }
    });
}

fn empty(m: &mut Markup, words: &str) {
    m.leaf("p", &[("class", "said cut")], words);
}
