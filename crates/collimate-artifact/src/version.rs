use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{ArtifactError, Result};

/// The version of a project's models: `major.minor.patch`.
///
/// As in Semantic Versioning, but without pre-releases and build metadata: their hyphens would make it
/// unclear where a version ends in the name of a folder.
///
/// # Examples
///
/// ```
/// use collimate_artifact::{Bump, Version};
///
/// let version: Version = "1.9.3".parse()?;
/// assert!(version < Version::new(1, 10, 0));
/// assert_eq!(version.next(Bump::Minor), Some(Version::new(1, 10, 0)));
/// assert!("1.9.3-rc.1".parse::<Version>().is_err());
/// # Ok::<(), collimate_artifact::ArtifactError>(())
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    /// Rises when what the model is for changes.
    pub major: u32,
    /// Rises when it learns something new.
    pub minor: u32,
    /// Rises with every other run.
    pub patch: u32,
}

/// Which number of a version rises; those after it start at zero again.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bump {
    /// The first.
    Major,
    /// The second.
    Minor,
    /// The third.
    Patch,
}

impl Version {
    /// The version of a project's first models.
    pub const FIRST: Self = Self::new(1, 0, 0);

    /// The version of these numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// The version after this one, unless the number that rises is the greatest there is.
    pub fn next(self, bump: Bump) -> Option<Self> {
        let Self { major, minor, patch } = self;
        match bump {
            Bump::Major => Some(Self::new(major.checked_add(1)?, 0, 0)),
            Bump::Minor => Some(Self::new(major, minor.checked_add(1)?, 0)),
            Bump::Patch => Some(Self::new(major, minor, patch.checked_add(1)?)),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = ArtifactError;

    fn from_str(text: &str) -> Result<Self> {
        let mut numbers = text.split('.').map(number);
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Some(major)), Some(Some(minor)), Some(Some(patch)), None) => {
                Ok(Self { major, minor, patch })
            }
            _ => Err(ArtifactError::Name {
                kind: "version",
                text: text.chars().take(80).collect(),
                reason: "expected three whole numbers, as in 1.0.2",
            }),
        }
    }
}

/// Digits without a sign and without a leading zero.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    if plain && !leading_zero { text.parse().ok() } else { None }
}

impl TryFrom<String> for Version {
    type Error = ArtifactError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_is_written() {
        for text in ["0.0.0", "1.0.2", "10.20.4294967295"] {
            assert_eq!(text.parse::<Version>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn nothing_else_is_a_version() {
        for text in [
            "",
            "1",
            "1.0",
            "1.0.0.0",
            "1.0.",
            ".1.0",
            "v1.0.0",
            "1.0.0-rc",
            "1.0.0+x",
            "01.0.0",
            "+1.0.0",
            "1.0.4294967296",
            "1.0.x",
            " 1.0.0",
        ] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_after_the_one_that_rises_start_again() {
        let version = Version::new(1, 2, 3);
        assert_eq!(version.next(Bump::Major), Some(Version::new(2, 0, 0)));
        assert_eq!(version.next(Bump::Minor), Some(Version::new(1, 3, 0)));
        assert_eq!(version.next(Bump::Patch), Some(Version::new(1, 2, 4)));
        assert_eq!(Version::new(0, u32::MAX, 0).next(Bump::Minor), None);
    }
}
