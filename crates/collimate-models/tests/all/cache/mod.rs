//! The cache of loaded things: room, leases, loads, and what many threads do to it.

mod loads;
mod model;
mod stress;

use collimate_models::{CacheError, Lease, ModelCache};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::time::Duration;
use std::{panic, thread};

type Asked<T> = Result<Lease<T>, CacheError>;

/// Fails instead of hanging: no test needs a minute unless threads wait for each other.
fn in_time(test: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let thread = thread::spawn(move || {
        test();
        done.send(()).ok();
    });
    match wait.recv_timeout(Duration::from_secs(60)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the threads wait for each other"),
        _ => thread.join().unwrap_or_else(|failed| panic::resume_unwind(failed)),
    }
}

fn put(cache: &ModelCache<String>, key: &str, bytes: u64) -> Asked<String> {
    cache.get_or_load(key, bytes, || Ok(key.to_owned()))
}

fn full<T: std::fmt::Debug>(asked: Result<T, CacheError>) -> (u64, u64, u64) {
    match asked.unwrap_err() {
        CacheError::Full { needed, in_use, capacity, .. } => (needed, in_use, capacity),
        other => panic!("expected Full, found {other}"),
    }
}

#[test]
fn the_one_longest_idle_goes_first() -> Result<(), CacheError> {
    let cache = ModelCache::new(30);
    let (a, b, c) = (put(&cache, "a", 10)?, put(&cache, "b", 10)?, put(&cache, "c", 10)?);
    drop((b, c, a));
    drop(cache.get("b"));
    put(&cache, "d", 10)?;
    assert_eq!(cache.keys(), ["a", "b", "d"], "c was idle longest");
    put(&cache, "e", 20)?;
    assert_eq!(cache.keys(), ["d", "e"]);
    assert_eq!(cache.stats().evictions, 3);
    Ok(())
}

#[test]
fn what_is_in_use_stays() -> Result<(), CacheError> {
    let cache = ModelCache::new(30);
    let a = put(&cache, "a", 10)?;
    let clone = a.clone();
    put(&cache, "b", 10)?;
    put(&cache, "c", 20)?;
    assert_eq!(cache.keys(), ["a", "c"]);
    assert_eq!(full(put(&cache, "d", 21)), (21, 10, 30));
    assert_eq!(cache.keys(), ["a"], "the idle one might have held a lease on a");
    drop(a);
    assert_eq!(full(put(&cache, "d", 21)), (21, 10, 30), "the clone is left");
    drop(clone);
    put(&cache, "d", 21)?;
    assert_eq!(cache.keys(), ["d"]);
    Ok(())
}

#[test]
fn bytes_are_counted_while_loading() -> Result<(), CacheError> {
    let cache = ModelCache::new(100);
    put(&cache, "old", 70)?;
    let lease = cache.get_or_load("new", 60, || {
        let stats = cache.stats();
        assert_eq!((stats.bytes, stats.bytes_in_use, stats.entries, stats.loading), (60, 60, 0, 1));
        assert_eq!(cache.keys(), [""; 0]);
        assert!(cache.get("new").is_none());
        assert_eq!(full(put(&cache, "third", 41)), (41, 60, 100));
        put(&cache, "fourth", 40).map(|fourth| fourth.to_uppercase())
    });
    assert_eq!(*lease.unwrap(), "FOURTH");
    assert_eq!(cache.keys(), ["fourth", "new"]);
    Ok(())
}

#[test]
fn too_large_is_told_from_full_and_evicts_nothing() -> Result<(), CacheError> {
    let cache = ModelCache::new(10);
    put(&cache, "a", 10)?;
    let error = put(&cache, "b", 11).unwrap_err();
    assert!(matches!(&error, CacheError::TooLarge { key, bytes: 11, capacity: 10 } if key == "b"));
    assert_eq!(
        error.to_string(),
        r#""b" takes 11 bytes, the cache holds 10: give it more, or load it outside"#
    );
    assert_eq!(cache.keys(), ["a"]);
    assert_eq!(put(&cache, "a", 11)?.len(), 1, "what is there needs no room");
    Ok(())
}

#[test]
fn nothing_but_nothing_fits_into_no_capacity() -> Result<(), CacheError> {
    let cache = ModelCache::new(0);
    assert!(matches!(put(&cache, "a", 1), Err(CacheError::TooLarge { .. })));
    put(&cache, "b", 0)?;
    put(&cache, "c", 0)?;
    assert_eq!(cache.keys(), ["b", "c"]);
    Ok(())
}

#[test]
fn things_of_no_bytes_are_not_evicted_in_vain() -> Result<(), CacheError> {
    let cache = ModelCache::new(10);
    put(&cache, "nothing", 0)?;
    put(&cache, "a", 10)?;
    put(&cache, "b", 10)?;
    assert_eq!(cache.keys(), ["b", "nothing"]);
    Ok(())
}

