use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::builder::RowBuilder;
use super::cache::prepare_cached;
use super::file::{PreparedRows, PreparedWriter};
use super::fingerprint::Fingerprint;
use super::report::PrepareReport;
use super::run::{prepare, prepare_preferences};
use super::settings::PrepareSettings;
use crate::duplicates::{DuplicateConfig, DuplicateFinder, Sketch, Sketches};
use crate::error::{DataError, Result};
use crate::event::Observer;
use crate::formatter::Formatter;
use crate::read::{ReadSettings, Source};
use crate::recognize::{Recognition, RecordKind};
use crate::record::{Example, Origin, Record};
use crate::row::Row;
use crate::safety::{KeywordConfig, LabelSource, Labelled};
use crate::statistics::StatisticsBuilder;
use crate::tokenize::Tokenizer;

/// The way from the records of files to the rows of a model: read, rendered, tokenized, told from their
/// duplicates, and kept for the next run.
///
/// ```
/// use std::sync::atomic::AtomicBool;
///
/// use collimate_data::{
///     ColumnMapping, Formatter, Preparation, ReadSettings, Source, TemplateFolder, Tokenizer,
/// };
/// # let folder = tempfile::tempdir()?;
/// # let data = folder.path().join("train.jsonl");
/// # std::fs::write(&data, r#"{"prompt": "two and", "completion": " two"}"#)?;
/// # std::fs::write(folder.path().join("tokenizer.json"), r#"{"version": "1.0",
/// #     "model": {"type": "WordLevel", "vocab": {"two": 0, "and": 1, "?": 2}, "unk_token": "?"},
/// #     "pre_tokenizer": {"type": "Whitespace"}, "added_tokens": []}"#)?;
/// # let model = folder.path();
/// let source = Source::open([&data])?;
/// let recognition = source.recognize(&ReadSettings::default(), ColumnMapping::default())?;
/// let formatter = Formatter::of_model(&TemplateFolder::read(model)?, None)?;
/// let tokenizer = Tokenizer::from_folder(model)?;
/// let preparation = Preparation::new(&source, &recognition, &formatter, &tokenizer);
/// let rows = preparation.rows(&model.join("prepared"), &AtomicBool::new(false), &mut ())?;
/// assert_eq!(rows.row(0)?.ids, [0, 1, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Preparation<'a> {
    source: &'a Source,
    recognition: &'a Recognition,
    formatter: &'a Formatter,
    tokenizer: &'a Tokenizer,
    reading: ReadSettings,
    settings: PrepareSettings,
    duplicates: DuplicateConfig,
    labels: Option<KeywordConfig>,
}

impl<'a> Preparation<'a> {
    /// Rows by the default settings.
    pub fn new(
        source: &'a Source,
        recognition: &'a Recognition,
        formatter: &'a Formatter,
        tokenizer: &'a Tokenizer,
    ) -> Self {
        Self {
            source,
            recognition,
            formatter,
            tokenizer,
            reading: ReadSettings::default(),
            settings: PrepareSettings::default(),
            duplicates: DuplicateConfig::default(),
            labels: None,
        }
    }

    /// How the files are read.
    #[must_use]
    pub fn with_reading(mut self, reading: ReadSettings) -> Self {
        self.reading = reading;
        self
    }

