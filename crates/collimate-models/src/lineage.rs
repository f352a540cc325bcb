use std::path::Path;

use crate::catalog::Catalog;
use crate::entry::{Entry, Kind};
use crate::name::{ModelName, RepoId};

/// Where the model that another was made from is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Parent<'a> {
    /// Nothing says that it was made from one other model.
    Unstated,
    /// It is in the catalog.
    Found(&'a Entry),
    /// Several models of the catalog fit what is stated.
    Ambiguous {
        /// What is stated: a repository id, a path or a name.
        reference: String,
        /// Those that fit.
        candidates: Vec<&'a Entry>,
    },
    /// It is not in the catalog.
    Missing {
        /// What is stated: a repository id, a path or a name.
        reference: String,
    },
}

impl<'a> Parent<'a> {
    /// The parent, if the catalog has exactly one that fits.
    pub fn found(&self) -> Option<&'a Entry> {
        match self {
            Self::Found(entry) => Some(entry),
            _ => None,
        }
    }
}

impl Catalog {
    /// The model that `entry` was made from.
    ///
    /// What states it, in this order: the adapter's configuration, `parent_model` and then
    /// `parent_model_name` in `config.json`, the card's `base_model` if it names one model. It is looked
    /// for as a path, as a repository of the cache (at the stated revision, else at the one that `main`
    /// points to), and as an exact name among complete models of all roots.
    ///
    /// # Examples
    ///
    /// ```
    /// use collimate_models::{Catalog, ScanConfig};
    ///
    /// let catalog = Catalog::scan(&ScanConfig::new().with_root("models"));
    /// for entry in catalog.entries() {
    ///     if let Some(parent) = catalog.parent(entry).found() {
    ///         println!("{} was made from {}", entry.name, parent.name);
    ///     }
    /// }
    /// ```
    pub fn parent(&self, entry: &Entry) -> Parent<'_> {
        let mut answer = Parent::Unstated;
        for (reference, revision) in references(entry) {
            let candidates = self.candidates(entry, reference, revision);
            let reference = reference.to_owned();
            match candidates.as_slice() {
                [only] => return Parent::Found(only),
                [] if matches!(answer, Parent::Unstated) => answer = Parent::Missing { reference },
                [] => {}
                _ => return Parent::Ambiguous { reference, candidates },
            }
        }
        answer
    }

    /// The parent, its parent and so on, as far as the catalog has them. A circle ends where it closes.
    pub fn ancestors(&self, entry: &Entry) -> Vec<&Entry> {
        let mut line: Vec<&Entry> = Vec::new();
        let mut next = self.parent(entry).found();
        while let Some(parent) = next {
            if parent.path == entry.path || line.iter().any(|known| known.path == parent.path) {
                break;
            }
            line.push(parent);
            next = self.parent(parent).found();
        }
        line
    }

    fn candidates(&self, child: &Entry, reference: &str, revision: Option<&str>) -> Vec<&Entry> {
        let others = || {
            let is_other = |entry: &&Entry| entry.path != child.path;
            self.entries().iter().filter(is_other).filter(|e| e.kind != Kind::Adapter)
        };
        if let Some(path) = resolve(&child.path, Path::new(reference)) {
            let at_path = |entry: &&Entry| entry.path.canonicalize().is_ok_and(|own| own == path);
            let found: Vec<_> = others().filter(at_path).collect();
            if !found.is_empty() {
                return found;
            }
        }
        if let Ok(id) = RepoId::new(reference) {
            let of_id = |entry: &&Entry| entry.repository().is_some_and(|own| same_id(own, &id));
            let found: Vec<_> = others().filter(of_id).collect();
            if !found.is_empty() {
                return at_revision(found, revision);
            }
        }
        let Ok(name) = ModelName::new(reference) else { return Vec::new() };
        let is_model = |entry: &&Entry| matches!(entry.kind, Kind::Base | Kind::Aligned);
        // A folder does not say whose it is; a repository of another owner is another model.
        let owned = RepoId::new(reference).is_ok_and(|id| id.owner().is_some());
        let unowned = |entry: &&Entry| !owned || entry.repository().is_none();
        others().filter(is_model).filter(unowned).filter(|entry| entry.name == name).collect()
    }
}

/// What a model says it was made from, most specific first, each with a revision if one is stated.
fn references(entry: &Entry) -> Vec<(&str, Option<&str>)> {
    let description = &entry.description;
    let mut references: Vec<(Option<&str>, Option<&str>)> = Vec::new();
    if let Some(adapter) = &description.adapter {
        references.push((adapter.base_model.as_deref(), adapter.base_revision.as_deref()));
    }
    if let Some(alignment) = &description.alignment {
        references.push((alignment.parent.as_deref(), None));
        references.push((alignment.parent_name.as_deref(), None));
    }
    if let [base] = description.card_base_models.as_slice() {
        references.push((Some(base), None));
    }
    references
        .into_iter()
        .filter_map(|(reference, revision)| Some((reference?.trim(), revision)))
        .filter(|(reference, _)| !reference.is_empty())
        .collect()
}

/// An absolute path, or one relative to the child's folder, if something is there.
fn resolve(child: &Path, reference: &Path) -> Option<std::path::PathBuf> {
    if reference.is_absolute() {
        return reference.canonicalize().ok();
    }
    child.join(reference).canonicalize().ok()
}

fn same_id(one: &RepoId, other: &RepoId) -> bool {
    one.to_string().eq_ignore_ascii_case(&other.to_string())
}

fn at_revision<'a>(entries: Vec<&'a Entry>, revision: Option<&str>) -> Vec<&'a Entry> {
    let at = |wanted: &str| -> Vec<&'a Entry> {
        entries.iter().filter(|entry| entry.is_at(wanted)).copied().collect()
    };
    match revision {
        Some(revision) => at(revision),
        None if entries.len() == 1 => entries,
        None => match at("main") {
            main if main.is_empty() => entries,
            main => main,
        },
    }
}
