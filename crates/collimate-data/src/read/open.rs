use std::io::{self, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use crate::error::{DataError, Result};
use crate::read::columns::Columns;
use crate::read::document::{Document, Layout, layout};
use crate::read::format::{ENDINGS, Format, endings};
use crate::read::input::{Bytes, check_encoding, open, open_regular, peek};
use crate::read::lines::Lines;
use crate::read::raw::Reader;
use crate::read::settings::ReadSettings;
use crate::read::stream::JsonStream;
use crate::read::table::Table;

/// An opened file, its size in bytes, and what is to be told about it.
pub(crate) struct Opened {
    pub(crate) reader: Reader,
    pub(crate) bytes: u64,
    pub(crate) note: Option<String>,
}

/// Opens a file as what its name, its beginning and the settings say.
pub(crate) fn open_file(file: &Arc<Path>, settings: &ReadSettings) -> Result<Opened> {
    let refused = |message: String| DataError::File { path: file.to_path_buf(), message };
    let mut input = open(file)?;
    let named = settings.format.or(endings(file).0);
    let start = peek(file, &mut input.bytes)?;
    let is_parquet = start.starts_with(b"PAR1");
    if is_parquet && named.is_some_and(|named| named != Format::Parquet) {
        return Err(refused(
            "begins as a Parquet file does; rename it, or set its format".to_owned(),
        ));
    }
    if !is_parquet && named == Some(Format::Parquet) {
        return Err(refused("is no Parquet file: it does not begin with PAR1".to_owned()));
    }
    let size = input.size;
    if is_parquet {
        let reader = Reader::Columns(Box::new(match input.compression {
            None => {
                let (opened, size) = open_regular(file)?;
                Columns::new(Arc::clone(file), opened, size)?
            }
            Some(_) => unpacked(file, input.bytes, settings.max_unpacked_bytes)?,
        }));
        return Ok(Opened { reader, bytes: size, note: None });
    }

    check_encoding(file, &mut input.bytes)?;
    let start = peek(file, &mut input.bytes)?;
    let first = start.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    let format = match (named, first) {
        (Some(format), _) => format,
        (None, Some(b'{' | b'[')) => Format::Json,
        (None, None) => return Err(refused("is empty and has no known ending".to_owned())),
        (None, _) => {
            return Err(refused(format!(
                "has no known ending ({ENDINGS}) and does not begin as JSON; set its format"
            )));
        }
    };
    let max = settings.max_record_bytes;
    let mut note = None;
    let reader = match format {
        Format::JsonLines if first == Some(b'[') => {
            return Err(refused(
                "begins with [, as a JSON array does; JSON Lines have one {…} per line. Rename it \
                 to .json, or set its format"
                    .to_owned(),
            ));
        }
        Format::JsonLines => Reader::Lines(Lines::new(Arc::clone(file), input.bytes, max)),
        Format::Json => {
            let (document, told) = document(file, input.bytes, first, settings)?;
            note = told;
            Reader::Document(document)
        }
        Format::Csv => Reader::Table(Table::new(Arc::clone(file), input.bytes, b',', max)?),
        Format::Tsv => Reader::Table(Table::new(Arc::clone(file), input.bytes, b'\t', max)?),
        // Handled above: what has no PAR1 at its beginning is refused.
        Format::Parquet => return Err(refused("is no Parquet file".to_owned())),
    };
    Ok(Opened { reader, bytes: size, note })
}

fn document(
    file: &Arc<Path>,
    bytes: Bytes,
    first: Option<u8>,
    settings: &ReadSettings,
) -> Result<(Document, Option<String>)> {
    let max = settings.max_record_bytes;
    let mut stream = JsonStream::new(Arc::clone(file), bytes);
    if first.is_none() && stream.peek()?.is_none() {
        return Err(DataError::File {
            path: file.to_path_buf(),
            message: "is empty; a JSON file is to hold an array of objects".to_owned(),
        });
    }
    if stream.peek()? == Some(b'[') {
        return Ok((Document::new(stream, max)?, None));
    }
    let again = || -> Result<JsonStream> {
        let mut bytes = open(file)?.bytes;
        check_encoding(file, &mut bytes)?;
        Ok(JsonStream::new(Arc::clone(file), bytes))
    };
    if let Some(field) = &settings.records_field {
        return Ok((Document::around(again()?, field, max)?, None));
    }
    // What the first object is can't be known before its end, so it is walked through once.
    match layout(&mut stream, max)? {
        Layout::Objects => Ok((Document::new(again()?, max)?, None)),
        Layout::Around(field, others) => {
            let note = (!others.is_empty()).then(|| {
                format!(
                    "{}: records are read from the array `{field}`; not read: `{}`",
                    file.display(),
                    others.join("`, `")
                )
            });
            Ok((Document::around(again()?, &field, max)?, note))
        }
    }
}

/// Unpacks a Parquet file, which is read from its end, into a file without a name.
fn unpacked(file: &Arc<Path>, bytes: Bytes, most: u64) -> Result<Columns> {
    let failed = |source| DataError::Io { path: file.to_path_buf(), source };
    let mut unpacked = tempfile::tempfile().map_err(failed)?;
    let mut limited = io::Read::take(bytes, most.saturating_add(1));
    let size = io::copy(&mut limited, &mut unpacked)
        .map_err(|source| crate::read::input::broken(file, source))?;
    if size > most {
        return Err(DataError::File {
            path: file.to_path_buf(),
            message: format!("unpacks to more than {most} bytes (max_unpacked_bytes)"),
        });
    }
    unpacked.seek(SeekFrom::Start(0)).map_err(failed)?;
    Columns::new(Arc::clone(file), unpacked, size)
}
