use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Details, FORMAT, FORMAT_VERSION};
use crate::error::{DataError, Result};
use crate::positional::Positional;
use crate::prepare::preference::PreferenceRow;
use crate::prepare::report::PrepareReport;
use crate::record::{Origin, Position};
use crate::row::Row;

/// The largest header, in bytes.
const LARGEST_HEADER: u64 = 1 << 20;
/// Bytes of an array that are read at a time.
const CHUNK: usize = 1 << 20;

/// Prepared rows in a file. Rows are read when they are asked for, from any thread; in memory are
/// only where they begin, 8 bytes for each.
#[derive(Debug)]
pub struct PreparedRows {
    path: PathBuf,
    file: Positional,
    fingerprint: String,
    /// Where the arrays begin in the file.
    ids: u64,
    trained: u64,
    origins: u64,
    row_offsets: Vec<u64>,
    prompt_lengths: Option<Vec<u64>>,
    groups: Option<u64>,
    files: Vec<Arc<Path>>,
    settings: Value,
    report: PrepareReport,
    notes: Map<String, Value>,
}

impl PreparedRows {
    /// Opens a file and checks that its arrays fit together.
    ///
    /// # Errors
    ///
    /// The file can't be read, or is not one that [`PreparedWriter`](crate::PreparedWriter) wrote.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let io = |source| DataError::Io { path: path.to_owned(), source };
        let wrong = |message: String| DataError::File { path: path.to_owned(), message };
        // A named pipe would block before it could be looked at.
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(wrong("it is not a file".to_owned()));
        }
        let file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let arrays = Arrays { file: Positional::new(file), path, size };
        let header = arrays.header()?;

        let ids = header.array("ids", "U32", 1).map_err(wrong)?;
        let trained = header.array("trained", "U8", 1).map_err(wrong)?;
        let offsets = header.array("row_offsets", "U64", 1).map_err(wrong)?;
        let origins = header.array("origins", "U64", 2).map_err(wrong)?;
        let details = header.array("details", "U8", 1).map_err(wrong)?;
        let prompts = match header.tensors.contains_key("prompt_lengths") {
            true => Some(header.array("prompt_lengths", "U64", 1).map_err(wrong)?),
            false => None,
        };
        let groups = match header.tensors.contains_key("groups") {
            true => Some(header.array("groups", "U32", 1).map_err(wrong)?),
            false => None,
        };
        let row_offsets = arrays.numbers(&offsets)?;
        let ends = (row_offsets.first(), row_offsets.last());
        if ends != (Some(&0), Some(&ids.rows)) || !row_offsets.is_sorted() {
            return Err(wrong("its rows do not divide its tokens".to_owned()));
        }
        let rows = row_offsets.len() as u64 - 1;
        let per_record = 1 + u64::from(prompts.is_some());
        let records = rows / per_record;
        let consistent = trained.rows == ids.rows
            && rows.is_multiple_of(per_record)
            && (origins.rows, origins.columns) == (records, 3)
            && prompts.as_ref().is_none_or(|prompts| prompts.rows == records)
            && groups.as_ref().is_none_or(|groups| groups.rows == records);
        if !consistent {
            return Err(wrong("its arrays do not have the same number of rows".to_owned()));
        }
        let details: Details = serde_json::from_slice(&arrays.bytes(&details)?)
            .map_err(|error| wrong(format!("its details are wrong: {error}")))?;
        Ok(Self {
            ids: ids.bytes.start,
            trained: trained.bytes.start,
            origins: origins.bytes.start,
            prompt_lengths: prompts.map(|prompts| arrays.numbers(&prompts)).transpose()?,
            groups: groups.map(|groups| groups.bytes.start),
            row_offsets,
            fingerprint: header.fingerprint,
            files: details.files.iter().map(|file| Path::new(file).into()).collect(),
            settings: details.settings,
            report: details.report,
            notes: details.notes,
            file: arrays.file,
            path: path.to_owned(),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The fingerprint of what the rows were made from.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The settings that were noted when the rows were made, or null.
    pub fn settings(&self) -> &Value {
        &self.settings
    }

    /// What was reported when the rows were made.
    pub fn report(&self) -> &PrepareReport {
        &self.report
    }

    /// What else was noted when the rows were made.
    pub fn notes(&self) -> &Map<String, Value> {
        &self.notes
    }

    /// Number of records that have rows.
    pub fn records(&self) -> usize {
        if self.has_preferences() { self.len() / 2 } else { self.len() }
    }

    /// For each record the first record that says the same, itself where none does; nothing where
    /// duplicates were not looked for.
    ///
    /// # Errors
    ///
    /// The file can't be read, or its groups are none.
    pub fn groups(&self) -> Result<Option<Vec<u32>>> {
        let Some(start) = self.groups else { return Ok(None) };
        let io = |source| DataError::Io { path: self.path.clone(), source };
        let mut groups: Vec<u32> = Vec::with_capacity(self.records());
        while groups.len() < self.records() {
            let count = (self.records() - groups.len()).min(CHUNK / 4);
            let position = start + groups.len() as u64 * 4;
            let bytes = self.file.read(position, count * 4).map_err(io)?;
            let (numbers, _) = bytes.as_chunks::<4>();
            groups.extend(numbers.iter().map(|number| u32::from_le_bytes(*number)));
        }
        let is_first = |first: u32| groups.get(first as usize) == Some(&first);
        let valid = |(row, first): (usize, &u32)| *first as usize <= row && is_first(*first);
        if groups.iter().enumerate().all(valid) {
            return Ok(Some(groups));
        }
        Err(DataError::File {
            path: self.path.clone(),
            message: "its groups do not name the first record of each".to_owned(),
        })
    }

    /// Number of rows; a preference has two.
    pub fn len(&self) -> usize {
        self.row_offsets.len().saturating_sub(1)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the rows are pairs of preferences: chosen, rejected, chosen, …
    pub fn has_preferences(&self) -> bool {
        self.prompt_lengths.is_some()
    }

    /// The number of tokens of each row.
    pub fn lengths(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.row_offsets.windows(2).map(width)
    }

    /// A row.
    ///
    /// # Errors
    ///
    /// There is no such row, or the file can't be read.
    pub fn row(&self, index: usize) -> Result<Row> {
        let mut rows = self.rows(index..index.saturating_add(1))?;
        rows.pop().ok_or_else(|| self.no_such(index))
    }

    /// Rows that follow each other, read at once.
    ///
    /// # Errors
    ///
    /// As for [`PreparedRows::row`].
    pub fn rows(&self, rows: Range<usize>) -> Result<Vec<Row>> {
        let none = || self.no_such(rows.end.saturating_sub(1));
        let offsets = match rows.end.checked_add(1) {
            Some(end) if rows.start < end => self.row_offsets.get(rows.start..end),
            _ => return Ok(Vec::new()),
        };
        let offsets = offsets.ok_or_else(none)?;
        let (start, end) = match offsets {
            [start, .., end] => (*start, *end),
            _ => return Ok(Vec::new()),
        };
        let io = |source| DataError::Io { path: self.path.clone(), source };
        let tokens = (end - start) as usize;
        let ids = self.file.read(self.ids + start * 4, tokens * 4).map_err(io)?;
        let trained = self.file.read(self.trained + start, tokens).map_err(io)?;
        if trained.iter().any(|trained| *trained > 1) {
            return Err(DataError::File {
                path: self.path.clone(),
                message: "a mask has a value that is neither 0 nor 1".to_owned(),
            });
        }
        let (ids, _) = ids.as_chunks::<4>();
        let mut ids = ids.iter().map(|id| u32::from_le_bytes(*id));
        let mut trained = trained.iter().map(|trained| *trained == 1);
        let rows = offsets.windows(2).map(width).map(|tokens| Row {
            ids: ids.by_ref().take(tokens).collect(),
            trained: trained.by_ref().take(tokens).collect(),
        });
        Ok(rows.collect())
    }

    /// All rows in order, many of them read at once.
    pub fn iter(&self) -> impl Iterator<Item = Result<Row>> + '_ {
        let mut next = 0;
        let mut block = Vec::new().into_iter();
        std::iter::from_fn(move || {
            if block.len() == 0 && next < self.len() {
                let end = self.end_of_block(next);
                block = match self.rows(next..end) {
                    Ok(rows) => rows.into_iter(),
                    Err(error) => {
                        next = self.len();
                        return Some(Err(error));
                    }
                };
                next = end;
            }
            block.next().map(Ok)
        })
    }

    /// The end of a block of rows: as many as come to a megabyte, at least one.
    fn end_of_block(&self, start: usize) -> usize {
        let first = self.row_offsets.get(start).copied().unwrap_or_default();
        let ends = self.row_offsets.get(start + 1..).unwrap_or_default();
        let within = ends.partition_point(|end| end - first <= CHUNK as u64 / 5);
        start + within.max(1)
    }

    /// A pair of rows.
    ///
    /// # Errors
    ///
    /// There is no such pair, or the file can't be read.
    pub fn preference(&self, index: usize) -> Result<PreferenceRow> {
        let prompt_len = self.prompt_lengths.as_ref().and_then(|lengths| lengths.get(index));
        let prompt_len = *prompt_len.ok_or_else(|| self.no_such(index))?;
        let mut rows = self.rows(2 * index..2 * index + 2)?.into_iter();
        let (Some(chosen), Some(rejected)) = (rows.next(), rows.next()) else {
            return Err(self.no_such(index));
        };
        let shared = usize::try_from(prompt_len).ok().filter(|shared| {
            chosen.ids.get(..*shared).is_some_and(|ids| rejected.ids.starts_with(ids))
        });
        match shared {
            Some(prompt_len) => Ok(PreferenceRow { prompt_len, chosen, rejected }),
            None => Err(DataError::File {
                path: self.path.clone(),
                message: format!("preference {index} has two prompts"),
            }),
        }
    }

    /// Where the record of a row was read.
    ///
    /// # Errors
    ///
    /// As for [`PreparedRows::row`].
    pub fn origin(&self, row: usize) -> Result<Origin> {
        if row >= self.len() {
            return Err(self.no_such(row));
        }
        let record = if self.has_preferences() { row / 2 } else { row };
        let io = |source| DataError::Io { path: self.path.clone(), source };
        let bytes = self.file.read(self.origins + record as u64 * 24, 24).map_err(io)?;
        let numbers = numbers(&bytes);
        let origin = match numbers.as_slice() {
            [file, one, other] => {
                let position = match file >> 32 {
                    0 => Some(Position::Line(*one)),
                    1 => Some(Position::Element(*one)),
                    2 => Some(Position::Row { group: *one, row: *other }),
                    _ => None,
                };
                let file = self.files.get((file & 0xffff_ffff) as usize);
                position.zip(file).map(|(position, file)| Origin { file: file.clone(), position })
            }
            _ => None,
        };
        origin.ok_or_else(|| DataError::File {
            path: self.path.clone(),
            message: format!("row {row} has no origin"),
        })
    }

    fn no_such(&self, row: usize) -> DataError {
        DataError::File {
            path: self.path.clone(),
            message: format!("there is no row {row}, only {} rows", self.len()),
        }
    }
}

/// A file of arrays.
struct Arrays<'p> {
    file: Positional,
    path: &'p Path,
    size: u64,
}

