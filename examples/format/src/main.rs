//! Shows what a data set becomes on its way into training, and writes the splits: reads records,
//! recognizes, renders, tokenizes, masks, splits and packs them with `collimate-data`.
//! `format --help` describes the arguments.

mod arguments;
mod demonstration;
mod report;
mod show;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use clap::error::ErrorKind;
use collimate_data::{
    BuiltIn, ChatTemplate, Content, DataError, Example, Format, Formatter, PackConfig, Part,
    PrepareReport, PrepareSettings, PreparedRows, PreparedWriter, ReadSettings, Recognition,
    Recognizer, Record, Records, RenderOptions, Result, RowBuilder, Source, SplitConfig,
    StatisticsBuilder, TemplateFolder, TemplateTime, Tokenizer, TooLong, prepare,
    prepare_preferences, write_records,
};

use crate::arguments::Arguments;
use crate::report::Report;

/// Records that are looked at to find out what they are.
const LOOKED_AT: usize = 100;

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
            note(text.lines().next().unwrap_or_default());
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has read enough.
        Err(DataError::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            note(&format!("error: {error}"));
            let is_input = !matches!(&error, DataError::Io { source, .. } if is_trouble(source));
            if is_input { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// What is not the input's fault.
fn is_trouble(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotFound, PermissionDenied};
    !matches!(error.kind(), NotFound | PermissionDenied | IsADirectory)
}

fn run(arguments: &Arguments) -> Result<()> {
    if !arguments.data.is_empty() {
        return format(arguments, &arguments.data, arguments.model.as_deref());
    }
    let folder = tempfile::tempdir().map_err(at("the temporary folder"))?;
    demonstration::write(folder.path()).map_err(at(folder.path()))?;
    let data = [folder.path().join("data.jsonl").to_string_lossy().into_owned()];
    format(arguments, &data, Some(arguments.model.as_deref().unwrap_or(folder.path())))
}

fn format(arguments: &Arguments, data: &[String], model: Option<&Path>) -> Result<()> {
    let source = Source::open(data)?;
    let mut records = source.records(&ReadSettings::default())?;
    let first: Vec<Record> = records.by_ref().take(LOOKED_AT).collect::<Result<_>>()?;
    let recognition = Recognizer::default().recognize(&first)?;
    let formatter = formatter(arguments, model)?;
    let examples = first.into_iter().map(Ok).chain(records.by_ref());
    if arguments.render {
        return render(&formatter, &recognition, examples);
    }

    let Some(model) = model else {
        return Err(DataError::Setting {
            setting: "--model",
            message: "is needed to tokenize; --render works without it".to_owned(),
        });
    };
    let work = Work { arguments, formatter: &formatter, recognition: &recognition };
    let tokenizer = Tokenizer::from_folder(model)?;
    let folder = tempfile::tempdir().map_err(at("the temporary folder"))?;
    let rows = work.prepare(&tokenizer, examples, &folder.path().join("rows"))?;
    let mut report = Report::new(&recognition, &records, &rows, work.statistics(&rows)?);
    let split =
        SplitConfig::default().with_train(arguments.split).with_validation(1.0 - arguments.split);
    // A pair stays together.
    let width = if rows.has_preferences() { 2 } else { 1 };
    let split = split.with_seed(arguments.seed).check()?.random(rows.len() / width)?;
    report.split = Some(split.report.clone());
    if arguments.pack {
        let lengths: Vec<usize> = rows.lengths().collect();
        report.packing = Some(work.packer()?.plan(&lengths)?.report);
    }
    if let Some(out) = &arguments.out {
        for part in [Part::Train, Part::Validation] {
            report.written.extend(work.write(&source, &rows, &split.rows(part), part, out)?);
        }
        report.write(out)?;
    }
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

/// Renders with the template that was asked for, else the model's, else none.
fn formatter(arguments: &Arguments, model: Option<&Path>) -> Result<Formatter> {
    let folder = model.map(TemplateFolder::read).transpose()?.unwrap_or_default();
    let token = |name: &str| folder.tokens.get(name).and_then(|token| token.as_str());
    let mut formatter = Formatter::new(token("eos_token").unwrap_or_default());
    // Nobody who gives no data has a template of his own.
    let default = arguments.data.is_empty().then(|| "chatml".to_owned());
    let template = match arguments.template.clone().or(default) {
        Some(name) => {
            let mut template = match name.parse::<BuiltIn>() {
                Ok(built_in) => ChatTemplate::built_in(built_in)?,
                Err(error) if !Path::new(&name).exists() => return Err(error),
                Err(_) => ChatTemplate::from_file(&name)?,
            };
            for (name, value) in &folder.tokens {
                template = template.with_variable(name, value);
            }
            formatter = formatter.with_strings_as_turns(arguments.template.is_some());
            Some(template)
        }
        None if folder.templates.is_empty() => None,
        None => Some(folder.choose(None, false)?),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut options = RenderOptions::default();
    options.now = TemplateTime::from_unix(now);
    formatter = formatter.with_options(options);
    Ok(match template {
        Some(template) => formatter.with_template(template),
        None => formatter,
    })
}

/// One line for each text: what it is, or why there is none.
fn render(
    formatter: &Formatter,
    recognition: &Recognition,
    records: impl Iterator<Item = Result<Record>>,
) -> Result<()> {
    let mut output = io::BufWriter::new(io::stdout().lock());
    for record in records {
        let texts = recognition.example(&record?).and_then(|example| formatter.texts(&example));
        let lines = match texts {
            Ok(texts) => texts.into_iter().map(serde_json::Value::from).collect(),
            Err(error) => vec![serde_json::json!({ "error": error.to_string() })],
        };
        for line in lines {
            writeln!(output, "{line}").map_err(at("standard output"))?;
        }
    }
    output.flush().map_err(at("standard output"))
}

struct Work<'a> {
    arguments: &'a Arguments,
    formatter: &'a Formatter,
    recognition: &'a Recognition,
}

impl Work<'_> {
    /// Makes rows of all records and keeps them in a file.
    fn prepare(
        &self,
        tokenizer: &Tokenizer,
        records: impl Iterator<Item = Result<Record>>,
        path: &Path,
    ) -> Result<PreparedRows> {
        let settings = PrepareSettings::default()
            .with_mask(self.arguments.mask.into())
            .with_max_length(self.arguments.max_length)
            .with_truncation(self.arguments.truncation.into());
        let builder = RowBuilder::new(tokenizer, settings)?;
        let mut writer = PreparedWriter::create(path, "unnamed")?;
        writer.set_settings(&settings)?;
        let mut records = records.peekable();
        let is_preference = match records.peek() {
            Some(Ok(record)) => {
                let content = self.recognition.example(record)?.content;
                matches!(content, Content::Preference { .. })
            }
            _ => false,
        };
        let running = AtomicBool::new(false);
        let example = |record: Record| self.recognition.example(&record);
        let report = if is_preference {
            let render = |record| {
                let example = example(record)?;
                let (chosen, rejected) = self.formatter.render_preference(&example)?;
                Ok((chosen, rejected, example.origin))
            };
            let sink = |row, origin: &_| writer.push_preference(&row, origin);
            prepare_preferences(&builder, records, render, &running, &mut (), sink)?
        } else {
            let render = |record| {
                let example: Example = example(record)?;
                Ok((self.formatter.render(&example)?, example.origin))
            };
            let sink = |row, origin: &_| writer.push(&row, origin);
            prepare(&builder, records, render, &running, &mut (), sink)?
        };
        writer.finish(&report)?;
        PreparedRows::open(path)
    }

    fn statistics(&self, rows: &PreparedRows) -> Result<StatisticsBuilder> {
        let mut statistics = StatisticsBuilder::default();
        for index in 0..rows.len() {
            statistics.add(&rows.row(index)?, Some(&rows.origin(index)?));
        }
        Ok(statistics)
    }

    fn packer(&self) -> Result<collimate_data::Packer> {
        let length = self.arguments.max_length.ok_or_else(|| DataError::Setting {
            setting: "--pack",
            message: "needs --max-length, the tokens of a sequence".to_owned(),
        })?;
        PackConfig::default().with_max_length(length).with_too_long(TooLong::Error).check()
    }

    /// Writes the records and the rows of one part, and says what was written.
    fn write(
        &self,
        source: &Source,
        rows: &PreparedRows,
        members: &[usize],
        part: Part,
        out: &Path,
    ) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(out).map_err(at(out))?;
        let prepared = out.join(format!("{}.safetensors", part.name()));
        let mut writer = PreparedWriter::create(&prepared, "unnamed")?;
        let mut report = PrepareReport::default();
        let mut origins = Vec::with_capacity(members.len());
        for &member in members {
            let made = if rows.has_preferences() {
                let (pair, origin) = (rows.preference(member)?, rows.origin(2 * member)?);
                writer.push_preference(&pair, &origin)?;
                origins.push(origin);
                vec![pair.chosen, pair.rejected]
            } else {
                let (row, origin) = (rows.row(member)?, rows.origin(member)?);
                writer.push(&row, &origin)?;
                origins.push(origin);
                vec![row]
            };
            for row in made {
                report.rows += 1;
                report.tokens += row.len() as u64;
                report.trained_tokens += row.trained_tokens() as u64;
            }
        }
        report.records = origins.len() as u64;
        writer.set_settings(rows.settings())?;
        writer.finish(&report)?;
        origins.sort_unstable();
        let records: Records = source.records(&ReadSettings::default())?;
        let of_part = records.filter_map(|record| match record {
            Ok(record) => {
                origins.binary_search(&record.origin).is_ok().then_some(Ok(record.fields))
            }
            Err(error) => Some(Err(error)),
        });
        let written = out.join(format!("{}.jsonl", part.name()));
        write_records(&written, Format::JsonLines, of_part)?;
        Ok(vec![written, prepared])
    }
}

/// Names what an error of the operating system is about.
fn at<P: AsRef<Path>>(path: P) -> impl FnOnce(io::Error) -> DataError {
    move |source| DataError::Io { path: path.as_ref().to_owned(), source }
}

fn note(message: &str) {
    // Nothing can be done about a standard error that is closed.
    writeln!(io::stderr(), "{message}").ok();
}
