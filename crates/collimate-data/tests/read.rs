//! Reading records: every format, encoding and compression, and files that are wrong.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod read {
    mod files;
    mod formats;
    mod hostile;
    mod parquet;
    mod support;
}
