//! One file: from the server into the cache.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::config::HubConfig;
use super::digest::ContentHash;
use super::error::HubError;
use super::event::{HubEvent, Verification};
use super::fetched::FetchedFile;
use super::layout::{self, RepoFolder};
use super::listing::{RepoFile, RepoListing};
use super::remote::Remote;
use super::retry::Tries;
use super::stop::Stop;

/// A try that comes this much further than those before starts the count of tries again.
const PROGRESS: u64 = 1 << 20;

pub(super) struct Transfer<'a> {
    pub(super) config: &'a HubConfig,
    pub(super) folder: &'a RepoFolder,
    pub(super) listing: &'a RepoListing,
    pub(super) remote: &'a Remote<'a>,
    pub(super) stop: &'a Stop<'a>,
    pub(super) emit: &'a (dyn Fn(HubEvent) + Sync + 'a),
}

impl Transfer<'_> {
    /// Makes sure that a file of the listing is in its snapshot.
    pub(super) fn fetch(&self, path: &str, file: &RepoFile) -> Result<FetchedFile, HubError> {
        self.stop.check()?;
        let snapshot = self.folder.snapshot(&self.listing.commit).join(path);
        if has_size(&snapshot, file.size) {
            return self.reused(path, file, &snapshot);
        }
        let etag = file.etag();
        let blob = self.folder.blob(etag);
        layout::create_parent(&blob).map_err(HubError::io("creating the folder of", &blob))?;
        let lock = self.folder.lock(etag, || !self.stop.is_set());
        let lock = lock.map_err(HubError::io("locking", &blob))?;
        let Some(_lock) = lock else { return Err(HubError::Cancelled) };
        let link = || {
            let linked = self.folder.link(&self.listing.commit, path, etag);
            linked.map_err(HubError::io("linking", &snapshot))
        };
        if has_size(&blob, file.size) {
            let reused = self.reused(path, file, &blob)?;
            link()?;
            return Ok(reused);
        }
        let verification = self.transfer(path, file, &blob)?;
        link()?;
        (self.emit)(HubEvent::Finished { file: path.to_owned(), verified: verification });
        Ok(FetchedFile { path: path.to_owned(), size: file.size, verification, reused: false })
    }

    fn reused(&self, path: &str, file: &RepoFile, at: &Path) -> Result<FetchedFile, HubError> {
        let mut verification = Verification::SizeOnly;
        if self.config.verify_cached {
            verification = verify(at, file, self.stop)?;
        }
        (self.emit)(HubEvent::Reused { file: path.to_owned() });
        Ok(FetchedFile { path: path.to_owned(), size: file.size, verification, reused: true })
    }

    fn transfer(&self, path: &str, file: &RepoFile, blob: &Path) -> Result<Verification, HubError> {
        let etag = file.etag();
        let mut partial = Partial::open(self.folder.incomplete(etag), file, self.stop)?;
        (self.emit)(HubEvent::Started {
            file: path.to_owned(),
            bytes: file.size,
            resumed_from: partial.done,
        });
        let mut tries = Tries::new(self.config, self.stop, self.emit, Some(path));
        let mut corrupted = false;
        // The furthest that a try has come which was followed by another.
        let mut furthest = partial.done;
        loop {
            while let Err(error) = self.receive(path, file, &mut partial) {
                if partial.done >= furthest.saturating_add(PROGRESS) {
                    furthest = partial.done;
                    tries.progressed();
                }
                tries.after(error)?;
            }
            let hash = std::mem::replace(&mut partial.hash, ContentHash::None);
            let found = match hash.finish(etag) {
                Ok(verification) => {
                    let published = layout::publish(&partial.file, &partial.path, blob);
                    published.map_err(HubError::io("completing", blob))?;
                    return Ok(verification);
                }
                Err(found) => found,
            };
            let (repo, file_path) = (Box::new(self.listing.repo.clone()), path.to_owned());
            let expected = etag.to_owned();
            let error = HubError::Corrupted { repo, file: file_path, expected, found };
            if corrupted {
                partial.remove();
                return Err(error);
            }
            corrupted = true;
            partial.restart(file)?;
            (self.emit)(HubEvent::Retrying {
                file: Some(path.to_owned()),
                attempt: 2,
                reason: error.to_string(),
            });
        }
    }

    /// Receives what is missing of a file.
    fn receive(&self, path: &str, file: &RepoFile, partial: &mut Partial) -> Result<(), HubError> {
        if partial.done == file.size {
            return Ok(());
        }
        let commit = &self.listing.commit;
        let mut download = self.remote.open(commit, path, partial.done, file.size)?;
        if download.start != partial.done {
            partial.restart(file)?;
        }
        let step = (file.size / 100).max(256 << 10);
        let mut shown = partial.done;
        let repo = || Box::new(self.listing.repo.clone());
        let (url, expected) = (download.url.clone(), file.size);
        loop {
            let more = self.remote.next(&mut download, |piece| {
                if piece.len() as u64 > file.size - partial.done {
                    partial.remove();
                    let (file, url) = (path.to_owned(), url.clone());
                    return Err(HubError::Oversized { repo: repo(), file, url, expected });
                }
                partial.write(piece)
            })?;
            if more && partial.done >= shown.saturating_add(step) {
                shown = partial.done;
                let (done, total) = (partial.done, file.size);
                (self.emit)(HubEvent::Progress { file: path.to_owned(), done, total });
            }
            if !more && partial.done < file.size {
                let (file, found) = (path.to_owned(), partial.done);
                return Err(HubError::Truncated { repo: repo(), file, url, expected, found });
            }
            if !more {
                return Ok(());
            }
        }
    }
}

