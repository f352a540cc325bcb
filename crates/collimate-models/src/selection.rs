use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use crate::catalog::Catalog;
use crate::entry::{Entry, Kind};
use crate::name::ModelName;
use crate::printable::printable;

/// Most names that an error offers instead.
const NEAREST: usize = 3;
/// A name less similar than this (Jaro-Winkler) is not worth offering.
const SIMILAR: f64 = 0.7;

/// How a query found its model. The rules are tried in this order, and the first under which anything
/// matches decides.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MatchRule {
    /// The query is the model's path.
    Path,
    /// The normalized query is the model's name.
    Exact,
    /// The normalized query is a part of the name.
    Contained,
    /// The query is the name when separators are left out of both.
    Compact,
    /// The query is a part of the name when separators are left out of both.
    CompactContained,
}

impl MatchRule {
    const NAMED: [Self; 4] = [Self::Exact, Self::Contained, Self::Compact, Self::CompactContained];

    fn matches(self, query: &ModelName, name: &ModelName) -> bool {
        match self {
            Self::Path => false,
            Self::Exact => query == name,
            Self::Contained => name.as_str().contains(query.as_str()),
            Self::Compact => name.compact() == query.compact(),
            Self::CompactContained => name.compact().contains(&query.compact()),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Path => "as a path",
            Self::Exact => "exactly",
            Self::Contained => "as a part of the name",
            Self::Compact => "without separators",
            Self::CompactContained => "as a part of the name without separators",
        }
    }
}

impl std::fmt::Display for MatchRule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.words())
    }
}

/// A model that a query selected.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Selected<'a> {
    /// The query, as it was written.
    pub query: String,
    /// How it matched.
    pub rule: MatchRule,
    /// The model.
    pub entry: &'a Entry,
}

/// One of several models that a query matches.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Candidate {
    /// Its name.
    pub name: ModelName,
    /// What it is.
    pub kind: Kind,
    /// Its folder or file.
    pub path: PathBuf,
    /// Its commit, in a cache.
    pub revision: Option<String>,
}

/// Why a query selects nothing.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SelectionError {
    /// A query has no letter and no digit.
    #[error("{query:?} names no model: it has no letter and no digit")]
    Empty {
        /// The query.
        query: String,
    },
    /// Nothing matches.
    #[error("no model matches {query:?}; {}", offer(nearest))]
    NotFound {
        /// The query.
        query: String,
        /// The most similar names, the nearest first.
        nearest: Vec<ModelName>,
    },
    /// More than one model matches under the first rule that matches any.
    #[error(
        "{query:?} matches {} models {}: {}; write more of the name, its path, or name@revision",
        candidates.len(), rule.words(), listed(candidates)
    )]
    Ambiguous {
        /// The query.
        query: String,
        /// The rule.
        rule: MatchRule,
        /// All that match, by name and path.
        candidates: Vec<Candidate>,
    },
    /// Two queries of one list select the same model.
    #[error("{first:?} and {second:?} both select {name}; name it once")]
    Repeated {
        /// The earlier query.
        first: String,
        /// The later query.
        second: String,
        /// The model.
        name: ModelName,
    },
}

impl Catalog {
    /// The models that a list of queries, separated by commas, selects, in the order of the queries.
    ///
    /// A query is a name in any spelling, with or without its owner (`Qwen/Qwen2.5-7B`); or
    /// `name@revision`, where the revision is a branch, a tag or the first seven or more digits of a
    /// commit; or a path that begins with `/`, `./` or `../`. An owner excludes models that are known to
    /// have another.
    ///
    /// # Errors
    ///
    /// A query that matches nothing, or several models under the first [`MatchRule`] that matches;
    /// a model that is selected twice.
    ///
    /// # Examples
    ///
    /// ```
    /// use collimate_models::{Catalog, ScanConfig};
    ///
    /// let catalog = Catalog::scan(&ScanConfig::new().with_root("models"));
    /// match catalog.select("KB-Llama-3.1-8B-Swedish,Qwen-2.5-7B") {
    ///     Ok(selected) => assert_eq!(selected.len(), 2),
    ///     Err(error) => assert!(error.to_string().contains("no model matches")),
    /// }
    /// ```
    pub fn select(&self, queries: &str) -> Result<Vec<Selected<'_>>, SelectionError> {
        self.select_where(queries, |_| true)
    }

    /// As [`Catalog::select`], among the models that `eligible` accepts; the others count as not there.
    ///
    /// # Errors
    ///
    /// As [`Catalog::select`].
    pub fn select_where(
        &self,
        queries: &str,
        eligible: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<Selected<'_>>, SelectionError> {
        let entries: Vec<&Entry> = self.entries().iter().filter(|e| eligible(e)).collect();
        let mut selected: Vec<Selected<'_>> = Vec::new();
        for query in queries.split(',').map(str::trim) {
            let found = select_one(&entries, query)?;
            let same = |earlier: &&Selected<'_>| std::ptr::eq(earlier.entry, found.entry);
            if let Some(earlier) = selected.iter().find(same) {
                return Err(SelectionError::Repeated {
                    first: earlier.query.clone(),
                    second: found.query,
                    name: found.entry.name.clone(),
                });
            }
            selected.push(found);
        }
        Ok(selected)
    }
}

