//! Parts of one work that go on at the same time and end together.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use crate::error::{ArtifactError, Result};

/// What parts share: the first that fails stops the others.
#[derive(Debug, Default)]
pub(super) struct Together {
    stop: AtomicBool,
    failed: Mutex<Option<ArtifactError>>,
}

impl Together {
    /// Does a part, which looks at the flag now and then; nothing if it failed or was stopped.
    pub(super) fn part<T>(&self, work: impl FnOnce(&AtomicBool) -> Result<T>) -> Option<T> {
        let error = match work(&self.stop) {
            Ok(done) => return Some(done),
            Err(error) => error,
        };
        if !matches!(error, ArtifactError::Cancelled) {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert(error);
        }
        self.stop();
        None
    }

    /// Stops all parts.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// What failed first, or that all were stopped.
    pub(super) fn error(self) -> ArtifactError {
        let failed = self.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.unwrap_or(ArtifactError::Cancelled)
    }
}

/// Starts parts, each in a thread.
pub(super) struct Parts<'scope, 'env, E> {
    scope: &'scope Scope<'scope, 'env>,
    together: &'scope Together,
    /// What parts have to tell. Every part keeps the channel open until it ends.
    pub(super) events: Sender<E>,
}

impl<'scope, 'env, E: Send + 'scope> Parts<'scope, 'env, E> {
    /// No part yet, and the other end of their channel.
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        together: &'scope Together,
    ) -> (Self, Receiver<E>) {
        let (events, receiver) = mpsc::channel();
        (Self { scope, together, events }, receiver)
    }

    /// Starts a part.
    pub(super) fn spawn<T: Send + 'scope>(
        &self,
        work: impl FnOnce(&AtomicBool) -> Result<T> + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, Option<T>> {
        let (together, open) = (self.together, self.events.clone());
        self.scope.spawn(move || {
            let done = together.part(work);
            drop(open);
            done
        })
    }
}

/// What came of a part.
pub(super) fn join<T>(part: ScopedJoinHandle<'_, Option<T>>) -> Option<T> {
    part.join().unwrap_or_else(|panic| resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::check_cancelled;

    #[test]
    fn what_fails_first_is_reported_and_stops_the_others() {
        let together = Together::default();
        assert_eq!(together.part(|_| Ok(1)), Some(1));
        assert_eq!(together.part(check_cancelled), Some(()));
        let busy = |path: &str| Err::<(), _>(ArtifactError::Busy { path: path.into() });
        assert_eq!(together.part(|_| busy("first")), None);
        assert_eq!(together.part(check_cancelled), None);
        assert_eq!(together.part(|_| busy("second")), None);
        let error = together.error();
        assert!(
            matches!(&error, ArtifactError::Busy { path } if path.ends_with("first")),
            "{error}"
        );
    }

    #[test]
    fn what_was_stopped_was_cancelled() {
        let together = Together::default();
        together.stop();
        assert_eq!(together.part(check_cancelled), None);
        assert!(matches!(together.error(), ArtifactError::Cancelled));
    }
}
