use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use collimate_models::ModelName;
use collimate_tensors::stays_inside;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::checksums::Checksum;
use crate::disk::{read_small, replace_file};
use crate::error::{ArtifactError, Result};
use crate::json::pretty_for;
use crate::names::{ADAPTER, FolderName, ModelFolders, RealName, exact};
use crate::version::Version;

mod fields;

/// What a project has made: which base models, and where the weights for each of them are.
///
/// Other programs have written the same under other names. Those are read too (`base_model`,
/// `trained_models`, a text in place of a list, …), and written back under the names here; keys with
/// another meaning are kept. There is no default for the name of a model: metadata without one is
/// an error.
///
/// # Examples
///
/// ```
/// use collimate_artifact::{
///     RealName, FolderName, ModelFolders, ModelWeights, ProjectMetadata, Version,
///     adapter_folder,
/// };
///
/// let model = RealName::new("some-org/Small-1B")?;
/// let folder = ModelFolders::new().add(&model)?;
/// let metadata = ProjectMetadata::new(
///     FolderName::new("tutor")?,
///     Version::FIRST,
///     "2026-01-31T12:00:00Z".parse()?,
///     "lora",
/// )
/// .with_model(model.clone(), ModelWeights::new(&folder).with_adapter(adapter_folder(&folder)));
/// let folder = tempfile::tempdir()?;
/// metadata.write(folder.path())?;
///
/// let read = ProjectMetadata::read(folder.path())?;
/// assert_eq!(read.base_models, [model]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ProjectMetadata {
    /// The project.
    pub project: FolderName,
    /// The version of its latest models.
    pub version: Version,
    /// When they were made, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// How they were aligned, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub technique: Option<String>,
    /// The base models, in the order in which they came.
    pub base_models: Vec<RealName>,
    /// The weights for each base model; each model here is one of `base_models`.
    pub model_specific_weights: BTreeMap<RealName, ModelWeights>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// Where the weights for one base model are; paths are relative to the folder of the metadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ModelWeights {
    /// What the folders for this model are named with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder_name: Option<ModelName>,
    /// The adapter's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter_path: Option<String>,
    /// The standalone model's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standalone_path: Option<String>,
    /// The SHA-256 of each file of weights, by its path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub weights_sha256: BTreeMap<String, Checksum>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl ProjectMetadata {
    /// The file that it stands in.
    pub const FILE: &'static str = "metadata.json";

    /// Metadata of a version that has no models yet.
    pub fn new(
        project: FolderName,
        version: Version,
        created: Timestamp,
        technique: impl Into<String>,
    ) -> Self {
        Self {
            project,
            version,
            created: Some(created),
            technique: Some(technique.into()),
            base_models: Vec::new(),
            model_specific_weights: BTreeMap::new(),
            other: Map::new(),
        }
    }

    /// With the weights for a base model, in place of those that it had.
    #[must_use]
    pub fn with_model(mut self, model: RealName, weights: ModelWeights) -> Self {
        if !self.base_models.contains(&model) {
            self.base_models.push(model.clone());
        }
        self.model_specific_weights.insert(model, weights);
        self
    }

    /// Keys that have no meaning here; they are written back.
    pub fn other(&self) -> &Map<String, Value> {
        &self.other
    }

    /// The folder names that the models of the project have.
    ///
    /// # Errors
    ///
    /// Two models have the same.
    pub fn model_folders(&self) -> Result<ModelFolders> {
        let mut folders = ModelFolders::new();
        for (model, weights) in &self.model_specific_weights {
            if let Some(name) = weights.folder_name.clone().or_else(|| weights.adapter_name()) {
                folders.note(model, name)?;
            }
        }
        Ok(folders)
    }

    /// Reads the metadata of a folder.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Io`], [`ArtifactError::Json`]; [`ArtifactError::Invalid`] names the key that is
    /// missing, has the wrong kind of value or contradicts another.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(Self::FILE);
        let json = read_small(&path, LIMIT)?;
        let value = serde_json::from_slice(&json)
            .map_err(|source| ArtifactError::Json { path: path.clone(), source })?;
        fields::metadata(value).map_err(|message| ArtifactError::Invalid { path, message })
    }

    /// Writes it into a folder, in place of what is there, at once.
    ///
    /// # Errors
    ///
    /// A base model has no weights, or weights have no base model; [`ArtifactError::Io`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(Self::FILE);
        replace_file(&path, &self.to_json(&path)?)
    }

    fn to_json(&self, path: &Path) -> Result<Vec<u8>> {
        let invalid = |message| Err(ArtifactError::Invalid { path: path.to_owned(), message });
        if self.base_models.is_empty() {
            return invalid(fields::NO_MODEL.to_owned());
        }
        let has = |model: &&RealName| self.model_specific_weights.contains_key(*model);
        if let Some(model) = self.base_models.iter().find(|model| !has(model)) {
            return invalid(format!(
                "`modelSpecificWeights` has no entry for the base model {model}"
            ));
        }
        let mut others = self.model_specific_weights.keys();
        if let Some(model) = others.find(|model| !self.base_models.contains(model)) {
            return invalid(format!(
                "`modelSpecificWeights` has {model}, which is not in `baseModels`"
            ));
        }
        pretty_for(path, self)
    }
}

/// Most bytes of a file of metadata.
const LIMIT: u64 = 16 << 20;

impl ModelWeights {
    /// Weights of a model whose folders are named so; where they are is yet to be said.
    pub fn new(folder_name: &ModelName) -> Self {
        Self { folder_name: Some(folder_name.clone()), ..Self::default() }
    }

    /// With the folder of the adapter.
    #[must_use]
    pub fn with_adapter(mut self, path: impl Into<String>) -> Self {
        self.adapter_path = Some(path.into());
        self
    }

    /// With the folder of the standalone model.
    #[must_use]
    pub fn with_standalone(mut self, path: impl Into<String>) -> Self {
        self.standalone_path = Some(path.into());
        self
    }

    /// With the checksum of a file of weights.
    #[must_use]
    pub fn with_weights(mut self, file: impl Into<String>, checksum: Checksum) -> Self {
        self.weights_sha256.insert(file.into(), checksum);
        self
    }

    /// Keys that have no meaning here; they are written back.
    pub fn other(&self) -> &Map<String, Value> {
        &self.other
    }

    /// The adapter's folder, if one is stated, below the folder of the metadata.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Outside`]: the path is absolute or leads out of that folder.
    pub fn adapter_folder(&self, root: &Path) -> Result<Option<PathBuf>> {
        inside(root, self.adapter_path.as_deref())
    }

    /// The standalone model's folder, if one is stated, below the folder of the metadata.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Outside`]: the path is absolute or leads out of that folder.
    pub fn standalone_folder(&self, root: &Path) -> Result<Option<PathBuf>> {
        inside(root, self.standalone_path.as_deref())
    }

    /// What the adapter's folder is named with.
    fn adapter_name(&self) -> Option<ModelName> {
        let path = self.adapter_path.as_deref()?.trim_end_matches('/');
        exact(path.rsplit('/').next()?.strip_suffix(ADAPTER)?)
    }
}

fn inside(root: &Path, path: Option<&str>) -> Result<Option<PathBuf>> {
    let Some(path) = path else { return Ok(None) };
    if !stays_inside(path.strip_suffix('/').unwrap_or(path)) {
        return Err(ArtifactError::Outside { path: root.to_owned(), found: path.to_owned() });
    }
    Ok(Some(root.join(path)))
}
