//! From records to prepared rows, and what is found out on the way.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use collimate_data::{
    DataError, DuplicateConfig, DuplicateFinder, Example, KeywordConfig, LabelSource, Labelled,
    Observer, OnNothingTrained, Origin, PrepareReport, PrepareSettings, PreparedRows,
    PreparedWriter, ReadSettings, Recognition, Record, RecordKind, Result, Row, RowBuilder, Sketch,
    Sketches, Source, StatisticsBuilder, Tokenizer, prepare, prepare_cached, prepare_preferences,
};

use crate::arguments::Arguments;
use crate::progress::Progress;
use crate::template::Formatting;

pub struct Preparation<'a> {
    pub arguments: &'a Arguments,
    pub source: &'a Source,
    pub recognition: &'a Recognition,
    pub formatting: &'a Formatting,
    pub tokenizer: &'a Tokenizer,
    pub cancelled: &'a AtomicBool,
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

impl Preparation<'_> {
    /// The rows of an earlier run, or those of this one.
    pub fn rows(&self, folder: &Path, progress: &mut Progress) -> Result<PreparedRows> {
        let settings = PrepareSettings::default()
            .with_mask(self.arguments.mask.into())
            .with_max_length(self.arguments.max_length)
            .with_truncation(self.arguments.truncation.into())
            .with_on_nothing_trained(match self.arguments.drop_untrained {
                true => OnNothingTrained::Drop,
                false => OnNothingTrained::Error,
            });
        let builder = RowBuilder::new(self.tokenizer, settings)?;
        let duplicates = DuplicateConfig::default();
        let mut fingerprint = self
            .formatting
            .fingerprint
            .clone()
            .with_tokenizer(self.tokenizer)
            .with_value("settings", &settings)?
            .with_value("duplicates", &duplicates)?
            .with_value("recognition", self.recognition)?
            .with_value("labels", &self.arguments.labels)?;
        for file in self.source.files() {
            fingerprint = fingerprint.with_file(file)?;
        }
        let finder = duplicates.check()?;
        prepare_cached(folder, &fingerprint.finish(), progress, |writer, progress| {
            writer.set_settings(&settings)?;
            self.produce(folder, &builder, &finder, writer, progress)
        })
    }

    fn produce(
        &self,
        folder: &Path,
        builder: &RowBuilder<'_>,
        finder: &DuplicateFinder,
        writer: &mut PreparedWriter,
        progress: &mut dyn Observer,
    ) -> Result<PrepareReport> {
        let labeller =
            self.arguments.labels.then(|| KeywordConfig::default().check()).transpose()?;
        let formatter = &self.formatting.formatter;
        let example = |record: &Record| self.recognition.example(record);
        let seen = |example: Example| Seen {
            sketch: finder.sketch(&example.text()),
            label: labeller.as_ref().map(|labeller| labeller.label(&example.user_text())),
            origin: example.origin,
        };
        let mut records = self.source.records(&ReadSettings::default())?;
        let (sketches, statistics) = (finder.sketches(folder)?, StatisticsBuilder::default());
        let mut rows = Collection { writer, sketches, statistics };
        let report = if self.recognition.kind == RecordKind::Preference {
            let render = |record: Record| {
                let example = example(&record)?;
                let (chosen, rejected) = formatter
                    .render_preference(&example)
                    .map_err(|error| of_record(error, &record))?;
                Ok((chosen, rejected, seen(example)))
            };
            let sink = |pair, seen: &_| {
                rows.writer.push_preference(&pair, AsRef::as_ref(seen))?;
                rows.add(&[pair.chosen, pair.rejected], seen)
            };
            prepare_preferences(builder, &mut records, render, self.cancelled, progress, sink)?
        } else {
            let render = |record: Record| {
                let example = example(&record)?;
                let text = formatter.render(&example).map_err(|error| of_record(error, &record))?;
                Ok((text, seen(example)))
            };
            let sink = |row, seen: &_| {
                rows.writer.push(&row, AsRef::as_ref(seen))?;
                rows.add(&[row], seen)
            };
            prepare(builder, &mut records, render, self.cancelled, progress, sink)?
        };
        let duplicates = rows.sketches.find(self.cancelled)?;
        rows.writer.set_note("read", records.report())?;
        rows.writer.set_note("statistics", &rows.statistics.finish())?;
        rows.writer.set_note("duplicates", &duplicates.report)?;
        rows.writer.set_groups(duplicates.into_group_keys());
        Ok(report)
    }
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
