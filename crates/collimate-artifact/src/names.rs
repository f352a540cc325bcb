use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use collimate_models::{ModelName, printable};
use serde::{Deserialize, Serialize};

use crate::checksums::Checksum;
use crate::error::{ArtifactError, Result};
use crate::version::Version;

/// The real name of a model, as it is written where the model comes from.
///
/// A name that stands for no model (`unknown`, `base_model`, `<model>`) can't be one.
///
/// # Examples
///
/// ```
/// use collimate_artifact::RealName;
///
/// let name = RealName::new("some-org/Some-Model-1.5B")?;
/// assert_eq!(name.to_string(), "some-org/Some-Model-1.5B");
/// assert_eq!(name.model_name().as_str(), "some-model-1-5b");
/// assert!(RealName::new("unknown").is_err());
/// # Ok::<(), collimate_artifact::ArtifactError>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct RealName {
    real: String,
    name: ModelName,
}

/// Letters and digits of names that stand in for a name that somebody forgot.
const PLACEHOLDERS: &[&str] = &[
    "base",
    "basemodel",
    "basemodelname",
    "default",
    "model",
    "modelid",
    "modelname",
    "mymodel",
    "na",
    "name",
    "nil",
    "none",
    "null",
    "placeholder",
    "tba",
    "tbd",
    "todo",
    "undefined",
    "unknown",
    "unknownmodel",
    "unnamed",
    "untitled",
    "yourmodel",
    "yourmodelname",
    "xxx",
];

impl RealName {
    /// Most bytes of a name.
    pub const MAX_BYTES: usize = 1024;

    /// The name that this text is.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Name`]: it is empty or too long, has control characters, has no letter and no
    /// digit, or stands for no model.
    pub fn new(text: &str) -> Result<Self> {
        let error = |reason| Err(name_error("model", text, reason));
        if text.trim().is_empty() {
            return error("it is empty; give the name that it has where it comes from");
        }
        if text.len() > Self::MAX_BYTES {
            return error("it has more than 1024 bytes");
        }
        if text.trim() != text || printable(text) != text {
            return error("it has control characters, or spaces at an end");
        }
        let last = text.trim_end_matches('/').rsplit('/').next().unwrap_or(text);
        let is_template = text.contains(['<', '>', '{', '}', '$']);
        if is_template || is_placeholder(last) || is_placeholder(text) {
            return error("it stands for no model; give the name that it has where it comes from");
        }
        match ModelName::new(text) {
            Ok(name) => Ok(Self { real: text.to_owned(), name }),
            Err(_) => error("it has no letter and no digit"),
        }
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.real
    }

    /// The name in the form that folders have: several names can have the same.
    pub fn model_name(&self) -> &ModelName {
        &self.name
    }
}

fn is_placeholder(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase);
    PLACEHOLDERS.contains(&letters.collect::<String>().as_str())
}

impl fmt::Display for RealName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.real)
    }
}

impl TryFrom<String> for RealName {
    type Error = ArtifactError;

    fn try_from(text: String) -> Result<Self> {
        Self::new(&text)
    }
}

impl From<RealName> for String {
    fn from(name: RealName) -> Self {
        name.real
    }
}

/// The name of a project, an organization or a run: one component of a path on every file system.
///
/// # Examples
///
/// ```
/// use collimate_artifact::FolderName;
///
/// assert_eq!(FolderName::new("Night School")?.as_str(), "Night School");
/// assert!(FolderName::new("../secrets").is_err());
/// # Ok::<(), collimate_artifact::ArtifactError>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct FolderName(String);

impl FolderName {
    /// Most bytes of a name: with everything that is added to it, it still is a valid file name.
    pub const MAX_BYTES: usize = 64;

