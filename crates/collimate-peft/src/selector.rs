//! Which modules the fields of a configuration select. The rules are those of
//! `check_target_module_exists`, `_maybe_include_all_linear_layers` and `get_pattern_key` in PEFT
//! 0.21.2.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::config::{LoraConfig, ModuleNames, TargetModules};
use crate::error::{Candidate, PeftError, Result};
use crate::modules::{Module, ModuleKind, ModuleTree, leaf};
use crate::pattern::{Pattern, PatternError};
use crate::targets::Unmatched;

/// Most patterns in a field.
const MAX_PATTERNS: usize = 4096;
/// Most candidates that an error lists.
const MAX_CANDIDATES: usize = 12;
/// Most entries that candidates are compared with.
const MAX_COMPARED: usize = 64;

/// The fields that select modules, ready to be compared with names.
pub(crate) struct Selector<'a> {
    config: &'a LoraConfig,
    targets: Names<'a>,
    excluded: Names<'a>,
    to_save: Vec<Pattern>,
    /// What stands before a layer's index.
    layers_pattern: Vec<Pattern>,
}

impl<'a> Selector<'a> {
    pub(crate) fn new(config: &'a LoraConfig, tree: &'a ModuleTree) -> Result<Self> {
        let targets = match config.target_modules.as_ref().ok_or(PeftError::NoTargets)? {
            TargetModules::List(names) => Names::list(names),
            TargetModules::Regex(regex) => Names::regex("target_modules", regex)?,
            TargetModules::AllLinear => Names::List(all_linear(tree)),
        };
        let excluded = match &config.exclude_modules {
            None => Names::list(&[]),
            Some(ModuleNames::List(names)) => Names::list(names),
            Some(ModuleNames::Regex(regex)) if regex.is_empty() => Names::list(&[]),
            Some(ModuleNames::Regex(regex)) => Names::regex("exclude_modules", regex)?,
        };
        let layers = config.layers_pattern.as_ref().map(|patterns| patterns.as_slice());
        // An empty text stands for none.
        let layers = layers.unwrap_or_default().iter().map(String::as_str);
        let layers = layers.filter(|pattern| !pattern.is_empty());
        Ok(Self {
            config,
            targets,
            excluded,
            to_save: patterns("modules_to_save", config.to_save(), [r"(^|.*\.)", r"($|\..*)"])?,
            layers_pattern: patterns(
                "layers_pattern",
                layers,
                [r"(?:^|.*?\.)", r"\.(?P<idx>\d+)\."],
            )?,
        })
    }

