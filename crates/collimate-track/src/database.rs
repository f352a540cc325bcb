use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, ffi};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::audit;
use crate::error::{Result, TrackError};
use crate::options::{CheckedOptions, Durability};
use crate::schema::{self, Found, SCHEMA_VERSION};

/// How long after a refusal the same is asked again.
const PAUSE: Duration = Duration::from_millis(5);

/// A record of experiments, models and who changed what, in one SQLite file.
///
/// Each thread and each process opens its own; writers wait for each other, readers for nobody. Every
/// change is one transaction, which also has the entry of the audit log that says so.
///
/// # Examples
///
/// ```
/// use collimate_track::{CheckedOptions, Database, ExperimentSetup, TrainingMetric};
///
/// let folder = tempfile::tempdir()?;
/// let mut database = Database::open(folder.path().join("runs.db"), &CheckedOptions::default())?;
/// let id = database.start_experiment(&ExperimentSetup::new("first", "Fern-1B", "LoRA"))?;
/// database.record_metrics(id, &[TrainingMetric::new(1, "loss", 2.5)])?;
/// assert!(database.verify_audit(None)?.is_sound());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    path: PathBuf,
    options: CheckedOptions,
}

/// What SQLite finds when it looks at every page of a database.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Integrity {
    /// What is wrong, up to the first hundred findings.
    pub problems: Vec<String>,
}

