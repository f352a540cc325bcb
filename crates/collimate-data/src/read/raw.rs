use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::{DataError, Result};
use crate::read::columns::Columns;
use crate::read::document::Document;
use crate::read::json::parse_object;
use crate::read::lines::Lines;
use crate::read::table::{Header, Table};
use crate::record::{Origin, Position, Record};

/// A record that has been found but not parsed.
pub(crate) struct Raw {
    pub(crate) position: Position,
    /// The line and the column in bytes at which it begins in its file.
    pub(crate) start: (u64, u64),
    pub(crate) body: Body,
}

pub(crate) enum Body {
    /// Bytes of the buffer that it was read into.
    Text(Range<usize>),
    /// Its fields already.
    Fields(Map<String, Value>),
}

/// One file being read.
pub(crate) enum Reader {
    Lines(Lines),
    Document(Document),
    Table(Table),
    Columns(Box<Columns>),
}

impl Reader {
    /// Finds the next record, whose bytes are appended to the buffer. After an error about a
    /// record the next one can be read; after any other there is none.
    pub(crate) fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Raw>> {
        match self {
            Self::Lines(lines) => lines.next(buffer),
            Self::Document(document) => document.next(buffer),
            Self::Table(table) => table.next(buffer),
            Self::Columns(columns) => columns.next(),
        }
    }

    /// Lines without content so far.
    pub(crate) fn blank_lines(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.blank,
            Self::Table(table) => table.blank,
            Self::Document(_) | Self::Columns(_) => 0,
        }
    }

    pub(crate) fn parser(&self) -> Parser {
        match self {
            Self::Lines(_) | Self::Document(_) | Self::Columns(_) => Parser::Json,
            Self::Table(table) => Parser::Row(Arc::clone(&table.header)),
        }
    }
}

/// Parses what a [`Reader`] found, on any thread.
#[derive(Clone)]
pub(crate) enum Parser {
    Json,
    Row(Arc<Header>),
}

impl Parser {
    pub(crate) fn parse(&self, file: &Arc<Path>, raw: Raw, buffer: &[u8]) -> Result<Record> {
        let origin = Origin { file: Arc::clone(file), position: raw.position };
        let range = match raw.body {
            Body::Fields(fields) => return Ok(Record::new(fields, origin)),
            Body::Text(range) => range,
        };
        let text = buffer.get(range).unwrap_or_default();
        let fields = match self {
            Self::Json => parse_object(text).map_err(|fault| {
                let line = raw.start.0 + fault.line as u64 - 1;
                let before = if fault.line == 1 { raw.start.1 - 1 } else { 0 };
                place(line, before + fault.column as u64, raw.position, &fault.message)
            }),
            Self::Row(header) => header.fields(text).map_err(|fault| {
                let line = raw.start.0 + fault.line as u64 - 1;
                place(line, fault.column as u64, raw.position, &fault.message)
            }),
        };
        match fields {
            Ok(fields) => Ok(Record::new(fields, origin)),
            Err(message) => Err(DataError::Record { origin, message }),
        }
    }
}

/// A message that begins with the place, as far as the position does not say it.
fn place(line: u64, column: u64, position: Position, message: &str) -> String {
    match position {
        Position::Line(known) if known == line => format!("column {column}: {message}"),
        _ => format!("line {line}, column {column}: {message}"),
    }
}
