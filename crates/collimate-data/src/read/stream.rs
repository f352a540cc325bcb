use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use crate::error::{DataError, Result};
use crate::read::input::{Bytes, broken};

/// JSON text that is walked through without being kept, with the position in it.
pub(crate) struct JsonStream {
    file: Arc<Path>,
    bytes: Bytes,
    line: u64,
    column: u64,
}

/// How far a value was copied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Copied {
    Whole,
    /// It has more bytes than may be kept; it was walked through all the same.
    TooLong,
    /// The text ends within it.
    CutOff,
}

impl JsonStream {
    pub(crate) fn new(file: Arc<Path>, bytes: Bytes) -> Self {
        Self { file, bytes, line: 1, column: 1 }
    }

    pub(crate) fn file(&self) -> &Arc<Path> {
        &self.file
    }

    /// The line and the column in bytes, from 1, of the next byte.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.line, self.column)
    }

    /// An error about the whole file at this place.
    pub(crate) fn fault(&self, message: &str) -> DataError {
        DataError::File {
            path: self.file.to_path_buf(),
            message: format!("line {}, column {}: {message}", self.line, self.column),
        }
    }

    /// The next byte that is no white space, which is not taken.
    pub(crate) fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let buffer = self.bytes.fill_buf().map_err(|source| broken(&self.file, source))?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let space = buffer.iter().take_while(|byte| is_space(**byte)).count();
            let found = buffer.get(space).copied();
            self.advance(space);
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Takes the byte that was seen.
    pub(crate) fn take(&mut self) {
        self.advance(1);
    }

    /// Takes the value whose first byte was seen, and appends it to `out`, at most `max` bytes.
    /// Only its extent is found; whether it is valid is for a parser to say.
    pub(crate) fn value(&mut self, out: &mut Vec<u8>, max: usize) -> Result<Copied> {
        let (mut depth, mut in_string, mut escaped) = (0_u64, false, false);
        let mut kept = 0;
        let mut seen = 0_u64;
        loop {
            let buffer = self.bytes.fill_buf().map_err(|source| broken(&self.file, source))?;
            if buffer.is_empty() {
                let scalar = depth == 0 && !in_string && seen > 0;
                return Ok(if scalar { Copied::Whole } else { Copied::CutOff });
            }
            let mut end = None;
            let mut at = 0;
            while let Some(byte) = buffer.get(at) {
                if in_string {
                    if escaped {
                        escaped = false;
                        at += 1;
                        continue;
                    }
                    let rest = buffer.get(at..).unwrap_or_default();
                    let Some(skip) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))
                    else {
                        at = buffer.len();
                        break;
                    };
                    at += skip + 1;
                    if rest.get(skip) == Some(&b'\\') {
                        escaped = true;
                    } else {
                        in_string = false;
                        if depth == 0 {
                            end = Some(at);
                            break;
                        }
                    }
                    continue;
                }
                match byte {
                    b'"' => in_string = true,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' if depth == 0 => {
                        end = Some(at);
                        break;
                    }
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            end = Some(at + 1);
                            break;
                        }
                    }
                    b',' if depth == 0 => {
                        end = Some(at);
                        break;
                    }
                    byte if depth == 0 && is_space(*byte) => {
                        end = Some(at);
                        break;
                    }
                    _ => {}
                }
                at += 1;
            }
            let taken = end.unwrap_or(at);
            let room = (max - kept).min(taken);
            out.extend_from_slice(buffer.get(..room).unwrap_or_default());
            kept += room;
            seen += taken as u64;
            self.advance(taken);
            if end.is_some() {
                let whole = seen == kept as u64;
                return Ok(if whole { Copied::Whole } else { Copied::TooLong });
            }
        }
    }

    fn advance(&mut self, count: usize) {
        // The buffer is filled already: this neither reads nor fails.
        if let Ok(buffer) = self.bytes.fill_buf() {
            let taken = buffer.get(..count).unwrap_or(buffer);
            let lines = taken.iter().filter(|byte| **byte == b'\n').count() as u64;
            if lines == 0 {
                self.column += taken.len() as u64;
            } else {
                self.line += lines;
                let after = taken.iter().rev().take_while(|byte| **byte != b'\n').count();
                self.column = after as u64 + 1;
            }
        }
        self.bytes.consume(count);
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
