use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use collimate_models::ModelName;
use serde::Serialize;

use crate::disk::{read_text, sync_folder};
use crate::error::{ArtifactError, Result};
use crate::names::{FolderName, adapter_folder, parse_standalone, standalone_folder};
use crate::version::{Bump, Version};

/// The models of one project, side by side in a folder.
///
/// - `{model}-adapter/`: the latest adapter of a base model,
/// - `{project}-v{version}-{model}/`: a standalone model,
/// - `{project}-CURRENT`: which of the standalone models is in use.
///
/// # Examples
///
/// ```
/// use collimate_artifact::{Bump, FolderName, Project, Version};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let project = Project::new(folder, FolderName::new("tutor")?);
/// assert_eq!(project.next_version(Bump::Minor)?, Version::new(1, 0, 0));
///
/// std::fs::create_dir(folder.join("tutor-v1.0.0-small-1b"))?;
/// assert_eq!(project.next_version(Bump::Minor)?, Version::new(1, 1, 0));
///
/// let released = project.releases()?.remove(0);
/// project.set_current(&released)?;
/// assert_eq!(project.current()?, Some(released));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Project {
    root: PathBuf,
    name: FolderName,
}

/// A standalone model of a project.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub struct Release {
    /// Its version.
    pub version: Version,
    /// The folder name of its base model.
    pub model: ModelName,
    /// Its folder.
    pub path: PathBuf,
}

impl Project {
    /// The project of this name whose models lie in this folder; nothing is read or created.
    pub fn new(root: impl Into<PathBuf>, name: FolderName) -> Self {
        Self { root: root.into(), name }
    }

    /// The folder that its models lie in.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its name.
    pub fn name(&self) -> &FolderName {
        &self.name
    }

    /// Where the adapter of a base model belongs.
    pub fn adapter_path(&self, model: &ModelName) -> PathBuf {
        self.root.join(adapter_folder(model))
    }

    /// Where the standalone model of a version belongs.
    pub fn release_path(&self, version: Version, model: &ModelName) -> PathBuf {
        self.root.join(standalone_folder(&self.name, version, model))
    }

    /// Its standalone models, by version and model.
    ///
    /// # Errors
    ///
    /// The folder is there but can't be read.
    pub fn releases(&self) -> Result<Vec<Release>> {
        let mut releases = Vec::new();
        for ((version, model), is_folder) in self.taken()? {
            let path = self.release_path(version, &model);
            if is_folder {
                releases.push(Release { version, model, path });
            }
        }
        Ok(releases)
    }

    /// The version after the highest one that any folder, file or link of this project is named with;
    /// [`Version::FIRST`] where there is none.
    ///
    /// # Errors
    ///
    /// The folder is there but can't be read; the number can't rise.
    pub fn next_version(&self, bump: Bump) -> Result<Version> {
        match self.taken()?.into_keys().next_back() {
            None => Ok(Version::FIRST),
            Some((version, _)) => version.next(bump).ok_or_else(|| {
                let message = format!("no version follows {version}; begin with another project");
                ArtifactError::Invalid { path: self.root.clone(), message }
            }),
        }
    }

