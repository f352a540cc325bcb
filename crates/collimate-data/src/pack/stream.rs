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
        self.closed += 1;
        self.open.remove(place)
    }
}
