//! The right to use a loaded thing.

use super::error::CacheError;
use super::shared::Shared;
use super::state::{Room, Taken};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A loaded thing in use: while any lease on it lives, it stays in its [`ModelCache`].
///
/// It dereferences to the thing. A clone shares the lease; both cloning and dropping take
/// constant time. A lease may be kept inside of another cached thing, as an adapter keeps the one
/// on its base model, and may be sent to other threads.
///
/// What it can do beside that are associated functions, so that they hide no method of the thing:
///
/// ```
/// use collimate_models::{Lease, ModelCache};
/// # use std::convert::Infallible;
/// let cache = ModelCache::new(100);
/// let lease = cache.get_or_load("tokenizer", 60, || Ok::<_, Infallible>(vec!["<s>", "</s>"]))?;
/// assert_eq!(lease.len(), 2);
/// assert_eq!(Lease::key(&lease), "tokenizer");
/// # Ok::<(), collimate_models::CacheError>(())
/// ```
///
/// [`ModelCache`]: super::ModelCache
pub struct Lease<T> {
    // Dropped in this order: when the last token says that the thing is idle, the cache's own
    // reference is the only one left, so that evicting it really drops it.
    value: Arc<T>,
    token: Arc<Token<T>>,
}

impl<T> Lease<T> {
    pub(super) fn new(value: Arc<T>, token: Token<T>) -> Self {
        Self { value, token: Arc::new(token) }
    }

    /// The key that the thing was loaded under.
    #[must_use]
    pub fn key(lease: &Self) -> &str {
        &lease.token.key
    }

    /// The bytes that the thing counts for.
    #[must_use]
    pub fn bytes(lease: &Self) -> u64 {
        lease.token.shared.lock().leased_bytes(&lease.token.key)
    }

    /// Corrects the bytes that the thing counts for, once they are known better.
    ///
    /// Fewer are given back. More need room, which is made as for a load; without room the thing
    /// stays usable and counts for what it did before.
    ///
    /// ```
    /// use collimate_models::{CacheError, Lease, ModelCache};
    /// # use std::convert::Infallible;
    /// let cache = ModelCache::new(100);
    /// let lease = cache.get_or_load("base", 60, || Ok::<_, Infallible>("weights"))?;
    /// Lease::resize(&lease, 50)?;
    /// assert_eq!(cache.stats().bytes, 50);
    /// assert!(matches!(Lease::resize(&lease, 101), Err(CacheError::TooLarge { .. })));
    /// assert_eq!(Lease::bytes(&lease), 50);
    /// # Ok::<(), CacheError>(())
    /// ```
    ///
    /// # Errors
    /// [`CacheError::TooLarge`] for more bytes than the capacity; [`CacheError::Full`] if too much
    /// else is in use.
    ///
    /// # Panics
    /// Only where the `Drop` of an evicted thing panics.
    pub fn resize(lease: &Self, bytes: u64) -> Result<(), CacheError> {
        let Token { shared, key } = &*lease.token;
        loop {
            let mut state = shared.lock();
            if bytes > state.capacity {
                let (key, capacity) = (key.to_string(), state.capacity);
                return Err(CacheError::TooLarge { key, bytes, capacity });
            }
            let held = state.leased_bytes(key);
            if bytes <= held {
                state.set_leased_bytes(key, bytes);
                state.bytes -= held - bytes;
                shared.notify();
                return Ok(());
            }
            match shared.make_room(&mut state, bytes - held) {
                Room::Made(evicted) => {
                    state.set_leased_bytes(key, bytes);
                    drop(state);
                    drop(evicted);
                    return Ok(());
                }
                Room::Perhaps(evicted) => {
                    drop(state);
                    drop(evicted);
                }
                Room::None => return Err(state.full(key, bytes - held)),
            }
        }
    }
}

impl<T> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Clone for Lease<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), token: Arc::clone(&self.token) }
    }
}

impl<T> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("key", &self.token.key).finish_non_exhaustive()
    }
}

/// One count in the thing's number of leases, given back on drop.
pub(super) struct Token<T> {
    shared: Arc<Shared<T>>,
    key: Arc<str>,
}

impl<T> Token<T> {
    /// The count itself is taken by the caller.
    pub(super) fn new(shared: &Arc<Shared<T>>, key: &Arc<str>) -> Self {
        Self { shared: Arc::clone(shared), key: Arc::clone(key) }
    }
}

impl<T> Drop for Token<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if !state.release(&self.key) {
            return;
        }
        // After the cache is gone, nobody could ask for it again.
        let orphan = state.closed.then(|| {
            let mut taken = Taken::default();
            state.take_idle(&self.key, &mut taken);
            self.shared.evicted(&mut state, taken)
        });
        drop(state);
        self.shared.notify();
        drop(orphan);
    }
}
