//! What is opened, and what is refused.

use std::fs;

use collimate_track::{CheckedOptions, Database, Options, SCHEMA_VERSION, TrackError};
use rusqlite::Connection;

use crate::{Scratch, options, says};

fn refused(path: impl AsRef<std::path::Path>) -> TrackError {
    Database::open(path, &CheckedOptions::default()).unwrap_err()
}

#[test]
fn a_new_file_an_empty_one_and_an_old_one_are_opened() {
    let scratch = Scratch::new();
    fs::write(scratch.path("empty.db"), "").unwrap();
    for name in ["empty.db", "runs.db", ":memory:", "odd 'name'; \u{1f331}.db"] {
        let path = scratch.path(name);
        for _ in 0..2 {
            let database = Database::open(&path, &options()).unwrap();
            assert_eq!(database.path(), path);
            assert_eq!(database.audit_head().unwrap().sequence, 1);
            assert!(database.check_integrity().unwrap().is_sound());
            database.close().unwrap();
        }
        assert!(path.is_file());
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let scratch = Scratch::new();
    let error = refused(scratch.folder.path());
    assert!(matches!(error, TrackError::NotAFile { .. }), "{error}");
    let error = refused(scratch.path("missing/runs.db"));
    assert!(matches!(error, TrackError::CannotOpen { .. }), "{error}");
    let error = refused(scratch.path("runs.db/runs.db"));
    assert!(matches!(error, TrackError::Io { .. }), "{error}");
    assert!(matches!(refused(""), TrackError::Io { .. }));
}

#[cfg(target_os = "linux")]
#[test]
fn a_place_where_nothing_can_be_written_is_refused() {
    let error = refused("/proc/runs.db");
    assert!(matches!(error, TrackError::CannotOpen { .. }), "{error}");
    assert!(says(&error, "unable to open database file"), "{error}");
}

#[test]
fn what_is_no_database_is_refused_and_not_touched() {
    let scratch = Scratch::new();
    for (at, content) in
        ["hello".to_owned(), "hello ".repeat(10_000), "\0".repeat(8192)].iter().enumerate()
    {
        let path = scratch.path(&format!("text-{at}"));
        fs::write(&path, content).unwrap();
        let error = refused(&path);
        assert!(matches!(error, TrackError::NotADatabase { .. }), "{at}: {error}");
        assert_eq!(fs::read(&path).unwrap(), content.as_bytes());
    }
}

#[test]
fn another_programs_database_is_refused_and_not_touched() {
    let scratch = Scratch::new();
    let path = scratch.path("other.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE experiments (id INTEGER)").unwrap();
    let before = fs::read(&path).unwrap();
    let error = refused(&path);
    assert!(matches!(error, TrackError::Foreign { application_id: 0, .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);

    connection.pragma_update(None, "application_id", 0x6f74_6872).unwrap();
    let before = fs::read(&path).unwrap();
    let error = refused(&path);
    assert!(matches!(error, TrackError::Foreign { application_id: 0x6f74_6872, .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_newer_schema_is_refused_with_both_versions_and_not_touched() {
    let scratch = Scratch::new();
    let path = scratch.database.path().to_owned();
    scratch.tamper(&format!("PRAGMA user_version = {}", SCHEMA_VERSION + 1));
    scratch.database.close().unwrap();
    let before = fs::read(&path).unwrap();
    let error = refused(&path);
    assert!(matches!(error, TrackError::NewerSchema { .. }), "{error}");
    assert!(says(&error, "has schema 3, this program knows up to 2"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_schema_that_was_changed_is_refused() {
    for (sql, object) in [
        ("DROP TRIGGER audit_log_no_delete", "trigger audit_log_no_delete"),
        ("DROP INDEX aqi_scores_once", "index aqi_scores_once"),
        ("DROP TABLE model_responses", "table model_responses"),
        ("ALTER TABLE models ADD COLUMN more TEXT", "table models"),
        (
            "CREATE TRIGGER halved AFTER INSERT ON training_metrics BEGIN
                 UPDATE training_metrics SET value = value / 2 WHERE step = NEW.step;
             END",
            "trigger halved",
        ),
    ] {
        let scratch = Scratch::new();
        let connection = Connection::open(scratch.database.path()).unwrap();
        connection.execute_batch(sql).unwrap();
        let error = refused(scratch.database.path());
        assert!(
            matches!(&error, TrackError::SchemaChanged { object: found, .. } if found == object),
            "{error}"
        );
    }
}

#[test]
fn tables_views_and_indices_of_others_are_left_alone() {
    let scratch = Scratch::new();
    let connection = Connection::open(scratch.database.path()).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE notes (text TEXT);
             CREATE VIEW losses AS SELECT * FROM training_metrics WHERE name = 'loss';
             CREATE INDEX by_step ON training_metrics (step);
             ANALYZE",
        )
        .unwrap();
    Database::open(scratch.database.path(), &options()).unwrap();
}

#[test]
fn a_damaged_file_is_named() {
    let mut scratch = Scratch::new();
    let id = scratch.experiment();
    let metrics: Vec<_> = (0..20_000)
        .map(|step| collimate_track::TrainingMetric::new(step, "loss", step as f64))
        .collect();
    scratch.database.record_metrics(id, &metrics).unwrap();
    let path = scratch.database.path().to_owned();
    scratch.database.close().unwrap();
    let sound = fs::read(&path).unwrap();

    let mut damaged = sound.clone();
    let half = damaged.len() / 2;
    damaged[half..].fill(0xff);
    fs::write(&path, &damaged).unwrap();
    let database = Database::open(&path, &CheckedOptions::default()).unwrap();
    let error = database.training_metrics(id, None, collimate_track::Page::ALL).unwrap_err();
    assert!(matches!(error, TrackError::Corrupt { .. }), "{error}");
    match database.check_integrity() {
        Ok(integrity) => assert!(!integrity.is_sound()),
        Err(error) => assert!(matches!(error, TrackError::Corrupt { .. }), "{error}"),
    }
    drop(database);

    fs::write(&path, &sound[..half]).unwrap();
    let found = Database::open(&path, &CheckedOptions::default())
        .and_then(|database| database.training_metrics(id, None, collimate_track::Page::ALL));
    assert!(matches!(found, Err(TrackError::Corrupt { .. })), "{found:?}");
}

#[test]
fn a_reference_to_nothing_is_found() {
    let scratch = Scratch::new();
    assert!(scratch.database.check_integrity().unwrap().is_sound());
    scratch.tamper("INSERT INTO training_metrics VALUES (77, 'loss', 1, NULL, 1.0, '')");
    let problems = scratch.database.check_integrity().unwrap().problems;
    assert_eq!(problems, ["a row of training_metrics refers to one that experiments has not"]);
}

#[test]
fn waiting_for_others_ends() {
    let mut scratch = Scratch::new();
    let options = Options::new().with_busy_timeout_ms(20).check().unwrap();
    let mut database = Database::open(scratch.database.path(), &options).unwrap();
    let other = Connection::open(scratch.database.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = database.note("x", &serde_json::json!({})).unwrap_err();
    assert!(matches!(error, TrackError::Busy { .. }) && says(&error, "20ms"), "{error}");
    // Neither reading nor opening waits.
    assert_eq!(database.audit_head().unwrap().sequence, 1);
    Database::open(scratch.database.path(), &options).unwrap();
    other.execute_batch("COMMIT").unwrap();
    database.note("x", &serde_json::json!({})).unwrap();
    scratch.experiment();
}
