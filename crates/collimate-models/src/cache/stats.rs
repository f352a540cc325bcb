//! What a cache holds and has done.

use serde::Serialize;

/// What a [`ModelCache`](super::ModelCache) holds now, and what it has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CacheStats {
    /// Asks answered with what was there, or what another asker loaded meanwhile.
    pub hits: u64,
    /// All other asks: those that loaded, found nothing, or were refused.
    pub misses: u64,
    /// Loads that succeeded.
    pub loads: u64,
    /// Loads that failed or panicked.
    pub failures: u64,
    /// Things dropped to make room, or because they were idle.
    pub evictions: u64,
    /// Things dropped because they were to be removed.
    pub removals: u64,
    /// Things loaded now.
    pub entries: usize,
    /// Loads under way.
    pub loading: usize,
    /// Bytes of what is loaded, being loaded or being dropped.
    pub bytes: u64,
    /// Those of `bytes` that cannot make room: leased, being loaded or being dropped.
    pub bytes_in_use: u64,
    /// The most that `bytes` can be.
    pub capacity: u64,
}
