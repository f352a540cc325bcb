//! Records into files.

mod cells;
mod columns;
mod file;

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{DataError, Result};
use crate::read::{Format, endings};
use crate::write::cells::Cells;
use crate::write::columns::ColumnWriter;
use crate::write::file::NewFile;

/// A file that was written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WrittenFile {
    /// Its records.
    pub records: u64,
    /// Its size in bytes, compressed as it is.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
}

/// Writes records into a file, which appears whole or not at all and replaces one of its name.
///
/// A `.gz` or `.zst` after the ending compresses the file. The same records give the same bytes.
///
/// | format | columns | values |
/// |---|---|---|
/// | JSON Lines, JSON | those of each record | as they are |
/// | CSV, TSV | those of the first record | texts as they are, null and what is missing as an empty cell, all else as JSON |
/// | Parquet | those of the first 10,000 records; all optional | texts, truth values, whole numbers and floats as such; lists and objects as JSON text |
///
/// ```
/// use collimate_data::{Format, write_records};
/// use serde_json::json;
///
/// let dir = tempfile::tempdir()?;
/// let records = [json!({"text": "One."}), json!({"text": "Two."})];
/// let fields = records.iter().map(|record| Ok(record.as_object().cloned().unwrap_or_default()));
/// let written = write_records(&dir.path().join("train.jsonl"), Format::JsonLines, fields)?;
/// assert_eq!((written.records, written.bytes), (2, 32));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The file can't be written; its ending says another format; the iterator yields an error, which is
/// returned; a record has a column that the format can't take any more, or a value that does not fit
/// into its column.
pub fn write_records<I>(path: &Path, format: Format, records: I) -> Result<WrittenFile>
where
    I: IntoIterator<Item = Result<Map<String, Value>>>,
{
    let (named, compression) = endings(path);
    if named.is_some_and(|named| named != format) {
        return Err(DataError::File {
            path: path.to_path_buf(),
            message: format!("has the ending of another format than {format:?}; rename it"),
        });
    }
    let mut file = NewFile::create(path, compression)?;
    let records = records.into_iter();
    let count = match format {
        Format::JsonLines => write_json(&mut file, records, "", "\n", "\n", "")?,
        Format::Json => write_json(&mut file, records, "[", ",\n", "", "]\n")?,
        Format::Csv => Cells::write(&mut file, records, b',')?,
        Format::Tsv => Cells::write(&mut file, records, b'\t')?,
        Format::Parquet => ColumnWriter::write(&mut file, records)?,
    };
    let (bytes, sha256) = file.finish()?;
    Ok(WrittenFile { records: count, bytes, sha256 })
}

fn write_json(
    file: &mut NewFile,
    records: impl Iterator<Item = Result<Map<String, Value>>>,
    open: &str,
    between: &str,
    last: &str,
    close: &str,
) -> Result<u64> {
    let mut count = 0;
    file.bytes(open.as_bytes())?;
    let mut text = Vec::new();
    for record in records {
        let record = record?;
        text.clear();
        if count > 0 {
            text.extend_from_slice(between.as_bytes());
        }
        serde_json::to_writer(&mut text, &record)
            .map_err(|error| file.refused(count + 1, &error.to_string()))?;
        file.bytes(&text)?;
        count += 1;
    }
    if count > 0 {
        file.bytes(last.as_bytes())?;
    }
    file.bytes(close.as_bytes())?;
    Ok(count)
}
