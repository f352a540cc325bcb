use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::error::HubError;

/// Says to all threads of one fetch when to stop.
pub(super) struct Stop<'a> {
    cancelled: &'a AtomicBool,
    failed: AtomicBool,
}

impl<'a> Stop<'a> {
    pub(super) fn new(cancelled: &'a AtomicBool) -> Self {
        Self { cancelled, failed: AtomicBool::new(false) }
    }

    pub(super) fn is_set(&self) -> bool {
        self.failed.load(Ordering::Relaxed) || self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn check(&self) -> Result<(), HubError> {
        if self.is_set() { Err(HubError::Cancelled) } else { Ok(()) }
    }

    /// Another thread has failed: what this one does is no longer needed.
    pub(super) fn set(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    pub(super) fn sleep(&self, duration: Duration) -> Result<(), HubError> {
        let until = Instant::now() + duration;
        loop {
            self.check()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}
