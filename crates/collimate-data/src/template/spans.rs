//! Which parts of a rendered conversation the assistant says.
//!
//! A template with `{% generation %}` says it itself. For all others a turn of the assistant begins
//! where the turns before it, rendered with the generation prompt, end; and it ends where the text
//! that closes a turn ends. That text is known from the last turn; the end of each content is
//! found with one further rendering, in which a mark stands behind every content.

use std::ops::Range;

use minijinja::Value;
use serde_json::Value as Json;

use super::continued::with_content;
use super::headers;
use super::python::strip;
use super::rendering::{ChatTemplate, Raw, RenderOptions};
use super::values::from_message;
use crate::{Message, Rendered, Result};

/// The mark behind contents: a private-use character.
const MARK: char = '\u{10fff1}';
/// How much of a generation prompt must stand before a content, in bytes, to be known by it.
const HEADER: usize = 4;

/// Renders a conversation, with its spans.
pub(super) fn render(
    template: &ChatTemplate,
    messages: &[Message],
    options: &RenderOptions,
) -> Result<Rendered> {
    let values: Vec<Value> = messages.iter().map(from_message).collect();
    if options.continue_final_message {
        let text = template.render_text(messages, options)?;
        let completion = text.len();
        return Ok(rendered(template, text, Vec::new(), completion));
    }
    let raw = template.raw(Value::from(values.clone()), options.add_generation_prompt, options)?;
    let finder = Finder { template, messages, values: &values, options, text: &raw.text };
    let mut assistant = if template.has_generation() { marked(&raw) } else { finder.spans()? };
    let last = messages.last().is_some_and(|message| message.role() == "assistant");
    let completion = match assistant.last() {
        Some(span) if last => span.start,
        _ => raw.text.len(),
    };
    if !template.has_generation() {
        with_headers(template, &raw.text, &mut assistant);
    }
    Ok(rendered(template, raw.text, assistant, completion))
}

/// Renders a prompt and its completion.
pub(super) fn render_pair(
    template: &ChatTemplate,
    prompt: &[Message],
    completion: &[Message],
    options: &RenderOptions,
) -> Result<Rendered> {
    if prompt.is_empty() {
        return Err(template.error("the prompt has no turn"));
    }
    let whole: Vec<Message> = prompt.iter().chain(completion).cloned().collect();
    let plain = RenderOptions {
        add_generation_prompt: false,
        continue_final_message: false,
        ..options.clone()
    };
    let asked = RenderOptions { add_generation_prompt: true, ..plain.clone() };
    let before = template.render_text(prompt, &asked)?;
    let values: Vec<Value> = whole.iter().map(from_message).collect();
    let raw = template.raw(Value::from(values.clone()), false, &plain)?;
    let begins = common(&before, &raw.text);
    let assistant = if template.has_generation() {
        marked(&raw)
    } else {
        let finder = Finder {
            template,
            messages: &whole,
            values: &values,
            options: &plain,
            text: &raw.text,
        };
        // Where turns can't be told apart, the completion is what is learned all the same.
        let mut spans = finder.spans().unwrap_or_else(|_| {
            let completion = begins..raw.text.len();
            if completion.is_empty() { Vec::new() } else { vec![completion] }
        });
        with_headers(template, &raw.text, &mut spans);
        spans
    };
    Ok(rendered(template, raw.text, assistant, begins))
}

fn rendered(
    template: &ChatTemplate,
    text: String,
    assistant: Vec<Range<usize>>,
    completion: usize,
) -> Rendered {
    let has_special_tokens = !template.leaves_bos
        || template.source().contains("bos_token")
        || template.beginning().is_some_and(|token| text.starts_with(token));
    Rendered { text, assistant, completion, has_special_tokens }
}

/// Lets turns begin with what counts as said before them.
fn with_headers(template: &ChatTemplate, text: &str, spans: &mut [Range<usize>]) {
    let mut after = 0;
    for span in spans {
        let before = text.get(after..span.start).unwrap_or_default();
        span.start -= headers::length(template.headers, before);
        after = span.end;
    }
}

/// What `{% generation %}` blocks wrote, in order and without overlap. Blocks that touch are one: a
/// turn may be written in parts.
fn marked(raw: &Raw) -> Vec<Range<usize>> {
    let mut spans = raw.spans.clone();
    spans.sort_unstable();
    let mut found: Vec<Range<usize>> = Vec::new();
    for (start, end) in spans {
        let (start, end) = (boundary(&raw.text, start), boundary(&raw.text, end));
        match found.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ if start < end => found.push(start..end),
            _ => {}
        }
    }
    found
}

fn boundary(text: &str, place: usize) -> usize {
    let mut place = place.min(text.len());
    while !text.is_char_boundary(place) {
        place -= 1;
    }
    place
}

/// Length of what two texts begin with.
fn common(left: &str, right: &str) -> usize {
    let same = left.bytes().zip(right.bytes()).take_while(|(left, right)| left == right).count();
    boundary(left, same)
}