#[test]
fn sums_do_not_overflow() -> Result<(), CacheError> {
    let cache = ModelCache::new(u64::MAX);
    let all = put(&cache, "all", u64::MAX)?;
    assert_eq!(full(put(&cache, "more", u64::MAX)), (u64::MAX, u64::MAX, u64::MAX));
    assert_eq!(full(put(&cache, "one", 1)), (1, u64::MAX, u64::MAX));
    drop(all);
    put(&cache, "more", u64::MAX - 1)?;
    put(&cache, "one", 1)?;
    assert_eq!(cache.stats().bytes, u64::MAX);
    Ok(())
}

#[test]
fn only_what_is_idle_is_removed() -> Result<(), CacheError> {
    let cache = ModelCache::new(10);
    let lease = put(&cache, "a", 4)?;
    let error = cache.remove("a").unwrap_err();
    assert_eq!(error.to_string(), r#""a" is in use: drop its leases first"#);
    cache.get_or_load("b", 1, || {
        assert!(matches!(cache.remove("b"), Err(CacheError::InUse { .. })), "it is being loaded");
        Ok::<_, Infallible>(String::new())
    })?;
    drop(lease);
    assert!(cache.remove("a")?);
    assert!(!cache.remove("a")?);
    assert_eq!((cache.stats().removals, cache.stats().evictions), (1, 0));
    assert_eq!(cache.stats().bytes, 1);
    Ok(())
}

#[test]
fn all_that_is_idle_can_be_evicted() -> Result<(), CacheError> {
    let cache = ModelCache::new(10);
    let a = put(&cache, "a", 1)?;
    put(&cache, "b", 2)?;
    put(&cache, "c", 3)?;
    assert_eq!(cache.evict_idle(), 2);
    assert_eq!(cache.keys(), ["a"]);
    assert_eq!(cache.stats().bytes, 1);
    drop(a);
    assert_eq!(cache.evict_idle(), 1);
    Ok(())
}

#[test]
fn sizes_can_be_corrected() -> Result<(), CacheError> {
    let cache = ModelCache::new(10);
    let a = put(&cache, "a", 6)?;
    put(&cache, "b", 4)?;
    Lease::resize(&a, 2)?;
    assert_eq!(cache.stats().bytes, 6);
    Lease::resize(&a, 7)?;
    assert_eq!(cache.keys(), ["a"], "b made room");
    let c = put(&cache, "c", 3)?;
    assert_eq!(full(Lease::resize(&a, 8)), (1, 10, 10));
    assert!(matches!(
        Lease::resize(&a, 11),
        Err(CacheError::TooLarge { bytes: 11, capacity: 10, .. })
    ));
    assert_eq!((Lease::bytes(&a), Lease::bytes(&c)), (7, 3));
    drop((a, c));
    assert_eq!(cache.stats().bytes_in_use, 0);
    cache.evict_idle();
    assert_eq!(cache.stats().bytes, 0);
    Ok(())
}

#[test]
fn statistics_count_what_happened() -> Result<(), CacheError> {
    let cache = ModelCache::new(10);
    assert!(cache.get("a").is_none());
    let a = put(&cache, "a", 6)?;
    drop(cache.get("a"));
    put(&cache, "a", 6)?;
    cache.get_or_load("bad", 1, || Err("no file")).unwrap_err();
    put(&cache, "b", 4)?;
    put(&cache, "c", 3)?;
    assert_eq!(
        serde_json::to_value(cache.stats()).unwrap(),
        serde_json::json!({
            "hits": 2, "misses": 5, "loads": 3, "failures": 1, "evictions": 1, "removals": 0,
            "entries": 2, "loading": 0, "bytes": 9, "bytes_in_use": 6, "capacity": 10,
        })
    );
    drop(a);
    assert_eq!(cache.stats().bytes_in_use, 0);
    Ok(())
}

/// Runs its function when it is dropped.
struct Dropped(Box<dyn FnMut() + Send + Sync>);

impl Dropped {
    fn calls(function: impl FnMut() + Send + Sync + 'static) -> Result<Self, Infallible> {
        Ok(Self(Box::new(function)))
    }

    fn quietly() -> Result<Self, Infallible> {
        Self::calls(|| ())
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn values_are_dropped_before_the_next_loads_and_may_call_the_cache() {
    in_time(|| {
        let cache: Arc<ModelCache<Dropped>> = Arc::new(ModelCache::new(10));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (handle, log) = (Arc::downgrade(&cache), Arc::clone(&seen));
        let calls_back = move || {
            let cache = Weak::upgrade(&handle).unwrap();
            let stats = cache.stats();
            let nested = cache.get_or_load("nested", 2, Dropped::quietly).is_ok();
            let itself = cache.get_or_load("first", 0, Dropped::quietly);
            let refused = matches!(itself, Err(CacheError::Recursive { .. }));
            let none = cache.get("first").is_none();
            let evicted = cache.evict_idle();
            // It must not wait for what it is dropping itself.
            let full = cache.get_or_load("large", 10, Dropped::quietly);
            let full = matches!(full, Err(CacheError::Full { .. }));
            log.lock().unwrap().push((stats.bytes, [nested, refused, none, full], evicted));
        };
        let first = || cache.get_or_load("first", 7, || Dropped::calls(calls_back.clone()));
        first().unwrap();
        let second = || {
            assert_eq!(*seen.lock().unwrap(), [(8, [true; 4], 1)]);
            Dropped::quietly()
        };
        cache.get_or_load("second", 8, second).unwrap();
        assert_eq!(cache.keys(), ["second"]);
        cache.evict_idle();

        let remove: fn(&ModelCache<Dropped>) -> bool = |cache| cache.remove("first").unwrap();
        for dropped in [remove, |cache| cache.evict_idle() == 1] {
            seen.lock().unwrap().clear();
            first().unwrap();
            assert!(dropped(&cache));
            assert_eq!(*seen.lock().unwrap(), [(7, [true; 4], 1)]);
            assert_eq!(cache.stats().bytes, 0);
        }
    });
}

#[test]
fn evicting_ends_where_every_drop_loads_something_new() {
    fn chain(cache: Weak<ModelCache<Dropped>>, link: u64) -> Result<Dropped, Infallible> {
        Dropped::calls(move || {
            if let (Some(strong), 0..100) = (cache.upgrade(), link) {
                let next = || chain(cache.clone(), link + 1);
                strong.get_or_load(&format!("{}", link + 1), 0, next).unwrap();
            }
        })
    }
    let cache = Arc::new(ModelCache::new(1));
    cache.get_or_load("0", 0, || chain(Arc::downgrade(&cache), 0)).unwrap();
    assert_eq!(cache.evict_idle(), 1);
    assert_eq!(cache.keys(), ["1"]);
}

#[test]
fn a_panicking_drop_gives_its_bytes_back() {
    let cache: ModelCache<Dropped> = ModelCache::new(10);
    cache.get_or_load("a", 10, || Dropped::calls(|| panic!("on purpose"))).unwrap();
    let ask = panic::AssertUnwindSafe(|| cache.get_or_load("b", 4, Dropped::quietly));
    assert!(panic::catch_unwind(ask).is_err());
    let stats = cache.stats();
    assert_eq!((stats.bytes, stats.entries, stats.loading, stats.failures), (0, 0, 0, 1));
    cache.get_or_load("a", 10, Dropped::quietly).unwrap();
}

#[test]
fn evicting_an_adapter_frees_its_base() {
    #[derive(Debug)]
    enum Thing {
        Base,
        Adapter(Lease<Thing>),
    }
    let cache: ModelCache<Thing> = ModelCache::new(10);
    let base = || Ok::<_, CacheError>(Thing::Base);
    let adapter = || {
        let lease = cache.get_or_load("base", 8, base).map_err(|_| "no base")?;
        Ok::<_, &str>(Thing::Adapter(lease))
    };
    let lease = cache.get_or_load("adapter", 1, adapter).unwrap();
    assert!(matches!(&*lease, Thing::Adapter(base) if matches!(**base, Thing::Base)));
    drop(lease);
    assert_eq!(cache.stats().bytes_in_use, 8, "the adapter uses its base");
    cache.get_or_load("large", 9, base).unwrap();
    assert_eq!(cache.keys(), ["large"]);

    cache.get_or_load("adapter", 1, adapter).unwrap();
    assert_eq!(cache.evict_idle(), 2);
    assert_eq!(cache.stats().bytes, 0);
}

#[test]
fn leases_outlive_the_cache_and_nothing_leaks() -> Result<(), CacheError> {
    struct Thing(#[allow(dead_code)] Arc<()>, Option<Lease<Thing>>);
    let cache: ModelCache<Thing> = ModelCache::new(10);
    let alive = Arc::new(());
    let thing = |inner| Ok::<_, Infallible>(Thing(Arc::clone(&alive), inner));
    let base = cache.get_or_load("base", 1, || thing(None))?;
    cache.get_or_load("adapter", 1, || thing(Some(base.clone())))?;
    let kept = cache.get_or_load("kept", 1, || thing(Some(base)))?;
    assert_eq!(Arc::strong_count(&alive), 4);
    drop(cache);
    assert_eq!(Arc::strong_count(&alive), 3, "the idle adapter is gone");
    assert!(kept.1.is_some());
    drop(kept);
    assert_eq!(Arc::strong_count(&alive), 1);
    Ok(())
}

#[test]
fn caches_and_leases_go_to_other_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<ModelCache<String>>();
    shared::<Lease<String>>();
    shared::<CacheError>();
    let cache = ModelCache::new(1);
    let lease = put(&cache, "a\u{1b}[2J", 1).unwrap();
    assert_eq!(format!("{lease:?}"), r#"Lease { key: "a\u{1b}[2J", .. }"#);
    let length = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| length.store(lease.len(), SeqCst));
    });
    assert_eq!(length.into_inner(), 5);
}
