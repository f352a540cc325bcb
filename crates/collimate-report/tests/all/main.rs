//! Reports: what they say, that everything in them is escaped, and that they are well-formed.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod aqi;
mod checked;
mod escaped;
mod figures;
mod findings;
mod page;
mod projection;
#[allow(dead_code, reason = "an example uses the rest")]
mod sample;
mod written;
