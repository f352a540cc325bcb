//! Why the program stopped, and with which exit code.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// What ends the program early.
#[derive(Debug)]
pub enum Failure {
    /// The input is wrong: exit code 2.
    Input(String),
    /// Anything else: exit code 1.
    Other(String),
}

/// The result of everything that can fail here.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// Something wrong in a file.
    pub fn in_file(file: &Path, message: impl fmt::Display) -> Self {
        Self::Input(format!("{}: {message}", file.display()))
    }

    /// The code for the shell.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Input(_) => ExitCode::from(2),
            Self::Other(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    /// One line, whatever file names and labels contain.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Input(message) | Self::Other(message)) = self;
        f.write_str("error: ")?;
        message.chars().try_for_each(|c| {
            if c.is_control() { write!(f, "{}", c.escape_default()) } else { write!(f, "{c}") }
        })
    }
}
