//! Many writers at once.

use std::thread;
use std::time::Duration;

use collimate_track::{
    Database, ExperimentFilter, ExperimentSetup, ModelEntry, Options, Page, TrackError,
    TrainingMetric, Version, VersionEntry,
};

use crate::{Scratch, options};

const WRITERS: u64 = 4;

#[test]
fn a_database_moves_between_threads() {
    fn moves<T: Send + 'static>() {}
    moves::<Database>();
}

#[test]
fn a_new_file_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let path = folder.path().join(format!("{round}.db"));
        thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    let mut database = Database::open(&path, &options()).unwrap();
                    database.start_experiment(&ExperimentSetup::new("a", "b", "c")).unwrap();
                });
            }
        });
        let database = Database::open(&path, &options()).unwrap();
        let found = database.experiments(&ExperimentFilter::default(), Page::ALL).unwrap();
        assert_eq!(found.len() as u64, WRITERS);
        let report = database.verify_audit(None).unwrap();
        assert_eq!((report.entries, report.fault), (1 + WRITERS, None));
    }
}

#[test]
fn a_file_that_another_process_is_making_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    // One that has begun to write, before it keeps a log.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let hasty = Options::new().with_busy_timeout_ms(50).check().unwrap();
    let error = Database::open(&path, &hasty).unwrap_err();
    assert!(matches!(error, TrackError::Busy { .. }), "{error}");
    thread::scope(|scope| {
        let opened = scope.spawn(|| Database::open(&path, &options()).map(drop));
        thread::sleep(Duration::from_millis(100));
        assert!(!opened.is_finished());
        other.execute_batch("ROLLBACK").unwrap();
        opened.join().unwrap().unwrap();
    });
}

#[test]
fn writers_lose_nothing_to_each_other() {
    let mut scratch = Scratch::new();
    let id = scratch.experiment();
    let model = scratch.database.register_model(&ModelEntry::new("fern", "Fern-1B")).unwrap();
    let entry = VersionEntry::new(Version::new(1, 0, 0));
    let version = scratch.database.register_version(model, &entry).unwrap();
    let path = scratch.database.path();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                let mut database = Database::open(path, &options()).unwrap();
                for step in 0..100 {
                    let name = format!("writer {writer}");
                    let metrics = [TrainingMetric::new(step, name, step as f64)];
                    database.record_metrics(id, &metrics).unwrap();
                    database.use_version(version).unwrap();
                }
            });
        }
        scope.spawn(|| {
            let database = Database::open(path, &options()).unwrap();
            for _ in 0..20 {
                assert!(database.verify_audit(None).unwrap().is_sound());
            }
        });
    });
    let found = scratch.database.training_metrics(id, None, Page::ALL).unwrap();
    assert_eq!(found.len() as u64, WRITERS * 100);
    assert_eq!(scratch.database.version(version).unwrap().uses, WRITERS * 100);
    assert_eq!(scratch.database.verify_audit(None).unwrap().entries, 4 + WRITERS * 200);
    assert!(scratch.database.check_integrity().unwrap().is_sound());
}
