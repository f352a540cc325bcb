//! A template, and how it is rendered.

use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, PoisonError};

use minijinja::{Environment, Error, Value};
use serde_json::Value as Json;

use super::bounds::{SOURCE, Sink};
use super::environment::{RECORDER, Raised, Recorder, environment};
use super::strftime::TemplateTime;
use super::translate::translate;
use super::values::{Fields, from_json, from_message};
use super::{continued, headers, spans};
use crate::{DataError, Message, Rendered, Result};

const ONLY: &str = "template";

/// A chat template, ready to render conversations.
#[derive(Clone)]
pub struct ChatTemplate {
    name: String,
    source: String,
    environment: Environment<'static>,
    has_generation: bool,
    /// Headers that count as said with the turns behind them.
    pub(super) headers: &'static [&'static str],
    /// Whether a BOS that the template does not write is left to the tokenizer.
    pub(crate) leaves_bos: bool,
    pub(super) variables: Vec<(Arc<str>, Value)>,
}

/// What a rendering is given beside the conversation.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RenderOptions {
    /// Whether the text ends where the assistant is to speak.
    pub add_generation_prompt: bool,
    /// Whether the text ends inside the last turn, so that it can be continued.
    pub continue_final_message: bool,
    /// Tools that the assistant may call, as JSON schemas.
    pub tools: Option<Vec<Json>>,
    /// Further variables of the template, such as `enable_thinking`.
    pub variables: serde_json::Map<String, Json>,
    /// The time that `strftime_now` writes; a template that asks for it fails without.
    pub now: Option<TemplateTime>,
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("name", &self.name)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// A text, and the bytes of it that `{% generation %}` blocks wrote.
pub(super) struct Raw {
    pub(super) text: String,
    pub(super) spans: Vec<(usize, usize)>,
}

impl ChatTemplate {
    /// A template from its source.
    ///
    /// # Errors
    ///
    /// The source is longer than 1 MiB, or no valid template.
    pub fn new(name: impl Into<String>, source: impl Into<String>) -> Result<Self> {
        let (name, source) = (name.into(), source.into());
        if source.len() > SOURCE {
            let message = format!(
                "has {} bytes, more than the {SOURCE} that a template may have",
                source.len()
            );
            return Err(DataError::Template { name, message });
        }
        let translated = match translate(&source) {
            Ok(translated) => translated,
            Err(error) => {
                let message = format!("line {}: {}", error.line, error.message);
                return Err(DataError::Template { name, message });
            }
        };
        let environment = environment().and_then(|mut environment| {
            environment.add_template_owned(ONLY, translated.source)?;
            Ok(environment)
        });
        let environment = match environment {
            Ok(environment) => environment,
            Err(error) => return Err(refused(&name, &error)),
        };
        Ok(Self {
            headers: headers::of(&source),
            leaves_bos: false,
            name,
            source,
            environment,
            has_generation: translated.has_generation,
            variables: Vec::new(),
        })
    }

    /// The same template with a variable, such as `bos_token`.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &Json) -> Self {
        self.variables.retain(|(found, _)| &**found != name);
        self.variables.push((Arc::from(name), from_json(value)));
        self
    }

    /// A built-in name, or the file that the template was read from.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The template's source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the template marks what carries loss itself, with `{% generation %}`.
    pub fn has_generation(&self) -> bool {
        self.has_generation
    }

    /// Its own variables, such as `bos_token`.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.variables.iter().map(|(name, value)| (&**name, value))
    }

    /// Renders turns that are values already.
    pub(super) fn raw(
        &self,
        messages: Value,
        generation_prompt: bool,
        options: &RenderOptions,
    ) -> Result<Raw> {
        let tools =
            options.tools.as_ref().map(|tools| tools.iter().map(from_json).collect::<Vec<_>>());
        let recorder = Arc::new(Recorder { now: options.now, ..Recorder::default() });
        let mut pairs = Vec::with_capacity(6 + self.variables.len() + options.variables.len());
        pairs.push((Arc::from("messages"), messages));
        pairs.push((Arc::from("add_generation_prompt"), Value::from(generation_prompt)));
        pairs.push((Arc::from(RECORDER), Value::from_dyn_object(Arc::clone(&recorder))));
        pairs.push((Arc::from("tools"), tools.map_or_else(|| Value::from(()), Value::from)));
        pairs.push((Arc::from("documents"), Value::from(())));
        pairs.extend(
            options
                .variables
                .iter()
                .map(|(name, value)| (Arc::from(name.as_str()), from_json(value))),
        );
        pairs.extend(self.variables.iter().cloned());
        let length: &AtomicUsize = &recorder.length;
        let mut written = Vec::with_capacity(1024);
        let rendered = self.environment.get_template(ONLY).and_then(|template| {
            let sink = Sink { written: &mut written, length };
            template.render_captured_to(Value::from_object(Fields { pairs }), sink).map(drop)
        });
        if let Err(error) = rendered {
            return Err(refused(&self.name, &error));
        }
        let spans =
            std::mem::take(&mut *recorder.spans.lock().unwrap_or_else(PoisonError::into_inner));
        let text =
            String::from_utf8(written).map_err(|_| self.error("writes text that is no UTF-8"))?;
        Ok(Raw { text, spans })
    }

    /// Renders a conversation, with the parts of it that a model has to learn.
    ///
    /// # Errors
    ///
    /// The template refuses the conversation or can't render it, takes more than its bounds
    /// allow, or leaves unclear which part of the text the assistant says.
    pub fn render(&self, messages: &[Message], options: &RenderOptions) -> Result<Rendered> {
        spans::render(self, messages, options)
    }

    /// Renders a prompt and its completion as TRL does to train on them: the prompt with the
    /// generation prompt, whoever spoke last in it, then the whole. `completion` is where the two
    /// part.
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render), and where the prompt is empty.
    pub fn render_pair(
        &self,
        prompt: &[Message],
        completion: &[Message],
        options: &RenderOptions,
    ) -> Result<Rendered> {
        spans::render_pair(self, prompt, completion, options)
    }

    /// Renders a conversation as it is, without looking for what the assistant says.
    ///
    /// # Errors
    ///
    /// The template refuses the conversation, can't render it, or takes more than its bounds allow.
    pub fn render_text(&self, messages: &[Message], options: &RenderOptions) -> Result<String> {
        let values: Vec<Value> = messages.iter().map(from_message).collect();
        if options.continue_final_message {
            return continued::render(self, messages, &values, options);
        }
        self.raw(Value::from(values), options.add_generation_prompt, options).map(|raw| raw.text)
    }

    /// The text of the variable `bos_token`, if the template has one.
    pub(super) fn beginning(&self) -> Option<&str> {
        let found = self.variables.iter().find(|(name, _)| &**name == "bos_token");
        found.and_then(|(_, value)| value.as_str()).filter(|text| !text.is_empty())
    }

    pub(super) fn error(&self, message: impl Into<String>) -> DataError {
        DataError::Template { name: self.name.clone(), message: message.into() }
    }
}

/// What the engine refuses, in this crate's words.
fn refused(name: &str, error: &Error) -> DataError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    let mut deepest = None;
    while let Some(error) = source {
        if let Some(raised) = error.downcast_ref::<Raised>() {
            return DataError::TemplateRaised { name: name.to_owned(), message: raised.0.clone() };
        }
        deepest = Some(error.to_string());
        source = error.source();
    }
    let what = error
        .detail()
        .map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    let at = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    let because = deepest.map(|deepest| format!(" ({deepest})")).unwrap_or_default();
    DataError::Template { name: name.to_owned(), message: format!("{at}{what}{because}") }
}
