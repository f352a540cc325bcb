//! Whether the disk has the space for what is to be written.

use std::path::Path;

use crate::error::{ArtifactError, Result};

/// Checks that `needed` bytes can be written to a place, which need not be there yet.
///
/// Where the system doesn't say how much is free (Windows, and some network file systems) this is no
/// error: what is written then finds out.
///
/// # Errors
///
/// [`ArtifactError::NoSpace`]; [`ArtifactError::Io`]: the system can't be asked.
pub fn check_space(path: &Path, needed: u64) -> Result<()> {
    match free_space(path)? {
        Some(available) if available < needed => {
            Err(ArtifactError::NoSpace { path: path.to_owned(), needed, available })
        }
        _ => Ok(()),
    }
}

/// Bytes that this user can still write to the file system that a path lies on, or would lie on.
/// `None` where the system doesn't say.
///
/// # Errors
///
/// [`ArtifactError::Io`]: the system can't be asked.
pub fn free_space(path: &Path) -> Result<Option<u64>> {
    // What is there of the path: the empty end of a relative one is the current folder.
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    free_bytes(existing).map_err(ArtifactError::io(existing))
}

#[cfg(unix)]
fn free_bytes(path: &Path) -> std::io::Result<Option<u64>> {
    let found = rustix::fs::statvfs(path)?;
    // One without a size doesn't count.
    Ok((found.f_blocks > 0).then(|| found.f_bavail.saturating_mul(found.f_frsize)))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> std::io::Result<Option<u64>> {
    Ok(None)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_yet_lies_where_its_parent_does() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("not/there/yet");
        let free = free_space(&deep).unwrap().unwrap();
        assert!(free > 0);
        assert!(free_space(Path::new("not-there/yet")).unwrap().is_some());
        check_space(&deep, 1).unwrap();
        let error = check_space(&deep, u64::MAX).unwrap_err();
        assert!(
            matches!(&error, ArtifactError::NoSpace { needed: u64::MAX, available, .. }
                if *available > 0),
            "{error}"
        );
    }
}