    /// How texts become rows.
    #[must_use]
    pub fn with_settings(mut self, settings: PrepareSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Which records say the same.
    #[must_use]
    pub fn with_duplicates(mut self, duplicates: DuplicateConfig) -> Self {
        self.duplicates = duplicates;
        self
    }

    /// Counts what keywords say of the prompts: `keyword_label` and `keyword_category` in the balance of
    /// the statistics.
    #[must_use]
    pub fn with_labels(mut self, labels: KeywordConfig) -> Self {
        self.labels = Some(labels);
        self
    }

    /// All that the rows follow from, the files' content among it.
    ///
    /// # Errors
    ///
    /// A file can't be read.
    pub fn fingerprint(&self) -> Result<String> {
        let mut fingerprint = Fingerprint::new()
            .with_formatter(self.formatter)?
            .with_tokenizer(self.tokenizer)
            .with_value("reading", &self.reading)?
            .with_value("settings", &self.settings)?
            .with_value("duplicates", &self.duplicates)?
            .with_value("recognition", self.recognition)?
            .with_value("labels", &self.labels)?;
        for file in self.source.files() {
            fingerprint = fingerprint.with_file(file)?;
        }
        Ok(fingerprint.finish())
    }

    /// The rows: those that a folder keeps from an earlier run, or those made now, in the order of the
    /// records. A preference makes two rows, the preferred one first.
    ///
    /// Records that say the same are of one group. The rows' notes are `read`, a
    /// [`ReadReport`](crate::ReadReport); `statistics`, [`Statistics`](crate::Statistics); and
    /// `duplicates`, a [`DuplicateReport`](crate::DuplicateReport).
    ///
    /// # Errors
    ///
    /// A setting is out of its range; the first record that can't be read, rendered or made a row of,
    /// with where it stands; the folder can't be written; [`DataError::Cancelled`].
    pub fn rows(
        &self,
        folder: &Path,
        cancelled: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<PreparedRows> {
        let builder = RowBuilder::new(self.tokenizer, self.settings)?;
        let finder = self.duplicates.clone().check()?;
        prepare_cached(folder, &self.fingerprint()?, observer, |writer, observer| {
            writer.set_settings(&self.settings)?;
            let sketches = finder.sketches(folder)?;
            let rows = Collection { writer, sketches, statistics: StatisticsBuilder::default() };
            self.produce(&builder, &finder, rows, cancelled, observer)
        })
    }

    fn produce(
        &self,
        builder: &RowBuilder<'_>,
        finder: &DuplicateFinder,
        mut rows: Collection<'_>,
        cancelled: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<PrepareReport> {
        let labeller = self.labels.clone().map(KeywordConfig::check).transpose()?;
        let seen = |example: Example| Seen {
            sketch: finder.sketch(&example.text()),
            label: labeller.as_ref().map(|labeller| labeller.label(&example.user_text())),
            origin: example.origin,
        };
        let mut records = self.source.records(&self.reading)?;
        let report = if self.recognition.kind == RecordKind::Preference {
            let render = |record: Record| {
                let example = self.recognition.example(&record)?;
                let texts = self.formatter.render_preference(&example);
                let (chosen, rejected) = texts.map_err(|error| of_record(error, &record))?;
                Ok((chosen, rejected, seen(example)))
            };
            let sink = |pair, seen: &Seen| {
                rows.writer.push_preference(&pair, &seen.origin)?;
                rows.add(&[pair.chosen, pair.rejected], seen)
            };
            prepare_preferences(builder, &mut records, render, cancelled, observer, sink)?
        } else {
            let render = |record: Record| {
                let example = self.recognition.example(&record)?;
                let text = self.formatter.render(&example);
                Ok((text.map_err(|error| of_record(error, &record))?, seen(example)))
            };
            let sink = |row, seen: &Seen| {
                rows.writer.push(&row, &seen.origin)?;
                rows.add(&[row], seen)
            };
            prepare(builder, &mut records, render, cancelled, observer, sink)?
        };
        let duplicates = rows.sketches.find(cancelled)?;
        rows.writer.set_note("read", records.report())?;
        rows.writer.set_note("statistics", &rows.statistics.finish())?;
        rows.writer.set_note("duplicates", &duplicates.report)?;
        rows.writer.set_groups(duplicates.into_group_keys());
        Ok(report)
    }
}

/// What is kept of an example beside its row.
struct Seen {
    origin: Origin,
    sketch: Sketch,
    label: Option<Labelled>,
}

impl AsRef<Origin> for Seen {
    fn as_ref(&self) -> &Origin {
        &self.origin
    }
}

/// Where rows go, and what is counted of them.
struct Collection<'w> {
    writer: &'w mut PreparedWriter,
    sketches: Sketches,
    statistics: StatisticsBuilder,
}

impl Collection<'_> {
    fn add(&mut self, rows: &[Row], seen: &Seen) -> Result<()> {
        for row in rows {
            self.statistics.add(row, Some(&seen.origin));
        }
        if let Some(label) = &seen.label {
            self.statistics.count("keyword_label", label.label.name());
            if let LabelSource::Heuristic { category: Some(category), .. } = &label.source {
                self.statistics.count("keyword_category", category);
            }
        }
        self.sketches.push(&seen.sketch)
    }
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
