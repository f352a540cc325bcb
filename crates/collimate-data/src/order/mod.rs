//! The order in which an epoch visits rows.

mod stream;

pub(crate) use stream::{Purpose, Stream};

/// The order in which one epoch visits rows: a uniform permutation that the number of rows, the
/// seed and the epoch determine on every machine.
///
/// An iterator over row indices. [`resume`](Self::resume) continues at a position at once, so an
/// interrupted epoch goes on where it stopped.
///
/// ```
/// use collimate_data::EpochOrder;
///
/// let whole: Vec<usize> = EpochOrder::new(100, 42, 0).collect();
/// let mut first = EpochOrder::new(100, 42, 0);
/// let mut seen: Vec<usize> = first.by_ref().take(30).collect();
/// let position = first.position();
/// seen.extend(EpochOrder::new(100, 42, 0).resume(position));
/// assert_eq!(seen, whole);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EpochOrder {
    rows: Vec<usize>,
    position: usize,
}

impl EpochOrder {
    /// The order of `rows` rows in an epoch; epochs are counted from 0.
    #[must_use]
    pub fn new(rows: usize, seed: u64, epoch: u32) -> Self {
        let mut rows: Vec<usize> = (0..rows).collect();
        Stream::new(seed, Purpose::Order, epoch).shuffle(&mut rows);
        Self { rows, position: 0 }
    }

    /// The order of the file: no shuffling.
    #[must_use]
    pub fn sequential(rows: usize) -> Self {
        Self { rows: (0..rows).collect(), position: 0 }
    }

    /// Goes on at a position: rows that were visited already. A position behind the last row ends
    /// the epoch.
    #[must_use]
    pub fn resume(mut self, position: usize) -> Self {
        self.position = position.min(self.rows.len());
        self
    }

    /// Rows visited so far; what [`resume`](Self::resume) takes.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// All rows in their order, visited or not.
    #[must_use]
    pub fn as_slice(&self) -> &[usize] {
        &self.rows
    }
}

impl Iterator for EpochOrder {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let row = self.rows.get(self.position).copied()?;
        self.position += 1;
        Some(row)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rows.len() - self.position;
        (left, Some(left))
    }

    fn nth(&mut self, n: usize) -> Option<usize> {
        self.position = self.position.saturating_add(n).min(self.rows.len());
        self.next()
    }
}

impl ExactSizeIterator for EpochOrder {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_visits_every_row_once_and_epochs_differ() {
        let order = |seed, epoch| EpochOrder::new(1000, seed, epoch).collect::<Vec<_>>();
        let mut rows = order(42, 0);
        assert_ne!(rows, order(42, 1));
        assert_ne!(rows, order(43, 0));
        rows.sort_unstable();
        assert_eq!(rows, (0..1000).collect::<Vec<_>>());
    }

    /// The same on every machine: written down when this was first run.
    #[test]
    fn the_order_is_the_one_that_was_written_down() {
        assert_eq!(EpochOrder::new(10, 42, 0).as_slice(), [8, 7, 0, 4, 9, 5, 1, 2, 6, 3]);
        assert_eq!(EpochOrder::new(10, 42, 1).as_slice(), [4, 3, 1, 7, 6, 8, 9, 2, 0, 5]);
    }

    #[test]
    fn a_position_behind_the_last_row_ends_the_epoch() {
        assert_eq!(EpochOrder::new(3, 1, 0).resume(usize::MAX).next(), None);
        assert_eq!(EpochOrder::new(0, 1, 0).next(), None);
        let mut order = EpochOrder::sequential(4);
        assert_eq!((order.nth(1), order.position(), order.len()), (Some(1), 2, 2));
        assert_eq!(order.nth(usize::MAX), None);
    }
}
