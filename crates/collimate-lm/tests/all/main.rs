//! Tests of the public interface: one program, which is linked once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod config;
mod exactness;
mod fixture;
mod generate;
mod refused;
#[cfg(feature = "autodiff")]
mod training;
