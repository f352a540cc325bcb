//! Tests of the public interface: one program, which is linked once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod casts;
mod checkpoint;
mod read;
mod shards;
mod write;
