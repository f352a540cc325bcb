//! What a report is made of: plain data, filled by whoever measured.

use serde::{Deserialize, Serialize};

use crate::aqi::AqiComparison;
use crate::curve::Curve;
use crate::measure::MeasureGroup;
use crate::projection::Projection;

/// A model, as a report names it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Its version, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Model {
    /// A model of this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), version: None }
    }

    /// Sets the version.
    #[must_use]
    pub fn with_version(self, version: impl Into<String>) -> Self {
        Self { version: Some(version.into()), ..self }
    }
}

/// A name and what stands beside it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Fact {
    /// The name.
    pub name: String,
    /// What it is; shown as text, never as a link.
    pub value: String,
}

impl Fact {
    /// A name and what stands beside it.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// What the models answered to one prompt.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Response {
    /// The prompt.
    pub prompt: String,
    /// What kind of prompt it is, for example its safety label or its axiom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The answer before, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The answer after, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Response {
    /// A prompt without an answer yet.
    #[must_use]
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), ..Self::default() }
    }

    /// Sets what kind of prompt it is.
    #[must_use]
    pub fn with_kind(self, kind: impl Into<String>) -> Self {
        Self { kind: Some(kind.into()), ..self }
    }

    /// Sets the answer before.
    #[must_use]
    pub fn with_before(self, before: impl Into<String>) -> Self {
        Self { before: Some(before.into()), ..self }
    }

    /// Sets the answer after.
    #[must_use]
    pub fn with_after(self, after: impl Into<String>) -> Self {
        Self { after: Some(after.into()), ..self }
    }
}

/// A table of the caller's own.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Table {
    /// Heading.
    pub title: String,
    /// Headings of the columns.
    pub columns: Vec<String>,
    /// As many cells in each row as there are columns.
    pub rows: Vec<Vec<String>>,
    /// What a reader should know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new<C: Into<String>>(
        title: impl Into<String>,
        columns: impl IntoIterator<Item = C>,
    ) -> Self {
        Self {
            title: title.into(),
            columns: columns.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Adds a row.
    #[must_use]
    pub fn with_row<C: Into<String>>(mut self, cells: impl IntoIterator<Item = C>) -> Self {
        self.rows.push(cells.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the note.
    #[must_use]
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }
}

/// How numbers are read: when a difference is called one.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Reading {
    /// A p-value of this or more detects nothing. Default: 0.05.
    pub alpha: f64,
    /// Level of all intervals in the report. Default: 0.95.
    pub level: f64,
    /// Fewer rows than this can't tell a difference. Default: 20.
    pub smallest_n: usize,
    /// Characters of a prompt or an answer that are shown; what is cut is counted. Default: 1,200.
    pub response_chars: usize,
}

impl Default for Reading {
    fn default() -> Self {
        Self { alpha: 0.05, level: 0.95, smallest_n: 20, response_chars: 1200 }
    }
}

impl Reading {
    /// Sets the p-value from which on nothing is detected.
    #[must_use]
    pub const fn with_alpha(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }

    /// Sets the level of the intervals.
    #[must_use]
    pub const fn with_level(self, level: f64) -> Self {
        Self { level, ..self }
    }

    /// Sets how many rows are needed to tell a difference.
    #[must_use]
    pub const fn with_smallest_n(self, smallest_n: usize) -> Self {
        Self { smallest_n, ..self }
    }

    /// Sets how many characters of a prompt or an answer are shown.
    #[must_use]
    pub const fn with_response_chars(self, response_chars: usize) -> Self {
        Self { response_chars, ..self }
    }
}

/// Everything that a report shows. All parts but the title and the two models are optional: set
/// the fields, then [`check`](Self::check).
///
/// ```
/// use collimate_report::{Fact, Model, Report};
/// let mut report = Report::new("House rules", Model::new("fern-1b"), Model::new("fern-1b-tamed"));
/// report.settings.push(Fact::new("rank", "16"));
/// let page = report.check()?.html();
/// assert!(page.starts_with("<!DOCTYPE html>"));
/// # Ok::<(), collimate_report::ReportError>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Report {
    /// Title.
    pub title: String,
    /// The model before.
    pub before: Model,
    /// The model after.
    pub after: Model,
    /// When it was measured, as it is to be shown.
    #[serde(default)]
    pub when: Option<String>,
    /// How numbers are read.
    #[serde(default)]
    pub reading: Reading,
    /// The Alignment Quality Index of both.
    #[serde(default)]
    pub aqi: Option<AqiComparison>,
    /// Hidden states in two dimensions.
    #[serde(default)]
    pub projections: Vec<Projection>,
    /// Everything else that was measured: text metrics, judges, refusals, perplexity, speed, memory.
    #[serde(default)]
    pub groups: Vec<MeasureGroup>,
    /// The run's course.
    #[serde(default)]
    pub curve: Option<Curve>,
    /// Some answers, before and after.
    #[serde(default)]
    pub responses: Vec<Response>,
    /// Tables of the caller's own.
    #[serde(default)]
    pub tables: Vec<Table>,
    /// How the model was made.
    #[serde(default)]
    pub settings: Vec<Fact>,
    /// What it was made of, and where what belongs to it lies.
    #[serde(default)]
    pub lineage: Vec<Fact>,
    /// What else a reader should know, a paragraph each.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Report {
    /// A report on two models, without anything measured yet.
    #[must_use]
    pub fn new(title: impl Into<String>, before: Model, after: Model) -> Self {
        Self { title: title.into(), before, after, ..Self::default() }
    }
}