    /// The standalone model that is in use, if one is.
    ///
    /// # Errors
    ///
    /// `{project}-CURRENT` can't be read, is neither a link nor a file with a name, or what it names is
    /// no standalone model of this project that is there.
    pub fn current(&self) -> Result<Option<Release>> {
        let path = self.pointer();
        let kind = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ArtifactError::Io { path, source }),
        };
        let name = if kind.is_symlink() {
            let target = fs::read_link(&path);
            let target =
                target.map_err(|source| ArtifactError::Io { path: path.clone(), source })?;
            target.to_string_lossy().into_owned()
        } else {
            let text = read_text(&path, POINTER_LIMIT)?;
            text.strip_suffix('\n').unwrap_or(&text).to_owned()
        };
        self.release(&name).map(Some).map_err(|reason| {
            let message = format!("it names {name:?}, which {reason}");
            ArtifactError::Invalid { path, message }
        })
    }

    /// Makes a standalone model the one in use: whoever looks sees the one before, or this one.
    ///
    /// `{project}-CURRENT` is a link, or where the system or the file system has none, a file with the
    /// name of the folder.
    ///
    /// # Errors
    ///
    /// The model is not there, or none of this project; there is a folder in the place of
    /// `{project}-CURRENT`; it can't be written.
    pub fn set_current(&self, release: &Release) -> Result<()> {
        let name = standalone_folder(&self.name, release.version, &release.model);
        let path = self.root.join(&name);
        if release.path != path || self.release(&name).is_err() {
            let message = format!("no standalone model of the project {} is there", self.name);
            return Err(ArtifactError::Invalid { path: release.path.clone(), message });
        }
        let pointer = self.pointer();
        if fs::symlink_metadata(&pointer).is_ok_and(|found| found.is_dir()) {
            return Err(ArtifactError::Exists { path: pointer });
        }
        self.switch(&pointer, &name)
    }

    fn pointer(&self) -> PathBuf {
        self.root.join(format!("{}-CURRENT", self.name))
    }

    /// Every version and model that a name in the folder states, and whether it is that of a folder.
    fn taken(&self) -> Result<BTreeMap<(Version, ModelName), bool>> {
        let failed = |source| ArtifactError::Io { path: self.root.clone(), source };
        let mut taken = BTreeMap::new();
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(taken),
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            // A name that is not Unicode is none of ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if let Some(parsed) = parse_standalone(&self.name, &name) {
                taken.insert(parsed, entry.file_type().map_err(failed)?.is_dir());
            }
        }
        Ok(taken)
    }

    /// The model in a folder of this name, or why there is none.
    fn release(&self, name: &str) -> std::result::Result<Release, &'static str> {
        let parsed = parse_standalone(&self.name, name);
        let (version, model) = parsed.ok_or("is no standalone model of this project")?;
        let path = self.root.join(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => Ok(Release { version, model, path }),
            _ => Err("is not there; choose another model"),
        }
    }

    /// Makes the new pointer under another name and moves it over the old one.
    fn switch(&self, pointer: &Path, name: &str) -> Result<()> {
        let failed = |source| ArtifactError::Io { path: pointer.to_owned(), source };
        let prefix = format!(".{}-CURRENT.", self.name);
        let mut tries = 0;
        loop {
            self.sweep(&prefix).map_err(failed)?;
            let mut made = tempfile::Builder::new();
            made.prefix(&prefix).suffix(UNFINISHED);
            let made = made.make_in(&self.root, |path| make_pointer(path, name)).map_err(failed)?;
            match made.into_temp_path().persist(pointer) {
                Ok(()) => return sync_folder(&self.root),
                // Another run took it for one that a killed run left behind.
                Err(error) if error.error.kind() == io::ErrorKind::NotFound && tries < 100 => {
                    tries += 1
                }
                Err(error) => return Err(failed(error.error)),
            }
        }
    }

    /// Removes what killed runs left behind.
    fn sweep(&self, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_ours = |name: &str| name.starts_with(prefix) && name.ends_with(UNFINISHED);
            if name.to_str().is_some_and(is_ours) {
                match fs::remove_file(entry.path()) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

const UNFINISHED: &str = ".switch";

/// Most bytes of a file that names the model in use.
const POINTER_LIMIT: u64 = 4096;

#[cfg(unix)]
fn make_pointer(path: &Path, name: &str) -> io::Result<()> {
    match std::os::unix::fs::symlink(name, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            write_pointer(path, name).map_err(|_| error)
        }
        made => made,
    }
}

#[cfg(not(unix))]
fn make_pointer(path: &Path, name: &str) -> io::Result<()> {
    write_pointer(path, name)
}

fn write_pointer(path: &Path, name: &str) -> io::Result<()> {
    let mut file = fs::File::create_new(path)?;
    io::Write::write_all(&mut file, format!("{name}\n").as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_are_no_links_a_file_has_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::new(folder.path(), FolderName::new("p").unwrap());
        fs::create_dir(folder.path().join("p-v1.0.0-m")).unwrap();
        write_pointer(&project.pointer(), "p-v1.0.0-m").unwrap();
        assert_eq!(project.current().unwrap(), Some(project.releases().unwrap().remove(0)));
        assert!(write_pointer(&project.pointer(), "p-v1.0.0-m").is_err());
    }

    #[test]
    fn what_a_killed_run_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::new(folder.path(), FolderName::new("p").unwrap());
        fs::create_dir(folder.path().join("p-v1.0.0-m")).unwrap();
        fs::write(folder.path().join(".p-CURRENT.abc123.switch"), "").unwrap();
        fs::write(folder.path().join(".p-CURRENT.abc123.other"), "").unwrap();
        project.set_current(&project.releases().unwrap().remove(0)).unwrap();
        assert!(!folder.path().join(".p-CURRENT.abc123.switch").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
