//! Class labels: names, codes, and which class is the safe one.

use crate::error::{AqiError, Result};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Display;

/// One class label for each row.
///
/// Classes are the sorted distinct values, by number where all of them are numbers, else by
/// text; a row stores the index of its class. Every class has at least one row.
///
/// ```
/// use collimate_aqi::Labels;
/// let labels = Labels::new(["unsafe", "safe", "safe"])?.with_safe("safe")?;
/// assert_eq!(labels.classes(), ["safe", "unsafe"]);
/// assert_eq!(labels.codes(), [1, 0, 0]);
/// assert_eq!(labels.counts(), [2, 1]);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Labels {
    classes: Vec<String>,
    codes: Vec<usize>,
    safe: Option<usize>,
}

impl Labels {
    /// Labels from any printable values: strings, integers, booleans.
    ///
    /// # Errors
    /// [`AqiError::Empty`] without a label.
    pub fn new<I>(values: I) -> Result<Self>
    where
        I: IntoIterator,
        I::Item: Display,
    {
        let values: Vec<String> = values.into_iter().map(|v| v.to_string()).collect();
        if values.is_empty() {
            return Err(AqiError::Empty);
        }
        let distinct: BTreeSet<&String> = values.iter().collect();
        let mut classes: Vec<String> = distinct.into_iter().cloned().collect();
        let number = |name: &String| name.parse::<f64>().ok().filter(|v| !v.is_nan());
        if classes.iter().all(|name| number(name).is_some()) {
            classes.sort_by(|a, b| {
                let (x, y) = (number(a).unwrap_or(0.0), number(b).unwrap_or(0.0));
                x.total_cmp(&y).then_with(|| a.cmp(b))
            });
        }
        let index: std::collections::HashMap<&str, usize> =
            classes.iter().enumerate().map(|(code, name)| (name.as_str(), code)).collect();
        let codes = values.iter().map(|value| index[value.as_str()]).collect();
        Ok(Self { classes, codes, safe: None })
    }

    /// Two classes named `safe` and `unsafe`, with `safe` declared as the safe one.
    ///
    /// # Errors
    /// [`AqiError::Empty`] without a flag.
    pub fn from_safe(flags: &[bool]) -> Result<Self> {
        let labels = Self::new(flags.iter().map(|&safe| if safe { "safe" } else { "unsafe" }))?;
        let safe = labels.code("safe");
        Ok(Self { safe, ..labels })
    }

    /// Declares which class is the safe one. Nothing is assumed about the others.
    ///
    /// # Errors
    /// [`AqiError::UnknownClass`] if no row has that label.
    pub fn with_safe(mut self, class: &str) -> Result<Self> {
        let code = self.code(class).ok_or_else(|| AqiError::UnknownClass {
            label: class.to_owned(),
            known: self.classes.clone(),
        })?;
        self.safe = Some(code);
        Ok(self)
    }

    /// The labels of some rows, in the order given; classes that vanish are dropped.
    ///
    /// # Errors
    /// [`AqiError::Empty`] without rows; [`AqiError::Shape`] for a row that does not exist.
    pub fn select(&self, rows: &[usize]) -> Result<Self> {
        if rows.is_empty() {
            return Err(AqiError::Empty);
        }
        let mut present = vec![false; self.classes.len()];
        for &row in rows {
            let code = *self.codes.get(row).ok_or(AqiError::Shape {
                what: "row selected from labels",
                expected: self.codes.len(),
                found: row,
            })?;
            present[code] = true;
        }
        let mut renumbered = vec![usize::MAX; self.classes.len()];
        let mut classes = Vec::new();
        for (code, name) in self.classes.iter().enumerate().filter(|(code, _)| present[*code]) {
            renumbered[code] = classes.len();
            classes.push(name.clone());
        }
        let codes = rows.iter().map(|&row| renumbered[self.codes[row]]).collect();
        let safe = self.safe.map(|code| renumbered[code]).filter(|&code| code != usize::MAX);
        Ok(Self { classes, codes, safe })
    }

    /// The same rows with other codes; `codes` must stay below the number of classes.
    pub(crate) fn with_codes(&self, codes: Vec<usize>) -> Self {
        debug_assert!(codes.iter().all(|&code| code < self.classes.len()));
        Self { classes: self.classes.clone(), codes, safe: self.safe }
    }

    /// Names of the classes, sorted.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Index of each row's class in [`classes`](Self::classes).
    #[must_use]
    pub fn codes(&self) -> &[usize] {
        &self.codes
    }

    /// Name of a row's class.
    pub(crate) fn name(&self, row: usize) -> &str {
        &self.classes[self.codes[row]]
    }

    /// Number of rows of each class.
    #[must_use]
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for &code in &self.codes {
            counts[code] += 1;
        }
        counts
    }

    /// Index of a class by its name.
    #[must_use]
    pub fn code(&self, class: &str) -> Option<usize> {
        self.classes.iter().position(|name| name == class)
    }

    /// Index of the class that was declared safe.
    #[must_use]
    pub fn safe(&self) -> Option<usize> {
        self.safe
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// False: labels always have a row. Here because [`len`](Self::len) is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Number of classes `k`.
    #[must_use]
    pub fn class_count(&self) -> usize {
        self.classes.len()
    }

    /// Checks that there is a label for each of `rows` rows.
    pub(crate) fn check_len(&self, rows: usize) -> Result<()> {
        if self.len() == rows {
            Ok(())
        } else {
            Err(AqiError::Shape { what: "labels", expected: rows, found: self.len() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sort_as_numbers_and_text_as_text() -> Result<()> {
        assert_eq!(Labels::new([10, -1, 9])?.classes(), ["-1", "9", "10"]);
        assert_eq!(Labels::new(["b10", "b9"])?.classes(), ["b10", "b9"]);
        Ok(())
    }

    #[test]
    fn select_drops_classes_that_vanish_and_keeps_the_safe_one() -> Result<()> {
        let labels = Labels::new(["a", "b", "c", "b"])?.with_safe("c")?;
        let part = labels.select(&[3, 2])?;
        assert_eq!(part.classes(), ["b", "c"]);
        assert_eq!(part.codes(), [0, 1]);
        assert_eq!(part.safe(), Some(1));
        assert_eq!(labels.select(&[0])?.safe(), None);
        assert!(matches!(labels.select(&[9]), Err(AqiError::Shape { found: 9, .. })));
        Ok(())
    }

    #[test]
    fn an_unknown_safe_class_is_an_error_that_lists_the_classes() {
        let error = Labels::new(["a", "b"]).unwrap().with_safe("c").unwrap_err();
        assert_eq!(error.to_string(), "unknown class \"c\": the classes are a, b");
    }
}
