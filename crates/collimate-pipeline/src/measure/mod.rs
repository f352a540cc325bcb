//! What is measured of a model, and of two of them.

mod cache;
mod held_out;
mod json;
mod probes;
mod record;
mod report;

use std::sync::atomic::AtomicBool;

use collimate_data::{ChatTemplate, Prompt, PromptSet, Tokenizer};
use collimate_eval::{
    AlignmentComparison, AlignmentConfig, BleuConfig, Cached, ChrfConfig, Computed, HeldOut,
    HiddenStates, Judge, JudgeCase, JudgeConfig, JudgeReport, MeanChange, PeakMemory, Probed,
    RefusalCase, RefusalChanges, RefusalConfig, RefusalRates, Response, RougeConfig, Rubric, Speed,
    SpeedConfig, StatesConfig, compare_alignment, compare_held_out, compare_ratings,
    compare_refusals, held_out, prompt_ids, random_twin, rate_all, refusal_rates, responses,
    score_answers, speed, states_of_rows,
};
use collimate_lm::Decoder;
use serde::{Deserialize, Serialize};

use crate::error::{PipelineError, Result};

pub use cache::MeasureCache;
use cache::Outputs;
pub use held_out::{HeldOutData, Question};
pub use probes::read_probes;

/// What is measured, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MeasureConfig {
    /// Which hidden states are read. Default: as [`StatesConfig`].
    pub states: StatesConfig,
    /// Whether they are those of prompts as they are asked: as a user's message in the chat template, up to
    /// where the answer begins. Default: no, as they are written.
    pub chat: bool,
    /// How they are scored and compared; none for no AQI, and no hidden states are read. Default: as
    /// [`AlignmentConfig`].
    pub alignment: Option<AlignmentConfig>,
    /// The seed of the twin with random weights; none for no twin. Default 0.
    pub twin: Option<u64>,
    /// Most tokens of an answer to a prompt; none for no answers. Default: none.
    pub answers: Option<usize>,
    /// How speed is measured; none if it isn't. Default: none.
    pub speed: Option<SpeedConfig>,
    /// Most tokens that run together, apart from those of hidden states. Default 4096.
    pub batch_tokens: usize,
}

impl Default for MeasureConfig {
    fn default() -> Self {
        Self {
            states: StatesConfig::default(),
            chat: false,
            alignment: Some(AlignmentConfig::default()),
            twin: Some(0),
            answers: None,
            speed: None,
            batch_tokens: 4096,
        }
    }
}

/// A model that is measured.
pub struct Subject<'a> {
    /// The model.
    pub decoder: &'a Decoder,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The chat template that it is asked through, if any.
    pub template: Option<&'a ChatTemplate>,
    /// What tells it from any other: [`model_fingerprint`](collimate_eval::model_fingerprint).
    pub fingerprint: String,
}

/// What was measured of a model.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Measured {
    /// Its hidden states; none if there is no AQI.
    pub states: Option<HiddenStates>,
    /// Those of its twin.
    pub twin: Option<HiddenStates>,
    /// How well it predicts the texts that were held out.
    pub held_out: Option<HeldOut>,
    /// How near its answers to prompts that were held out come to the references.
    pub texts: Option<TextScores>,
    /// What it answers to the probes.
    pub responses: Vec<Response>,
    /// What that is.
    pub cases: Vec<RefusalCase>,
    /// What a judge makes of that.
    pub ratings: Option<JudgeReport>,
    /// How fast it is.
    pub speed: Option<Speed>,
    /// The most memory that the process has held meanwhile, in bytes.
    pub peak_memory: Option<u64>,
}

/// How near answers come to references.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TextScores {
    /// Answers.
    pub answers: usize,
    /// BLEU of the corpus, 0 to 100.
    pub bleu: f64,
    /// chrF of the corpus, 0 to 100.
    pub chrf: f64,
    /// Mean F1 of ROUGE-L, 0 to 1.
    pub rouge_l: f64,
    /// Share of answers that are the reference, as SQuAD normalizes them.
    pub exact_match: f64,
    /// Mean F1 of tokens, as SQuAD has it.
    pub token_f1: f64,
}

/// Two models on the same prompts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Comparison {
    /// The first model.
    pub before: Measured,
    /// The second one.
    pub after: Measured,
    /// How well they tell safe from unsafe prompts; none without prompts, or where it is not asked for.
    pub alignment: Option<AlignmentComparison>,
    /// How much oftener, or less often, the second one refuses.
    pub refusals: Option<RefusalChanges>,
    /// How much better, or worse, the second one predicts, or why that can't be said.
    pub loss: Option<Computed<MeanChange>>,
    /// How much better, or worse, its answers are rated.
    pub rating: Option<MeanChange>,
}

impl MeasureConfig {
    /// Sets which hidden states are read.
    #[must_use]
    pub fn with_states(mut self, states: StatesConfig) -> Self {
        self.states = states;
        self
    }

