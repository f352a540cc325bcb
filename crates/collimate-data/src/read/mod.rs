//! Records from files, one at a time, in bounded memory.

mod columns;
mod document;
mod footer;
mod format;
mod glob;
mod input;
mod json;
mod lines;
mod open;
mod raw;
mod records;
mod settings;
mod source;
mod stream;
mod table;
mod time;

pub use format::Format;
pub use records::{ReadReport, Records};
pub use settings::{OnError, ReadSettings};
pub use source::Source;

pub(crate) use format::{Compression, endings};
pub(crate) use json::{JsonFault, kind, parse_value};
