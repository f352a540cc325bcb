//! Careful reading of files that others may have made, and replacing of small ones.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use crate::error::{ArtifactError, Result};

/// Opens a regular file and says how many bytes it has. What is not a regular file is never opened (a
/// pipe would block), nor is a link.
pub(crate) fn open_regular(path: &Path) -> Result<(File, u64)> {
    let failed = |source| ArtifactError::Io { path: path.to_owned(), source };
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        let message = "it is not a regular file".to_owned();
        return Err(ArtifactError::Invalid { path: path.to_owned(), message });
    }
    Ok((File::open(path).map_err(failed)?, metadata.len()))
}

/// The whole of a regular file that has at most `limit` bytes.
pub(crate) fn read_small(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let (file, size) = open_regular(path)?;
    if size > limit {
        let message = format!("it has {size} bytes; at most {limit} are expected");
        return Err(ArtifactError::Invalid { path: path.to_owned(), message });
    }
    // No more than was there when it was looked at.
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(size)
        .read_to_end(&mut bytes)
        .map_err(|source| ArtifactError::Io { path: path.to_owned(), source })?;
    Ok(bytes)
}

/// The whole of a small file, as text.
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(read_small(path, limit)?).map_err(|error| {
        let message = format!("it is not UTF-8 at byte {}", error.utf8_error().valid_up_to());
        ArtifactError::Invalid { path: path.to_owned(), message }
    })
}

/// Puts a file in the place of another, or of none, at once and for good.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |source| ArtifactError::Io { path: path.to_owned(), source };
    let folder = folder_of(path);
    let mut file = tempfile::Builder::new();
    // The permissions that the umask leaves, as of any other file.
    #[cfg(unix)]
    file.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = file.tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    sync_folder(folder)
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Brings the names in a folder to the disk, where the system does that at all.
#[cfg(unix)]
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    // One that may be written to but not read is none that can be opened.
    let Ok(folder) = File::open(path) else { return Ok(()) };
    match folder.sync_all() {
        Err(source)
            if !matches!(
                source.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Err(ArtifactError::Io { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> Result<()> {
    Ok(())
}
