//! Reading records: every format, encoding and compression, and files that are wrong.

mod files;
mod formats;
mod hostile;
mod parquet;
mod support;
