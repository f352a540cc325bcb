use std::io::{self, IsTerminal, Write};

/// How much is done: a line that is written anew on a terminal; nothing elsewhere.
pub struct Percent {
    doing: &'static str,
    terminal: bool,
    percent: u64,
}

impl Percent {
    /// Nothing is done yet.
    pub fn new(doing: &'static str) -> Self {
        Self { doing, terminal: io::stderr().is_terminal(), percent: 0 }
    }

    /// So much of all is done.
    pub fn show(&mut self, done: u64, of: u64) {
        let percent = (u128::from(done) * 100 / u128::from(of.max(1))) as u64;
        if self.terminal && percent > self.percent {
            self.percent = percent;
            let end = if percent == 100 { "\n" } else { "\r" };
            // Nothing can be done about a standard error that is closed.
            write!(io::stderr(), "{}: {percent} %{end}", self.doing).ok();
        }
    }
}
