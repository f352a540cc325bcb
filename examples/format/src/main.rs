//! Shows what a data set becomes on its way into training, and writes the splits: reads records,
//! recognizes, renders, tokenizes, masks, splits and packs them with `collimate-data`.
//! `format --help` describes the arguments.

mod arguments;
mod demonstration;
mod progress;
mod report;
mod show;
mod template;
mod write;

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use collimate_data::{
    ColumnMapping, DataError, Formatter, KeywordConfig, Preparation, ReadSettings, Recognition,
    Result, Source, SplitConfig, Tokenizer,
};

use crate::arguments::Arguments;
use crate::progress::Progress;
use crate::report::Report;
use crate::write::Output;

fn main() -> ExitCode {
    let run = |arguments: Arguments, cancelled: &AtomicBool| {
        run(&arguments, cancelled).map_err(explained)
    };
    shell::main(run, |error| match error.downcast_ref() {
        Some(DataError::Io { source, .. }) => is_trouble(source),
        Some(error) => matches!(error, DataError::Cancelled),
        None => false,
    })
}

/// The error, with the argument that helps, if there is one.
fn explained(error: DataError) -> Box<dyn Error> {
    match error {
        DataError::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => source.into(),
        DataError::Unrecognized { .. } => {
            format!("{error} with --columns, as in prompt=goal,completion=target").into()
        }
        DataError::NothingTrained { .. } => format!("{error} with --drop-untrained").into(),
        error => error.into(),
    }
}

/// What is not the input's fault.
fn is_trouble(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
    !matches!(error.kind(), NotFound | PermissionDenied | IsADirectory | NotADirectory)
}

fn run(arguments: &Arguments, cancelled: &AtomicBool) -> Result<()> {
    if !arguments.data.is_empty() {
        return format(arguments, &arguments.data, arguments.model.as_deref(), cancelled);
    }
    let folder = tempfile::tempdir().map_err(at("the temporary folder"))?;
    demonstration::write(folder.path()).map_err(at(folder.path()))?;
    let data = [folder.path().join("data.jsonl").to_string_lossy().into_owned()];
    let model = arguments.model.as_deref().unwrap_or(folder.path());
    format(arguments, &data, Some(model), cancelled)
}

fn format(
    arguments: &Arguments,
    data: &[String],
    model: Option<&Path>,
    cancelled: &AtomicBool,
) -> Result<()> {
    let source = Source::open(data)?;
    let reading = ReadSettings::default();
    let mapping = ColumnMapping::default();
    let mapping = match &arguments.columns {
        Some(columns) => mapping.with_pairs(columns)?,
        None => mapping,
    };
    let recognition = source.recognize(&reading, mapping)?;
    let formatter = template::formatter(arguments, model)?;
    if arguments.render {
        return render(&source, &formatter, &recognition, cancelled);
    }
    let Some(model) = model else {
        return Err(DataError::Setting {
            setting: "--model",
            message: "is needed to tokenize; --render works without it".to_owned(),
        });
    };
    if let Some(first) = source.records(&reading)?.next() {
        template::check(&formatter, &recognition.example(&first?)?)?;
    }
    let tokenizer = Tokenizer::from_folder(model)?;
    let mut preparation = Preparation::new(&source, &recognition, &formatter, &tokenizer)
        .with_settings(arguments.prepare_settings());
    if arguments.labels {
        preparation = preparation.with_labels(KeywordConfig::default());
    }
    let splitter = SplitConfig::default()
        .with_train(arguments.split)
        .with_validation(1.0 - arguments.split)
        .with_seed(arguments.seed)
        .check()?;
    let mut progress = Progress::new();
    // Dropped last: without another place, the rows are in there.
    let temporary = tempfile::tempdir().map_err(at("the temporary folder"))?;
    let kept = arguments.out.as_ref().map(|out| out.join("prepared"));
    let kept = arguments.cache.clone().or(kept).unwrap_or(temporary.path().to_owned());
    let rows = preparation.rows(&kept, cancelled, &mut progress)?;

    let mut report = Report::new(&recognition, &rows)?;
    let split = splitter.by_first_row(&rows.groups()?.unwrap_or_default());
    match (split, &arguments.out) {
        (Ok(split), out) => {
            report.split = Some(split.report.clone());
            let output =
                Output { arguments, source: &source, rows: &rows, split: &split, cancelled };
            match out {
                Some(out) => output.write(out, &mut report, &mut progress)?,
                None if arguments.pack => report.packing = output.pack(None)?,
                None => {}
            }
        }
        (Err(error), None) => progress.note(&format!("no split: {error}")),
        (Err(error), Some(_)) => return Err(error),
    }
    drop(progress);
    let mut output = String::new();
    if arguments.json {
        output = report.json();
    } else {
        let colour = io::stdout().is_terminal();
        for index in 0..arguments.show.min(rows.len()) {
            output += &show::row(&rows.row(index)?, &rows.origin(index)?, &tokenizer, colour)?;
        }
        output += &report.text();
    }
    io::stdout().write_all(output.as_bytes()).map_err(at("standard output"))
}

/// One line for each text: what it is, or why there is none.
fn render(
    source: &Source,
    formatter: &Formatter,
    recognition: &Recognition,
    cancelled: &AtomicBool,
) -> Result<()> {
    let mut output = io::BufWriter::new(io::stdout().lock());
    for record in source.records(&ReadSettings::default())? {
        if cancelled.load(Ordering::Relaxed) {
            return Err(DataError::Cancelled);
        }
        let example = recognition.example(&record?);
        let lines = match example.and_then(|example| formatter.texts(&example)) {
            Ok(texts) => texts.into_iter().map(serde_json::Value::from).collect(),
            Err(error) => vec![serde_json::json!({ "error": error.to_string() })],
        };
        for line in lines {
            writeln!(output, "{line}").map_err(at("standard output"))?;
        }
    }
    output.flush().map_err(at("standard output"))
}

/// Names what an error of the operating system is about.
fn at<P: AsRef<Path>>(path: P) -> impl FnOnce(io::Error) -> DataError {
    move |source| DataError::Io { path: path.as_ref().to_owned(), source }
}
