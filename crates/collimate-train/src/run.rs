//! A run that is going on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::tensor::Tensor;
use collimate_lm::Decoder;

use crate::checkpoint::{Checkpoints, read_state};
use crate::config::{Every, NonFinite, TrainConfig};
use crate::error::{Result, TrainError};
use crate::evaluate::{Evaluator, held_out_loss};
use crate::events::{Observer, Started, Step, StopReason, TrainEvent};
use crate::memory;
use crate::optimizer::Optimizer;
use crate::order::Order;
use crate::result::{Provenance, TrainResult};
use crate::rows::{DataSummary, Rows, survey};
use crate::state::{TrainState, rounded};
use crate::step::{self, Outcome, Sums};
use crate::trained::Trained;
use crate::trainer::Trainer;

/// A run that is going on.
pub(crate) struct Run<'a> {
    config: TrainConfig,
    rows: &'a dyn Rows,
    /// With the tokens of each row.
    validation: Option<(&'a dyn Rows, Vec<usize>)>,
    evaluator: Option<&'a mut dyn Evaluator>,
    checkpoints: Option<Checkpoints>,
    order: Order,
    steps: u64,
    data: DataSummary,
    provenance: Provenance,
    trained: Trained,
    optimizer: Optimizer,
    state: TrainState,
    /// The values of the best evaluation.
    best: Option<Vec<Tensor<1>>>,
    /// The step of the latest checkpoint.
    saved: Option<u64>,
    /// Whether it has all that happened since.
    is_saved: bool,
}

impl<'a> Run<'a> {
    /// Everything but the first step; goes on from a checkpoint if so wanted.
    pub(crate) fn prepare(trainer: Trainer<'a>, decoder: &Decoder) -> Result<Self> {
        let Trainer { config, rows, validation, evaluator, folder, resume, start, model } = trainer;
        let vocabulary = decoder.config().vocab_size;
        let (data, lengths) = survey(rows, vocabulary)?;
        let validated = validation.map(|rows| survey(rows, vocabulary)).transpose()?;
        if config.evaluation.every.is_some() && validation.is_none() && evaluator.is_none() {
            return Err(TrainError::Setting {
                setting: "evaluation.every",
                message: "is set, but there are neither validation rows nor an evaluator"
                    .to_owned(),
            });
        }
        let order = Order::new(&config, &lengths)?;
        let steps = order.steps(&config);
        let mut trained = Trained::new(decoder, &config, start)?;
        let mut optimizer = Optimizer::new(&config.optimizer, trained.parameters());
        let provenance = Provenance::new(
            &config,
            &data,
            validated.as_ref().map(|(summary, _)| summary),
            decoder,
            model,
            if start.is_some() { Some(trained.digest()?) } else { None },
        );
        let mut state = TrainState::default();
        let mut checkpoints = None;
        let (mut best, mut saved) = (None, None);
        if let Some(folder) = folder {
            let (opened, from) = Checkpoints::open(&folder, &resume)?;
            if let Some(from) = from {
                state = read_state(&from, &provenance.identity())?;
                if config.evaluation.keep_best
                    && let Some(of) = state.best
                {
                    trained.read(&opened.path(of.step))?;
                    best = Some(trained.values());
                }
                trained.read(&from)?;
                let updates = state.step - state.skipped;
                optimizer.read(&from, trained.parameters(), updates)?;
                saved = Some(state.step);
            }
            checkpoints = Some(opened);
        }
        let validation = validation.zip(validated).map(|(rows, (_, lengths))| (rows, lengths));
        Ok(Self {
            config,
            rows,
            validation,
            evaluator,
            checkpoints,
            order,
            steps,
            data,
            provenance,
            trained,
            optimizer,
            state,
            best,
            saved,
            is_saved: saved.is_some(),
        })
    }

    /// Makes all steps, or as many as it comes to.
    pub(crate) fn train(
        &mut self,
        decoder: &mut Decoder,
        observer: &mut dyn Observer,
        cancelled: &AtomicBool,
    ) -> Result<StopReason> {
        let (begin, first) = (Instant::now(), self.state.step);
        observer.on_event(&TrainEvent::Started(self.started(decoder)));
        let reason = loop {
            if self.state.unsettled {
                if !self.evaluate(decoder, observer, cancelled)? {
                    break StopReason::Cancelled;
                }
                (self.state.unsettled, self.is_saved) = (false, false);
            }
            let (at_end, is_stale) =
                (self.state.step >= self.steps, self.state.is_stale(&self.config));
            if !self.is_saved && (at_end || is_stale || self.is_due()) {
                self.save(observer)?;
            }
            if at_end {
                break StopReason::Done;
            }
            if is_stale {
                break StopReason::EarlyStopping;
            }
            if !self.step(decoder, observer, cancelled, begin, first)? {
                break StopReason::Cancelled;
            }
        };
        if reason == StopReason::Cancelled && !self.is_saved {
            self.save(observer)?;
        }
        observer.on_event(&TrainEvent::Finished {
            reason,
            step: self.state.step,
            skipped: self.state.skipped,
            seconds: begin.elapsed().as_secs_f64(),
        });
        Ok(reason)
    }

