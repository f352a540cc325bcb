//! Every model below a number of folders.

mod candidate;
mod config;
mod hub_cache;
mod inspect;
mod skipped;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use rayon::prelude::*;
use serde::Serialize;

pub use config::ScanConfig;
pub use skipped::{SkipReason, Skipped};

use crate::entry::{Entry, Source};
use crate::name::ModelName;
use candidate::{Candidate, Found};

/// The models that a scan found, sorted by name and then by path, and what it passed over.
///
/// # Examples
///
/// ```
/// use collimate_models::{Catalog, ScanConfig};
///
/// let catalog = Catalog::scan(&ScanConfig::new().with_root("models"));
/// for entry in catalog.entries() {
///     println!("{} {:?} {:?}", entry.name, entry.parameters(), entry.state());
/// }
/// for skipped in catalog.skipped() {
///     println!("{}: {}", skipped.path.display(), skipped.reason);
/// }
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct Catalog {
    entries: Vec<Entry>,
    skipped: Vec<Skipped>,
    collisions: Vec<Collision>,
}

/// A name that models of several places share.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Collision {
    /// The name.
    pub name: ModelName,
    /// The folders or files, sorted.
    pub paths: Vec<PathBuf>,
}

impl Catalog {
    /// Looks for models in every root and cache, on all threads of the current rayon pool.
    ///
    /// Of a root: the root itself where it is a model, `<root>/*`, `<root>/base_models/*`,
    /// `<root>/base/*`, `<root>/pretrained/*`, GGUF files, and repositories in the Hugging Face layout.
    /// Nothing deeper is entered, links lead no further than anything else, and a folder that is reached
    /// in several ways is listed once. Weights are not read.
    ///
    /// A scan does not fail: a model that is broken is an entry with problems, and what is not a model, or
    /// can't be read, is in [`Catalog::skipped`].
    pub fn scan(config: &ScanConfig) -> Self {
        let mut skipped = Vec::new();
        let candidates = candidate::collect(config, &mut skipped);
        let inspected: Vec<Vec<Found>> =
            distinct(candidates, &mut skipped).par_iter().map(Candidate::inspect).collect();
        let mut entries = Vec::new();
        for found in inspected.into_iter().flatten() {
            match found {
                Found::Model(entry) => entries.push(*entry),
                Found::Skipped(reason) => skipped.push(reason),
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.path.cmp(&b.path)));
        skipped.sort_by(|a, b| a.path.cmp(&b.path));
        Self { collisions: collisions(&entries), entries, skipped }
    }

    /// The models, sorted by name and then by path.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What was passed over, sorted by path, with the reason.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Names that models of several places share, sorted. Revisions of one repository are not a
    /// collision.
    pub fn collisions(&self) -> &[Collision] {
        &self.collisions
    }
}

/// Candidates without those that lead to a folder which another one leads to. A folder is preferred
/// to a link.
fn distinct(mut candidates: Vec<Candidate>, skipped: &mut Vec<Skipped>) -> Vec<Candidate> {
    candidates.sort_by(|a, b| a.is_link.cmp(&b.is_link).then_with(|| a.path.cmp(&b.path)));
    let mut seen = HashSet::with_capacity(candidates.len());
    candidates.retain(|candidate| {
        let Some(identity) = candidate.identity() else { return true };
        let first = seen.insert(identity);
        // The same path again, because roots overlap, is nothing to report.
        if !first && candidate.is_link {
            skipped.push(Skipped::new(&candidate.path, SkipReason::SameFolder));
        }
        first
    });
    candidates
}

fn collisions(entries: &[Entry]) -> Vec<Collision> {
    let mut by_name: BTreeMap<&ModelName, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        by_name.entry(&entry.name).or_default().push(entry);
    }
    by_name
        .into_iter()
        .filter(|(_, sharing)| !same_place(sharing))
        .map(|(name, sharing)| Collision {
            name: name.clone(),
            paths: sharing.iter().map(|entry| entry.path.clone()).collect(),
        })
        .collect()
}

/// Whether all are revisions of one repository of one cache, or there is only one.
fn same_place(entries: &[&Entry]) -> bool {
    let revision = |entry: &&Entry| match &entry.source {
        Source::HubCache { cache, repository, commit, .. } => {
            Some((cache.clone(), repository.clone(), commit.clone()))
        }
        Source::Folder { .. } => None,
    };
    let Some(mut revisions) = entries.iter().map(revision).collect::<Option<Vec<_>>>() else {
        return entries.len() == 1;
    };
    revisions.sort_unstable();
    revisions.windows(2).all(|pair| {
        let [(cache, repository, commit), (other_cache, other, other_commit)] = pair else {
            return true;
        };
        cache == other_cache && repository == other && commit != other_commit
    })
}
