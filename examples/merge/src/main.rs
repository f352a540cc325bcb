//! Merges LoRA adapters into their base model with `collimate-peft` and writes the result with
//! `collimate-artifact`. `merge --help` describes the arguments.

mod arguments;
mod demonstration;

use std::env;
use std::error::Error;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;
use clap::error::ErrorKind;
use collimate_artifact::{
    Alignment, ArtifactError, ArtifactEvent, ArtifactWriter, Parent, Replace, Sharding, Technique,
    Written,
};
use collimate_models::{Catalog, ScanConfig};
use collimate_peft::Adapter;
use jiff::Timestamp;
use serde_json::json;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error)
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
        {
            error.print().ok();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let text = error.to_string();
            return fail(2, text.lines().next().unwrap_or_default().trim_start_matches("error: "));
        }
    };
    let cancelled = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancelled);
    if let Err(error) = ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)) {
        note(format_args!("note: Ctrl-C will not clean up: {error}"));
    }
    match run(arguments, &cancelled) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = match &*error {
                error if error.is::<io::Error>() => 1,
                error => match error.downcast_ref() {
                    Some(ArtifactError::Io { .. } | ArtifactError::NoSpace { .. }) => 1,
                    Some(ArtifactError::Cancelled | ArtifactError::Unsound { .. }) => 1,
                    _ => 2,
                },
            };
            fail(code, chain(&*error))
        }
    }
}

fn run(arguments: Arguments, cancelled: &AtomicBool) -> Result<(), Box<dyn Error>> {
    let (Some(base), Some(out)) = (&arguments.base, &arguments.out) else {
        let folder = tempfile::tempdir()?;
        let arguments = demonstration::make(folder.path(), arguments)?;
        return run(arguments, cancelled);
    };
    let parent = parent(base, &arguments)?;
    let adapters = arguments
        .adapter
        .iter()
        .map(|given| Ok((Adapter::read(&given.folder)?, given.weight)))
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let technique = Technique::new(&arguments.technique, json!({}))?;
    let folder_name = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = arguments.name.clone().unwrap_or(folder_name);
    let alignment = Alignment::new(name, technique, Timestamp::now());
    let sharding = arguments.shard_size.map_or(Sharding::AsParent, |s| Sharding::MaxBytes(s.0));
    let replace = if arguments.replace { Replace::Existing } else { Replace::Never };
    let mut writer = ArtifactWriter::new(&parent, &alignment)
        .with_dtype(arguments.dtype.into())
        .with_sharding(sharding)
        .with_replace(replace);
    for (adapter, weight) in &adapters {
        writer = writer.with_adapter(adapter, *weight);
    }
    if let [given] = arguments.adapter.as_slice()
        && parent.folder.is_none()
        && given.folder.join("tokenizer.json").is_file()
    {
        writer = writer.with_tokenizer(&given.folder);
    }
    let mut progress = Progress::new();
    let written = if arguments.adapter_only || parent.folder.is_none() {
        if !arguments.adapter_only {
            note(format_args!("note: {base} can't be found; the adapter is written alone"));
        }
        writer.write_adapter(out, cancelled, &mut |event: &ArtifactEvent| progress.show(event))?
    } else {
        writer
            .write_standalone(out, cancelled, &mut |event: &ArtifactEvent| progress.show(event))?
    };
    let mut output =
        if arguments.json { format!("{:#}", json!(written)) } else { summary(&written) };
    output.push('\n');
    io::stdout().write_all(output.as_bytes())?;
    Ok(())
}

/// The base model: a folder, or what is found under a name. One that can't be found is absent.
fn parent(base: &str, arguments: &Arguments) -> Result<Parent, Box<dyn Error>> {
    if Path::new(base).is_dir() {
        return Ok(Parent::open(base)?);
    }
    let mut places = ScanConfig::new();
    for root in &arguments.root {
        places = places.with_root(root);
    }
    if arguments.root.is_empty() {
        places = places.with_root("models");
    }
    if let Some(cache) = arguments.hf_cache.clone().or_else(default_cache) {
        places = places.with_hub_cache(cache);
    }
    let catalog = Catalog::scan(&places);
    match catalog.select(base) {
        Ok(found) => match found.as_slice() {
            [one] => Ok(Parent::from_entry(one.entry)?),
            _ => Err(format!("--base {base}: one model is expected").into()),
        },
        Err(error) if base.starts_with(['.', '/']) => Err(error.into()),
        Err(error) => match Parent::absent(base) {
            Ok(parent) => {
                note(format_args!("note: {error}"));
                Ok(parent)
            }
            Err(_) => Err(error.into()),
        },
    }
}

fn default_cache() -> Option<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("HF_HUB_CACHE")
        .or_else(|| Some(variable("HF_HOME")?.join("hub")))
        .or_else(|| Some(env::home_dir()?.join(".cache/huggingface/hub")))
}

fn summary(written: &Written) -> String {
    let mut text = format!(
        "{}: {} files, {:.1} MB, verified",
        written.path.display(),
        written.checksums.iter().count() + 1,
        written.bytes as f64 / 1e6
    );
    if let Some(merge) = &written.merge {
        text.push_str(&format!(
            "\n{} of {} tensors adapted, {} replaced, {} copied{}",
            merge.adapted,
            merge.tensors,
            merge.replaced,
            merge.copied,
            if merge.untied { "; the head is no longer tied to the embedding" } else { "" }
        ));
        for adapter in &merge.adapters {
            text.push_str(&format!("\n{}", adapter.coverage));
        }
    }
    if !written.left_out.is_empty() {
        text.push_str(&format!("\nnot part of the model: {}", written.left_out.join(", ")));
    }
    text
}

/// A line that is written anew on a terminal; nothing elsewhere.
struct Progress {
    terminal: bool,
    percent: u64,
}

impl Progress {
    fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), percent: 0 }
    }

    fn show(&mut self, event: &ArtifactEvent) {
        let ArtifactEvent::Merged { bytes, of } = event else { return };
        let percent = (u128::from(*bytes) * 100 / u128::from((*of).max(1))) as u64;
        if self.terminal && percent > self.percent {
            self.percent = percent;
            let end = if percent == 100 { "\n" } else { "\r" };
            write!(io::stderr(), "merging: {percent} %{end}").ok();
        }
    }
}

/// An error with all that caused it, on one line.
fn chain(error: &dyn Error) -> String {
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

fn fail(code: u8, message: impl Display) -> ExitCode {
    note(format_args!("error: {message}"));
    ExitCode::from(code)
}

fn note(message: impl Display) {
    // Nothing can be done about a standard error that is closed.
    writeln!(io::stderr(), "{message}").ok();
}
