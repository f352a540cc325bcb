//! Repositories in a Hugging Face cache: `models--owner--name/{blobs,refs,snapshots,trees}`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::candidate::Found;
use super::inspect;
use super::skipped::{SkipReason, Skipped};
use crate::description::Description;
use crate::entry::{Entry, Kind, Source};
use crate::folder::Folder;
use crate::hub_tree::{MAX_BYTES, Tree, TreeFile};
use crate::name::{ModelName, RepoId};
use crate::problem::Problem;

/// Deepest folder below `refs` that is entered: `refs/pr/1` has one.
const REF_DEPTH: usize = 4;

/// Every revision of one repository.
pub(super) fn repository(path: &Path, cache: &Path) -> Vec<Found> {
    let skip = |reason| vec![Found::Skipped(Skipped::new(path, reason))];
    let folder = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let id = folder.strip_prefix("models--").unwrap_or_default().replacen("--", "/", 1);
    let Ok(repository) = RepoId::new(&id) else {
        return skip(SkipReason::NotAModel { because: "its name is not that of a repository" });
    };
    let refs = refs(path);
    let source = |commit: Option<&str>| Source::HubCache {
        cache: cache.to_owned(),
        repository: repository.clone(),
        commit: commit.map(str::to_owned),
        refs: commit.and_then(|commit| refs.get(commit)).cloned().unwrap_or_default(),
    };
    let commits = match Folder::list(&path.join("snapshots")) {
        Ok(snapshots) => snapshots.folders().to_vec(),
        Err(_) => Vec::new(),
    };
    let partial = partial_blobs(path);
    if commits.is_empty() {
        if partial.is_empty() {
            return skip(SkipReason::NotAModel { because: "no revision of it is in the cache" });
        }
        let commit = refs.keys().next().map(String::as_str);
        let problems = partial.into_iter().map(|blob| blob.problem()).collect();
        return vec![not_begun(&repository, path, source(commit), problems)];
    }
    let mut found = Vec::new();
    for commit in &commits {
        let snapshot = path.join("snapshots").join(commit);
        for mut revision in inspect::folder(&snapshot, source(Some(commit))) {
            if let Found::Model(entry) = &mut revision {
                let own = partial.iter().filter(|blob| blob.belongs_to(entry, path, commits.len()));
                entry.add_problems(own.map(Partial::problem).collect());
            }
            found.push(revision);
        }
    }
    found
}

/// A download of which no file is in place.
fn not_begun(id: &RepoId, path: &Path, source: Source, problems: Vec<Problem>) -> Found {
    match ModelName::new(id.name()) {
        Ok(name) => Found::Model(Box::new(Entry {
            name,
            display_name: id.name().to_owned(),
            kind: Kind::Unfinished,
            path: path.to_owned(),
            source,
            description: Description::default(),
            problems,
        })),
        Err(_) => Found::Skipped(Skipped::new(path, SkipReason::Unnameable)),
    }
}

/// Branches and tags by the commit that they point to, sorted.
fn refs(repository: &Path) -> BTreeMap<String, Vec<String>> {
    let mut by_commit: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut open: Vec<(PathBuf, String)> = vec![(repository.join("refs"), String::new())];
    while let Some((path, prefix)) = open.pop() {
        let Ok(folder) = Folder::list(&path) else { continue };
        for name in folder.files() {
            let Ok(bytes) = folder.read(name, 256) else { continue };
            let commit = String::from_utf8_lossy(&bytes).trim().to_owned();
            by_commit.entry(commit).or_default().push(format!("{prefix}{name}"));
        }
        if prefix.matches('/').count() < REF_DEPTH {
            let deeper = folder.folders().iter();
            open.extend(deeper.map(|name| (path.join(name), format!("{prefix}{name}/"))));
        }
    }
    by_commit.values_mut().for_each(|names| names.sort_unstable());
    by_commit
}

/// A blob whose download has not ended.
struct Partial {
    file: String,
}

fn partial_blobs(repository: &Path) -> Vec<Partial> {
    let Ok(blobs) = Folder::list(&repository.join("blobs")) else { return Vec::new() };
    let partial = blobs.files().iter().filter(|name| name.ends_with(".incomplete"));
    partial.map(|name| Partial { file: format!("blobs/{name}") }).collect()
}

impl Partial {
    fn problem(&self) -> Problem {
        Problem::Unfinished { file: self.file.clone() }
    }

    /// Whether it is a part of this revision: as the commit's list of files says; where there is no
    /// list, the only revision, or each that is not complete.
    fn belongs_to(&self, entry: &Entry, repository: &Path, revisions: usize) -> bool {
        let tree = entry.revision().and_then(|commit| tree(repository, commit));
        let name = self.file.trim_start_matches("blobs/");
        let etag = name.split('.').next().unwrap_or(name);
        match tree {
            Some(tree) => tree.files.values().any(|file| is_blob(file, etag)),
            None => revisions == 1 || !entry.is_complete(),
        }
    }
}

/// The files of a commit, as newer caches note them.
fn tree(repository: &Path, commit: &str) -> Option<Tree> {
    let folder = repository.join("trees");
    let name = format!("{commit}.json");
    // Most caches have none: looking is cheaper than listing.
    if !fs::metadata(folder.join(&name)).ok()?.is_file() {
        return None;
    }
    Tree::parse(&Folder::list(&folder).ok()?.read(&name, MAX_BYTES).ok()?)
}

fn is_blob(file: &TreeFile, etag: &str) -> bool {
    file.blob_id == etag || file.lfs_sha256.as_deref() == Some(etag)
}

/// Holds a revision against the list of its files: those that are here must have their full size,
/// and what a model is loaded with must be here.
pub(super) fn compare_with_tree(snapshot: &Folder, commit: &str, problems: &mut Vec<Problem>) {
    let repository = snapshot.path().parent().and_then(Path::parent);
    let Some(tree) = repository.and_then(|path| tree(path, commit)) else { return };
    for (name, file) in &tree.files {
        if snapshot.has(name) {
            match snapshot.size(name) {
                Ok(found) if found < file.bytes() => problems.push(Problem::Truncated {
                    file: name.clone(),
                    expected: file.bytes(),
                    found,
                }),
                Ok(_) => {}
                Err(problem) => problems.push(problem),
            }
        } else if NEEDED.contains(&name.as_str()) {
            let reason = "the repository has it, and it was not fetched".to_owned();
            problems.push(Problem::MissingFile { file: name.clone(), reason });
        }
    }
}

/// What loading reads beside the weights, which are looked at by themselves.
const NEEDED: [&str; 5] = [
    "chat_template.jinja",
    "config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
];