/// What a file says of its arrays.
struct Header {
    tensors: Map<String, Value>,
    fingerprint: String,
    /// Where arrays may lie in the file.
    data: Range<u64>,
}

/// An array that lies in its file.
struct Array {
    bytes: Range<u64>,
    rows: u64,
    columns: u64,
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl Arrays<'_> {
    fn header(&self) -> Result<Header> {
        let wrong = |message: &str| DataError::File {
            path: self.path.to_owned(),
            message: message.to_owned(),
        };
        let foreign = || wrong("it is not a file of prepared rows");
        if self.size < 8 {
            return Err(foreign());
        }
        let length = numbers(&self.read(0..8)?).first().copied().unwrap_or(u64::MAX);
        if length > LARGEST_HEADER || length > self.size - 8 {
            return Err(foreign());
        }
        let bytes = self.read(8..8 + length)?;
        let tensors: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|_| foreign())?;
        let metadata = |key| {
            let metadata = tensors.get("__metadata__")?;
            Some(metadata.get(key)?.as_str()?.to_owned())
        };
        if metadata("format").as_deref() != Some(FORMAT) {
            return Err(foreign());
        }
        if metadata("version") != Some(FORMAT_VERSION.to_string()) {
            return Err(wrong("another version of this library prepared it; remove it"));
        }
        let fingerprint = metadata("fingerprint").unwrap_or_default();
        let end = |tensor: &Value| tensor.get("data_offsets")?.get(1)?.as_u64();
        let end = tensors.values().filter_map(end).max();
        if end != Some(self.size - 8 - length) {
            return Err(wrong("it is shorter or longer than its header says"));
        }
        Ok(Header { tensors, fingerprint, data: 8 + length..self.size })
    }

    fn numbers(&self, array: &Array) -> Result<Vec<u64>> {
        let Range { mut start, end } = array.bytes;
        // No more than the file has: the header was compared with its size.
        let mut all = Vec::with_capacity((end - start) as usize / 8);
        while start < end {
            let next = end.min(start + CHUNK as u64);
            all.extend(numbers(&self.read(start..next)?));
            start = next;
        }
        Ok(all)
    }

    fn bytes(&self, array: &Array) -> Result<Vec<u8>> {
        self.read(array.bytes.clone())
    }

    fn read(&self, bytes: Range<u64>) -> Result<Vec<u8>> {
        let io = |source| DataError::Io { path: self.path.to_owned(), source };
        let length = usize::try_from(bytes.end - bytes.start)
            .map_err(|_| io(std::io::ErrorKind::OutOfMemory.into()))?;
        self.file.read(bytes.start, length).map_err(io)
    }
}