    fn started(&self, decoder: &Decoder) -> Started {
        let count = |size: &Vec<usize>| size.iter().product::<usize>() as u64;
        let trained: u64 =
            self.trained.parameters().iter().map(|parameter| count(&parameter.shape)).sum();
        let parameters = decoder.module_tree().parameters();
        let epochs = self.order.epochs_after(self.steps);
        // Two for each number and token forward, two for the gradient of what goes in, and two for that
        // of what is trained.
        let each = match self.trained.coverage() {
            Some(_) => 4.0 * parameters as f64 + 6.0 * trained as f64,
            None => 6.0 * parameters as f64,
        };
        Started {
            coverage: self.trained.coverage(),
            trained_parameters: trained,
            parameters,
            unmatched: self.trained.unmatched().to_vec(),
            data: self.data.clone(),
            step: self.state.step,
            steps: self.steps,
            steps_per_epoch: self.order.steps_per_epoch(),
            operations: each * self.data.tokens as f64 * epochs,
        }
    }

    /// Makes a step; whether it was not cancelled.
    fn step(
        &mut self,
        decoder: &mut Decoder,
        observer: &mut dyn Observer,
        cancelled: &AtomicBool,
        begin: Instant,
        first: u64,
    ) -> Result<bool> {
        let start = Instant::now();
        let at = self.state.step;
        let batches = self.order.batches(at)?;
        self.trained.attach(decoder, true)?;
        let outcome =
            step::run(decoder, &self.trained, self.rows, &batches, &self.config, at, cancelled)?;
        let sums = match outcome {
            Outcome::Cancelled => return Ok(false),
            Outcome::NotFinite(rows) => {
                self.skip(observer, "the loss".to_owned(), &rows)?;
                return Ok(true);
            }
            Outcome::Done(sums) => sums,
        };
        let Sums { gradients, loss, trained_tokens, tokens } = sums;
        let gradients = self.optimizer.mean(gradients, trained_tokens);
        let (norm, wrong) = self.optimizer.norm(&gradients, self.trained.parameters())?;
        if let Some(name) = wrong {
            let rows: Vec<usize> = batches.into_iter().flatten().flatten().collect();
            self.skip(observer, format!("the gradient of {name}"), &rows)?;
            return Ok(true);
        }
        let learning_rate = self.config.learning_rate * self.config.schedule.factor(at, self.steps);
        let gradients = self.optimizer.clip(gradients, norm, self.config.max_grad_norm);
        let before = at - self.state.skipped;
        self.optimizer.update(self.trained.parameters_mut(), gradients, learning_rate, before);
        self.state.tokens += tokens;
        self.advance();
        let loss = loss / trained_tokens.max(1) as f64;
        let epoch = self.order.epochs_after(at + 1);
        let values = [("grad_norm", norm), ("learning_rate", learning_rate)];
        self.state.log(&self.config, epoch, values, loss);
        let done = (at + 1 - first) as f64;
        observer.on_event(&TrainEvent::Step(Step {
            step: at + 1,
            steps: self.steps,
            epoch,
            loss,
            learning_rate,
            grad_norm: norm,
            tokens,
            trained_tokens,
            tokens_per_second: tokens as f64 / start.elapsed().as_secs_f64(),
            seconds_left: begin.elapsed().as_secs_f64() / done * (self.steps - at - 1) as f64,
            memory: memory::resident(),
        }));
        Ok(true)
    }

    /// Counts a step.
    fn advance(&mut self) {
        let at = self.state.step;
        self.state.step += 1;
        self.is_saved = false;
        self.state.unsettled = match self.config.evaluation.every {
            None => false,
            Some(_) if at + 1 == self.steps => true,
            Some(every) => self.is_at(every),
        };
    }

    /// Whether something that happens so often happens after the last step.
    fn is_at(&self, every: Every) -> bool {
        match every {
            Every::Steps(steps) => self.state.step.is_multiple_of(steps),
            Every::Epoch => self.state.step > 0 && self.order.ends_epoch(self.state.step - 1),
        }
    }

