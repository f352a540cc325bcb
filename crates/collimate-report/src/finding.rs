//! What the numbers say, in words that follow from them.
//!
//! A direction is named only where the interval excludes zero and the p-value, adjusted for the
//! number of comparisons of its kind, is below α. Nothing is said of causes.

use collimate_aqi::holm;
use serde::Serialize;

use crate::measure::{Better, Estimate, Measure};
use crate::number::{decimals, fixed, p_value, signed};
use crate::report::Reading;
use crate::text::one_line;

/// What can be said of a difference.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Higher after than before, by more than chance explains.
    Higher,
    /// Lower after than before, by more than chance explains.
    Lower,
    /// The interval contains zero, or the p-value is not below α.
    NoDetectableChange,
    /// Too few rows to tell a difference.
    TooFew,
    /// There is a difference, but no interval that says how sure it is.
    NoInterval,
    /// One of the two numbers is absent, or both are.
    NotMeasured,
    /// Different things were found of several measures.
    Mixed,
    /// The model does not separate the classes detectably better than a control.
    ControlExplains,
    /// The model separates the classes better than a control.
    AboveControl,
    /// It can't be said whether a control explains the separation.
    ControlUndecided,
}

impl Verdict {
    /// The verdict in a few words, as a table has it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
            Self::NoDetectableChange => "no detectable change",
            Self::TooFew => "too few rows to tell",
            Self::NoInterval => "no interval",
            Self::NotMeasured => "not measured",
            Self::Mixed => "not the same everywhere",
            Self::ControlExplains => "not detectably below the model",
            Self::AboveControl => "below the model",
            Self::ControlUndecided => "can't be told from the model",
        }
    }
}

/// One thing that a report says.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What it is about.
    pub about: String,
    /// What can be said.
    pub verdict: Verdict,
    /// The same as a sentence with its numbers.
    pub text: String,
}

/// A measure with what can be said of its change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Read<'a> {
    pub(crate) measure: &'a Measure,
    pub(crate) verdict: Verdict,
    /// p-value of the change, adjusted for the number of measures that were read together.
    pub(crate) p_value: Option<f64>,
    /// How many p-values it is adjusted for.
    pub(crate) adjusted_for: usize,
    /// Decimals in which its numbers are written.
    pub(crate) decimals: usize,
}

/// Reads measures that belong together; their p-values are adjusted by Holm's method (1979).
pub(crate) fn read_all<'a>(
    measures: impl IntoIterator<Item = &'a Measure>,
    reading: &Reading,
) -> Vec<Read<'a>> {
    let measures: Vec<&Measure> = measures.into_iter().collect();
    let p_of = |measure: &Measure| measure.change.and_then(|change| change.p_value);
    let given: Vec<f64> = measures.iter().filter_map(|measure| p_of(measure)).collect();
    // Checked before: each is a number from 0 to 1.
    let mut adjusted = holm(&given).unwrap_or_else(|_| vec![1.0; given.len()]).into_iter();
    // The same in the whole table where all are of one kind.
    let common = measures.iter().map(|measure| decimals_of(measure)).max().unwrap_or(0);
    let alike = measures
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a.unit == b.unit && a.better == b.better));
    measures
        .into_iter()
        .map(|measure| {
            let p_value = p_of(measure).and_then(|_| adjusted.next());
            Read {
                measure,
                verdict: verdict(measure, p_value, reading),
                p_value,
                adjusted_for: given.len(),
                decimals: if alike { common } else { decimals_of(measure) },
            }
        })
        .collect()
}

fn verdict(measure: &Measure, p_value: Option<f64>, reading: &Reading) -> Verdict {
    let (before, after) = (measure.before, measure.after);
    let Some(change) = difference(measure) else { return Verdict::NotMeasured };
    let rows = [before, after, measure.change].into_iter().flatten().filter_map(|e| e.n).min();
    if rows.is_some_and(|n| n < reading.smallest_n) {
        return Verdict::TooFew;
    }
    let Some([low, high]) = usable(change.interval) else { return Verdict::NoInterval };
    if !change.value.is_finite() {
        return Verdict::NoInterval;
    }
    let zero_inside = low <= 0.0 && high >= 0.0;
    if zero_inside || p_value.is_some_and(|p| p >= reading.alpha) {
        Verdict::NoDetectableChange
    } else if low > 0.0 {
        Verdict::Higher
    } else {
        Verdict::Lower
    }
}

/// The change, or the plain difference of the two numbers where they were not compared.
pub(crate) fn difference(measure: &Measure) -> Option<Estimate> {
    let plain = || Some(Estimate::new(measure.after?.value - measure.before?.value));
    measure.change.or_else(plain).filter(|change| !change.value.is_nan())
}

/// An interval that excludes something.
fn usable(interval: Option<[f64; 2]>) -> Option<[f64; 2]> {
    interval.filter(|[low, high]| low.is_finite() || high.is_finite())
}

fn decimals_of(measure: &Measure) -> usize {
    let ends = |estimate: Estimate| {
        [estimate.value].into_iter().chain(estimate.interval.into_iter().flatten())
    };
    let values: Vec<f64> =
        [measure.before, measure.after].into_iter().flatten().flat_map(ends).collect();
    decimals(&values, difference(measure).map(|change| change.value))
}

