//! Numbers that were measured before and after, and how sure they are.

use serde::{Deserialize, Serialize};

use crate::float;

/// A number with what says how sure it is: of one model, or of the change between two.
///
/// ```
/// use collimate_report::Estimate;
/// let change = Estimate::new(4.2).with_interval(1.1, 7.3).with_p_value(0.008).with_n(120);
/// assert_eq!(change.interval, Some([1.1, 7.3]));
/// ```
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Estimate {
    /// The number.
    #[serde(with = "float")]
    pub value: f64,
    /// Lower and upper end of its interval, at the report's level.
    #[serde(default, with = "float::ends", skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// p-value: of no change for a change, of no effect for a number of one model.
    #[serde(default, with = "float::option", skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    /// Rows that it rests on; where classes are told apart, those of the smaller class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<usize>,
}

impl Estimate {
    /// A number by itself.
    #[must_use]
    pub const fn new(value: f64) -> Self {
        Self { value, interval: None, p_value: None, n: None }
    }

    /// Sets the ends of the interval.
    #[must_use]
    pub const fn with_interval(self, lower: f64, upper: f64) -> Self {
        Self { interval: Some([lower, upper]), ..self }
    }

    /// Sets the p-value.
    #[must_use]
    pub const fn with_p_value(self, p_value: f64) -> Self {
        Self { p_value: Some(p_value), ..self }
    }

    /// Sets the number of rows.
    #[must_use]
    pub const fn with_n(self, n: usize) -> Self {
        Self { n: Some(n), ..self }
    }
}

/// Which way a measure is better.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Better {
    /// Higher is better.
    Higher,
    /// Lower is better.
    Lower,
}

/// One thing that was measured of both models, or of one, or of none.
///
/// What was not measured is absent and shown as absent, with the reason where one is given.
///
/// ```
/// use collimate_report::{Better, Estimate, Measure};
/// let perplexity = Measure::new("Perplexity")
///     .with_before(Estimate::new(12.4).with_n(200))
///     .with_after(Estimate::new(11.9).with_n(200))
///     .with_better(Better::Lower);
/// assert!(perplexity.change.is_none()); // nothing says whether the difference is chance
/// let judge = Measure::new("G-Eval").with_absent("no judge was given");
/// assert!(judge.before.is_none());
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Measure {
    /// What it is called.
    pub name: String,
    /// Its unit, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Which way it is better, where that can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub better: Option<Better>,
    /// Of the model before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Estimate>,
    /// Of the model after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Estimate>,
    /// After less before, of the rows that both have, where it was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Estimate>,
    /// Why there is no number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
}

impl Measure {
    /// A measure without any number yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Sets the unit.
    #[must_use]
    pub fn with_unit(self, unit: impl Into<String>) -> Self {
        Self { unit: Some(unit.into()), ..self }
    }

    /// Sets which way it is better.
    #[must_use]
    pub fn with_better(self, better: Better) -> Self {
        Self { better: Some(better), ..self }
    }

    /// Sets the number of the model before.
    #[must_use]
    pub fn with_before(self, before: Estimate) -> Self {
        Self { before: Some(before), ..self }
    }

    /// Sets the number of the model after.
    #[must_use]
    pub fn with_after(self, after: Estimate) -> Self {
        Self { after: Some(after), ..self }
    }

    /// Sets the change, after less before.
    #[must_use]
    pub fn with_change(self, change: Estimate) -> Self {
        Self { change: Some(change), ..self }
    }

    /// Sets why there is no number.
    #[must_use]
    pub fn with_absent(self, why: impl Into<String>) -> Self {
        Self { absent: Some(why.into()), ..self }
    }
}

/// Measures that belong together. Where several of them have p-values, those are adjusted for
/// their number.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MeasureGroup {
    /// Heading.
    pub title: String,
    /// One row each.
    pub measures: Vec<Measure>,
    /// What a reader should know of all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl MeasureGroup {
    /// A group under a heading.
    #[must_use]
    pub fn new(title: impl Into<String>, measures: impl IntoIterator<Item = Measure>) -> Self {
        Self { title: title.into(), measures: measures.into_iter().collect(), note: None }
    }

    /// Sets the note.
    #[must_use]
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }
}
