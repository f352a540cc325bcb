use std::time::Duration;

use super::config::HubConfig;
use super::error::HubError;
use super::event::HubEvent;
use super::stop::Stop;

/// The longest wait between two tries; a server that asks for more is an error at once.
const LONGEST: Duration = Duration::from_secs(60);

/// Counts the tries of one thing.
pub(super) struct Tries<'a> {
    config: &'a HubConfig,
    stop: &'a Stop<'a>,
    emit: &'a (dyn Fn(HubEvent) + 'a),
    file: Option<&'a str>,
    failed: u32,
}

impl<'a> Tries<'a> {
    pub(super) fn new(
        config: &'a HubConfig,
        stop: &'a Stop<'a>,
        emit: &'a (dyn Fn(HubEvent) + 'a),
        file: Option<&'a str>,
    ) -> Self {
        Self { config, stop, emit, file, failed: 0 }
    }

    /// Repeats what may succeed a moment later.
    pub(super) fn run<T>(
        mut self,
        mut request: impl FnMut() -> Result<T, HubError>,
    ) -> Result<T, HubError> {
        loop {
            match request() {
                Ok(answer) => return Ok(answer),
                Err(error) => self.after(error)?,
            }
        }
    }

    /// The last try has brought something: those before it no longer count.
    pub(super) fn progressed(&mut self) {
        self.failed = 0;
    }

    /// Waits after a try that failed.
    ///
    /// # Errors
    ///
    /// The error itself, where another try would not help or there were enough.
    pub(super) fn after(&mut self, error: HubError) -> Result<(), HubError> {
        self.stop.check()?;
        self.failed = self.failed.saturating_add(1);
        if !error.is_transient() || self.failed >= self.config.attempts {
            return Err(error);
        }
        let doublings = self.failed.saturating_sub(1).min(16);
        let mut wait = self.config.delay.saturating_mul(1 << doublings).min(LONGEST);
        if let HubError::RateLimited { retry_after: Some(asked), .. } = &error {
            if *asked > LONGEST {
                return Err(error);
            }
            wait = wait.max(*asked);
        }
        (self.emit)(HubEvent::Retrying {
            file: self.file.map(str::to_owned),
            attempt: self.failed.saturating_add(1),
            reason: error.to_string(),
        });
        self.stop.sleep(wait)
    }
}
