//! What is being done, on standard error: a line that changes on a terminal, else one from time to time.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use collimate_data::{DataEvent, Observer};

/// Between two lines, so that a log stays short.
const PAUSE: Duration = Duration::from_secs(10);
/// Between two changes of the line on a terminal.
const CHANGE: Duration = Duration::from_millis(200);

pub struct Progress {
    is_terminal: bool,
    begun: Instant,
    told: Instant,
    has_line: bool,
}

impl Progress {
    pub fn new() -> Self {
        let now = Instant::now();
        Self { is_terminal: io::stderr().is_terminal(), begun: now, told: now, has_line: false }
    }

    /// Says something that stays.
    pub fn note(&mut self, message: &str) {
        self.clear();
        shell::note(message);
    }

    /// Says what is done now, unless something was said just before.
    pub fn tell(&mut self, doing: impl FnOnce() -> String) {
        if self.told.elapsed() < if self.is_terminal { CHANGE } else { PAUSE } {
            return;
        }
        self.told = Instant::now();
        let doing = doing();
        if self.is_terminal {
            write!(io::stderr(), "\r\u{1b}[2K{doing}").ok();
            self.has_line = true;
        } else {
            shell::note(&doing);
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.has_line) {
            write!(io::stderr(), "\r\u{1b}[2K").ok();
        }
    }
}

impl Observer for Progress {
    fn on_event(&mut self, event: &DataEvent) {
        let seconds = self.begun.elapsed().as_secs_f64();
        match event {
            DataEvent::Rows { rows, tokens } => self.tell(|| {
                format!("{rows} rows, {tokens} tokens, {:.0} rows a second", *rows as f64 / seconds)
            }),
            DataEvent::CacheHit { path } => {
                self.note(&format!("rows of an earlier run: {}", path.display()));
            }
            _ => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
