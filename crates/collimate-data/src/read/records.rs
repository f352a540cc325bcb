use std::iter::FusedIterator;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use crate::error::{DataError, Result};
use crate::read::open::open_file;
use crate::read::raw::{Parser, Raw, Reader};
use crate::read::settings::{OnError, ReadSettings};
use crate::record::Record;

/// Bytes of records that a batch may have before they are parsed. What they become still fits into
/// a processor's cache: with sixteen times as much, parsing costs twice the time.
const BATCH_BYTES: usize = 256 << 10;
/// Errors that are told in a report.
const TOLD_ERRORS: usize = 5;
/// A buffer that grew beyond this for one record is given back.
const KEPT_BUFFER: usize = 8 << 20;

/// The records of a [`Source`](crate::Source), read as they are asked for.
///
/// As an iterator it yields one record after another; [`next_batch`](Self::next_batch) parses many
/// in parallel. After an error that ends the reading it yields nothing more.
pub struct Records {
    files: std::vec::IntoIter<Arc<Path>>,
    settings: ReadSettings,
    open: Option<Open>,
    buffer: Vec<u8>,
    report: ReadReport,
    /// Blank lines of the files that are read to their end.
    blank_before: u64,
}

struct Open {
    file: Arc<Path>,
    reader: Reader,
    parser: Parser,
}

/// What was read.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReadReport {
    /// Files that were opened.
    pub files: u64,
    /// Their bytes, compressed as they are.
    pub bytes: u64,
    /// Records that were read.
    pub records: u64,
    /// Lines without anything on them, which are no records.
    pub blank_lines: u64,
    /// Records that were left out because they can't be read; see [`OnError::Skip`].
    pub skipped: u64,
    /// The first of their errors.
    pub first_errors: Vec<String>,
    /// What else is to be known, such as parts of a file that are not records.
    pub notes: Vec<String>,
}

impl Records {
    pub(crate) fn new(files: Vec<Arc<Path>>, settings: ReadSettings) -> Self {
        Self {
            files: files.into_iter(),
            settings,
            open: None,
            buffer: Vec::new(),
            report: ReadReport::default(),
            blank_before: 0,
        }
    }

    /// What was read so far.
    pub fn report(&self) -> &ReadReport {
        &self.report
    }

    /// Up to `most` next records, in order, parsed in parallel by the threads of the current
    /// [`rayon`] pool; nothing at the end.
    ///
    /// A batch has at least one item and never spans two files; it ends with the record that brings
    /// it to 256 KiB. Which records share a batch does not depend on the number of threads.
    pub fn next_batch(&mut self, most: usize) -> Option<Vec<Result<Record>>> {
        loop {
            let (raws, failure) = self.gather(most.max(1))?;
            let mut parsed: Vec<Result<Record>> = match &self.open {
                Some(open) => {
                    let (parser, file, buffer) = (&open.parser, &open.file, &self.buffer);
                    raws.into_par_iter().map(|raw| parser.parse(file, raw, buffer)).collect()
                }
                None => Vec::new(),
            };
            parsed.extend(failure.map(Err));
            let mut kept = Vec::with_capacity(parsed.len());
            for record in parsed {
                let ends = record.is_err();
                if let Some(record) = self.judge(record) {
                    kept.push(record);
                    if ends {
                        break;
                    }
                }
            }
            if !kept.is_empty() {
                return Some(kept);
            }
        }
    }

    /// Finds records for a batch in the buffer, and the error that follows them if there is one.
    fn gather(&mut self, most: usize) -> Option<(Vec<Raw>, Option<DataError>)> {
        self.empty_buffer();
        let mut raws = Vec::new();
        loop {
            match self.find(raws.is_empty())? {
                Ok(Some(raw)) => raws.push(raw),
                Ok(None) => return Some((raws, None)),
                Err(error) => return Some((raws, Some(error))),
            }
            if raws.len() >= most || self.buffer.len() >= BATCH_BYTES {
                return Some((raws, None));
            }
        }
    }

    /// Finds the next record. At the end of a file the next one is opened if `proceed`, else
    /// nothing is returned; at the end of the last there is no more.
    fn find(&mut self, proceed: bool) -> Option<Result<Option<Raw>>> {
        loop {
            if let Some(open) = &mut self.open {
                let found = open.reader.next(&mut self.buffer);
                self.report.blank_lines = self.blank_before + open.reader.blank_lines();
                match found {
                    Ok(None) if !proceed => return Some(Ok(None)),
                    Ok(None) => {
                        self.blank_before = self.report.blank_lines;
                        self.open = None;
                    }
                    other => return Some(other),
                }
            }
            let file = self.files.next()?;
            match open_file(&file, &self.settings) {
                Ok(opened) => {
                    self.report.files += 1;
                    self.report.bytes += opened.bytes;
                    self.report.notes.extend(opened.note);
                    let parser = opened.reader.parser();
                    self.open = Some(Open { file, reader: opened.reader, parser });
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Counts a record, and applies the policy for one that can't be read.
    fn judge(&mut self, record: Result<Record>) -> Option<Result<Record>> {
        match record {
            Ok(record) => {
                self.report.records += 1;
                Some(Ok(record))
            }
            Err(error @ (DataError::Record { .. } | DataError::Field { .. }))
                if self.settings.on_error == OnError::Skip =>
            {
                self.report.skipped += 1;
                if self.report.first_errors.len() < TOLD_ERRORS {
                    self.report.first_errors.push(error.to_string());
                }
                None
            }
            Err(error) => {
                self.open = None;
                self.files = Vec::new().into_iter();
                Some(Err(error))
            }
        }
    }

    fn empty_buffer(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER);
    }
}

impl Iterator for Records {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.empty_buffer();
            let record = match self.find(true)? {
                Ok(Some(raw)) => {
                    let open = self.open.as_ref()?;
                    open.parser.parse(&open.file, raw, &self.buffer)
                }
                // Only without leave to proceed.
                Ok(None) => return None,
                Err(error) => Err(error),
            };
            if let Some(record) = self.judge(record) {
                return Some(record);
            }
        }
    }
}

impl FusedIterator for Records {}
