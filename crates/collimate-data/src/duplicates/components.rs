//! Sets of connected rows.

/// A forest in which every row points to an earlier one of its component, the first to itself.
pub(super) struct Components {
    parents: Vec<usize>,
}

impl Components {
    /// Rows that point to earlier ones, or to themselves.
    pub(super) fn new(parents: Vec<usize>) -> Self {
        debug_assert!(parents.iter().enumerate().all(|(row, &parent)| parent <= row));
        Self { parents }
    }

    /// The first row of a row's component.
    pub(super) fn root(&self, mut row: usize) -> usize {
        while self.parents[row] != row {
            row = self.parents[row];
        }
        row
    }

    /// Joins two components.
    pub(super) fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root_and_shorten(a), self.root_and_shorten(b));
        self.parents[a.max(b)] = a.min(b);
    }

    /// The first row of every row's component.
    pub(super) fn roots(mut self) -> Vec<usize> {
        for row in 0..self.parents.len() {
            // Parents come earlier, so theirs are roots already.
            self.parents[row] = self.parents[self.parents[row]];
        }
        self.parents
    }

    fn root_and_shorten(&mut self, mut row: usize) -> usize {
        while self.parents[row] != row {
            self.parents[row] = self.parents[self.parents[row]];
            row = self.parents[row];
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_rows_share_the_first_one() {
        let mut components = Components::new((0..8).collect());
        for (a, b) in [(7, 5), (5, 2), (3, 4), (4, 7)] {
            components.join(a, b);
        }
        assert_eq!(components.root(7), 2);
        assert_eq!(components.roots(), [0, 1, 2, 2, 2, 2, 6, 2]);
    }
}
