//! The lock, the signal, and what is under way on some thread: loading, dropping.

use super::state::{Room, State, Taken};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Instant;

/// How long an asker waits for room.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    None,
    Until(Instant),
    Endless,
}

/// State and signal that a cache and its leases share.
///
/// No foreign code runs under the lock: no loader, no `Drop` of a value.
pub(super) struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<T> Shared<T> {
    pub(super) fn new(state: State<T>) -> Self {
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change; false if the asker should give up instead.
    pub(super) fn wait_for_room<'a>(
        &self,
        state: MutexGuard<'a, State<T>>,
        patience: Patience,
        me: ThreadId,
    ) -> (MutexGuard<'a, State<T>>, bool) {
        match patience {
            // Another thread is just dropping values: their bytes are as good as free. A thread
            // that loads or drops does not wait for it, since another may be waiting for that one.
            Patience::None if state.dropping > 0 && !state.threads.contains_key(&me) => {
                (self.wait(state), true)
            }
            Patience::None => (state, false),
            Patience::Endless => (self.wait(state), true),
            Patience::Until(end) => {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return (state, false);
                }
                let waited = self.changed.wait_timeout(state, left);
                (waited.unwrap_or_else(PoisonError::into_inner).0, true)
            }
        }
    }

    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Takes `bytes` from what is free, evicting what is idle.
    pub(super) fn make_room(
        self: &Arc<Self>,
        state: &mut State<T>,
        bytes: u64,
    ) -> Room<Evicted<T>, Option<Evicted<T>>> {
        match state.make_room(bytes) {
            Room::Made(taken) if taken.values.is_empty() => Room::Made(None),
            Room::Made(taken) => Room::Made(Some(self.evicted(state, taken))),
            Room::Perhaps(taken) => Room::Perhaps(self.evicted(state, taken)),
            Room::None => Room::None,
        }
    }

    /// What has been taken out of the cache, to be dropped once the lock is released.
    pub(super) fn evicted(self: &Arc<Self>, state: &mut State<T>, taken: Taken<T>) -> Evicted<T> {
        let thread = thread::current().id();
        state.begin_drop(thread, &taken.keys);
        let shared = Arc::clone(self);
        let _owed = Owed { shared, keys: taken.keys, bytes: taken.bytes, thread };
        Evicted { _values: taken.values, _owed }
    }
}

/// Values on their way out; must be dropped without holding the lock.
pub(super) struct Evicted<T> {
    // Dropped in this order: keys and bytes are given back when the values are gone, and also when
    // the `Drop` of one panics.
    _values: Vec<Arc<T>>,
    _owed: Owed<T>,
}

/// Keys and bytes of values that are being dropped.
struct Owed<T> {
    shared: Arc<Shared<T>>,
    keys: Vec<Arc<str>>,
    bytes: u64,
    thread: ThreadId,
}

impl<T> Drop for Owed<T> {
    fn drop(&mut self) {
        self.shared.lock().end_drop(self.thread, &self.keys, self.bytes);
        self.shared.notify();
    }
}

/// A load under way: ends, however it ends, when it is dropped.
pub(super) struct Loading<T> {
    shared: Arc<Shared<T>>,
    pub(super) key: Arc<str>,
    bytes: u64,
    thread: ThreadId,
    /// What was loaded; none if the load fails.
    pub(super) value: Option<Arc<T>>,
}

impl<T> Loading<T> {
    pub(super) fn new(
        shared: &Arc<Shared<T>>,
        key: Arc<str>,
        bytes: u64,
        thread: ThreadId,
    ) -> Self {
        Self { shared: Arc::clone(shared), key, bytes, thread, value: None }
    }
}

impl<T> Drop for Loading<T> {
    fn drop(&mut self) {
        let value = self.value.take();
        self.shared.lock().end_load(self.thread, &self.key, self.bytes, value);
        self.shared.notify();
    }
}
