//! Tests of the public interface: one program, which is linked once.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and print")]

mod audit;
mod concurrent;
mod experiments;
mod export;
mod hostile;
mod killed;
mod migrated;
mod opened;
mod registry;

use std::path::PathBuf;

use collimate_track::{
    CheckedOptions, Clock, Database, ExperimentId, ExperimentSetup, Options, TrackError,
};
use tempfile::TempDir;

/// A database in a folder of its own, at a time that stands still.
struct Scratch {
    folder: TempDir,
    database: Database,
}

impl Scratch {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path().join("runs.db"), &options()).unwrap();
        Self { folder, database }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn experiment(&mut self) -> ExperimentId {
        self.database.start_experiment(&ExperimentSetup::new("first", "Fern-1B", "LoRA")).unwrap()
    }

    /// Changes the file past this crate, with the triggers of the log out of the way.
    fn tamper(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.database.path()).unwrap();
        let triggers: Vec<(String, String)> = connection
            .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        connection.pragma_update(None, "ignore_check_constraints", true).unwrap();
        for (name, _) in &triggers {
            connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
        }
        connection.execute_batch(sql).unwrap();
        for (_, sql) in &triggers {
            connection.execute_batch(sql).unwrap();
        }
    }
}

fn options() -> CheckedOptions {
    let clock = Clock::fixed("2026-01-31T12:00:00.123456789Z".parse().unwrap());
    Options::new().with_actor("a test").with_clock(clock).check().unwrap()
}

/// Whether an error, with all that is below it, says this.
fn says(error: &TrackError, text: &str) -> bool {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        if error.to_string().contains(text) {
            return true;
        }
        next = error.source();
    }
    false
}
