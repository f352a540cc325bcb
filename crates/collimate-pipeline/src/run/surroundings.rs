//! What a recipe doesn't say: where the program that runs it finds things.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use collimate_models::ScanConfig;
use jiff::Timestamp;

/// What a program brings along for the word `embedded`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Embedded {
    /// The folder of the model.
    pub model: Option<PathBuf>,
    /// The file of records to train on.
    pub data: Option<PathBuf>,
    /// The file of safe and unsafe prompts.
    pub probes: Option<PathBuf>,
}

impl Embedded {
    /// A model, records and prompts.
    pub fn new(
        model: impl Into<PathBuf>,
        data: impl Into<PathBuf>,
        probes: impl Into<PathBuf>,
    ) -> Self {
        Self { model: Some(model.into()), data: Some(data.into()), probes: Some(probes.into()) }
    }
}

/// Where models are looked for, what is embedded, what time it is.
#[derive(Clone)]
#[non_exhaustive]
pub struct Surroundings {
    /// Where models are looked for by name. Default: nowhere.
    pub places: ScanConfig,
    /// What the word `embedded` means. Default: nothing.
    pub embedded: Embedded,
    /// What time it is. Default: the system's clock.
    pub clock: Clock,
}

/// A clock, of which every time stamp is taken.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            places: ScanConfig::new(),
            embedded: Embedded::default(),
            clock: Arc::new(Timestamp::now),
        }
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Surroundings")
            .field("places", &self.places)
            .field("embedded", &self.embedded)
            .finish_non_exhaustive()
    }
}

impl Surroundings {
    /// Sets where models are looked for.
    #[must_use]
    pub fn with_places(mut self, places: ScanConfig) -> Self {
        self.places = places;
        self
    }

    /// Sets what is embedded.
    #[must_use]
    pub fn with_embedded(mut self, embedded: Embedded) -> Self {
        self.embedded = embedded;
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn with_clock(mut self, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(now);
        self
    }
}
