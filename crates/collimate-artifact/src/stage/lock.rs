//! A lock that the system opens when its holder dies.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// A locked file; dropping it opens the lock and leaves the file.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

/// What came of trying to lock.
pub(super) enum Locking {
    Taken(Lock),
    /// By another.
    Held,
    /// The file was removed meanwhile, or the folder that it was to be in.
    Gone,
    /// The file system has no locks.
    #[cfg_attr(windows, allow(dead_code, reason = "there every one has"))]
    Unsupported(Lock),
}

impl Lock {
    /// Tries to lock a file, which is created where it is missing.
    #[cfg(not(windows))]
    pub(super) fn take(path: &Path) -> io::Result<Locking> {
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Locking::Gone),
            Err(error) => return Err(error),
        };
        let locked = file.try_lock();
        let lock = Self { path: path.to_owned(), file };
        match locked {
            Ok(()) if lock.is_in_place() => Ok(Locking::Taken(lock)),
            Ok(()) => Ok(Locking::Gone),
            Err(fs::TryLockError::WouldBlock) => Ok(Locking::Held),
            Err(fs::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(Locking::Unsupported(lock))
            }
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// Tries to open a file for nobody else.
    #[cfg(windows)]
    pub(super) fn take(path: &Path) -> io::Result<Locking> {
        use std::os::windows::fs::OpenOptionsExt;

        const ERROR_SHARING_VIOLATION: i32 = 32;
        let mut options = OpenOptions::new();
        match options.create(true).truncate(false).write(true).share_mode(0).open(path) {
            Ok(file) => Ok(Locking::Taken(Self { path: path.to_owned(), file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Locking::Gone),
            Err(error) if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION) => {
                Ok(Locking::Held)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes the file and opens the lock.
    pub(super) fn release(self) {
        // First, so that nobody locks a file that is then removed. An open one can't be, there.
        #[cfg(not(windows))]
        let _ = fs::remove_file(&self.path);
        drop(self.file);
        #[cfg(windows)]
        let _ = fs::remove_file(&self.path);
    }

    #[cfg(unix)]
    fn is_in_place(&self) -> bool {
        use std::os::unix::fs::MetadataExt;

        match (self.file.metadata(), fs::symlink_metadata(&self.path)) {
            (Ok(locked), Ok(found)) => (locked.dev(), locked.ino()) == (found.dev(), found.ino()),
            _ => false,
        }
    }

    #[cfg(not(any(unix, windows)))]
    fn is_in_place(&self) -> bool {
        true
    }
}
