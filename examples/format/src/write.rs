//! The parts of a split as files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use collimate_data::{
    DataError, Format, PackConfig, PackReport, Part, PrepareReport, PreparedRows, PreparedWriter,
    ReadSettings, Result, Row, Source, Split, write_records,
};
use serde_json::{Map, Value};

use crate::arguments::Arguments;
use crate::at;
use crate::progress::Progress;
use crate::report::Report;

const PARTS: [Part; 2] = [Part::Train, Part::Validation];
/// Sequences that are filled at a time: with many, little of them is padding.
const OPEN: usize = 512;

pub struct Output<'a> {
    pub arguments: &'a Arguments,
    pub source: &'a Source,
    pub rows: &'a PreparedRows,
    pub split: &'a Split,
    pub cancelled: &'a AtomicBool,
}

impl Output<'_> {
    /// Writes the records, the rows and the packed sequences of each part, and the report. They appear
    /// together, once all of them are complete.
    pub fn write(&self, out: &Path, report: &mut Report, progress: &mut Progress) -> Result<()> {
        fs::create_dir_all(out).map_err(at(out))?;
        let partial = tempfile::Builder::new().prefix(".collimate-partial-").tempdir_in(out);
        let partial = partial.map_err(at(out))?;
        for part in PARTS {
            let path = partial.path().join(format!("{}.jsonl", part.name()));
            progress.tell(|| format!("writing the records of the {} part", part.name()));
            let written = write_records(&path, Format::JsonLines, self.records(part)?)?;
            if written.records != self.members(part).count() as u64 {
                return Err(DataError::Setting {
                    setting: "--data",
                    message: "has changed since it was prepared; run again".to_owned(),
                });
            }
        }
        progress.tell(|| "writing the rows".to_owned());
        self.write_rows(partial.path())?;
        if self.arguments.pack {
            progress.tell(|| "packing".to_owned());
            report.packing = self.pack(Some(partial.path()))?;
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(partial.path()).map_err(at(out))? {
            names.push(entry.map_err(at(out))?.file_name());
        }
        names.sort();
        report.written = names.iter().map(|name| out.join(name)).collect();
        report.written.push(out.join("report.json"));
        names.push("report.json".into());
        fs::write(partial.path().join("report.json"), report.json()).map_err(at(out))?;
        for name in names {
            let path = out.join(&name);
            fs::rename(partial.path().join(name), &path).map_err(at(path))?;
        }
        Ok(())
    }

    /// Packs the rows of each part, into files if there is a folder for them.
    pub fn pack(&self, folder: Option<&Path>) -> Result<BTreeMap<Part, PackReport>> {
        let wrong =
            |message: &str| DataError::Setting { setting: "--pack", message: message.to_owned() };
        let Some(length) = self.arguments.max_length else {
            return Err(wrong("needs --max-length, the tokens of a sequence"));
        };
        if self.rows.has_preferences() {
            return Err(wrong("takes single rows, and these are pairs of preferences"));
        }
        let packer = PackConfig::default().with_max_length(length).with_open_sequences(OPEN);
        let packer = packer.check()?;
        let mut reports = BTreeMap::new();
        for part in PARTS {
            let rows = self.rows.iter().enumerate().filter(|(row, _)| self.is_in(*row, part));
            let rows = rows.map(|(index, row)| Ok((index, self.unless_cancelled(row?)?)));
            let mut packed = packer.stream().pack(rows);
            if let Some(folder) = folder {
                let path = folder.join(format!("{}.packed.jsonl", part.name()));
                let records = packed.by_ref().map(|packed| Ok(packed?.into_record()));
                write_records(&path, Format::JsonLines, records)?;
            } else {
                packed.by_ref().try_for_each(|packed| packed.map(drop))?;
            }
            reports.insert(part, packed.report());
        }
        Ok(reports)
    }

    /// The records of a part. Those of rows come in the order of the rows.
    fn records(&self, part: Part) -> Result<impl Iterator<Item = Result<Map<String, Value>>>> {
        let mut next = 0;
        let records = self.source.records(&ReadSettings::default())?;
        Ok(records.filter_map(move |record| {
            let of_part = record.and_then(|record| {
                if next == self.rows.records() || self.rows.origin(self.row(next))? != record.origin
                {
                    return Ok(None);
                }
                next += 1;
                Ok(self.is_in(next - 1, part).then_some(record.fields))
            });
            of_part.and_then(|record| self.unless_cancelled(record)).transpose()
        }))
    }

    fn write_rows(&self, folder: &Path) -> Result<()> {
        for part in PARTS {
            let path = folder.join(format!("{}.safetensors", part.name()));
            let mut writer = PreparedWriter::create(&path, "unnamed")?;
            let mut report = PrepareReport::default();
            let mut count = |row: &Row| {
                report.rows += 1;
                report.tokens += row.len() as u64;
                report.trained_tokens += row.trained_tokens() as u64;
                report.longest_row = report.longest_row.max(row.len() as u64);
            };
            for member in self.members(part) {
                let origin = self.unless_cancelled(self.rows.origin(self.row(member))?)?;
                if self.rows.has_preferences() {
                    let pair = self.rows.preference(member)?;
                    count(&pair.chosen);
                    count(&pair.rejected);
                    writer.push_preference(&pair, &origin)?;
                } else {
                    let row = self.rows.row(member)?;
                    count(&row);
                    writer.push(&row, &origin)?;
                }
            }
            report.records = self.members(part).count() as u64;
            writer.set_settings(self.rows.settings())?;
            writer.finish(&report)?;
        }
        Ok(())
    }

    fn members(&self, part: Part) -> impl Iterator<Item = usize> {
        (0..self.split.parts.len()).filter(move |member| self.is_in(*member, part))
    }

    fn is_in(&self, member: usize, part: Part) -> bool {
        self.split.parts.get(member) == Some(&part)
    }

    /// The first row of a record.
    fn row(&self, record: usize) -> usize {
        if self.rows.has_preferences() { 2 * record } else { record }
    }

    fn unless_cancelled<T>(&self, value: T) -> Result<T> {
        if self.cancelled.load(Ordering::Relaxed) { Err(DataError::Cancelled) } else { Ok(value) }
    }
}
