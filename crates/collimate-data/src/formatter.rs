use std::borrow::Cow;

use crate::error::{DataError, Result};
use crate::record::{Content, Example, Message, Turns};
use crate::rendered::Rendered;
use crate::template::{ChatTemplate, RenderOptions, TemplateFolder};

/// Makes text of examples: conversations go through a chat template, strings are joined as they are.
///
/// # Examples
///
/// ```
/// use collimate_data::{BuiltIn, ChatTemplate, Content, Example, Formatter, Origin, Position, Turns};
///
/// let origin = Origin { file: std::path::Path::new("train.jsonl").into(), position: Position::Line(1) };
/// let strings = Content::PromptCompletion {
///     prompt: Turns::Text("2 + 2 =".to_owned()),
///     completion: Turns::Text(" 4".to_owned()),
/// };
/// let example = Example::new(strings, origin);
///
/// let joined = Formatter::new("</s>").render(&example)?;
/// assert_eq!(joined.text, "2 + 2 = 4</s>");
///
/// let template = ChatTemplate::built_in(BuiltIn::ChatMl)?;
/// let forced = Formatter::new("</s>").with_template(template).with_strings_as_turns(true);
/// assert!(forced.render(&example)?.text.starts_with("<|im_start|>user\n2 + 2 =<|im_end|>"));
/// # Ok::<(), collimate_data::DataError>(())
/// ```
#[derive(Debug)]
pub struct Formatter {
    pub(crate) end_of_text: String,
    pub(crate) template: Option<ChatTemplate>,
    pub(crate) options: RenderOptions,
    pub(crate) strings_as_turns: bool,
}

impl Formatter {
    /// A formatter for strings, whose completions are closed by the text of the end-of-text token.
    pub fn new(end_of_text: impl Into<String>) -> Self {
        Self {
            end_of_text: end_of_text.into(),
            template: None,
            options: RenderOptions::default(),
            strings_as_turns: false,
        }
    }

    /// A formatter for a model: with a template that was chosen for it, which strings go through as well,
    /// else with the model's own, if it has one, for conversations only.
    ///
    /// # Errors
    ///
    /// The model's own template is invalid.
    pub fn of_model(folder: &TemplateFolder, chosen: Option<ChatTemplate>) -> Result<Self> {
        let end_of_text = folder.tokens.get("eos_token").and_then(|token| token.as_str());
        let formatter =
            Self::new(end_of_text.unwrap_or_default()).with_strings_as_turns(chosen.is_some());
        match chosen {
            Some(template) => Ok(formatter.with_template(template)),
            None if folder.templates.is_empty() => Ok(formatter),
            None => Ok(formatter.with_template(folder.choose(None, false)?)),
        }
    }

    /// Renders conversations with this template.
    #[must_use]
    pub fn with_template(mut self, template: ChatTemplate) -> Self {
        self.template = Some(template);
        self
    }

    /// What templates are given beside the conversation. An example's own tools come before those
    /// of the options; whether a generation prompt is added is not an option here.
    #[must_use]
    pub fn with_options(mut self, options: RenderOptions) -> Self {
        self.options = options;
        self
    }

    /// Whether a prompt and a completion that are strings are rendered as a turn of the user and one
    /// of the assistant, rather than joined.
    #[must_use]
    pub fn with_strings_as_turns(mut self, strings_as_turns: bool) -> Self {
        self.strings_as_turns = strings_as_turns;
        self
    }

