//! Renaming that overwrites nothing.

use std::fs;
use std::io;
use std::path::Path;

/// Makes two folders change their places at once; `false` where the file system can't.
pub(super) fn exchange(one: &Path, other: &Path) -> io::Result<bool> {
    system::exchange(one, other)
}

/// Moves a folder where there is nothing.
///
/// Where the file system can't do that at once, an empty folder that appears between the look and
/// the move is overwritten; nothing else is.
pub(super) fn into_free_place(from: &Path, to: &Path) -> io::Result<()> {
    if system::into_free_place(from, to)? { Ok(()) } else { look_and_move(from, to) }
}

fn look_and_move(from: &Path, to: &Path) -> io::Result<()> {
    match fs::symlink_metadata(to) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
        Err(error) => Err(error),
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
mod system {
    use std::io;
    use std::path::Path;

    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;

    pub(super) fn exchange(one: &Path, other: &Path) -> io::Result<bool> {
        rename(one, other, RenameFlags::EXCHANGE)
    }

    pub(super) fn into_free_place(from: &Path, to: &Path) -> io::Result<bool> {
        rename(from, to, RenameFlags::NOREPLACE)
    }

    /// `false` where the file system doesn't know the flag.
    fn rename(from: &Path, to: &Path, flags: RenameFlags) -> io::Result<bool> {
        match renameat_with(CWD, from, CWD, to, flags) {
            Ok(()) => Ok(true),
            // Two names of one number on some systems, of two on others.
            #[allow(unreachable_patterns, reason = "see above")]
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::OPNOTSUPP) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
mod system {
    use std::io;
    use std::path::Path;

    pub(super) fn exchange(_: &Path, _: &Path) -> io::Result<bool> {
        Ok(false)
    }

    pub(super) fn into_free_place(_: &Path, _: &Path) -> io::Result<bool> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten() {
        for way in [into_free_place, look_and_move] {
            let folder = tempfile::tempdir().unwrap();
            let (from, to) = (folder.path().join("from"), folder.path().join("to"));
            fs::create_dir(&from).unwrap();
            fs::create_dir(&to).unwrap();
            let error = way(&from, &to).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert!(from.exists());
            fs::remove_dir(&to).unwrap();
            way(&from, &to).unwrap();
            assert!(to.exists() && !from.exists());
        }
    }

    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    #[test]
    fn both_folders_are_there_after_an_exchange() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        fs::create_dir_all(one.join("1")).unwrap();
        fs::create_dir_all(other.join("2")).unwrap();
        // Not every file system can.
        if exchange(&one, &other).unwrap() {
            assert!(one.join("2").exists() && other.join("1").exists());
        }
        fs::remove_dir_all(&other).unwrap();
        assert!(exchange(&one, &other).is_err() && one.exists());
    }
}
