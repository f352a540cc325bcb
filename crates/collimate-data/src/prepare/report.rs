use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::Origin;

/// Number of origins that are kept for each reason.
const FIRST: usize = 10;

/// Why a row was left out.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// It has no token that carries loss.
    NothingTrained,
    /// It had some, and all of them were cut off.
    NothingTrainedIsLeft,
    /// It has more tokens than allowed.
    TooLong,
}

/// Rows that were left out for the same reason.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Dropped {
    /// Number of records.
    pub records: u64,
    /// The first ten of them.
    pub first: Vec<String>,
}

/// What became of the records on their way to rows.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PrepareReport {
    /// Records that came in.
    pub records: u64,
    /// Rows that came out; a preference record makes two.
    pub rows: u64,
    /// Tokens of all rows.
    pub tokens: u64,
    /// Tokens that carry loss.
    pub trained_tokens: u64,
    /// Tokens of the longest row.
    pub longest_row: u64,
    /// Rows that were cut.
    pub truncated_rows: u64,
    /// Tokens that were cut off.
    pub tokens_cut: u64,
    /// Those of them that would have carried loss.
    pub trained_tokens_cut: u64,
    /// Records that were left out, by reason.
    pub dropped: BTreeMap<DropReason, Dropped>,
    /// Rows whose text had a special token at its beginning or end that the tokenizer would have
    /// put there a second time.
    pub special_tokens_not_repeated: u64,
    /// Rows in which a token has the end of the prompt and the beginning of the completion: it
    /// carries loss, and a model that is given the prompt alone sees other tokens.
    pub tokens_across_prompt_end: u64,
}

impl PrepareReport {
    /// Number of records that were left out.
    pub fn dropped_records(&self) -> u64 {
        self.dropped.values().map(|dropped| dropped.records).sum()
    }

    pub(super) fn drop_record(&mut self, reason: DropReason, origin: &Origin) {
        let dropped = self.dropped.entry(reason).or_default();
        dropped.records += 1;
        if dropped.first.len() < FIRST {
            dropped.first.push(origin.to_string());
        }
    }

    pub(super) fn add_row(&mut self, row: &super::BuiltRow) {
        let tokens = row.row.len() as u64;
        self.rows += 1;
        self.tokens += tokens;
        self.trained_tokens += row.trained as u64;
        self.longest_row = self.longest_row.max(tokens);
        self.truncated_rows += u64::from(row.cut > 0);
        self.tokens_cut += row.cut as u64;
        self.trained_tokens_cut += row.trained_cut as u64;
        self.special_tokens_not_repeated += u64::from(row.not_repeated);
        self.tokens_across_prompt_end += u64::from(row.across);
    }
}
