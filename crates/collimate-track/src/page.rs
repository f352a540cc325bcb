use serde::{Deserialize, Serialize};

/// Which rows of an answer: at most `limit`, after the first `offset`.
///
/// # Examples
///
/// ```
/// use collimate_track::Page;
///
/// let page = Page::first(50).next();
/// assert_eq!((page.offset, page.limit), (50, 50));
/// assert_eq!(Page::default().limit, 1000);
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Page {
    /// Rows to leave out.
    pub offset: u64,
    /// Most rows to return.
    pub limit: u64,
}

impl Page {
    /// All rows there are.
    pub const ALL: Self = Self::first(u64::MAX);

    /// The first rows.
    pub const fn first(limit: u64) -> Self {
        Self { offset: 0, limit }
    }

    /// As many rows after these.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { offset: self.offset.saturating_add(self.limit), limit: self.limit }
    }

    /// As SQLite takes them; no table has more rows than that.
    pub(crate) fn bounds(self) -> (i64, i64) {
        let bound = |number| i64::try_from(number).unwrap_or(i64::MAX);
        (bound(self.limit), bound(self.offset))
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::first(1000)
    }
}
