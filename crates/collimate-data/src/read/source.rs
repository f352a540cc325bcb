use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{DataError, Result};
use crate::read::format::{ENDINGS, Format};
use crate::read::glob;
use crate::read::records::Records;
use crate::read::settings::ReadSettings;
use crate::recognize::{ColumnMapping, Recognition, Recognizer};
use crate::record::Record;

/// Records that are looked at to find out what they are.
const LOOKED_AT: usize = 100;

/// Files of records that are read one after another.
///
/// ```
/// use collimate_data::{ReadSettings, Source};
///
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("train.jsonl"), "{\"text\": \"One.\"}\n{\"text\": \"Two.\"}\n")?;
///
/// let source = Source::open([dir.path().join("*.jsonl")])?;
/// let mut records = source.records(&ReadSettings::default())?;
/// for record in &mut records {
///     assert!(record?.fields.contains_key("text"));
/// }
/// assert_eq!(records.report().records, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    files: Vec<Arc<Path>>,
}

impl Source {
    /// The files that paths stand for, in the order of the paths.
    ///
    /// A path is a file; or a folder, which stands for the files in it (not in folders below it)
    /// that have an ending of [`Format`] and are not hidden, sorted by name; or a pattern, in which
    /// `*` and `?` stand for characters of a name and `**` for any folders, whose matches are
    /// sorted. A path that exists is never taken for a pattern.
    ///
    /// # Errors
    ///
    /// A path does not exist, or is neither a regular file nor a folder; a folder or a pattern
    /// stands for no file.
    pub fn open<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self> {
        let mut files: Vec<Arc<Path>> = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let found = match fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => in_folder(path)?,
                Ok(_) => vec![regular(path)?],
                Err(_) if glob::is_pattern(path) => of_pattern(path)?,
                Err(source) => return Err(DataError::Io { path: path.to_path_buf(), source }),
            };
            files.extend(found.into_iter().map(Arc::from));
        }
        if files.is_empty() {
            return Err(DataError::Setting {
                setting: "paths",
                message: "are none; name a file, a folder or a pattern".to_owned(),
            });
        }
        Ok(Self { files })
    }

    /// The files, in the order in which they are read.
    pub fn files(&self) -> &[Arc<Path>] {
        &self.files
    }

    /// The records of all files, read as the iterator is advanced.
    ///
    /// # Errors
    ///
    /// A setting is out of its range.
    pub fn records(&self, settings: &ReadSettings) -> Result<Records> {
        settings.check()?;
        Ok(Records::new(self.files.clone(), settings.clone()))
    }

    /// What the records mean, told from the first hundred and from what is known of their columns.
    ///
    /// # Errors
    ///
    /// One of these records can't be read; otherwise as for [`Recognizer::recognize`].
    pub fn recognize(
        &self,
        settings: &ReadSettings,
        mapping: ColumnMapping,
    ) -> Result<Recognition> {
        let first: Vec<Record> = self.records(settings)?.take(LOOKED_AT).collect::<Result<_>>()?;
        Recognizer::new(mapping).recognize(&first)
    }
}

fn regular(path: &Path) -> Result<PathBuf> {
    let metadata =
        fs::metadata(path).map_err(|source| DataError::Io { path: path.to_path_buf(), source })?;
    if metadata.is_file() {
        return Ok(path.to_path_buf());
    }
    Err(not_regular(path))
}

/// The refusal of pipes and devices, which can't be read twice and may never end.
pub(crate) fn not_regular(path: &Path) -> DataError {
    DataError::File {
        path: path.to_path_buf(),
        message: "is not a regular file; write pipes and devices into a file first".to_owned(),
    }
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| DataError::Io { path: folder.to_path_buf(), source };
    let mut files = Vec::new();
    let mut folders = false;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        folders |= path.is_dir();
        // A link that leads nowhere is a file that is missing: it must not pass unnoticed.
        if Format::of_path(&path).is_some() && !path.is_dir() {
            files.push(regular(&path)?);
        }
    }
    if files.is_empty() {
        let below =
            if folders { " (folders below it are read with `**`, as in `data/**`)" } else { "" };
        return Err(DataError::File {
            path: folder.to_path_buf(),
            message: format!("has no file of records{below}; known endings are {ENDINGS}"),
        });
    }
    files.sort();
    Ok(files)
}

fn of_pattern(pattern: &Path) -> Result<Vec<PathBuf>> {
    let found = glob::matches(pattern)
        .map_err(|source| DataError::Io { path: pattern.to_path_buf(), source })?;
    let ends_open = pattern.file_name().is_some_and(|name| !name.to_string_lossy().contains('.'));
    let mut files = Vec::new();
    for path in found {
        // A pattern that names no ending takes the known ones, as a folder does.
        if path.is_dir() || (ends_open && Format::of_path(&path).is_none()) {
            continue;
        }
        files.push(regular(&path)?);
    }
    if files.is_empty() {
        return Err(DataError::File {
            path: pattern.to_path_buf(),
            message: "matches no file of records".to_owned(),
        });
    }
    Ok(files)
}
