//! Loaded things kept in memory: bounded by bytes, least recently used goes first.

mod error;
mod lease;
mod shared;
mod state;
mod stats;

pub use error::CacheError;
pub use lease::Lease;
pub use stats::CacheStats;

use lease::Token;
use shared::{Evicted, Loading, Patience, Shared};
use state::{Room, Slot, State, Taken};
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// An on-demand cache of loaded things: models, adapters, tokenizers.
///
/// Whoever asks for a key gets a [`Lease`]; the first asker loads. The cache starts no threads:
/// a loader runs on its asker's thread.
///
/// ```
/// use collimate_models::{CacheError, ModelCache};
///
/// let cache: ModelCache<String> = ModelCache::new(1_000);
/// let load = |text: &str| Ok::<_, std::io::Error>(text.to_owned());
///
/// let base = cache.get_or_load("base", 700, || load("weights"))?;
/// assert_eq!(base.len(), 7);
/// // Loaded once: this loader is not called.
/// let again = cache.get_or_load("base", 700, || load("not called"))?;
/// assert_eq!(*again, "weights");
///
/// // A thing in use never makes room for another.
/// let refused = cache.get_or_load("other", 700, || load("other weights"));
/// assert!(matches!(refused, Err(CacheError::Full { in_use: 700, .. })));
///
/// drop((base, again));
/// cache.get_or_load("other", 700, || load("other weights"))?;
/// assert_eq!(cache.keys(), ["other"]);
/// assert_eq!(cache.stats().evictions, 1);
/// # Ok::<(), CacheError<std::io::Error>>(())
/// ```
///
/// # Room
/// A thing's size is stated before it is loaded, and room is made before the loader runs, so
/// that the sizes of all that is loaded, being loaded or being dropped never exceed the capacity.
/// A size that turns out to be wrong is corrected with [`Lease::resize`].
///
/// What nobody holds a lease on is idle. Idle things are evicted in the order in which they
/// became idle, as many as are needed. Where all of them would not be enough, they are evicted
/// all the same, one by one: an adapter may hold the lease on its base model, which then becomes
/// idle too. Values are dropped outside the cache's lock, on the asker's thread, before its loader
/// runs. Their `Drop` may call the cache, but gets [`CacheError::Recursive`] for the thing itself:
/// there are never two under one key.
///
/// # Loading
/// - One load for concurrent askers of a key: the others wait for it.
/// - A failed load is its asker's error alone. Nothing is cached, and the next waiter loads with
///   its own loader. A loader that panics unwinds in its asker; for everyone else it failed.
/// - A loader may ask for other keys, as an adapter's does for its base model. If it asks, itself
///   or through loads that other threads have under way, for what it is loading, it gets
///   [`CacheError::Recursive`] instead of waiting for ever. A cycle through two caches, or through
///   threads that a loader starts and waits for, is not seen.
///
/// Leases may outlive the cache: dropping it drops what is idle, the rest goes with its leases.
pub struct ModelCache<T> {
    shared: Arc<Shared<T>>,
}

impl<T> ModelCache<T> {
    /// An empty cache for things of at most `capacity_bytes` together.
    ///
    /// With a capacity of zero it holds only things of zero bytes.
    #[must_use]
    pub fn new(capacity_bytes: u64) -> Self {
        Self { shared: Arc::new(Shared::new(State::new(capacity_bytes))) }
    }

