//! What happens, on standard error: a line that changes on a terminal, else one from time to time.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use collimate_train::{Observer, Started, Step, TrainEvent};
use shell::note;

/// Between two lines, so that a log stays short.
const PAUSE: Duration = Duration::from_secs(10);
/// Between two changes of the line on a terminal.
const CHANGE: Duration = Duration::from_millis(200);

pub struct Progress {
    is_terminal: bool,
    told: Option<Instant>,
    has_line: bool,
}

impl Progress {
    pub fn new() -> Self {
        Self { is_terminal: io::stderr().is_terminal(), told: None, has_line: false }
    }

    fn step(&mut self, step: &Step) {
        let pause = if self.is_terminal { CHANGE } else { PAUSE };
        let is_last = step.step == step.steps;
        if !is_last && self.told.is_some_and(|told| told.elapsed() < pause) {
            return;
        }
        self.told = Some(Instant::now());
        let text = format!(
            "step {}/{}, epoch {:.2}: loss {:.4}, norm {:.3}, rate {:.2e}, {:.0} tokens/s, {} left{}",
            step.step,
            step.steps,
            step.epoch,
            step.loss,
            step.grad_norm,
            step.learning_rate,
            step.tokens_per_second,
            duration(step.seconds_left),
            step.memory.map(|bytes| format!(", {} MB", bytes >> 20)).unwrap_or_default(),
        );
        if self.is_terminal {
            write!(io::stderr(), "\r\u{1b}[2K{text}").ok();
            self.has_line = true;
        } else {
            note(text);
        }
    }

    /// Says something that stays.
    fn say(&mut self, text: &str) {
        if std::mem::take(&mut self.has_line) {
            writeln!(io::stderr()).ok();
        }
        note(text);
    }
}

impl Observer for Progress {
    fn on_event(&mut self, event: &TrainEvent) {
        match event {
            TrainEvent::Started(started) => self.say(&begin(started)),
            TrainEvent::Step(step) => self.step(step),
            TrainEvent::Skipped { step, what, rows } => {
                self.say(&format!(
                    "step {step} skipped: {what} is not finite, {}",
                    rows.join(", ")
                ));
            }
            TrainEvent::Evaluation { step, metrics, best, .. } => {
                let metrics: Vec<_> =
                    metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
                let best = if *best { ", the best so far" } else { "" };
                self.say(&format!("after step {step}: {}{best}", metrics.join(", ")));
            }
            TrainEvent::Checkpoint { path, .. } => self.say(&format!("wrote {}", path.display())),
            _ => {}
        }
    }
}

fn begin(started: &Started) -> String {
    let coverage = match &started.coverage {
        Some(coverage) => coverage.to_string(),
        None => format!("all {} parameters trained", started.trained_parameters),
    };
    let unmatched: String =
        started.unmatched.iter().map(|entry| format!("\nnothing matches {entry}")).collect();
    let from = match started.step {
        0 => String::new(),
        step => format!(", of which {step} were made before"),
    };
    let data = &started.data;
    format!(
        "{coverage}{unmatched}\n{} rows, {} tokens, {} with loss; {} steps of {} in an epoch{from}",
        data.rows, data.tokens, data.trained_tokens, started.steps, started.steps_per_epoch
    )
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02} min"),
        (hours, minutes, _) => format!("{hours}:{minutes:02} h"),
    }
}
