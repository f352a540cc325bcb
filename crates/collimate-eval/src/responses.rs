//! What a model answers to prompts.

use std::sync::atomic::{AtomicBool, Ordering};

use collimate_data::{ChatTemplate, Message, RenderOptions, Tokenizer};
use collimate_lm::{Decoder, FinishReason, GenerationConfig};
use serde::{Deserialize, Serialize};

use crate::batches::rows_together;
use crate::error::{EvalError, Result};

/// What a model answered.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Response {
    /// What it said, without special tokens.
    pub text: String,
    /// How many tokens it took, the one that ended it included.
    pub tokens: usize,
    /// Whether it came to an end by itself, before it had as many tokens as it may have.
    pub ended: bool,
}

/// The tokens of a prompt that is to be answered: as a user's message in the chat template, or, without
/// one, as a text to go on with.
///
/// # Errors
///
/// [`EvalError::Data`]: the template or the tokenizer can't take it.
pub fn prompt_ids(
    tokenizer: &Tokenizer,
    template: Option<&ChatTemplate>,
    prompt: &str,
) -> Result<Vec<u32>> {
    let (text, special) = asked(template, prompt)?;
    Ok(tokenizer.encode(&text, special)?.ids)
}

/// The text that an answer follows, and whether special tokens are still to be added.
pub(crate) fn asked(template: Option<&ChatTemplate>, prompt: &str) -> Result<(String, bool)> {
    let Some(template) = template else { return Ok((prompt.to_owned(), true)) };
    let mut options = RenderOptions::default();
    options.add_generation_prompt = true;
    Ok((template.render_text(&[Message::new("user", prompt)], &options)?, false))
}

/// The likeliest answers to prompts, given as tokens; at most so many tokens run together, those to be
/// generated included.
///
/// # Errors
///
/// [`EvalError::EmptyText`]: a prompt has no tokens; [`EvalError::Cancelled`]; [`EvalError::Lm`].
pub fn responses(
    decoder: &Decoder,
    tokenizer: &Tokenizer,
    prompts: &[Vec<u32>],
    max_new_tokens: usize,
    batch_tokens: usize,
    cancelled: &AtomicBool,
) -> Result<Vec<Response>> {
    if let Some(text) = prompts.iter().position(Vec::is_empty) {
        return Err(EvalError::EmptyText { text });
    }
    let generator = GenerationConfig::default()
        .with_max_new_tokens(max_new_tokens)
        .with_eos_token_ids(decoder.config().eos_token_ids.clone())
        .check()
        .map_err(collimate_lm::LmError::from)?;
    let decode = |ids: &[u32]| Ok(tokenizer.decode(ids, true)?);
    let lengths: Vec<usize> = prompts.iter().map(|ids| ids.len() + max_new_tokens).collect();
    let mut found: Vec<Option<Response>> = vec![None; prompts.len()];
    for batch in rows_together(&lengths, batch_tokens) {
        let rows: Vec<&[u32]> =
            batch.iter().filter_map(|&row| prompts.get(row)).map(Vec::as_slice).collect();
        let mut model = decoder.continuation();
        let generated = generator.generate(&mut model, &rows, &decode, cancelled, &mut |_| {})?;
        if cancelled.load(Ordering::Relaxed) {
            return Err(EvalError::Cancelled);
        }
        for (row, generated) in batch.into_iter().zip(generated) {
            let response = Response {
                tokens: generated.tokens.len(),
                ended: generated.finish != FinishReason::Length,
                text: generated.text,
            };
            if let Some(place) = found.get_mut(row) {
                *place = Some(response);
            }
        }
    }
    Ok(found.into_iter().flatten().collect())
}
