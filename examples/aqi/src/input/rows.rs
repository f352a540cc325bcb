//! What is known about each row: labels, ids, axioms, groups.

use super::column::{self, Column};
use crate::arguments::Arguments;
use crate::failure::{Failure, Result};
use collimate_aqi::{AqiError, Element, Labels, Sample};
use ndarray::ArrayView2;
use std::path::{Path, PathBuf};

/// The files that describe one set of rows.
#[derive(Clone, Debug, Default)]
pub struct RowFiles {
    pub labels: Option<PathBuf>,
    pub ids: Option<PathBuf>,
    pub axioms: Option<PathBuf>,
    pub groups: Option<PathBuf>,
}

impl RowFiles {
    /// Those of all rows, or of those before.
    pub fn of_all(arguments: &Arguments) -> Self {
        let Arguments { labels, ids, axioms, groups, .. } = arguments.clone();
        Self { labels, ids, axioms, groups }
    }

    /// Those of the rows after: their own, or those of the rows before, which they then share.
    pub fn of_after(arguments: &Arguments) -> Self {
        if arguments.ids_after.is_none() {
            return Self::of_all(arguments);
        }
        let Arguments { labels_after, ids_after, axioms_after, groups_after, .. } =
            arguments.clone();
        Self { labels: labels_after, ids: ids_after, axioms: axioms_after, groups: groups_after }
    }
}

/// What is known about each row.
#[derive(Clone, Debug)]
pub struct Rows {
    pub labels: Labels,
    pub ids: Option<Vec<String>>,
    pub axioms: Option<Labels>,
    pub groups: Option<Labels>,
    /// Where they come from, for messages.
    pub files: RowFiles,
}

impl Rows {
    /// Reads the files that describe the rows of `embeddings`, of which there are `count`.
    pub fn read(
        files: &RowFiles,
        safe: Option<&str>,
        embeddings: &Path,
        count: usize,
    ) -> Result<Self> {
        let read = |file: &Option<PathBuf>, names: &[&str]| {
            let column = file.as_deref().map(|file| column::read(file, names)).transpose()?;
            column.map(|column| check_count(column, embeddings, count)).transpose()
        };
        let parse = |column: Column| {
            Labels::new(column.values).map_err(|error| Failure::in_file(&column.file, error))
        };
        let labels = read(&files.labels, &["label", "labels", "safety_label", "class"])?
            .ok_or_else(|| Failure::Input("embeddings need --labels FILE".to_owned()))?;
        let file = labels.file.clone();
        let mut labels = parse(labels)?;
        if let Some(safe) = safe {
            labels = labels
                .with_safe(safe)
                .map_err(|error| Failure::in_file(&file, format!("--safe: {error}")))?;
        }
        let ids = read(&files.ids, &["id", "ids", "prompt_id"])?.map(|ids| ids.values);
        let axioms = read(&files.axioms, &["axiom", "axioms", "stratum"])?.map(parse);
        let groups = read(&files.groups, &["group", "groups", "group_id"])?.map(parse);
        let (axioms, groups) = (axioms.transpose()?, groups.transpose()?);
        Ok(Self { labels, ids, axioms, groups, files: files.clone() })
    }

    /// Numbers as ids, for rows that are paired by position.
    pub fn with_positions_as_ids(mut self) -> Self {
        self.ids = Some((0..self.labels.len()).map(|row| row.to_string()).collect());
        self
    }

    /// The same of some rows.
    pub fn select(&self, rows: &[usize]) -> collimate_aqi::Result<Self> {
        let select =
            |labels: &Option<Labels>| labels.as_ref().map(|labels| labels.select(rows)).transpose();
        let ids = self.ids.as_ref();
        Ok(Self {
            labels: self.labels.select(rows)?,
            ids: ids.map(|ids| rows.iter().map(|&row| ids[row].clone()).collect()),
            axioms: select(&self.axioms)?,
            groups: select(&self.groups)?,
            files: self.files.clone(),
        })
    }

    /// A sample of these rows with some embeddings.
    pub fn sample<'a, F: Element>(
        &'a self,
        rows: ArrayView2<'a, F>,
    ) -> collimate_aqi::Result<Sample<'a, F>> {
        let mut sample = Sample::new(rows, &self.labels)?;
        if let Some(groups) = &self.groups {
            sample = sample.with_groups(groups)?;
        }
        if let Some(axioms) = &self.axioms {
            sample = sample.with_axioms(axioms)?;
        }
        match &self.ids {
            Some(ids) => sample.with_ids(ids),
            None => Ok(sample),
        }
    }

    /// The failure that an error of the library is, with the file that caused it.
    pub fn failure(&self, embeddings: &Path, error: AqiError) -> Failure {
        let file = match error {
            AqiError::NotConverged { .. } => return Failure::Other(error.to_string()),
            AqiError::DuplicateId { .. } | AqiError::NoCommonIds => self.files.ids.as_deref(),
            AqiError::GroupSpansClasses { .. } | AqiError::GroupSpansAxioms { .. } => {
                self.files.groups.as_deref()
            }
            AqiError::SingleClass { .. }
            | AqiError::EmptyClass { .. }
            | AqiError::TooFewSamples { .. }
            | AqiError::NeedTwoPerClass { .. }
            | AqiError::NeedThreePerClass { .. }
            | AqiError::TwoClasses { .. }
            | AqiError::LabelChanged { .. }
            | AqiError::PartTooSmall { .. } => self.files.labels.as_deref(),
            _ => Some(embeddings),
        };
        Failure::in_file(file.unwrap_or(embeddings), error)
    }
}

fn check_count(column: Column, embeddings: &Path, count: usize) -> Result<Column> {
    let found = column.values.len();
    if found == count {
        return Ok(column);
    }
    let hint = if column.has_header && found + 1 == count {
        "its first line was taken as the header, so add one"
    } else {
        "pass one value for each row"
    };
    Err(Failure::Input(format!(
        "{} has {found} values, {} has {count} rows: {hint}",
        column.file.display(),
        embeddings.display()
    )))
}
