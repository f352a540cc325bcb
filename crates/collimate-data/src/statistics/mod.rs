//! What a data set looks like: lengths, balance, and the rows that stand out.

mod lengths;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::record::Origin;
use crate::row::Row;

pub use lengths::{LengthBucket, LengthSummary};

/// How many of the longest rows are named.
const LONGEST: usize = 10;

/// How many values of a field are counted by name in the result.
const VALUES: usize = 1000;

/// Counts rows one by one.
///
/// Several can count parts of a data set and be [merged](Self::merge): the result is the same
/// for every division and order.
///
/// ```
/// use collimate_data::{Row, StatisticsBuilder};
///
/// let mut statistics = StatisticsBuilder::default();
/// statistics.add(&Row::new(vec![5, 6, 2], vec![false, true, true]), None);
/// statistics.count("label", "safe");
/// let statistics = statistics.finish();
/// assert_eq!((statistics.rows, statistics.tokens, statistics.trained_tokens), (1, 3, 2));
/// assert_eq!(statistics.balance["label"].counts["safe"], 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatisticsBuilder {
    trained_tokens: u64,
    untrained_rows: u64,
    lengths: BTreeMap<usize, u64>,
    trained: BTreeMap<usize, u64>,
    longest: Vec<(Reverse<usize>, Origin)>,
    fields: BTreeMap<String, BTreeMap<String, u64>>,
}

impl StatisticsBuilder {
    /// Counts a row, and where its record stands if that is known.
    pub fn add(&mut self, row: &Row, origin: Option<&Origin>) {
        self.add_counts(row.len(), row.trained_tokens(), origin);
    }

    /// Counts a row of so many tokens, of which so many carry loss.
    pub fn add_counts(&mut self, tokens: usize, trained: usize, origin: Option<&Origin>) {
        *self.lengths.entry(tokens).or_default() += 1;
        *self.trained.entry(trained).or_default() += 1;
        self.trained_tokens += trained as u64;
        self.untrained_rows += u64::from(trained == 0);
        if let Some(origin) = origin {
            let comes_before =
                |last: &(Reverse<usize>, Origin)| (Reverse(tokens), origin) < (last.0, &last.1);
            if self.longest.len() < LONGEST || self.longest.last().is_some_and(comes_before) {
                self.longest.push((Reverse(tokens), origin.clone()));
                self.keep_longest();
            }
        }
    }

    /// Counts the value that a row has in a field: its label, category, axiom, source, …
    pub fn count(&mut self, field: &str, value: &str) {
        if let Some(count) = self.fields.get_mut(field).and_then(|values| values.get_mut(value)) {
            *count += 1;
        } else {
            let values = self.fields.entry(field.to_owned()).or_default();
            values.insert(value.to_owned(), 1);
        }
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: Self) {
        self.trained_tokens += other.trained_tokens;
        self.untrained_rows += other.untrained_rows;
        for (into, from) in [(&mut self.lengths, other.lengths), (&mut self.trained, other.trained)]
        {
            for (length, rows) in from {
                *into.entry(length).or_default() += rows;
            }
        }
        self.longest.extend(other.longest);
        self.keep_longest();
        for (field, values) in other.fields {
            let into = self.fields.entry(field).or_default();
            for (value, rows) in values {
                *into.entry(value).or_default() += rows;
            }
        }
    }

    /// The statistics of all rows counted.
    #[must_use]
    pub fn finish(self) -> Statistics {
        let rows = self.lengths.values().sum();
        let tokens = self.lengths.iter().map(|(&length, &rows)| length as u64 * rows).sum();
        let longest = self.longest.into_iter();
        Statistics {
            rows,
            tokens,
            trained_tokens: self.trained_tokens,
            trained_share: (tokens > 0).then(|| self.trained_tokens as f64 / tokens as f64),
            untrained_rows: self.untrained_rows,
            lengths: LengthSummary::new(&self.lengths),
            trained_lengths: LengthSummary::new(&self.trained),
            longest: longest
                .map(|(Reverse(tokens), origin)| LongRow { tokens, origin: origin.to_string() })
                .collect(),
            balance: self.fields.into_iter().map(|(field, of)| (field, Balance::new(of))).collect(),
        }
    }

    fn keep_longest(&mut self) {
        self.longest.sort();
        self.longest.truncate(LONGEST);
    }
}

/// What a data set looks like.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Statistics {
    /// Rows.
    pub rows: u64,
    /// Tokens of all rows.
    pub tokens: u64,
    /// Tokens that carry loss.
    pub trained_tokens: u64,
    /// Their share of all tokens; nothing without tokens.
    pub trained_share: Option<f64>,
    /// Rows in which no token carries loss.
    pub untrained_rows: u64,
    /// Tokens of a row.
    pub lengths: LengthSummary,
    /// Tokens of a row that carry loss.
    pub trained_lengths: LengthSummary,
    /// The ten longest rows, the longest first; of equally long ones those that come first.
    pub longest: Vec<LongRow>,
    /// For each counted field, how often its values occur.
    pub balance: BTreeMap<String, Balance>,
}

/// A long row.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LongRow {
    /// Its tokens.
    pub tokens: usize,
    /// Where its record stands.
    pub origin: String,
}

/// How often the values of a field occur.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Balance {
    /// Rows of each value; of the 1000 most frequent where there are more.
    pub counts: BTreeMap<String, u64>,
    /// Number of further values.
    pub other_values: u64,
    /// Rows with one of those.
    pub other_rows: u64,
}

impl Balance {
    fn new(mut counts: BTreeMap<String, u64>) -> Self {
        if counts.len() <= VALUES {
            return Self { counts, ..Self::default() };
        }
        let mut by_count: Vec<(Reverse<u64>, String)> =
            std::mem::take(&mut counts).into_iter().map(|(value, n)| (Reverse(n), value)).collect();
        by_count.sort();
        let others = by_count.split_off(VALUES);
        Self {
            counts: by_count.into_iter().map(|(Reverse(rows), value)| (value, rows)).collect(),
            other_values: others.len() as u64,
            other_rows: others.iter().map(|(Reverse(rows), _)| rows).sum(),
        }
    }
}
