use std::fs::Metadata;
use std::time::SystemTime;

/// What tells a file from what becomes of it: its length, its time of change and, where the system
/// tells, which file it is.
///
/// A change within the resolution of the file system's clock that leaves the length is not seen.
///
/// # Examples
///
/// ```
/// use std::fs;
///
/// use collimate_tensors::FileStamp;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("file");
/// fs::write(&path, "content")?;
/// let stamp = FileStamp::of(&fs::metadata(&path)?);
/// assert_eq!(stamp, FileStamp::of(&fs::metadata(&path)?));
/// fs::write(&path, "other content")?;
/// assert_ne!(stamp, FileStamp::of(&fs::metadata(&path)?));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileStamp {
    bytes: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    identity: (u64, u64),
}

impl FileStamp {
    /// The stamp of a file that has this metadata.
    pub fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;

        Self {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            identity: (metadata.dev(), metadata.ino()),
        }
    }

    /// Length of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    fn stamp(path: &Path) -> FileStamp {
        FileStamp::of(&fs::metadata(path).expect("it is there"))
    }

    #[test]
    fn length_time_and_identity_each_tell() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, "content").expect("a file");
        let first = stamp(&path);
        assert_eq!(first.bytes(), 7);
        let modified = first.modified.expect("the system tells");
        let set = |path: &Path, modified| {
            let file = File::options().write(true).open(path).expect("it is there");
            file.set_modified(modified).expect("its owner may");
        };

        fs::write(&path, "contents").expect("a file");
        set(&path, modified);
        assert_ne!(stamp(&path), first);

        fs::write(&path, "CONTENT").expect("a file");
        set(&path, modified);
        assert_eq!(stamp(&path), first);
        set(&path, modified + Duration::from_micros(1));
        assert_ne!(stamp(&path), first);

        #[cfg(unix)]
        {
            let other = folder.path().join("other");
            fs::write(&other, "content").expect("a file");
            set(&other, modified);
            fs::rename(&other, &path).expect("it is replaced");
            assert_ne!(stamp(&path), first);
        }
    }
}
