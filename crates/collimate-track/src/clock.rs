use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// Where the times in a database come from.
///
/// # Examples
///
/// ```
/// use collimate_track::Clock;
///
/// let stopped = Clock::fixed("2026-01-31T12:00:00Z".parse()?);
/// assert_eq!(stopped.now().to_string(), "2026-01-31T12:00:00Z");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The clock that this function is.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The clock of the system.
    pub fn system() -> Self {
        Self::new(Timestamp::now)
    }

    /// A clock that shows one time.
    pub fn fixed(time: Timestamp) -> Self {
        Self::new(move || time)
    }

    /// The time in whole microseconds, as it is stored.
    pub fn now(&self) -> Timestamp {
        let now = (self.0)();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Clock")
    }
}
