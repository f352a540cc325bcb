use std::io::{BufRead, Read};
use std::path::Path;
use std::sync::Arc;

use crate::error::{DataError, Result};
use crate::read::input::{Bytes, broken};
use crate::read::raw::{Body, Raw};
use crate::record::{Origin, Position};

/// Lines, each of which is to be a JSON object.
pub(crate) struct Lines {
    file: Arc<Path>,
    bytes: Bytes,
    max: usize,
    line: u64,
    pub(crate) blank: u64,
}

impl Lines {
    pub(crate) fn new(file: Arc<Path>, bytes: Bytes, max: usize) -> Self {
        Self { file, bytes, max, line: 0, blank: 0 }
    }

    pub(crate) fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Raw>> {
        let start = buffer.len();
        loop {
            buffer.truncate(start);
            if self.read(self.max as u64 + 2, buffer)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            let whole = buffer.last() == Some(&b'\n');
            let text = buffer.get(start..).unwrap_or_default().trim_ascii_end();
            if text.len() > self.max {
                if !whole {
                    self.skip_rest(buffer, start)?;
                }
                buffer.truncate(start);
                return Err(DataError::Record {
                    origin: Origin {
                        file: Arc::clone(&self.file),
                        position: Position::Line(self.line),
                    },
                    message: too_long(self.max),
                });
            }
            if text.is_empty() {
                if !whole && buffer.len() - start > self.max {
                    // Nothing but spaces so far: the line is not known to be blank.
                    self.skip_rest(buffer, start)?;
                    return Err(DataError::Record {
                        origin: Origin {
                            file: Arc::clone(&self.file),
                            position: Position::Line(self.line),
                        },
                        message: too_long(self.max),
                    });
                }
                self.blank += 1;
                continue;
            }
            let end = start + text.len();
            buffer.truncate(end);
            return Ok(Some(Raw {
                position: Position::Line(self.line),
                start: (self.line, 1),
                body: Body::Text(start..end),
            }));
        }
    }

    fn read(&mut self, most: u64, buffer: &mut Vec<u8>) -> Result<usize> {
        let mut limited = (&mut self.bytes).take(most);
        limited.read_until(b'\n', buffer).map_err(|source| broken(&self.file, source))
    }

    fn skip_rest(&mut self, buffer: &mut Vec<u8>, start: usize) -> Result<()> {
        loop {
            buffer.truncate(start);
            let read = self.read(1 << 20, buffer)?;
            if read == 0 || buffer.last() == Some(&b'\n') {
                buffer.truncate(start);
                return Ok(());
            }
        }
    }
}

/// The message about a record that is larger than the setting allows.
pub(crate) fn too_long(max: usize) -> String {
    format!("the record is longer than {max} bytes; if it is meant to be, raise max_record_bytes")
}
