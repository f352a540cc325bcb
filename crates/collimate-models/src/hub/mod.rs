//! Repositories of the Hugging Face Hub: listed, selected, fetched, verified.

mod address;
mod client;
mod config;
mod digest;
mod error;
mod event;
mod fetched;
mod glob;
mod layout;
mod listing;
mod offline;
mod remote;
mod retry;
mod selection;
mod stop;
mod transfer;
mod tree;
mod trust;

pub use client::Hub;
pub use config::HubConfig;
pub use error::HubError;
pub use event::{HubEvent, Verification};
pub use fetched::{Fetched, FetchedFile};
pub use listing::{RepoFile, RepoKind, RepoListing};
pub use selection::FileSelection;
