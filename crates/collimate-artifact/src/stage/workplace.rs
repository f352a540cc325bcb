//! The hidden folder beside a target in which its successor is made.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::lock::{Lock, Locking};
use super::rename;
use crate::disk::{folder_of, sync_folder};
use crate::error::{ArtifactError, Result};
use crate::event::{ArtifactEvent, Observer};

/// How often a lock may be gone before it is taken: once for every run that ends just then.
const TRIES: usize = 1000;

/// Holds at most three things: `lock`; `new`, what is being made, or what it was exchanged for; and
/// `old`, what was moved aside.
#[derive(Debug)]
pub(super) struct Workplace {
    target: PathBuf,
    hidden: PathBuf,
    new: PathBuf,
    /// Given up last of all.
    lock: Option<Lock>,
}

impl Workplace {
    /// Enters the workplace of a target and keeps other runs out.
    pub(super) fn enter(target: &Path) -> Result<Self> {
        let Some(name) = target.file_name() else {
            let message = "it has no name; give the path of the folder that is to be made";
            return Err(ArtifactError::Invalid {
                path: target.to_owned(),
                message: message.to_owned(),
            });
        };
        let parent = folder_of(target);
        create_folders(parent)?;
        let mut hidden_name = OsString::from(".");
        hidden_name.push(name);
        hidden_name.push(".partial");
        let hidden = parent.join(hidden_name);
        let lock = lock(target, &hidden)?;
        let new = hidden.join("new");
        Ok(Self { target: target.to_owned(), hidden, new, lock: Some(lock) })
    }

    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    pub(super) fn new_folder(&self) -> &Path {
        &self.new
    }

    fn old_folder(&self) -> PathBuf {
        self.hidden.join("old")
    }

    /// Starts with an empty folder, which has the permissions that every new folder has.
    pub(super) fn start(&self) -> Result<()> {
        fs::create_dir(&self.new).map_err(ArtifactError::io(&self.new))
    }

    /// Moves the target, if there is one, out of the way.
    pub(super) fn move_aside(&self) -> Result<()> {
        match fs::rename(&self.target, self.old_folder()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(ArtifactError::Io { path: self.target.clone(), source: error })
            }
            _ => Ok(()),
        }
    }

    /// Puts back what was moved aside if nothing has taken its place, and removes the rest.
    pub(super) fn clear(&self, observer: &mut dyn Observer) -> Result<()> {
        let old = self.old_folder();
        if is_there(&old)? && !is_there(&self.target)? {
            rename::into_free_place(&old, &self.target).map_err(ArtifactError::io(&self.target))?;
            observer.on_event(&ArtifactEvent::PutBack { path: self.target.clone() });
        }
        let mut found = false;
        for leftover in [&self.new, &old] {
            if is_there(leftover)? {
                // It removes links, and does not follow them.
                fs::remove_dir_all(leftover).map_err(ArtifactError::io(leftover))?;
                found = true;
            }
        }
        if found {
            observer.on_event(&ArtifactEvent::LeftoverRemoved { path: self.hidden.clone() });
        }
        Ok(())
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // What can't be removed is for the next run to report.
        let _ = self.clear(&mut ());
        if let Some(lock) = self.lock.take() {
            lock.release();
        }
        // It stays where it isn't empty: then, and where another run is entering.
        let _ = fs::remove_dir(&self.hidden);
    }
}

fn lock(target: &Path, hidden: &Path) -> Result<Lock> {
    let path = hidden.join("lock");
    for _ in 0..TRIES {
        let is_mine = create_private(hidden)?;
        match Lock::take(&path).map_err(ArtifactError::io(&path))? {
            Locking::Taken(lock) => return Ok(lock),
            Locking::Held => return Err(ArtifactError::Busy { path: target.to_owned() }),
            // Another run has just ended.
            Locking::Gone => {}
            // Creating the folder is a lock too, but one that its holder's death does not open.
            Locking::Unsupported(lock) if is_mine => return Ok(lock),
            Locking::Unsupported(_) => {
                let (path, hidden) = (target.to_owned(), hidden.to_owned());
                return Err(ArtifactError::Unlocked { path, hidden });
            }
        }
    }
    Err(ArtifactError::Busy { path: target.to_owned() })
}

/// Creates a folder that only its owner can enter; `false` if it was there.
fn create_private(path: &Path) -> Result<bool> {
    match create_for_owner(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            match fs::symlink_metadata(path) {
                Ok(found) if found.is_dir() => make_private(path),
                Ok(_) => Err(ArtifactError::Invalid {
                    path: path.to_owned(),
                    message: "a folder of this name is needed to work in; remove what is there"
                        .to_owned(),
                }),
                Err(error) => Err(error).map_err(ArtifactError::io(path)),
            }
            .map(|()| false)
        }
        Err(error) => Err(error).map_err(ArtifactError::io(path)),
    }
}

#[cfg(unix)]
fn create_for_owner(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_for_owner(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

/// Fails where the folder is somebody else's.
#[cfg(unix)]
fn make_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(ArtifactError::io(path))
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> Result<()> {
    Ok(())
}

/// Creates a folder and those above it, durably.
fn create_folders(path: &Path) -> Result<()> {
    let missing: Vec<_> = path
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
        .collect();
    for folder in missing.into_iter().rev() {
        match fs::create_dir(folder) {
            // By another run.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            created => created.map_err(ArtifactError::io(folder))?,
        }
        let parent = folder_of(folder);
        sync_folder(parent)?;
    }
    Ok(())
}

fn is_there(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).map_err(ArtifactError::io(path)),
    }
}
