//! What became of the records, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use collimate_data::{
    PackReport, Part, PrepareReport, PreparedRows, Recognition, Result, SplitReport,
};
use serde_json::{Map, Value, json};

/// Duplicates that are named.
const NAMED: usize = 3;

pub struct Report {
    recognition: Recognition,
    prepared: PrepareReport,
    /// What was noted when the rows were made: `read`, `statistics`, `duplicates`.
    notes: Map<String, Value>,
    /// The first duplicates, each with what it repeats.
    repeated: Vec<[String; 2]>,
    pub split: Option<SplitReport>,
    pub packing: BTreeMap<Part, PackReport>,
    pub written: Vec<PathBuf>,
}

impl Report {
    pub fn new(recognition: &Recognition, rows: &PreparedRows) -> Result<Self> {
        let groups = rows.groups()?.unwrap_or_default();
        let width = if rows.has_preferences() { 2 } else { 1 };
        let origin = |record: u32| Ok(rows.origin(width * record as usize)?.to_string());
        let repeated = (0..).zip(&groups).filter(|(record, first)| record != *first);
        let repeated = repeated
            .take(NAMED)
            .map(|(record, first)| Ok([origin(record)?, origin(*first)?]))
            .collect::<Result<_>>()?;
        Ok(Self {
            recognition: recognition.clone(),
            prepared: rows.report().clone(),
            notes: rows.notes().clone(),
            repeated,
            split: None,
            packing: BTreeMap::new(),
            written: Vec::new(),
        })
    }

    pub fn json(&self) -> String {
        let mut value = json!({
            "recognized": self.recognition,
            "prepared": self.prepared,
            "first_duplicates": self.repeated,
            "split": self.split,
            "packing": self.packing,
            "written": self.written.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
        });
        if let Some(fields) = value.as_object_mut() {
            fields.extend(self.notes.clone());
        }
        format!("{value:#}\n")
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string can't fail.
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<12}{value}");
        };
        let prepared = &self.prepared;
        line("recognized", self.recognition.why.clone());
        line("records", prepared.records.to_string());
        line("rows", prepared.rows.to_string());
        let share = 100.0 * prepared.trained_tokens as f64 / prepared.tokens.max(1) as f64;
        line("tokens", format!("{}, {share:.1}% of them trained", prepared.tokens));
        let length = |name: &str| self.number(&["statistics", "lengths", name]);
        line(
            "lengths",
            format!(
                "median {}, 95% up to {}, longest {}",
                length("p50"),
                length("p95"),
                length("max")
            ),
        );
        if prepared.truncated_rows > 0 {
            let (rows, tokens) = (prepared.truncated_rows, prepared.tokens_cut);
            line("truncated", format!("{rows} rows by {tokens} tokens"));
        }
        for (reason, dropped) in &prepared.dropped {
            line("dropped", format!("{} records: {reason:?}", dropped.records));
        }
        let count = |name: &str| self.number(&["duplicates", name]);
        line(
            "duplicates",
            format!("{} exact, {} near", count("exact_duplicates"), count("near_duplicates")),
        );
        for [record, first] in &self.repeated {
            line("", format!("{record} is like {first}"));
        }
        for (name, counts) in self.labels() {
            line(name, counts);
        }
        if let Some(split) = &self.split {
            let parts = split.parts.iter().filter(|(_, part)| part.rows > 0);
            let parts: Vec<_> =
                parts.map(|(part, count)| format!("{} {}", count.rows, part.name())).collect();
            line("split", parts.join(", "));
        }
        for (part, packing) in &self.packing {
            let (sequences, efficiency) = (packing.sequences, 100.0 * packing.efficiency);
            let part = part.name();
            line("packed", format!("{part}: {sequences} sequences, {efficiency:.1}% full"));
        }
        for path in &self.written {
            line("written", path.display().to_string());
        }
        text
    }

    /// What the keyword heuristic says, by label and by category.
    fn labels(&self) -> Vec<(&'static str, String)> {
        let counts = |field: &str| {
            let counts = self.note(&["statistics", "balance", field, "counts"])?.as_object()?;
            let counts = counts.iter().map(|(value, count)| format!("{count} {value}"));
            Some(counts.collect::<Vec<_>>().join(", "))
        };
        let labels = counts("keyword_label").map(|counts| ("labels", counts + " by keywords"));
        let categories = counts("keyword_category").map(|counts| ("unsafe", counts));
        labels.into_iter().chain(categories).collect()
    }

    fn number(&self, path: &[&str]) -> u64 {
        self.note(path).and_then(Value::as_u64).unwrap_or_default()
    }

    fn note(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.notes.get(*first)?, |note, name| note.get(name))
    }
}
