use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{ArtifactError, Result};

/// What long work has done so far.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ArtifactEvent {
    /// What a run before this one left behind was removed.
    LeftoverRemoved {
        /// The folder.
        path: PathBuf,
    },
    /// What a run before this one had moved aside is in its place again.
    PutBack {
        /// The folder.
        path: PathBuf,
    },
    /// A file was copied or written.
    FileWritten {
        /// Its path in the folder that is made.
        file: PathBuf,
        /// Its size in bytes.
        bytes: u64,
    },
    /// Tensors were merged and written.
    Merged {
        /// Bytes of tensors so far.
        bytes: u64,
        /// Bytes of all tensors.
        of: u64,
    },
    /// A file of what was made was checked.
    FileVerified {
        /// Its path in the folder.
        file: PathBuf,
    },
    /// The folder is in its place, complete.
    Published {
        /// The folder.
        path: PathBuf,
    },
}

/// Watches long work.
///
/// Every closure over `&ArtifactEvent` is an observer; `()` ignores everything.
pub trait Observer {
    /// Something was done.
    fn on_event(&mut self, event: &ArtifactEvent);
}

impl Observer for () {
    fn on_event(&mut self, _: &ArtifactEvent) {}
}

impl<F: FnMut(&ArtifactEvent)> Observer for F {
    fn on_event(&mut self, event: &ArtifactEvent) {
        self(event);
    }
}

/// Ends the work with [`ArtifactError::Cancelled`] once the flag is set.
#[allow(dead_code, reason = "the modules that call it are being written")]
pub(crate) fn check_cancelled(cancelled: &AtomicBool) -> Result<()> {
    if cancelled.load(Ordering::Relaxed) { Err(ArtifactError::Cancelled) } else { Ok(()) }
}
