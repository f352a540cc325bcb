//! This program once more, to be killed.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

const FOLDER: &str = "COLLIMATE_TEST_FOLDER";

pub struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Runs one of the ignored tests for a folder.
    pub fn start(test: &str, folder: &Path, variables: &[(&str, &str)]) -> Self {
        Self::spawn(Command::new(env::current_exe().unwrap()), test, folder, variables)
    }

    /// The same, under a command that runs what follows it.
    pub fn spawn(
        mut command: Command,
        test: &str,
        folder: &Path,
        variables: &[(&str, &str)],
    ) -> Self {
        command
            .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// Reads until the process says this word.
    pub fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "it ended without '{word}'");
        }
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether the test was found, and passed.
    #[cfg(unix)]
    pub fn succeeds(mut self) -> bool {
        let output = std::io::read_to_string(&mut self.output).unwrap();
        self.child.wait().unwrap().success() && output.contains("1 passed")
    }
}

/// The folder to work in, where this is such a process.
pub fn folder() -> Option<PathBuf> {
    env::var_os(FOLDER).map(PathBuf::from)
}
