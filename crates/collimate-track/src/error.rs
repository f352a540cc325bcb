use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// The result of what this crate does.
pub type Result<T> = std::result::Result<T, TrackError>;

/// What SQLite or another library says.
pub(crate) type Source = Box<dyn Error + Send + Sync>;

/// What can go wrong when a database is opened, written, read or exported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrackError {
    /// A file or folder can't be read or written.
    #[error("{}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The place of a database is a folder, a pipe or a device.
    #[error("{} is not a regular file; name the file that the database is to be", path.display())]
    NotAFile {
        /// The place.
        path: PathBuf,
    },
    /// A database can neither be opened nor created.
    #[error("{} can't be opened; its folder must exist and be writable", path.display())]
    CannotOpen {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: Source,
    },
    /// A database may be read, but not written.
    #[error("{} can't be written; the file and its folder must be writable", path.display())]
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// A file is not a SQLite database.
    #[error("{} is not a database; choose another file", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A SQLite database is another program's.
    #[error(
        "{} belongs to another program (application_id {application_id:#x}); choose another file",
        path.display()
    )]
    Foreign {
        /// The database.
        path: PathBuf,
        /// The mark of the program that made it; zero where it left none.
        application_id: i32,
    },
    /// A database was made by a later version of this crate.
    #[error(
        "{} has schema {found}, this program knows up to {supported}; use a newer program",
        path.display()
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The latest schema that is known.
        supported: u32,
    },
    /// The place of a database does not let it keep a write-ahead log.
    #[error(
        "{} can't have a write-ahead log, only the journal {mode:?}; put it on a local disk",
        path.display()
    )]
    NoLog {
        /// The database.
        path: PathBuf,
        /// The journal that it would have.
        mode: String,
    },
    /// Tables or triggers are not those that this crate makes.
    #[error("{}: the {object} is not as it was made; restore a backup", path.display())]
    SchemaChanged {
        /// The database.
        path: PathBuf,
        /// What was changed, removed or added.
        object: String,
    },
    /// A database is damaged.
    #[error("{} is damaged; restore a backup, or try `sqlite3 FILE .recover`", path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: Source,
    },
    /// A value in a database is not one that this crate writes.
    #[error("{} holds a value that was not written by this crate", path.display())]
    Unreadable {
        /// The database.
        path: PathBuf,
        /// Which column, and what is wrong with it.
        #[source]
        source: Source,
    },
    /// A row in a database is larger than any that these options let be written.
    #[error("{}: a row has more than {limit} bytes; raise max_text_bytes", path.display())]
    RowTooLarge {
        /// The database.
        path: PathBuf,
        /// Most bytes of a row.
        limit: u64,
    },
    /// Others wrote all the time.
    #[error("{} was kept busy by other writers for {waited:?}; try again", path.display())]
    Busy {
        /// The database.
        path: PathBuf,
        /// For how long this one waited.
        waited: Duration,
    },
    /// There is no space left.
    #[error("there is no space left for {}", path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// SQLite reports an error that has no name here.
    #[error("{}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: Source,
    },
    /// A text is empty that may not be.
    #[error("{what} is empty; leave out what is not known")]
    Empty {
        /// Which text.
        what: &'static str,
    },
    /// A text is too large.
    #[error("{what} has {found} bytes, at most {limit} are stored")]
    TooLarge {
        /// Which text.
        what: &'static str,
        /// Its bytes.
        found: u64,
        /// Most bytes.
        limit: u64,
    },
    /// A number is NaN.
    #[error("{what} is not a number; leave out what could not be measured")]
    NotANumber {
        /// Which number.
        what: &'static str,
    },
    /// A number is outside its bounds.
    #[error("{what} is {found}; expected {expected}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// The number.
        found: String,
        /// Its bounds.
        expected: String,
    },
    /// JSON that has to be an object is something else.
    #[error("{what} must be a JSON object")]
    NotAnObject {
        /// Which JSON.
        what: &'static str,
    },
    /// JSON is nested too deeply.
    #[error("{what} is nested more than {limit} deep")]
    TooDeep {
        /// Which JSON.
        what: &'static str,
        /// The deepest nesting.
        limit: usize,
    },
    /// A word is none of those that there are.
    #[error("{found:?} is no {what}; expected one of {expected}")]
    Unknown {
        /// What it should be.
        what: &'static str,
        /// The word, up to its first 80 characters.
        found: String,
        /// Those that there are.
        expected: &'static str,
    },
    /// A text is not a version.
    #[error("{text:?} is not a version as 1.0.2 or 1.1.0-rc.1")]
    Version {
        /// The text, up to its first 80 characters.
        text: String,
        /// Why not.
        #[source]
        source: Source,
    },
    /// A version has build metadata, which has no part in the order of versions.
    #[error("version {text:?} has build metadata; leave out what follows the '+'")]
    BuildMetadata {
        /// The version.
        text: String,
    },
    /// There is no such thing in the database.
    #[error("there is no {what}")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// It was recorded or registered before.
    #[error("there is already {what}")]
    Duplicate {
        /// What was to be added.
        what: String,
    },
    /// An experiment has ended before.
    #[error("{experiment} is already {status}")]
    Ended {
        /// The experiment.
        experiment: crate::ExperimentId,
        /// How it ended.
        status: crate::Status,
    },
    /// A model or a version is retired.
    #[error("{what} is retired")]
    Retired {
        /// Which one.
        what: String,
    },
    /// An export would take the place of something.
    #[error("{} exists; choose another place", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// A Parquet file can't be made.
    #[cfg(feature = "parquet")]
    #[error("{} can't be written as Parquet", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Source,
    },
}