    /// The modules to adapt, by name.
    pub(crate) fn select<'t>(
        &self,
        tree: &'t ModuleTree,
        unmatched: &mut BTreeSet<Unmatched>,
    ) -> Result<Vec<(&'t str, &'t Module)>> {
        let (mut selected, mut left_out) = (Vec::new(), 0);
        let (mut selecting, mut excluding) = (HashSet::new(), HashSet::new());
        for (name, module) in tree.iter() {
            let excluded_by = self.excluded.matching(name)?;
            let is_left_out = !excluded_by.is_empty() || matches_any(&self.to_save, name)?;
            excluding.extend(excluded_by);
            let targeted_by = self.targets.matching(name)?;
            if targeted_by.is_empty() {
                continue;
            }
            // A module that is named in full is adapted in whatever layer it is.
            let in_full = matches!(self.targets, Names::List(_)) && targeted_by.contains(&name);
            if is_left_out || !(in_full || self.is_in_layers(name)?) {
                left_out += 1;
                continue;
            }
            if module.kind == ModuleKind::Other {
                let (module, kind) = (name.to_owned(), module.kind);
                return Err(PeftError::NotAdaptable { module, kind });
            }
            selecting.extend(targeted_by);
            selected.push((name, module));
        }
        if selected.is_empty() {
            return Err(self.nothing_matches(tree, left_out));
        }
        if !matches!(self.config.target_modules, Some(TargetModules::AllLinear)) {
            unmatched.extend(self.targets.unused("target_modules", &selecting));
        }
        unmatched.extend(self.excluded.unused("exclude_modules", &excluding));
        Ok(selected)
    }

    /// Whether `layers_to_transform` admits a module.
    fn is_in_layers(&self, name: &str) -> Result<bool> {
        let layers = match &self.config.layers_to_transform {
            Some(layers) if !layers.as_slice().is_empty() => layers.as_slice(),
            _ => return Ok(true),
        };
        let index = if self.layers_pattern.is_empty() {
            first_index(name)
        } else {
            self.index_after_pattern(name)?
        };
        Ok(index.is_some_and(|index| layers.contains(&index)))
    }

    /// The number behind the first of the patterns that matches.
    fn index_after_pattern(&self, name: &str) -> Result<Option<u64>> {
        for pattern in &self.layers_pattern {
            if let Some(captures) = pattern.captures(name)? {
                let index = captures.name("idx").map(|index| index.as_str());
                return Ok(index.and_then(|index| index.parse().ok()));
            }
        }
        Ok(None)
    }

    fn nothing_matches(&self, tree: &ModuleTree, left_out: usize) -> PeftError {
        let targets = match &self.config.target_modules {
            Some(TargetModules::List(names)) => names.clone(),
            Some(TargetModules::Regex(regex)) => vec![regex.clone()],
            _ => vec![TargetModules::ALL_LINEAR.to_owned()],
        };
        let candidates = candidates(tree, &targets);
        PeftError::NothingMatches { targets, left_out, candidates }
    }
}

/// Values of modules by patterns for the end of their names.
pub(crate) struct ByPattern<T> {
    field: &'static str,
    entries: Vec<(Pattern, T)>,
    used: Vec<bool>,
}

impl<T: Copy> ByPattern<T> {
    pub(crate) fn new(field: &'static str, entries: &[(String, T)]) -> Result<Self> {
        let keys = entries.iter().map(|(key, _)| key.as_str());
        let compiled = patterns(field, keys, [r"(.*\.)?(", ")$"])?;
        let values = entries.iter().map(|(_, value)| *value);
        let entries: Vec<_> = compiled.into_iter().zip(values).collect();
        Ok(Self { field, used: vec![false; entries.len()], entries })
    }

    /// The value of the first pattern that matches.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<T>> {
        let mut first = None;
        for ((pattern, value), used) in self.entries.iter().zip(&mut self.used) {
            if pattern.matches(name)? {
                *used = true;
                first = first.or(Some(*value));
            }
        }
        Ok(first)
    }

    /// The patterns that matched no name.
    pub(crate) fn unused(&self) -> impl Iterator<Item = Unmatched> {
        let unused = self.entries.iter().zip(&self.used).filter(|(_, used)| !**used);
        unused.map(|((pattern, _), _)| Unmatched {
            field: self.field,
            entry: pattern.source().to_owned(),
        })
    }
}

/// What modules are called: ends of their names, or a pattern for the whole.
enum Names<'a> {
    List(HashSet<&'a str>),
    Regex(Pattern),
}

impl<'a> Names<'a> {
    fn list(names: &'a [String]) -> Self {
        Self::List(names.iter().map(String::as_str).collect())
    }

    fn regex(field: &'static str, regex: &str) -> Result<Self> {
        Ok(Self::Regex(Pattern::whole(field, regex)?))
    }

    /// The entries that match a name: the name itself, or its end from a component on.
    fn matching(&self, name: &str) -> Result<Vec<&str>> {
        match self {
            Self::List(entries) => {
                let dots = name.match_indices('.').map(|(dot, _)| dot + 1);
                let ends = std::iter::once(0).chain(dots).filter_map(|from| name.get(from..));
                Ok(ends.filter_map(|end| entries.get(end).copied()).collect())
            }
            Self::Regex(pattern) if pattern.matches(name)? => Ok(vec![pattern.source()]),
            Self::Regex(_) => Ok(Vec::new()),
        }
    }

