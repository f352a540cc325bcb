//! What happens, on standard error: bars on a terminal, else a line for each stage.

use std::io::{self, IsTerminal};
use std::time::Instant;

use collimate_pipeline::{RunEvent, RunObserver, Stage};
use collimate_train::TrainEvent;
use indicatif::{ProgressBar, ProgressStyle};
use shell::note;

pub struct Progress {
    is_terminal: bool,
    stage: Option<(Stage, Instant)>,
    was_done: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub fn new() -> Self {
        Self { is_terminal: io::stderr().is_terminal(), stage: None, was_done: false, bar: None }
    }

    /// Says how the stage ended that was under way.
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if let Some((stage, since)) = self.stage.take() {
            let seconds = since.elapsed().as_secs_f64();
            let was_done = if self.was_done { ", nothing to do" } else { "" };
            note(format_args!("{:<16} {seconds:>6.1} s{was_done}", name(stage)));
        }
        self.was_done = false;
    }

    fn bar(&mut self, length: u64) -> Option<&ProgressBar> {
        if !self.is_terminal {
            return None;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
            let bar = ProgressBar::new(length);
            match style {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        bar.set_length(length);
        Some(bar)
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
                if self.is_terminal
                    && let Some(bar) = self.bar(1)
                {
                    bar.set_message(name(*stage));
                }
            }
            RunEvent::Done { .. } => self.was_done = true,
            RunEvent::Loading { bytes, of } => {
                if let Some(bar) = self.bar(*of) {
                    bar.set_message("loading");
                    bar.set_position(*bytes);
                }
            }
            RunEvent::Training { training: TrainEvent::Step(step) } => {
                if let Some(bar) = self.bar(step.steps) {
                    bar.set_message(format!("training, loss {:.3}", step.loss));
                    bar.set_position(step.step);
                }
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
