//! Moments over the last slices of a stream.

use crate::error::{AqiError, Result};
use crate::moments::Moments;

/// The moments of the last `capacity` slices of a stream, for example of the last 24 hours.
///
/// Slices are kept in a queue of two stacks of partial merges, so that a slice costs `O(k · d)`
/// amortized and the oldest leaves without being subtracted: nothing is lost to cancellation,
/// however long the stream. Memory: `capacity · k · d`.
///
/// ```
/// use collimate_aqi::{Labels, Moments, SlidingWindow};
/// use ndarray::array;
/// let labels = Labels::new(["safe", "unsafe"])?;
/// let mut window = SlidingWindow::new(2)?;
/// for hour in [array![[0.0], [5.0]], array![[1.0], [6.0]], array![[2.0], [7.0]]] {
///     window.push(Moments::from_rows(hour.view(), &labels)?)?;
/// }
/// let moments = window.moments()?.expect("three slices were pushed");
/// assert_eq!(moments.mean(0), Some(vec![1.5])); // the first hour has left
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SlidingWindow {
    capacity: usize,
    /// Older slices; each entry holds the merge of its slice and all newer ones of this stack,
    /// the oldest slice on top.
    older: Vec<Moments>,
    /// Newer slices as they came.
    newer: Vec<Moments>,
    /// The merge of `newer`.
    newest: Option<Moments>,
}

impl SlidingWindow {
    /// An empty window over at most `capacity` slices.
    ///
    /// # Errors
    /// [`AqiError::Parameter`] for a capacity of zero.
    pub fn new(capacity: usize) -> Result<Self> {
        if capacity == 0 {
            return Err(AqiError::parameter("capacity", capacity, "at least one slice"));
        }
        Ok(Self { capacity, older: Vec::new(), newer: Vec::new(), newest: None })
    }

    /// Adds the newest slice; when the window is full, the oldest leaves.
    ///
    /// # Errors
    /// [`AqiError::Incompatible`] if dimensions or classes differ from those of the slices in the
    /// window, which then stays as it was.
    pub fn push(&mut self, slice: Moments) -> Result<()> {
        let newest = match (&self.newest, self.older.last()) {
            (Some(newest), _) => {
                let mut newest = newest.clone();
                newest.merge(&slice)?;
                newest
            }
            (None, Some(older)) => {
                older.clone().merge(&slice)?;
                slice.clone()
            }
            (None, None) => slice.clone(),
        };
        self.newest = Some(newest);
        self.newer.push(slice);
        if self.len() > self.capacity {
            self.drop_oldest()?;
        }
        Ok(())
    }

    /// The moments of all slices in the window, or `None` before the first.
    ///
    /// # Errors
    /// As [`Moments::merge`].
    pub fn moments(&self) -> Result<Option<Moments>> {
        match (self.older.last(), &self.newest) {
            (Some(older), Some(newest)) => {
                let mut all = older.clone();
                all.merge(newest)?;
                Ok(Some(all))
            }
            (Some(some), None) | (None, Some(some)) => Ok(Some(some.clone())),
            (None, None) => Ok(None),
        }
    }

    /// Number of slices in the window.
    #[must_use]
    pub fn len(&self) -> usize {
        self.older.len() + self.newer.len()
    }

    /// True before the first slice.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The largest number of slices.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    fn drop_oldest(&mut self) -> Result<()> {
        if self.older.is_empty() {
            self.newest = None;
            while let Some(mut slice) = self.newer.pop() {
                if let Some(following) = self.older.last() {
                    slice.merge(following)?;
                }
                self.older.push(slice);
            }
        }
        self.older.pop();
        Ok(())
    }
}