    /// The name that this text is; nothing is replaced in it.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Name`]: it is empty or too long, has a character that a file system refuses,
    /// begins with `.`, `-` or a space, ends in `.` or a space, or is a device on Windows.
    pub fn new(text: &str) -> Result<Self> {
        let error = |reason| Err(name_error("folder", text, reason));
        if text.is_empty() {
            return error("it is empty");
        }
        if text.len() > Self::MAX_BYTES {
            return error("it has more than 64 bytes");
        }
        if printable(text) != text || text.contains(['/', '\\', ':', '*', '?', '"', '<', '>', '|'])
        {
            return error("it has a character that file systems refuse");
        }
        if text.starts_with(['.', '-', ' ']) || text.ends_with(['.', ' ']) {
            return error("it begins with `.`, `-` or a space, or ends in `.` or a space");
        }
        if is_device(text) {
            return error("it is the name of a device on Windows");
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FolderName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl TryFrom<String> for FolderName {
    type Error = ArtifactError;

    fn try_from(text: String) -> Result<Self> {
        Self::new(&text)
    }
}

impl From<FolderName> for String {
    fn from(name: FolderName) -> Self {
        name.0
    }
}

/// Which folder name each base model of a project has, so that no two share one.
///
/// A model has its [`ModelName`]; one that comes later and would have the same as another gets eight
/// digits of the SHA-256 of its real name behind it. A name once given stays.
///
/// # Examples
///
/// ```
/// use collimate_artifact::{RealName, ModelFolders};
///
/// let mut folders = ModelFolders::new();
/// let first = folders.add(&RealName::new("one-org/Small-1B")?)?.to_string();
/// let second = folders.add(&RealName::new("other-org/small.1b")?)?.to_string();
/// assert_eq!(first, "small-1b");
/// assert_eq!(second, "small-1b-deccdf4a");
/// # Ok::<(), collimate_artifact::ArtifactError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ModelFolders(BTreeMap<RealName, ModelName>);

impl ModelFolders {
    /// Names for a project that has no models.
    pub fn new() -> Self {
        Self::default()
    }

    /// The folder name of a model, a new one if it has none.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Name`]: two names have the same eight digits.
    pub fn add(&mut self, model: &RealName) -> Result<ModelName> {
        if let Some(known) = self.0.get(model) {
            return Ok(known.clone());
        }
        let mut name = model.name.clone();
        if self.has(&name) {
            name = distinguished(model).filter(|other| !self.has(other)).ok_or_else(|| {
                name_error("model", &model.real, "its folder would be that of another model")
            })?;
        }
        self.0.insert(model.clone(), name.clone());
        Ok(name)
    }

    /// The folder name of a model, if it has one.
    pub fn get(&self, model: &RealName) -> Option<&ModelName> {
        self.0.get(model)
    }

    /// Notes the name that a model already has.
    pub(crate) fn note(&mut self, model: &RealName, name: ModelName) -> Result<()> {
        match self.0.get(model) {
            Some(known) if *known == name => Ok(()),
            None if !self.has(&name) => {
                self.0.insert(model.clone(), name);
                Ok(())
            }
            _ => Err(name_error("model", &model.real, "its folder is that of another model")),
        }
    }

    fn has(&self, name: &ModelName) -> bool {
        self.0.values().any(|other| other == name)
    }
}

/// The folder of a model's adapter: `{model}-adapter`.
pub fn adapter_folder(model: &ModelName) -> String {
    format!("{model}{ADAPTER}")
}

pub(crate) const ADAPTER: &str = "-adapter";

/// The folder of a standalone model: `{project}-v{version}-{model}`.
pub fn standalone_folder(project: &FolderName, version: Version, model: &ModelName) -> String {
    format!("{project}-v{version}-{model}")
}

/// The version and the model that the name of a project's standalone folder states.
pub(crate) fn parse_standalone(project: &FolderName, folder: &str) -> Option<(Version, ModelName)> {
    let rest = folder.strip_prefix(project.as_str())?.strip_prefix("-v")?;
    let (version, model) = rest.split_once('-')?;
    Some((version.parse().ok()?, exact(model)?))
}

/// The folder of an organization's models: `trained/{organization}` below `root`.
pub fn organization_folder(root: &Path, organization: &FolderName) -> PathBuf {
    root.join("trained").join(organization.as_str())
}

/// A model's name that stands as it is normalized.
pub(crate) fn exact(text: &str) -> Option<ModelName> {
    ModelName::new(text).ok().filter(|name| name.as_str() == text)
}

fn name_error(kind: &'static str, text: &str, reason: &'static str) -> ArtifactError {
    ArtifactError::Name { kind, text: text.chars().take(80).collect(), reason }
}

/// The name with eight digits of the SHA-256 of the real one, no longer than any other.
fn distinguished(model: &RealName) -> Option<ModelName> {
    let digits: String =
        Checksum::of_bytes(model.real.as_bytes()).to_string().chars().take(8).collect();
    let name = model.name.as_str();
    let room = ModelName::MAX_BYTES - digits.len() - 1;
    let end = (0..=room.min(name.len())).rev().find(|&end| name.is_char_boundary(end))?;
    ModelName::new(&format!("{}-{digits}", name.get(..end)?)).ok()
}

/// Windows looks at what stands before the first dot, in any case.
fn is_device(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or(text).trim_end().to_ascii_lowercase();
    match stem.as_str() {
        "con" | "prn" | "aux" | "nul" => true,
        _ => ["com", "lpt"].iter().any(|port| {
            stem.strip_prefix(port).is_some_and(|digit| {
                matches!(digit.as_bytes(), [b'0'..=b'9']) || matches!(digit, "¹" | "²" | "³")
            })
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str) -> RealName {
        RealName::new(text).unwrap()
    }

    #[test]
    fn what_stands_for_no_model_is_refused() {
        for text in [
            "",
            " ",
            "unknown",
            "Base_Model",
            "MODEL-NAME",
            "org/model",
            "<model>",
            "${MODEL}",
            "{{ name }}",
            "n/a",
            "none",
            "a\nb",
            " spaced",
            "--",
            "TODO",
            "your-org/your-model",
        ] {
            assert!(RealName::new(text).is_err(), "{text:?}");
        }
        for text in ["gpt2", "some-org/Some-Model-1.5B", "/models/modell", "Größe-7B", "modelx"] {
            assert_eq!(base(text).as_str(), text);
        }
        assert!(RealName::new(&"x".repeat(1025)).is_err());
    }

    #[test]
    fn folder_names_are_one_component_everywhere() {
        for text in [
            "",
            ".",
            "..",
            ".hidden",
            "-option",
            "a/b",
            "a\\b",
            "C:",
            "a*",
            "a\0b",
            "a\nb",
            "dot.",
            "space ",
            "con",
            "NUL",
            "Com1.txt",
            "lpt¹",
            "a\u{202e}b",
        ] {
            assert!(FolderName::new(text).is_err(), "{text:?}");
        }
        for text in ["a", "Night School", "größe_1.2", "console", "com", "com10"] {
            assert_eq!(FolderName::new(text).unwrap().as_str(), text);
        }
        assert!(
            FolderName::new(&"x".repeat(64)).is_ok() && FolderName::new(&"x".repeat(65)).is_err()
        );
    }

    #[test]
    fn two_models_never_share_a_folder_name() {
        let long = "x".repeat(200);
        let texts = [
            "a/Same-1B",
            "b/Same-1B",
            "b/same.1b",
            "Same 1B",
            &format!("a/{long}"),
            &format!("b/{long}"),
        ];
        let mut folders = ModelFolders::new();
        let names: Vec<_> = texts.iter().map(|text| folders.add(&base(text)).unwrap()).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(name.as_str().len() <= ModelName::MAX_BYTES);
            assert!(!names[..index].contains(name), "{name}");
            assert_eq!(exact(name.as_str()).as_ref(), Some(name));
        }
        let again: Vec<_> =
            texts.iter().rev().map(|text| folders.add(&base(text)).unwrap()).collect();
        assert!(again.iter().eq(names.iter().rev()));
    }

    #[test]
    fn a_noted_name_is_not_given_again() {
        let mut folders = ModelFolders::new();
        folders.note(&base("old/small"), exact("small").unwrap()).unwrap();
        assert_ne!(folders.add(&base("new/small")).unwrap().as_str(), "small");
        assert!(folders.note(&base("third/small"), exact("small").unwrap()).is_err());
    }

    #[test]
    fn names_of_folders_are_read_back() {
        let project = FolderName::new("a-v1.0.0-b").unwrap();
        let name =
            standalone_folder(&project, Version::new(2, 3, 4), base("org/m-v9").model_name());
        assert_eq!(name, "a-v1.0.0-b-v2.3.4-m-v9");
        let read = parse_standalone(&project, &name);
        assert_eq!(read, Some((Version::new(2, 3, 4), exact("m-v9").unwrap())));
        assert_eq!(parse_standalone(&FolderName::new("a").unwrap(), &name), None);
        for text in ["a-v1.0.0-b-v2.3.4", "a-v1.0.0-b-v2.3-m", "a-v1.0.0-b-v2.3.4-M", "a-CURRENT"] {
            assert_eq!(parse_standalone(&project, text), None, "{text}");
        }
    }

    #[test]
    fn the_longest_names_fit_into_a_file_name() {
        let project = FolderName::new(&"p".repeat(FolderName::MAX_BYTES)).unwrap();
        let version = Version::new(u32::MAX, u32::MAX, u32::MAX);
        let name = standalone_folder(&project, version, base(&"m".repeat(500)).model_name());
        assert!(name.len() <= 230, "{}", name.len());
    }
}
