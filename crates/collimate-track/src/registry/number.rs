use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Result, TrackError};

/// A version as Semantic Versioning has it, with or without a pre-release, without build metadata (which
/// has no part in the order of versions).
///
/// # Examples
///
/// ```
/// use collimate_track::Version;
///
/// let (candidate, release): (Version, Version) = ("1.10.0-rc.1".parse()?, "1.10.0".parse()?);
/// assert!(Version::new(1, 9, 3) < candidate && candidate < release);
/// assert!("1.10".parse::<Version>().is_err());
/// # Ok::<(), collimate_track::TrackError>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(semver::Version);

impl Version {
    /// The version after this one that adds to it: `1.3.0` after `1.2.3`.
    #[must_use]
    pub fn next_minor(&self) -> Self {
        Self::new(self.0.major, self.0.minor.saturating_add(1), 0)
    }

    /// A version without a pre-release.
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for Version {
    type Err = TrackError;

    fn from_str(text: &str) -> Result<Self> {
        let excerpt = || text.chars().take(80).collect();
        crate::column::check_name("the version", text)?;
        let version = semver::Version::parse(text)
            .map_err(|error| TrackError::Version { text: excerpt(), source: error.into() })?;
        if !version.build.is_empty() {
            return Err(TrackError::BuildMetadata { text: excerpt() });
        }
        Ok(Self(version))
    }
}

impl TryFrom<String> for Version {
    type Error = TrackError;

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
    fn what_is_not_a_version_is_refused() {
        for text in
            ["1", "1.0", "v1.0.0", "01.0.0", "1.0.0.0", "1.0.0-", "1.0.18446744073709551616"]
        {
            let error = text.parse::<Version>().unwrap_err();
            assert!(matches!(error, TrackError::Version { .. }), "{error}");
        }
        let error = "1.0.0+linux".parse::<Version>().unwrap_err();
        assert!(matches!(error, TrackError::BuildMetadata { .. }), "{error}");
        let error = format!("1.0.0-{}", "a".repeat(2000)).parse::<Version>().unwrap_err();
        assert!(matches!(error, TrackError::TooLarge { .. }), "{error}");
        assert!(serde_json::from_str::<Version>(r#""1.0""#).is_err());
    }

    #[test]
    fn pre_releases_come_before_their_release_and_count_as_numbers() {
        let mut versions = ["1.0.0", "1.0.0-rc.10", "1.0.0-rc.9", "0.9.0", "1.0.0-beta"]
            .map(|text| text.parse::<Version>().unwrap());
        versions.sort();
        assert_eq!(
            versions.map(|version| version.to_string()),
            ["0.9.0", "1.0.0-beta", "1.0.0-rc.9", "1.0.0-rc.10", "1.0.0"]
        );
    }
}
