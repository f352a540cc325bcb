//! What happens in a run.

use std::path::PathBuf;

use collimate_train::TrainEvent;
use serde::Serialize;

/// What a run does, one after the other.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Records become rows of tokens.
    Format,
    /// The model is measured as it is.
    MeasureBefore,
    /// It is trained.
    Train,
    /// The result is written, loaded again and verified.
    Write,
    /// The result is measured.
    MeasureAfter,
    /// What was found is recorded and shown.
    Record,
}

/// What happens in a run.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunEvent {
    /// A model is begun.
    Model {
        /// What it is called.
        name: String,
        /// Where it lies.
        path: PathBuf,
        /// Which one it is, from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// A stage is begun.
    Stage {
        /// The stage.
        stage: Stage,
    },
    /// Nothing is to be done in a stage: it was done before.
    Done {
        /// The stage.
        stage: Stage,
    },
    /// Weights are loaded.
    Loading {
        /// Bytes that were read so far.
        bytes: u64,
        /// Bytes of all of them.
        of: u64,
    },
    /// Training goes on.
    Training {
        /// How.
        training: TrainEvent,
    },
    /// Something that is worth knowing.
    Note {
        /// What it is.
        text: String,
    },
    /// A model is aligned.
    Aligned {
        /// What it is called.
        name: String,
        /// Where the result lies.
        folder: PathBuf,
        /// Whether all of it was there from an earlier run.
        cached: bool,
    },
    /// A model could not be aligned; the others go on.
    Failed {
        /// What it is called.
        name: String,
        /// Why.
        error: String,
    },
}

/// Is told what happens.
pub trait RunObserver {
    /// Something happened.
    fn on_event(&mut self, event: &RunEvent);
}

impl RunObserver for () {
    fn on_event(&mut self, _: &RunEvent) {}
}

impl<F: FnMut(&RunEvent)> RunObserver for F {
    fn on_event(&mut self, event: &RunEvent) {
        self(event);
    }
}
