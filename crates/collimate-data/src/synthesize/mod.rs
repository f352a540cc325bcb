//! Records made from templates with slots, and completions for them.

mod config;
mod filter;
mod permutation;
mod template;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{DataError, Result};
use crate::order::{Purpose, Stream};
use crate::record::{Origin, Position, Record};
use filter::{Filter, Seen};
use permutation::Permutation;
use template::Template;

pub use config::{SlotTemplate, SynthesisConfig};
pub use filter::{Characters, FilterReason};

/// Combinations that are tried in vain, one after the other, before drawing gives up.
const PATIENCE: u64 = 1_000_000;

/// Makes records from templates. Made by [`SynthesisConfig::check`].
///
/// ```
/// use collimate_data::{SlotTemplate, SynthesisConfig};
///
/// let synthesizer = SynthesisConfig::default()
///     .with_template(SlotTemplate::new("Let me explain {concept} to you.").with_field("axiom", "Wisdom"))
///     .with_slot("concept", ["gravity", "osmosis"])
///     .check()?;
/// let (records, report) = synthesizer.run()?;
/// assert_eq!(records[1].fields["input"], "Let me explain osmosis to you.");
/// assert_eq!(records[1].fields["axiom"], "Wisdom");
/// assert_eq!(report.kept, 2);
/// # Ok::<(), collimate_data::DataError>(())
/// ```
pub struct Synthesizer {
    config: SynthesisConfig,
    sources: Vec<Source>,
    combinations: u64,
    filter: Filter,
}

/// A template and its number of texts.
struct Source {
    template: Template,
    size: u64,
    fields: BTreeMap<String, String>,
}

impl Synthesizer {
    /// Number of combinations of templates and slot values.
    #[must_use]
    pub fn combinations(&self) -> u64 {
        self.combinations
    }

    /// Makes all texts in order, or draws as many as wanted. A text in a record stands in the
    /// configured column, the number of its template, counted from 1, in `template`, unless that
    /// is one of the template's own fields.
    ///
    /// # Errors
    /// [`DataError::Setting`] where fewer texts than wanted pass the filters.
    pub fn run(&self) -> Result<(Vec<Record>, SynthesisReport)> {
        let order =
            self.config.count.map(|_| Permutation::new(self.combinations, self.config.seed));
        let wanted = self.config.count.unwrap_or(usize::MAX);
        let (mut records, mut seen) = (Vec::new(), Seen::default());
        let mut report = SynthesisReport { combinations: self.combinations, ..Default::default() };
        let file: Arc<Path> = Path::new("synthesized").into();
        let mut in_vain = 0;
        while records.len() < wanted && report.tried < self.combinations {
            if order.is_some() && in_vain == PATIENCE {
                break;
            }
            let number = order.as_ref().map_or(report.tried, |order| order.at(report.tried));
            report.tried += 1;
            in_vain += 1;
            let Some((text, fields)) = self.text(number) else { continue };
            if self.filter.keeps(&text, &mut seen) {
                in_vain = 0;
                let position = Position::Element(records.len() as u64 + 1);
                let origin = Origin { file: file.clone(), position };
                let mut all = Map::new();
                all.insert(self.config.column.clone(), Value::String(text));
                all.extend(fields);
                records.push(Record::new(all, origin));
            }
        }
        report.kept = records.len() as u64;
        report.dropped = seen.dropped;
        match self.config.count {
            Some(count) if records.len() < count => Err(DataError::Setting {
                setting: "count",
                message: format!(
                    "is {count}, but of {} combinations tried only {} passed the filters; dropped: \
                     {:?}",
                    report.tried, report.kept, report.dropped
                ),
            }),
            _ => Ok((records, report)),
        }
    }

    /// The text of a combination, and its further fields.
    fn text(&self, mut number: u64) -> Option<(String, Map<String, Value>)> {
        for (index, source) in (1_u64..).zip(&self.sources) {
            if number >= source.size {
                number -= source.size;
                continue;
            }
            // The last slot changes fastest.
            let mut values = Vec::with_capacity(source.template.slots.len());
            for slot in source.template.slots.iter().rev() {
                let of_slot = self.config.slots.get(slot)?;
                let value = of_slot.get((number % of_slot.len() as u64) as usize)?;
                number /= of_slot.len() as u64;
                values.push(value.as_str());
            }
            values.reverse();
            let mut fields = Map::new();
            fields.insert("template".to_owned(), index.into());
            fields.extend(source.fields.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))));
            return Some((source.template.fill(&values), fields));
        }
        None
    }
}

/// What synthesis came to.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SynthesisReport {
    /// Combinations of templates and slot values.
    pub combinations: u64,
    /// Combinations that were looked at.
    pub tried: u64,
    /// Texts that passed the filters.
    pub kept: u64,
    /// Texts that did not, by the first filter that dropped them.
    pub dropped: BTreeMap<FilterReason, u64>,
}

/// Writes what follows a prompt: a language model, or a stand-in for one.
pub trait Generator {
    /// What follows `prompt`. The same prompt and seed give the same text.
    ///
    /// # Errors
    /// Whatever keeps the generator from writing.
    fn complete(&mut self, prompt: &str, seed: u64) -> Result<String>;
}

/// Every function of a prompt and a seed is a generator.
impl<F: FnMut(&str, u64) -> Result<String>> Generator for F {
    fn complete(&mut self, prompt: &str, seed: u64) -> Result<String> {
        self(prompt, seed)
    }
}

/// Has a generator write a completion for each record, into the column `completion`. Every record
/// gets a seed of its own, which its place and `seed` determine.
///
/// ```
/// # use collimate_data::{SlotTemplate, SynthesisConfig, Result, complete_records};
/// # let config = SynthesisConfig::default().with_template(SlotTemplate::new("Who?"));
/// # let (mut records, _) = config.check()?.run()?;
/// let mut echo = |prompt: &str, _seed: u64| -> Result<String> { Ok(prompt.to_uppercase()) };
/// complete_records(&mut records, "input", "completion", &mut echo, 42)?;
/// assert_eq!(records[0].fields["completion"], "WHO?");
/// # Ok::<(), collimate_data::DataError>(())
/// ```
///
/// # Errors
/// [`DataError::Field`] for a record without text in the column `prompt`, or with a completion
/// already; whatever keeps the generator from writing.
pub fn complete_records(
    records: &mut [Record],
    prompt: &str,
    completion: &str,
    generator: &mut impl Generator,
    seed: u64,
) -> Result<()> {
    let mut seeds = Stream::new(seed, Purpose::Synthesis, 1);
    for record in records {
        let wrong = |field: &str, message: &str| DataError::Field {
            origin: record.origin.clone(),
            field: field.to_owned(),
            message: message.to_owned(),
        };
        if record.fields.contains_key(completion) {
            return Err(wrong(completion, "is there already; it would be overwritten"));
        }
        let text = record.fields.get(prompt).and_then(Value::as_str);
        let text = text.ok_or_else(|| wrong(prompt, "is missing or not text"))?;
        let written = generator.complete(text, seeds.next())?;
        record.fields.insert(completion.to_owned(), Value::String(written));
    }
    Ok(())
}