impl Header {
    /// An array of this type and number of dimensions, or what is wrong with it.
    fn array(
        &self,
        name: &str,
        dtype: &str,
        dimensions: usize,
    ) -> std::result::Result<Array, String> {
        let entry = self.tensors.get(name).ok_or_else(|| format!("it has no {name}"))?;
        let tensor: Tensor = Deserialize::deserialize(entry)
            .map_err(|error| format!("{name} is described wrongly: {error}"))?;
        let width = match dtype {
            "U64" => 8,
            "U32" => 4,
            _ => 1,
        };
        let [start, end] = tensor.data_offsets;
        let elements =
            tensor.shape.iter().try_fold(width, |size: u64, next| size.checked_mul(*next));
        let room = self.data.end - self.data.start;
        let fits = tensor.dtype == dtype
            && tensor.shape.len() == dimensions
            && start <= end
            && end <= room
            && elements == Some(end - start);
        if !fits {
            return Err(format!("{name} is not of the type or size that it should be"));
        }
        Ok(Array {
            bytes: self.data.start + start..self.data.start + end,
            rows: tensor.shape.first().copied().unwrap_or_default(),
            columns: tensor.shape.get(1).copied().unwrap_or(1),
        })
    }
}

/// The distance between two numbers of which the second is not smaller.
fn width(pair: &[u64]) -> usize {
    match pair {
        [start, end] => (end - start) as usize,
        _ => 0,
    }
}

fn numbers(bytes: &[u8]) -> Vec<u64> {
    let (numbers, _) = bytes.as_chunks::<8>();
    numbers.iter().map(|number| u64::from_le_bytes(*number)).collect()
}