impl Integrity {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Database {
    /// Opens the database in this file, or makes it. One of an older schema is migrated, in one
    /// transaction.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotAFile`], [`TrackError::CannotOpen`], [`TrackError::ReadOnly`];
    /// [`TrackError::NotADatabase`], [`TrackError::Foreign`], [`TrackError::NewerSchema`]: nothing was
    /// changed; [`TrackError::NoLog`], [`TrackError::SchemaChanged`], [`TrackError::Corrupt`], [`TrackError::Busy`],
    /// [`TrackError::Full`], [`TrackError::Io`].
    pub fn open(path: impl AsRef<Path>, options: &CheckedOptions) -> Result<Self> {
        let path = path.as_ref();
        // SQLite gives some relative names a meaning of their own.
        let absolute = std::path::absolute(path)
            .map_err(|source| TrackError::Io { path: path.to_owned(), source })?;
        match fs::metadata(&absolute) {
            Ok(found) if !found.is_file() => return Err(TrackError::NotAFile { path: absolute }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(TrackError::Io { path: absolute, source }),
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match Connection::open_with_flags(&absolute, flags) {
            Ok(connection) => Self::start(connection, absolute, options),
            Err(error) => Err(named(error, &absolute, options)),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads every page, and checks that rows, indices and references fit together.
    ///
    /// # Errors
    ///
    /// [`TrackError::Corrupt`]: so damaged that it can't be checked.
    pub fn check_integrity(&self) -> Result<Integrity> {
        self.read(|connection| {
            let mut problems = Vec::new();
            connection.pragma_query(None, "integrity_check", |row| {
                problems.push(row.get(0)?);
                Ok(())
            })?;
            problems.retain(|problem: &String| problem != "ok");
            connection.pragma_query(None, "foreign_key_check", |row| {
                let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
                problems.push(format!("a row of {table} refers to one that {parent} has not"));
                Ok(())
            })?;
            problems.truncate(100);
            Ok(Integrity { problems })
        })
    }

    /// Closes the database; dropping it does so as well, but says nothing of errors.
    ///
    /// # Errors
    ///
    /// What SQLite reports; nothing that was committed is lost.
    pub fn close(self) -> Result<()> {
        let Self { connection, path, options } = self;
        connection.close().map_err(|(_, error)| named(error, &path, &options))
    }

    /// Makes of a connection a database.
    fn start(connection: Connection, path: PathBuf, options: &CheckedOptions) -> Result<Self> {
        let mut database = Self { connection, path, options: options.clone() };
        database.configure()?;
        let found = database.recognize()?;
        database.keep_a_log()?;
        if found != Found::Ours(SCHEMA_VERSION) {
            database.migrate()?;
        }
        match database.read(schema::difference)? {
            None => Ok(database),
            Some(object) => Err(TrackError::SchemaChanged { path: database.path, object }),
        }
    }

    /// What only concerns this connection.
    fn configure(&self) -> Result<()> {
        let read_only = self.read(|connection| {
            connection.busy_timeout(self.options.busy_timeout())?;
            connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, self.options.max_row_bytes())?;
            // The file may be anyone's.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
            connection.pragma_update(None, "cell_size_check", true)?;
            let synchronous = match self.options.options().durability {
                Durability::Crashes => "NORMAL",
                Durability::PowerCuts => "FULL",
            };
            connection.pragma_update(None, "synchronous", synchronous)?;
            Ok(connection.is_readonly("main")?)
        })?;
        if read_only { Err(TrackError::ReadOnly { path: self.path.clone() }) } else { Ok(()) }
    }

    /// What the file is, if it is one to go on with.
    fn recognize(&self) -> Result<Found> {
        let path = || self.path.clone();
        match self.read_at_once(schema::find)? {
            Found::Foreign(application_id) => {
                Err(TrackError::Foreign { path: path(), application_id })
            }
            Found::Newer(found) => {
                Err(TrackError::NewerSchema { path: path(), found, supported: SCHEMA_VERSION })
            }
            found => Ok(found),
        }
    }

    /// Sees to it that changes go to a write-ahead log.
    fn keep_a_log(&self) -> Result<()> {
        let set = || -> Result<String> {
            self.read(|connection| {
                let mode = |row: &rusqlite::Row<'_>| row.get(0);
                Ok(connection.pragma_update_and_check(None, "journal_mode", "wal", mode)?)
            })
        };
        let begin = Instant::now();
        // SQLite itself does not wait here: it reads before it writes.
        let mode = loop {
            match set() {
                Err(TrackError::Busy { .. }) if begin.elapsed() < self.options.busy_timeout() => {
                    thread::sleep(PAUSE);
                }
                outcome => break outcome?,
            }
        };
        if mode == "wal" {
            Ok(())
        } else {
            Err(TrackError::NoLog { path: self.path.clone(), mode })
        }
    }

    fn migrate(&mut self) -> Result<()> {
        let change = self.begin()?;
        // Another process may have been faster.
        let outcome = schema::find(&change.transaction).and_then(|found| {
            let from = match found {
                Found::Empty => 0,
                Found::Ours(version) if version < SCHEMA_VERSION => version,
                _ => return Ok(()),
            };
            schema::migrate(&change.transaction, from, SCHEMA_VERSION)?;
            let details = json!({"from": from, "to": SCHEMA_VERSION});
            let action = if from == 0 { "schema.create" } else { "schema.migrate" };
            change.log(Action::new(action, "schema", details))?;
            change.transaction.commit().map_err(Fault::Sql)
        });
        outcome.map_err(|fault| self.named(fault))?;
        self.recognize().map(|_| ())
    }

    /// Makes a change and its entry in the audit log, or none of both.
    pub(crate) fn change<T>(
        &mut self,
        make: impl FnOnce(&Change<'_>) -> Attempt<(T, Action)>,
    ) -> Result<T> {
        let change = self.begin()?;
        let outcome = make(&change).and_then(|(made, action)| {
            change.log(action)?;
            change.transaction.commit()?;
            Ok(made)
        });
        outcome.map_err(|fault| self.named(fault))
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> Attempt<T>) -> Result<T> {
        read(&self.connection).map_err(|fault| self.named(fault))
    }

    /// Reads everything as it was at one time.
    pub(crate) fn read_at_once<T>(
        &self,
        read: impl FnOnce(&Connection) -> Attempt<T>,
    ) -> Result<T> {
        self.read(|connection| {
            let transaction = connection.unchecked_transaction()?;
            read(&transaction)
        })
    }

    pub(crate) fn max_text_bytes(&self) -> u64 {
        self.options.options().max_text_bytes
    }

    fn begin(&mut self) -> Result<Change<'_>> {
        let Self { connection, path, options } = self;
        // Immediate: a transaction that begins by reading could not be continued once another has written.
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| named(error, path, options))?;
        let options = options.options();
        Ok(Change {
            transaction,
            now: options.clock.now(),
            actor: &options.actor,
            max_text_bytes: options.max_text_bytes,
        })
    }

    fn named(&self, fault: Fault) -> TrackError {
        match fault {
            Fault::Track(error) => error,
            Fault::Sql(error) => named(error, &self.path, &self.options),
        }
    }
}

/// A transaction that changes something.
pub(crate) struct Change<'database> {
    pub(crate) transaction: Transaction<'database>,
    pub(crate) now: Timestamp,
    pub(crate) max_text_bytes: u64,
    actor: &'database str,
}

impl Change<'_> {
    /// Runs an `INSERT`; what is there already has a name.
    pub(crate) fn insert(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        name: impl FnOnce() -> String,
    ) -> Attempt<i64> {
        match self.transaction.execute(sql, parameters) {
            Ok(_) => Ok(self.transaction.last_insert_rowid()),
            Err(error) => Err(duplicate(error, name)),
        }
    }

