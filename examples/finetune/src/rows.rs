//! From records to rows, once: the next run with the same data and settings finds them.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use collimate_data::{
    ColumnMapping, DataError, DuplicateConfig, Fingerprint, Formatter, OnNothingTrained, Origin,
    Part, PrepareSettings, PreparedRows, ReadSettings, Recognizer, Record, RecordKind,
    RenderOptions, Result, RowBuilder, Source, SplitConfig, TemplateFolder, Tokenizer, Truncation,
    prepare, prepare_cached,
};

use crate::arguments::Arguments;

/// Records that are looked at to find out what they are.
const LOOKED_AT: usize = 100;
/// The share of the records to train on.
const TRAINED: f64 = 0.9;

/// The rows of files, tokenized for a model, in a folder that keeps them.
pub fn rows(
    arguments: &Arguments,
    model: &Path,
    tokenizer: &Tokenizer,
    most_tokens: usize,
    folder: &Path,
    cancelled: &AtomicBool,
) -> Result<PreparedRows> {
    let source = Source::open(&arguments.data)?;
    let first: Vec<Record> =
        source.records(&ReadSettings::default())?.take(LOOKED_AT).collect::<Result<_>>()?;
    let recognition = Recognizer::new(ColumnMapping::default()).recognize(&first)?;
    if matches!(recognition.kind, RecordKind::Preference | RecordKind::Unpaired) {
        return Err(DataError::Setting {
            setting: "--data",
            message: "has preferences; texts, conversations, or prompts with completions are \
                      needed"
                .to_owned(),
        });
    }
    let (formatter, mut fingerprint) = formatter(model, arguments.template.as_deref())?;
    let settings = PrepareSettings::default()
        .with_max_length(Some(most_tokens))
        .with_truncation(Truncation::KeepStart)
        .with_on_nothing_trained(OnNothingTrained::Drop);
    let builder = RowBuilder::new(tokenizer, settings)?;
    fingerprint = fingerprint
        .with_tokenizer(tokenizer)
        .with_value("settings", &settings)?
        .with_value("recognition", &recognition)?;
    for file in source.files() {
        fingerprint = fingerprint.with_file(file)?;
    }
    let finder = DuplicateConfig::default().check()?;
    prepare_cached(folder, &fingerprint.finish(), &mut (), |writer, observer| {
        writer.set_settings(&settings)?;
        let mut sketches = finder.sketches(folder)?;
        let mut records = source.records(&ReadSettings::default())?;
        let render = |record: Record| {
            let example = recognition.example(&record)?;
            let text = formatter.render(&example).map_err(|error| of_record(error, &record))?;
            Ok((text, Seen { sketch: finder.sketch(&example.text()), origin: example.origin }))
        };
        let sink = |row, seen: &Seen| {
            writer.push(&row, &seen.origin)?;
            sketches.push(&seen.sketch)
        };
        let report = prepare(&builder, &mut records, render, cancelled, observer, sink)?;
        writer.set_groups(sketches.find(cancelled)?.into_group_keys());
        Ok(report)
    })
}

/// The rows to train on, and those to measure on: none where there are too few of them. Duplicates stay
/// together.
pub fn split(rows: &PreparedRows, seed: u64) -> Result<(Vec<usize>, Vec<usize>)> {
    let groups = rows.groups()?.unwrap_or_default();
    if groups.iter().collect::<std::collections::BTreeSet<_>>().len() < 2 {
        return Ok(((0..rows.len()).collect(), Vec::new()));
    }
    let config = SplitConfig::default().with_train(TRAINED).with_validation(1.0 - TRAINED);
    let split = config.with_seed(seed).check()?.by_first_row(&groups)?;
    Ok((split.rows(Part::Train), split.rows(Part::Validation)))
}

struct Seen {
    origin: Origin,
    sketch: collimate_data::Sketch,
}

impl AsRef<Origin> for Seen {
    fn as_ref(&self) -> &Origin {
        &self.origin
    }
}

/// Renders with a chat template: the one that was asked for, else the model's, else none.
fn formatter(model: &Path, template: Option<&str>) -> Result<(Formatter, Fingerprint)> {
    let folder = TemplateFolder::read(model)?;
    let end_of_text = folder.tokens.get("eos_token").and_then(|token| token.as_str());
    let formatter =
        Formatter::new(end_of_text.unwrap_or_default()).with_strings_as_turns(template.is_some());
    let fingerprint = Fingerprint::new()
        .with_value("strings as turns", &template.is_some())?
        .with_value("special tokens", &folder.tokens)?;
    let template = match template {
        Some(name) => folder.named(name)?,
        None if folder.templates.is_empty() => return Ok((formatter, fingerprint)),
        None => folder.choose(None, false)?,
    };
    let fingerprint = fingerprint.with_text("template", template.source());
    // The date that a template may show is always the same.
    let formatter = formatter.with_options(RenderOptions::default()).with_template(template);
    Ok((formatter, fingerprint))
}

/// Says which record a template failed on.
fn of_record(error: DataError, record: &Record) -> DataError {
    match error {
        DataError::Template { .. } | DataError::TemplateRaised { .. } => {
            DataError::Record { origin: record.origin.clone(), message: error.to_string() }
        }
        error => error,
    }
}
