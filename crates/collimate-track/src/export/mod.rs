//! Tables as files that other tools read.

mod cell;
#[cfg(feature = "parquet")]
mod columnar;
mod file;
mod table;
mod text;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::database::{Attempt, Database};
use crate::error::{Result, TrackError};
use crate::experiment;
use crate::ids::ExperimentId;

use cell::Cell;
use file::NewFile;
pub use table::Table;
use text::{CsvRows, JsonRows};

/// How a table is written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExportFormat {
    /// Comma-separated values with a head: quoted where needed, lines end with a line feed, absent values
    /// are empty.
    Csv,
    /// A JSON object on each line.
    JsonLines,
    /// Apache Parquet.
    #[cfg(feature = "parquet")]
    Parquet,
}

/// What was written.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Exported {
    /// The file.
    pub path: PathBuf,
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
}

impl ExportFormat {
    /// The ending of such files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            #[cfg(feature = "parquet")]
            Self::Parquet => "parquet",
        }
    }
}

impl Database {
    /// Writes a table to a file, all of it or the rows of one experiment. A file that is there is replaced once
    /// the new one is whole; equal tables are equal bytes.
    ///
    /// Values are what they are: a text that a spreadsheet would take for a formula is not changed.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]: the experiment; [`TrackError::Exists`]: the file is the database;
    /// [`TrackError::Io`]; [`TrackError::Unreadable`]; those of SQLite and of the format.
    pub fn export_table(
        &self,
        table: Table,
        experiment: Option<ExperimentId>,
        format: ExportFormat,
        path: impl AsRef<Path>,
    ) -> Result<Exported> {
        let path = path.as_ref();
        self.refuse_itself(path)?;
        self.read_at_once(|connection| {
            if let Some(experiment) = experiment {
                experiment::exists(connection, experiment)?;
            }
            write(connection, table, experiment, format, path)
        })
    }

    /// Writes everything of one experiment into a new folder, a file for each table that has rows of
    /// experiments. The folder appears once all of it is whole.
    ///
    /// # Errors
    ///
    /// [`TrackError::Exists`]: there is something in the place of the folder; as
    /// [`Database::export_table`].
    pub fn export_experiment(
        &self,
        experiment: ExperimentId,
        format: ExportFormat,
        folder: impl AsRef<Path>,
    ) -> Result<Vec<Exported>> {
        let folder = folder.as_ref();
        let failed = |source| TrackError::Io { path: folder.to_owned(), source };
        match fs::symlink_metadata(folder) {
            Ok(_) => return Err(TrackError::Exists { path: folder.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let staged = file::new_folder(folder)?;
        let mut written = self.read_at_once(|connection| {
            experiment::exists(connection, experiment)?;
            let tables = Table::ALL.into_iter().filter(|table| table.experiment_column().is_some());
            let write = |table: Table| {
                let name = format!("{}.{}", table.name(), format.extension());
                write(connection, table, Some(experiment), format, &staged.path().join(name))
            };
            tables.map(write).collect::<Attempt<Vec<_>>>()
        })?;
        fs::rename(staged.path(), folder).map_err(failed)?;
        file::sync_folder(file::folder_of(folder))?;
        for file in &mut written {
            if let Some(name) = file.path.file_name() {
                file.path = folder.join(name);
            }
        }
        Ok(written)
    }

    /// Refuses to put a file in the place of the database or of what belongs to it.
    fn refuse_itself(&self, path: &Path) -> Result<()> {
        let failed = |source| TrackError::Io { path: path.to_owned(), source };
        let real = |path: &Path| -> io::Result<Option<PathBuf>> {
            let folder = fs::canonicalize(file::folder_of(path))?;
            Ok(path.file_name().map(|name| folder.join(name)))
        };
        let place = real(path).map_err(failed)?;
        let links = [Some(self.path().to_owned()), fs::canonicalize(self.path()).ok()];
        for database in links.into_iter().flatten() {
            for suffix in ["", "-wal", "-shm", "-journal"] {
                let mut own = database.clone().into_os_string();
                own.push(suffix);
                if real(Path::new(&own)).ok() == Some(place.clone()) {
                    return Err(TrackError::Exists { path: path.to_owned() });
                }
            }
        }
        Ok(())
    }
}

fn write(
    connection: &Connection,
    table: Table,
    experiment: Option<ExperimentId>,
    format: ExportFormat,
    path: &Path,
) -> Attempt<Exported> {
    let mut file = NewFile::create(path)?;
    let rows = match format {
        ExportFormat::Csv => {
            let mut rows = CsvRows::begin(&mut file, table)?;
            let count = each(connection, table, experiment, |cells| rows.push(cells))?;
            rows.finish()?;
            count
        }
        ExportFormat::JsonLines => {
            let mut rows = JsonRows::begin(&mut file, table);
            each(connection, table, experiment, |cells| rows.push(cells))?
        }
        #[cfg(feature = "parquet")]
        ExportFormat::Parquet => {
            let mut rows = columnar::ParquetRows::begin(&mut file, table)?;
            let count = each(connection, table, experiment, |cells| rows.push(cells))?;
            rows.finish()?;
            count
        }
    };
    let bytes = file.finish()?;
    Ok(Exported { path: path.to_owned(), rows, bytes })
}

/// Hands over the rows of a table in the order of its key; returns how many they are.
fn each(
    connection: &Connection,
    table: Table,
    experiment: Option<ExperimentId>,
    mut take: impl FnMut(Vec<Cell>) -> Result<()>,
) -> Attempt<u64> {
    let columns = table.columns();
    let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    let (names, name, key) = (names.join(", "), table.name(), table.key());
    let (restriction, parameters) = match (experiment, table.experiment_column()) {
        (None, _) => (String::new(), vec![]),
        (Some(id), Some(column)) => (format!("WHERE {column} = ?1"), vec![id.value()]),
        // Of a table that has nothing of experiments, nothing belongs to one.
        (Some(_), None) => ("WHERE false".to_owned(), vec![]),
    };
    let mut statement =
        connection.prepare(&format!("SELECT {names} FROM {name} {restriction} ORDER BY {key}"))?;
    let mut rows = statement.query(rusqlite::params_from_iter(parameters))?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let mut cells = Vec::with_capacity(columns.len());
        for (at, (name, holds)) in columns.iter().enumerate() {
            cells.push(Cell::read(name, *holds, row.get_ref(at)?)?);
        }
        take(cells)?;
        count += 1;
    }
    Ok(count)
}
