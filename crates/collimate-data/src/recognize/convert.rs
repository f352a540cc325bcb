use serde_json::Value;

use crate::error::{DataError, Result};
use crate::read::kind;
use crate::recognize::form::{RecordForm, RecordKind};
use crate::recognize::mapping::Column;
use crate::recognize::recognizer::{Recognition, label};
use crate::recognize::transcript;
use crate::recognize::turns::{Wrong, are_turns, messages, tools};
use crate::record::{Content, Example, Message, Record, Turns};

/// A result whose error names a field.
type Checked<T> = std::result::Result<T, Wrong>;

impl Recognition {
    /// What a record means.
    ///
    /// # Errors
    ///
    /// A column that is used is missing, null or of another kind; a conversation is empty, has an
    /// unknown role, or does not end with the assistant where its last turn is judged. The error
    /// names the field, as in `messages[2].role`.
    pub fn example(&self, record: &Record) -> Result<Example> {
        let made = self.content(record).and_then(|content| {
            let tools = match self.optional(record, Column::Tools) {
                Some((name, value)) => tools(name, value)?,
                None => None,
            };
            Ok(Example { content, tools, origin: record.origin.clone() })
        });
        made.map_err(|(field, message)| DataError::Field {
            origin: record.origin.clone(),
            field,
            message,
        })
    }

    /// That the records are answers to learn, not judgements of answers.
    ///
    /// # Errors
    ///
    /// They are preferences, in pairs or one by one.
    pub fn refuse_preferences(&self) -> Result<()> {
        if !matches!(self.kind, RecordKind::Preference | RecordKind::Unpaired) {
            return Ok(());
        }
        Err(DataError::Setting {
            setting: "records",
            message: format!(
                "are {}; texts, conversations, or prompts with completions are needed",
                self.why
            ),
        })
    }

    fn content(&self, record: &Record) -> Checked<Content> {
        match self.form {
            RecordForm::Text => Ok(Content::Text(self.text(record, Column::Text)?)),
            RecordForm::Messages | RecordForm::ShareGpt => {
                let turns = self.conversation(record)?;
                if self.columns.contains_key(&Column::Label) {
                    return self.judged(record, turns);
                }
                Ok(Content::Conversation(turns))
            }
            RecordForm::PromptCompletion => {
                let (prompt, completion) = self.prompt_completion(record)?;
                Ok(Content::PromptCompletion { prompt, completion })
            }
            RecordForm::Unpaired => {
                let (prompt, completion) = self.prompt_completion(record)?;
                Ok(Content::Unpaired { prompt, completion, label: self.label(record)? })
            }
            RecordForm::Preference => {
                let prompt = match self.optional(record, Column::Prompt) {
                    Some(_) => Some(self.turns(record, Column::Prompt)?),
                    None => None,
                };
                let chosen = self.turns(record, Column::Chosen)?;
                let rejected = self.turns(record, Column::Rejected)?;
                Ok(preference(prompt, chosen, rejected))
            }
            RecordForm::Transcripts => {
                let chosen = self.transcript(record, Column::Chosen)?;
                let rejected = self.transcript(record, Column::Rejected)?;
                Ok(of_turns(None, chosen, rejected))
            }
            RecordForm::Instruction | RecordForm::QuestionAnswer => {
                let prompt = Turns::Messages(self.asked(record)?);
                let answer = self.text(record, Column::Completion)?;
                let completion = Turns::Messages(vec![Message::new("assistant", answer)]);
                if self.columns.contains_key(&Column::Label) {
                    return Ok(Content::Unpaired {
                        prompt,
                        completion,
                        label: self.label(record)?,
                    });
                }
                Ok(Content::PromptCompletion { prompt, completion })
            }
            RecordForm::InstructionPreference => {
                let prompt = self.asked(record)?;
                let chosen = answers(self.turns(record, Column::Chosen)?);
                let rejected = answers(self.turns(record, Column::Rejected)?);
                Ok(of_turns(Some(prompt), chosen, rejected))
            }
            RecordForm::ConversationPreference => {
                let prompt = self.conversation(record)?;
                let chosen = answers(self.turns(record, Column::Chosen)?);
                let rejected = answers(self.turns(record, Column::Rejected)?);
                Ok(of_turns(Some(prompt), chosen, rejected))
            }
            RecordForm::AlignmentInstruction => self.alignment(record),
        }
    }

