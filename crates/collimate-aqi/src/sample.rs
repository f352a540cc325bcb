//! Embeddings together with what is known about each row.

use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::labels::Labels;
use ndarray::{Array2, ArrayView2, Axis};
use std::collections::HashMap;

/// Embeddings, `[n, d]`, with a class label for each row and, where known, prompt ids, groups
/// of dependent rows and axioms.
///
/// ```
/// use collimate_aqi::{Labels, Sample};
/// use ndarray::array;
/// let rows = array![[0.0], [2.0], [10.0], [12.0]];
/// let labels = Labels::new(["safe", "safe", "unsafe", "unsafe"])?;
/// let paraphrases_of = Labels::new(["q1", "q1", "q2", "q3"])?;
/// let sample = Sample::new(rows.view(), &labels)?.with_groups(&paraphrases_of)?;
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Debug)]
pub struct Sample<'a, F: Element> {
    pub(crate) rows: ArrayView2<'a, F>,
    pub(crate) labels: &'a Labels,
    pub(crate) groups: Option<&'a Labels>,
    pub(crate) axioms: Option<&'a Labels>,
    pub(crate) ids: Option<&'a [String]>,
}

impl<F: Element> Clone for Sample<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Element> Copy for Sample<'_, F> {}

impl<'a, F: Element> Sample<'a, F> {
    /// A sample of independent rows.
    ///
    /// # Errors
    /// [`AqiError::Empty`], [`AqiError::ZeroDim`], [`AqiError::Shape`] if there is not one label
    /// for each row.
    pub fn new(rows: ArrayView2<'a, F>, labels: &'a Labels) -> Result<Self> {
        if rows.nrows() == 0 {
            return Err(AqiError::Empty);
        }
        if rows.ncols() == 0 {
            return Err(AqiError::ZeroDim);
        }
        labels.check_len(rows.nrows())?;
        Ok(Self { rows, labels, groups: None, axioms: None, ids: None })
    }

    /// Declares rows that depend on each other, such as paraphrases of one prompt or several
    /// generations for it: rows of one group are resampled, permuted and left out together.
    ///
    /// # Errors
    /// [`AqiError::Shape`] if there is not one group for each row.
    pub fn with_groups(mut self, groups: &'a Labels) -> Result<Self> {
        self.check("groups", groups.len())?;
        self.groups = Some(groups);
        Ok(self)
    }

    /// Declares the axiom, or any other stratum, of each row. Labels are permuted within axioms,
    /// and each axiom gets a report of its own.
    ///
    /// # Errors
    /// [`AqiError::Shape`] if there is not one axiom for each row.
    pub fn with_axioms(mut self, axioms: &'a Labels) -> Result<Self> {
        self.check("axioms", axioms.len())?;
        self.axioms = Some(axioms);
        Ok(self)
    }

    /// Names each row, so that two samples of the same prompts can be paired.
    ///
    /// # Errors
    /// [`AqiError::Shape`] if there is not one id for each row, [`AqiError::DuplicateId`].
    pub fn with_ids(mut self, ids: &'a [String]) -> Result<Self> {
        self.check("ids", ids.len())?;
        let mut seen = HashMap::with_capacity(ids.len());
        for (second, id) in ids.iter().enumerate() {
            if let Some(first) = seen.insert(id, second) {
                return Err(AqiError::DuplicateId { id: id.clone(), first, second });
            }
        }
        self.ids = Some(ids);
        Ok(self)
    }

    fn check(&self, what: &'static str, found: usize) -> Result<()> {
        let expected = self.rows.nrows();
        if found == expected { Ok(()) } else { Err(AqiError::Shape { what, expected, found }) }
    }

    /// The same labels, groups, axioms and ids for other coordinates of the same rows.
    pub(crate) fn with_rows<'b, G: Element>(&self, rows: ArrayView2<'b, G>) -> Sample<'b, G>
    where
        'a: 'b,
    {
        let Self { labels, groups, axioms, ids, .. } = *self;
        Sample { rows, labels, groups, axioms, ids }
    }

    pub(crate) fn without_axioms(self) -> Self {
        Self { axioms: None, ..self }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.nrows()
    }

    /// False: a sample always has a row. Here because [`len`](Self::len) is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.nrows() == 0
    }
}

/// Some rows of a [`Sample`], copied.
#[derive(Debug)]
pub(crate) struct Subset<F> {
    rows: Array2<F>,
    labels: Labels,
    groups: Option<Labels>,
    axioms: Option<Labels>,
    ids: Option<Vec<String>>,
}

impl<F: Element> Subset<F> {
    pub(crate) fn of(sample: &Sample<'_, F>, rows: &[usize]) -> Result<Self> {
        let select = |labels: Option<&Labels>| labels.map(|l| l.select(rows)).transpose();
        Ok(Self {
            labels: sample.labels.select(rows)?,
            groups: select(sample.groups)?,
            axioms: select(sample.axioms)?,
            ids: sample.ids.map(|ids| rows.iter().map(|&row| ids[row].clone()).collect()),
            rows: sample.rows.select(Axis(0), rows),
        })
    }

    /// Adopts the groups and axioms of another subset of the same rows.
    pub(crate) fn take_groups<G>(&mut self, other: &Subset<G>) {
        self.groups.clone_from(&other.groups);
        self.axioms.clone_from(&other.axioms);
    }

    pub(crate) fn sample(&self) -> Sample<'_, F> {
        Sample {
            rows: self.rows.view(),
            labels: &self.labels,
            groups: self.groups.as_ref(),
            axioms: self.axioms.as_ref(),
            ids: self.ids.as_deref(),
        }
    }
}
