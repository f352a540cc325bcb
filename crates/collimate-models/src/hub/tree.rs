use std::io::{self, Write};

use super::error::HubError;
use super::layout::{self, RepoFolder};
use super::listing::{RepoFile, RepoListing};
use crate::hub_tree::{MAX_BYTES, Tree, TreeFile};

/// Fills in the files of a commit from the cache; `false` where they aren't there in a form that is
/// known: whoever asks lists them elsewhere.
pub(super) fn read(folder: &RepoFolder, listing: &mut RepoListing) -> Result<bool, HubError> {
    let path = folder.tree(&listing.commit);
    let bytes = match layout::read_small(&path, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(HubError::io("reading", &path)(error)),
    };
    let Some(tree) = Tree::parse(&bytes) else { return Ok(false) };
    if tree.files.values().any(|file| file.blob_id.is_empty()) {
        return Ok(false);
    }
    let origin = path.display().to_string();
    for (name, file) in tree.files {
        let size = file.bytes();
        let TreeFile { blob_id, lfs_sha256: sha256, xet_hash, .. } = file;
        listing.insert(name, RepoFile { size, blob_id, sha256, xet_hash }, &origin)?;
    }
    Ok(true)
}

/// Writes the files of a commit.
pub(super) fn write(folder: &RepoFolder, listing: &RepoListing) -> Result<(), HubError> {
    let files = listing.files.iter().map(|(path, file)| {
        let entry = TreeFile {
            size: file.size,
            blob_id: file.blob_id.clone(),
            lfs_sha256: file.sha256.clone(),
            lfs_size: file.sha256.is_some().then_some(file.size),
            xet_hash: file.xet_hash.clone(),
        };
        (path.clone(), entry)
    });
    let tree = Tree::new(files.collect());
    let path = folder.tree(&listing.commit);
    layout::write_whole(&path, |out| {
        tree.write(&mut *out)?;
        out.flush()
    })
    .map_err(HubError::io("writing", &path))
}
