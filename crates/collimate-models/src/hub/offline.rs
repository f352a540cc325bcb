//! What the cache holds, without asking anybody.

use std::fs;
use std::io;
use std::path::Path;

use super::config::HubConfig;
use super::error::HubError;
use super::event::Verification;
use super::fetched::{Fetched, FetchedFile};
use super::layout::{self, RepoFolder};
use super::listing::{MAX_FILES, RepoFile, RepoListing, is_hex};
use super::selection::FileSelection;
use super::stop::Stop;
use super::transfer::{has_size, verify};
use super::tree;

/// Most bytes that are read of an index of shards.
pub(super) const MAX_INDEX_BYTES: u64 = 64 << 20;
const MAX_DEPTH: usize = 32;

/// Sets the commit of a listing, and fills in its files as the cache knows them. `true` if they are
/// all the files of the commit, `false` if they are those that happen to be there.
pub(super) fn list(folder: &RepoFolder, listing: &mut RepoListing) -> Result<bool, HubError> {
    if is_hex(&listing.revision, 40) {
        listing.commit.clone_from(&listing.revision);
    } else {
        let read = folder.read_ref(&listing.revision);
        let commit = read.map_err(HubError::io("reading the revisions in", folder.cache()))?;
        listing.commit = commit.ok_or_else(|| not_cached(folder, listing, Vec::new()))?;
    }
    if tree::read(folder, listing)? {
        return Ok(true);
    }
    let snapshot = folder.snapshot(&listing.commit);
    match scan(&snapshot, "", 0, listing) {
        Err(HubError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(not_cached(folder, listing, Vec::new()))
        }
        scanned => scanned.map(|()| false),
    }
}

/// The selected files, if all of them are in the cache.
pub(super) fn fetch(
    config: &HubConfig,
    folder: &RepoFolder,
    mut listing: RepoListing,
    selection: &FileSelection,
    stop: &Stop<'_>,
) -> Result<Fetched, HubError> {
    let is_whole = list(folder, &mut listing)?;
    let snapshot = folder.snapshot(&listing.commit);
    let mut read = |path: &str| {
        let at = snapshot.join(path);
        match layout::read_small(&at, MAX_INDEX_BYTES) {
            Ok(content) => Ok(content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(not_cached(folder, &listing, vec![path.to_owned()]))
            }
            Err(error) => Err(HubError::io("reading", &at)(error)),
        }
    };
    let chosen = selection.choose(&listing, &mut read).map_err(|error| match error {
        // The repository may have it; the cache doesn't.
        HubError::FileNotFound { file, .. } if !is_whole => {
            not_cached(folder, &listing, vec![file])
        }
        HubError::NoWeights { .. } if !is_whole => {
            not_cached(folder, &listing, vec!["model.safetensors".to_owned()])
        }
        HubError::NothingSelected { .. } if !is_whole => not_cached(folder, &listing, Vec::new()),
        other => other,
    })?;
    let mut files = Vec::with_capacity(chosen.len());
    let mut missing = Vec::new();
    for path in chosen {
        stop.check()?;
        let Some(file) = listing.files.get(&path) else { continue };
        let at = snapshot.join(&path);
        if !has_size(&at, file.size) {
            missing.push(path);
            continue;
        }
        let mut verification = Verification::SizeOnly;
        if config.verify_cached {
            verification = verify(&at, file, stop)?;
        }
        files.push(FetchedFile { path, size: file.size, verification, reused: true });
    }
    if !missing.is_empty() {
        return Err(not_cached(folder, &listing, missing));
    }
    let RepoListing { repo, kind, revision, commit, .. } = listing;
    Ok(Fetched { repo, kind, revision, commit, path: snapshot, files })
}

pub(super) fn not_cached(
    folder: &RepoFolder,
    listing: &RepoListing,
    files: Vec<String>,
) -> HubError {
    HubError::NotCached {
        repo: Box::new(listing.repo.clone()),
        revision: listing.revision.clone(),
        cache: folder.cache().to_owned(),
        files,
    }
}

/// Adds the files of a snapshot. The hash of each is the name of what its link leads to.
fn scan(
    folder: &Path,
    prefix: &str,
    depth: usize,
    listing: &mut RepoListing,
) -> Result<(), HubError> {
    let reading = HubError::io("reading", folder);
    let entries = fs::read_dir(folder)
        .and_then(|entries| entries.take(MAX_FILES).collect::<io::Result<Vec<_>>>());
    for entry in entries.map_err(reading)? {
        let at = entry.path();
        // The Hub has no file whose name isn't Unicode.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(HubError::io("reading", &at))?;
        if kind.is_dir() && depth < MAX_DEPTH {
            scan(&at, &format!("{path}/"), depth + 1, listing)?;
        }
        // A link that leads nowhere is a file that is missing.
        let Ok(metadata) = fs::metadata(&at) else { continue };
        if metadata.is_file() {
            let target = fs::read_link(&at).ok();
            let target = target.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
            let blob_id = target.unwrap_or("unknown").to_owned();
            let file = RepoFile { size: metadata.len(), blob_id, sha256: None, xet_hash: None };
            listing.insert(path, file, &at.display().to_string())?;
        }
    }
    Ok(())
}
