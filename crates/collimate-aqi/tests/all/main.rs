//! Tests of the public interface: one program, which is linked once.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and print")]

mod calibration;
mod edge_cases;
mod evaluation;
mod inference;
mod layers;
mod moment_indices;
mod monitoring;
mod oracle;
mod pairwise_indices;
mod properties;
mod reference_modes;
mod scikit_learn;
#[cfg(feature = "state")]
mod state_file;
mod transforms;
