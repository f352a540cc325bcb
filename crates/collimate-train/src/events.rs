//! What a run tells while it goes on.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use collimate_peft::Coverage;
use serde::Serialize;

use crate::rows::DataSummary;

/// Something that happens in a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TrainEvent {
    /// Training is about to begin, or to go on.
    Started(Started),
    /// A step was made.
    Step(Step),
    /// A step changed nothing, because a loss or a gradient was not finite.
    Skipped {
        /// The step, counted from 1.
        step: u64,
        /// What was not finite.
        what: String,
        /// The rows in which it happened.
        rows: Vec<String>,
    },
    /// The model was evaluated.
    Evaluation {
        /// After how many steps.
        step: u64,
        /// After how many epochs.
        epoch: f64,
        /// What was measured.
        metrics: BTreeMap<String, f64>,
        /// Whether it is the best so far.
        best: bool,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// After how many steps.
        step: u64,
        /// Its folder.
        path: PathBuf,
    },
    /// An old checkpoint was removed.
    CheckpointRemoved {
        /// Its folder.
        path: PathBuf,
    },
    /// Training has ended.
    Finished {
        /// Why.
        reason: StopReason,
        /// After how many steps.
        step: u64,
        /// Steps that changed nothing.
        skipped: u64,
        /// Seconds since it began, or went on.
        seconds: f64,
    },
}

/// What a run is about to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Started {
    /// How much of the model is adapted and trained; none where all of it is.
    pub coverage: Option<Coverage>,
    /// Numbers that are trained.
    pub trained_parameters: u64,
    /// Parameters of the model, without adapters.
    pub parameters: u64,
    /// Entries of the adapter's configuration that match nothing in the model.
    pub unmatched: Vec<String>,
    /// The rows that are trained on.
    pub data: DataSummary,
    /// Steps that were made before, by the run that this one goes on from.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Floating-point operations of the matrix products of the whole run, roughly.
    pub operations: f64,
}

/// A step that was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// Its number, counted from 1.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Epochs that are over.
    pub epoch: f64,
    /// The mean loss of its trained tokens.
    pub loss: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// The norm of the gradient, before it was shortened.
    pub grad_norm: f64,
    /// Its tokens, without padding.
    pub tokens: u64,
    /// Those of them that carry loss.
    pub trained_tokens: u64,
    /// Tokens in a second, without padding.
    pub tokens_per_second: f64,
    /// Seconds that are left, if steps stay as they were.
    pub seconds_left: f64,
    /// Memory that the process holds, in bytes; none where the system doesn't tell.
    pub memory: Option<u64>,
}

/// Why training ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// All steps were made.
    Done,
    /// The model got no better.
    EarlyStopping,
    /// The caller asked to stop.
    Cancelled,
}

/// Is told what happens.
pub trait Observer {
    /// Something happened.
    fn on_event(&mut self, event: &TrainEvent);
}

impl Observer for () {
    fn on_event(&mut self, _: &TrainEvent) {}
}

impl<F: FnMut(&TrainEvent)> Observer for F {
    fn on_event(&mut self, event: &TrainEvent) {
        self(event);
    }
}

/// Tells several observers, one after the other.
///
/// ```
/// use collimate_train::{FanOut, JsonLines, Observer, StopReason, TrainEvent};
///
/// let (mut count, mut lines) = (0, JsonLines::new(Vec::new()));
/// let mut counter = |_: &TrainEvent| count += 1;
/// let mut both = FanOut::new(vec![&mut counter, &mut lines]);
/// both.on_event(&TrainEvent::Finished {
///     reason: StopReason::Done, step: 3, skipped: 0, seconds: 1.5,
/// });
/// assert_eq!(count, 1);
/// assert_eq!(
///     String::from_utf8(lines.finish()?)?,
///     "{\"event\":\"finished\",\"reason\":\"done\",\"step\":3,\"skipped\":0,\"seconds\":1.5}\n",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct FanOut<'a> {
    observers: Vec<&'a mut dyn Observer>,
}

impl<'a> FanOut<'a> {
    /// Tells these.
    pub fn new(observers: Vec<&'a mut dyn Observer>) -> Self {
        Self { observers }
    }
}

impl Observer for FanOut<'_> {
    fn on_event(&mut self, event: &TrainEvent) {
        for observer in &mut self.observers {
            observer.on_event(event);
        }
    }
}

/// Writes each event as a line of JSON.
///
/// Numbers that are not finite are `null`, as JSON has none of them. After the first error nothing more
/// is written; [`finish`](Self::finish) returns it.
#[derive(Debug)]
pub struct JsonLines<W: Write> {
    out: W,
    error: Option<io::Error>,
}

impl<W: Write> JsonLines<W> {
    /// Writes there.
    pub fn new(out: W) -> Self {
        Self { out, error: None }
    }

    /// What was written to.
    ///
    /// # Errors
    ///
    /// The first error there was.
    pub fn finish(self) -> io::Result<W> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.out),
        }
    }

    fn write(&mut self, event: &TrainEvent) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.out.write_all(&line)?;
        self.out.flush()
    }
}

impl<W: Write> Observer for JsonLines<W> {
    fn on_event(&mut self, event: &TrainEvent) {
        if self.error.is_none() {
            self.error = self.write(event).err();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_after_an_error() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                self.0 += 1;
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut lines = JsonLines::new(Full(0));
        for _ in 0..3 {
            lines.on_event(&TrainEvent::CheckpointRemoved { path: "a".into() });
        }
        assert_eq!(lines.out.0, 1);
        assert_eq!(lines.finish().err().map(|e| e.kind()), Some(io::ErrorKind::StorageFull));
    }
}
