//! What one folder holds.

use std::path::Path;

use super::candidate::{Found, is_gguf};
use super::hub_cache;
use super::skipped::{SkipReason, Skipped};
use crate::description::{self, ChatTemplate, Described, Description};
use crate::entry::{Entry, Kind, Source};
use crate::folder::Folder;
use crate::name::ModelName;
use crate::problem::Problem;
use crate::weights::{self, gguf};

/// Whether a folder says of itself that it is a model.
pub(super) fn is_model(folder: &Path) -> bool {
    folder.join("config.json").exists() || folder.join("adapter_config.json").exists()
}

/// The models of a folder: one that transformers or PEFT would load, and any number of GGUF files.
pub(super) fn folder(path: &Path, source: Source) -> Vec<Found> {
    let folder = match Folder::list(path) {
        Ok(folder) => folder,
        Err(error) => return vec![Found::Skipped(Skipped::unreadable(path, &error))],
    };
    let mut found: Vec<Found> = first_parts(&folder)
        .into_iter()
        .map(|file| gguf_entry(&folder, file, source.clone()))
        .collect();
    match whole(&folder, &source, !found.is_empty()) {
        Ok(parts) => {
            let name = match &source {
                Source::HubCache { repository, .. } => repository.name().to_owned(),
                Source::Folder { .. } => name_of(path),
            };
            found.push(entry(parts, &name, path, source));
        }
        Err(because) if found.is_empty() => {
            found.push(Found::Skipped(Skipped::new(path, SkipReason::NotAModel { because })));
        }
        Err(_) => {}
    }
    found
}

/// The model of one GGUF file.
pub(super) fn gguf_file(path: &Path, source: Source) -> Vec<Found> {
    let (Some(parent), Some(file)) = (path.parent(), path.file_name()) else { return Vec::new() };
    // The path of a file in the working directory has an empty parent.
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    match Folder::list(parent) {
        Ok(folder) => vec![gguf_entry(&folder, &file.to_string_lossy(), source)],
        Err(error) => vec![Found::Skipped(Skipped::unreadable(path, &error))],
    }
}

/// What an entry is made of, but its name and place.
struct Parts {
    kind: Kind,
    display_name: Option<String>,
    description: Description,
    problems: Vec<Problem>,
}

/// The model that all of the folder is; else what it lacks.
fn whole(folder: &Folder, source: &Source, has_gguf: bool) -> Result<Parts, &'static str> {
    let mut problems = unfinished(folder);
    if folder.has("model_index.json") {
        return Err("model_index.json is a diffusion pipeline's");
    }
    let has_config = folder.has("config.json");
    let has_adapter = folder.has("adapter_config.json");
    let found = weights::inspect(folder, &mut problems);
    let broken = problems.iter().any(|problem| !matches!(problem, Problem::Unfinished { .. }));
    let has_weights = found.is_some() || broken;
    if !has_config && !has_adapter && !has_weights {
        if has_gguf {
            return Err("its GGUF files are listed");
        }
        if problems.is_empty() {
            return Err("it has no config.json, adapter_config.json, model.safetensors or *.gguf");
        }
        let description = Description::default();
        return Ok(Parts { kind: Kind::Unfinished, display_name: None, description, problems });
    }
    if has_gguf && !has_weights && !has_adapter {
        return Err("its GGUF files are listed");
    }
    let Described { mut description, display_name } = description::describe(folder, &mut problems);
    let kind = if has_adapter && !has_weights {
        description.weights = weights::inspect_adapter(folder, &mut problems);
        if description.weights.is_none() && !problems.iter().any(Problem::blocks_loading) {
            problems.push(missing("adapter_model.safetensors", "the adapter has no weights"));
        }
        Kind::Adapter
    } else {
        let is_named = description.architecture.as_ref().is_some_and(|architecture| {
            architecture.name.is_some() || architecture.model_type.is_some()
        });
        if !has_weights && !is_named && !problems.iter().any(Problem::blocks_loading) {
            return Err("config.json names neither `architectures` nor `model_type`");
        }
        if !has_config {
            problems.push(missing("config.json", "there are weights without a configuration"));
        }
        if found.is_none() && !broken {
            problems.push(missing("model.safetensors", "there are no weights"));
        }
        if !description.tokenizer.complete {
            problems.push(Problem::NoTokenizer);
        }
        description.weights = found;
        if description.alignment.is_some() { Kind::Aligned } else { Kind::Base }
    };
    if let Source::HubCache { commit: Some(commit), .. } = source {
        hub_cache::compare_with_tree(folder, commit, &mut problems);
    }
    problems.extend(dangling(folder));
    Ok(Parts { kind, display_name, description, problems })
}