    /// The value of a column that is used, and its name; nothing where it is missing or null.
    fn optional<'a>(&'a self, record: &'a Record, column: Column) -> Option<(&'a str, &'a Value)> {
        let name = self.columns.get(&column)?;
        let value = record.fields.get(name)?;
        (!value.is_null()).then_some((name.as_str(), value))
    }

    fn value<'a>(&'a self, record: &'a Record, column: Column) -> Checked<(&'a str, &'a Value)> {
        self.optional(record, column).ok_or_else(|| {
            let name = self.columns.get(&column).cloned().unwrap_or_else(|| column.to_string());
            let missing = if record.fields.contains_key(&name) { "is null" } else { "is missing" };
            (name, missing.to_owned())
        })
    }

    fn text(&self, record: &Record, column: Column) -> Checked<String> {
        let (name, value) = self.value(record, column)?;
        match value {
            Value::String(text) => Ok(text.clone()),
            other => Err((name.to_owned(), format!("is {}, not a text", kind(other)))),
        }
    }

    fn optional_text(&self, record: &Record, column: Column) -> Checked<Option<String>> {
        match self.optional(record, column) {
            Some(_) => {
                let text = self.text(record, column)?;
                Ok((!text.trim().is_empty()).then_some(text))
            }
            None => Ok(None),
        }
    }

    /// Text as it is, or turns.
    fn turns(&self, record: &Record, column: Column) -> Checked<Turns> {
        let (name, value) = self.value(record, column)?;
        match value {
            Value::String(text) => Ok(Turns::Text(text.clone())),
            value if are_turns(value) => Ok(Turns::Messages(messages(name, value, &self.mapping)?)),
            other => {
                Err((name.to_owned(), format!("is {}, neither a text nor turns", kind(other))))
            }
        }
    }

    fn transcript(&self, record: &Record, column: Column) -> Checked<Vec<Message>> {
        let text = self.text(record, column)?;
        transcript::turns(&text).map_err(|wrong| {
            (self.columns.get(&column).cloned().unwrap_or_default(), wrong.to_owned())
        })
    }

    fn label(&self, record: &Record) -> Checked<bool> {
        let (name, value) = self.value(record, Column::Label)?;
        label(value)
            .ok_or_else(|| (name.to_owned(), format!("is {}, neither true nor false", kind(value))))
    }

    /// The turns of a conversation, a system turn from its own column first.
    fn conversation(&self, record: &Record) -> Checked<Vec<Message>> {
        let (name, value) = self.value(record, Column::Messages)?;
        let turns = messages(name, value, &self.mapping)?;
        let mut all = Vec::with_capacity(turns.len() + 1);
        if let Some(system) = self.optional_text(record, Column::System)? {
            if turns.first().is_some_and(|turn| turn.role() == "system") {
                let name = self.columns.get(&Column::System).cloned().unwrap_or_default();
                return Err((name, "is given beside a system turn in the conversation".to_owned()));
            }
            all.push(Message::new("system", system));
        }
        all.extend(turns);
        Ok(all)
    }

    /// A conversation whose last turn is judged.
    fn judged(&self, record: &Record, mut turns: Vec<Message>) -> Checked<Content> {
        let label = self.label(record)?;
        let wrong = |wrong: &str| {
            (self.columns.get(&Column::Messages).cloned().unwrap_or_default(), wrong.to_owned())
        };
        let last = turns.pop().ok_or_else(|| wrong("is an empty conversation"))?;
        if last.role() != "assistant" {
            return Err(wrong("does not end with a turn of the assistant, which the label judges"));
        }
        if turns.is_empty() {
            return Err(wrong("has no turn before the one that the label judges"));
        }
        Ok(Content::Unpaired {
            prompt: Turns::Messages(turns),
            completion: Turns::Messages(vec![last]),
            label,
        })
    }

    fn prompt_completion(&self, record: &Record) -> Checked<(Turns, Turns)> {
        let prompt = self.turns(record, Column::Prompt)?;
        let completion = self.turns(record, Column::Completion)?;
        Ok(match (prompt, completion) {
            (Turns::Text(prompt), Turns::Text(completion)) => {
                (Turns::Text(prompt), Turns::Text(completion))
            }
            (prompt, completion) => {
                (Turns::Messages(questions(prompt)), Turns::Messages(answers(completion)))
            }
        })
    }

    /// The turns before an answer: system, earlier pairs, and the question with its input.
    fn asked(&self, record: &Record) -> Checked<Vec<Message>> {
        let mut turns = Vec::new();
        if let Some(system) = self.optional_text(record, Column::System)? {
            turns.push(Message::new("system", system));
        }
        if let Some((name, value)) = self.optional(record, Column::History) {
            history(name, value, &mut turns)?;
        }
        let mut question = self.text(record, Column::Prompt)?;
        if let Some(input) = self.optional_text(record, Column::Input)? {
            if !question.is_empty() {
                question.push_str("\n\n");
            }
            question.push_str(&input);
        }
        turns.push(Message::new("user", question));
        Ok(turns)
    }

    fn alignment(&self, record: &Record) -> Checked<Content> {
        let chosen = self.turns(record, Column::Chosen)?;
        let rejected = self.turns(record, Column::Rejected)?;
        let instruction = self.optional_text(record, Column::Instruction)?;
        let is_transcript =
            |turns: &Turns| matches!(turns, Turns::Text(text) if transcript::is_transcript(text));
        if is_transcript(&chosen) && is_transcript(&rejected) {
            let chosen = self.transcript(record, Column::Chosen)?;
            let rejected = self.transcript(record, Column::Rejected)?;
            let with = |turns: Vec<Message>| match &instruction {
                Some(text) => [vec![Message::new("system", text)], turns].concat(),
                None => turns,
            };
            return Ok(of_turns(None, with(chosen), with(rejected)));
        }
        let prompt = self.optional_text(record, Column::Prompt)?;
        let asked = match (instruction, prompt) {
            (Some(instruction), Some(prompt)) => {
                vec![Message::new("system", instruction), Message::new("user", prompt)]
            }
            (Some(only), None) | (None, Some(only)) => vec![Message::new("user", only)],
            (None, None) => {
                let wrong = "is missing, and so is an instruction: nothing is asked";
                return Err((Column::Prompt.to_string(), wrong.to_owned()));
            }
        };
        Ok(of_turns(Some(asked), answers(chosen), answers(rejected)))
    }
}

