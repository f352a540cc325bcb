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
    /// Masks, which follow the ids in the file once their number is known.
    trained: BufWriter<File>,
    row_offsets: Vec<u64>,
    origins: Vec<[u64; 3]>,
    files: BTreeMap<Arc<Path>, u64>,
    prompt_lengths: Vec<u64>,
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
        let file = tempfile::Builder::new().prefix(PARTIAL).tempfile_in(folder).map_err(io)?;
        // Tells others that the partial file is being written.
        file.as_file().lock().map_err(io)?;
        let mut ids = BufWriter::with_capacity(1 << 20, file);
        ids.write_all(&[0; DATA_START as usize]).map_err(io)?;
        let trained = BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(folder).map_err(io)?);
        Ok(Self {
            fingerprint: fingerprint.to_owned(),
            ids,
            trained,
            row_offsets: vec![0],
            origins: Vec::new(),
            files: BTreeMap::new(),
            prompt_lengths: Vec::new(),
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

    /// Adds a row.
    ///
    /// # Errors
    ///
    /// The file can't be written, or has preferences.
    pub fn push(&mut self, row: &Row, origin: &Origin) -> Result<()> {
        if !self.prompt_lengths.is_empty() {
            return Err(self.mixed());
        }
        self.push_row(row)?;
        self.push_origin(origin);
        Ok(())
    }

    /// Adds a pair of rows.
    ///
    /// # Errors
    ///
    /// The file can't be written, or has single rows.
    pub fn push_preference(&mut self, row: &PreferenceRow, origin: &Origin) -> Result<()> {
        if self.prompt_lengths.len() != self.origins.len() {
            return Err(self.mixed());
        }
        self.push_row(&row.chosen)?;
        self.push_row(&row.rejected)?;
        self.prompt_lengths.push(row.prompt_len as u64);
        self.push_origin(origin);
        Ok(())
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
        written.map_err(|source| DataError::Io { path: self.path.clone(), source })
    }

    fn write_row(&mut self, row: &Row) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.extend(row.ids.iter().flat_map(|id| id.to_le_bytes()));
        self.ids.write_all(&self.buffer)?;
        self.buffer.clear();
        self.buffer.extend(row.trained.iter().map(|trained| u8::from(*trained)));
        self.trained.write_all(&self.buffer)?;
        let tokens = self.row_offsets.last().copied().unwrap_or_default();
        self.row_offsets.push(tokens + row.ids.len() as u64);
        Ok(())
    }

    fn push_origin(&mut self, origin: &Origin) {
        let next = self.files.len() as u64;
        let file = match self.files.get(&origin.file) {
            Some(file) => *file,
            None => {
                self.files.insert(origin.file.clone(), next);
                self.details.files.push(origin.file.to_string_lossy().into_owned());
                next
            }
        };
        self.origins.push(match origin.position {
            Position::Line(line) => [file, line, 0],
            Position::Element(element) => [file | 1 << 32, element, 0],
            Position::Row { group, row } => [file | 2 << 32, group, row],
        });
    }

    fn mixed(&self) -> DataError {
        DataError::File {
            path: self.path.clone(),
            message: "a prepared file has single rows or preferences, not both".to_owned(),
        }
    }

    fn complete(self, report: &PrepareReport) -> io::Result<u64> {
        let Self { path, fingerprint, ids, trained, row_offsets, origins, prompt_lengths, .. } =
            self;
        let tokens = row_offsets.last().copied().unwrap_or_default();
        let details = Details { report: report.clone(), ..self.details };
        let mut arrays = Arrays { file: ids, end: 0, header: Map::new() };

        arrays.note("ids", "U32", &[tokens], tokens * 4)?;
        let mut trained = trained.into_inner().map_err(io::IntoInnerError::into_error)?;
        trained.seek(SeekFrom::Start(0))?;
        io::copy(&mut trained, &mut arrays.file)?;
        arrays.note("trained", "U8", &[tokens], tokens)?;
        arrays.numbers("row_offsets", &[row_offsets.len() as u64], &row_offsets)?;
        arrays.numbers("origins", &[origins.len() as u64, 3], origins.as_flattened())?;
        if !prompt_lengths.is_empty() {
            arrays.numbers("prompt_lengths", &[prompt_lengths.len() as u64], &prompt_lengths)?;
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

/// The arrays of a file, and its header.
struct Arrays {
    file: BufWriter<NamedTempFile>,
    /// Bytes of arrays so far.
    end: u64,
    header: Map<String, Value>,
}

impl Arrays {
    fn numbers(&mut self, name: &str, shape: &[u64], numbers: &[u64]) -> io::Result<()> {
        for number in numbers {
            self.file.write_all(&number.to_le_bytes())?;
        }
        self.note(name, "U64", shape, numbers.len() as u64 * 8)
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
