use std::path::Path;
use std::sync::atomic::AtomicBool;

use collimate_data::{
    ChatTemplate, ColumnMapping, Content, DataError, Example, Formatter, Message, OnNothingTrained,
    PrepareSettings, ReadSettings, RenderOptions, Result, Row, RowBuilder, Source, Tokenizer,
    Truncation, Turns, prepare,
};

use super::Subject;

/// Texts, conversations, or prompts with completions, that no model was trained on.
pub struct HeldOutData {
    examples: Vec<Example>,
    questions: Vec<Question>,
    /// Of one tokenizer, in place of examples.
    rows: Option<Vec<Row>>,
}

/// A prompt and what would be a good answer.
pub struct Question {
    prompt: Prompt,
    /// The good answer.
    pub reference: String,
}

enum Prompt {
    Text(String),
    Turns(Vec<Message>),
}

impl HeldOutData {
    /// Reads records: JSON Lines, JSON, CSV, TSV or Parquet.
    ///
    /// # Errors
    ///
    /// A record can't be read, or it is a preference.
    pub fn read(path: &Path) -> Result<Self> {
        let source = Source::open([path])?;
        let reading = ReadSettings::default();
        let recognition = source.recognize(&reading, ColumnMapping::default())?;
        recognition.refuse_preferences()?;
        let examples: Vec<Example> = source
            .records(&reading)?
            .map(|record| recognition.example(&record?))
            .collect::<Result<_>>()?;
        let questions = examples.iter().filter_map(Question::of).collect();
        Ok(Self { examples, questions, rows: None })
    }

    /// Rows of tokens, for models with one tokenizer.
    #[must_use]
    pub fn of_rows(rows: Vec<Row>) -> Self {
        Self { examples: Vec::new(), questions: Vec::new(), rows: Some(rows) }
    }

    /// Those that end with an answer, as prompts with references.
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// Rows of tokens for a model, cut to what it takes.
    ///
    /// # Errors
    ///
    /// The model's template or tokenizer can't take a record.
    pub fn rows(&self, model: &Subject<'_>, cancelled: &AtomicBool) -> Result<Vec<Row>> {
        if let Some(rows) = &self.rows {
            return Ok(rows.clone());
        }
        // Strings are predicted as they are: nothing says that they are whole texts.
        let mut formatter = Formatter::new("").with_options(RenderOptions::default());
        if let Some(template) = model.template {
            formatter = formatter.with_template(template.clone());
        }
        let settings = PrepareSettings::default()
            .with_max_length(Some(model.decoder.config().max_position_embeddings))
            .with_truncation(Truncation::KeepStart)
            .with_on_nothing_trained(OnNothingTrained::Drop);
        let builder = RowBuilder::new(model.tokenizer, settings)?;
        let mut rows = Vec::new();
        let render = |example: &Example| Ok((formatter.render(example)?, example.origin.clone()));
        let examples = self.examples.iter().map(Ok);
        prepare(&builder, examples, render, cancelled, &mut (), |row, _| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }
}

impl Question {
    fn of(example: &Example) -> Option<Self> {
        let reference = |turns: &Turns| match turns {
            Turns::Text(text) => Some(text.trim().to_owned()),
            Turns::Messages(messages) => match messages.as_slice() {
                [answer] if answer.role() == "assistant" => {
                    Some(answer.content()?.trim().to_owned())
                }
                _ => None,
            },
        };
        let (prompt, reference) = match &example.content {
            Content::PromptCompletion { prompt, completion } => {
                let prompt = match prompt {
                    Turns::Text(text) => Prompt::Text(text.clone()),
                    Turns::Messages(messages) => Prompt::Turns(messages.clone()),
                };
                (prompt, reference(completion)?)
            }
            Content::Conversation(messages) => {
                let (answer, before) = messages.split_last()?;
                let answer = (answer.role() == "assistant").then(|| answer.content()).flatten()?;
                if before.is_empty() {
                    return None;
                }
                (Prompt::Turns(before.to_vec()), answer.trim().to_owned())
            }
            _ => return None,
        };
        (!reference.is_empty()).then_some(Self { prompt, reference })
    }

    /// Its tokens, up to where the answer begins.
    ///
    /// # Errors
    ///
    /// It is a conversation, and there is no template; the template or the tokenizer can't take it.
    pub fn ids(&self, tokenizer: &Tokenizer, template: Option<&ChatTemplate>) -> Result<Vec<u32>> {
        let (text, special) = match (&self.prompt, template) {
            (Prompt::Text(text), _) => (text.clone(), true),
            (Prompt::Turns(messages), Some(template)) => {
                let mut options = RenderOptions::default();
                options.add_generation_prompt = true;
                (template.render_text(messages, &options)?, false)
            }
            (Prompt::Turns(_), None) => {
                return Err(DataError::Setting {
                    setting: "the chat template",
                    message: "is missing: the rows that are held out are conversations".to_owned(),
                });
            }
        };
        Ok(tokenizer.encode(&text, special)?.ids)
    }
}
