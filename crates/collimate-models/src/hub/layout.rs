//! Where the Hugging Face cache keeps what, and how it is written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::listing::{RepoKind, is_hex};
use crate::name::RepoId;

const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This folder holds files of the Hugging Face Hub that can be fetched again.\n\
    # https://bford.info/cachedir/\n";

/// The folder of one repository in the cache.
#[derive(Debug)]
pub(super) struct RepoFolder {
    cache: PathBuf,
    name: String,
}

impl RepoFolder {
    pub(super) fn new(cache: &Path, repo: &RepoId, kind: RepoKind) -> Self {
        let mut name = kind.plural().to_owned();
        for part in repo.owner().into_iter().chain([repo.name()]) {
            name.push_str("--");
            name.push_str(part);
        }
        Self { cache: cache.to_owned(), name }
    }

    fn path(&self) -> PathBuf {
        self.cache.join(&self.name)
    }

    pub(super) fn cache(&self) -> &Path {
        &self.cache
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.path().join("blobs").join(etag)
    }

    pub(super) fn incomplete(&self, etag: &str) -> PathBuf {
        self.path().join("blobs").join(format!("{etag}.incomplete"))
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.path().join("snapshots").join(commit)
    }

    pub(super) fn tree(&self, commit: &str) -> PathBuf {
        self.path().join("trees").join(format!("{commit}.json"))
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.path().join("refs").join(revision)
    }

    /// The commit that a branch or tag named when it was fetched last.
    pub(super) fn read_ref(&self, revision: &str) -> io::Result<Option<String>> {
        let bytes = match read_small(&self.reference(revision), 1024) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let commit = String::from_utf8_lossy(&bytes).trim().to_owned();
        Ok(is_hex(&commit, 40).then_some(commit))
    }

    /// Notes which commit a branch or tag names.
    pub(super) fn write_ref(&self, revision: &str, commit: &str) -> io::Result<()> {
        if revision == commit || self.read_ref(revision)?.as_deref() == Some(commit) {
            return Ok(());
        }
        write_whole(&self.reference(revision), |out| out.write_all(commit.as_bytes()))
    }

    /// Marks the cache as something that backups may leave out.
    pub(super) fn tag(&self) -> io::Result<()> {
        fs::create_dir_all(&self.cache)?;
        let tag = self.cache.join("CACHEDIR.TAG");
        if tag.exists() {
            return Ok(());
        }
        write_whole(&tag, |out| out.write_all(CACHEDIR_TAG.as_bytes()))
    }

    /// Waits until nobody else, in this program or another, transfers this content. `None` where
    /// `go_on` says that the wait is over.
    pub(super) fn lock(
        &self,
        etag: &str,
        mut go_on: impl FnMut() -> bool,
    ) -> io::Result<Option<File>> {
        let path = self.cache.join(".locks").join(&self.name).join(format!("{etag}.lock"));
        create_parent(&path)?;
        loop {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
            match file.try_lock() {
                // Others may delete the file when they are done with it.
                Ok(()) if is_same_file(&file, &path) => return Ok(Some(file)),
                Ok(()) => continue,
                Err(fs::TryLockError::WouldBlock) => {}
                // A file system without locks: hashes still tell what is right.
                Err(fs::TryLockError::Error(error))
                    if error.kind() == io::ErrorKind::Unsupported =>
                {
                    return Ok(Some(file));
                }
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
            if !go_on() {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Puts a file into a snapshot: a relative link to its content, or where there are no links a
    /// copy of it.
    pub(super) fn link(&self, commit: &str, file: &str, etag: &str) -> io::Result<PathBuf> {
        let path = self.snapshot(commit).join(file);
        create_parent(&path)?;
        let depth = Path::new(file).components().filter(|c| matches!(c, Component::Normal(_)));
        let mut target: PathBuf = depth.map(|_| "..").collect();
        target.extend(["..", "blobs", etag]);
        if fs::read_link(&path).is_ok_and(|found| found == target) {
            return Ok(path);
        }
        let temporary = temporary_name(&path);
        if symlink(&target, &temporary).is_err() {
            fs::copy(self.blob(etag), &temporary)?;
        }
        fs::rename(&temporary, &path).inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })?;
        Ok(path)
    }
}

/// Reads a regular file of at most `limit` bytes.
pub(super) fn read_small(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let size = fs::metadata(path).and_then(|metadata| {
        if metadata.is_file() {
            Ok(metadata.len())
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file"))
        }
    })?;
    let too_large = || {
        let message = format!("it has more than {limit} bytes");
        Err(io::Error::new(io::ErrorKind::FileTooLarge, message))
    };
    if size > limit {
        return too_large();
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { too_large() } else { Ok(bytes) }
}

/// Writes a small file so that nobody ever sees a part of it.
pub(super) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    create_parent(path)?;
    let temporary = temporary_name(path);
    let written = File::create_new(&temporary).and_then(|file| {
        let mut out = BufWriter::new(file);
        write(&mut out)?;
        out.flush()
    });
    let renamed = written.and_then(|()| fs::rename(&temporary, path));
    if renamed.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    renamed
}

/// Gives a file its final name, after all of it is on the disk.
pub(super) fn publish(file: &File, from: &Path, to: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(from, to)?;
    // So that the name is on the disk as well; folders can't be opened everywhere.
    if let Some(Ok(folder)) = to.parent().map(File::open) {
        let _ = folder.sync_all();
    }
    Ok(())
}

pub(super) fn create_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn temporary_name(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{count}.tmp", std::process::id()));
    path.with_file_name(name)
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(opened), Ok(found)) => (opened.dev(), opened.ino()) == (found.dev(), found.ino()),
        _ => false,
    }
}

