//! A model with what it remembers of texts that are continued.

use burn::tensor::{Int, Tensor};

use crate::batch::Batch;
use crate::error::Result;
use crate::generate::NextLogits;
use crate::model::{Cache, Decoder};
use crate::score::read;

/// A model with the keys and values of some texts, so that each token more costs one token.
#[derive(Clone, Debug)]
pub struct Continuation<'d> {
    decoder: &'d Decoder,
    /// Nothing before the first tokens.
    cache: Option<Cache>,
    /// How many places before each text are not part of it: all texts end together.
    filled: Vec<usize>,
    texts: Vec<Vec<u32>>,
}

impl Decoder {
    /// Begins texts that are to be continued.
    pub fn continuation(&self) -> Continuation<'_> {
        Continuation { decoder: self, cache: None, filled: Vec::new(), texts: Vec::new() }
    }
}

impl NextLogits for Continuation<'_> {
    fn next_logits(&mut self, tokens: &[&[u32]]) -> Result<Vec<f32>> {
        let decoder = self.decoder;
        self.texts.resize(tokens.len(), Vec::new());
        let mut turned = false;
        for (text, tokens) in self.texts.iter_mut().zip(tokens) {
            let before = text.len();
            text.extend_from_slice(tokens);
            turned |=
                decoder.config.rotaries.iter().any(|rotary| rotary.turns_all(before, text.len()));
        }
        if turned {
            // What is remembered was turned by other frequencies.
            self.cache = None;
        }
        let batch = match &self.cache {
            None => {
                let batch = Batch::aligned(&self.texts)?;
                let sequence = batch.sequence();
                self.filled = batch.lengths().iter().map(|length| sequence - length).collect();
                batch
            }
            Some(cache) => {
                let ids: Vec<u32> =
                    tokens.iter().filter_map(|tokens| tokens.last()).copied().collect();
                Batch::next(&ids, cache.len(), &self.filled)
            }
        };
        let cache = self.cache.get_or_insert_with(|| Cache::new(decoder, batch.rows()));
        let hidden = decoder.run(&batch, Some(cache), &mut |_| {})?;
        let [_, sequence, _] = hidden.dims();
        read(decoder.head(hidden.narrow(1, sequence - 1, 1)))
    }

    fn keep(&mut self, rows: &[usize]) -> Result<()> {
        self.filled = rows.iter().filter_map(|&row| self.filled.get(row)).copied().collect();
        let mut row = 0..;
        self.texts.retain(|_| row.next().is_some_and(|row| rows.contains(&row)));
        let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let rows = Tensor::<1, Int>::from_data(rows.as_slice(), &self.decoder.device);
        if let Some(cache) = &mut self.cache {
            cache.keep(&rows);
        }
        Ok(())
    }
}
