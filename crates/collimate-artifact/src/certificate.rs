mod dna;
mod proof;
mod verify;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use collimate_tensors::stays_inside;
use jiff::Timestamp;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::checksums::Checksum;
use crate::error::{ArtifactError, Result};
use crate::event::{ArtifactEvent, Observer};
use crate::json::pretty_for;
use crate::ledger::Ledger;
use crate::measurement::Measurement;
use crate::names::{FolderName, RealName};
use crate::stage::{Replace, Staging};

pub use dna::Dna;
use dna::DnaFile;
use proof::Proof;
pub use verify::verify_certificates;

/// What a run certifies: from what its models were made, what was measured, and which files they are.
///
/// It becomes the folder `certified/{run_id}/` with
///
/// - `dna.json`: the id of what determined the models ([`Dna`]),
/// - `training_results.json`: what the training came to,
/// - `live_metrics.json`: what was measured of the models,
/// - `ledger_proof.json`: the run's entry in `certified/ledger.jsonl`, which has the checksums of the
///   files above and of the final weights, and its place there.
///
/// Each has `baseModels`, `trained_models` and `final_weights`. What was not measured is in none of them.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::AtomicBool;
///
/// use collimate_artifact::{
///     Certificate, CertifiedModel, Checksum, Dna, FolderName, RealName, TrainingResults, verify_certificates,
/// };
///
/// let root = tempfile::tempdir()?;
/// std::fs::create_dir(root.path().join("small-adapter"))?;
/// std::fs::write(root.path().join("small-adapter/adapter_model.safetensors"), "weights")?;
///
/// let dna = Dna::new("Tutor", 1, 0, Checksum::of_bytes(b"data"), 42, "git 1a2b3c")?;
/// let (started, finished) = ("2026-01-31T10:00:00Z".parse()?, "2026-01-31T12:00:00Z".parse()?);
/// let model = CertifiedModel::new(RealName::new("some-org/Small-1B")?, RealName::new("tutor-small")?)
///     .with_weights("small-adapter/adapter_model.safetensors");
/// let certificate = Certificate::new(
///     FolderName::new("run-7")?,
///     finished,
///     dna,
///     TrainingResults::new(started, finished, 1200),
/// )
/// .with_model(model);
///
/// let go_on = AtomicBool::new(false);
/// let folder = certificate.issue(root.path(), &go_on, &mut ())?;
/// assert!(folder.ends_with("certified/run-7"));
/// assert!(verify_certificates(root.path(), &go_on)?.is_intact());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Certificate {
    /// The run; the name of the folder.
    pub run_id: FolderName,
    /// When it is issued.
    pub issued: Timestamp,
    /// What determined the models.
    pub dna: Dna,
    /// What the training came to.
    pub training: TrainingResults,
    /// The models.
    pub models: Vec<CertifiedModel>,
    /// What was measured of them.
    pub live_metrics: Vec<Measurement>,
}

/// One model that a run has made.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CertifiedModel {
    /// The model that it was made from.
    pub base_model: RealName,
    /// Its own name.
    pub trained_model: RealName,
    /// The files of its weights, relative to the folder that `certified` is in.
    pub weights: Vec<String>,
}

/// What a training came to.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TrainingResults {
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// Steps of the optimizer.
    pub steps: u64,
    /// What was measured in it.
    pub measurements: Vec<Measurement>,
}

impl CertifiedModel {
    /// A model of this name, made from that base model; the files of its weights are yet to be named.
    pub fn new(base_model: RealName, trained_model: RealName) -> Self {
        Self { base_model, trained_model, weights: Vec::new() }
    }

    /// With a file of its weights, relative to the folder that `certified` is in.
    #[must_use]
    pub fn with_weights(mut self, file: impl Into<String>) -> Self {
        self.weights.push(file.into());
        self
    }
}

impl TrainingResults {
    /// A training of so many steps of the optimizer.
    pub fn new(started: Timestamp, finished: Timestamp, steps: u64) -> Self {
        Self { started, finished, steps, measurements: Vec::new() }
    }

    /// With something that was measured in it.
    #[must_use]
    pub fn with_measurement(mut self, measurement: Measurement) -> Self {
        self.measurements.push(measurement);
        self
    }
}

/// The folder of certificates.
const CERTIFIED: &str = "certified";
/// The ledger in it.
const LEDGER: &str = "ledger.jsonl";
/// What an entry of the ledger is about.
const KIND: &str = "certificate";

const DNA: &str = "dna.json";
const TRAINING_RESULTS: &str = "training_results.json";
const LIVE_METRICS: &str = "live_metrics.json";
const LEDGER_PROOF: &str = "ledger_proof.json";

/// The models that a certificate is about, as each of its files has them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Subject {
    #[serde(rename = "baseModels")]
    base_models: Vec<RealName>,
    trained_models: Vec<RealName>,
    final_weights: Vec<FinalWeights>,
}

/// A file of weights as it was found.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct FinalWeights {
    base_model: RealName,
    trained_model: RealName,
    path: String,
    sha256: Checksum,
}

#[derive(Serialize)]
struct TrainingFile<'a> {
    run_id: &'a FolderName,
    #[serde(flatten)]
    results: &'a TrainingResults,
    #[serde(flatten)]
    subject: &'a Subject,
}

#[derive(Serialize)]
struct MetricsFile<'a> {
    run_id: &'a FolderName,
    measurements: &'a [Measurement],
    #[serde(flatten)]
    subject: &'a Subject,
}

impl Certificate {
    /// A certificate of no models yet.
    pub fn new(run_id: FolderName, issued: Timestamp, dna: Dna, training: TrainingResults) -> Self {
        Self { run_id, issued, dna, training, models: Vec::new(), live_metrics: Vec::new() }
    }

