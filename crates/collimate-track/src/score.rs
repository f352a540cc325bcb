use rusqlite::{Row, named_params};
use serde::{Deserialize, Serialize};

use crate::column;
use crate::database::{Attempt, Change, Database};
use crate::error::Result;
use crate::ids::{ExperimentId, VersionId};
use crate::measured::{self, Interval};
use crate::page::Page;
use crate::record::{self, Phase, Record, Recorded};

/// An Alignment Quality Index, with what it was computed from.
///
/// # Examples
///
/// ```
/// use collimate_track::{AqiScore, Interval, Phase};
///
/// let score = AqiScore::new(Phase::After, 0.31, 250, 250)
///     .with_interval(Interval::new(0.27, 0.35, 0.95))
///     .with_p_value(0.001)
///     .with_layer("12")
///     .with_pooling("last");
/// assert_eq!(score.axiom, None);
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AqiScore {
    /// The registered version of the model, where it has one.
    pub version: Option<VersionId>,
    /// When it was measured.
    pub phase: Phase,
    /// The layer, by its index or name; none where all layers are scored together.
    pub layer: Option<String>,
    /// The axiom; none where all are scored together.
    pub axiom: Option<String>,
    /// The score.
    #[serde(with = "crate::measured::number")]
    pub aqi_s: f64,
    /// The Calinski-Harabasz index.
    #[serde(default, with = "crate::measured::optional_number")]
    pub chi: Option<f64>,
    /// The Xie-Beni index.
    #[serde(default, with = "crate::measured::optional_number")]
    pub xbi: Option<f64>,
    /// Prompts that are safe.
    pub n_safe: u64,
    /// Prompts that are unsafe.
    pub n_unsafe: u64,
    /// How sure the score is.
    pub interval: Option<Interval>,
    /// The probability of such a score where the labels mean nothing.
    #[serde(default, with = "crate::measured::optional_number")]
    pub p_value: Option<f64>,
    /// How the hidden states of a prompt became one, as `last` or `mean`.
    pub pooling: Option<String>,
    /// What was done to them before they were scored.
    pub transform: Option<String>,
}

impl AqiScore {
    /// A score of so many safe and unsafe prompts.
    pub fn new(phase: Phase, aqi_s: f64, n_safe: u64, n_unsafe: u64) -> Self {
        Self {
            version: None,
            phase,
            layer: None,
            axiom: None,
            aqi_s,
            chi: None,
            xbi: None,
            n_safe,
            n_unsafe,
            interval: None,
            p_value: None,
            pooling: None,
            transform: None,
        }
    }

    /// With the registered version of the model.
    #[must_use]
    pub fn with_version(mut self, version: VersionId) -> Self {
        self.version = Some(version);
        self
    }

    /// With the layer, by its index or name.
    #[must_use]
    pub fn with_layer(mut self, layer: impl Into<String>) -> Self {
        self.layer = Some(layer.into());
        self
    }

    /// With the axiom.
    #[must_use]
    pub fn with_axiom(mut self, axiom: impl Into<String>) -> Self {
        self.axiom = Some(axiom.into());
        self
    }

    /// With the Calinski-Harabasz and the Xie-Beni index.
    #[must_use]
    pub fn with_indices(mut self, chi: f64, xbi: f64) -> Self {
        (self.chi, self.xbi) = (Some(chi), Some(xbi));
        self
    }

    /// With the confidence interval.
    #[must_use]
    pub fn with_interval(mut self, interval: Interval) -> Self {
        self.interval = Some(interval);
        self
    }

    /// With the p-value.
    #[must_use]
    pub fn with_p_value(mut self, p_value: f64) -> Self {
        self.p_value = Some(p_value);
        self
    }

    /// With how the hidden states of a prompt became one.
    #[must_use]
    pub fn with_pooling(mut self, pooling: impl Into<String>) -> Self {
        self.pooling = Some(pooling.into());
        self
    }

    /// With what was done to the hidden states.
    #[must_use]
    pub fn with_transform(mut self, transform: impl Into<String>) -> Self {
        self.transform = Some(transform.into());
        self
    }
}

