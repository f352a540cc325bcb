//! Loads: shared, failed, panicking, nested, in circles, and waiting for room.

use super::{Dropped, full, in_time, put};
use collimate_models::{CacheError, Lease, ModelCache};
use std::convert::Infallible;
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::time::Duration;
use std::{panic, thread};

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("no such file")]
    Missing,
    #[error("inner")]
    Inner(#[from] Box<CacheError<LoadError>>),
}

type Cache = ModelCache<String>;
type Asked = Result<Lease<String>, CacheError<LoadError>>;

/// Asks for the first key with a loader that asks for the next, and so on.
fn ask_nested(cache: &Cache, keys: &[&str]) -> Asked {
    let Some((key, inner)) = keys.split_first() else { panic!("no key") };
    cache.get_or_load(key, 1, || {
        if !inner.is_empty() {
            ask_nested(cache, inner).map_err(Box::new)?;
        }
        Ok((*key).to_owned())
    })
}

/// The cycle at the bottom of nested errors.
fn cycle(error: &CacheError<LoadError>) -> Option<Vec<&str>> {
    match error {
        CacheError::Recursive { cycle, .. } => Some(cycle.iter().map(String::as_str).collect()),
        CacheError::Load { source: LoadError::Inner(inner), .. } => cycle(inner),
        _ => None,
    }
}

/// Lets threads that were about to ask fall asleep in the cache; no test's outcome needs it.
fn let_others_wait() {
    thread::sleep(Duration::from_millis(20));
}

#[test]
fn concurrent_askers_share_one_load() {
    in_time(|| {
        const THREADS: usize = 16;
        let cache = Cache::new(10);
        let (loads, start) = (AtomicUsize::new(0), Barrier::new(THREADS));
        let leases: Vec<Lease<String>> = thread::scope(|scope| {
            let ask = || {
                start.wait();
                cache.get_or_load("a", 10, || {
                    loads.fetch_add(1, SeqCst);
                    let_others_wait();
                    Ok::<_, Infallible>("loaded".to_owned())
                })
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
        });
        assert_eq!(loads.into_inner(), 1);
        assert!(leases.iter().all(|lease| std::ptr::eq(&**lease, &*leases[0])));
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses, stats.loads), (15, 1, 1));
    });
}

#[test]
fn a_failure_is_for_its_asker_alone() {
    in_time(|| {
        const WAITERS: usize = 8;
        let cache = Cache::new(10);
        let loading = Barrier::new(WAITERS + 1);
        let loads = AtomicUsize::new(0);
        thread::scope(|scope| {
            let wait = || {
                loading.wait();
                cache.get_or_load("a", 10, || {
                    // The first to try again fails too.
                    if loads.fetch_add(1, SeqCst) == 0 {
                        return Err(LoadError::Missing);
                    }
                    Ok("loaded".to_owned())
                })
            };
            let waiters: Vec<_> = (0..WAITERS).map(|_| scope.spawn(wait)).collect();
            let failed = cache.get_or_load("a", 10, || {
                loading.wait();
                let_others_wait();
                Err(LoadError::Missing)
            });
            let error = failed.unwrap_err();
            assert_eq!(error.to_string(), r#"loading "a" failed"#);
            assert_eq!(error.source().unwrap().to_string(), "no such file");
            let asked: Vec<Asked> = waiters.into_iter().map(|t| t.join().unwrap()).collect();
            assert_eq!(asked.iter().filter(|asked| asked.is_err()).count(), 1);
        });
        assert_eq!(loads.into_inner(), 2);
        let stats = cache.stats();
        assert_eq!((stats.loads, stats.failures, stats.bytes), (1, 2, 10));
    });
}

#[test]
fn a_panic_unwinds_in_its_asker_and_leaves_the_cache_usable() {
    in_time(|| {
        let cache = Cache::new(10);
        let loading = Barrier::new(2);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                loading.wait();
                cache.get_or_load("a", 7, || Ok::<_, Infallible>("second".to_owned()))
            });
            let ask = panic::AssertUnwindSafe(|| {
                cache.get_or_load("a", 10, || -> Result<String, Infallible> {
                    loading.wait();
                    let_others_wait();
                    panic!("on purpose")
                })
            });
            let unwound = panic::catch_unwind(ask).unwrap_err();
            assert_eq!(*unwound.downcast::<&str>().unwrap(), "on purpose");
            assert_eq!(*waiter.join().unwrap().unwrap(), "second");
        });
        let stats = cache.stats();
        assert_eq!((stats.loads, stats.failures, stats.bytes), (1, 1, 7));
    });
}

