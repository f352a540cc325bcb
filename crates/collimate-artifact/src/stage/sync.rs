//! Bringing what was written to the disk.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::disk::sync_folder;
use crate::error::{ArtifactError, Result};

/// Brings every file and folder below a folder to the disk, and the folder itself.
pub(super) fn tree(root: &Path) -> Result<()> {
    let mut folders = vec![root.to_owned()];
    while let Some(path) = folders.pop() {
        let failed = ArtifactError::io(&path);
        for entry in fs::read_dir(&path).map_err(&failed)? {
            let entry = entry.map_err(&failed)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(&failed)?);
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                file(&path).map_err(ArtifactError::io(&path))?;
            } else {
                let message = "it is neither a file nor a folder; nothing else is published";
                return Err(ArtifactError::Invalid { path, message: message.to_owned() });
            }
        }
        sync_folder(&path)?;
    }
    Ok(())
}

#[cfg(unix)]
fn file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Only what is open for writing can be synced there.
#[cfg(not(unix))]
fn file(path: &Path) -> io::Result<()> {
    File::options().write(true).open(path)?.sync_all()
}