/// Length of what two texts end with.
fn common_end(left: &str, right: &str) -> usize {
    left.bytes().rev().zip(right.bytes().rev()).take_while(|(left, right)| left == right).count()
}

/// Length of the longest end of one text that another begins with.
fn overlap(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    // For each beginning of `other`, the longest shorter one that it ends with.
    let mut shorter: Vec<usize> = Vec::with_capacity(other.len());
    let step = |shorter: &[usize], mut length: usize, byte: u8| loop {
        if other.get(length) == Some(&byte) {
            return length + 1;
        }
        match length.checked_sub(1).and_then(|last| shorter.get(last)) {
            Some(next) => length = *next,
            None => return 0,
        }
    };
    for byte in other {
        let next = match shorter.last() {
            Some(last) => step(&shorter, *last, *byte),
            None => 0,
        };
        shorter.push(next);
    }
    one.iter().fold(0, |length, byte| step(&shorter, length, *byte))
}

/// A place that is not inside a token such as `<|im_end|>` or `[INST]`: before it, if it was.
fn outside_token(text: &str, place: usize) -> usize {
    let before = text.get(..place).unwrap_or_default();
    for (opens, closes) in [('<', '>'), ('[', ']')] {
        if let Some(open) = before.rfind(opens) {
            let inner = &before[open..];
            if !inner.contains(closes) && !inner.contains(char::is_whitespace) && inner.len() <= 64
            {
                return open;
            }
        }
    }
    place
}

/// Length of the token, such as `<|end|>`, that a text begins with.
///
/// Where turns in the middle are closed otherwise than the last, this token closes them, or opens
/// the next turn, at which a model stops as well.
fn token_length(text: &str) -> usize {
    if !text.starts_with('<') {
        return 0;
    }
    match text.find(|c: char| c == '>' || c.is_whitespace()) {
        Some(end) if text[end..].starts_with('>') && end <= 64 => end + 1,
        _ => 0,
    }
}

struct Finder<'rendering> {
    template: &'rendering ChatTemplate,
    messages: &'rendering [Message],
    values: &'rendering [Value],
    options: &'rendering RenderOptions,
    text: &'rendering str,
}

