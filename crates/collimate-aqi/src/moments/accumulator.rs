//! Moments of rows that arrive one at a time or in pieces.

use super::Moments;
use super::chunk::{CHUNK_ROWS, lane_moments};
use crate::element::Element;
use crate::error::{AqiError, Result};
use ndarray::ArrayView2;

/// Collects [`Moments`] from a stream of rows of unknown length.
///
/// Rows are buffered to the same chunks of 256 and merged in the same tree as
/// [`Moments::from_rows`] uses, so that both give the same bytes. Memory: one chunk, and
/// `O(k · d · log n)` for the branches of the tree that wait for their other half.
///
/// ```
/// use collimate_aqi::Accumulator;
/// let mut stream = Accumulator::<f32>::new(["safe", "unsafe"], 2)?;
/// stream.push(&[0.0, 1.0], 0)?;
/// stream.extend([([4.0, 5.0], 1), ([5.0, 5.0], 1)])?;
/// assert_eq!(stream.finish()?.counts(), [1, 2]);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Accumulator<F: Element> {
    names: Vec<String>,
    dim: usize,
    buffer: Vec<F::Lane>,
    codes: Vec<usize>,
    rows_done: usize,
    /// Complete subtrees, each with the logarithm of its number of chunks, largest first.
    subtrees: Vec<(u32, Moments)>,
}

impl<F: Element> Accumulator<F> {
    /// An empty stream of rows in `dim` dimensions that belong to `classes`.
    ///
    /// # Errors
    /// [`AqiError::ZeroDim`] for no dimension, [`AqiError::Empty`] for no class.
    pub fn new<S: AsRef<str>>(classes: impl IntoIterator<Item = S>, dim: usize) -> Result<Self> {
        let names: Vec<String> = classes.into_iter().map(|name| name.as_ref().to_owned()).collect();
        let empty = Moments::empty(names, dim)?;
        Ok(Self {
            names: empty.names,
            dim,
            buffer: Vec::new(),
            codes: Vec::with_capacity(CHUNK_ROWS),
            rows_done: 0,
            subtrees: Vec::new(),
        })
    }

    /// Adds one row of the class with index `class`.
    ///
    /// # Errors
    /// [`AqiError::Shape`] for a row of another length or a class index that does not exist;
    /// [`AqiError::NonFinite`] when the chunk that is completed holds a NaN or an infinity.
    pub fn push(&mut self, row: &[F], class: usize) -> Result<()> {
        if row.len() != self.dim {
            return Err(AqiError::Shape {
                what: "columns of a row",
                expected: self.dim,
                found: row.len(),
            });
        }
        if class >= self.names.len() {
            return Err(AqiError::Shape {
                what: "index of a class, below the number of classes",
                expected: self.names.len(),
                found: class,
            });
        }
        F::extend_lanes(row, &mut self.buffer);
        self.codes.push(class);
        if self.codes.len() == CHUNK_ROWS { self.close_chunk() } else { Ok(()) }
    }

    /// Adds the rows of a piece, `[n, d]`, with one class index for each.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_rows(&mut self, rows: ArrayView2<'_, F>, classes: &[usize]) -> Result<()> {
        if rows.nrows() != classes.len() {
            return Err(AqiError::Shape {
                what: "class indices",
                expected: rows.nrows(),
                found: classes.len(),
            });
        }
        for (row, &class) in rows.rows().into_iter().zip(classes) {
            match row.as_slice() {
                Some(row) => self.push(row, class)?,
                None => self.push(&row.to_vec(), class)?,
            }
        }
        Ok(())
    }

    /// Adds rows from an iterator, each with its class index.
    ///
    /// # Errors
    /// As [`push`](Self::push); the rows before the one that failed have been added.
    pub fn extend<R: AsRef<[F]>>(
        &mut self,
        rows: impl IntoIterator<Item = (R, usize)>,
    ) -> Result<()> {
        rows.into_iter().try_for_each(|(row, class)| self.push(row.as_ref(), class))
    }

    fn close_chunk(&mut self) -> Result<()> {
        let rows: Vec<&[F::Lane]> = self.buffer.chunks_exact(self.dim).collect();
        let chunk = lane_moments(&rows, &self.codes, None, &self.names, self.dim, self.rows_done)?;
        self.rows_done += self.codes.len();
        self.buffer.clear();
        self.codes.clear();
        let (mut level, mut merged) = (0, chunk);
        while let Some((_, mut left)) = self.subtrees.pop_if(|(other, _)| *other == level) {
            left.absorb(&merged);
            (level, merged) = (level + 1, left);
        }
        self.subtrees.push((level, merged));
        Ok(())
    }

    /// The moments of all rows so far.
    ///
    /// # Errors
    /// [`AqiError::NonFinite`] if the last, incomplete chunk holds a NaN or an infinity.
    pub fn finish(mut self) -> Result<Moments> {
        if !self.codes.is_empty() {
            self.close_chunk()?;
        }
        let mut subtrees = self.subtrees.into_iter().rev().map(|(_, moments)| moments);
        let Some(last) = subtrees.next() else {
            return Ok(Moments::zero(self.names, self.dim));
        };
        Ok(subtrees.fold(last, |right, mut left| {
            left.absorb(&right);
            left
        }))
    }
}
