//! What JSON has no form for: infinities become `"inf"` and `"-inf"`, matrices lists of rows.

use ndarray::Array2;
use serde::Serializer;

/// A float that is never NaN.
pub(crate) fn float<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_infinite() {
        serializer.serialize_str(if *value > 0.0 { "inf" } else { "-inf" })
    } else {
        serializer.serialize_f64(*value)
    }
}

/// A matrix of finite floats.
pub(crate) fn matrix<S: Serializer>(
    matrix: &Array2<f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(matrix.rows().into_iter().map(|row| row.to_vec()))
}