fn missing(file: &str, reason: &str) -> Problem {
    Problem::MissingFile { file: file.to_owned(), reason: reason.to_owned() }
}

/// Partial files, beside the others or where downloads into a plain folder keep them.
fn unfinished(folder: &Folder) -> Vec<Problem> {
    const PLACE: &str = ".cache/huggingface/download";
    let is_partial = |name: &&String| name.ends_with(".incomplete");
    let mut partial: Vec<String> = folder.files().iter().filter(is_partial).cloned().collect();
    if folder.folders().iter().any(|name| name == ".cache")
        && let Ok(downloads) = Folder::list(&folder.path().join(PLACE))
    {
        let names = downloads.files().iter().filter(is_partial);
        partial.extend(names.map(|name| format!("{PLACE}/{name}")));
    }
    partial.into_iter().map(|file| Problem::Unfinished { file }).collect()
}

/// Links to nowhere among the files that loading reads.
fn dangling(folder: &Folder) -> Vec<Problem> {
    const READ: [&str; 6] = [".json", ".safetensors", ".bin", ".model", ".txt", ".jinja"];
    let is_read = |name: &&str| READ.iter().any(|ending| name.ends_with(ending));
    let names = folder.dangling().iter().map(String::as_str).filter(is_read);
    names.filter_map(|name| folder.size(name).err()).collect()
}

/// GGUF files, without the second and later parts of those that are split.
fn first_parts(folder: &Folder) -> Vec<&str> {
    let is_gguf = |name: &&str| is_gguf(Path::new(name));
    let is_first = |name: &&str| {
        let Some((prefix, number, count)) = gguf::split_name(name) else { return true };
        // Where the first part is missing, the next one stands for all.
        (1..number).all(|earlier| !folder.has(&format!("{prefix}-{earlier:05}-of-{count:05}.gguf")))
    };
    folder.files().iter().map(String::as_str).filter(is_gguf).filter(is_first).collect()
}

fn gguf_entry(folder: &Folder, file: &str, source: Source) -> Found {
    let mut problems = Vec::new();
    let mut description = Description::default();
    let mut display_name = None;
    if let Some(model) = gguf::inspect(folder, file, &mut problems) {
        display_name = model.display_name;
        description.tokenizer.complete = model.tokenizer;
        description.chat_template = model.chat_template.then_some(ChatTemplate::Gguf);
        description.architecture = Some(model.architecture);
        description.weights = Some(model.weights);
        description.licence = model.licence;
    }
    let stem = match gguf::split_name(file) {
        Some((prefix, _, _)) => prefix,
        None => &file[..file.len().saturating_sub(".gguf".len())],
    };
    let parts = Parts { kind: Kind::Gguf, display_name, description, problems };
    entry(parts, stem, &folder.path().join(file), source)
}

fn entry(parts: Parts, called: &str, path: &Path, source: Source) -> Found {
    let Ok(name) = ModelName::new(called) else {
        return Found::Skipped(Skipped::new(path, SkipReason::Unnameable));
    };
    let mut entry = Entry {
        name,
        display_name: parts.display_name.unwrap_or_else(|| called.to_owned()),
        kind: parts.kind,
        path: path.to_owned(),
        source,
        description: parts.description,
        problems: Vec::new(),
    };
    entry.add_problems(parts.problems);
    Found::Model(Box::new(entry))
}

/// The name of a folder; of one that is given as `.` or `..`, what it is really called.
fn name_of(path: &Path) -> String {
    let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    last(path).or_else(|| last(&path.canonicalize().ok()?)).unwrap_or_default()
}