    /// The template of conversations, if there is one.
    pub fn template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }

    /// The text of an example.
    ///
    /// # Errors
    ///
    /// There is no template for a conversation, or it fails; the example is a preference, which has
    /// two texts.
    pub fn render(&self, example: &Example) -> Result<Rendered> {
        match &example.content {
            Content::Text(text) if self.strings_as_turns => Err(DataError::Record {
                origin: example.origin.clone(),
                message: format!(
                    "it is one text of {} bytes, in which a template finds no turns",
                    text.len()
                ),
            }),
            Content::Text(text) => Ok(Rendered::from_text(text, &self.end_of_text)),
            Content::Conversation(messages) => {
                self.template_for(example)?.render(messages, &self.options(example))
            }
            Content::PromptCompletion { prompt, completion }
            | Content::Unpaired { prompt, completion, .. } => {
                self.pair(example, prompt, completion)
            }
            Content::Preference { .. } => Err(DataError::Record {
                origin: example.origin.clone(),
                message: "it is a preference, which makes two texts".to_owned(),
            }),
        }
    }

    /// The texts of a preference: the preferred one first. Where the example has no prompt of its
    /// own, the prompt is what both ways begin with.
    ///
    /// # Errors
    ///
    /// As for [`Formatter::render`]; the example is not a preference.
    pub fn render_preference(&self, example: &Example) -> Result<(Rendered, Rendered)> {
        let Content::Preference { prompt, chosen, rejected } = &example.content else {
            return Err(DataError::Record {
                origin: example.origin.clone(),
                message: "it is not a preference".to_owned(),
            });
        };
        if let Some(prompt) = prompt {
            let chosen = self.pair(example, prompt, chosen)?;
            return Ok((chosen, self.pair(example, prompt, rejected)?));
        }
        let (chosen_prompt, chosen, rejected) = match (chosen, rejected) {
            (Turns::Text(chosen), Turns::Text(rejected)) => {
                let shared = shared_text(chosen, rejected);
                let text = |text: &str| Turns::Text(text.to_owned());
                (text(&chosen[..shared]), text(&chosen[shared..]), text(&rejected[shared..]))
            }
            (Turns::Messages(chosen), Turns::Messages(rejected)) => {
                let same = chosen.iter().zip(rejected).take_while(|(one, two)| one == two).count();
                // Where one way goes on after the other has ended, both answer with a turn at least.
                let shared = same.min(chosen.len().min(rejected.len()).saturating_sub(1));
                let turns = |turns: &[Message]| Turns::Messages(turns.to_vec());
                (turns(&chosen[..shared]), turns(&chosen[shared..]), turns(&rejected[shared..]))
            }
            _ => {
                return Err(DataError::Record {
                    origin: example.origin.clone(),
                    message: "one way is a string and the other a conversation".to_owned(),
                });
            }
        };
        let first = self.pair(example, &chosen_prompt, &chosen)?;
        Ok((first, self.pair(example, &chosen_prompt, &rejected)?))
    }

    /// The text of an example, or both of a preference, without looking for what is to be learned.
    ///
    /// # Errors
    ///
    /// As for [`Formatter::render`].
    pub fn texts(&self, example: &Example) -> Result<Vec<String>> {
        match &example.content {
            Content::Conversation(messages) => {
                let text =
                    self.template_for(example)?.render_text(messages, &self.options(example))?;
                Ok(vec![text])
            }
            Content::Preference { .. } => {
                let (chosen, rejected) = self.render_preference(example)?;
                Ok(vec![chosen.text, rejected.text])
            }
            _ => Ok(vec![self.render(example)?.text]),
        }
    }

    fn pair(&self, example: &Example, prompt: &Turns, completion: &Turns) -> Result<Rendered> {
        match (prompt, completion) {
            (Turns::Text(prompt), Turns::Text(completion)) if !self.strings_as_turns => {
                Ok(Rendered::from_prompt_completion(prompt, completion, &self.end_of_text))
            }
            _ => {
                let (prompt, completion) = (turns(prompt, "user"), turns(completion, "assistant"));
                let options = self.options(example);
                self.template_for(example)?.render_pair(&prompt, &completion, &options)
            }
        }
    }

    fn template_for(&self, example: &Example) -> Result<&ChatTemplate> {
        self.template.as_ref().ok_or_else(|| DataError::Record {
            origin: example.origin.clone(),
            message: "it is a conversation, and there is no chat template: the model's folder has \
                      none; choose a named one"
                .to_owned(),
        })
    }

    fn options(&self, example: &Example) -> RenderOptions {
        let mut options = self.options.clone();
        options.add_generation_prompt = false;
        if example.tools.is_some() {
            options.tools.clone_from(&example.tools);
        }
        options
    }
}

fn turns<'a>(turns: &'a Turns, role: &str) -> Cow<'a, [Message]> {
    match turns {
        Turns::Messages(messages) => Cow::Borrowed(messages),
        Turns::Text(text) => Cow::Owned(vec![Message::new(role, text)]),
    }
}

/// Bytes that two texts share at their beginning. A space before the first difference belongs to
/// what differs, as TRL has it.
fn shared_text(one: &str, two: &str) -> usize {
    let same = one.chars().zip(two.chars()).take_while(|(left, right)| left == right);
    let shared: usize = same.map(|(character, _)| character.len_utf8()).sum();
    if shared > 0 && one.as_bytes()[shared - 1] == b' ' { shared - 1 } else { shared }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BuiltIn, Origin, Position};

    #[test]
    fn ways_of_which_one_goes_on_keep_a_turn() {
        let turns = |said: &[&str]| {
            let roles = ["user", "assistant"].into_iter().cycle();
            Turns::Messages(roles.zip(said).map(|(role, said)| Message::new(role, *said)).collect())
        };
        let (chosen, rejected) = (turns(&["a", "b"]), turns(&["a", "b", "c", "d"]));
        let content = Content::Preference { prompt: None, chosen, rejected };
        let position = Position::Line(1);
        let origin = Origin { file: std::path::Path::new("a").into(), position };
        let template = ChatTemplate::built_in(BuiltIn::ChatMl).unwrap();
        let formatter = Formatter::new("").with_template(template);
        let (chosen, rejected) =
            formatter.render_preference(&Example::new(content, origin)).unwrap();
        assert_eq!(&chosen.text[chosen.completion..], "b<|im_end|>\n");
        assert!(rejected.text[rejected.completion..].starts_with("b<|im_end|>\n<|im_start|>user"));
    }
}
