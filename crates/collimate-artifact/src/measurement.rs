use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{ArtifactError, Result};

/// One number that was measured: never a guess, never a placeholder.
///
/// What was not measured has no measurement; a number that is not finite can't be one.
///
/// # Examples
///
/// ```
/// use collimate_artifact::Measurement;
///
/// let at = "2026-01-31T12:00:00Z".parse()?;
/// let loss = Measurement::new("eval_loss", 1.25, at, "evaluation of epoch 3")?.with_unit("nats");
/// assert_eq!(loss.value(), 1.25);
/// assert!(Measurement::new("eval_loss", f64::NAN, at, "evaluation of epoch 3").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "Fields")]
pub struct Measurement {
    pub(crate) name: String,
    pub(crate) value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<String>,
    pub(crate) measured_at: Timestamp,
    pub(crate) source: String,
}

impl Measurement {
    /// A number of this name, when it was measured, and by what.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Measurement`]: the number is not finite, or the name or the source is empty.
    pub fn new(
        name: impl Into<String>,
        value: f64,
        measured_at: Timestamp,
        source: impl Into<String>,
    ) -> Result<Self> {
        let (name, source) = (name.into(), source.into());
        let error = |name, reason| Err(ArtifactError::Measurement { name, reason });
        if name.trim().is_empty() {
            return error(name, "it has no name");
        }
        if source.trim().is_empty() {
            return error(name, "nothing says what measured it");
        }
        if !value.is_finite() {
            return error(name, "it is not a finite number; leave out what was not measured");
        }
        Ok(Self { name, value, unit: None, measured_at, source })
    }

    /// With the unit of the number.
    #[must_use]
    pub fn with_unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    /// What was measured.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number; it is finite.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The unit of the number, where it has one.
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// When it was measured.
    pub fn measured_at(&self) -> Timestamp {
        self.measured_at
    }

    /// What measured it.
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// As it stands in a file.
#[derive(Deserialize)]
struct Fields {
    name: String,
    value: f64,
    unit: Option<String>,
    measured_at: Timestamp,
    source: String,
}

impl TryFrom<Fields> for Measurement {
    type Error = ArtifactError;

    fn try_from(fields: Fields) -> Result<Self> {
        let read = Self::new(fields.name, fields.value, fields.measured_at, fields.source)?;
        Ok(Self { unit: fields.unit, ..read })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_numbers_with_a_name_and_a_source_are_measurements() {
        let new =
            |name, value, source| Measurement::new(name, value, Timestamp::UNIX_EPOCH, source);
        assert!(new("loss", -0.5, "trainer").is_ok());
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(new("loss", value, "trainer").is_err(), "{value}");
        }
        assert!(new(" ", 1.0, "trainer").is_err());
        assert!(new("loss", 1.0, "").is_err());
    }

    #[test]
    fn a_file_is_held_to_the_same_rules() {
        let json =
            r#"{"name":"loss","value":0.1,"measured_at":"1970-01-01T00:00:00Z","source":"t"}"#;
        let read: Measurement = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        assert!(serde_json::from_str::<Measurement>(&json.replace("loss", "")).is_err());
        assert!(serde_json::from_str::<Measurement>(&json.replace("0.1", "null")).is_err());
        assert!(serde_json::from_str::<Measurement>(&json.replace("0.1", "1e999")).is_err());
    }
}
