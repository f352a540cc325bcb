//! One listing of a folder, and careful reading of its files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::problem::Problem;

/// Most bytes that are read of a `config.json` or another small JSON file.
pub(crate) const SMALL_JSON: u64 = 16 << 20;
/// Most bytes that are read of an index of shards.
pub(crate) const INDEX_JSON: u64 = 64 << 20;

/// The names in a folder, listed once.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Names of everything that is not a folder, sorted. Names that are not Unicode are left out:
    /// no file of a model has one.
    files: Vec<String>,
    /// Names of folders and of links to folders, sorted.
    folders: Vec<String>,
    /// Names of links that lead nowhere, sorted.
    dangling: Vec<String>,
}

impl Folder {
    /// Lists a folder.
    pub(crate) fn list(path: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        let mut folders = Vec::new();
        let mut dangling = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type()?;
            let target = kind.is_symlink().then(|| fs::metadata(entry.path()));
            if let Some(Err(_)) = target {
                dangling.push(name.clone());
            }
            let is_folder = kind.is_dir() || target.is_some_and(|t| t.is_ok_and(|m| m.is_dir()));
            if is_folder { &mut folders } else { &mut files }.push(name);
        }
        files.sort_unstable();
        folders.sort_unstable();
        dangling.sort_unstable();
        Ok(Self { path: path.to_owned(), files, folders, dangling })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Names of everything that is not a folder, sorted; dangling links among them.
    pub(crate) fn files(&self) -> &[String] {
        &self.files
    }

    /// Names of folders and of links to folders, sorted.
    pub(crate) fn folders(&self) -> &[String] {
        &self.folders
    }

    /// Names of links that lead nowhere, sorted; they are among the files.
    pub(crate) fn dangling(&self) -> &[String] {
        &self.dangling
    }

    /// Whether there is something of this name that is not a folder.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.files.binary_search_by(|file| file.as_str().cmp(name)).is_ok()
    }

    /// Size of a file, following links.
    ///
    /// # Errors
    ///
    /// The problem, where it isn't a regular file that can be reached.
    pub(crate) fn size(&self, name: &str) -> Result<u64, Problem> {
        let path = self.path.join(name);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(metadata.len()),
            Ok(_) => Err(Problem::Invalid {
                file: name.to_owned(),
                message: "it is not a regular file".to_owned(),
            }),
            Err(error) => Err(self.unreachable(name, &error)),
        }
    }

    /// Opens a regular file and says how many bytes it has. What is not a regular file is never
    /// opened: a pipe would block.
    pub(crate) fn open(&self, name: &str) -> Result<(File, u64), Problem> {
        let size = self.size(name)?;
        match File::open(self.path.join(name)) {
            Ok(file) => Ok((file, size)),
            Err(error) => Err(self.unreachable(name, &error)),
        }
    }

    /// The whole file, if it has at most `limit` bytes.
    pub(crate) fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, Problem> {
        let (file, size) = self.open(name)?;
        if size > limit {
            return Err(Problem::TooLarge { file: name.to_owned(), found: size, limit });
        }
        // No more than was there when it was looked at.
        let mut bytes = Vec::with_capacity(size as usize);
        match file.take(size).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(unreadable(name, &error)),
        }
    }

    fn unreachable(&self, name: &str, error: &io::Error) -> Problem {
        match fs::read_link(self.path.join(name)) {
            Ok(target) if error.kind() != io::ErrorKind::PermissionDenied => {
                Problem::DanglingLink { file: name.to_owned(), target }
            }
            _ => unreadable(name, error),
        }
    }
}

pub(crate) fn unreadable(name: &str, error: &io::Error) -> Problem {
    Problem::Unreadable { file: name.to_owned(), message: error.to_string() }
}
