//! Models that have learned nothing yet.

use burn::tensor::{DType, Device, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use crate::build::{Wanted, build};
use crate::config::{DecoderConfig, NormKind};
use crate::error::Result;
use crate::model::Decoder;

/// Numbers of one stream of random bits.
const BLOCK: usize = 1 << 16;

impl Decoder {
    /// A model of this configuration with random weights: normally distributed with the standard
    /// deviation `std` (transformers' `initializer_range`, 0.02 for most), norms 1, biases 0.
    ///
    /// The same seed gives the same numbers on every machine and any number of threads. It is where
    /// pretraining starts, and what a trained model is compared with to see what its architecture alone
    /// does.
    ///
    /// # Errors
    ///
    /// [`LmError`](crate::LmError): the configuration has no possible model.
    pub fn random(
        config: &DecoderConfig,
        std: f64,
        seed: u64,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        let centred = config.norm.kind == NormKind::RmsPlusOne;
        let mut stream = 0;
        build(config, device, dtype, &mut |wanted: &Wanted| {
            let count = wanted.rows() * wanted.width;
            if wanted.vector {
                let weight = wanted.parts.iter().any(|part| part.tensor.ends_with("weight"));
                let value = if weight && !centred { 1.0_f32 } else { 0.0 };
                return Ok(TensorData::new(vec![value; count], [count]));
            }
            let mut numbers = vec![0.0_f32; count];
            let first = stream;
            stream += count.div_ceil(BLOCK) as u64;
            numbers.par_chunks_mut(BLOCK).enumerate().for_each(|(block, numbers)| {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                random.set_stream(first + block as u64);
                for pair in numbers.chunks_mut(2) {
                    for (number, normal) in pair.iter_mut().zip(normal_pair(&mut random)) {
                        *number = (normal * std) as f32;
                    }
                }
            });
            Ok(TensorData::new(numbers, [wanted.rows(), wanted.width]))
        })
    }
}

/// Two numbers of the standard normal distribution (Box and Muller, 1958).
fn normal_pair(random: &mut ChaCha8Rng) -> [f64; 2] {
    // In (0, 1], with the 53 bits that a number holds.
    let mut uniform = || ((random.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    let radius = (-2.0 * uniform().ln()).sqrt();
    let (sin, cos) = (2.0 * std::f64::consts::PI * uniform()).sin_cos();
    [radius * cos, radius * sin]
}
