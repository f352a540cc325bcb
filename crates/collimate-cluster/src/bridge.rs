//! Between the ndarray of this workspace and the older one that linfa speaks.

use ndarray::{ArrayView2, CowArray, Ix2};
use ndarray_linfa as linfa_nd;

/// Rows, `[n, d]`, as linfa takes them: borrowed where they lie row after row in memory, copied
/// into that order where they do not.
///
/// ```
/// use collimate_cluster::to_linfa;
/// let rows = ndarray::array![[1.0, 2.0], [3.0, 4.0]];
/// let theirs = to_linfa(rows.view());
/// assert_eq!(theirs.as_ptr(), rows.as_ptr());
/// ```
#[must_use]
pub fn to_linfa<T: Clone>(rows: ArrayView2<'_, T>) -> linfa_nd::CowArray<'_, T, linfa_nd::Ix2> {
    let (n, d) = rows.dim();
    if let Some(slice) = rows.to_slice()
        && let Ok(view) = linfa_nd::ArrayView2::from_shape((n, d), slice)
    {
        return view.into();
    }
    linfa_nd::Array2::from_shape_fn((n, d), |index| rows[index].clone()).into()
}

/// Rows of a linfa dataset, `[n, d]`, as the metrics take them: borrowed where they lie row after
/// row in memory, copied into that order where they do not.
#[must_use]
pub fn from_linfa<T: Clone>(rows: linfa_nd::ArrayView2<'_, T>) -> CowArray<'_, T, Ix2> {
    let (n, d) = rows.dim();
    if let Some(slice) = rows.to_slice()
        && let Ok(view) = ArrayView2::from_shape((n, d), slice)
    {
        return view.into();
    }
    ndarray::Array2::from_shape_fn((n, d), |index| rows[index].clone()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn contiguous_rows_are_borrowed_both_ways() {
        let rows = array![[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let theirs = to_linfa(rows.view());
        assert_eq!(theirs.as_ptr(), rows.as_ptr());
        let back = from_linfa(theirs.view());
        assert_eq!(back.as_ptr(), rows.as_ptr());
        assert_eq!(back, rows);
    }

    #[test]
    fn other_layouts_are_copied_in_logical_order() {
        let rows = array![[1, 2, 3], [4, 5, 6]];
        let theirs = to_linfa(rows.t());
        assert_eq!(theirs.as_slice(), Some(&[1, 4, 2, 5, 3, 6][..]));
        let back = from_linfa(theirs.t());
        assert_eq!(back, rows);
        assert!(back.is_standard_layout());
    }
}
