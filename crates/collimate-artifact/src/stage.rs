//! Folders that appear whole or not at all.

mod lock;
mod rename;
mod sync;
mod workplace;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use collimate_tensors::stays_inside;
use serde::{Deserialize, Serialize};

use crate::disk::{folder_of, sync_folder};
use crate::error::{ArtifactError, Result};
use crate::event::Observer;
use workplace::Workplace;

/// What becomes of a folder that is in the place already.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Replace {
    /// It stays, and nothing is written.
    #[default]
    Never,
    /// The new one takes its place, and it is removed.
    Existing,
}

/// A folder that is being made: hidden beside its target until it is published, gone if it is not.
///
/// It lies in `.<name>.partial` beside the target; nothing else may have that name. A run that was
/// killed leaves that behind, and the next one for the same target removes it. A lock tells it from a
/// run that goes on.
///
/// The target is absent or whole at every moment. On Linux and Apple's systems it is replaced
/// atomically. Elsewhere, and on file systems that can't exchange two folders, the old one is moved
/// aside first: the target is absent for an instant, and if the run is killed in it, the next run for
/// the same target puts the old one back.
///
/// # Examples
///
/// ```
/// use collimate_artifact::{Replace, Staging};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let target = folder.join("my-model");
/// let staging = Staging::begin(&target, Replace::Never, &mut ())?;
/// staging.write("config.json", b"{}\n")?;
/// assert!(!target.exists());
/// staging.publish()?;
/// assert_eq!(std::fs::read(target.join("config.json"))?, b"{}\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "what is not published is removed"]
pub struct Staging {
    replace: Replace,
    workplace: Workplace,
}

impl Staging {
    /// Starts an empty folder that is to become `target`, after what an earlier run left behind was
    /// removed. The folders above it are created where they are missing, and stay.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Exists`]: there is something, and it is not to be replaced;
    /// [`ArtifactError::Invalid`]: it is to be replaced, but is no folder, or the path has no name;
    /// [`ArtifactError::Busy`]: another run writes there; [`ArtifactError::Unlocked`]: perhaps;
    /// [`ArtifactError::Io`].
    pub fn begin(target: &Path, replace: Replace, observer: &mut dyn Observer) -> Result<Self> {
        let workplace = Workplace::enter(target)?;
        workplace.clear(observer)?;
        is_replaced(target, replace)?;
        workplace.start()?;
        Ok(Self { replace, workplace })
    }

    /// The hidden folder that holds what was written so far.
    pub fn path(&self) -> &Path {
        self.workplace.new_folder()
    }

    /// Where a file of the folder is to be written; the folders above it are created.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Outside`]: `relative` is absolute, has `..` in it, or is no path on one of
    /// the systems; [`ArtifactError::Io`].
    pub fn file(&self, relative: &str) -> Result<PathBuf> {
        if !stays_inside(relative) {
            let (path, found) = (self.workplace.target().to_owned(), relative.to_owned());
            return Err(ArtifactError::Outside { path, found });
        }
        let file = self.path().join(relative);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(ArtifactError::io(parent))?;
        }
        Ok(file)
    }

    /// Writes a file that is not there yet.
    ///
    /// # Errors
    ///
    /// As [`Self::file`]; [`ArtifactError::Exists`]: it was written before.
    pub fn write(&self, relative: &str, bytes: &[u8]) -> Result<()> {
        let file = self.file(relative)?;
        create_new(&file)?.write_all(bytes).map_err(ArtifactError::io(&file))
    }

    /// Brings what was written so far to the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        sync::tree(self.path())
    }

    /// Brings everything to the disk, then the folder into its place; returns that place.
    ///
    /// What can't be removed of a folder that was replaced stays hidden, and the next run for the
    /// same target reports it.
    ///
    /// # Errors
    ///
    /// As [`Self::begin`], about what has come into the place meanwhile; [`ArtifactError::Invalid`]:
    /// there is something in the folder that is neither a file nor a folder. The target is as it was,
    /// unless its parent can't be brought to the disk, which is the last step.
    pub fn publish(self) -> Result<PathBuf> {
        self.sync()?;
        self.place()?;
        let target = self.workplace.target();
        let parent = folder_of(target);
        sync_folder(parent)?;
        Ok(target.to_owned())
    }

    fn place(&self) -> Result<()> {
        let (new, target) = (self.path(), self.workplace.target());
        let exchanged = is_replaced(target, self.replace)?
            && rename::exchange(new, target).map_err(ArtifactError::io(target))?;
        if exchanged {
            return Ok(());
        }
        self.place_in_two_steps()
    }

    /// Whatever happens between the two, the old folder is put back when this run ends or the next
    /// one begins.
    fn place_in_two_steps(&self) -> Result<()> {
        let target = self.workplace.target();
        if self.replace == Replace::Existing {
            self.workplace.move_aside()?;
        }
        rename::into_free_place(self.path(), target).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
                ArtifactError::Exists { path: target.to_owned() }
            }
            _ => ArtifactError::Io { path: target.to_owned(), source: error },
        })
    }
}

/// Creates a file that is not there yet.
pub(crate) fn create_new(path: &Path) -> Result<File> {
    File::create_new(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => ArtifactError::Exists { path: path.to_owned() },
        _ => ArtifactError::Io { path: path.to_owned(), source: error },
    })
}

/// Whether there is a folder in the place that may be replaced; `false` where there is nothing.
fn is_replaced(target: &Path, replace: Replace) -> Result<bool> {
    let path = target.to_owned();
    match (fs::symlink_metadata(target), replace) {
        (Err(error), _) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        (Err(source), _) => Err(ArtifactError::Io { path, source }),
        (Ok(_), Replace::Never) => Err(ArtifactError::Exists { path }),
        (Ok(found), Replace::Existing) if found.is_dir() => Ok(true),
        (Ok(_), Replace::Existing) => {
            let message = "only a folder can be replaced, and this is none; choose another place";
            Err(ArtifactError::Invalid { path, message: message.to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with `model/one`, and a staging with `two` that is to replace it.
    fn replacing() -> (tempfile::TempDir, PathBuf, Staging) {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("one"), "").unwrap();
        let staging = Staging::begin(&target, Replace::Existing, &mut ()).unwrap();
        staging.write("two", b"").unwrap();
        (folder, target, staging)
    }

    fn is_alone(folder: &Path) -> bool {
        fs::read_dir(folder).unwrap().count() == 1
    }

    #[test]
    fn where_nothing_can_be_exchanged_it_takes_two_steps() {
        let (folder, target, staging) = replacing();
        staging.place_in_two_steps().unwrap();
        drop(staging);
        assert!(target.join("two").exists() && is_alone(&target) && is_alone(folder.path()));
    }

    #[test]
    fn between_the_two_steps_nothing_is_lost() {
        let (folder, target, staging) = replacing();
        staging.workplace.move_aside().unwrap();
        assert!(!target.exists());
        drop(staging);
        assert!(target.join("one").exists() && is_alone(&target) && is_alone(folder.path()));

        let (folder, target, staging) = replacing();
        fs::remove_dir_all(staging.path()).unwrap();
        assert!(matches!(staging.place_in_two_steps(), Err(ArtifactError::Io { .. })));
        drop(staging);
        assert!(target.join("one").exists() && is_alone(folder.path()));
    }
}
