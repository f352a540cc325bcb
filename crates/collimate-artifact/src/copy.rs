//! Copies that share their blocks with the original where the file system can.

mod clone;
mod source_folder;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use collimate_tensors::FileStamp;
use serde::Serialize;

use crate::error::{ArtifactError, Result};
use crate::event::check_cancelled;
use crate::stage::create_new;

pub use source_folder::SourceFolder;

/// Most bytes that are copied before it is asked again whether the work was cancelled.
const CHUNK: u64 = 64 << 20;

/// What was copied, and how.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CopiedFile {
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether it shares its blocks with the original until one of the two is changed.
    pub cloned: bool,
}

/// Copies a regular file to a place where there is nothing. The copy belongs to itself: it is never a
/// link, and has the permissions of every new file, not those of the original.
///
/// When this fails or is cancelled there is nothing in that place again. A change of the original
/// within the resolution of the file system's clock is not seen.
///
/// # Errors
///
/// [`ArtifactError::Invalid`]: `from` is a link, or no regular file; [`SourceFolder::file`] follows
/// links. [`ArtifactError::Exists`]: `to` does. [`ArtifactError::Changed`]: `from` did meanwhile.
/// [`ArtifactError::Cancelled`], [`ArtifactError::Io`].
pub fn copy_file(from: &Path, to: &Path, cancelled: &AtomicBool) -> Result<CopiedFile> {
    check_cancelled(cancelled)?;
    checked(from, to, |source, copy| transfer(source, copy, to, cancelled))
}

/// Copies what does not change while `transfer` runs.
fn checked(
    from: &Path,
    to: &Path,
    transfer: impl FnOnce(&File, &mut File) -> Result<CopiedFile>,
) -> Result<CopiedFile> {
    let (source, stamp) = open_regular(from)?;
    let mut copy = create_new(to)?;
    let copied = transfer(&source, &mut copy).and_then(|copied| {
        let failed = ArtifactError::io(from);
        let now = source.metadata().map_err(&failed)?;
        let there = fs::symlink_metadata(from).map_err(&failed)?;
        if copied.bytes == stamp.bytes()
            && FileStamp::of(&now) == stamp
            && FileStamp::of(&there) == stamp
        {
            return Ok(copied);
        }
        Err(ArtifactError::Changed { path: from.to_owned() })
    });
    if copied.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(to);
    }
    copied
}

fn transfer(
    source: &File,
    copy: &mut File,
    to: &Path,
    cancelled: &AtomicBool,
) -> Result<CopiedFile> {
    let failed = ArtifactError::io(to);
    if clone::clone(source, copy, to).map_err(&failed)? {
        let bytes = copy.metadata().map_err(&failed)?.len();
        return Ok(CopiedFile { bytes, cloned: true });
    }
    let mut bytes = 0;
    loop {
        check_cancelled(cancelled)?;
        // Within the kernel, where it can.
        match io::copy(&mut source.take(CHUNK), copy).map_err(&failed)? {
            0 => return Ok(CopiedFile { bytes, cloned: false }),
            chunk => bytes += chunk,
        }
    }
}

/// What is not a regular file is never opened: a pipe would block.
fn open_regular(path: &Path) -> Result<(File, FileStamp)> {
    let failed = ArtifactError::io(path);
    let found = fs::symlink_metadata(path).map_err(&failed)?;
    if !found.is_file() {
        let message = "it is no regular file".to_owned();
        return Err(ArtifactError::Invalid { path: path.to_owned(), message });
    }
    let mut options = OpenOptions::new();
    // In case that it has become a link or a pipe since.
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    }
    let file = options.read(true).open(path).map_err(&failed)?;
    let stamp = FileStamp::of(&file.metadata().map_err(&failed)?);
    if stamp != FileStamp::of(&found) {
        return Err(ArtifactError::Changed { path: path.to_owned() });
    }
    Ok((file, stamp))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn touch(path: &Path) {
        let file = File::options().write(true).open(path).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.set_modified(modified + Duration::from_nanos(1_000)).unwrap();
    }

    fn replace_by(path: &Path, content: &str) {
        let modified = fs::metadata(path).unwrap().modified().unwrap();
        let other = path.with_extension("other");
        fs::write(&other, content).unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(modified).unwrap();
        fs::rename(&other, path).unwrap();
    }

    #[test]
    fn what_changes_meanwhile_is_not_trusted() {
        let changes: [fn(&Path); 4] = [
            touch,
            |path| fs::write(path, "con").unwrap(),
            |path| fs::write(path, "more content").unwrap(),
            |path| replace_by(path, if cfg!(unix) { "CONTENT" } else { "other content" }),
        ];
        for (case, change) in changes.into_iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let (from, to) = (folder.path().join("from"), folder.path().join("to"));
            fs::write(&from, "content").unwrap();
            let transfer_and = |change: fn(&Path)| {
                checked(&from, &to, |source, copy| {
                    let copied = transfer(source, copy, &to, &AtomicBool::new(false));
                    change(&from);
                    copied
                })
            };
            let error = transfer_and(change).unwrap_err();
            assert!(
                matches!(&error, ArtifactError::Changed { path } if *path == from),
                "{case}: {error}"
            );
            assert!(!to.exists());
            assert!(transfer_and(|path| drop(fs::read(path))).is_ok());
        }
    }

    #[test]
    fn what_is_removed_meanwhile_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, "content").unwrap();
        let error = checked(&from, &to, |source, copy| {
            fs::remove_file(&from).unwrap();
            transfer(source, copy, &to, &AtomicBool::new(false))
        });
        assert!(matches!(error, Err(ArtifactError::Io { .. })));
        assert!(!to.exists());
    }
}
