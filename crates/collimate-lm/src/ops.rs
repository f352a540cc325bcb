//! The operators of a decoder, each in a file: on the CPU by loops of our own, with a gradient of
//! our own; elsewhere composed of burn's.
//!
//! Activations are `[batch, sequence, width]`; heads lie side by side in the width.

mod activation;
mod attention;
#[cfg(feature = "flex")]
mod cpu;
mod linear;
mod norm;
mod rotary;
#[cfg(all(test, feature = "flex"))]
mod testing;

pub(crate) use activation::{activation, gated};
pub(crate) use attention::{Visible, attention};
pub(crate) use linear::linear;
pub(crate) use norm::{head_norm, norm};
pub(crate) use rotary::{Turns, rotary};