#[test]
fn nested_loads_work_and_circles_are_found_on_one_thread() {
    in_time(|| {
        let cache = Cache::new(10);
        assert_eq!(cycle(&ask_nested(&cache, &["a", "a"]).unwrap_err()).unwrap(), ["a", "a"]);
        let error = ask_nested(&cache, &["x", "a", "b", "c", "a"]).unwrap_err();
        assert_eq!(cycle(&error).unwrap(), ["a", "b", "c", "a"]);
        let stats = cache.stats();
        assert_eq!((stats.entries, stats.loading, stats.bytes, stats.failures), (0, 0, 0, 5));
        ask_nested(&cache, &["a", "b", "c"]).unwrap();
        assert_eq!(cache.keys(), ["a", "b", "c"]);

        let error = CacheError::<LoadError>::Recursive {
            key: "a".to_owned(),
            cycle: vec!["a".to_owned(), "b".to_owned(), "a".to_owned()],
        };
        assert_eq!(
            error.to_string(),
            r#""a" needs itself to be loaded or dropped: "a" -> "b" -> "a""#
        );
    });
}

/// Threads that each load their key and then need the next one's: exactly one is told.
fn ring(size: usize) {
    let cache = Cache::new(100);
    let all_load = Barrier::new(size);
    let load = |i: usize| {
        let (own, middle, next) =
            (format!("k{i}"), format!("m{i}"), format!("k{}", (i + 1) % size));
        cache.get_or_load(&own, 1, || {
            let inner = cache.get_or_load(&middle, 1, || {
                all_load.wait();
                let needed = cache.get_or_load(&next, 1, || Ok(next.clone()));
                Ok(needed.map_err(Box::new)?.to_uppercase())
            });
            Ok(inner.map_err(Box::new)?.to_string())
        })
    };
    let asked: Vec<Asked> = thread::scope(|scope| {
        let threads: Vec<_> = (0..size).map(|i| scope.spawn(move || load(i))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let errors: Vec<_> = asked.iter().filter_map(|asked| asked.as_ref().err()).collect();
    assert_eq!(errors.len(), 1);
    let cycle = cycle(errors[0]).unwrap();
    assert_eq!(cycle.len(), 2 * size + 1, "{cycle:?}");
    assert_eq!(cycle.first(), cycle.last());
    assert_eq!(cache.stats().loading, 0);
}

#[test]
fn circles_are_found_across_threads() {
    for _ in 0..20 {
        in_time(|| ring(2));
        in_time(|| ring(5));
    }
}

#[test]
fn askers_of_a_key_that_is_being_dropped_wait_for_that() {
    struct Slow(Arc<AtomicUsize>, Arc<Barrier>);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.1.wait();
            let_others_wait();
            self.0.fetch_sub(1, SeqCst);
        }
    }
    in_time(|| {
        let cache: ModelCache<Slow> = ModelCache::new(100);
        let (alive, dropping) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(2)));
        let ask = || {
            cache.get_or_load("a", 1, || {
                assert_eq!(alive.fetch_add(1, SeqCst), 0, "two under one key");
                Ok::<_, Infallible>(Slow(Arc::clone(&alive), Arc::clone(&dropping)))
            })
        };
        ask().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| cache.evict_idle());
            dropping.wait();
            ask().unwrap();
            scope.spawn(|| dropping.wait());
            cache.evict_idle();
        });
    });
}

#[test]
fn bytes_that_are_being_dropped_are_waited_for() {
    in_time(|| {
        let dropping = Arc::new(Barrier::new(2));
        let cache = ModelCache::new(10);
        let barrier = Arc::clone(&dropping);
        let slow = move || {
            barrier.wait();
            let_others_wait();
        };
        cache.get_or_load("a", 10, || Dropped::calls(slow)).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| cache.remove("a"));
            dropping.wait();
            cache.get_or_load("b", 10, Dropped::quietly).unwrap();
        });
    });
}

#[test]
fn waiting_for_room_ends_with_a_lease_or_the_timeout() {
    in_time(|| {
        for timeout in [Duration::from_secs(3600), Duration::MAX] {
            let cache = Cache::new(10);
            let wait = |timeout| {
                cache.get_or_load_wait("second", 6, timeout, || Ok::<_, Infallible>(String::new()))
            };
            let first = put(&cache, "first", 6).unwrap();
            assert_eq!(full(wait(Duration::ZERO)), (6, 6, 10));
            assert_eq!(full(wait(Duration::from_millis(5))), (6, 6, 10));
            let clone = first.clone();
            thread::scope(|scope| {
                let waiter = scope.spawn(|| wait(timeout));
                let_others_wait();
                drop(first);
                let_others_wait();
                assert!(!waiter.is_finished(), "a lease is left");
                drop(clone);
                assert_eq!(Lease::key(&waiter.join().unwrap().unwrap()), "second");
            });
            assert_eq!(cache.keys(), ["second"]);
        }
    });
}

#[test]
fn room_that_a_failed_load_gives_back_is_found_by_who_waits() {
    in_time(|| {
        let cache = Cache::new(10);
        let loading = Barrier::new(2);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                loading.wait();
                let load = || Ok::<_, Infallible>(String::new());
                cache.get_or_load_wait("b", 10, Duration::MAX, load).map(drop)
            });
            let fail = || {
                loading.wait();
                let_others_wait();
                Err(LoadError::Missing)
            };
            cache.get_or_load("a", 10, fail).unwrap_err();
            waiter.join().unwrap().unwrap();
        });
    });
}
