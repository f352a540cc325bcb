//! The start of PiSSA.

use std::sync::atomic::AtomicBool;

use collimate_lm::Decoder;
use collimate_peft::Target;

use super::parameter::numbers;
use crate::error::Result;

/// A and B whose product, times the scale, is nearest to the weight of a projection.
pub(super) fn principal(decoder: &Decoder, target: &Target) -> Result<[Vec<f32>; 2]> {
    let weight = decoder.parameter(&format!("{}.weight", target.module))?;
    Ok(target.principal(&numbers(&weight)?, &AtomicBool::new(false))?)
}
