//! Folders that appear whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Result, TrainError};

/// A folder that nobody else writes to meanwhile.
#[derive(Debug)]
pub(crate) struct Locked {
    path: PathBuf,
    /// Opened by the system when this run ends, however it ends.
    _lock: File,
}

impl Locked {
    /// Creates the folder where it is missing, locks it, and tidies up what a run that was killed left
    /// behind.
    pub(crate) fn enter(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).map_err(TrainError::io(path))?;
        let lock = path.join(".lock");
        let file = File::options().create(true).truncate(false).write(true).open(&lock);
        let file = file.map_err(TrainError::io(&lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(TrainError::Busy { path: path.to_owned() });
            }
            // Where there are no locks, whoever starts two runs has to know it.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(TrainError::io(&lock)(error)),
        }
        let locked = Self { path: path.to_owned(), _lock: file };
        locked.tidy()?;
        Ok(locked)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder: filled beside its place, brought to the disk, and renamed. One of the same name is
    /// replaced.
    pub(crate) fn write(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let (new, old) = (self.hidden(name, NEW), self.hidden(name, OLD));
        let target = self.path.join(name);
        remove(&new)?;
        fs::create_dir(&new).map_err(TrainError::io(&new))?;
        fill(&new)?;
        sync(&new)?;
        if is_there(&target)? {
            fs::rename(&target, &old).map_err(TrainError::io(&target))?;
        }
        fs::rename(&new, &target).map_err(TrainError::io(&target))?;
        sync_names(&self.path)?;
        remove(&old)?;
        Ok(target)
    }

    /// Removes a folder, all at once for whoever looks.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let (target, gone) = (self.path.join(name), self.hidden(name, NEW));
        remove(&gone)?;
        fs::rename(&target, &gone).map_err(TrainError::io(&target))?;
        remove(&gone)
    }

    fn hidden(&self, name: &str, end: &str) -> PathBuf {
        self.path.join(format!(".{name}{end}"))
    }

    fn tidy(&self) -> Result<()> {
        for entry in fs::read_dir(&self.path).map_err(TrainError::io(&self.path))? {
            let path = entry.map_err(TrainError::io(&self.path))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let Some(name) = name.strip_prefix(".checkpoint-") else { continue };
            if let Some(name) = name.strip_suffix(OLD) {
                let target = self.path.join(format!("checkpoint-{name}"));
                if !is_there(&target)? {
                    fs::rename(&path, &target).map_err(TrainError::io(&path))?;
                    continue;
                }
            } else if !name.ends_with(NEW) {
                continue;
            }
            remove(&path)?;
        }
        Ok(())
    }
}

const NEW: &str = ".partial";
const OLD: &str = ".old";

fn is_there(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(TrainError::io(path)(error)),
    }
}

/// Removes a folder, if there is one; links are removed, not followed.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(TrainError::io(path)(error)),
        _ => Ok(()),
    }
}

/// Brings the files of a folder, and their names, to the disk.
fn sync(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(TrainError::io(folder))? {
        let path = entry.map_err(TrainError::io(folder))?.path();
        let file = File::options().read(true).write(cfg!(windows)).open(&path);
        file.and_then(|file| file.sync_all()).map_err(TrainError::io(&path))?;
    }
    sync_names(folder)
}

#[cfg(unix)]
fn sync_names(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(TrainError::io(folder))
}

#[cfg(not(unix))]
fn sync_names(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| name(e).into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let scratch = tempfile::tempdir().unwrap();
        let locked = Locked::enter(scratch.path()).unwrap();
        let failed = locked.write("checkpoint-1", |folder| {
            fs::write(folder.join("one"), "1").unwrap();
            assert!(!scratch.path().join("checkpoint-1").exists());
            Err(TrainError::NoRows)
        });
        assert!(failed.is_err());
        assert_eq!(names(scratch.path()), [".checkpoint-1.partial", ".lock"]);
        for text in ["1", "2"] {
            let fill =
                |folder: &Path| fs::write(folder.join("one"), text).map_err(TrainError::io(""));
            let path = locked.write("checkpoint-1", fill).unwrap();
            assert_eq!(fs::read_to_string(path.join("one")).unwrap(), text);
            assert_eq!(names(scratch.path()), [".lock", "checkpoint-1"]);
        }
        locked.remove("checkpoint-1").unwrap();
        assert_eq!(names(scratch.path()), [".lock"]);
    }

    #[test]
    fn what_a_killed_run_left_is_tidied_up() {
        let scratch = tempfile::tempdir().unwrap();
        let make = |name: &str| fs::create_dir(scratch.path().join(name)).unwrap();
        // Killed while it wrote one, and while it replaced two, before and after the second renaming.
        make(".checkpoint-1.partial");
        make(".checkpoint-2.old");
        make(".checkpoint-3.old");
        make("checkpoint-3");
        make(".mine");
        Locked::enter(scratch.path()).unwrap();
        assert_eq!(names(scratch.path()), [".lock", ".mine", "checkpoint-2", "checkpoint-3"]);
    }

    #[test]
    fn two_runs_do_not_write_to_the_same_folder() {
        let scratch = tempfile::tempdir().unwrap();
        let first = Locked::enter(scratch.path()).unwrap();
        assert!(matches!(Locked::enter(scratch.path()), Err(TrainError::Busy { .. })));
        drop(first);
        Locked::enter(scratch.path()).unwrap();
    }
}
