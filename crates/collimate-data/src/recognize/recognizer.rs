use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{DataError, Result};
use crate::read::kind;
use crate::recognize::form::{OUTRANKS, RecordForm, RecordKind, SIGNATURES, Signature};
use crate::recognize::mapping::{Column, ColumnMapping};
use crate::recognize::{transcript, turns};
use crate::record::Record;

/// Which form is meant where the mapping names columns that several forms have.
const MAPPED_FIRST: [RecordForm; 8] = [
    RecordForm::Transcripts,
    RecordForm::Messages,
    RecordForm::ShareGpt,
    RecordForm::PromptCompletion,
    RecordForm::Preference,
    RecordForm::QuestionAnswer,
    RecordForm::Instruction,
    RecordForm::InstructionPreference,
];

/// Finds out what records mean from their columns.
///
/// ```
/// use collimate_data::{ColumnMapping, Content, ReadSettings, Recognizer, RecordForm, Source};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("train.jsonl");
/// std::fs::write(&path, r#"{"instruction": "Add.", "input": "2 + 2", "output": "4"}"#)?;
///
/// let records = Source::open([&path])?.records(&ReadSettings::default())?;
/// let records: Vec<_> = records.collect::<Result<_, _>>()?;
/// let recognition = Recognizer::new(ColumnMapping::default()).recognize(&records)?;
/// assert_eq!(recognition.form, RecordForm::Instruction);
///
/// let example = recognition.example(&records[0])?;
/// assert!(matches!(example.content, Content::PromptCompletion { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Recognizer {
    mapping: ColumnMapping,
}

/// What records mean: made from the first of them, it holds for all.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Recognition {
    /// How the data set writes its records.
    pub form: RecordForm,
    /// What they are for.
    pub kind: RecordKind,
    /// The data set's own names of the columns that are used.
    pub columns: BTreeMap<Column, String>,
    /// Its other columns.
    pub unused: Vec<String>,
    /// What was recognized and by what, in words.
    pub why: String,
    #[serde(skip)]
    pub(crate) mapping: ColumnMapping,
}

impl Recognizer {
    /// Recognition that goes by this mapping where it says something.
    pub fn new(mapping: ColumnMapping) -> Self {
        Self { mapping }
    }

    /// Recognizes records by their columns; a hundred are enough.
    ///
    /// # Errors
    ///
    /// There is no record; the columns fit no form, or several; the mapping names a column that
    /// does not exist.
    pub fn recognize(&self, records: &[Record]) -> Result<Recognition> {
        let Some(first) = records.first() else {
            return Err(DataError::Setting {
                setting: "records",
                message: "are none: there is nothing to recognize".to_owned(),
            });
        };
        let failed =
            |message: String| DataError::Unrecognized { origin: first.origin.clone(), message };
        let fields = Fields::of(records);
        for (column, name) in &self.mapping.columns {
            if !fields.first.contains_key(name) {
                let message =
                    format!("there is no column `{name}` for {column}; found {}", fields.told());
                return Err(failed(message));
            }
        }

        let mut matches: Vec<Match> = Vec::new();
        for signature in SIGNATURES {
            if self.mapping.form.is_some_and(|form| form != signature.form) {
                continue;
            }
            if let Some(columns) = fields.columns(signature, &self.mapping)
                && !matches.iter().any(|known| known.form == signature.form)
            {
                matches.push(Match { form: signature.form, columns });
            }
        }
        let forms: Vec<RecordForm> = matches.iter().map(|found| found.form).collect();
        matches.retain(|found| {
            !OUTRANKS.iter().any(|(more, less)| *less == found.form && forms.contains(more))
        });
        if matches.len() > 1 && !self.mapping.columns.is_empty() {
            let rank = |form| MAPPED_FIRST.iter().position(|known| *known == form);
            matches.sort_by_key(|found| rank(found.form).unwrap_or(MAPPED_FIRST.len()));
            matches.truncate(1);
        }
        let found = match (matches.pop(), matches.is_empty()) {
            (Some(found), true) => found,
            (Some(last), false) => {
                matches.push(last);
                let told: Vec<String> = matches.iter().map(Match::told).collect();
                return Err(failed(format!(
                    "the columns fit {}; say which form is meant, or map the columns",
                    told.join(", and ")
                )));
            }
            (None, _) => return Err(failed(self.impossible(&fields))),
        };
        Ok(self.recognition(found, &fields))
    }

    fn recognition(&self, found: Match, fields: &Fields<'_>) -> Recognition {
        let used: BTreeSet<&String> = found.columns.values().collect();
        let unused: Vec<String> =
            fields.first.keys().filter(|name| !used.contains(name)).cloned().collect();
        let labelled = found.columns.contains_key(&Column::Label);
        let kind = match found.form {
            RecordForm::Text => RecordKind::Text,
            _ if labelled => RecordKind::Unpaired,
            RecordForm::Messages | RecordForm::ShareGpt => RecordKind::Conversation,
            RecordForm::PromptCompletion | RecordForm::Instruction | RecordForm::QuestionAnswer => {
                RecordKind::PromptCompletion
            }
            RecordForm::Unpaired => RecordKind::Unpaired,
            RecordForm::Preference
            | RecordForm::Transcripts
            | RecordForm::InstructionPreference
            | RecordForm::ConversationPreference
            | RecordForm::AlignmentInstruction => RecordKind::Preference,
        };
        let mut why = found.told();
        if !unused.is_empty() {
            why = format!("{why}; not used: `{}`", unused.join("`, `"));
        }
        Recognition {
            form: found.form,
            kind,
            columns: found.columns,
            unused,
            why,
            mapping: self.mapping.clone(),
        }
    }

