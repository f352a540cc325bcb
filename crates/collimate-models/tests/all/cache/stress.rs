//! Many threads that do everything at random, and what must hold all the while.

use super::in_time;
use collimate_models::{CacheError, Lease, ModelCache};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use std::{panic, thread};

const CAPACITY: u64 = 60;
const KEYS: u64 = 12;

/// What is alive, counted apart from the cache.
#[derive(Default)]
struct World {
    bytes: AtomicU64,
    of_key: [AtomicUsize; KEYS as usize],
}

struct Thing {
    key: usize,
    bytes: u64,
    base: Option<Lease<Thing>>,
    leased: AtomicUsize,
    gone: Arc<AtomicBool>,
    world: Arc<World>,
}

impl Drop for Thing {
    fn drop(&mut self) {
        assert_eq!(*self.leased.get_mut(), 0, "dropped while leased");
        self.gone.store(true, SeqCst);
        thread::yield_now();
        self.world.of_key[self.key].fetch_sub(1, SeqCst);
        self.world.bytes.fetch_sub(self.bytes, SeqCst);
    }
}

#[derive(Debug)]
enum LoadError {
    OnPurpose,
    Base,
}

/// A small generator of random numbers: `xorshift64`.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % end
    }
}

fn bytes_of(key: u64) -> u64 {
    (key * 5) % 17
}

fn load(
    cache: &ModelCache<Thing>,
    world: &Arc<World>,
    random: &mut Random,
    key: u64,
) -> Result<Thing, LoadError> {
    // Room for the thing has been made: only now does it take its bytes.
    let bytes = bytes_of(key);
    let all = world.bytes.fetch_add(bytes, SeqCst) + bytes;
    assert!(all <= CAPACITY, "{all} bytes are alive");
    assert_eq!(world.of_key[key as usize].fetch_add(1, SeqCst), 0, "two under key {key}");
    let mut thing = Thing {
        key: key as usize,
        bytes,
        base: None,
        leased: AtomicUsize::new(0),
        gone: Arc::default(),
        world: Arc::clone(world),
    };
    thread::yield_now();
    match random.below(12) {
        0 => return Err(LoadError::OnPurpose),
        1 => panic::resume_unwind(Box::new("on purpose")),
        // Any other key: circles, on this thread and across threads, are part of the game.
        2..6 => {
            let base = random.below(KEYS);
            thing.base = Some(ask(cache, world, random, base).map_err(|_| LoadError::Base)?);
        }
        _ => {}
    }
    Ok(thing)
}

fn ask(
    cache: &ModelCache<Thing>,
    world: &Arc<World>,
    random: &mut Random,
    key: u64,
) -> Result<Lease<Thing>, CacheError<LoadError>> {
    let name = key.to_string();
    if random.below(4) == 0 {
        let timeout = Duration::from_millis(random.below(3));
        return cache
            .get_or_load_wait(&name, bytes_of(key), timeout, || load(cache, world, random, key));
    }
    cache.get_or_load(&name, bytes_of(key), || load(cache, world, random, key))
}

fn play(cache: &ModelCache<Thing>, world: &Arc<World>, seed: u64, steps: usize) -> usize {
    let mut random = Random(seed);
    let mut held: Vec<Lease<Thing>> = Vec::new();
    let mut served = 0;
    for _ in 0..steps {
        let key = random.below(KEYS);
        match random.below(16) {
            0 => drop(cache.remove(&key.to_string())),
            1 => drop(cache.evict_idle()),
            2..8 | 12.. if held.len() > 1 => {
                let which = random.below(held.len() as u64) as usize;
                let lease = held.swap_remove(which);
                lease.leased.fetch_sub(1, SeqCst);
            }
            _ => {
                let asking = panic::AssertUnwindSafe(|| ask(cache, world, &mut random, key));
                match panic::catch_unwind(asking) {
                    Ok(Ok(lease)) => {
                        assert_eq!(Lease::key(&lease), key.to_string());
                        lease.leased.fetch_add(1, SeqCst);
                        served += 1;
                        held.push(lease);
                    }
                    Ok(Err(_)) => {}
                    Err(unwound) if unwound.downcast_ref() == Some(&"on purpose") => {}
                    Err(unwound) => panic::resume_unwind(unwound),
                }
            }
        }
        for lease in &held {
            let again = cache.get(Lease::key(lease)).expect("what is leased is there");
            assert!(std::ptr::eq(&*again, &**lease), "another thing under the key of a lease");
            assert!(!lease.gone.load(SeqCst));
        }
        assert!(cache.stats().bytes <= CAPACITY);
    }
    for lease in held {
        lease.leased.fetch_sub(1, SeqCst);
    }
    served
}

#[test]
fn invariants_hold_whatever_many_threads_do() {
    in_time(|| {
        let world = Arc::new(World::default());
        let cache = ModelCache::new(CAPACITY);
        let served: usize = thread::scope(|scope| {
            let threads: Vec<_> = (1..=8_u64)
                .map(|seed| {
                    let (cache, world) = (&cache, &world);
                    let seed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    scope.spawn(move || play(cache, world, seed, 6_000))
                })
                .collect();
            let join = |thread: thread::ScopedJoinHandle<'_, usize>| {
                thread.join().unwrap_or_else(|failed| panic::resume_unwind(failed))
            };
            threads.into_iter().map(join).sum()
        });
        let stats = cache.stats();
        assert!(served > 5_000, "only {served} of 48,000 steps got a lease: {stats:?}");
        assert!(stats.loads > 100 && stats.failures > 100 && stats.evictions > 100, "{stats:?}");
        assert_eq!(stats.loading, 0);
        cache.evict_idle();
        assert_eq!(cache.stats().bytes, 0);
        assert_eq!(world.bytes.load(SeqCst), 0);
    });
}
