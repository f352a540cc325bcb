//! Reading small files that others may have made, and writing them whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use crate::error::{PeftError, Result};

/// Most bytes of a configuration.
const MAX_BYTES: u64 = 4 << 20;

/// The bytes of a configuration.
///
/// # Errors
///
/// It is not a regular file, has more than 4 MiB or can't be read.
pub(crate) fn read_small(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| PeftError::Io { path: path.to_owned(), source };
    // What is not a regular file is never opened: a pipe would block.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(PeftError::NotAFile { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(PeftError::TooLarge { path: path.to_owned(), limit: MAX_BYTES });
    }
    Ok(bytes)
}

/// Writes a file beside its place, syncs and renames it, so that nobody ever sees a part of it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    persist(path, bytes).map_err(|source| PeftError::Io { path: path.to_owned(), source })
}

fn persist(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".collimate-").suffix(".partial");
    // Like any other new file; the default for temporary ones is to hide them from others.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The new name is only safe once the folder is.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_few_mebibytes_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = File::create(&path).unwrap();
        file.set_len(MAX_BYTES).unwrap();
        assert_eq!(read_small(&path).unwrap().len() as u64, MAX_BYTES);
        file.set_len(MAX_BYTES + 1).unwrap();
        let error = read_small(&path).unwrap_err();
        assert!(matches!(error, PeftError::TooLarge { limit: MAX_BYTES, .. }), "{error}");
        let error = read_small(folder.path()).unwrap_err();
        assert!(matches!(error, PeftError::NotAFile { .. }), "{error}");
        let error = read_small(&folder.path().join("missing")).unwrap_err();
        assert!(matches!(error, PeftError::Io { .. }), "{error}");
    }

    /// It would be waited for, forever, if it were opened.
    #[cfg(unix)]
    #[test]
    fn a_pipe_is_never_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(matches!(read_small(&path), Err(PeftError::NotAFile { .. })));
    }

    #[test]
    fn a_file_is_written_whole_in_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "something longer").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            fs::write(folder.path().join("other"), "").unwrap();
            let permissions = |name| fs::metadata(folder.path().join(name)).unwrap().permissions();
            assert_eq!(permissions("file"), permissions("other"));
        }
        // Where it can't be, nothing is left.
        fs::create_dir(folder.path().join("folder")).unwrap();
        let before = fs::read_dir(folder.path()).unwrap().count();
        assert!(write_whole(&folder.path().join("folder"), b"new").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), before);
        let error = write_whole(&folder.path().join("missing/file"), b"new").unwrap_err();
        assert!(matches!(error, PeftError::Io { path, .. } if path.ends_with("missing/file")));
    }
}
