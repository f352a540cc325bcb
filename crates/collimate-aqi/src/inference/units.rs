//! The units of inference: single rows, or groups of dependent rows.

use crate::error::{AqiError, Result};
use crate::labels::Labels;

/// Rows partitioned into units that are resampled, permuted and left out as a whole.
pub(crate) struct Units<'a> {
    labels: &'a Labels,
    groups: Option<&'a Labels>,
    /// Rows of each unit, ascending.
    rows: Vec<Vec<usize>>,
}

impl<'a> Units<'a> {
    pub(crate) fn new(labels: &'a Labels, groups: Option<&'a Labels>) -> Self {
        let rows = match groups {
            None => (0..labels.len()).map(|row| vec![row]).collect(),
            Some(groups) => by_code(groups.codes(), groups.class_count()),
        };
        Self { labels, groups, rows }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn rows(&self) -> &[Vec<usize>] {
        &self.rows
    }

    /// The label of each unit, which all of its rows must share; else the unit and two rows
    /// that differ.
    fn shared(&self, labels: &Labels) -> Result<Vec<usize>, (usize, usize, usize)> {
        let codes = labels.codes();
        let of_unit = |(unit, rows): (usize, &Vec<usize>)| match rows
            .iter()
            .find(|&&row| codes[row] != codes[rows[0]])
        {
            None => Ok(codes[rows[0]]),
            Some(&other) => Err((unit, rows[0], other)),
        };
        self.rows.iter().enumerate().map(of_unit).collect()
    }

    fn group(&self, unit: usize) -> String {
        self.groups.map_or_else(|| unit.to_string(), |groups| groups.classes()[unit].clone())
    }

    /// The class of every unit.
    ///
    /// # Errors
    /// [`AqiError::GroupSpansClasses`].
    pub(crate) fn classes(&self) -> Result<Vec<usize>> {
        self.shared(self.labels).map_err(|(unit, a, b)| AqiError::GroupSpansClasses {
            group: self.group(unit),
            a: self.labels.name(a).to_owned(),
            b: self.labels.name(b).to_owned(),
        })
    }

    /// The units of each axiom.
    ///
    /// # Errors
    /// [`AqiError::GroupSpansAxioms`].
    pub(crate) fn within(&self, axioms: &Labels) -> Result<Vec<Vec<usize>>> {
        let of_unit = self.shared(axioms).map_err(|(unit, a, b)| AqiError::GroupSpansAxioms {
            group: self.group(unit),
            a: axioms.name(a).to_owned(),
            b: axioms.name(b).to_owned(),
        })?;
        Ok(by_code(&of_unit, axioms.class_count()))
    }

    /// Whether every unit lies within one class.
    pub(crate) fn nested(&self) -> bool {
        self.shared(self.labels).is_ok()
    }

    /// The strata within which units are exchangeable draws: one for each class where every
    /// unit lies within a class, else a single one.
    pub(crate) fn strata(&self) -> Vec<Vec<usize>> {
        match self.shared(self.labels) {
            Ok(classes) => by_code(&classes, self.labels.class_count()),
            Err(_) => vec![(0..self.len()).collect()],
        }
    }
}

/// The positions of each code.
fn by_code(codes: &[usize], count: usize) -> Vec<Vec<usize>> {
    let mut positions = vec![Vec::new(); count];
    for (position, &code) in codes.iter().enumerate() {
        positions[code].push(position);
    }
    positions
}
