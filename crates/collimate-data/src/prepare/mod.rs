//! From rendered texts to rows, in memory or in a file.

mod builder;
mod cache;
mod file;
mod fingerprint;
mod mask;
mod preference;
mod preparation;
mod report;
mod run;
mod settings;
mod strings;

pub(crate) use builder::BuiltRow;

pub use builder::RowBuilder;
pub use cache::prepare_cached;
pub use file::{PreparedRows, PreparedWriter};
pub use fingerprint::Fingerprint;
pub use preference::PreferenceRow;
pub use preparation::Preparation;
pub use report::{DropReason, Dropped, PrepareReport};
pub use run::{prepare, prepare_preferences};
pub use settings::{Mask, OnNothingTrained, PrepareSettings, Truncation};