    fn impossible(&self, fields: &Fields<'_>) -> String {
        if let Some(form) = self.mapping.form {
            let needs: Vec<String> =
                SIGNATURES.iter().filter(|known| known.form == form).map(needs).collect();
            return format!(
                "they are to be {}, which need {}; found {}; map the columns",
                form.description(),
                needs.join(", or "),
                fields.told()
            );
        }
        let mut known: Vec<String> = SIGNATURES.iter().map(needs).collect();
        known.dedup();
        format!(
            "the columns fit no known form; found {}; known are {}; map the columns",
            fields.told(),
            known.join("; ")
        )
    }
}

/// A form that fits, with its columns.
struct Match {
    form: RecordForm,
    columns: BTreeMap<Column, String>,
}

impl Match {
    fn told(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|(column, name)| match column.to_string() {
                same if same == *name => format!("`{name}`"),
                column => format!("`{name}` as {column}"),
            })
            .collect();
        format!("{} ({})", self.form.description(), columns.join(", "))
    }
}

/// The columns of the first records, in the order of the file.
struct Fields<'a> {
    /// The first value of each that is not null.
    first: Map<String, Value>,
    records: &'a [Record],
}

impl<'a> Fields<'a> {
    fn of(records: &'a [Record]) -> Self {
        let mut first: Map<String, Value> = Map::new();
        for record in records {
            for (name, value) in &record.fields {
                match first.get_mut(name) {
                    Some(known) if known.is_null() => *known = value.clone(),
                    Some(_) => {}
                    None => {
                        first.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        Self { first, records }
    }

    /// The columns of a form, where it fits.
    fn columns(
        &self,
        signature: &Signature,
        mapping: &ColumnMapping,
    ) -> Option<BTreeMap<Column, String>> {
        let wanted = || signature.needs.iter().chain(signature.takes);
        // A column that the user names has to be of use.
        if mapping.columns.keys().any(|column| !wanted().any(|(wanted, _)| wanted == column)) {
            return None;
        }
        // With a prompt of its own, the conversation beside it is another spelling of the record.
        if signature.form == RecordForm::ConversationPreference
            && self.find(Column::Prompt, &["prompt"], mapping).is_some()
        {
            return None;
        }
        let mut columns = BTreeMap::new();
        for (column, names) in signature.needs {
            let name = self.find(*column, names, mapping)?;
            if !self.fits(signature.form, *column, name) {
                return None;
            }
            columns.insert(*column, name.to_owned());
        }
        for (column, names) in signature.takes {
            if let Some(name) = self.find(*column, names, mapping)
                && (mapping.columns.contains_key(column)
                    || self.fits(signature.form, *column, name))
            {
                columns.insert(*column, name.to_owned());
            }
        }
        Some(columns)
    }

    fn find<'b>(
        &'b self,
        column: Column,
        names: &[&str],
        mapping: &'b ColumnMapping,
    ) -> Option<&'b str> {
        if let Some(name) = mapping.columns.get(&column) {
            return Some(name);
        }
        names.iter().find_map(|wanted| {
            let exact = self.first.keys().find(|name| name.as_str() == *wanted);
            let found = exact.or_else(|| self.first.keys().find(|name| plain(name) == *wanted))?;
            // What the user named for something else is taken.
            let taken = mapping.columns.values().any(|mapped| mapped == found);
            (!taken).then_some(found.as_str())
        })
    }

    /// Whether the values of a column can be what a form has there.
    fn fits(&self, form: RecordForm, column: Column, name: &str) -> bool {
        let Some(value) = self.first.get(name) else { return false };
        if value.is_null() {
            // Not known: the records will tell.
            return !matches!(form, RecordForm::ShareGpt | RecordForm::Transcripts)
                && column != Column::Label;
        }
        match (column, form) {
            (Column::Label, _) => self
                .records
                .iter()
                .all(|record| record.fields.get(name).is_none_or(|value| label(value).is_some())),
            (Column::Messages, RecordForm::ShareGpt) => turns::is_sharegpt(value),
            (Column::Messages, _) => {
                (is_list(value) || turns::are_turns(value))
                    && (form == RecordForm::ConversationPreference || !turns::is_sharegpt(value))
            }
            (_, RecordForm::Transcripts) => value.as_str().is_some_and(transcript::is_transcript),
            (Column::Tools | Column::History, _) => true,
            (
                Column::Prompt | Column::Completion,
                RecordForm::PromptCompletion | RecordForm::Unpaired | RecordForm::Preference,
            )
            | (Column::Chosen | Column::Rejected, _) => {
                value.is_string() || turns::are_turns(value)
            }
            _ => value.is_string(),
        }
    }

    fn told(&self) -> String {
        if self.first.is_empty() {
            return "no column".to_owned();
        }
        let shown = self.first.iter().take(30);
        let mut told: Vec<String> =
            shown.map(|(name, value)| format!("`{name}` ({})", kind(value))).collect();
        if self.first.len() > told.len() {
            told.push(format!("and {} more", self.first.len() - told.len()));
        }
        told.join(", ")
    }
}

/// What a label says, where it is one.
pub(crate) fn label(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(label) => Some(*label),
        Value::Number(number) => match number.as_u64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Value::String(text) => match text.as_str() {
            "true" | "True" | "TRUE" | "1" => Some(true),
            "false" | "False" | "FALSE" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn is_list(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim_ascii_start().starts_with('['))
}

/// A column's name as the signatures write it.
fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

fn needs(signature: &Signature) -> String {
    let names: Vec<String> = signature
        .needs
        .iter()
        .map(|(_, names)| format!("`{}`", names.first().copied().unwrap_or_default()))
        .collect();
    names.join(" + ")
}
