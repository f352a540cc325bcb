//! Sets of connected rows.

/// What rows are numbered with.
pub(super) trait Number: Copy + Ord {
    fn index(self) -> usize;
}

impl Number for usize {
    fn index(self) -> usize {
        self
    }
}

impl Number for u32 {
    fn index(self) -> usize {
        self as usize
    }
}

/// A forest in which every row points to an earlier one of its component, the first to itself.
pub(super) struct Components<N> {
    parents: Vec<N>,
}

impl<N: Number> Components<N> {
    /// Rows that point to earlier ones, or to themselves.
    pub(super) fn new(parents: Vec<N>) -> Self {
        debug_assert!(parents.iter().enumerate().all(|(row, parent)| parent.index() <= row));
        Self { parents }
    }

    /// The first row of a row's component.
    pub(super) fn root(&self, mut row: N) -> N {
        while self.parents[row.index()] != row {
            row = self.parents[row.index()];
        }
        row
    }

    /// Joins two components.
    pub(super) fn join(&mut self, a: N, b: N) {
        let (a, b) = (self.root_and_shorten(a), self.root_and_shorten(b));
        self.parents[a.max(b).index()] = a.min(b);
    }

    /// The first row of every row's component.
    pub(super) fn roots(mut self) -> Vec<N> {
        for row in 0..self.parents.len() {
            // Parents come earlier, so theirs are roots already.
            self.parents[row] = self.parents[self.parents[row].index()];
        }
        self.parents
    }

    fn root_and_shorten(&mut self, mut row: N) -> N {
        while self.parents[row.index()] != row {
            let parent = self.parents[row.index()];
            self.parents[row.index()] = self.parents[parent.index()];
            row = self.parents[row.index()];
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_rows_share_the_first_one() {
        let mut components = Components::<u32>::new((0..8).collect());
        for (a, b) in [(7, 5), (5, 2), (3, 4), (4, 7)] {
            components.join(a, b);
        }
        assert_eq!(components.root(7), 2);
        assert_eq!(components.roots(), [0, 1, 2, 2, 2, 2, 6, 2]);
    }
}
