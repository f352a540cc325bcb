use std::borrow::Cow;

use collimate_tensors::{Dtype, Tensor, TensorsError};
use serde::Serialize;

use super::update::Update;
use crate::adapter::AdapterTensor;

/// What a merge does to a tensor of the base model.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TensorChange {
    /// It is copied, byte for byte.
    Copied,
    /// It is only written in another type.
    Converted,
    /// Updates are added to it.
    Adapted,
    /// An adapter brings it whole.
    Replaced,
}

/// One tensor of the result.
#[derive(Debug)]
pub(super) struct Output<'a> {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<u64>,
    pub(super) source: Source<'a>,
    pub(super) updates: Vec<Update<'a>>,
}

/// What it begins as.
#[derive(Clone, Debug)]
pub(super) enum Source<'a> {
    Base(Tensor<'a>),
    Adapter(AdapterTensor<'a>),
}

impl Output<'_> {
    pub(super) fn change(&self) -> TensorChange {
        match &self.source {
            _ if !self.updates.is_empty() => TensorChange::Adapted,
            Source::Adapter(_) => TensorChange::Replaced,
            Source::Base(tensor) if tensor.dtype() == self.dtype => TensorChange::Copied,
            Source::Base(_) => TensorChange::Converted,
        }
    }

    /// Whether its bytes are those of its source.
    pub(super) fn is_copy(&self) -> bool {
        self.updates.is_empty() && self.source.dtype() == self.dtype
    }

    /// Rows and columns, with a bias as one row; updated tensors have at most two dimensions.
    pub(super) fn rows_and_columns(&self) -> (u64, u64) {
        match self.shape[..] {
            [rows, columns] => (rows, columns),
            _ => (1, self.shape.iter().product()),
        }
    }
}

impl Source<'_> {
    pub(super) fn dtype(&self) -> Dtype {
        match self {
            Self::Base(tensor) => tensor.dtype(),
            Self::Adapter(tensor) => tensor.dtype(),
        }
    }

    pub(super) fn shape(&self) -> &[u64] {
        match self {
            Self::Base(tensor) => tensor.shape(),
            Self::Adapter(tensor) => tensor.shape(),
        }
    }

    /// Whether its bytes are in memory or mapped, so that having all of them costs nothing.
    pub(super) fn is_mapped(&self) -> bool {
        match self {
            Self::Base(tensor) => !tensor.file().is_pickle(),
            Self::Adapter(_) => true,
        }
    }

    pub(super) fn bytes(&self) -> Result<Cow<'_, [u8]>, TensorsError> {
        match self {
            Self::Base(tensor) => tensor.bytes(),
            Self::Adapter(tensor) => Ok(Cow::Borrowed(tensor.bytes())),
        }
    }
}
