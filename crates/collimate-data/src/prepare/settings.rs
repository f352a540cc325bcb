use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};

/// Which tokens of a row carry loss.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mask {
    /// Everything that follows the prompt.
    #[default]
    Completion,
    /// Everything that the assistant says, in all turns, with the token that closes each turn.
    Assistant,
    /// What the assistant says last, with the token that closes the turn.
    LastTurn,
    /// Everything.
    All,
}

/// What happens to a row that is longer than allowed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Truncation {
    /// It is an error.
    #[default]
    Error,
    /// It is left out, and counted.
    Drop,
    /// Its end is cut off, and counted.
    KeepStart,
    /// Its beginning is cut off, with the token that begins a text, and counted.
    KeepEnd,
}

/// What happens to a row without any token that carries loss.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnNothingTrained {
    /// It is an error.
    #[default]
    Error,
    /// It is left out, and counted.
    Drop,
}

/// How texts become rows.
///
/// ```
/// use collimate_data::{Mask, PrepareSettings, Truncation};
///
/// let settings = PrepareSettings::default()
///     .with_mask(Mask::Assistant)
///     .with_max_length(Some(2048))
///     .with_truncation(Truncation::KeepStart);
/// assert!(settings.check().is_ok());
/// assert!(settings.with_max_length(Some(1)).check().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PrepareSettings {
    /// Which tokens carry loss; those after the prompt by default.
    pub mask: Mask,
    /// The most tokens that a row may have; any number by default.
    pub max_length: Option<usize>,
    /// What happens to a longer row; an error by default.
    pub truncation: Truncation,
    /// What happens to a row without a trained token; an error by default.
    pub on_nothing_trained: OnNothingTrained,
}

impl PrepareSettings {
    /// Sets which tokens carry loss.
    #[must_use]
    pub fn with_mask(mut self, mask: Mask) -> Self {
        self.mask = mask;
        self
    }

    /// Sets the most tokens that a row may have.
    #[must_use]
    pub fn with_max_length(mut self, max_length: Option<usize>) -> Self {
        self.max_length = max_length;
        self
    }

    /// Sets what happens to a longer row.
    #[must_use]
    pub fn with_truncation(mut self, truncation: Truncation) -> Self {
        self.truncation = truncation;
        self
    }

    /// Sets what happens to a row without a trained token.
    #[must_use]
    pub fn with_on_nothing_trained(mut self, on_nothing_trained: OnNothingTrained) -> Self {
        self.on_nothing_trained = on_nothing_trained;
        self
    }

    /// Whether the settings make sense.
    ///
    /// # Errors
    ///
    /// [`DataError::Setting`] where `max_length` leaves no token to be predicted.
    pub fn check(&self) -> Result<()> {
        match self.max_length {
            Some(length @ 0..2) => Err(DataError::Setting {
                setting: "max_length",
                message: format!(
                    "is {length}; a row needs 2 tokens, as the first one is never predicted"
                ),
            }),
            _ => Ok(()),
        }
    }
}
