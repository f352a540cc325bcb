//! Text is generated token by token.

mod choose;
mod config;
mod error;
mod file;
mod process;
mod text;

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use serde::Serialize;

use crate::error::Result;
use choose::{Chooser, Sampling};
use text::{RowText, Stop};

pub use config::GenerationConfig;
pub use error::{GenerateError, LogitsProblem};
pub use file::GenerationFile;
pub use text::DecodeTokens;

/// What gives the logits of the next token: a model with its cache of keys and values.
pub trait NextLogits {
    /// The logits of the token after these, `[rows, vocabulary]` row by row.
    ///
    /// The first call has the prompts, of different lengths; each later one has the token that was
    /// chosen, one a row, which the model adds to what it has of the row.
    ///
    /// # Errors
    /// Whatever the model can't compute.
    fn next_logits(&mut self, tokens: &[&[u32]]) -> Result<Vec<f32>>;

    /// Keeps these rows of the batch, in this order, and forgets the others: their texts ended.
    ///
    /// The numbers are places in the last call, and ascend. Later calls only have the rows that are left.
    ///
    /// # Errors
    /// Whatever the model can't compute.
    fn keep(&mut self, rows: &[usize]) -> Result<()>;
}

/// A text that was generated.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Generated {
    /// Its tokens, those that ended it included.
    pub tokens: Vec<u32>,
    /// Its text, without the token or the string that ended it.
    pub text: String,
    /// Why it ended.
    pub finish: FinishReason,
}

/// Why a text ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// By a token that ends texts.
    Eos,
    /// By this string.
    StopString(String),
    /// It has as many tokens as it may have.
    Length,
    /// The caller asked to stop.
    Cancelled,
}

/// What happens while texts are generated.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum GenerationEvent<'a> {
    /// A row has another token.
    Token {
        /// The row.
        row: usize,
        /// The token.
        token: u32,
        /// What is new of the text and final; empty while a character is not complete, or while this may
        /// be the beginning of a stop string.
        text: &'a str,
    },
    /// A row ended.
    Finished {
        /// The row.
        row: usize,
        /// What was held back of the text.
        text: &'a str,
        /// Why.
        finish: &'a FinishReason,
    },
}

/// Generates texts. Made by [`GenerationConfig::check`].
#[derive(Clone, Debug, PartialEq)]
pub struct Generator {
    max_new_tokens: Option<usize>,
    max_length: Option<usize>,
    penalty: f32,
    sampling: Option<Sampling>,
    seed: u64,
    first_row: u64,
    /// Sorted.
    eos_token_ids: Vec<u32>,
    stop_strings: Vec<String>,
}

/// What transformers generates if nothing says how much.
const DEFAULT_NEW_TOKENS: usize = 20;

