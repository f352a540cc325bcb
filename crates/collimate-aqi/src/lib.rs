#![doc = include_str!("../README.md")]

mod dispersion;
mod element;
mod error;
mod flag;
mod json_float;
mod labels;
mod moments;
mod rng;
mod score;

pub use dispersion::{Dispersion, Pair};
pub use element::Element;
pub use error::{AqiError, Result};
pub use flag::Flag;
pub use labels::Labels;
pub use moments::{Accumulator, Moments};
pub use score::{Lambda, Mode, Score};
