//! Folders for the tests of this module.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::folder::Folder;

/// A folder that goes away with this value.
pub(super) struct Model(TempDir);

impl Model {
    pub(super) fn new<T: AsRef<[u8]>>(files: &[(&str, T)]) -> Self {
        let model = Self(tempfile::tempdir().unwrap());
        for (name, content) in files {
            let path = model.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        model
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn folder(&self) -> Folder {
        Folder::list(self.path()).unwrap()
    }
}