    /// Sets whether they are those of prompts as they are asked.
    #[must_use]
    pub fn with_chat(mut self, chat: bool) -> Self {
        self.chat = chat;
        self
    }

    /// Sets how they are scored and compared, or that there is no AQI.
    #[must_use]
    pub fn with_alignment(mut self, alignment: impl Into<Option<AlignmentConfig>>) -> Self {
        self.alignment = alignment.into();
        self
    }

    /// Sets the seed of the twin with random weights, or that there is none.
    #[must_use]
    pub fn with_twin(mut self, seed: impl Into<Option<u64>>) -> Self {
        self.twin = seed.into();
        self
    }

    /// Sets how many tokens answers have at most, or that there are none.
    #[must_use]
    pub fn with_answers(mut self, most_tokens: impl Into<Option<usize>>) -> Self {
        self.answers = most_tokens.into();
        self
    }

    /// Sets how speed is measured, or that it isn't.
    #[must_use]
    pub fn with_speed(mut self, speed: impl Into<Option<SpeedConfig>>) -> Self {
        self.speed = speed.into();
        self
    }

    /// Sets how many tokens run together at most.
    #[must_use]
    pub fn with_batch_tokens(mut self, batch_tokens: usize) -> Self {
        self.batch_tokens = batch_tokens;
        self
    }

    /// Measures a model; what was measured before is read from the cache. Without probes there is no AQI,
    /// without held-out rows no perplexity.
    ///
    /// For the peak of memory to be the model's, `peak` is started before it is loaded.
    ///
    /// # Errors
    ///
    /// What the prompts, the model or the cache say.
    pub fn measure(
        &self,
        model: &Subject<'_>,
        probes: &PromptSet,
        held_out: Option<&HeldOutData>,
        cache: &MeasureCache,
        peak: Option<PeakMemory>,
        cancelled: &AtomicBool,
    ) -> Result<Measured> {
        let inputs: Vec<&str> =
            probes.prompts().iter().map(|prompt| prompt.input.as_str()).collect();
        let states_cache = cache.states();
        let rows = match self.alignment {
            Some(_) => Some(self.rows(model, &inputs)?),
            None => None,
        };
        let states_of = |decoder: &Decoder, fingerprint: &str| {
            let Some(rows) = &rows else { return Ok(None) };
            let cached = Some(Cached { cache: &states_cache, fingerprint });
            states_of_rows(decoder, rows, &self.states, cached, cancelled).map(Some)
        };
        let states = states_of(model.decoder, &model.fingerprint)?;
        let outputs = self.outputs(model, probes, held_out, cache, cancelled)?;
        let speed = match &self.speed {
            Some(config) => {
                let asked = asked(model, &inputs)?;
                Some(speed(model.decoder, &asked, config, cancelled)?)
            }
            None => None,
        };
        // The twin is not what is measured.
        let peak_memory = peak.and_then(|peak| peak.bytes());
        let twin = match self.twin.filter(|_| states.is_some()) {
            Some(seed) => {
                let twin = random_twin(model.decoder, seed)?;
                states_of(&twin, &twin_fingerprint(&twin, seed))?
            }
            None => None,
        };
        let rules = RefusalConfig::default().check()?;
        let case = |(prompt, response): (&Prompt, &Response)| {
            let outcome = rules.judge(&response.text).outcome;
            RefusalCase::new(prompt.safety.label.into(), prompt.axiom.clone(), outcome)
        };
        let cases = probes.prompts().iter().zip(&outputs.responses).map(case).collect();
        Ok(Measured {
            states,
            twin,
            held_out: outputs.held_out,
            texts: outputs.texts,
            responses: outputs.responses,
            cases,
            ratings: None,
            speed,
            peak_memory,
        })
    }

    /// The prompts as their hidden states are read.
    fn rows(&self, model: &Subject<'_>, inputs: &[&str]) -> Result<Vec<Vec<u32>>> {
        match self.chat {
            true if model.template.is_none() => {
                let message = "is true, and the model has no chat template".to_owned();
                Err(PipelineError::Setting { field: "evaluation.chat", message })
            }
            true => Ok(asked(model, inputs)?),
            false => {
                let rows = model.tokenizer.encode_batch(inputs, true)?;
                Ok(rows.into_iter().map(|row| row.ids).collect())
            }
        }
    }