fn questions(turns: Turns) -> Vec<Message> {
    match turns {
        Turns::Text(text) => vec![Message::new("user", text)],
        Turns::Messages(messages) => messages,
    }
}

fn answers(turns: Turns) -> Vec<Message> {
    match turns {
        Turns::Text(text) => vec![Message::new("assistant", text)],
        Turns::Messages(messages) => messages,
    }
}

fn preference(prompt: Option<Turns>, chosen: Turns, rejected: Turns) -> Content {
    match (prompt, chosen, rejected) {
        (
            prompt @ (None | Some(Turns::Text(_))),
            chosen @ Turns::Text(_),
            rejected @ Turns::Text(_),
        ) => Content::Preference { prompt, chosen, rejected },
        (prompt, chosen, rejected) => {
            of_turns(prompt.map(questions), answers(chosen), answers(rejected))
        }
    }
}

/// A preference of turns. Where both ways repeat the prompt, or there is none, their common
/// beginning is the prompt; a turn is left to each way at least.
fn of_turns(prompt: Option<Vec<Message>>, chosen: Vec<Message>, rejected: Vec<Message>) -> Content {
    let most = chosen.len().min(rejected.len()).saturating_sub(1);
    let common =
        chosen.iter().zip(&rejected).take(most).take_while(|(one, other)| one == other).count();
    let beginning = chosen.get(..common).unwrap_or_default();
    // The prompt is repeated where its last turn is among the common ones.
    let repeated = match &prompt {
        None => true,
        Some(prompt) => prompt.last().is_some_and(|last| beginning.contains(last)),
    };
    if !repeated {
        return Content::Preference {
            prompt: prompt.map(Turns::Messages),
            chosen: Turns::Messages(chosen),
            rejected: Turns::Messages(rejected),
        };
    }
    let prompt = (common > 0).then(|| Turns::Messages(beginning.to_vec()));
    let rest = |turns: Vec<Message>| Turns::Messages(turns.into_iter().skip(common).collect());
    Content::Preference { prompt, chosen: rest(chosen), rejected: rest(rejected) }
}

/// Earlier pairs of a question and an answer.
fn history(name: &str, value: &Value, turns: &mut Vec<Message>) -> Checked<()> {
    let wrong = || (name.to_owned(), "is not a list of pairs of texts".to_owned());
    let parsed;
    let pairs = match value {
        Value::Array(pairs) => pairs,
        Value::String(text) if text.trim().is_empty() => return Ok(()),
        Value::String(text) => {
            parsed = crate::read::parse_value(text.as_bytes()).map_err(|_| wrong())?;
            parsed.as_array().ok_or_else(wrong)?
        }
        _ => return Err(wrong()),
    };
    for pair in pairs {
        let pair = pair.as_array().map(Vec::as_slice);
        let Some([Value::String(question), Value::String(answer)]) = pair else {
            return Err(wrong());
        };
        turns.push(Message::new("user", question));
        turns.push(Message::new("assistant", answer));
    }
    Ok(())
}
