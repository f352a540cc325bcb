//! Folders of aligned models, written whole, and what `verify` and `inspect` make of them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod adapter;
mod place;
mod refused;
mod standalone;
mod verify;