    /// A lease on what is loaded under `key`; it neither loads nor waits.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Lease<T>> {
        let mut state = self.shared.lock();
        let lease = self.lease_loaded(&mut state, key);
        if lease.is_none() {
            state.counts.misses += 1;
        }
        lease
    }

    /// A lease on what is loaded under `key`, or else on what `load` returns.
    ///
    /// `bytes` is what the thing will take; it is not looked at when the thing is there. If room
    /// cannot be made at once, the call fails; [`get_or_load_wait`](Self::get_or_load_wait) waits.
    ///
    /// # Errors
    /// [`CacheError::Load`] with the loader's error; [`CacheError::TooLarge`] for more bytes than
    /// the capacity; [`CacheError::Full`] if too much is in use; [`CacheError::Recursive`] if a
    /// loader needs what it is loading.
    ///
    /// # Panics
    /// Only where `load`, or the `Drop` of an evicted thing, panics. The cache stays usable.
    pub fn get_or_load<E>(
        &self,
        key: &str,
        bytes: u64,
        load: impl FnOnce() -> Result<T, E>,
    ) -> Result<Lease<T>, CacheError<E>> {
        self.ask(key, bytes, Patience::None, load)
    }

    /// Like [`get_or_load`](Self::get_or_load), but waits for up to `timeout` until enough leases
    /// are dropped.
    ///
    /// The timeout bounds the wait for room, not the load, whoever does it. There is no queue:
    /// of several that wait, the first that finds room takes it.
    ///
    /// ```
    /// use collimate_models::ModelCache;
    /// use std::{convert::Infallible, thread, time::Duration};
    ///
    /// let cache: ModelCache<u8> = ModelCache::new(10);
    /// let first = cache.get_or_load("first", 8, || Ok::<_, Infallible>(1))?;
    /// let second = thread::scope(|scope| {
    ///     scope.spawn(move || drop(first));
    ///     cache.get_or_load_wait("second", 8, Duration::from_secs(60), || Ok(2))
    /// })?;
    /// assert_eq!(*second, 2);
    /// # Ok::<(), collimate_models::CacheError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`get_or_load`](Self::get_or_load); [`CacheError::Full`] after the timeout.
    ///
    /// # Panics
    /// Only where `load`, or the `Drop` of an evicted thing, panics. The cache stays usable.
    pub fn get_or_load_wait<E>(
        &self,
        key: &str,
        bytes: u64,
        timeout: Duration,
        load: impl FnOnce() -> Result<T, E>,
    ) -> Result<Lease<T>, CacheError<E>> {
        // Later than the clock can say: without a deadline.
        let patience = Instant::now().checked_add(timeout).map_or(Patience::Endless, |end| {
            if timeout.is_zero() { Patience::None } else { Patience::Until(end) }
        });
        self.ask(key, bytes, patience, load)
    }

    /// Drops what is loaded under `key`; says whether there was anything.
    ///
    /// There is never more than one thing under a key, so one in use is not replaced: where a
    /// thing can change on disk, let its revision be part of the key.
    ///
    /// # Errors
    /// [`CacheError::InUse`] while a lease is held or the thing is being loaded.
    pub fn remove(&self, key: &str) -> Result<bool, CacheError> {
        let mut state = self.shared.lock();
        let mut taken = Taken::default();
        match state.slots.get(key) {
            None | Some(Slot::Dropping(_)) => return Ok(false),
            Some(Slot::Ready(loaded)) if loaded.leases == 0 => {
                state.take_idle(&Arc::from(key), &mut taken);
            }
            Some(_) => return Err(CacheError::InUse { key: key.to_owned() }),
        }
        state.counts.removals += 1;
        let evicted = self.shared.evicted(&mut state, taken);
        drop(state);
        drop(evicted);
        Ok(true)
    }

    /// Drops everything that is idle, and what becomes idle by that; says how many things.
    pub fn evict_idle(&self) -> usize {
        let mut state = self.shared.lock();
        // What a value's `Drop` loads is newer: without this bound it could go on for ever.
        let newest = state.clock;
        let mut count = 0;
        loop {
            let taken = state.take_all_idle(newest);
            if taken.values.is_empty() {
                return count;
            }
            count += taken.values.len();
            state.counts.evictions += taken.values.len() as u64;
            let evicted = self.shared.evicted(&mut state, taken);
            drop(state);
            drop(evicted);
            state = self.shared.lock();
        }
    }

    /// Keys of what is loaded, sorted.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = {
            let state = self.shared.lock();
            let ready = state.slots.iter().filter(|(_, slot)| matches!(slot, Slot::Ready(_)));
            ready.map(|(key, _)| key.to_string()).collect()
        };
        keys.sort_unstable();
        keys
    }

    /// What the cache holds now, and what it has done so far.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.shared.lock().stats()
    }

    fn ask<E>(
        &self,
        key: &str,
        bytes: u64,
        patience: Patience,
        load: impl FnOnce() -> Result<T, E>,
    ) -> Result<Lease<T>, CacheError<E>> {
        let mut loading = match self.lease_or_reserve(key, bytes, patience) {
            Ok(Answer::Leased(lease)) => return Ok(lease),
            Ok(Answer::Reserved(loading, evicted)) => {
                drop(evicted);
                loading
            }
            Err(refusal) => return Err(refusal),
        };
        match load() {
            Ok(value) => {
                let value = Arc::new(value);
                loading.value = Some(Arc::clone(&value));
                let token = Token::new(&self.shared, &loading.key);
                drop(loading);
                Ok(Lease::new(value, token))
            }
            Err(source) => Err(CacheError::Load { key: key.to_owned(), source }),
        }
    }

    /// Waits until the thing is there, or this thread may load it.
    fn lease_or_reserve<E>(
        &self,
        key: &str,
        bytes: u64,
        patience: Patience,
    ) -> Result<Answer<T>, CacheError<E>> {
        let me = thread::current().id();
        let mut state = self.shared.lock();
        loop {
            if let Some(lease) = self.lease_loaded(&mut state, key) {
                return Ok(Answer::Leased(lease));
            }
            if state.slots.contains_key(key) {
                if let Some(cycle) = state.cycle(key, me) {
                    state.counts.misses += 1;
                    return Err(CacheError::Recursive { key: key.to_owned(), cycle });
                }
                state.starts_waiting(me, key);
                state = self.shared.wait(state);
                state.stops_waiting(me);
                continue;
            }
            if bytes > state.capacity {
                state.counts.misses += 1;
                let (key, capacity) = (key.to_owned(), state.capacity);
                return Err(CacheError::TooLarge { key, bytes, capacity });
            }
            match self.shared.make_room(&mut state, bytes) {
                Room::Made(evicted) => {
                    state.counts.misses += 1;
                    let key = state.begin_load(me, key);
                    let loading = Loading::new(&self.shared, key, bytes, me);
                    return Ok(Answer::Reserved(loading, evicted));
                }
                Room::Perhaps(evicted) => {
                    drop(state);
                    drop(evicted);
                    state = self.shared.lock();
                }
                Room::None => {
                    let (waited, again) = self.shared.wait_for_room(state, patience, me);
                    state = waited;
                    if !again {
                        state.counts.misses += 1;
                        return Err(state.full(key, bytes));
                    }
                }
            }
        }
    }

    fn lease_loaded(&self, state: &mut State<T>, key: &str) -> Option<Lease<T>> {
        let (key, value) = state.lease(key)?;
        state.counts.hits += 1;
        Some(Lease::new(value, Token::new(&self.shared, &key)))
    }
}

impl<T> Drop for ModelCache<T> {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.evict_idle();
    }
}

impl<T> fmt::Debug for ModelCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelCache").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// What an asker gets: the thing, or the right to load it once `Evicted` is dropped.
enum Answer<T> {
    Leased(Lease<T>),
    Reserved(Loading<T>, Option<Evicted<T>>),
}
