//! What the programs have in common: arguments, exit codes, Ctrl-C, progress, where models lie, and
//! opening one.

#[cfg(feature = "model")]
mod demonstration;
#[cfg(feature = "model")]
mod model;
mod percent;
#[cfg(feature = "model")]
mod texts;

use std::env;
use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
#[cfg(feature = "model")]
use std::path::Path;
use std::path::PathBuf;
use std::process::{ExitCode, Termination};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;

#[cfg(feature = "model")]
pub use collimate_eval::rows_together;
#[cfg(feature = "model")]
pub use demonstration::Demonstration;
#[cfg(feature = "model")]
pub use model::{ModelArguments, Opened};
pub use percent::Percent;
#[cfg(feature = "model")]
pub use texts::{Text, read_texts};

/// How a program ends; one that has something to say with its exit code returns an [`ExitCode`].
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Parses the arguments and runs the program; Ctrl-C sets the flag that it gets.
///
/// Exits with 0 when done, with 2 for arguments and input that are wrong, with 1 for everything else:
/// errors of input and output that are not the user's, and those that `is_ours` says yes to.
pub fn main<A: Parser, T: Termination>(
    run: impl FnOnce(A, &AtomicBool) -> Outcome<T>,
    is_ours: fn(&(dyn Error + 'static)) -> bool,
) -> ExitCode {
    let arguments = match A::try_parse() {
        Ok(arguments) => arguments,
        // The help, or the version.
        Err(error) if !error.use_stderr() => {
            error.print().ok();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let text = error.to_string();
            note(text.lines().next().unwrap_or_default());
            return ExitCode::from(2);
        }
    };
    let cancelled = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancelled);
    if let Err(error) = ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)) {
        note(format_args!("note: Ctrl-C ends the program at once: {error}"));
    }
    match run(arguments, &cancelled) {
        Ok(done) => done.report(),
        Err(error) => {
            let broken = error.downcast_ref::<io::Error>().map(io::Error::kind);
            // Whoever read the output has read enough.
            if broken == Some(io::ErrorKind::BrokenPipe) {
                return ExitCode::SUCCESS;
            }
            note(format_args!("error: {}", chain(&*error)));
            if broken.is_some() || is_ours(&*error) { ExitCode::FAILURE } else { ExitCode::from(2) }
        }
    }
}

/// The Hugging Face cache of this machine's user.
pub fn hub_cache() -> Option<PathBuf> {
    let cache = || variable("HF_HUB_CACHE").map(PathBuf::from);
    let home = || variable("HF_HOME").map(|home| PathBuf::from(home).join("hub"));
    let user = || env::home_dir().map(|home| home.join(".cache/huggingface/hub"));
    cache().or_else(home).or_else(user)
}

/// A variable of the environment that isn't empty.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Writes a file whole or not at all.
///
/// # Errors
///
/// What the file system says, with the file's name.
#[cfg(feature = "model")]
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let failed =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    // Less what the user's mask takes away, as any other file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map(|_| ()).map_err(|error| failed(error.error))
}

/// A line on standard error.
pub fn note(message: impl Display) {
    // Nothing can be done about a standard error that is closed.
    writeln!(io::stderr(), "{message}").ok();
}

/// An error with all that caused it, on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text.replace('\n', " ")
}
