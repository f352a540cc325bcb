use std::fs;
use std::path::{Path, PathBuf};

use super::config::ScanConfig;
use super::skipped::{SkipReason, Skipped};
use super::{hub_cache, inspect};
use crate::entry::{Entry, Source};

/// Folders of a root whose folders are models as well.
const GROUPS: [&str; 3] = ["base", "base_models", "pretrained"];

/// Something that may be a model.
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    pub(super) is_link: bool,
    pub(super) place: Place,
}

/// What is known about a candidate before it is looked at.
pub(super) enum Place {
    /// A folder below a root, or a root.
    Folder {
        root: PathBuf,
        /// That a root, or a folder that groups models, is no model is no news.
        is_root: bool,
    },
    /// A GGUF file below a root, or a root.
    File { root: PathBuf },
    /// A folder `models--…` of a cache.
    Repository { cache: PathBuf },
}

/// What became of a candidate, or of a part of it.
pub(super) enum Found {
    Model(Box<Entry>),
    Skipped(Skipped),
}

impl Candidate {
    pub(super) fn inspect(&self) -> Vec<Found> {
        match &self.place {
            Place::Folder { root, is_root } => {
                let source = Source::Folder { root: root.clone() };
                let mut found = inspect::folder(&self.path, source);
                let is_news = |f: &Found| matches!(f, Found::Model(_)) || !is_root;
                found.retain(is_news);
                found
            }
            Place::File { root } => {
                inspect::gguf_file(&self.path, Source::Folder { root: root.clone() })
            }
            Place::Repository { cache } => hub_cache::repository(&self.path, cache),
        }
    }

    /// What is equal for two paths to the same folder.
    pub(super) fn identity(&self) -> Option<Identity> {
        identity(&self.path)
    }
}

#[cfg(unix)]
pub(super) type Identity = (u64, u64);
#[cfg(not(unix))]
pub(super) type Identity = PathBuf;

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    path.canonicalize().ok()
}

/// Everything in the roots and caches that may be a model.
pub(super) fn collect(config: &ScanConfig, skipped: &mut Vec<Skipped>) -> Vec<Candidate> {
    let mut collector = Collector { config, skipped, candidates: Vec::new() };
    for root in &config.roots {
        collector.root(root);
    }
    for cache in &config.hub_caches {
        collector.cache(cache);
    }
    collector.candidates
}

struct Collector<'a> {
    config: &'a ScanConfig,
    skipped: &'a mut Vec<Skipped>,
    candidates: Vec<Candidate>,
}

impl Collector<'_> {
    fn root(&mut self, root: &Path) {
        if is_gguf(root) && root.is_file() {
            return self.push(root.to_owned(), false, Place::File { root: root.to_owned() });
        }
        let place = Place::Folder { root: root.to_owned(), is_root: true };
        self.push(root.to_owned(), false, place);
        // What lies in the folder of a model belongs to it.
        if !inspect::is_model(root) {
            for group in self.folders(root, root) {
                let place = Place::Folder { root: root.to_owned(), is_root: true };
                self.push(group.clone(), false, place);
                self.folders(root, &group);
            }
        }
    }

    /// Takes the folders of `folder`, and returns those that group more of them.
    fn folders(&mut self, root: &Path, folder: &Path) -> Vec<PathBuf> {
        let mut groups = Vec::new();
        for child in self.children(folder).into_iter().filter(|child| child.is_folder) {
            if child.name.starts_with("models--") {
                let place = Place::Repository { cache: folder.to_owned() };
                self.push(child.path, child.is_link, place);
            } else if folder == root && GROUPS.contains(&child.name.as_str()) {
                if inspect::is_model(&child.path) {
                    self.folder(root, child);
                } else {
                    groups.push(child.path);
                }
            } else if let Some(pattern) = self.config.skips(&child.name) {
                let reason = SkipReason::Pattern { pattern: pattern.to_owned() };
                self.skipped.push(Skipped { path: child.path, reason });
            } else {
                self.folder(root, child);
            }
        }
        groups
    }

    fn folder(&mut self, root: &Path, child: Child) {
        let place = Place::Folder { root: root.to_owned(), is_root: false };
        self.push(child.path, child.is_link, place);
    }

    fn cache(&mut self, cache: &Path) {
        for child in self.children(cache) {
            if child.is_folder && child.name.starts_with("models--") {
                let place = Place::Repository { cache: cache.to_owned() };
                self.push(child.path, child.is_link, place);
            } else if child.is_folder && !child.name.starts_with('.') {
                let because = "its name does not begin with `models--`";
                let reason = SkipReason::NotAModel { because };
                self.skipped.push(Skipped { path: child.path, reason });
            }
        }
    }

    fn children(&mut self, folder: &Path) -> Vec<Child> {
        let listing = match fs::read_dir(folder) {
            Ok(listing) => listing,
            Err(error) => {
                self.skipped.push(Skipped::unreadable(folder, &error));
                return Vec::new();
            }
        };
        let mut children = Vec::new();
        for entry in listing {
            match entry.and_then(|entry| Ok((entry.file_type()?, entry))) {
                Ok((kind, entry)) => {
                    let path = entry.path();
                    let is_link = kind.is_symlink();
                    let is_folder = kind.is_dir() || is_link && self.leads_to_folder(&path);
                    let name = entry.file_name().to_string_lossy().into_owned();
                    children.push(Child { name, path, is_folder, is_link });
                }
                Err(error) => self.skipped.push(Skipped::unreadable(folder, &error)),
            }
        }
        children
    }

    /// Follows a link; one that leads nowhere is reported.
    fn leads_to_folder(&mut self, link: &Path) -> bool {
        match fs::metadata(link) {
            Ok(metadata) => metadata.is_dir(),
            Err(error) => {
                self.skipped.push(Skipped::unreadable(link, &error));
                false
            }
        }
    }

    fn push(&mut self, path: PathBuf, is_link: bool, place: Place) {
        self.candidates.push(Candidate { path, is_link, place });
    }
}

struct Child {
    /// Lossy where it is not Unicode.
    name: String,
    path: PathBuf,
    is_folder: bool,
    is_link: bool,
}

pub(super) fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}
