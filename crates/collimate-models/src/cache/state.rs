//! What is in the cache and who does what: plain bookkeeping, without waiting or foreign code.

use super::error::CacheError;
use super::stats::CacheStats;
use std::collections::HashMap;
use std::sync::Arc;
use std::thread::ThreadId;

pub(super) struct State<T> {
    pub(super) capacity: u64,
    /// Bytes of what is loaded, being loaded or being dropped; never more than `capacity`.
    pub(super) bytes: u64,
    idle_bytes: u64,
    /// Counts what happened, to order it in time.
    pub(super) clock: u64,
    pub(super) slots: HashMap<Arc<str>, Slot<T>>,
    /// Threads that load, drop or wait for either.
    pub(super) threads: HashMap<ThreadId, Activity>,
    /// Drops of evicted values under way.
    pub(super) dropping: usize,
    /// The counters of the statistics; its other fields are filled in when asked for.
    pub(super) counts: CacheStats,
    /// The cache is gone, leases are left.
    pub(super) closed: bool,
}

pub(super) enum Slot<T> {
    Loading(ThreadId),
    Ready(Ready<T>),
    /// Out of reach; gone when its `Drop` is done.
    Dropping(ThreadId),
}

pub(super) struct Ready<T> {
    value: Arc<T>,
    bytes: u64,
    pub(super) leases: usize,
    loaded_at: u64,
    idle_since: u64,
}

#[derive(Default)]
pub(super) struct Activity {
    /// Keys being loaded, the innermost last.
    loading: Vec<Arc<str>>,
    waits_for: Option<Arc<str>>,
    drops: usize,
}

/// Values taken out of the cache, and the bytes to give back when they are dropped.
pub(super) struct Taken<T> {
    pub(super) values: Vec<Arc<T>>,
    pub(super) keys: Vec<Arc<str>>,
    pub(super) bytes: u64,
}

/// Whether there is room.
pub(super) enum Room<Perhaps, Made = Perhaps> {
    /// Yes, and it is reserved, to be used when the values are dropped.
    Made(Made),
    /// Not yet: see again when the values are dropped, they may have held leases.
    Perhaps(Perhaps),
    /// No: nothing is idle.
    None,
}

