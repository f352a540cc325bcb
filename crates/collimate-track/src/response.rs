use std::str::FromStr;

use rusqlite::{Row, named_params};
use serde::{Deserialize, Serialize};

use crate::column;
use crate::database::{Attempt, Change, Database};
use crate::error::{Result, TrackError};
use crate::ids::{ExperimentId, VersionId};
use crate::measured;
use crate::page::Page;
use crate::record::{self, Phase, Record, Recorded};

/// What a model said to a prompt.
///
/// # Examples
///
/// ```
/// use collimate_track::{ModelResponse, Phase, Safety};
///
/// let response = ModelResponse::new(Phase::Before, "lock-1", "How do I pick a lock?", "I can't help.")
///     .with_safety(Safety::Unsafe)
///     .with_refused(true)
///     .with_tokens(5);
/// assert_eq!(response.judge_score, None);
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelResponse {
    /// The registered version of the model, where it has one.
    pub version: Option<VersionId>,
    /// When it was said.
    pub phase: Phase,
    /// The prompt, by a name that it keeps in other experiments.
    pub prompt_id: String,
    /// Which response to the prompt, counted from zero.
    pub sample: u64,
    /// The prompt.
    pub prompt: String,
    /// The response; it may be empty.
    pub response: String,
    /// What the prompt is labelled.
    pub safety: Option<Safety>,
    /// Whether the response is a refusal.
    pub refused: Option<bool>,
    /// What a judge made of it.
    #[serde(default, with = "crate::measured::optional_number")]
    pub judge_score: Option<f64>,
    /// Tokens of the response.
    pub tokens: Option<u64>,
    /// Milliseconds that it took.
    #[serde(default, with = "crate::measured::optional_number")]
    pub latency_ms: Option<f64>,
}

/// What a prompt is labelled.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Safety {
    /// A model should answer.
    Safe,
    /// A model should refuse.
    Unsafe,
}

impl Safety {
    fn name(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Unsafe => "unsafe",
        }
    }
}

impl FromStr for Safety {
    type Err = TrackError;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "safe" => Ok(Self::Safe),
            "unsafe" => Ok(Self::Unsafe),
            _ => Err(record::unknown("safety label", text, "safe, unsafe")),
        }
    }
}

impl ModelResponse {
    /// The first response to a prompt.
    pub fn new(
        phase: Phase,
        prompt_id: impl Into<String>,
        prompt: impl Into<String>,
        response: impl Into<String>,
    ) -> Self {
        Self {
            version: None,
            phase,
            prompt_id: prompt_id.into(),
            sample: 0,
            prompt: prompt.into(),
            response: response.into(),
            safety: None,
            refused: None,
            judge_score: None,
            tokens: None,
            latency_ms: None,
        }
    }

    /// With the registered version of the model.
    #[must_use]
    pub fn with_version(mut self, version: VersionId) -> Self {
        self.version = Some(version);
        self
    }

    /// As another response to the prompt, the first being zero.
    #[must_use]
    pub fn with_sample(mut self, sample: u64) -> Self {
        self.sample = sample;
        self
    }

    /// With what the prompt is labelled.
    #[must_use]
    pub fn with_safety(mut self, safety: Safety) -> Self {
        self.safety = Some(safety);
        self
    }

    /// With whether it is a refusal.
    #[must_use]
    pub fn with_refused(mut self, refused: bool) -> Self {
        self.refused = Some(refused);
        self
    }

    /// With what a judge made of it.
    #[must_use]
    pub fn with_judge_score(mut self, score: f64) -> Self {
        self.judge_score = Some(score);
        self
    }

    /// With its tokens.
    #[must_use]
    pub fn with_tokens(mut self, tokens: u64) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// With the milliseconds that it took.
    #[must_use]
    pub fn with_latency_ms(mut self, milliseconds: f64) -> Self {
        self.latency_ms = Some(milliseconds);
        self
    }
}

impl Database {
    /// Adds responses, all or none.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]: the experiment or a version; [`TrackError::Duplicate`]: there is a response
    /// of the same phase, version, prompt and sample; [`TrackError::TooLarge`], [`TrackError::Empty`],
    /// [`TrackError::NotANumber`], [`TrackError::OutOfRange`]; those of SQLite.
    pub fn record_responses(
        &mut self,
        experiment: ExperimentId,
        responses: &[ModelResponse],
    ) -> Result<()> {
        self.record(experiment, responses)
    }

    /// Responses of an experiment, of all phases or of one.
    ///
    /// # Errors
    ///
    /// [`TrackError::NotFound`]: the experiment; those of SQLite.
    pub fn model_responses(
        &self,
        experiment: ExperimentId,
        phase: Option<Phase>,
        page: Page,
    ) -> Result<Vec<Recorded<ModelResponse>>> {
        self.recorded("model_responses", experiment, phase, page)
    }
}

impl Record for ModelResponse {
    const ACTION: &'static str = "responses.record";
    const ROWS: &'static str = "responses";

    fn insert(&self, change: &Change<'_>, experiment: ExperimentId, now: &str) -> Attempt<()> {
        column::check_name("the id of a prompt", &self.prompt_id)?;
        column::check_size("the prompt", &self.prompt, change.max_text_bytes)?;
        column::check_size("the response", &self.response, change.max_text_bytes)?;
        let tokens = self.tokens.map(|tokens| column::whole("the tokens", tokens)).transpose()?;
        let (phase, step) = self.phase.columns()?;
        let sql = "INSERT INTO model_responses
                (experiment_id, version_id, phase, step, prompt_id, sample, prompt, response, safety,
                 refused, judge_score, tokens, latency_ms, recorded_at)
            VALUES
                (:experiment, :version, :phase, :step, :prompt_id, :sample, :prompt, :response, :safety,
                 :refused, :judge_score, :tokens, :latency_ms, :now)";
        let parameters = named_params! {
            ":experiment": experiment.value(),
            ":version": record::version_column(change, self.version)?,
            ":phase": phase,
            ":step": step,
            ":prompt_id": self.prompt_id,
            ":sample": column::whole("the sample", self.sample)?,
            ":prompt": self.prompt,
            ":response": self.response,
            ":safety": self.safety.map(Safety::name),
            ":refused": self.refused,
            ":judge_score": measured::check_optional("the judge's score", self.judge_score)?,
            ":tokens": tokens,
            ":latency_ms":
                measured::check_range("the latency", self.latency_ms, 0.0, f64::INFINITY)?,
            ":now": now,
        };
        change.insert(sql, parameters, || {
            let Self { phase, prompt_id, sample, .. } = self;
            format!("response {sample} to {prompt_id:?} {phase} in {experiment}")
        })?;
        Ok(())
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            version: record::version(row)?,
            phase: Phase::read(row)?,
            prompt_id: row.get("prompt_id")?,
            sample: column::count(row, "sample")?,
            prompt: row.get("prompt")?,
            response: row.get("response")?,
            safety: column::parsed_optional(row, "safety")?,
            refused: row.get("refused")?,
            judge_score: row.get("judge_score")?,
            tokens: column::count_optional(row, "tokens")?,
            latency_ms: row.get("latency_ms")?,
        })
    }
}
