use std::io::{BufRead, Read};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::{DataError, Result};
use crate::read::input::{Bytes, broken};
use crate::read::json::{JsonFault, Parsed};
use crate::read::lines::too_long;
use crate::read::raw::{Body, Raw};
use crate::record::{Origin, Position};

/// Rows of cells, the first of which names the columns.
pub(crate) struct Table {
    file: Arc<Path>,
    bytes: Bytes,
    max: usize,
    /// The number of the last line that was read.
    line: u64,
    ended: bool,
    pub(crate) blank: u64,
    pub(crate) header: Arc<Header>,
}

/// The columns' names, and what parts them.
pub(crate) struct Header {
    columns: Vec<String>,
    delimiter: u8,
}

impl Table {
    pub(crate) fn new(file: Arc<Path>, bytes: Bytes, delimiter: u8, max: usize) -> Result<Self> {
        let header = Arc::new(Header { columns: Vec::new(), delimiter });
        let mut table = Self { file, bytes, max, line: 0, ended: false, blank: 0, header };
        let mut text = Vec::new();
        let Some(_) = table.next(&mut text).map_err(|error| match error {
            DataError::Record { origin, message } => DataError::File {
                path: origin.file.to_path_buf(),
                message: format!("the header, {}: {message}", origin.position),
            },
            other => other,
        })?
        else {
            return Err(DataError::File {
                path: table.file.to_path_buf(),
                message: "is empty; its first line is to name the columns".to_owned(),
            });
        };
        let columns = cells(&text, delimiter).map_err(|fault| DataError::File {
            path: table.file.to_path_buf(),
            message: format!("the header, column {}: {}", fault.column, fault.message),
        })?;
        let mut sorted: Vec<&String> = columns.iter().collect();
        sorted.sort();
        if let Some([name, _]) = sorted.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some([a, b]),
            _ => None,
        }) {
            let message = format!("the header names the column `{name}` twice; rename one");
            return Err(DataError::File { path: table.file.to_path_buf(), message });
        }
        table.header = Arc::new(Header { columns, delimiter });
        Ok(table)
    }

    pub(crate) fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Raw>> {
        let start = buffer.len();
        if self.ended {
            return Ok(None);
        }
        loop {
            buffer.truncate(start);
            let first = self.line + 1;
            let mut state = Scan::default();
            let mut scanned = start;
            // A row ends with the first line break that is not quoted.
            loop {
                let room = (self.max + 2).saturating_sub(buffer.len() - start) as u64;
                let mut limited = (&mut self.bytes).take(room);
                let read = limited
                    .read_until(b'\n', buffer)
                    .map_err(|source| broken(&self.file, source))?;
                if read == 0 {
                    if buffer.len() == start {
                        return Ok(None);
                    }
                    if buffer.len() - start > self.max {
                        return Err(self.beyond(first, start, buffer, state == Scan::Quoted)?);
                    }
                    self.ended = true;
                    if state == Scan::Quoted {
                        return Err(self.unclosed(first));
                    }
                    break;
                }
                state.scan(buffer.get(scanned..).unwrap_or_default(), self.header.delimiter);
                scanned = buffer.len();
                if buffer.last() == Some(&b'\n') {
                    self.line += 1;
                    if state != Scan::Quoted {
                        break;
                    }
                }
            }
            if buffer.last() != Some(&b'\n') {
                self.line += 1;
            }
            let text = buffer.get(start..).unwrap_or_default();
            let text = text.strip_suffix(b"\n").unwrap_or(text);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if text.is_empty() {
                self.blank += 1;
                continue;
            }
            if text.len() > self.max {
                buffer.truncate(start);
                return Err(self.record(first, too_long(self.max)));
            }
            let end = start + text.len();
            buffer.truncate(end);
            return Ok(Some(Raw {
                position: Position::Line(first),
                start: (first, 1),
                body: Body::Text(start..end),
            }));
        }
    }

    /// The error about a row that is too long, whose end is looked for so that reading can go on;
    /// not within quotes, of which one may just not be closed.
    fn beyond(
        &mut self,
        first: u64,
        start: usize,
        buffer: &mut Vec<u8>,
        quoted: bool,
    ) -> Result<DataError> {
        buffer.truncate(start);
        if quoted {
            self.ended = true;
            return Ok(self.unclosed(first));
        }
        loop {
            buffer.truncate(start);
            let mut limited = (&mut self.bytes).take(1 << 20);
            let read =
                limited.read_until(b'\n', buffer).map_err(|source| broken(&self.file, source))?;
            if read == 0 || buffer.last() == Some(&b'\n') {
                break;
            }
        }
        buffer.truncate(start);
        self.line += 1;
        Ok(self.record(first, too_long(self.max)))
    }

    fn record(&self, line: u64, message: String) -> DataError {
        let origin = Origin { file: Arc::clone(&self.file), position: Position::Line(line) };
        DataError::Record { origin, message }
    }

    fn unclosed(&self, line: u64) -> DataError {
        DataError::File {
            path: self.file.to_path_buf(),
            message: format!(
                "a quotation mark is opened in the row that begins on line {line}, and not closed \
                 within max_record_bytes ({}); a quotation mark within a quoted cell is doubled",
                self.max
            ),
        }
    }
}