    /// What the model makes of rows and prompts.
    fn outputs(
        &self,
        model: &Subject<'_>,
        probes: &PromptSet,
        held_out_data: Option<&HeldOutData>,
        cache: &MeasureCache,
        cancelled: &AtomicBool,
    ) -> Result<Outputs> {
        let rows = held_out_data.map(|data| data.rows(model, cancelled)).transpose()?;
        let questions = match held_out_data {
            Some(data) if self.answers.is_some() => data.questions(),
            _ => &[],
        };
        let questioned: Vec<Vec<u32>> = questions
            .iter()
            .map(|question| question.ids(model.tokenizer, model.template))
            .collect::<Result<_, _>>()?;
        let inputs: Vec<&str> =
            probes.prompts().iter().map(|prompt| prompt.input.as_str()).collect();
        let prompts = match self.answers {
            Some(_) => asked(model, &inputs)?,
            None => Vec::new(),
        };
        let references: Vec<&str> =
            questions.iter().map(|question| question.reference.as_str()).collect();
        let parts = serde_json::json!({
            "model": model.fingerprint,
            "dtype": format!("{:?}", model.decoder.dtype()),
            "rows": rows,
            "prompts": prompts,
            "questions": questioned,
            "references": references,
            "max_new_tokens": self.answers,
        });
        cache.outputs(&parts, || {
            let mut outputs = Outputs::default();
            if let Some(rows) = &rows {
                outputs.held_out =
                    Some(held_out(model.decoder, rows, self.batch_tokens, cancelled)?);
            }
            let Some(most) = self.answers else { return Ok(outputs) };
            let answer = |prompts: &[Vec<u32>]| {
                let (decoder, tokenizer) = (model.decoder, model.tokenizer);
                responses(decoder, tokenizer, prompts, most, self.batch_tokens, cancelled)
            };
            if !questioned.is_empty() {
                outputs.texts = Some(TextScores::of(&answer(&questioned)?, &references)?);
            }
            outputs.responses = answer(&prompts)?;
            Ok(outputs)
        })
    }

    /// Compares two models that were measured with these settings on the same prompts.
    ///
    /// # Errors
    ///
    /// The metric can't be computed of them.
    pub fn compare(
        &self,
        probes: &PromptSet,
        before: Measured,
        after: Measured,
    ) -> Result<Comparison> {
        let alignment = match (&self.alignment, before.probed(), after.probed()) {
            (Some(config), Some(before), Some(after)) if !probes.prompts().is_empty() => {
                Some(compare_alignment(probes, before, after, config)?)
            }
            _ => None,
        };
        let refusals = match self.answers {
            Some(_) => Some(compare_refusals(&before.cases, &after.cases)?),
            None => None,
        };
        // Tokenizers may differ, and one row says nothing of chance.
        let loss = match (&before.held_out, &after.held_out) {
            (Some(before), Some(after)) => Some(compare_held_out(before, after).into()),
            _ => None,
        };
        let rating = match (&before.ratings, &after.ratings) {
            (Some(before), Some(after)) => compare_ratings(before, after)?,
            _ => None,
        };
        Ok(Comparison { before, after, alignment, refusals, loss, rating })
    }
}

impl TextScores {
    fn of(answers: &[Response], references: &[&str]) -> collimate_eval::Result<Self> {
        let answers: Vec<&str> = answers.iter().map(|answer| answer.text.trim()).collect();
        let references: Vec<[&str; 1]> = references.iter().map(|reference| [*reference]).collect();
        let squad = score_answers(&answers, &references)?;
        let rouge = RougeConfig::default().check()?.corpus(&answers, &references)?;
        Ok(Self {
            answers: answers.len(),
            bleu: BleuConfig::default().check()?.corpus(&answers, &references)?.score,
            chrf: ChrfConfig::default().check()?.corpus(&answers, &references)?.score,
            rouge_l: rouge.mean.rouge_l.f1,
            exact_match: squad.exact.share.unwrap_or(0.0),
            token_f1: squad.f1,
        })
    }
}

impl Measured {
    fn probed(&self) -> Option<Probed<'_>> {
        let probed = Probed::new(self.states.as_ref()?);
        Some(match &self.twin {
            Some(twin) => probed.with_twin(twin),
            None => probed,
        })
    }

    /// How often it refuses; none if it wasn't asked.
    pub fn refusals(&self) -> Option<RefusalRates> {
        (!self.cases.is_empty()).then(|| refusal_rates(&self.cases))
    }
}

fn asked(model: &Subject<'_>, inputs: &[&str]) -> collimate_eval::Result<Vec<Vec<u32>>> {
    inputs.iter().map(|input| prompt_ids(model.tokenizer, model.template, input)).collect()
}

/// Has the answers of both models rated, by the same steps.
///
/// # Errors
///
/// The judge can't write the steps.
pub fn rate_answers(
    judge: &mut dyn Judge,
    rubric: &Rubric,
    probes: &PromptSet,
    models: [&mut Measured; 2],
) -> Result<()> {
    let mut rubric = rubric.clone();
    for model in models {
        let pairs = probes.prompts().iter().zip(&model.responses);
        let cases = pairs.map(|(prompt, response)| JudgeCase {
            prompt: &prompt.input,
            response: &response.text,
            reference: None,
        });
        let ratings = rate_all(judge, &rubric, cases, &JudgeConfig::default())?;
        rubric = ratings.rubric.clone();
        model.ratings = Some(ratings);
    }
    Ok(())
}

/// What tells a twin from any other model: it follows from its shape and the seed.
fn twin_fingerprint(twin: &Decoder, seed: u64) -> String {
    format!("twin {seed} of {:?}", twin.config())
}
