//! The operators of a decoder, each in a file: on the CPU by loops of our own, with a gradient of
//! our own; elsewhere composed of burn's.
//!
//! Activations are `[batch, sequence, width]`; heads lie side by side in the width.

mod activation;
mod attention;
#[cfg(feature = "flex")]
mod cpu;
mod cross_entropy;
mod dropout;
#[cfg(feature = "autodiff")]
mod known;
mod linear;
mod norm;
mod random;
#[cfg(feature = "autodiff")]
mod recorded;
mod rotary;
#[cfg(all(test, feature = "flex"))]
mod testing;

pub(crate) use activation::{activation, gated};
pub(crate) use attention::{Visible, attention};
pub(crate) use cross_entropy::{CrossEntropy, cross_entropy};
pub(crate) use dropout::{Dropout, dropped, dropped_linear};
#[cfg(feature = "autodiff")]
pub(crate) use known::known;
pub(crate) use linear::linear;
pub(crate) use norm::{head_norm, norm};
pub(crate) use random::{Draw, LANES, block, seed_of};
#[cfg(feature = "autodiff")]
pub(crate) use recorded::{Recorded, on_backend_of};
pub(crate) use rotary::{Turns, rotary};
