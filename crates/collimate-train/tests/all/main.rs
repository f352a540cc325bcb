//! Tests of the public interface: one program, which is linked once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;
mod peft;
mod training;
