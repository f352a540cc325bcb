use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};
use crate::recognize::form::RecordForm;

/// What a column of a data set is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Column {
    /// One text to be learned as it is.
    Text,
    /// The turns of a conversation.
    Messages,
    /// Tools that the conversation may call.
    Tools,
    /// A system turn that comes first.
    System,
    /// What is given.
    Prompt,
    /// What belongs to the prompt, such as the text to be summarized.
    Input,
    /// Earlier pairs of a user's and an assistant's turn.
    History,
    /// How to answer, in alignment-instruction sets.
    Instruction,
    /// What is to be learned.
    Completion,
    /// The preferred way to go on.
    Chosen,
    /// The other way to go on.
    Rejected,
    /// Whether the completion is wanted.
    Label,
}

const COLUMNS: [(Column, &str); 12] = [
    (Column::Text, "text"),
    (Column::Messages, "messages"),
    (Column::Tools, "tools"),
    (Column::System, "system"),
    (Column::Prompt, "prompt"),
    (Column::Input, "input"),
    (Column::History, "history"),
    (Column::Instruction, "instruction"),
    (Column::Completion, "completion"),
    (Column::Chosen, "chosen"),
    (Column::Rejected, "rejected"),
    (Column::Label, "label"),
];

impl fmt::Display for Column {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = COLUMNS.iter().find(|(column, _)| column == self).map_or("", |(_, name)| name);
        formatter.write_str(name)
    }
}

impl FromStr for Column {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self> {
        COLUMNS.iter().find(|(_, name)| *name == text).map(|(column, _)| *column).ok_or_else(|| {
            let names: Vec<&str> = COLUMNS.iter().map(|(_, name)| *name).collect();
            DataError::Setting {
                setting: "columns",
                message: format!("have no `{text}`; known are {}", names.join(", ")),
            }
        })
    }
}

/// What is known of a data set's columns, which recognition then does not have to find out.
///
/// ```
/// use collimate_data::{Column, ColumnMapping};
///
/// let mapping = ColumnMapping::default()
///     .with_column(Column::Prompt, "goal")
///     .with_column(Column::Completion, "target")
///     .with_role("teacher", "assistant");
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ColumnMapping {
    /// The form; by default the one that the columns tell.
    pub form: Option<RecordForm>,
    /// The data set's own names of columns.
    pub columns: BTreeMap<Column, String>,
    /// What the data set's names of roles mean in a chat template: `teacher` is `assistant`.
    pub roles: BTreeMap<String, String>,
    /// The key of a turn's role; by default `role` or `from`.
    pub role_key: Option<String>,
    /// The key of a turn's content; by default `content` or `value`.
    pub content_key: Option<String>,
}

impl ColumnMapping {
    /// Says the form.
    pub fn with_form(mut self, form: RecordForm) -> Self {
        self.form = Some(form);
        self
    }

    /// Says which of the data set's columns is `column`.
    pub fn with_column(mut self, column: Column, name: impl Into<String>) -> Self {
        self.columns.insert(column, name.into());
        self
    }

    /// Says what a role is called in a chat template.
    pub fn with_role(mut self, name: impl Into<String>, role: impl Into<String>) -> Self {
        self.roles.insert(name.into(), role.into());
        self
    }

    /// Says under which keys a turn has its role and its content.
    pub fn with_turn_keys(mut self, role: impl Into<String>, content: impl Into<String>) -> Self {
        self.role_key = Some(role.into());
        self.content_key = Some(content.into());
        self
    }

    /// Reads `column=name,column=name`, as it is written on a command line.
    ///
    /// ```
    /// # use collimate_data::{Column, ColumnMapping};
    /// let mapping = ColumnMapping::default().with_pairs("prompt=goal, completion=target")?;
    /// assert_eq!(mapping.columns[&Column::Prompt], "goal");
    /// assert!(ColumnMapping::default().with_pairs("question=goal").is_err());
    /// # Ok::<(), collimate_data::DataError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A column is unknown, or a pair has no `=`.
    pub fn with_pairs(mut self, pairs: &str) -> Result<Self> {
        for pair in pairs.split(',') {
            let Some((column, name)) = pair.split_once('=') else {
                return Err(DataError::Setting {
                    setting: "columns",
                    message: format!("have no `=` in `{}`; write column=name", pair.trim()),
                });
            };
            self.columns.insert(column.trim().parse()?, name.trim().to_owned());
        }
        Ok(self)
    }
}
