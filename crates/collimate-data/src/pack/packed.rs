//! Sequences of several rows.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::row::Row;

/// The label of a token that carries no loss, as PyTorch's cross entropy has it.
const NO_LOSS: i64 = -100;

/// One sequence of several rows, without padding.
///
/// A row is a segment: attention must not reach from one segment into another, and positions
/// restart at each, so that a packed row is computed as if it stood alone.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Packed {
    /// Token ids `[sequence]`.
    pub ids: Vec<u32>,
    /// For each token, whether predicting it carries loss `[sequence]`. Never for the first token
    /// of a segment: what stands before it is another row.
    pub trained: Vec<bool>,
    /// The segment of each token `[sequence]`, counted from 1; 0 is left for padding.
    pub segment_ids: Vec<u32>,
    /// The position of each token in its segment `[sequence]`.
    pub positions: Vec<u32>,
    /// The row of each segment.
    pub rows: Vec<usize>,
}

impl Packed {
    /// A sequence of rows with their indices.
    #[must_use]
    pub fn from_rows<'a>(rows: impl IntoIterator<Item = (usize, &'a Row)>) -> Self {
        let mut packed = Self::default();
        for (index, row) in rows {
            packed.push(index, &row.ids, &row.trained);
        }
        packed
    }

    /// Appends a row as a segment; where the mask is shorter than the tokens, the rest carries no
    /// loss. A row without tokens is no segment.
    pub fn push(&mut self, row: usize, ids: &[u32], trained: &[bool]) {
        if ids.is_empty() {
            return;
        }
        self.rows.push(row);
        self.ids.extend_from_slice(ids);
        self.trained.push(false);
        self.trained.extend(trained.iter().copied().skip(1).take(ids.len() - 1));
        self.trained.resize(self.ids.len(), false);
        self.segment_ids.resize(self.ids.len(), self.rows.len() as u32);
        self.positions.extend((0..ids.len()).map(|position| position as u32));
    }

    /// The sequence as a record that other trainers read: `input_ids`, `labels` (the id of a token that
    /// carries loss, else −100), `position_ids` and `segment_ids`, each `[sequence]`.
    ///
    /// ```
    /// use collimate_data::{Packed, Row};
    ///
    /// let rows = [Row::new(vec![5, 6], vec![false, true]), Row::new(vec![7], vec![true])];
    /// let record = Packed::from_rows(rows.iter().enumerate()).into_record();
    /// let expected = r#"{"input_ids":[5,6,7],"labels":[-100,6,-100],"position_ids":[0,1,0],"segment_ids":[1,1,2]}"#;
    /// assert_eq!(serde_json::Value::from(record).to_string(), expected);
    /// ```
    #[must_use]
    pub fn into_record(self) -> Map<String, Value> {
        let labels = self.ids.iter().zip(&self.trained);
        let labels: Vec<i64> =
            labels.map(|(id, trained)| if *trained { i64::from(*id) } else { NO_LOSS }).collect();
        Map::from_iter([
            ("input_ids".to_owned(), self.ids.into()),
            ("labels".to_owned(), labels.into()),
            ("position_ids".to_owned(), self.positions.into()),
            ("segment_ids".to_owned(), self.segment_ids.into()),
        ])
    }

    /// Number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The rows with their indices, each as it was packed; the first token carries no loss.
    #[must_use]
    pub fn unpack(&self) -> Vec<(usize, Row)> {
        let mut start = 0;
        let segments = self.segment_ids.chunk_by(|a, b| a == b);
        let rows = self.rows.iter().zip(segments).map(|(&row, segment)| {
            let range = start..start + segment.len();
            start = range.end;
            let ids = self.ids.get(range.clone()).unwrap_or_default().to_vec();
            let trained = self.trained.get(range).unwrap_or_default().to_vec();
            (row, Row { ids, trained })
        });
        rows.collect()
    }
}

/// Packed sequences of equal length, padded on the right.
///
/// Every array is `[batch, sequence]`, row by row.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PackedBatch {
    /// Number of sequences.
    pub batch: usize,
    /// Tokens of each sequence, with padding.
    pub sequence: usize,
    /// Token ids.
    pub ids: Vec<u32>,
    /// Whether predicting a token carries loss; never for padding.
    pub trained: Vec<bool>,
    /// The segment of each token, counted from 1; 0 for padding.
    pub segment_ids: Vec<u32>,
    /// The position of each token in its segment; 0 for padding.
    pub positions: Vec<u32>,
    /// Tokens of each sequence, without padding `[batch]`.
    pub lengths: Vec<usize>,
    /// The rows of each sequence `[batch]`.
    pub rows: Vec<Vec<usize>>,
}

impl PackedBatch {
    /// Sequences padded with a token to the longest of them, or to `length` if that is longer.
    #[must_use]
    pub fn new<'a>(
        packed: impl IntoIterator<Item = &'a Packed>,
        length: usize,
        pad_id: u32,
    ) -> Self {
        let packed: Vec<&Packed> = packed.into_iter().collect();
        let longest = packed.iter().map(|packed| packed.len()).max().unwrap_or(0);
        let mut batch =
            Self { batch: packed.len(), sequence: longest.max(length), ..Self::default() };
        for (index, packed) in packed.into_iter().enumerate() {
            let end = (index + 1) * batch.sequence;
            batch.ids.extend(&packed.ids);
            batch.ids.resize(end, pad_id);
            batch.trained.extend(&packed.trained);
            batch.trained.resize(end, false);
            batch.segment_ids.extend(&packed.segment_ids);
            batch.segment_ids.resize(end, 0);
            batch.positions.extend(&packed.positions);
            batch.positions.resize(end, 0);
            batch.lengths.push(packed.len());
            batch.rows.push(packed.rows.clone());
        }
        batch
    }
}
