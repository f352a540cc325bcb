use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Certificate, Subject};
use crate::checksums::Checksum;
use crate::error::Result;
use crate::json::canonical;
use crate::names::{FolderName, RealName};

/// What determined the models of a run, under a name.
///
/// Its id is `{name}.v{major}.{minor}.{6 digits}`: the digits are the first of the SHA-256 over all of it
/// but name and numbers, as JSON with sorted keys and without white space, whole numbers as digits
/// (`1.0` is `1`), others with the fewest digits that read back to the same double.
///
/// # Examples
///
/// ```
/// use collimate_artifact::{Checksum, Dna};
///
/// let dna = Dna::new("Tutor", 1, 0, Checksum::of_bytes(b"data"), 42, "git 1a2b3c")?
///     .with_setting("learning_rate", 2e-4)
///     .with_setting("epochs", 3);
/// assert_eq!(dna.id()?, "Tutor.v1.0.1d64b9");
/// assert_ne!(dna.clone().with_setting("epochs", 4).id()?, dna.id()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Dna {
    /// The name of what was made.
    pub name: FolderName,
    /// The first number of its version.
    pub major: u32,
    /// The second number of its version.
    pub minor: u32,
    /// The digest of each base model.
    pub parents: BTreeMap<RealName, Checksum>,
    /// The digest of the adapter for each base model.
    pub adapters: BTreeMap<RealName, Checksum>,
    /// Every setting of the run.
    pub configuration: Map<String, Value>,
    /// The digest of the data.
    pub data: Checksum,
    /// The seed of all randomness.
    pub seed: u64,
    /// The version of the code that ran.
    pub code_version: String,
}

impl Dna {
    /// What every run has; models and settings are yet to be added.
    ///
    /// # Errors
    ///
    /// As [`FolderName::new`], about the name.
    pub fn new(
        name: &str,
        major: u32,
        minor: u32,
        data: Checksum,
        seed: u64,
        code_version: impl Into<String>,
    ) -> Result<Self> {
        Ok(Self {
            name: FolderName::new(name)?,
            major,
            minor,
            parents: BTreeMap::new(),
            adapters: BTreeMap::new(),
            configuration: Map::new(),
            data,
            seed,
            code_version: code_version.into(),
        })
    }

    /// With the digest of a base model.
    #[must_use]
    pub fn with_parent(mut self, model: RealName, digest: Checksum) -> Self {
        self.parents.insert(model, digest);
        self
    }

    /// With the digest of the adapter for a base model.
    #[must_use]
    pub fn with_adapter(mut self, model: RealName, digest: Checksum) -> Self {
        self.adapters.insert(model, digest);
        self
    }

    /// With a setting of the run. A float that is not finite becomes null, as everywhere in JSON.
    #[must_use]
    pub fn with_setting(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.configuration.insert(key.into(), value.into());
        self
    }

    /// The SHA-256 over all of it but the name and the numbers.
    ///
    /// # Errors
    ///
    /// It can't be written as JSON.
    pub fn digest(&self) -> serde_json::Result<Checksum> {
        let mut determining = serde_json::to_value(self)?;
        if let Some(map) = determining.as_object_mut() {
            map.retain(|key, _| !matches!(key.as_str(), "name" | "major" | "minor"));
        }
        canonical(&determining).map(|bytes| Checksum::of_bytes(&bytes))
    }

    /// The id, as in `Name.v1.0.42a8c9`.
    ///
    /// # Errors
    ///
    /// As [`Dna::digest`].
    pub fn id(&self) -> serde_json::Result<String> {
        let digits: String = self.digest()?.to_string().chars().take(6).collect();
        Ok(format!("{}.v{}.{}.{digits}", self.name, self.major, self.minor))
    }

    /// The base models that it has a digest of.
    pub(super) fn models(&self) -> impl Iterator<Item = &RealName> {
        self.parents.keys().chain(self.adapters.keys())
    }
}

/// `dna.json`.
#[derive(Deserialize, Serialize)]
pub(super) struct DnaFile {
    id: String,
    sha256: Checksum,
    run_id: FolderName,
    issued: Timestamp,
    dna: Dna,
    #[serde(flatten)]
    pub(super) subject: Subject,
}

impl DnaFile {
    pub(super) fn new(certificate: &Certificate, subject: &Subject) -> serde_json::Result<Self> {
        Ok(Self {
            id: certificate.dna.id()?,
            sha256: certificate.dna.digest()?,
            run_id: certificate.run_id.clone(),
            issued: certificate.issued,
            dna: certificate.dna.clone(),
            subject: subject.clone(),
        })
    }

    /// Whether id and digest are those of what it has.
    pub(super) fn is_consistent(&self) -> bool {
        self.dna.id().is_ok_and(|id| id == self.id)
            && self.dna.digest().is_ok_and(|digest| digest == self.sha256)
    }
}
