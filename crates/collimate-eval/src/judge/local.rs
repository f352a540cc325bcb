//! A judge on this machine.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::DType;
use burn::tensor::activation::log_softmax;
use collimate_data::{ChatTemplate, Tokenizer};
use collimate_lm::{Batch, Decoder, GenerationConfig};

use super::Judge;
use crate::error::{EvalError, Result};
use crate::responses::{asked, prompt_ids};

/// A model of `collimate-lm` that rates, through its chat template if it has one.
pub struct LocalJudge<'a> {
    name: String,
    decoder: &'a Decoder,
    tokenizer: &'a Tokenizer,
    template: Option<&'a ChatTemplate>,
    cancelled: &'a AtomicBool,
}

impl<'a> LocalJudge<'a> {
    /// A judge of this name; without a template it goes on with the text that it is given.
    pub fn new(
        name: impl Into<String>,
        decoder: &'a Decoder,
        tokenizer: &'a Tokenizer,
        template: Option<&'a ChatTemplate>,
        cancelled: &'a AtomicBool,
    ) -> Self {
        Self { name: name.into(), decoder, tokenizer, template, cancelled }
    }

    fn failed(&self, error: impl std::fmt::Display) -> EvalError {
        EvalError::Judge { judge: self.name.clone(), message: error.to_string() }
    }
}

impl Judge for LocalJudge<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn say(&mut self, prompt: &str, most_tokens: usize, seed: Option<u64>) -> Result<String> {
        let ids = prompt_ids(self.tokenizer, self.template, prompt)?;
        let config = GenerationConfig::default()
            .with_max_new_tokens(most_tokens)
            .with_do_sample(seed.is_some())
            .with_temperature(1.0)
            .with_seed(seed.unwrap_or(0))
            .with_eos_token_ids(self.decoder.config().eos_token_ids.clone());
        let generator = config.check().map_err(|error| self.failed(error))?;
        let decode = |ids: &[u32]| Ok(self.tokenizer.decode(ids, true)?);
        let mut model = self.decoder.continuation();
        let found = generator.generate(&mut model, &[&ids], &decode, self.cancelled, &mut |_| {});
        let mut found = found.map_err(|error| self.failed(error))?;
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(EvalError::Cancelled);
        }
        Ok(found.pop().map(|found| found.text).unwrap_or_default())
    }

    /// Texts are tokenized with what they follow, as they would be written; what all of them have in
    /// common is given, the rest is what they are weighed by.
    fn probabilities(&mut self, prompt: &str, answers: &[String]) -> Result<Option<Vec<f64>>> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(EvalError::Cancelled);
        }
        let (text, special) = asked(self.template, prompt)?;
        // A model that goes on with a text puts a space before a word.
        let space =
            if self.template.is_none() && !text.ends_with(char::is_whitespace) { " " } else { "" };
        let texts: Vec<String> =
            answers.iter().map(|answer| format!("{text}{space}{answer}")).collect();
        let rows: Vec<Vec<u32>> =
            self.tokenizer.encode_batch(&texts, special)?.into_iter().map(|row| row.ids).collect();
        let Some((first, others)) = rows.split_first() else { return Ok(Some(Vec::new())) };
        let common = |other: &Vec<u32>| {
            first.iter().zip(other).take_while(|(one, other)| one == other).count()
        };
        let common = others.iter().map(common).min().unwrap_or(0);
        if common == 0 || rows.iter().any(|row| row.len() == common) {
            return Err(self.failed(format_args!("tokens don't tell {answers:?} apart")));
        }
        // One token tells each from the others, as is the rule: one row says all.
        if let Some(prefix) = first.get(..common)
            && rows.iter().all(|row| row.len() == common + 1)
        {
            let logits = self.decoder.logits_at(&Batch::padded(&[prefix])?, &[(0, common - 1)])?;
            let logits = log_softmax(logits.cast(DType::F32), 1).into_data();
            let logits = logits.try_into_vec::<f32>().map_err(EvalError::device)?;
            let of_row =
                |row: &Vec<u32>| Some(f64::from(*logits.get(*row.last()? as usize)?).exp());
            return Ok(rows.iter().map(of_row).collect());
        }
        let log_probs = self.decoder.log_probs(&Batch::padded(&rows)?)?;
        // The first of them is of the second token.
        let of_answer = |log_probs: Vec<f32>| {
            log_probs.into_iter().skip(common - 1).map(f64::from).sum::<f64>().exp()
        };
        Ok(Some(log_probs.into_iter().map(of_answer).collect()))
    }
}
