//! Merges LoRA adapters into their base model with `collimate-peft` and writes the result with
//! `collimate-artifact`. `merge --help` describes the arguments.

mod arguments;
mod demonstration;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use collimate_artifact::{
    Alignment, ArtifactError, ArtifactEvent, ArtifactWriter, Parent, Replace, Sharding, Technique,
    Written,
};
use collimate_models::{Catalog, ScanConfig};
use collimate_peft::Adapter;
use jiff::Timestamp;
use serde_json::json;
use shell::{Outcome, Percent, hub_cache, note};

use arguments::Arguments;

fn main() -> ExitCode {
    shell::main(run, |error| {
        use ArtifactError::{Cancelled, Io, NoSpace, Unsound};
        matches!(
            error.downcast_ref(),
            Some(Io { .. } | NoSpace { .. } | Cancelled | Unsound { .. })
        )
    })
}

fn run(arguments: Arguments, cancelled: &AtomicBool) -> Outcome {
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
    let mut percent = Percent::new("merging");
    let show = &mut |event: &ArtifactEvent| {
        if let ArtifactEvent::Merged { bytes, of } = event {
            percent.show(*bytes, *of);
        }
    };
    let written = if arguments.adapter_only || parent.folder.is_none() {
        if !arguments.adapter_only {
            note(format_args!("note: {base} can't be found; the adapter is written alone"));
        }
        writer.write_adapter(out, cancelled, show)?
    } else {
        writer.write_standalone(out, cancelled, show)?
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
    if let Some(cache) = arguments.hf_cache.clone().or_else(hub_cache) {
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