    fn is_due(&self) -> bool {
        let of_best = self.state.best.is_some_and(|best| best.step == self.state.step);
        self.state.step > 0
            && (self.config.checkpoints.every.is_some_and(|every| self.is_at(every))
                || (of_best && self.config.evaluation.keep_best))
    }

    /// Counts a step that changes nothing, or ends training.
    fn skip(&mut self, observer: &mut dyn Observer, what: String, rows: &[usize]) -> Result<()> {
        let rows: Vec<String> = rows.iter().map(|&row| self.rows.name(row)).collect();
        let step = self.state.step + 1;
        let is_allowed = match self.config.non_finite {
            NonFinite::Stop => false,
            NonFinite::Skip(most) => self.state.skipped < most,
        };
        if !is_allowed {
            let checkpoint = self.saved.zip(self.checkpoints.as_ref());
            let checkpoint = checkpoint.map(|(step, checkpoints)| checkpoints.path(step));
            return Err(TrainError::NonFinite { step, what, rows, checkpoint });
        }
        self.state.skipped += 1;
        self.advance();
        observer.on_event(&TrainEvent::Skipped { step, what, rows });
        Ok(())
    }

    /// Evaluates the model; whether it was not cancelled.
    fn evaluate(
        &mut self,
        decoder: &mut Decoder,
        observer: &mut dyn Observer,
        cancelled: &AtomicBool,
    ) -> Result<bool> {
        self.trained.attach(decoder, false)?;
        let step = self.state.step;
        let mut metrics = BTreeMap::new();
        if let Some((rows, lengths)) = &self.validation {
            let size = self.config.batch_size;
            match held_out_loss(decoder, *rows, lengths, size, cancelled)? {
                Some(loss) => metrics.insert("eval_loss".to_owned(), loss),
                None => return Ok(false),
            };
        }
        if let Some(evaluator) = &mut self.evaluator {
            let found = evaluator.evaluate(decoder, step);
            metrics.extend(found.map_err(|source| TrainError::Evaluator { step, source })?);
            if cancelled.load(Ordering::Relaxed) {
                return Ok(false);
            }
        }
        let metrics: BTreeMap<String, f64> =
            metrics.into_iter().map(|(name, value)| (name, rounded(value))).collect();
        let name = &self.config.evaluation.metric;
        let Some(&metric) = metrics.get(name) else {
            let (metric, found) = (name.clone(), metrics.into_keys().collect());
            return Err(TrainError::NoMetric { step, metric, found });
        };
        let epoch = self.order.epochs_after(step);
        let best = self.state.evaluated(&self.config, epoch, &metrics, metric);
        if best && self.config.evaluation.keep_best {
            self.best = Some(self.trained.values());
        }
        observer.on_event(&TrainEvent::Evaluation { step, epoch, metrics, best });
        Ok(true)
    }

    /// Writes a checkpoint, if there is a folder for it.
    fn save(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        let epoch = self.order.epochs_after(self.state.step);
        let for_transformers = self.state.for_transformers(&self.config, self.steps, epoch);
        let fill = |folder: &Path| {
            self.trained.write(folder)?;
            self.optimizer.write(folder, self.trained.parameters())
        };
        let identity = self.provenance.identity();
        let path = checkpoints.write(&identity, &self.state, &for_transformers, fill)?;
        let step = self.state.step;
        (self.saved, self.is_saved) = (Some(step), true);
        observer.on_event(&TrainEvent::Checkpoint { step, path });
        let best = self.state.best.filter(|_| self.config.evaluation.keep_best);
        let keep_last = self.config.checkpoints.keep_last;
        let removed = checkpoints.prune(step, keep_last, best.map(|best| best.step))?;
        for path in removed {
            observer.on_event(&TrainEvent::CheckpointRemoved { path });
        }
        Ok(())
    }

    /// Takes what isn't the model's own out of it.
    pub(crate) fn detach(&self, decoder: &mut Decoder) -> Result<()> {
        self.trained.detach(decoder)
    }

    /// Leaves the result in the model.
    pub(crate) fn finish(
        mut self,
        decoder: &mut Decoder,
        reason: StopReason,
    ) -> Result<TrainResult> {
        if reason != StopReason::Cancelled
            && let Some(best) = self.best.take()
        {
            self.trained.set_values(best);
        }
        self.trained.attach(decoder, false)?;
        let checkpoint = self.saved.zip(self.checkpoints.as_ref());
        Ok(TrainResult {
            reason,
            adapter: self.trained.adapter()?,
            checkpoint: checkpoint.map(|(step, checkpoints)| checkpoints.path(step)),
            epoch: self.order.epochs_after(self.state.step),
            steps: self.steps,
            state: self.state,
            provenance: self.provenance,
        })
    }
}