    fn log(&self, action: Action) -> Attempt<()> {
        audit::append(&self.transaction, self.now, self.actor, &action)
    }
}

/// What an entry of the audit log says has happened.
pub(crate) struct Action {
    pub(crate) name: &'static str,
    pub(crate) subject: String,
    pub(crate) details: Value,
}

impl Action {
    pub(crate) fn new(name: &'static str, subject: impl ToString, details: Value) -> Self {
        Self { name, subject: subject.to_string(), details }
    }
}

/// An error of SQLite that is still to be given a name, or one that has it.
#[derive(Debug)]
pub(crate) enum Fault {
    Sql(rusqlite::Error),
    Track(TrackError),
}

pub(crate) type Attempt<T> = std::result::Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<TrackError> for Fault {
    fn from(error: TrackError) -> Self {
        Self::Track(error)
    }
}

/// An error of an `INSERT`, with the name of what is there already.
pub(crate) fn duplicate(error: rusqlite::Error, name: impl FnOnce() -> String) -> Fault {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    match extended {
        Some(ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
            Fault::Track(TrackError::Duplicate { what: name() })
        }
        _ => Fault::Sql(error),
    }
}

/// An error of SQLite about a database.
fn named(error: rusqlite::Error, path: &Path, options: &CheckedOptions) -> TrackError {
    let path = path.to_owned();
    let code = match &error {
        rusqlite::Error::SqliteFailure(error, _) => error.code,
        rusqlite::Error::SqlInputError { error, .. } => error.code,
        // It is not SQLite that complains, but what reads its values.
        _ => return TrackError::Unreadable { path, source: error.into() },
    };
    match code {
        ErrorCode::CannotOpen => TrackError::CannotOpen { path, source: error.into() },
        ErrorCode::ReadOnly => TrackError::ReadOnly { path },
        ErrorCode::NotADatabase => TrackError::NotADatabase { path },
        ErrorCode::DatabaseCorrupt => TrackError::Corrupt { path, source: error.into() },
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            TrackError::Busy { path, waited: options.busy_timeout() }
        }
        ErrorCode::DiskFull => TrackError::Full { path },
        ErrorCode::TooBig => {
            TrackError::RowTooLarge { path, limit: options.max_row_bytes().unsigned_abs().into() }
        }
        _ => TrackError::Sqlite { path, source: error.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ExperimentSetup, ModelResponse, Phase};

    fn open(path: &Path) -> Database {
        Database::open(path, &CheckedOptions::default()).unwrap()
    }

    #[test]
    fn what_may_only_be_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.db");
        open(&path).close().unwrap();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(&path, flags).unwrap();
        let error =
            Database::start(connection, path.clone(), &CheckedOptions::default()).unwrap_err();
        assert!(
            matches!(&error, TrackError::ReadOnly { path: found } if *found == path),
            "{error}"
        );
    }

    #[test]
    fn where_no_log_can_be_kept_nothing_is() {
        let connection = Connection::open_in_memory().unwrap();
        let error = Database::start(connection, "memory".into(), &CheckedOptions::default());
        let error = error.unwrap_err();
        assert!(matches!(&error, TrackError::NoLog { mode, .. } if mode == "memory"), "{error}");
    }

    #[test]
    fn a_full_disk_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut database = open(&folder.path().join("runs.db"));
        let id = database.start_experiment(&ExperimentSetup::new("a", "b", "c")).unwrap();
        let head = database.audit_head().unwrap();
        let pages: i64 =
            database.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        let limit = |database: &Database, pages: i64| {
            let connection = &database.connection;
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
        };
        limit(&database, pages + 2);
        let response = ModelResponse::new(Phase::Before, "1", "?", "!".repeat(100_000));
        let error = database.record_responses(id, std::slice::from_ref(&response)).unwrap_err();
        assert!(matches!(error, TrackError::Full { .. }), "{error}");
        assert_eq!(database.audit_head().unwrap(), head);
        limit(&database, pages + 1000);
        database.record_responses(id, &[response]).unwrap();
        assert!(database.verify_audit(None).unwrap().is_sound());
    }

    #[test]
    fn a_connection_is_set_up() {
        let folder = tempfile::tempdir().unwrap();
        for (durability, synchronous) in [(Durability::Crashes, 1), (Durability::PowerCuts, 2)] {
            let options = crate::Options::new().with_durability(durability).check().unwrap();
            let database = Database::open(folder.path().join("runs.db"), &options).unwrap();
            let pragma = |name| {
                let value = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
                database.connection.pragma_query_value(None, name, value).unwrap()
            };
            assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
            assert_eq!(pragma("foreign_keys"), 1.into());
            assert_eq!(pragma("synchronous"), synchronous.into());
            assert_eq!(pragma("busy_timeout"), 30_000.into());
        }
    }
}
