//! Databases of an older schema.

use std::fs;
use std::path::Path;

use collimate_track::{
    Database, ExperimentFilter, ExperimentSetup, Page, Status, TrackError, VersionId,
};
use rusqlite::Connection;

use crate::options;

/// Made by `cargo test -p collimate-track --lib -- --ignored write_schema_1`, once.
const SCHEMA_1: &[u8] = include_bytes!("../fixtures/schema_1.db");

fn version_and_columns(path: &Path) -> (u32, Vec<String>) {
    let connection = Connection::open(path).unwrap();
    let mut columns = Vec::new();
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    connection
        .pragma(None, "table_info", "experiments", |row| {
            columns.push(row.get(1)?);
            Ok(())
        })
        .unwrap();
    (version, columns)
}

#[test]
fn an_older_schema_becomes_todays_with_all_that_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    fs::write(&path, SCHEMA_1).unwrap();
    assert_eq!(version_and_columns(&path).0, 1);

    let mut database = Database::open(&path, &options()).unwrap();
    assert_eq!(version_and_columns(&path).0, 2);
    let experiments = database.experiments(&ExperimentFilter::default(), Page::ALL).unwrap();
    let [old, older] = &experiments[..] else { panic!("{experiments:?}") };
    assert_eq!((old.setup.seed, old.setup.parent), (Some(u64::MAX), None));
    assert_eq!(old.setup.config, serde_json::json!({"rank": 8}));
    assert_eq!((older.status, older.error.as_deref()), (Status::Failed, Some("no")));
    assert_eq!(older.setup.name, "older \u{1f331}");
    let losses = database.training_metrics(old.id, Some("loss"), Page::ALL).unwrap();
    let losses: Vec<_> = losses.iter().map(|loss| loss.record.value).collect();
    assert!(losses[0] == 2.5 && losses[1].is_nan() && losses.len() == 2);

    // What the migration has brought.
    let setup = ExperimentSetup::new("next", "Fern-1B", "LoRA").with_parent(old.id);
    let next = database.start_experiment(&setup).unwrap();
    assert_eq!(database.experiment_lineage(next).unwrap().len(), 2);
    assert_eq!(database.use_version(VersionId::new(1)).unwrap(), 1);

    let actions: Vec<_> = database
        .audit_entries(Page::ALL)
        .unwrap()
        .into_iter()
        .map(|entry| (entry.action, entry.actor))
        .collect();
    assert_eq!(actions.len(), 7);
    assert_eq!(actions[4], ("schema.migrate".to_owned(), "a test".to_owned()));
    assert!(database.verify_audit(None).unwrap().is_sound());
    assert!(database.check_integrity().unwrap().is_sound());
    database.close().unwrap();

    let database = Database::open(&path, &options()).unwrap();
    assert_eq!(database.audit_head().unwrap().sequence, 7);
}

#[test]
fn a_migration_that_fails_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    fs::write(&path, SCHEMA_1).unwrap();
    // The last column that the migration adds is there already.
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("ALTER TABLE model_versions ADD COLUMN last_used_at TEXT").unwrap();
    connection.close().unwrap();
    let before = version_and_columns(&path);
    for _ in 0..2 {
        let error = Database::open(&path, &options()).unwrap_err();
        assert!(matches!(error, TrackError::Sqlite { .. }), "{error}");
        assert_eq!(version_and_columns(&path), before);
    }
}