impl<T> State<T> {
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            capacity,
            bytes: 0,
            idle_bytes: 0,
            clock: 0,
            slots: HashMap::new(),
            threads: HashMap::new(),
            dropping: 0,
            counts: CacheStats::default(),
            closed: false,
        }
    }

    /// Counts one more lease on what is loaded under `key`.
    pub(super) fn lease(&mut self, key: &str) -> Option<(Arc<str>, Arc<T>)> {
        let key = Arc::clone(self.slots.get_key_value(key)?.0);
        let Some(Slot::Ready(ready)) = self.slots.get_mut(&key) else { return None };
        if ready.leases == 0 {
            self.idle_bytes -= ready.bytes;
        }
        ready.leases += 1;
        Some((key, Arc::clone(&ready.value)))
    }

    /// Counts one lease less; true if that was the last.
    pub(super) fn release(&mut self, key: &str) -> bool {
        let now = self.tick();
        let Some(Slot::Ready(ready)) = self.slots.get_mut(key) else { return false };
        ready.leases -= 1;
        if ready.leases > 0 {
            return false;
        }
        ready.idle_since = now;
        self.idle_bytes += ready.bytes;
        true
    }

    /// Bytes of a thing that the caller holds a lease on.
    pub(super) fn leased_bytes(&self, key: &str) -> u64 {
        match self.slots.get(key) {
            Some(Slot::Ready(ready)) => ready.bytes,
            _ => 0,
        }
    }

    /// Notes another size of a thing that the caller holds a lease on.
    pub(super) fn set_leased_bytes(&mut self, key: &str, bytes: u64) {
        if let Some(Slot::Ready(ready)) = self.slots.get_mut(key) {
            ready.bytes = bytes;
        }
    }

    /// Reserves `bytes`, which must not exceed the capacity, in place of what is idle.
    ///
    /// Bytes of the values taken stay counted until these are dropped, but for those that the
    /// reservation takes over.
    pub(super) fn make_room(&mut self, bytes: u64) -> Room<Taken<T>> {
        let free = self.capacity - self.bytes;
        if bytes > free && bytes - free > self.idle_bytes {
            let Some(oldest) = self.idle_keys(u64::MAX).into_iter().next() else {
                return Room::None;
            };
            self.counts.evictions += 1;
            let mut taken = Taken::default();
            self.take_idle(&oldest, &mut taken);
            return Room::Perhaps(taken);
        }
        let mut taken = Taken::default();
        if bytes > free {
            for key in self.idle_keys(u64::MAX) {
                if taken.bytes >= bytes - free {
                    break;
                }
                // What takes no room makes none.
                if self.leased_bytes(&key) > 0 {
                    self.take_idle(&key, &mut taken);
                    self.counts.evictions += 1;
                }
            }
        }
        let taken_over = bytes.min(taken.bytes);
        self.bytes += bytes - taken_over;
        taken.bytes -= taken_over;
        Room::Made(taken)
    }

    /// Takes out what is loaded under `key` if it is idle; its bytes stay counted.
    ///
    /// What is taken must be handed to [`begin_drop`](Self::begin_drop).
    pub(super) fn take_idle(&mut self, key: &Arc<str>, taken: &mut Taken<T>) {
        if !matches!(self.slots.get(key), Some(Slot::Ready(ready)) if ready.leases == 0) {
            return;
        }
        if let Some(Slot::Ready(ready)) = self.slots.remove(key) {
            self.idle_bytes -= ready.bytes;
            taken.bytes += ready.bytes;
            taken.values.push(ready.value);
            taken.keys.push(Arc::clone(key));
        }
    }

    /// Takes out all that is idle and was loaded at `newest` or before.
    pub(super) fn take_all_idle(&mut self, newest: u64) -> Taken<T> {
        let mut taken = Taken::default();
        for key in self.idle_keys(newest) {
            self.take_idle(&key, &mut taken);
        }
        taken
    }

    /// Notes that `thread` drops what was under `keys`.
    pub(super) fn begin_drop(&mut self, thread: ThreadId, keys: &[Arc<str>]) {
        self.dropping += 1;
        self.threads.entry(thread).or_default().drops += 1;
        let slots = keys.iter().map(|key| (Arc::clone(key), Slot::Dropping(thread)));
        self.slots.extend(slots);
    }

    pub(super) fn end_drop(&mut self, thread: ThreadId, keys: &[Arc<str>], bytes: u64) {
        self.dropping -= 1;
        self.bytes -= bytes;
        self.update(thread, |activity| activity.drops -= 1);
        for key in keys {
            self.slots.remove(key);
        }
    }

    /// Notes that `thread` loads `key`, for which there must be room.
    pub(super) fn begin_load(&mut self, thread: ThreadId, key: &str) -> Arc<str> {
        let key: Arc<str> = Arc::from(key);
        self.slots.insert(Arc::clone(&key), Slot::Loading(thread));
        self.threads.entry(thread).or_default().loading.push(Arc::clone(&key));
        key
    }

    /// Puts in, with one lease, what was loaded, or gives its room back.
    pub(super) fn end_load(
        &mut self,
        thread: ThreadId,
        key: &Arc<str>,
        bytes: u64,
        value: Option<Arc<T>>,
    ) {
        self.update(thread, |activity| activity.loading.retain(|other| other != key));
        if let Some(value) = value {
            let now = self.tick();
            let ready = Ready { value, bytes, leases: 1, loaded_at: now, idle_since: now };
            self.slots.insert(Arc::clone(key), Slot::Ready(ready));
            self.counts.loads += 1;
        } else {
            self.slots.remove(key);
            self.bytes -= bytes;
            self.counts.failures += 1;
        }
    }

    pub(super) fn starts_waiting(&mut self, thread: ThreadId, key: &str) {
        self.threads.entry(thread).or_default().waits_for = Some(Arc::from(key));
    }

    pub(super) fn stops_waiting(&mut self, thread: ThreadId) {
        self.update(thread, |activity| activity.waits_for = None);
    }

    /// The cycle that would be closed if `thread` waited for what happens to `key`.
    pub(super) fn cycle(&self, key: &str, thread: ThreadId) -> Option<Vec<String>> {
        let mut cycle = Vec::new();
        let mut next = key;
        // Each thread waits for one key at most, so that there is one way to follow, and it meets
        // no thread twice.
        for _ in 0..self.threads.len() {
            let (Slot::Loading(owner) | Slot::Dropping(owner)) = self.slots.get(next)? else {
                return None;
            };
            let activity = self.threads.get(owner)?;
            cycle.push(next.to_owned());
            let nested = activity.loading.iter().skip_while(|key| ***key != *next).skip(1);
            cycle.extend(nested.map(ToString::to_string));
            if *owner == thread {
                cycle.push(key.to_owned());
                return Some(cycle);
            }
            next = activity.waits_for.as_deref()?;
        }
        None
    }

    pub(super) fn full<E>(&self, key: &str, needed: u64) -> CacheError<E> {
        let in_use = self.bytes - self.idle_bytes;
        CacheError::Full { key: key.to_owned(), needed, in_use, capacity: self.capacity }
    }

    pub(super) fn stats(&self) -> CacheStats {
        let loading = self.threads.values().map(|activity| activity.loading.len()).sum();
        CacheStats {
            entries: self.slots.values().filter(|slot| matches!(slot, Slot::Ready(_))).count(),
            loading,
            bytes: self.bytes,
            bytes_in_use: self.bytes - self.idle_bytes,
            capacity: self.capacity,
            ..self.counts
        }
    }

    /// Keys of what is idle and was loaded at `newest` or before, the longest idle first.
    fn idle_keys(&self, newest: u64) -> Vec<Arc<str>> {
        let idle = self.slots.iter().filter_map(|(key, slot)| match slot {
            Slot::Ready(ready) if ready.leases == 0 && ready.loaded_at <= newest => {
                Some((ready.idle_since, key))
            }
            _ => None,
        });
        let mut idle: Vec<(u64, &Arc<str>)> = idle.collect();
        idle.sort_unstable();
        idle.into_iter().map(|(_, key)| Arc::clone(key)).collect()
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Changes what is noted of a thread, and forgets the thread when it does nothing any more.
    fn update(&mut self, thread: ThreadId, change: impl FnOnce(&mut Activity)) {
        if let Some(activity) = self.threads.get_mut(&thread) {
            change(activity);
            if activity.loading.is_empty() && activity.drops == 0 && activity.waits_for.is_none() {
                self.threads.remove(&thread);
            }
        }
    }
}

impl<T> Default for Taken<T> {
    fn default() -> Self {
        Self { values: Vec::new(), keys: Vec::new(), bytes: 0 }
    }
}