impl Generator {
    /// Continues prompts, each a row of one batch; the texts of its events are, one after the other, those
    /// of the result.
    ///
    /// A row is what it is alone, as far as the model's logits are: it draws from a stream of its own.
    /// `cancel` is looked at before each step.
    ///
    /// ```
    /// use std::sync::atomic::AtomicBool;
    ///
    /// use collimate_lm::{FinishReason, GenerationConfig, NextLogits, Result};
    ///
    /// /// After each letter comes the next one.
    /// struct Alphabet;
    ///
    /// impl NextLogits for Alphabet {
    ///     fn next_logits(&mut self, tokens: &[&[u32]]) -> Result<Vec<f32>> {
    ///         let next = |row: &[u32]| row.last().map_or(0, |letter| letter + 1);
    ///         let logits = |next| (0..26).map(move |letter| if letter == next { 1.0 } else { 0.0 });
    ///         Ok(tokens.iter().flat_map(|row| logits(next(row))).collect())
    ///     }
    ///
    ///     fn keep(&mut self, _: &[usize]) -> Result<()> {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let decode = |tokens: &[u32]| Ok(tokens.iter().map(|&id| char::from(b'a' + id as u8)).collect());
    /// let generator = GenerationConfig::default().with_stop_strings(["hi".to_owned()]).check()?;
    /// let cancel = AtomicBool::new(false);
    /// let found = generator.generate(&mut Alphabet, &[&[0, 1, 2]], &decode, &cancel, &mut |_| {})?;
    /// assert_eq!(found[0].text, "defg");
    /// assert_eq!(found[0].finish, FinishReason::StopString("hi".to_owned()));
    /// # Ok::<(), collimate_lm::LmError>(())
    /// ```
    ///
    /// # Errors
    /// [`GenerateError::EmptyPrompt`], [`GenerateError::PromptTooLong`], [`GenerateError::Logits`] if no
    /// token can be chosen, [`GenerateError::Decode`], and what the model can't compute.
    pub fn generate(
        &self,
        model: &mut dyn NextLogits,
        prompts: &[&[u32]],
        decode: &DecodeTokens<'_>,
        cancel: &AtomicBool,
        on_event: &mut dyn FnMut(GenerationEvent<'_>),
    ) -> Result<Vec<Generated>> {
        let rows = prompts.iter().enumerate();
        let mut rows: Vec<Row<'_>> =
            rows.map(|(row, prompt)| self.row(row, prompt, decode)).collect::<Result<_>>()?;
        for step in 0.. {
            let mut active: Vec<&mut Row<'_>> =
                rows.iter_mut().filter(|row| row.finish.is_none()).collect();
            if active.is_empty() {
                break;
            }
            if cancel.load(Ordering::Relaxed) {
                for row in active {
                    row.end(FinishReason::Cancelled, on_event)?;
                }
                break;
            }
            let inputs: Vec<&[u32]> = active.iter().map(|row| row.input()).collect();
            let mut logits = model.next_logits(&inputs)?;
            let vocabulary = logits.len() / active.len();
            if vocabulary == 0 || vocabulary * active.len() != logits.len() {
                let (values, rows) = (logits.len(), active.len());
                return Err(GenerateError::Shape { step, values, rows }.into());
            }
            let choosers: Vec<&mut Chooser> =
                active.iter_mut().map(|row| &mut row.chooser).collect();
            let chosen: Vec<_> = choosers
                .into_par_iter()
                .zip(logits.par_chunks_mut(vocabulary))
                .map(|(chooser, scores)| chooser.choose(scores))
                .collect();
            for (row, token) in active.iter_mut().zip(chosen) {
                let token = token.map_err(|problem| GenerateError::Logits {
                    row: row.number,
                    step,
                    problem,
                })?;
                // A vocabulary of more than 2^32 tokens has no ids.
                row.add(token as u32, self, on_event)?;
            }
            let left = active.iter().enumerate().filter(|(_, row)| row.finish.is_none());
            let left: Vec<usize> = left.map(|(at, _)| at).collect();
            if !left.is_empty() && left.len() < active.len() {
                model.keep(&left)?;
            }
        }
        Ok(rows.into_iter().map(Row::into_generated).collect())
    }

    fn row<'a>(
        &'a self,
        number: usize,
        prompt: &'a [u32],
        decode: &'a DecodeTokens<'a>,
    ) -> Result<Row<'a>> {
        if prompt.is_empty() {
            return Err(GenerateError::EmptyPrompt { row: number }.into());
        }
        let limit = match (self.max_new_tokens, self.max_length) {
            (Some(new), _) => new,
            (None, Some(max_length)) if max_length <= prompt.len() => {
                let (row, tokens) = (number, prompt.len());
                return Err(GenerateError::PromptTooLong { row, tokens, max_length }.into());
            }
            (None, Some(max_length)) => max_length - prompt.len(),
            (None, None) => DEFAULT_NEW_TOKENS,
        };
        let stream = self.first_row.wrapping_add(number as u64);
        let mut chooser = Chooser::new(self.penalty, self.sampling, self.seed, stream);
        chooser.see(prompt);
        let text = RowText::new(decode, &self.stop_strings);
        Ok(Row { number, prompt, limit, chooser, tokens: Vec::new(), text, finish: None })
    }
}

/// A row while it is generated.
struct Row<'a> {
    number: usize,
    prompt: &'a [u32],
    /// Most tokens.
    limit: usize,
    chooser: Chooser,
    tokens: Vec<u32>,
    text: RowText<'a>,
    finish: Option<FinishReason>,
}

impl Row<'_> {
    /// The tokens that the model does not have yet.
    fn input(&self) -> &[u32] {
        self.tokens.last().map_or(self.prompt, std::slice::from_ref)
    }

    fn add(
        &mut self,
        token: u32,
        settings: &Generator,
        on_event: &mut dyn FnMut(GenerationEvent<'_>),
    ) -> Result<()> {
        self.tokens.push(token);
        self.chooser.see(&[token]);
        let row = self.number;
        let ends = settings.eos_token_ids.binary_search(&token).is_ok();
        let stop = if ends { Ok(None) } else { self.text.push(token) };
        let stop = self.decoded(stop)?;
        on_event(GenerationEvent::Token { row, token, text: self.text.piece() });
        if ends {
            self.end(FinishReason::Eos, on_event)
        } else if let Some(stop) = stop {
            self.end(FinishReason::StopString(stop), on_event)
        } else if self.tokens.len() >= self.limit {
            self.end(FinishReason::Length, on_event)
        } else {
            Ok(())
        }
    }

    /// Ends the row, with what was held back of its text.
    fn end(
        &mut self,
        mut finish: FinishReason,
        on_event: &mut dyn FnMut(GenerationEvent<'_>),
    ) -> Result<()> {
        if !matches!(finish, FinishReason::StopString(_)) {
            let stop = self.text.end();
            finish = self.decoded(stop)?.map_or(finish, FinishReason::StopString);
        }
        let finish = self.finish.insert(finish);
        on_event(GenerationEvent::Finished { row: self.number, text: self.text.rest(), finish });
        Ok(())
    }

    fn decoded(&self, stop: Stop) -> Result<Option<String>> {
        let (row, step) = (self.number, self.tokens.len().saturating_sub(1));
        Ok(stop.map_err(|source| GenerateError::Decode { row, step, source })?)
    }

    fn into_generated(self) -> Generated {
        // Every row ended, or there is an error instead.
        let finish = self.finish.unwrap_or(FinishReason::Cancelled);
        Generated { tokens: self.tokens, text: self.text.into_text(), finish }
    }
}