    /// With a model that the run has made.
    #[must_use]
    pub fn with_model(mut self, model: CertifiedModel) -> Self {
        self.models.push(model);
        self
    }

    /// With something that was measured of the models.
    #[must_use]
    pub fn with_live_metric(mut self, measurement: Measurement) -> Self {
        self.live_metrics.push(measurement);
        self
    }

    /// Writes the folder `certified/{run_id}` below `root`, and the run's entry in the ledger.
    ///
    /// The folder appears whole, then the entry is added. If the run is killed in between, the next
    /// certificate that is issued adds the entry first, from the proof in the folder.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Invalid`]: there is no model, a model has no weights, a file of weights is not
    /// there or belongs to two, the DNA is of other models; [`ArtifactError::Exists`]: the run has a
    /// certificate; [`ArtifactError::BrokenLedger`]; [`ArtifactError::Cancelled`]; as [`Staging`].
    pub fn issue(
        &self,
        root: &Path,
        cancelled: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<PathBuf> {
        let target = root.join(CERTIFIED).join(self.run_id.as_str());
        self.check(&target)?;
        let subject = self.subject(root, cancelled)?;
        let staging = Staging::begin(&target, Replace::Never, observer)?;

        let mut files: BTreeMap<String, Checksum> =
            subject.final_weights.iter().map(|file| (file.path.clone(), file.sha256)).collect();
        let dna = DnaFile::new(self, &subject)
            .map_err(|source| ArtifactError::Json { path: target.join(DNA), source })?;
        let training =
            TrainingFile { run_id: &self.run_id, results: &self.training, subject: &subject };
        let metrics = MetricsFile {
            run_id: &self.run_id,
            measurements: &self.live_metrics,
            subject: &subject,
        };
        for (name, bytes) in [
            (DNA, pretty_for(&target.join(DNA), &dna)?),
            (TRAINING_RESULTS, pretty_for(&target.join(TRAINING_RESULTS), &training)?),
            (LIVE_METRICS, pretty_for(&target.join(LIVE_METRICS), &metrics)?),
        ] {
            staging.write(name, &bytes)?;
            files.insert(certified_path(&self.run_id, name), Checksum::of_bytes(&bytes));
        }

        let ledger = Ledger::new(root.join(CERTIFIED).join(LEDGER));
        let (mut ledger, torn) = ledger.open_recovered()?;
        if torn > 0 {
            let path = root.join(CERTIFIED).join(LEDGER);
            observer.on_event(&ArtifactEvent::LeftoverRemoved { path });
        }
        proof::add_missing(&mut ledger, &root.join(CERTIFIED))?;
        let entry = ledger.next(&self.run_id, self.issued, KIND, files)?;
        let proof = Proof::new(entry.clone(), subject);
        staging.write(LEDGER_PROOF, &pretty_for(&target.join(LEDGER_PROOF), &proof)?)?;
        let published = staging.publish()?;
        ledger.push(entry)?;
        observer.on_event(&ArtifactEvent::Published { path: published.clone() });
        Ok(published)
    }

    fn check(&self, target: &Path) -> Result<()> {
        let invalid = |message| Err(ArtifactError::Invalid { path: target.to_owned(), message });
        if self.models.is_empty() {
            return invalid("there is no model to certify".to_owned());
        }
        if self.training.finished < self.training.started {
            return invalid("the training ended before it began".to_owned());
        }
        let mut seen = BTreeMap::new();
        for model in &self.models {
            let name = &model.trained_model;
            if model.weights.is_empty() {
                return invalid(format!("{name} has no final weights; name the files that it is"));
            }
            for file in &model.weights {
                if !stays_inside(file) {
                    let (path, found) = (target.to_owned(), file.clone());
                    return Err(ArtifactError::Outside { path, found });
                }
                if let Some(other) = seen.insert(file, name) {
                    return invalid(format!("{file} belongs to {other} and to {name}"));
                }
            }
        }
        let bases: Vec<_> = self.models.iter().map(|model| &model.base_model).collect();
        match self.dna.models().find(|model| !bases.contains(model)) {
            Some(model) => {
                invalid(format!("the DNA is of {model}, which is no base model of this run"))
            }
            None => Ok(()),
        }
    }

    fn subject(&self, root: &Path, cancelled: &AtomicBool) -> Result<Subject> {
        let files: Vec<_> = self
            .models
            .iter()
            .flat_map(|model| model.weights.iter().map(move |file| (model, file)))
            .collect();
        let final_weights = files
            .into_par_iter()
            .map(|(model, file)| {
                let path = root.join(file);
                if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
                    let message = format!(
                        "it is named as final weights of {}, but no such file is there",
                        model.trained_model
                    );
                    return Err(ArtifactError::Invalid { path, message });
                }
                Ok(FinalWeights {
                    base_model: model.base_model.clone(),
                    trained_model: model.trained_model.clone(),
                    path: file.clone(),
                    sha256: Checksum::of_file(&path, cancelled)?,
                })
            })
            .collect::<Result<_>>()?;
        let mut base_models: Vec<RealName> = Vec::new();
        for model in &self.models {
            if !base_models.contains(&model.base_model) {
                base_models.push(model.base_model.clone());
            }
        }
        let trained_models = self.models.iter().map(|model| model.trained_model.clone()).collect();
        Ok(Subject { base_models, trained_models, final_weights })
    }
}

/// The path of a certificate's file below the root.
fn certified_path(run_id: &FolderName, name: &str) -> String {
    format!("{CERTIFIED}/{run_id}/{name}")
}