/// Whether there is a regular file, or a link to one, of this size.
pub(super) fn has_size(path: &Path, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
}

/// Computes the hash of a file in the cache again.
pub(super) fn verify(
    path: &Path,
    file: &RepoFile,
    stop: &Stop<'_>,
) -> Result<Verification, HubError> {
    let mut hash = ContentHash::for_etag(file.etag(), file.size);
    let mut content = File::open(path).map_err(HubError::io("opening", path))?;
    let read = hash.update_from(&mut content, || !stop.is_set());
    if !read.map_err(HubError::io("reading", path))? {
        return Err(HubError::Cancelled);
    }
    hash.finish(file.etag()).map_err(|found| HubError::CorruptedCache {
        path: path.to_owned(),
        expected: file.etag().to_owned(),
        found,
    })
}

/// What has arrived of a file; stays on the disk for the next time.
struct Partial {
    path: PathBuf,
    file: File,
    hash: ContentHash,
    done: u64,
}

impl Partial {
    /// Goes on with what an earlier transfer left.
    fn open(path: PathBuf, file: &RepoFile, stop: &Stop<'_>) -> Result<Self, HubError> {
        let mut options = OpenOptions::new();
        let opened = options.create(true).truncate(false).read(true).write(true).open(&path);
        let content = opened.map_err(HubError::io("opening", &path))?;
        let length = content.metadata().map_err(HubError::io("reading", &path))?.len();
        let hash = ContentHash::for_etag(file.etag(), file.size);
        let mut partial = Self { path, file: content, hash, done: length };
        if length > file.size {
            partial.restart(file)?;
        }
        let read = partial.hash.update_from(&mut partial.file, || !stop.is_set());
        if !read.map_err(HubError::io("reading", &partial.path))? {
            return Err(HubError::Cancelled);
        }
        partial
            .file
            .seek(SeekFrom::Start(partial.done))
            .map_err(HubError::io("reading", &partial.path))?;
        Ok(partial)
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), HubError> {
        if let Err(error) = self.file.write_all(piece) {
            // A part of the piece may have been written: only what was counted stays.
            let _ = self.file.set_len(self.done);
            return Err(match HubError::io("writing", &self.path)(error) {
                HubError::DiskFull { path, source, .. } => {
                    HubError::DiskFull { path, source, kept: self.done }
                }
                other => other,
            });
        }
        self.hash.update(piece);
        self.done += piece.len() as u64;
        Ok(())
    }

    fn restart(&mut self, file: &RepoFile) -> Result<(), HubError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(HubError::io("emptying", &self.path))?;
        self.hash = ContentHash::for_etag(file.etag(), file.size);
        self.done = 0;
        Ok(())
    }

    fn remove(&self) {
        // What is left behind is found wrong by its hash.
        let _: io::Result<()> = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The device on which every write finds no room.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_apart_and_what_arrived_counts() {
        let path = PathBuf::from("/dev/full");
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let mut partial = Partial { path, file, hash: ContentHash::None, done: 7 };
        let error = partial.write(b"more").unwrap_err();
        assert!(matches!(error, HubError::DiskFull { kept: 7, .. }), "{error}");
        assert!(error.to_string().contains("/dev/full: make room"), "{error}");
        assert_eq!(partial.done, 7);
    }

    #[test]
    fn only_regular_files_of_the_size_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "four").unwrap();
        assert!(has_size(&path, 4) && !has_size(&path, 5));
        assert!(!has_size(&folder.path().join("g"), 0));
        let size = fs::metadata(folder.path()).unwrap().len();
        assert!(!has_size(folder.path(), size));
    }
}
