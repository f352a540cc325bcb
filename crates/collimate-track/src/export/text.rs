//! CSV and JSON lines.

use std::io::Write;
use std::path::PathBuf;

use serde_json::Value;

use super::cell::Cell;
use super::file::NewFile;
use super::table::Table;
use crate::error::{Result, TrackError};
use crate::measured::number;

/// Writes comma-separated values.
pub(super) struct CsvRows<'file> {
    writer: csv::Writer<&'file mut NewFile>,
    path: PathBuf,
}

/// Writes an object on each line.
pub(super) struct JsonRows<'file> {
    file: &'file mut NewFile,
    table: Table,
}

impl<'file> CsvRows<'file> {
    pub(super) fn begin(file: &'file mut NewFile, table: Table) -> Result<Self> {
        let path = file.path().to_owned();
        let mut rows = Self { writer: csv::Writer::from_writer(file), path };
        rows.record(table.columns().iter().map(|(name, _)| (*name).to_owned()).collect())?;
        Ok(rows)
    }

    pub(super) fn push(&mut self, cells: Vec<Cell>) -> Result<()> {
        self.record(cells.into_iter().map(as_text).collect())
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.writer.flush().map_err(|source| TrackError::Io { path: self.path, source })
    }

    fn record(&mut self, fields: Vec<String>) -> Result<()> {
        self.writer
            .write_record(fields)
            .map_err(|error| TrackError::Io { path: self.path.clone(), source: error.into() })
    }
}

impl<'file> JsonRows<'file> {
    pub(super) fn begin(file: &'file mut NewFile, table: Table) -> Self {
        Self { file, table }
    }

    pub(super) fn push(&mut self, cells: Vec<Cell>) -> Result<()> {
        let mut line = String::from("{");
        for ((name, _), cell) in self.table.columns().iter().zip(cells) {
            if line.len() > 1 {
                line.push(',');
            }
            line.push_str(&format!("\"{name}\":"));
            line.push_str(&as_json(cell));
        }
        line.push_str("}\n");
        self.file.write_all(line.as_bytes()).map_err(|source| self.file.failed(source))
    }
}

/// Numbers have as many digits as it takes to read them back.
fn as_text(cell: Cell) -> String {
    match cell {
        Cell::Absent => String::new(),
        Cell::Text(text) | Cell::Json(text) => text,
        Cell::Integer(number) => number.to_string(),
        Cell::Truth(truth) => truth.to_string(),
        Cell::Real(number) => {
            number::name(number).map_or_else(|| format!("{number:?}"), str::to_owned)
        }
    }
}

fn as_json(cell: Cell) -> String {
    match cell {
        Cell::Absent => Value::Null.to_string(),
        Cell::Text(text) => Value::from(text).to_string(),
        Cell::Json(text) => text,
        Cell::Integer(number) => number.to_string(),
        Cell::Truth(truth) => truth.to_string(),
        Cell::Real(number) => match number::name(number) {
            Some(name) => Value::from(name).to_string(),
            None => Value::from(number).to_string(),
        },
    }
}