impl Read<'_> {
    /// What is found, as a sentence with its numbers.
    pub(crate) fn finding(&self, reading: &Reading) -> Finding {
        let name = one_line(&self.measure.name);
        let text = match self.verdict {
            Verdict::NotMeasured => self.absence(&name),
            _ => self.sentence(&name, reading),
        };
        Finding { about: name, verdict: self.verdict, text }
    }

    fn sentence(&self, name: &str, reading: &Reading) -> String {
        let numbers = self.numbers(reading);
        let change = difference(self.measure).map_or(f64::NAN, |change| change.value);
        match self.verdict {
            Verdict::Higher | Verdict::Lower => {
                let word = self.verdict.words();
                let good = match self.measure.better {
                    None => "",
                    Some(Better::Higher) => " Higher is better.",
                    Some(Better::Lower) => " Lower is better.",
                };
                let by = self.with_unit(fixed(change.abs(), self.decimals));
                format!("{name}: {word} after than before, by {by} ({numbers}).{good}")
            }
            Verdict::NoDetectableChange => {
                let change = self.with_unit(signed(change, self.decimals));
                format!("{name}: no detectable change ({change}; {numbers}).")
            }
            Verdict::TooFew => {
                let estimates = [self.measure.before, self.measure.after, self.measure.change];
                let n = estimates.into_iter().flatten().filter_map(|e| e.n).min().unwrap_or(0);
                let change = self.with_unit(signed(change, self.decimals));
                format!(
                    "{name}: too few rows to tell (n = {n}, at least {} are asked for); the \
                     difference is {change}.",
                    reading.smallest_n
                )
            }
            _ => {
                let change = self.with_unit(signed(change, self.decimals));
                format!(
                    "{name}: the difference is {change}, without an interval: nothing says whether \
                     it is more than chance."
                )
            }
        }
    }

    /// "95% interval 1.1 to 7.3, p = 0.012 adjusted for 7 comparisons".
    fn numbers(&self, reading: &Reading) -> String {
        let mut numbers = Vec::new();
        if let Some([low, high]) = difference(self.measure).and_then(|change| change.interval) {
            let [low, high] = [low, high].map(|end| signed(end, self.decimals));
            numbers.push(format!("{} interval {low} to {high}", level(reading)));
        }
        if let Some(p) = self.p_value {
            let adjusted = match self.adjusted_for {
                0 | 1 => String::new(),
                several => format!(" adjusted for {several} comparisons"),
            };
            numbers.push(format!("{}{adjusted}", p_value(p)));
        }
        numbers.join(", ")
    }

    fn absence(&self, name: &str) -> String {
        let missing = match (self.measure.before, self.measure.after) {
            (None, None) => "not measured",
            (None, Some(_)) => "not measured before",
            (Some(_), None) => "not measured after",
            (Some(_), Some(_)) => "measured, but not a number",
        };
        match &self.measure.absent {
            Some(why) => format!("{name}: {missing} ({}).", one_line(why)),
            None => format!("{name}: {missing}."),
        }
    }

    pub(crate) fn with_unit(&self, number: String) -> String {
        match self.measure.unit.as_deref() {
            None => number,
            Some("%") => format!("{number}%"),
            Some(unit) => format!("{number} {}", one_line(unit)),
        }
    }
}

/// What is found of many measures of one kind, in one sentence.
pub(crate) fn together(about: &str, kind: &str, read: &[Read<'_>], reading: &Reading) -> Finding {
    let mut verdicts: Vec<Verdict> = Vec::new();
    for found in read {
        if !verdicts.contains(&found.verdict) {
            verdicts.push(found.verdict);
        }
    }
    let parts: Vec<String> = verdicts
        .iter()
        .map(|verdict| {
            let of = read.iter().filter(|found| found.verdict == *verdict).count();
            format!("{} in {of} ({})", verdict.words(), runs(read, *verdict))
        })
        .collect();
    let verdict = if let [verdict] = verdicts[..] { verdict } else { Verdict::Mixed };
    let adjusted = match read.first().map_or(0, |found| found.adjusted_for) {
        0 | 1 => String::new(),
        several => format!(", p-values adjusted for {several} comparisons at {}", reading.alpha),
    };
    let text = format!("{about}, {} {kind}: {}{adjusted}.", read.len(), parts.join("; "));
    Finding { about: about.to_owned(), verdict, text }
}

/// Names of the measures with a verdict; of those that follow each other, the first and the last.
fn runs(read: &[Read<'_>], verdict: Verdict) -> String {
    let name = |found: &Read<'_>| one_line(&found.measure.name);
    let runs: Vec<String> = read
        .chunk_by(|a, b| a.verdict == b.verdict)
        .filter(|run| run.first().is_some_and(|found| found.verdict == verdict))
        .map(|run| match run {
            [first, _, .., last] => format!("{} to {}", name(first), name(last)),
            run => run.iter().map(name).collect::<Vec<_>>().join(", "),
        })
        .collect();
    runs.join(", ")
}

/// The level of intervals: "95%".
pub(crate) fn level(reading: &Reading) -> String {
    let percent = (reading.level * 1e4).round() / 100.0;
    format!("{percent}%")
}

/// Whether a single score can be told from none: not at α, or with an interval that reaches zero.
pub(crate) fn is_no_score(score: &Estimate, reading: &Reading) -> bool {
    score.p_value.is_some_and(|p| p >= reading.alpha)
        || score.interval.is_some_and(|[low, _]| low <= 0.0)
        || score.value <= 0.0
}
