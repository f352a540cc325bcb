//! What became of the records, for people and for machines.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use collimate_data::{
    DataError, PackReport, PrepareReport, PreparedRows, ReadReport, Recognition, Records, Result,
    SplitReport, Statistics, StatisticsBuilder,
};
use serde_json::{Value, json};

pub struct Report {
    recognition: Recognition,
    read: ReadReport,
    prepared: PrepareReport,
    statistics: Statistics,
    pub split: Option<SplitReport>,
    pub packing: Option<PackReport>,
    pub written: Vec<PathBuf>,
}

impl Report {
    pub fn new(
        recognition: &Recognition,
        records: &Records,
        rows: &PreparedRows,
        statistics: StatisticsBuilder,
    ) -> Self {
        Self {
            recognition: recognition.clone(),
            read: records.report().clone(),
            prepared: rows.report().clone(),
            statistics: statistics.finish(),
            split: None,
            packing: None,
            written: Vec::new(),
        }
    }

    fn value(&self) -> Value {
        json!({
            "recognized": self.recognition,
            "read": self.read,
            "prepared": self.prepared,
            "statistics": self.statistics,
            "split": self.split,
            "packing": self.packing,
            "written": self.written.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
        })
    }

    pub fn json(&self) -> String {
        format!("{:#}\n", self.value())
    }

    /// Writes the report beside the splits.
    pub fn write(&mut self, out: &Path) -> Result<()> {
        let path = out.join("report.json");
        self.written.push(path.clone());
        std::fs::write(&path, self.json()).map_err(|source| DataError::Io { path, source })
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string can't fail.
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<12}{value}");
        };
        line("recognized", self.recognition.why.clone());
        line("records", self.prepared.records.to_string());
        line("rows", self.prepared.rows.to_string());
        let share =
            100.0 * self.prepared.trained_tokens as f64 / self.prepared.tokens.max(1) as f64;
        line("tokens", format!("{}, {share:.1}% of them trained", self.prepared.tokens));
        let lengths = &self.statistics.lengths;
        line(
            "lengths",
            format!("median {}, 95% up to {}, longest {}", lengths.p50, lengths.p95, lengths.max),
        );
        if self.prepared.truncated_rows > 0 {
            let (rows, tokens) = (self.prepared.truncated_rows, self.prepared.tokens_cut);
            line("truncated", format!("{rows} rows by {tokens} tokens"));
        }
        for (reason, dropped) in &self.prepared.dropped {
            line("dropped", format!("{} records: {reason:?}", dropped.records));
        }
        if let Some(split) = &self.split {
            let parts = split.parts.iter().filter(|(_, part)| part.rows > 0);
            let parts: Vec<_> =
                parts.map(|(part, count)| format!("{} {}", count.rows, part.name())).collect();
            line("split", parts.join(", "));
        }
        if let Some(packing) = &self.packing {
            let (sequences, efficiency) = (packing.sequences, 100.0 * packing.efficiency);
            line("packed", format!("{sequences} sequences, {efficiency:.1}% full"));
        }
        for path in &self.written {
            line("written", path.display().to_string());
        }
        text
    }
}
