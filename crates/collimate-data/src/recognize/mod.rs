//! What the records of a data set mean.

mod convert;
mod form;
mod mapping;
mod recognizer;
mod transcript;
mod turns;

pub use form::{RecordForm, RecordKind};
pub use mapping::{Column, ColumnMapping};
pub use recognizer::{Recognition, Recognizer};