impl Finder<'_> {
    fn spans(&self) -> Result<Vec<Range<usize>>> {
        let turns: Vec<usize> = (0..self.messages.len())
            .filter(|turn| {
                self.messages.get(*turn).is_some_and(|message| message.role() == "assistant")
            })
            .collect();
        let Some(last) = turns.last().copied() else { return Ok(Vec::new()) };
        let closes_text = last + 1 == self.messages.len() && !self.options.add_generation_prompt;
        let ends = if turns.len() == 1 && closes_text {
            None
        } else {
            Some(self.ends(&turns, closes_text)?)
        };
        let mut spans: Vec<Range<usize>> = Vec::with_capacity(turns.len());
        for (position, turn) in turns.iter().copied().enumerate() {
            let after = spans.last().map_or(0, |span| span.end);
            let end = match &ends {
                None => self.text.len(),
                Some(_) if turn == last && closes_text => self.text.len(),
                Some(ends) => ends.get(position).copied().unwrap_or_default(),
            };
            let start = self.start(turn, after, end)?;
            if start >= end {
                return Err(self.unclear(turn));
            }
            spans.push(start..end);
        }
        Ok(spans)
    }

    fn unclear(&self, turn: usize) -> crate::DataError {
        self.template.error(format!(
            "it is unclear which part of the text is turn {} of the conversation; mark it in the \
             template with {{% generation %}}",
            turn + 1
        ))
    }

    /// Where a turn begins: behind the generation prompt.
    fn start(&self, turn: usize, after: usize, end: usize) -> Result<usize> {
        let before = self.values.get(..turn).unwrap_or_default().to_vec();
        let content = |turn: usize| {
            self.messages
                .get(turn)
                .and_then(Message::content)
                .map(|text| strip(text, None, true, true))
        };
        if let Ok(prompt) = self.template.raw(Value::from(before), true, self.options) {
            if self.text.starts_with(&prompt.text) && (after..=end).contains(&prompt.text.len()) {
                return Ok(prompt.text.len());
            }
            // Templates that close the turn before otherwise: what precedes the content is still the
            // generation prompt.
            if let (Some(said), Some(part)) =
                (content(turn).filter(|said| !said.is_empty()), self.text.get(after..end))
            {
                let places = part.match_indices(said).map(|(place, _)| after + place);
                let prompted = |place: &usize| {
                    let before = self.text.get(..*place).unwrap_or_default();
                    common_end(before, &prompt.text) >= HEADER
                };
                if let Some(place) = places.take(64).find(prompted) {
                    return Ok(place);
                }
            }
            let start = outside_token(self.text, common(&prompt.text, self.text));
            let between = self.text.get(after..start).filter(|_| start <= end);
            let said = turn.checked_sub(1).and_then(content).unwrap_or_default();
            if between.is_some_and(|between| !between.is_empty() && between.contains(said)) {
                return Ok(start);
            }
        }
        // The text before the turn is another one when the turn follows: its content begins it.
        let said =
            content(turn).filter(|said| !said.is_empty()).ok_or_else(|| self.unclear(turn))?;
        let part = self.text.get(after..end).ok_or_else(|| self.unclear(turn))?;
        part.rfind(said).map(|place| after + place).ok_or_else(|| self.unclear(turn))
    }

    /// Where turns end: behind what closes them.
    fn ends(&self, turns: &[usize], closes_text: bool) -> Result<Vec<usize>> {
        let last = turns.last().copied().unwrap_or_default();
        let marked: Vec<usize> =
            turns.iter().copied().filter(|turn| self.content(*turn).is_some()).collect();
        let contents = self.marked_contents(&marked).unwrap_or_default();
        let closing = match contents.last() {
            Some((turn, place)) if *turn == last && closes_text => {
                Some(self.text.get(*place..).unwrap_or_default().to_owned())
            }
            Some((turn, _)) => Some(self.closing(*turn)?),
            None => marked.last().and_then(|turn| self.closing(*turn).ok()),
        };
        let closing = closing.as_deref();
        let mut ends = Vec::with_capacity(turns.len());
        for turn in turns.iter().copied() {
            let place = contents.iter().find(|(marked, _)| *marked == turn);
            ends.push(match (place, closing) {
                (Some((_, place)), Some(closing)) => place + self.closed(*place, closing),
                _ => self.until(turn, closing)?,
            });
        }
        Ok(ends)
    }

    /// Length of what closes a turn whose content ends at a place.
    fn closed(&self, place: usize, closing: &str) -> usize {
        let after = self.text.get(place..).unwrap_or_default();
        let same = common(closing, after);
        let same = if same == closing.len() { same } else { outside_token(after, same) };
        if same == 0 { token_length(after) } else { same }
    }

    /// Where a turn ends whose content tells nothing: where the text up to it ends, rendered alone.
    fn until(&self, turn: usize, closing: Option<&str>) -> Result<usize> {
        let turns = |turns| {
            let turns: &[Value] = self.values.get(..turns).unwrap_or_default();
            Value::from(turns.to_vec())
        };
        let until = self.template.raw(turns(turn + 1), false, self.options)?.text;
        let same = common(&until, self.text);
        if same == until.len() {
            // Where nothing closes a last turn, the token that opens the next one closes a turn.
            let after = self.text.get(same..).filter(|_| closing == Some(""));
            return Ok(same + after.map_or(0, token_length));
        }
        // A last turn may begin with thoughts that the same turn has not when others follow it.
        let prompt = self.template.raw(turns(turn), true, self.options)?.text;
        if let (Some(alone), Some(within)) =
            (until.strip_prefix(&prompt), self.text.strip_prefix(&prompt))
        {
            let kept = overlap(alone, within);
            if kept > 0 {
                return Ok(prompt.len() + kept);
            }
        }
        Ok(outside_token(self.text, same))
    }

    /// The content of a turn behind which nothing but its closing follows.
    fn content(&self, turn: usize) -> Option<&str> {
        let message = self.messages.get(turn)?;
        let calls = message.fields().get("tool_calls").and_then(Json::as_array);
        if calls.is_some_and(|calls| !calls.is_empty()) { None } else { message.content() }
    }

    /// What follows the content of a turn that is the last.
    fn closing(&self, turn: usize) -> Result<String> {
        let mut until = self.values.get(..=turn).unwrap_or_default().to_vec();
        if let (Some(value), Some(content)) = (until.last_mut(), self.content(turn))
            && let Some(marked) = with_content(value, format!("{content}{MARK}"))
        {
            *value = marked;
        }
        let text = self.template.raw(Value::from(until), false, self.options)?.text;
        text.rsplit_once(MARK)
            .map(|(_, closing)| closing.to_owned())
            .ok_or_else(|| self.unclear(turn))
    }

    /// Where the contents of turns end; nothing where marks behind them change the text.
    fn marked_contents(&self, turns: &[usize]) -> Option<Vec<(usize, usize)>> {
        let mut values = self.values.to_vec();
        for turn in turns {
            let content = self.content(*turn)?;
            if content.contains(MARK) {
                return None;
            }
            let value = values.get_mut(*turn)?;
            *value = with_content(value, format!("{content}{MARK}"))?;
        }
        let marked = self
            .template
            .raw(Value::from(values), self.options.add_generation_prompt, self.options)
            .ok()?;
        let mut parts = marked.text.split(MARK);
        let mut places = Vec::with_capacity(turns.len());
        let mut place = 0;
        for turn in turns {
            let part = parts.next()?;
            let rest = self.text.get(place..)?;
            let kept = if rest.starts_with(part) { part } else { strip(part, None, false, true) };
            if !rest.starts_with(kept) {
                return None;
            }
            place += kept.len();
            places.push((*turn, place));
        }
        let whole = parts.next() == self.text.get(place..) && parts.next().is_none();
        whole.then_some(places)
    }
}
