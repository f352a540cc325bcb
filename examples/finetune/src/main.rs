//! Fine-tunes a language model with `collimate-train`: rows from `collimate-data`, the model on
//! `collimate-lm`, an adapter that PEFT loads. `finetune --help` describes the arguments.

mod arguments;
mod demonstration;
mod progress;
mod rows;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use collimate_data::DataError;
use collimate_lm::Decoder;
use collimate_train::{
    CheckedConfig, FanOut, JsonLines, Method, Observer, PreparedPart, Resume, StopReason,
    TrainConfig, TrainError, TrainResult, Trainer,
};
use shell::{ModelArguments, Outcome, note};

use arguments::Arguments;
use progress::Progress;

/// What belongs to the tokenizer of a model, and is kept with the adapter.
const TOKENIZER: [&str; 9] = [
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
];

fn main() -> ExitCode {
    shell::main(run, |error| {
        let is_ours = match error.downcast_ref() {
            Some(TrainError::Lm(error)) => ModelArguments::is_ours(error),
            Some(
                TrainError::NonFinite { .. }
                | TrainError::Io { .. }
                | TrainError::Write(_)
                | TrainError::Device { .. },
            ) => true,
            _ => false,
        };
        is_ours
            || ModelArguments::is_ours(error)
            || matches!(error.downcast_ref(), Some(DataError::Cancelled))
    })
}

fn run(arguments: Arguments, cancelled: &AtomicBool) -> Outcome<ExitCode> {
    let (Some(model), Some(out)) = (&arguments.model, &arguments.out) else {
        return demonstrate(arguments, cancelled);
    };
    let settings = arguments.settings()?;
    let of_model = ModelArguments {
        model: None,
        adapter: None,
        device: arguments.device.clone(),
        dtype: arguments.dtype.clone(),
    };
    let shell::Opened { mut decoder, tokenizer } = of_model.open(model, cancelled)?;
    let most_tokens = arguments.most_tokens(decoder.config().max_position_embeddings);
    let prepared = out.join("prepared");
    let rows = rows::rows(&arguments, model, &tokenizer, most_tokens, &prepared, cancelled)?;
    let report = rows.report();
    if report.truncated_rows > 0 || report.dropped_records() > 0 {
        note(format_args!(
            "{} rows cut to {most_tokens} tokens, {} records without anything to learn left out",
            report.truncated_rows,
            report.dropped_records()
        ));
    }
    let (trained, measured) = rows::split(&rows, settings.seed)?;
    let config =
        checked(&arguments, settings, model, most_tokens, &rows, &trained, !measured.is_empty())?;
    let (trained, measured) =
        (PreparedPart::new(&rows, trained), PreparedPart::new(&rows, measured));
    let resume = if arguments.resume { Resume::Latest } else { Resume::Never };
    let mut trainer = Trainer::new(config, &trained)
        .with_model_name(model.display().to_string())
        .with_checkpoints(out, resume);
    if !measured.chosen().is_empty() {
        trainer = trainer.with_validation(&measured);
    }
    let mut progress = Progress::new();
    let mut lines = arguments.json_events.then(|| JsonLines::new(io::stdout()));
    let mut observers: Vec<&mut dyn Observer> = vec![&mut progress];
    observers.extend(lines.iter_mut().map(|lines| lines as &mut dyn Observer));
    let result = trainer.run(&mut decoder, &mut FanOut::new(observers), cancelled)?;
    if let Some(lines) = lines {
        lines.finish()?;
    }
    if result.reason == StopReason::Cancelled {
        note(format_args!("stopped after step {}; --resume goes on", result.state.step));
        return Ok(ExitCode::FAILURE);
    }
    write(&result, &decoder, model, out)?;
    if !arguments.json_events {
        let loss = result.state.log_history.iter().rev().find_map(|entry| entry.get("eval_loss"));
        let loss = loss.and_then(|loss| loss.as_f64());
        let loss = loss.map(|loss| format!(", held-out loss {loss:.4}")).unwrap_or_default();
        let steps = result.state.step;
        writeln!(
            io::stdout(),
            "{}: {steps} steps, {:.2} epochs{loss}",
            out.display(),
            result.epoch
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The settings as they hold for these rows.
fn checked(
    arguments: &Arguments,
    mut config: TrainConfig,
    model: &Path,
    most_tokens: usize,
    rows: &collimate_data::PreparedRows,
    trained: &[usize],
    is_measured: bool,
) -> Outcome<CheckedConfig> {
    if arguments.pack {
        config = config.with_pack(most_tokens);
    }
    if !is_measured {
        config.evaluation.every = None;
    }
    if let Method::Lora { adapter, .. } = &mut config.method {
        adapter.base_model_name_or_path.get_or_insert(model.display().to_string());
    }
    // Both bound the steps, whichever is less.
    if let Some(most) = config.max_steps {
        let lengths: Vec<usize> = rows.lengths().collect();
        let lengths: Vec<usize> = trained.iter().map(|&row| lengths[row]).collect();
        let by_epochs = config.clone().with_max_steps(None).check()?.steps(&lengths)?;
        config = config.with_max_steps(most.min(by_epochs));
    }
    Ok(config.check()?)
}

/// Writes what was trained, the tokenizer, and what it was made of.
fn write(result: &TrainResult, decoder: &Decoder, model: &Path, out: &Path) -> Outcome {
    match &result.adapter {
        Some(adapter) => adapter.write(out)?,
        None => {
            let beside = out.join(".model.safetensors.partial");
            fs::remove_file(&beside).ok();
            decoder.write_weights(&beside)?;
            fs::rename(&beside, out.join("model.safetensors"))?;
            fs::write(out.join("config.json"), fs::read(model.join("config.json"))?)?;
        }
    }
    for name in TOKENIZER {
        let file = model.join(name);
        if file.is_file() {
            // Not its permissions: it may be replaced.
            fs::write(out.join(name), fs::read(file)?)?;
        }
    }
    let mut text = serde_json::to_string_pretty(result)?;
    text.push('\n');
    Ok(fs::write(out.join("training.json"), text)?)
}

/// Trains a tiny model that has learned nothing.
fn demonstrate(mut arguments: Arguments, cancelled: &AtomicBool) -> Outcome<ExitCode> {
    let demonstration = shell::Demonstration::write()?;
    let folder = demonstration.path();
    demonstration::write(&folder.join("data.jsonl"))?;
    arguments.data = vec![folder.join("data.jsonl").display().to_string()];
    arguments.model = Some(folder.to_owned());
    arguments.out = Some(folder.join("out"));
    arguments.lr = arguments.lr.or(Some(0.02));
    arguments.batch = arguments.batch.or(Some(4));
    run(arguments, cancelled)
}
