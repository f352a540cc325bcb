//! Packing of rows that come one by one.

use std::collections::VecDeque;

use super::{PackReport, Packed, Packer};
use crate::error::Result;
use crate::row::Row;

/// Packs rows as they come, each into the first open sequence that has room for it (first fit).
/// Made by [`Packer::stream`].
///
/// Where no open sequence has room and no further one may be opened, the fullest is closed.
///
/// ```
/// use collimate_data::{PackConfig, Row};
///
/// let mut packer = PackConfig::default().with_max_length(3).check()?.stream();
/// let row = |ids: &[u32]| Row::new(ids.to_vec(), vec![true; ids.len()]);
/// assert_eq!(packer.push(0, &row(&[1, 2]))?, None);
/// assert_eq!(packer.push(1, &row(&[3, 4]))?, None);
/// let full = packer.push(2, &row(&[5]))?.expect("the first sequence is full");
/// assert_eq!(full.ids, [1, 2, 5]);
/// let (rest, report) = packer.finish();
/// assert_eq!(rest[0].ids, [3, 4]);
/// assert_eq!((report.sequences, report.tokens), (2, 5));
/// # Ok::<(), collimate_data::DataError>(())
/// ```
#[derive(Debug)]
pub struct StreamPacker {
    packer: Packer,
    open: VecDeque<Packed>,
    closed: usize,
    report: PackReport,
}

impl StreamPacker {
    pub(super) fn new(packer: Packer) -> Self {
        let report = PackReport::new(packer.config.max_length);
        Self { packer, open: VecDeque::new(), closed: 0, report }
    }

    /// Packs a row; returns the sequence that was closed by it, if one was.
    ///
    /// # Errors
    /// As [`Packer::plan`].
    pub fn push(&mut self, index: usize, row: &Row) -> Result<Option<Packed>> {
        if !self.packer.admits(index, row.len(), &mut self.report)? {
            return Ok(None);
        }
        let limit = self.packer.config.max_length;
        if row.len() == limit {
            self.closed += 1;
            return Ok(Some(Packed::from_rows([(index, row)])));
        }
        let fits = |packed: &Packed| packed.len() + row.len() <= limit;
        if let Some(place) = self.open.iter().position(fits) {
            self.open[place].push(index, &row.ids, &row.trained);
            let is_full = self.open[place].len() == limit;
            return Ok(if is_full { self.close(place) } else { None });
        }
        let closed = if self.open.len() < self.packer.config.open_sequences {
            None
        } else {
            let by_length = |place: &usize| (self.open[*place].len(), usize::MAX - place);
            (0..self.open.len()).max_by_key(by_length).and_then(|fullest| self.close(fullest))
        };
        self.open.push_back(Packed::from_rows([(index, row)]));
        Ok(closed)
    }

    /// Packs all rows that an iterator gives with their indices.
    ///
    /// ```
    /// use collimate_data::{PackConfig, Row};
    ///
    /// let packer = PackConfig::default().with_max_length(4).check()?.stream();
    /// let rows = (0..5).map(|index| Ok((index, Row::new(vec![1, 2], vec![false, true]))));
    /// let mut sequences = packer.pack(rows);
    /// assert_eq!(sequences.by_ref().count(), 3);
    /// assert_eq!(sequences.report().tokens, 10);
    /// # Ok::<(), collimate_data::DataError>(())
    /// ```
    pub fn pack<I: Iterator<Item = Result<(usize, Row)>>>(self, rows: I) -> PackedSequences<I> {
        PackedSequences { packer: self, rows: Some(rows) }
    }

    /// Closes all sequences.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Packed>, PackReport) {
        self.report.close(self.closed + self.open.len());
        (self.open.into(), self.report)
    }

    /// What packing has come to so far, open sequences included.
    #[must_use]
    pub fn report(&self) -> PackReport {
        let mut report = self.report.clone();
        report.close(self.closed + self.open.len());
        report
    }

    fn close(&mut self, place: usize) -> Option<Packed> {
        let packed = self.open.remove(place)?;
        self.closed += 1;
        Some(packed)
    }
}

/// The sequences of rows that come one by one. Made by [`StreamPacker::pack`]; ends after an error.
#[derive(Debug)]
pub struct PackedSequences<I> {
    packer: StreamPacker,
    /// Nothing once all rows have come.
    rows: Option<I>,
}

impl<I> PackedSequences<I> {
    /// What packing has come to so far.
    #[must_use]
    pub fn report(&self) -> PackReport {
        self.packer.report()
    }
}

impl<I: Iterator<Item = Result<(usize, Row)>>> Iterator for PackedSequences<I> {
    type Item = Result<Packed>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(rows) = &mut self.rows {
            let Some(row) = rows.next() else {
                self.rows = None;
                break;
            };
            match row.and_then(|(index, row)| self.packer.push(index, &row)) {
                Ok(None) => {}
                Ok(Some(packed)) => return Some(Ok(packed)),
                Err(error) => {
                    self.rows = None;
                    self.packer.open.clear();
                    return Some(Err(error));
                }
            }
        }
        self.packer.close(0).map(Ok)
    }
}
