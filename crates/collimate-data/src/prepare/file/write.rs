use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;

use super::{ALIGNMENT, DATA_START, Details, FORMAT, FORMAT_VERSION, PARTIAL};
use crate::error::{DataError, Result};
use crate::prepare::preference::PreferenceRow;
use crate::prepare::report::PrepareReport;
use crate::record::{Origin, Position};
use crate::row::Row;

/// Writes prepared rows as they come. The file has its name only once
/// [`PreparedWriter::finish`] has written all of it to the disk; dropped before, it leaves nothing.
#[derive(Debug)]
pub struct PreparedWriter {
    path: PathBuf,
    fingerprint: String,
    ids: BufWriter<NamedTempFile>,
    // What follows the ids in the file once their number is known.
    trained: Spool,
    row_offsets: Spool,
    origins: Spool,
    prompt_lengths: Spool,
    groups: Option<Vec<u32>>,
    tokens: u64,
    files: BTreeMap<Arc<Path>, u64>,
    details: Details,
    /// Bytes of a row, kept to be used again.
    buffer: Vec<u8>,
}

impl PreparedWriter {
    /// Begins a file. Its folder has to be there.
    ///
    /// # Errors
    ///
    /// The folder can't be written.
    pub fn create(path: impl AsRef<Path>, fingerprint: &str) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let io = |source| DataError::Io { path: path.clone(), source };
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(PARTIAL);
        // Like any other new file; the default for temporary ones is to hide them from others.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder).map_err(io)?;
        // Tells others that the partial file is being written.
        file.as_file().lock().map_err(io)?;
        let mut ids = BufWriter::with_capacity(1 << 20, file);
        ids.write_all(&[0; DATA_START as usize]).map_err(io)?;
        let spool = || Spool::new(folder).map_err(io);
        let mut row_offsets = spool()?;
        row_offsets.numbers(&[0]).map_err(io)?;
        Ok(Self {
            fingerprint: fingerprint.to_owned(),
            ids,
            trained: spool()?,
            row_offsets,
            origins: spool()?,
            prompt_lengths: spool()?,
            groups: None,
            tokens: 0,
            files: BTreeMap::new(),
            details: Details::default(),
            buffer: Vec::new(),
            path,
        })
    }

    /// Notes the settings that the rows were made with, for whoever reads the file.
    ///
    /// # Errors
    ///
    /// They can't be written as JSON.
    pub fn set_settings(&mut self, settings: &impl Serialize) -> Result<()> {
        self.details.settings =
            serde_json::to_value(settings).map_err(|error| DataError::Setting {
                setting: "settings",
                message: format!("can't be written: {error}"),
            })?;
        Ok(())
    }

    /// Keeps something else that was found out about the rows, such as their statistics, under a name.
    ///
    /// # Errors
    ///
    /// It can't be written as JSON.
    pub fn set_note(&mut self, name: &'static str, note: &impl Serialize) -> Result<()> {
        let note = serde_json::to_value(note).map_err(|error| DataError::Setting {
            setting: name,
            message: format!("can't be written: {error}"),
        })?;
        self.details.notes.insert(name.to_owned(), note);
        Ok(())
    }

    /// Keeps for each record the first record that says the same, itself where none does: see
    /// [`DuplicateRows`](crate::DuplicateRows).
    pub fn set_groups(&mut self, groups: Vec<u32>) {
        self.groups = Some(groups);
    }

    /// Adds a row.
    ///
    /// # Errors
    ///
    /// The file can't be written, or has preferences.
    pub fn push(&mut self, row: &Row, origin: &Origin) -> Result<()> {
        if self.prompt_lengths.bytes > 0 {
            return Err(self.mixed());
        }
        self.push_row(row)?;
        self.push_origin(origin)
    }

    /// Adds a pair of rows.
    ///
    /// # Errors
    ///
    /// The file can't be written, or has single rows.
    pub fn push_preference(&mut self, row: &PreferenceRow, origin: &Origin) -> Result<()> {
        if self.prompt_lengths.bytes * 3 != self.origins.bytes {
            return Err(self.mixed());
        }
        self.push_row(&row.chosen)?;
        self.push_row(&row.rejected)?;
        let written = self.prompt_lengths.numbers(&[row.prompt_len as u64]);
        written.map_err(|source| self.failed(source))?;
        self.push_origin(origin)
    }

    /// Completes the file and gives it its name; returns its size in bytes.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub fn finish(self, report: &PrepareReport) -> Result<u64> {
        let path = self.path.clone();
        self.complete(report).map_err(|source| DataError::Io { path, source })
    }

    fn push_row(&mut self, row: &Row) -> Result<()> {
        let written = if row.ids.len() == row.trained.len() {
            self.write_row(row)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "a mask is not as long as its row"))
        };
        written.map_err(|source| self.failed(source))
    }

    fn write_row(&mut self, row: &Row) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.extend(row.ids.iter().flat_map(|id| id.to_le_bytes()));
        self.ids.write_all(&self.buffer)?;
        self.buffer.clear();
        self.buffer.extend(row.trained.iter().map(|trained| u8::from(*trained)));
        self.trained.write(&self.buffer)?;
        self.tokens += row.ids.len() as u64;
        self.row_offsets.numbers(&[self.tokens])
    }

    fn push_origin(&mut self, origin: &Origin) -> Result<()> {
        let next = self.files.len() as u64;
        let file = match self.files.get(&origin.file) {
            Some(file) => *file,
            None => {
                self.files.insert(origin.file.clone(), next);
                self.details.files.push(origin.file.to_string_lossy().into_owned());
                next
            }
        };
        let numbers = match origin.position {
            Position::Line(line) => [file, line, 0],
            Position::Element(element) => [file | 1 << 32, element, 0],
            Position::Row { group, row } => [file | 2 << 32, group, row],
        };
        self.origins.numbers(&numbers).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> DataError {
        DataError::Io { path: self.path.clone(), source }
    }

    fn mixed(&self) -> DataError {
        DataError::File {
            path: self.path.clone(),
            message: "a prepared file has single rows or preferences, not both".to_owned(),
        }
    }

    fn complete(self, report: &PrepareReport) -> io::Result<u64> {
        let Self { path, fingerprint, ids, tokens, .. } = self;
        let details = Details { report: report.clone(), ..self.details };
        let mut arrays = Arrays { file: ids, end: 0, header: Map::new() };

        let records = self.origins.bytes / 24;
        arrays.note("ids", "U32", &[tokens], tokens * 4)?;
        arrays.spooled("trained", "U8", &[tokens], self.trained)?;
        let offsets = self.row_offsets.bytes / 8;
        arrays.spooled("row_offsets", "U64", &[offsets], self.row_offsets)?;
        arrays.spooled("origins", "U64", &[records, 3], self.origins)?;
        if self.prompt_lengths.bytes > 0 {
            arrays.spooled("prompt_lengths", "U64", &[records], self.prompt_lengths)?;
        }
        if let Some(groups) = self.groups {
            if groups.len() as u64 != records {
                let message = format!("{records} records have {} groups", groups.len());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            for group in &groups {
                arrays.file.write_all(&group.to_le_bytes())?;
            }
            arrays.note("groups", "U32", &[records], records * 4)?;
        }
        let details = serde_json::to_vec(&details)?;
        arrays.file.write_all(&details)?;
        arrays.note("details", "U8", &[details.len() as u64], details.len() as u64)?;

        let size = DATA_START + arrays.end;
        let file = arrays.finish(&fingerprint)?;
        file.as_file().sync_all()?;
        let folder = file.path().parent().map(Path::to_owned);
        file.persist(&path).map_err(|error| error.error)?;
        if cfg!(unix)
            && let Some(folder) = folder
        {
            File::open(folder)?.sync_all()?;
        }
        Ok(size)
    }
}

/// An array that waits in a file of its own: for millions of rows it would fill the memory.
#[derive(Debug)]
struct Spool {
    file: BufWriter<File>,
    bytes: u64,
}

impl Spool {
    fn new(folder: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder)?;
        Ok(Self { file: BufWriter::with_capacity(64 << 10, file), bytes: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    fn numbers(&mut self, numbers: &[u64]) -> io::Result<()> {
        numbers.iter().try_for_each(|number| self.write(&number.to_le_bytes()))
    }
}

/// The arrays of a file, and its header.
struct Arrays {
    file: BufWriter<NamedTempFile>,
    /// Bytes of arrays so far.
    end: u64,
    header: Map<String, Value>,
}

impl Arrays {
    fn spooled(&mut self, name: &str, dtype: &str, shape: &[u64], array: Spool) -> io::Result<()> {
        let mut file = array.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        io::copy(&mut file, &mut self.file)?;
        self.note(name, dtype, shape, array.bytes)
    }

    /// Notes an array that was written, and fills up to the alignment of the next one.
    fn note(&mut self, name: &str, dtype: &str, shape: &[u64], bytes: u64) -> io::Result<()> {
        let end = self.end + bytes;
        let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [self.end, end]});
        self.header.insert(name.to_owned(), entry);
        self.end = end;
        let padding = end.next_multiple_of(ALIGNMENT) - end;
        if padding > 0 && !name.starts_with("padding_") {
            self.file.write_all(&vec![0; padding as usize])?;
            self.note(&format!("padding_{}", self.header.len()), "U8", &[padding], padding)?;
        }
        Ok(())
    }

    fn finish(mut self, fingerprint: &str) -> io::Result<NamedTempFile> {
        self.header.insert(
            "__metadata__".to_owned(),
            json!({
                "format": FORMAT,
                "version": FORMAT_VERSION.to_string(),
                "fingerprint": fingerprint,
            }),
        );
        let mut header = serde_json::to_vec(&self.header)?;
        let room = DATA_START as usize - 8;
        if header.len() > room {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the fingerprint is too long"));
        }
        header.resize(room, b' ');
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&(room as u64).to_le_bytes())?;
        file.write_all(&header)?;
        Ok(file)
    }
}
