//! Tests of the public interface: one program, which is linked once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod cache;
mod catalog;
mod description;
#[cfg(unix)]
mod hostile;
#[cfg(feature = "hub")]
mod hub;
#[cfg(unix)]
mod hub_cache;
mod lineage;
mod selection;
mod tree;
mod weights;
