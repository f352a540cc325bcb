//! Counts over the files of one model.

use std::collections::BTreeMap;

use super::{CountedFrom, WeightFile, WeightFormat, Weights};

/// Counts that grow with each file. No sum of what files claim wraps around: it stops at the largest
/// number there is.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) files: Vec<WeightFile>,
    pub(super) tensors: u64,
    pub(super) parameters: u64,
    pub(super) bytes: u64,
    pub(super) dtypes: BTreeMap<&'static str, u64>,
    /// Files whose tensors were counted.
    pub(super) counted: usize,
    /// Files that are missing or whose tensors could not be counted.
    pub(super) uncounted: usize,
}

impl Tally {
    pub(super) fn add_elements(&mut self, dtype: &'static str, elements: u64) {
        self.parameters = self.parameters.saturating_add(elements);
        let count = self.dtypes.entry(dtype).or_default();
        *count = count.saturating_add(elements);
    }

    pub(super) fn add_bytes(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// The weights; nothing where no file could be counted.
    pub(super) fn finish(mut self, format: WeightFormat) -> Option<Weights> {
        if self.counted == 0 {
            return None;
        }
        self.files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Some(Weights {
            format,
            files: self.files,
            tensors: self.tensors,
            parameters: self.parameters,
            bytes: self.bytes,
            dtypes: self
                .dtypes
                .into_iter()
                .map(|(dtype, count)| (dtype.to_owned(), count))
                .collect(),
            counted_from: match self.uncounted {
                0 => CountedFrom::Headers,
                _ => CountedFrom::Partial,
            },
        })
    }
}