fn select_one<'a>(entries: &[&'a Entry], text: &str) -> Result<Selected<'a>, SelectionError> {
    if is_path(text) {
        let path = Path::new(text);
        let resolved = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let same = |entry: &&&Entry| {
            entry.path == path || entry.path.canonicalize().is_ok_and(|own| own == resolved)
        };
        let found: Vec<_> = entries.iter().filter(same).copied().collect();
        if let Some(selected) = only(text, MatchRule::Path, &found)? {
            return Ok(selected);
        }
    }
    let query = Query::parse(text)?;
    let at_revision = Query::with_revision(text)?;
    for query in [Some(&query), at_revision.as_ref()].into_iter().flatten() {
        if let Some(selected) = query.select(entries)? {
            return Ok(selected);
        }
    }
    Err(SelectionError::NotFound { query: text.to_owned(), nearest: nearest(entries, &query.name) })
}

fn is_path(text: &str) -> bool {
    Path::new(text).is_absolute() || text.starts_with("./") || text.starts_with("../")
}

/// A query taken apart.
struct Query<'q> {
    text: &'q str,
    owner: Option<&'q str>,
    name: ModelName,
    revision: Option<&'q str>,
}

impl<'q> Query<'q> {
    fn parse(text: &'q str) -> Result<Self, SelectionError> {
        let name =
            ModelName::new(text).map_err(|_| SelectionError::Empty { query: text.to_owned() })?;
        let owner = (!is_path(text)).then(|| text.rsplit_once('/')).flatten().map(|(o, _)| o);
        Ok(Self { text, owner, name, revision: None })
    }

    /// `name@revision`, where there is an `@` with something on either side.
    fn with_revision(text: &'q str) -> Result<Option<Self>, SelectionError> {
        match text.rsplit_once('@') {
            Some((name, revision)) if !name.is_empty() && !revision.is_empty() => {
                Ok(Some(Self { text, revision: Some(revision), ..Self::parse(name)? }))
            }
            _ => Ok(None),
        }
    }

    fn select<'a>(&self, entries: &[&'a Entry]) -> Result<Option<Selected<'a>>, SelectionError> {
        for rule in MatchRule::NAMED {
            let matching: Vec<&Entry> = entries
                .iter()
                .filter(|entry| self.admits(entry) && rule.matches(&self.name, &entry.name))
                .copied()
                .collect();
            if let Some(selected) = only(self.text, rule, &self.of_stated_owner(matching))? {
                return Ok(Some(selected));
            }
        }
        Ok(None)
    }

    fn admits(&self, entry: &Entry) -> bool {
        let owner = entry.repository().and_then(|repository| repository.owner());
        let owned = match (self.owner, owner) {
            (Some(asked), Some(known)) => asked.eq_ignore_ascii_case(known),
            _ => true,
        };
        owned && self.revision.is_none_or(|revision| entry.is_at(revision))
    }

    /// Those known to be the owner's, if there are any: folders don't say whose they are.
    fn of_stated_owner<'a>(&self, matching: Vec<&'a Entry>) -> Vec<&'a Entry> {
        let Some(_) = self.owner else { return matching };
        let owned: Vec<_> = matching
            .iter()
            .filter(|entry| entry.repository().is_some_and(|r| r.owner().is_some()))
            .copied()
            .collect();
        if owned.is_empty() { matching } else { owned }
    }
}

fn only<'a>(
    query: &str,
    rule: MatchRule,
    matching: &[&'a Entry],
) -> Result<Option<Selected<'a>>, SelectionError> {
    match matching {
        [] => Ok(None),
        [entry] => Ok(Some(Selected { query: query.to_owned(), rule, entry })),
        several => Err(SelectionError::Ambiguous {
            query: query.to_owned(),
            rule,
            candidates: several.iter().map(|entry| Candidate::of(entry)).collect(),
        }),
    }
}

impl Candidate {
    pub(crate) fn of(entry: &Entry) -> Self {
        Self {
            name: entry.name.clone(),
            kind: entry.kind,
            path: entry.path.clone(),
            revision: entry.revision().map(str::to_owned),
        }
    }
}

fn nearest(entries: &[&Entry], query: &ModelName) -> Vec<ModelName> {
    let compact = query.compact();
    let mut scored: Vec<(f64, &ModelName)> = entries
        .iter()
        .map(|entry| (strsim::jaro_winkler(&compact, &entry.name.compact()), &entry.name))
        .filter(|(score, _)| *score >= SIMILAR)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.into_iter().take(NEAREST).map(|(_, name)| name.clone()).collect()
}

fn offer(nearest: &[ModelName]) -> String {
    if nearest.is_empty() {
        return "none has a similar name".to_owned();
    }
    let names: Vec<_> = nearest.iter().map(ModelName::as_str).collect();
    format!("the nearest names are {}", names.join(", "))
}

fn listed(candidates: &[Candidate]) -> String {
    let mut text = String::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        let path = candidate.path.to_string_lossy();
        // Writing into a string can't fail.
        let _ = write!(text, "{separator}{} ({})", candidate.name, printable(&path));
    }
    text
}