    fn unused(&self, field: &'static str, used: &HashSet<&str>) -> Vec<Unmatched> {
        let entries = match self {
            Self::List(entries) => entries.iter().copied().collect(),
            Self::Regex(pattern) => vec![pattern.source()],
        };
        let unused = entries.into_iter().filter(|entry| !used.contains(entry));
        unused.map(|entry| Unmatched { field, entry: entry.to_owned() }).collect()
    }
}

fn patterns<'p>(
    field: &'static str,
    texts: impl Iterator<Item = &'p str>,
    [before, after]: [&str; 2],
) -> Result<Vec<Pattern>> {
    let texts: Vec<_> = texts.collect();
    if texts.len() > MAX_PATTERNS {
        let (found, limit) = (texts.len(), MAX_PATTERNS);
        return Err(PatternError::TooMany { field, found, limit }.into());
    }
    let compiled = texts.into_iter().map(|text| Pattern::within(field, before, text, after));
    Ok(compiled.collect::<std::result::Result<_, _>>()?)
}

fn matches_any(patterns: &[Pattern], name: &str) -> Result<bool> {
    for pattern in patterns {
        if pattern.matches(name)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The names of all linear modules but the head.
fn all_linear(tree: &ModuleTree) -> HashSet<&str> {
    let mut names: HashSet<&str> = tree
        .iter()
        .filter(|(_, module)| matches!(module.kind, ModuleKind::Linear | ModuleKind::Conv1D))
        .map(|(name, _)| name)
        .collect();
    if let Some(head) = tree.head() {
        names.remove(head);
    }
    names
}

/// The first component that is a number and stands behind two others and before another.
fn first_index(name: &str) -> Option<u64> {
    let components: Vec<&str> = name.split('.').collect();
    let (_, before_last) = components.split_last()?;
    let is_number =
        |text: &&&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    before_last.iter().skip(2).find(is_number).and_then(|index| index.parse().ok())
}

/// The ends of names of modules that can be adapted, those most like an entry first.
fn candidates(tree: &ModuleTree, targets: &[String]) -> Vec<Candidate> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, _) in tree.adaptable() {
        *counts.entry(leaf(name)).or_default() += 1;
    }
    let similarity = |name: &str| {
        let compared = targets.iter().take(MAX_COMPARED);
        compared.map(|target| strsim::jaro_winkler(leaf(target), name)).fold(0.0, f64::max)
    };
    let mut scored: Vec<_> =
        counts.into_iter().map(|(name, modules)| (similarity(name), name, modules)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let nearest = scored.into_iter().take(MAX_CANDIDATES);
    nearest.map(|(_, name, modules)| Candidate { name: name.to_owned(), modules }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layers_index_stands_behind_two_components() {
        // re.match(r".*?\.[^.]*\.(?P<idx>\d+)\.", name)
        let expected = [
            ("model.layers.0.self_attn.q_proj", Some(0)),
            ("transformer.h.11.attn.c_attn", Some(11)),
            ("model.layers.1.experts.0.up_proj", Some(1)),
            ("h.3.attn.c_attn", None),
            ("h.3.attn.2.x", Some(2)),
            ("a.b.c.2.x", Some(2)),
            ("model.layers.0", None),
            ("lm_head", None),
        ];
        for (name, index) in expected {
            assert_eq!(first_index(name), index, "{name}");
        }
    }

    #[test]
    fn entries_match_from_a_component_on() {
        let names = ["q_proj".to_owned(), "attn.q_proj".to_owned(), "a.attn.q_proj".to_owned()];
        let list = Names::list(&names);
        assert_eq!(list.matching("a.attn.q_proj").unwrap().len(), 3);
        assert_eq!(list.matching("b.attn.q_proj").unwrap().len(), 2);
        assert_eq!(list.matching("b.cattn.q_proj").unwrap(), ["q_proj"]);
        assert!(list.matching("xq_proj").unwrap().is_empty());
    }
}