impl Header {
    /// The fields of a row.
    pub(crate) fn fields(&self, text: &[u8]) -> Parsed<Map<String, Value>> {
        let cells = cells(text, self.delimiter)?;
        if cells.len() != self.columns.len() {
            let message = format!(
                "the row has {} cells where the header names {} columns; quote cells that contain \
                 the delimiter",
                cells.len(),
                self.columns.len()
            );
            return Err(JsonFault { line: 1, column: 1, message });
        }
        let mut fields = Map::with_capacity(cells.len());
        for (column, cell) in self.columns.iter().zip(cells) {
            fields.insert(column.clone(), Value::String(cell));
        }
        Ok(fields)
    }
}

/// Follows quotation marks through a row.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Scan {
    /// At the beginning of a cell.
    #[default]
    Start,
    /// In a cell that is not quoted, in which a quotation mark is a plain character.
    Plain,
    Quoted,
    /// After a quotation mark that closes the cell, or is doubled by the next one.
    Closed,
}

impl Scan {
    fn scan(&mut self, text: &[u8], delimiter: u8) {
        for byte in text {
            *self = match (*self, *byte) {
                (Self::Quoted, b'"') => Self::Closed,
                (Self::Quoted, _) | (Self::Start | Self::Closed, b'"') => Self::Quoted,
                (_, byte) if byte == delimiter => Self::Start,
                _ => Self::Plain,
            };
        }
    }
}

/// The cells of a row.
fn cells(text: &[u8], delimiter: u8) -> Parsed<Vec<String>> {
    let fault = |at: usize, message: &str| {
        let before = text.get(..at).unwrap_or(text);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        JsonFault { line, column, message: message.to_owned() }
    };
    let whole = std::str::from_utf8(text)
        .map_err(|error| fault(error.valid_up_to(), "the text is not UTF-8; convert it first"))?;
    if let Some(at) = whole.find('\0') {
        return Err(fault(at, "a NUL byte, which text files do not have; is it UTF-16?"));
    }
    let delimiter = char::from(delimiter);
    let mut cells = Vec::new();
    let mut at = 0;
    loop {
        let rest = whole.get(at..).unwrap_or_default();
        let mut cell = String::new();
        if let Some(mut inner) = rest.strip_prefix('"') {
            at += 1;
            loop {
                let Some(end) = inner.find('"') else {
                    return Err(fault(text.len(), "a quotation mark is not closed"));
                };
                cell.push_str(inner.get(..end).unwrap_or_default());
                at += end + 1;
                inner = inner.get(end + 1..).unwrap_or_default();
                let Some(more) = inner.strip_prefix('"') else { break };
                cell.push('"');
                at += 1;
                inner = more;
            }
            if !(inner.is_empty() || inner.starts_with(delimiter)) {
                let message = "text follows a closing quotation mark; within a quoted cell a \
                               quotation mark is doubled";
                return Err(fault(at, message));
            }
        } else {
            let end = rest.find(delimiter).unwrap_or(rest.len());
            cell.push_str(rest.get(..end).unwrap_or_default());
            if let Some(back) = cell.find('\r') {
                let message = "a carriage return that is neither quoted nor before a line break";
                return Err(fault(at + back, message));
            }
            at += end;
        }
        cells.push(cell);
        if at >= whole.len() {
            return Ok(cells);
        }
        // Over the delimiter; a cell follows even where the text ends.
        at += 1;
    }
}
