//! What happens, on standard error: bars on a terminal, else a line for each stage.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use collimate_pipeline::{RunEvent, RunObserver, Stage};
use collimate_train::TrainEvent;
use indicatif::{ProgressBar, ProgressStyle};
use shell::note;

/// What a bar shows: of a stage whose end can't be foreseen, of weights that are read, of steps.
const STAGE: &str = "{spinner} {msg} {elapsed}";
const BYTES: &str = "{msg} {wide_bar} {bytes}/{total_bytes}";
const STEPS: &str = "{msg} {wide_bar} {pos}/{len} {eta}";
const TICK: Duration = Duration::from_millis(200);

pub struct Progress {
    is_terminal: bool,
    stage: Option<(Stage, Instant)>,
    /// How much of the stage was done before.
    was_done: &'static str,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub fn new() -> Self {
        Self { is_terminal: io::stderr().is_terminal(), stage: None, was_done: "", bar: None }
    }

    /// Says how the stage ended that was under way.
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if let Some((stage, since)) = self.stage.take() {
            let seconds = since.elapsed().as_secs_f64();
            note(format_args!("{:<16} {seconds:>6.1} s{}", name(stage), self.was_done));
        }
        self.was_done = "";
    }

    /// Shows how far it is, on a terminal.
    fn show(&mut self, looks: &str, message: String, position: u64, length: u64) {
        if !self.is_terminal {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| ProgressBar::new(length));
        if let Ok(style) = ProgressStyle::with_template(looks) {
            bar.set_style(style);
        }
        bar.set_message(message);
        bar.set_length(length);
        bar.set_position(position);
    }
}

impl RunObserver for Progress {
    fn on_event(&mut self, event: &RunEvent) {
        match event {
            RunEvent::Model { name, number, of, .. } => {
                self.end();
                note(match of {
                    1 => name.clone(),
                    of => format!("{name} ({number} of {of})"),
                });
            }
            RunEvent::Stage { stage } => {
                self.end();
                self.stage = Some((*stage, Instant::now()));
                self.show(STAGE, name(*stage).to_owned(), 0, 1);
                if let Some(bar) = &self.bar {
                    bar.enable_steady_tick(TICK);
                }
            }
            RunEvent::Done { stage: Stage::Record } => {
                self.was_done = ", and all the rest was done before";
            }
            RunEvent::Done { .. } => self.was_done = ", done before",
            RunEvent::Loading { bytes, of } => self.show(BYTES, "loading".to_owned(), *bytes, *of),
            RunEvent::Training { training: TrainEvent::Step(step) } => {
                let message = format!("training, loss {:.3}", step.loss);
                self.show(STEPS, message, step.step, step.steps);
            }
            RunEvent::Note { text } => match &self.bar {
                Some(bar) => bar.suspend(|| note(text)),
                None => note(text),
            },
            RunEvent::Aligned { .. } | RunEvent::Failed { .. } => self.end(),
            _ => {}
        }
    }
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Format => "format",
        Stage::MeasureBefore => "measure before",
        Stage::Train => "train",
        Stage::Write => "write, verify",
        Stage::MeasureAfter => "measure after",
        Stage::Record => "record, report",
        _ => "",
    }
}
