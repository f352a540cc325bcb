use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{DataError, Result};

/// What long work has done so far.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DataEvent {
    /// A file was opened.
    FileOpened {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
    },
    /// Records were made into rows.
    Rows {
        /// Rows so far.
        rows: u64,
        /// Tokens so far.
        tokens: u64,
    },
    /// Prepared rows of an earlier run were found and are used.
    CacheHit {
        /// The file.
        path: PathBuf,
    },
    /// Prepared rows were written.
    CacheWritten {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
    },
}

/// Watches long work, and can stop it.
///
/// Every closure over `&DataEvent` is an observer; `()` ignores everything.
pub trait Observer {
    /// Something was done.
    fn on_event(&mut self, event: &DataEvent);
}

impl Observer for () {
    fn on_event(&mut self, _: &DataEvent) {}
}

impl<F: FnMut(&DataEvent)> Observer for F {
    fn on_event(&mut self, event: &DataEvent) {
        self(event);
    }
}

/// Ends the work with [`DataError::Cancelled`] once the flag is set.
pub(crate) fn check_cancelled(cancelled: &AtomicBool) -> Result<()> {
    if cancelled.load(Ordering::Relaxed) { Err(DataError::Cancelled) } else { Ok(()) }
}
