//! Token ids on their way into a model.

use std::ops::Range;

use crate::config::DecoderConfig;
use crate::error::{LmError, Result};

/// Rows of token ids, of one length: shorter rows are filled up at their end.
///
/// Attention is causal, so that what stands behind a row's tokens changes nothing before it, and needs
/// no mask.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Batch {
    /// `[rows · sequence]`
    ids: Vec<u32>,
    rows: usize,
    sequence: usize,
    positions: Vec<u32>,
    /// The first key that each token sees; every token sees all before it if there are none.
    first: Option<Vec<u32>>,
    /// The tokens of each row.
    lengths: Vec<usize>,
}

impl Batch {
    /// One text a row.
    ///
    /// # Errors
    ///
    /// [`LmError::Batch`]: there is no row, or one without tokens.
    pub fn padded<R: AsRef<[u32]>>(rows: &[R]) -> Result<Self> {
        let lengths: Vec<usize> = rows.iter().map(|row| row.as_ref().len()).collect();
        let sequence = lengths.iter().copied().max().unwrap_or(0);
        if let Some(row) = lengths.iter().position(|&length| length == 0) {
            return Err(LmError::Batch { message: format!("row {row} has no tokens") });
        }
        if rows.is_empty() {
            return Err(LmError::Batch { message: "there are no rows".to_owned() });
        }
        let mut ids = vec![0; rows.len() * sequence];
        for (place, row) in ids.chunks_exact_mut(sequence).zip(rows) {
            place[..row.as_ref().len()].copy_from_slice(row.as_ref());
        }
        // What fills rows up is no part of their texts.
        let position = |at: usize, length: usize| if at < length { at as u32 } else { 0 };
        let positions = lengths
            .iter()
            .flat_map(|&length| (0..sequence).map(move |at| position(at, length)))
            .collect();
        Ok(Self { ids, rows: rows.len(), sequence, positions, first: None, lengths })
    }

    /// Several texts a row, one after the other; none sees another, and each begins at position 0.
    ///
    /// # Errors
    ///
    /// [`LmError::Batch`]: there is no row, or one without tokens, or a text without tokens.
    pub fn packed<T: AsRef<[u32]>>(rows: &[Vec<T>]) -> Result<Self> {
        let joined: Vec<Vec<u32>> = rows
            .iter()
            .map(|row| row.iter().flat_map(|text| text.as_ref().iter().copied()).collect())
            .collect();
        let mut batch = Self::padded(&joined)?;
        let mut first = Vec::with_capacity(batch.ids.len());
        let mut positions = Vec::with_capacity(batch.ids.len());
        for (at, row) in rows.iter().enumerate() {
            let mut begin = 0;
            for text in row {
                let length = text.as_ref().len() as u32;
                if length == 0 {
                    let message = format!("a text of row {at} has no tokens");
                    return Err(LmError::Batch { message });
                }
                positions.extend(0..length);
                first.extend((0..length).map(|_| begin));
                begin += length;
            }
            let filled = batch.sequence as u32 - begin;
            positions.extend(0..filled);
            first.extend((0..filled).map(|_| begin));
        }
        batch.first = Some(first);
        batch.positions = positions;
        Ok(batch)
    }

    /// One text a row, shorter rows filled up at their beginning, so that all end together: how texts
    /// are continued. Filled places see nothing and are not seen.
    ///
    /// # Errors
    ///
    /// As [`padded`](Self::padded).
    pub fn aligned<R: AsRef<[u32]>>(rows: &[R]) -> Result<Self> {
        let mut batch = Self::padded(rows)?;
        let sequence = batch.sequence;
        let mut first = Vec::with_capacity(batch.ids.len());
        let places =
            batch.ids.chunks_exact_mut(sequence).zip(batch.positions.chunks_exact_mut(sequence));
        for (&length, (ids, positions)) in batch.lengths.iter().zip(places) {
            let filled = sequence - length;
            ids.rotate_right(filled);
            for (at, position) in positions.iter_mut().enumerate() {
                *position = at.saturating_sub(filled) as u32;
            }
            first.extend((0..sequence).map(|_| filled as u32));
        }
        if batch.lengths.iter().any(|&length| length < sequence) {
            batch.first = Some(first);
        }
        Ok(batch)
    }

    /// The next token of each row, behind `cached` tokens of which each row's first `filled` are none.
    pub(crate) fn next(ids: &[u32], cached: usize, filled: &[usize]) -> Self {
        let positions = filled.iter().map(|&filled| (cached - filled) as u32).collect();
        let first = filled.iter().map(|&filled| filled as u32).collect();
        let any = filled.iter().any(|&filled| filled > 0);
        Self {
            ids: ids.to_vec(),
            rows: ids.len(),
            sequence: 1,
            positions,
            first: any.then_some(first),
            lengths: vec![1; ids.len()],
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The length of all rows, what fills them up included.
    pub fn sequence(&self) -> usize {
        self.sequence
    }

    /// The tokens of each row, without what fills it up.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Some of its rows, which are there.
    pub(crate) fn part(&self, rows: Range<usize>) -> Self {
        let at = rows.start * self.sequence..rows.end * self.sequence;
        Self {
            ids: self.ids[at.clone()].to_vec(),
            rows: rows.len(),
            sequence: self.sequence,
            positions: self.positions[at.clone()].to_vec(),
            first: self.first.as_ref().map(|first| first[at].to_vec()),
            lengths: self.lengths[rows].to_vec(),
        }
    }

    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }

    pub(crate) fn positions(&self) -> &[u32] {
        &self.positions
    }

    pub(crate) fn first(&self) -> Option<&[u32]> {
        self.first.as_deref()
    }

    /// How long the text of each token is, as far as it is known: `[rows · sequence]`.
    pub(crate) fn text_ends(&self) -> Vec<u32> {
        let mut ends = vec![0; self.ids.len()];
        let rows = ends.chunks_exact_mut(self.sequence);
        for (ends, positions) in rows.zip(self.positions.chunks_exact(self.sequence)) {
            let mut end = 0;
            // From the back: a text ends where its positions do.
            let mut next = 0;
            for (place, &position) in ends.iter_mut().zip(positions).rev() {
                if position + 1 != next {
                    end = position + 1;
                }
                next = position;
                *place = end;
            }
        }
        ends
    }

    /// That every id has a row in the embedding, and every position if positions are learned.
    pub(crate) fn check(&self, config: &DecoderConfig) -> Result<()> {
        let vocabulary = config.vocab_size;
        if let Some(at) = self.ids.iter().position(|&id| id as usize >= vocabulary) {
            let (row, column, id) = (at / self.sequence, at % self.sequence, self.ids[at]);
            return Err(LmError::TokenId { row, position: column, id, vocabulary });
        }
        let limit = config.max_position_embeddings;
        let last = self.positions.iter().copied().max().unwrap_or(0) as usize;
        if config.learned_positions && last >= limit {
            return Err(LmError::TooLong { positions: last + 1, limit });
        }
        Ok(())
    }
}
