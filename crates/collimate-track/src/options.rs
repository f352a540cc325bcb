use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::error::{Result, TrackError};

/// How a database is opened.
///
/// # Examples
///
/// ```
/// use collimate_track::{Durability, Options};
///
/// let options = Options::new().with_actor("nightly run").with_durability(Durability::PowerCuts);
/// assert!(options.check().is_ok());
/// assert!(Options::new().with_actor("").check().is_err());
/// ```
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Options {
    /// Who the audit log says has made the changes; `collimate-track` by default.
    pub actor: String,
    /// Milliseconds to wait for other writers; 30,000 by default.
    pub busy_timeout_ms: u64,
    /// What a commit outlives.
    pub durability: Durability,
    /// Most bytes of a text (a prompt, a response, a configuration); 16 MiB by default, at most 100 MiB.
    pub max_text_bytes: u64,
    /// Where times come from; the system's clock by default.
    #[serde(skip)]
    pub clock: Clock,
}

/// What a change that was committed outlives.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Durability {
    /// The death of the process, at any moment. When the machine itself goes down, the last commits may
    /// be lost, from the newest back; the database stays sound, and the audit log ends earlier.
    #[default]
    Crashes,
    /// That, and a power cut: each commit waits for the disk.
    PowerCuts,
}

/// Options within their bounds; the default ones are.
#[derive(Clone, Debug, Default)]
pub struct CheckedOptions(Options);

impl Options {
    /// Most bytes of a text that can be asked for.
    const MOST_TEXT: u64 = 100 << 20;

    /// The default options.
    pub fn new() -> Self {
        Self {
            actor: "collimate-track".to_owned(),
            busy_timeout_ms: 30_000,
            durability: Durability::default(),
            max_text_bytes: 16 << 20,
            clock: Clock::default(),
        }
    }

    /// With who makes the changes.
    #[must_use]
    pub fn with_actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = actor.into();
        self
    }

    /// With the milliseconds to wait for other writers.
    #[must_use]
    pub fn with_busy_timeout_ms(mut self, milliseconds: u64) -> Self {
        self.busy_timeout_ms = milliseconds;
        self
    }

    /// With what a commit outlives.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// With the most bytes of a text.
    #[must_use]
    pub fn with_max_text_bytes(mut self, bytes: u64) -> Self {
        self.max_text_bytes = bytes;
        self
    }

    /// With another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The options, if all are within their bounds.
    ///
    /// # Errors
    ///
    /// [`TrackError::Empty`], [`TrackError::TooLarge`]: of the actor; [`TrackError::OutOfRange`].
    pub fn check(self) -> Result<CheckedOptions> {
        crate::column::check_name("the actor", &self.actor)?;
        let range = |what: &'static str, found: u64, least: u64, most: u64| {
            if (least..=most).contains(&found) {
                return Ok(());
            }
            let expected = format!("from {least} to {most}");
            Err(TrackError::OutOfRange { what, found: found.to_string(), expected })
        };
        range("busy_timeout_ms", self.busy_timeout_ms, 0, 24 * 60 * 60 * 1000)?;
        range("max_text_bytes", self.max_text_bytes, 1024, Self::MOST_TEXT)?;
        Ok(CheckedOptions(self))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl CheckedOptions {
    /// What was checked.
    pub fn options(&self) -> &Options {
        &self.0
    }

    pub(crate) fn busy_timeout(&self) -> Duration {
        Duration::from_millis(self.0.busy_timeout_ms)
    }

    /// Most bytes of a row that SQLite reads or writes: no table has more than eight texts without a
    /// narrower bound.
    pub(crate) fn max_row_bytes(&self) -> i32 {
        i32::try_from(8 * self.0.max_text_bytes + (1 << 20)).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_bounds() {
        let refused = |options: Options| options.check().unwrap_err();
        assert!(matches!(refused(Options::new().with_actor("")), TrackError::Empty { .. }));
        let long = Options::new().with_actor("a".repeat(5000));
        assert!(matches!(refused(long), TrackError::TooLarge { .. }));
        for options in [
            Options::new().with_busy_timeout_ms(u64::MAX),
            Options::new().with_max_text_bytes(0),
            Options::new().with_max_text_bytes(u64::MAX),
        ] {
            assert!(matches!(refused(options), TrackError::OutOfRange { .. }));
        }
    }

    #[test]
    fn options_can_be_written_down() {
        let options: Options = serde_json::from_str(r#"{"durability": "power_cuts"}"#).unwrap();
        assert_eq!((options.durability, options.busy_timeout_ms), (Durability::PowerCuts, 30_000));
        assert!(serde_json::from_str::<Options>(r#"{"durabilty": "power_cuts"}"#).is_err());
    }
}