impl Database {
    /// Adds scores, all or none.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`](crate::TrackError::NotFound): the experiment or a version;
    /// [`TrackError::Duplicate`](crate::TrackError::Duplicate): there is a score of the same phase, version,
    /// layer, axiom, pooling and transform; [`TrackError::NotANumber`](crate::TrackError::NotANumber),
    /// [`TrackError::OutOfRange`](crate::TrackError::OutOfRange),
    /// [`TrackError::Empty`](crate::TrackError::Empty), [`TrackError::TooLarge`](crate::TrackError::TooLarge);
    /// those of SQLite.
    pub fn record_scores(&mut self, experiment: ExperimentId, scores: &[AqiScore]) -> Result<()> {
        self.record(experiment, scores)
    }

    /// Scores of an experiment, of all phases or of one.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`](crate::TrackError::NotFound): the experiment; those of SQLite.
    pub fn aqi_scores(
        &self,
        experiment: ExperimentId,
        phase: Option<Phase>,
        page: Page,
    ) -> Result<Vec<Recorded<AqiScore>>> {
        self.recorded("aqi_scores", experiment, phase, page)
    }
}

impl Record for AqiScore {
    const ACTION: &'static str = "scores.record";
    const ROWS: &'static str = "scores";

    fn insert(&self, change: &Change<'_>, experiment: ExperimentId, now: &str) -> Attempt<()> {
        for (what, name) in [
            ("the layer", &self.layer),
            ("the axiom", &self.axiom),
            ("the pooling", &self.pooling),
            ("the transform", &self.transform),
        ] {
            column::check_optional_name(what, name.as_deref())?;
        }
        let (phase, step) = self.phase.columns()?;
        let interval = self.interval.map(Interval::check).transpose()?;
        let sql = "INSERT INTO aqi_scores
                (experiment_id, version_id, phase, step, layer, axiom, aqi_s, chi, xbi, n_safe,
                 n_unsafe, ci_low, ci_high, ci_level, p_value, pooling, transform, recorded_at)
            VALUES
                (:experiment, :version, :phase, :step, :layer, :axiom, :aqi_s, :chi, :xbi, :n_safe,
                 :n_unsafe, :low, :high, :level, :p_value, :pooling, :transform, :now)";
        let parameters = named_params! {
            ":experiment": experiment.value(),
            ":version": record::version_column(change, self.version)?,
            ":phase": phase,
            ":step": step,
            ":layer": self.layer,
            ":axiom": self.axiom,
            ":aqi_s": measured::check("aqi_s", self.aqi_s)?,
            ":chi": measured::check_optional("chi", self.chi)?,
            ":xbi": measured::check_optional("xbi", self.xbi)?,
            ":n_safe": column::whole("n_safe", self.n_safe)?,
            ":n_unsafe": column::whole("n_unsafe", self.n_unsafe)?,
            ":low": interval.map(|interval| interval.low),
            ":high": interval.map(|interval| interval.high),
            ":level": interval.map(|interval| interval.level),
            ":p_value": measured::check_range("the p-value", self.p_value, 0.0, 1.0)?,
            ":pooling": self.pooling,
            ":transform": self.transform,
            ":now": now,
        };
        change.insert(sql, parameters, || {
            let part = |name: &Option<String>| name.clone().unwrap_or_else(|| "all".to_owned());
            let (layer, axiom) = (part(&self.layer), part(&self.axiom));
            let phase = self.phase;
            format!("a score {phase} of layer {layer:?} and axiom {axiom:?} in {experiment}")
        })?;
        Ok(())
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            version: record::version(row)?,
            phase: Phase::read(row)?,
            layer: row.get("layer")?,
            axiom: row.get("axiom")?,
            aqi_s: row.get("aqi_s")?,
            chi: row.get("chi")?,
            xbi: row.get("xbi")?,
            n_safe: column::count(row, "n_safe")?,
            n_unsafe: column::count(row, "n_unsafe")?,
            interval: record::interval(row)?,
            p_value: row.get("p_value")?,
            pooling: row.get("pooling")?,
            transform: row.get("transform")?,
        })
    }
}
