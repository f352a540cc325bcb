//! Chat templates in model folders.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use super::bounds::SOURCE;
use super::rendering::ChatTemplate;
use crate::{BuiltIn, DataError, Result};

/// JSON files longer than this are refused; templates may be as long as a template may be.
const JSON: u64 = 64 << 20;
/// Templates that a folder may have.
const TEMPLATES: usize = 256;

/// The chat templates of a model folder, by name, and the special tokens that they may write.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TemplateFolder {
    /// The folder.
    pub path: PathBuf,
    /// Sources by name; the one without a name is `default`.
    pub templates: BTreeMap<String, String>,
    /// `bos_token`, `eos_token` and the other special tokens.
    pub tokens: Map<String, Json>,
}

impl TemplateFolder {
    /// Reads a folder: `chat_template.jinja` and `additional_chat_templates/*.jinja` win over
    /// `chat_template.json`, and this over `tokenizer_config.json`.
    ///
    /// # Errors
    ///
    /// A file can't be read, is too long, or is not what its name says.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let config = object(&path.join("tokenizer_config.json"))?.unwrap_or_default();
        let mut templates = BTreeMap::new();
        let mut take = |file: &str, fields: &Map<String, Json>| -> Result<()> {
            match fields.get("chat_template") {
                None | Some(Json::Null) => Ok(()),
                Some(found) => {
                    templates = named(&path.join(file), found)?;
                    Ok(())
                }
            }
        };
        take("tokenizer_config.json", &config)?;
        if let Some(fields) = object(&path.join("chat_template.json"))? {
            take("chat_template.json", &fields)?;
        }
        let mut files = BTreeMap::new();
        if let Some(source) = text(&path.join("chat_template.jinja"), SOURCE as u64)? {
            files.insert("default".to_owned(), source);
        }
        for file in additional(&path.join("additional_chat_templates"))? {
            let name =
                file.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if let Some(source) = text(&file, SOURCE as u64)? {
                files.insert(name, source);
            }
        }
        if !files.is_empty() {
            templates = files;
        }
        let mut tokens = Map::new();
        let older = object(&path.join("special_tokens_map.json"))?.unwrap_or_default();
        for (name, value) in config.iter().chain(&older) {
            if tokens.contains_key(name) {
                continue;
            }
            if name == "additional_special_tokens" {
                let all = value.as_array().into_iter().flatten().filter_map(token).collect();
                tokens.insert(name.clone(), Json::Array(all));
            } else if name.ends_with("_token")
                && !name.starts_with("add_")
                && let Some(token) = token(value)
            {
                tokens.insert(name.clone(), token);
            }
        }
        Ok(Self { path: path.to_owned(), templates, tokens })
    }

    /// The template of this name; without one as transformers chooses: `tool_use` for
    /// conversations with tools where there is one, else `default`.
    ///
    /// # Errors
    ///
    /// The folder has no such template, or it is invalid.
    pub fn choose(&self, name: Option<&str>, with_tools: bool) -> Result<ChatTemplate> {
        let chosen = match name {
            Some(name) => name,
            None if with_tools && self.templates.contains_key("tool_use") => "tool_use",
            None => "default",
        };
        let Some(source) = self.templates.get(chosen) else {
            let names: Vec<&str> = self.templates.keys().map(String::as_str).collect();
            let message = if names.is_empty() {
                "has no chat template; name a built-in one".to_owned()
            } else {
                format!("has no chat template named {chosen}; it has {}", names.join(", "))
            };
            return Err(DataError::File { path: self.path.clone(), message });
        };
        let name = format!("{} ({chosen})", self.path.display());
        Ok(self.with_tokens(ChatTemplate::new(name, source.as_str())?))
    }

    /// A template that isn't the folder's, with its special tokens: a built-in one, by its name, or
    /// that of a file.
    ///
    /// # Errors
    ///
    /// There is neither of this name, or the file has no valid template.
    pub fn named(&self, name: &str) -> Result<ChatTemplate> {
        let template = match name.parse::<BuiltIn>() {
            Ok(built_in) => ChatTemplate::built_in(built_in)?,
            Err(error) if !Path::new(name).exists() => return Err(error),
            Err(_) => ChatTemplate::from_file(name)?,
        };
        Ok(self.with_tokens(template))
    }

    fn with_tokens(&self, template: ChatTemplate) -> ChatTemplate {
        let tokens = self.tokens.iter();
        tokens.fold(template, |template, (name, value)| template.with_variable(name, value))
    }
}

impl ChatTemplate {
    /// The default template of a model folder.
    ///
    /// # Errors
    ///
    /// As [`TemplateFolder::read`] and [`TemplateFolder::choose`].
    pub fn from_folder(path: impl AsRef<Path>) -> Result<Self> {
        TemplateFolder::read(path)?.choose(None, false)
    }

    /// A template from a file that holds nothing else.
    ///
    /// # Errors
    ///
    /// The file can't be read, is longer than 1 MiB, or is no valid template.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        match text(path, SOURCE as u64)? {
            Some(source) => Self::new(path.display().to_string(), source),
            None => {
                Err(DataError::Io { path: path.to_owned(), source: io::ErrorKind::NotFound.into() })
            }
        }
    }
}

fn token(value: &Json) -> Option<Json> {
    let text = value.as_str().or_else(|| value.get("content").and_then(Json::as_str))?;
    Some(Json::from(text))
}

/// A template, or a list of `{name, template}`.
fn named(path: &Path, found: &Json) -> Result<BTreeMap<String, String>> {
    let wrong = || DataError::File {
        path: path.to_owned(),
        message: "`chat_template` is neither a string nor a list of {name, template}".to_owned(),
    };
    if let Some(source) = found.as_str() {
        return Ok(BTreeMap::from([("default".to_owned(), source.to_owned())]));
    }
    let mut templates = BTreeMap::new();
    for entry in found.as_array().ok_or_else(wrong)? {
        let part = |name: &str| entry.get(name).and_then(Json::as_str).map(str::to_owned);
        match (part("name"), part("template")) {
            (Some(name), Some(template)) => templates.insert(name, template),
            _ => return Err(wrong()),
        };
    }
    Ok(templates)
}

fn additional(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| DataError::Io { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|extension| extension == "jinja") {
            files.push(file);
        }
        if files.len() > TEMPLATES {
            let message = format!("has more than {TEMPLATES} templates");
            return Err(DataError::File { path: folder.to_owned(), message });
        }
    }
    files.sort();
    Ok(files)
}

/// A file's text; nothing where there is no such file.
fn text(path: &Path, limit: u64) -> Result<Option<String>> {
    let failed = |source| DataError::Io { path: path.to_owned(), source };
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            return Err(DataError::File {
                path: path.to_owned(),
                message: "is no regular file".to_owned(),
            });
        }
        Ok(_) => {}
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        let message = format!("is longer than {limit} bytes");
        return Err(DataError::File { path: path.to_owned(), message });
    }
    String::from_utf8(bytes).map(Some).map_err(|_| DataError::File {
        path: path.to_owned(),
        message: "is no UTF-8 text".to_owned(),
    })
}

/// A JSON object; nothing where there is no such file.
fn object(path: &Path) -> Result<Option<Map<String, Json>>> {
    let Some(text) = text(path, JSON)? else { return Ok(None) };
    match serde_json::from_str(&text) {
        Ok(Json::Object(fields)) => Ok(Some(fields)),
        Ok(_) => {
            Err(DataError::File { path: path.to_owned(), message: "is no JSON object".to_owned() })
        }
        Err(error) => Err(DataError::File { path: path.to_owned(), message: error.to_string() }),
    }
}
