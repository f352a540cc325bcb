//! The cache against a model of it that is too simple to be wrong, one step at a time.

use collimate_models::{CacheError, Lease, ModelCache};
use proptest::prelude::*;

const CAPACITY: u64 = 12;

#[derive(Clone, Debug)]
enum Step {
    /// Key, bytes, whether the loader succeeds, whether the lease is kept.
    Ask(u8, u64, bool, bool),
    Get(u8, bool),
    /// Which of the leases held, modulo their number.
    Return(usize),
    Resize(usize, u64),
    Remove(u8),
    EvictIdle,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || 0_u8..6;
    let step = prop_oneof![
        6 => (key(), 0..=CAPACITY + 1, prop::bool::weighted(0.8), any::<bool>())
            .prop_map(|(key, bytes, good, keep)| Step::Ask(key, bytes, good, keep)),
        2 => (key(), any::<bool>()).prop_map(|(key, keep)| Step::Get(key, keep)),
        4 => any::<usize>().prop_map(Step::Return),
        1 => (any::<usize>(), 0..=CAPACITY + 1).prop_map(|(i, bytes)| Step::Resize(i, bytes)),
        1 => key().prop_map(Step::Remove),
        1 => Just(Step::EvictIdle),
    ];
    prop::collection::vec(step, 0..60)
}

/// Things as key, bytes, leases; the longest idle first among the idle ones.
#[derive(Default)]
struct Model(Vec<(u8, u64, usize)>);

impl Model {
    fn bytes(&self) -> u64 {
        self.0.iter().map(|thing| thing.1).sum()
    }

    fn in_use(&self) -> u64 {
        self.0.iter().filter(|thing| thing.2 > 0).map(|thing| thing.1).sum()
    }

    fn thing(&mut self, key: u8) -> Option<&mut (u8, u64, usize)> {
        self.0.iter_mut().find(|thing| thing.0 == key)
    }

    /// Moves the thing to the end, since it was used last.
    fn release(&mut self, key: u8) {
        let at = self.0.iter().position(|thing| thing.0 == key).unwrap();
        self.0[at].2 -= 1;
        if self.0[at].2 == 0 {
            let thing = self.0.remove(at);
            self.0.push(thing);
        }
    }

    fn make_room(&mut self, bytes: u64) -> bool {
        let hopeless = self.in_use() + bytes > CAPACITY;
        while self.bytes() + bytes > CAPACITY {
            let oldest = self.0.iter().position(|thing| thing.2 == 0 && (hopeless || thing.1 > 0));
            let Some(oldest) = oldest else { break };
            self.0.remove(oldest);
        }
        if hopeless {
            self.0.retain(|thing| thing.2 > 0);
        }
        !hopeless
    }
}

fn run(steps: Vec<Step>) {
    let cache: ModelCache<u8> = ModelCache::new(CAPACITY);
    let mut model = Model::default();
    let mut held: Vec<(u8, Lease<u8>)> = Vec::new();
    for step in steps {
        let context = format!("{step:?}");
        let leased = match step {
            Step::Ask(key, bytes, good, keep) => {
                let asked = cache.get_or_load(&key.to_string(), bytes, || {
                    if good { Ok(key) } else { Err("bad") }
                });
                if let Some(thing) = model.thing(key) {
                    thing.2 += 1;
                    Some((key, asked.unwrap(), keep))
                } else if bytes > CAPACITY {
                    assert!(matches!(asked, Err(CacheError::TooLarge { .. })), "{context}");
                    None
                } else if !model.make_room(bytes) {
                    assert!(matches!(asked, Err(CacheError::Full { .. })), "{context}");
                    None
                } else if good {
                    model.0.push((key, bytes, 1));
                    Some((key, asked.unwrap(), keep))
                } else {
                    assert!(matches!(asked, Err(CacheError::Load { .. })), "{context}");
                    None
                }
            }
            Step::Get(key, keep) => {
                let lease = cache.get(&key.to_string());
                assert_eq!(lease.is_some(), model.thing(key).is_some(), "{context}");
                lease.map(|lease| {
                    model.thing(key).unwrap().2 += 1;
                    (key, lease, keep)
                })
            }
            Step::Return(which) => {
                if !held.is_empty() {
                    let (key, lease) = held.remove(which % held.len());
                    drop(lease);
                    model.release(key);
                }
                None
            }
            Step::Resize(which, bytes) => {
                if !held.is_empty() {
                    let (key, lease) = &held[which % held.len()];
                    let before = model.thing(*key).unwrap().1;
                    let fits =
                        bytes <= CAPACITY && (bytes <= before || model.make_room(bytes - before));
                    assert_eq!(Lease::resize(lease, bytes).is_ok(), fits, "{context}");
                    if fits {
                        model.thing(*key).unwrap().1 = bytes;
                    }
                }
                None
            }
            Step::Remove(key) => {
                let removed = cache.remove(&key.to_string());
                match model.thing(key).map(|thing| thing.2) {
                    None => assert!(!removed.unwrap(), "{context}"),
                    Some(0) => {
                        assert!(removed.unwrap(), "{context}");
                        model.0.retain(|thing| thing.0 != key);
                    }
                    Some(_) => assert!(matches!(removed, Err(CacheError::InUse { .. }))),
                }
                None
            }
            Step::EvictIdle => {
                let before = model.0.len();
                model.0.retain(|thing| thing.2 > 0);
                assert_eq!(cache.evict_idle(), before - model.0.len(), "{context}");
                None
            }
        };
        if let Some((key, lease, keep)) = leased {
            assert_eq!(*lease, key, "{context}");
            if keep {
                held.push((key, lease));
            } else {
                drop(lease);
                model.release(key);
            }
        }
        let mut keys: Vec<String> = model.0.iter().map(|thing| thing.0.to_string()).collect();
        keys.sort();
        assert_eq!(cache.keys(), keys, "{context}");
        let stats = cache.stats();
        assert_eq!((stats.bytes, stats.bytes_in_use), (model.bytes(), model.in_use()), "{context}");
        assert_eq!(stats.entries as u64, stats.loads - stats.evictions - stats.removals);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn every_step_does_what_the_model_does(steps in steps()) {
        run(steps);
    }
}
