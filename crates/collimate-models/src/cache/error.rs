//! Why a thing cannot be had from the cache.

use std::convert::Infallible;

/// Why a [`ModelCache`](super::ModelCache) could not do what it was asked to.
///
/// `E` is the loader's error; calls without a loader have none ([`Infallible`]).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError<E = Infallible> {
    /// The loader failed.
    #[error("loading {key:?} failed")]
    Load {
        /// What was asked for.
        key: String,
        /// The loader's error.
        source: E,
    },
    /// The thing would not even fit into the empty cache.
    #[error(
        "{key:?} takes {bytes} bytes, the cache holds {capacity}: give it more, or load it outside"
    )]
    TooLarge {
        /// What was asked for.
        key: String,
        /// The bytes that it takes.
        bytes: u64,
        /// The cache's capacity in bytes.
        capacity: u64,
    },
    /// Too much is in use, so that nothing can make room.
    #[error(
        "no room for {key:?}: {needed} bytes are needed, {in_use} of {capacity} are in use; \
         drop leases, or wait for others to"
    )]
    Full {
        /// What was asked for.
        key: String,
        /// The bytes that are needed.
        needed: u64,
        /// The bytes of what is leased, being loaded or being dropped.
        in_use: u64,
        /// The cache's capacity in bytes.
        capacity: u64,
    },
    /// A loader needs what it is loading, or a `Drop` what it is dropping.
    #[error("{key:?} needs itself to be loaded or dropped: {}", arrows(cycle))]
    Recursive {
        /// What was asked for.
        key: String,
        /// The keys that wait for each other, from `key` to `key`.
        cycle: Vec<String>,
    },
    /// It cannot be removed: a lease is held on it, or it is being loaded.
    #[error("{key:?} is in use: drop its leases first")]
    InUse {
        /// What was to be removed.
        key: String,
    },
}

fn arrows(cycle: &[String]) -> String {
    cycle.iter().map(|key| format!("{key:?}")).collect::<Vec<_>>().join(" -> ")
}
