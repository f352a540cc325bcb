//! What a run is started with.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use collimate_lm::Decoder;
use collimate_peft::Adapter;

use crate::checkpoint::Resume;
use crate::config::{CheckedConfig, TrainConfig};
use crate::error::{Result, TrainError};
use crate::evaluate::Evaluator;
use crate::events::Observer;
use crate::result::TrainResult;
use crate::rows::Rows;
use crate::run::Run;

/// A run that can be started: settings, rows, and what else it needs.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::AtomicBool;
///
/// use burn::tensor::{DType, Device};
/// use collimate_data::Row;
/// use collimate_lm::{Decoder, DecoderConfig};
/// use collimate_train::{StopReason, TrainConfig, TrainEvent, Trainer};
///
/// # let json = r#"{"model_type": "llama", "vocab_size": 20, "hidden_size": 8, "intermediate_size": 12,
/// #     "num_hidden_layers": 1, "num_attention_heads": 2}"#;
/// # let config = DecoderConfig::from_json(json, "config.json")?;
/// // Or of a folder: `Decoder::load("my-model", &Device::flex(), DType::F32)?`.
/// let mut decoder = Decoder::random(&config, 0.2, 1, &Device::flex(), DType::F32)?;
/// let rows = vec![Row::new(vec![3, 4, 5, 6], vec![false, false, true, true])];
/// let config = TrainConfig::default().with_max_steps(3).with_learning_rate(0.01).check()?;
/// let mut losses = Vec::new();
/// let result = Trainer::new(config, &rows).run(
///     &mut decoder,
///     &mut |event: &TrainEvent| {
///         if let TrainEvent::Step(step) = event {
///             losses.push(step.loss);
///         }
///     },
///     &AtomicBool::new(false),
/// )?;
/// assert_eq!(result.reason, StopReason::Done);
/// assert!(losses[2] < losses[0]);
/// let folder = tempfile::tempdir()?;
/// result.adapter.unwrap().write(folder.path())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Trainer<'a> {
    pub(crate) config: TrainConfig,
    pub(crate) rows: &'a dyn Rows,
    pub(crate) validation: Option<&'a dyn Rows>,
    pub(crate) evaluator: Option<&'a mut dyn Evaluator>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) resume: Resume,
    pub(crate) start: Option<&'a Adapter>,
    pub(crate) model: String,
}

impl<'a> Trainer<'a> {
    /// Trains on these rows.
    pub fn new(config: CheckedConfig, rows: &'a dyn Rows) -> Self {
        Self {
            config: config.config().clone(),
            rows,
            validation: None,
            evaluator: None,
            folder: None,
            resume: Resume::Never,
            start: None,
            model: String::new(),
        }
    }

    /// Evaluates on these rows.
    #[must_use]
    pub fn with_validation(mut self, rows: &'a dyn Rows) -> Self {
        self.validation = Some(rows);
        self
    }

    /// Measures more than the loss.
    #[must_use]
    pub fn with_evaluator(mut self, evaluator: &'a mut dyn Evaluator) -> Self {
        self.evaluator = Some(evaluator);
        self
    }

    /// Writes checkpoints into a folder, and goes on from one of them if so wanted. Without a folder
    /// there are none.
    #[must_use]
    pub fn with_checkpoints(mut self, folder: impl Into<PathBuf>, resume: Resume) -> Self {
        (self.folder, self.resume) = (Some(folder.into()), resume);
        self
    }

    /// Starts from the tensors of an adapter instead of new ones.
    #[must_use]
    pub fn with_start(mut self, adapter: &'a Adapter) -> Self {
        self.start = Some(adapter);
        self
    }

    /// Names the model, for the record, and so that no run goes on with another.
    #[must_use]
    pub fn with_model_name(mut self, name: impl Into<String>) -> Self {
        self.model = name.into();
        self
    }

    /// Trains the model.
    ///
    /// In the end it has the result attached, under the name `trained` (and, after PiSSA, what was taken
    /// from the weights under the name `start`), and modules that were trained whole replaced; nothing
    /// is recorded any more. After an error it is as it was, but for parameters of its own that were
    /// trained.
    ///
    /// When it is cancelled, it ends after the current batch, with a checkpoint of the last whole step.
    ///
    /// # Errors
    ///
    /// [`TrainError`]: the rows or the adapter don't fit the model; a number is not finite; a checkpoint
    /// can't be written, or is of another run; the evaluator fails.
    pub fn run(
        self,
        decoder: &mut Decoder,
        observer: &mut dyn Observer,
        cancelled: &AtomicBool,
    ) -> Result<TrainResult> {
        if let Some(attached) = decoder.adapters().first() {
            return Err(TrainError::Setting {
                setting: "model",
                message: format!(
                    "has the adapter '{attached}' attached, of which the result would know nothing: \
                     merge it into the model, or detach it"
                ),
            });
        }
        let mut run = Run::prepare(self, decoder)?;
        match run.train(decoder, observer, cancelled) {
            Ok(reason) => run.finish(decoder, reason),
            Err(error) => {
                // What led here is what matters.
                let _ = run.detach(decoder);
                Err(error)
            }
        }
    }
}
