//! Tests of the public interface: one program, which is linked once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod classes;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "flex")]
mod judge;
#[cfg(feature = "flex")]
mod model;
mod reference;
mod text;
