//! Tests of the public interface: one program, which is linked once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod batch;
mod built_in;
mod duplicates;
mod masks;
mod pack;
mod preparation;
mod prepare;
mod prepare_file;
mod prepare_masks;
mod prompts;
mod read;
mod recognize;
mod safety;
mod sketches;
mod split;
mod statistics;
mod synthesize;
mod template;
mod template_bounds;
mod template_folder;
mod tokenize;
mod tokenize_direct;
mod write;
