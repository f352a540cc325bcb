//! The tables, and how those of an older database become today's.

use rusqlite::Connection;

use crate::database::{Attempt, Fault};

/// The number of today's schema, `user_version` of a database.
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// `application_id` of a database: "colt".
pub(crate) const APPLICATION_ID: i32 = 0x636f_6c74;

/// What makes each schema of the one before it. A step that was released never changes.
const MIGRATIONS: &[&str] = &[include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// What a file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Found {
    /// A database without anything in it.
    Empty,
    /// A database of this crate, up to today's schema.
    Ours(u32),
    /// One of its future.
    Newer(u32),
    /// Another program's.
    Foreign(i32),
}

/// What a database is. To be called in a transaction: another process may be making the tables.
pub(crate) fn find(connection: &Connection) -> Attempt<Found> {
    let objects: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    Ok(match (application, u32::try_from(version)) {
        (0, Ok(0)) if objects == 0 => Found::Empty,
        (APPLICATION_ID, Ok(version)) if (1..=SCHEMA_VERSION).contains(&version) => {
            Found::Ours(version)
        }
        (APPLICATION_ID, Ok(version)) if version > SCHEMA_VERSION => Found::Newer(version),
        _ => Found::Foreign(application),
    })
}

/// Makes the tables of a schema from those of an earlier one, zero being none at all. To be called in a
/// transaction.
pub(crate) fn migrate(connection: &Connection, from: u32, to: u32) -> rusqlite::Result<()> {
    let (from, to) = (from as usize, to as usize);
    for step in MIGRATIONS.iter().take(to).skip(from) {
        connection.execute_batch(step)?;
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", to as u32)
}

/// The first table, index or trigger that is not as today's schema has it, or a trigger that it has not:
/// that could change what is written. Tables, indices and views of others do no harm.
pub(crate) fn difference(connection: &Connection) -> Attempt<Option<String>> {
    let expected = Connection::open_in_memory()?;
    migrate(&expected, 0, SCHEMA_VERSION)?;
    let (expected, found) = (objects(&expected)?, objects(connection)?);
    let missing = expected.iter().find(|object| !found.contains(object));
    let added = || found.iter().find(|object| object.0 == "trigger" && !expected.contains(object));
    Ok(missing.or_else(added).map(|(kind, name, _)| format!("{kind} {name}")))
}

/// Kind, name and definition of all objects.
fn objects(connection: &Connection) -> Attempt<Vec<(String, String, String)>> {
    let mut statement = connection
        .prepare("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect::<rusqlite::Result<_>>().map_err(Fault::Sql)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::audit;
    use crate::database::Action;

    /// Writes `tests/fixtures/schema_1.db`: a database as the first schema had it.
    #[test]
    #[ignore = "writes a fixture"]
    fn write_schema_1() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema_1.db");
        let _ = std::fs::remove_file(&path);
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "page_size", 512).unwrap();
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let log = |name, subject, details| {
            let action = Action::new(name, subject, details);
            audit::append(&connection, now, "an older program", &action).unwrap();
        };
        migrate(&connection, 0, 1).unwrap();
        log("schema.create", "schema", json!({"from": 0, "to": 1}));
        let at = "'2026-01-31T12:00:00.000000Z'";
        let insert = |sql: &str| connection.execute_batch(&sql.replace("NOW", at)).unwrap();
        insert(
            "INSERT INTO experiments (id, name, status, base_model, method, config, seed, software,
                 started_at, ended_at, error)
             VALUES (1, 'old', 'finished', 'Fern-1B', 'LoRA', '{\"rank\":8}',
                     '18446744073709551615', '{}', NOW, NOW, NULL),
                    (2, 'older \u{1f331}', 'failed', 'Fern-1B', 'LoRA', '{}', NULL, '{}', NOW, NOW, 'no')",
        );
        log("experiment.start", "experiment 1", json!({"name": "old"}));
        insert(
            "INSERT INTO training_metrics (experiment_id, name, step, epoch, value, recorded_at)
             VALUES (1, 'loss', 1, 0.5, 2.5, NOW), (1, 'loss', 2, 1.0, NULL, NOW)",
        );
        log("metrics.record", "experiment 1", json!({"metrics": 2}));
        insert(
            "INSERT INTO models (id, name, base_model, description, metadata, created_at, updated_at)
             VALUES (1, 'fern', 'Fern-1B', '', '{}', NOW, NOW)",
        );
        insert(
            "INSERT INTO model_versions (id, model_id, version, description, metadata, created_at,
                 updated_at)
             VALUES (1, 1, '1.0.0', '', '{}', NOW, NOW)",
        );
        log("version.register", "model version 1", json!({"version": "1.0.0"}));
        connection.close().unwrap();
    }

    #[test]
    fn one_step_after_another_is_all_at_once() {
        let (whole, steps) =
            (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
        migrate(&whole, 0, SCHEMA_VERSION).unwrap();
        for step in 0..SCHEMA_VERSION {
            migrate(&steps, step, step + 1).unwrap();
        }
        assert_eq!(objects(&whole).unwrap(), objects(&steps).unwrap());
        assert_eq!(find(&steps).unwrap(), Found::Ours(SCHEMA_VERSION));
        assert_eq!(difference(&steps).unwrap(), None);
    }
}
