//! Rows that occur more than once.

use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::flag::Flag;
use crate::labels::Labels;
use ndarray::{ArrayView1, ArrayView2};
use rayon::prelude::*;
use serde::Serialize;

/// How many rows repeat an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Duplicates {
    /// Rows that equal an earlier row.
    pub rows: usize,
    /// How many of these equal an earlier row of another class.
    pub across_classes: usize,
}

impl Duplicates {
    /// The flag to write beside a score, if any row is repeated.
    #[must_use]
    pub fn flag(self) -> Option<Flag> {
        (self.rows > 0)
            .then_some(Flag::DuplicateRows { rows: self.rows, across_classes: self.across_classes })
    }
}

/// Counts the rows of `rows`, `[n, d]`, that repeat an earlier one exactly: identical prompts are
/// not independent evidence, and identical prompts with different labels contradict each other.
///
/// ```
/// use collimate_aqi::{Labels, duplicate_rows};
/// use ndarray::array;
/// let rows = array![[1.0_f32], [1.0], [2.0], [1.0]];
/// let found = duplicate_rows(rows.view(), &Labels::new(["a", "a", "b", "b"])?)?;
/// assert_eq!((found.rows, found.across_classes), (2, 1));
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Empty`], [`AqiError::Shape`] if there is not one label for each row.
pub fn duplicate_rows<F: Element>(rows: ArrayView2<'_, F>, labels: &Labels) -> Result<Duplicates> {
    if rows.nrows() == 0 {
        return Err(AqiError::Empty);
    }
    labels.check_len(rows.nrows())?;
    let mut hashes: Vec<(u64, usize)> =
        (0..rows.nrows()).into_par_iter().map(|row| (hash(rows.row(row)), row)).collect();
    hashes.par_sort_unstable();
    let mut found = Duplicates { rows: 0, across_classes: 0 };
    for group in hashes.chunk_by(|a, b| a.0 == b.0).filter(|g| g.len() > 1) {
        // A hash may stand for several rows: each is listed with its class, and with whether it
        // has occurred in another one.
        let mut distinct: Vec<(usize, usize, bool)> = Vec::new();
        for &(_, row) in group {
            let class = labels.codes()[row];
            let known = distinct
                .iter_mut()
                .find(|(first, ..)| bits(rows.row(*first)).eq(bits(rows.row(row))));
            match known {
                Some((_, first_class, several)) => {
                    found.rows += 1;
                    *several |= class != *first_class;
                    found.across_classes += usize::from(*several);
                }
                None => distinct.push((row, class, false)),
            }
        }
    }
    Ok(found)
}

/// The values of a row, without the sign of zero.
fn bits<F: Element>(row: ArrayView1<'_, F>) -> impl Iterator<Item = u64> {
    let values = row.into_iter();
    values.map(|x| (x.to_f64() + 0.0).to_bits())
}

/// Fast and good enough: rows of equal hash are compared.
fn hash<F: Element>(row: ArrayView1<'_, F>) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed =
        bits(row).fold(0, |hash: u64, bits| (hash.rotate_left(23) ^ bits).wrapping_mul(ODD));
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn repeats_are_counted_within_and_across_classes() -> Result<()> {
        let rows = array![[1.0, 2.0], [1.0, 2.0], [0.0, 3.0], [-0.0, 3.0], [1.0, 2.0], [2.0, 1.0]];
        let found = duplicate_rows(rows.view(), &Labels::new([0, 1, 0, 0, 0, 1])?)?;
        assert_eq!((found.rows, found.across_classes), (3, 2));
        assert_eq!(found.flag(), Some(Flag::DuplicateRows { rows: 3, across_classes: 2 }));
        Ok(())
    }

    #[test]
    fn distinct_rows_raise_no_flag() -> Result<()> {
        let rows = Array2::from_shape_fn((500, 3), |(i, j)| (i * 3 + j) as f32);
        let found = duplicate_rows(rows.view(), &Labels::new((0..500).map(|i| i % 2))?)?;
        assert_eq!(found.flag(), None);
        Ok(())
    }
}