/// A file that is open can't be deleted there.
#[cfg(windows)]
fn is_same_file(_file: &File, _path: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789012345678901234567890123456789";

    fn folder(cache: &Path, repo: &str, kind: RepoKind) -> RepoFolder {
        RepoFolder::new(cache, &repo.parse().unwrap(), kind)
    }

    #[test]
    fn names_of_folders() {
        let cache = Path::new("c");
        assert_eq!(folder(cache, "a/b.c", RepoKind::Model).name, "models--a--b.c");
        assert_eq!(folder(cache, "squad", RepoKind::Dataset).name, "datasets--squad");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_relative_and_lead_to_the_content() {
        let cache = tempfile::tempdir().unwrap();
        let folder = folder(cache.path(), "a/b", RepoKind::Model);
        let blob = folder.blob("e");
        create_parent(&blob).unwrap();
        fs::write(&blob, "content").unwrap();
        for (file, target) in
            [("f", "../../blobs/e"), ("d/g", "../../../blobs/e"), ("f", "../../blobs/e")]
        {
            let link = folder.link(COMMIT, file, "e").unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), Path::new(target));
            assert_eq!(fs::read_to_string(&link).unwrap(), "content");
        }
        assert_eq!(fs::read_dir(folder.snapshot(COMMIT)).unwrap().count(), 2);
    }

    #[test]
    fn references_are_written_whole_and_must_name_a_commit() {
        let cache = tempfile::tempdir().unwrap();
        let folder = folder(cache.path(), "a/b", RepoKind::Model);
        assert_eq!(folder.read_ref("refs/pr/1").unwrap(), None);
        folder.write_ref("refs/pr/1", COMMIT).unwrap();
        assert_eq!(folder.read_ref("refs/pr/1").unwrap().as_deref(), Some(COMMIT));
        folder.write_ref(COMMIT, COMMIT).unwrap();
        assert!(!folder.reference(COMMIT).exists());
        fs::write(folder.reference("main"), "../../elsewhere").unwrap();
        assert_eq!(folder.read_ref("main").unwrap(), None);
    }

    #[test]
    fn a_lock_keeps_others_out_until_it_is_dropped() {
        let cache = tempfile::tempdir().unwrap();
        let folder = folder(cache.path(), "a/b", RepoKind::Model);
        let lock = folder.lock("e", || true).unwrap();
        assert!(lock.is_some());
        assert!(folder.lock("e", || false).unwrap().is_none());
        assert!(folder.lock("other", || false).unwrap().is_some());
        drop(lock);
        assert!(folder.lock("e", || false).unwrap().is_some());
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let cache = tempfile::tempdir().unwrap();
        let path = cache.path().join("f");
        write_whole(&path, |out| out.write_all(b"12345")).unwrap();
        assert_eq!(read_small(&path, 5).unwrap(), b"12345");
        assert!(read_small(&path, 4).is_err());
        assert!(read_small(cache.path(), 4).is_err());
    }
}
