//! Running a model in order to train it.

use burn::tensor::{DType, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::error::{LmError, Result};
use crate::model::Decoder;
use crate::ops::{Draw, LANES, block, seed_of};

/// How a model runs while it is trained.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Training {
    /// What dropout and noise are drawn by: the same key draws the same on every device and with any
    /// number of threads, so each batch of each step needs a key of its own.
    pub key: u64,
    /// Noise that is added to the embeddings, uniform in ±`alpha/√(sequence·hidden)`; none by default.
    ///
    /// Jain et al., "NEFTune", arXiv:2310.05914; the sequence includes what fills rows up, as in
    /// transformers.
    pub neftune_alpha: Option<f64>,
    /// Whether nothing inside a layer is kept for backward, which runs the layer again instead: less
    /// memory for about a third more time, and the same bits. Not by default.
    pub recompute: bool,
}

impl Training {
    /// Training with dropout, by this key.
    pub fn new(key: u64) -> Self {
        Self { key, ..Self::default() }
    }

    /// Sets the noise of the embeddings.
    #[must_use]
    pub fn with_neftune_alpha(mut self, alpha: Option<f64>) -> Self {
        self.neftune_alpha = alpha;
        self
    }

    /// Sets whether layers are run again in backward.
    #[must_use]
    pub fn with_recompute(mut self, recompute: bool) -> Self {
        self.recompute = recompute;
        self
    }
}

impl Decoder {
    /// As [`forward`](Self::forward), with dropout, and noise if wanted; recorded where something is
    /// tracked: branches that are attached, or parameters by [`track`](Self::track).
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward); [`LmError::Training`].
    pub fn forward_training(&self, batch: &Batch, training: &Training) -> Result<Tensor<3>> {
        if let Some(alpha) = training.neftune_alpha
            && !(alpha.is_finite() && alpha >= 0.0)
        {
            let message = format!("a neftune_alpha of {alpha} is no amount of noise");
            return Err(LmError::Training { message });
        }
        let x = self.run_until(batch, None, Some(training), self.layers.len(), &mut |_| {})?;
        Ok(self.final_norm.forward(x))
    }

    /// Embeddings `[rows, sequence, hidden]` with noise.
    pub(crate) fn noisy(&self, x: Tensor<3>, training: &Training) -> Tensor<3> {
        let Some(alpha) = training.neftune_alpha else { return x };
        let [rows, sequence, width] = x.dims();
        let size = alpha / ((sequence * width) as f64).sqrt();
        let Draw { key, .. } = Draw { key: training.key, row: 0 }.of(seed_of("neftune"));
        let mut noise = vec![0.0_f32; rows * sequence * width];
        for (at, noise) in noise.chunks_mut(LANES).enumerate() {
            for (noise, bits) in noise.iter_mut().zip(block(key, at as u64)) {
                // The middle of one of 2³² parts of −1..1.
                let uniform = (f64::from(bits) + 0.5) / f64::from(1_u32 << 31) - 1.0;
                *noise = (uniform * size) as f32;
            }
        }
        let noise = TensorData::new(noise, [rows, sequence, width]);
        let dtype = x.dtype();
        x + Tensor::<3>::from_data(noise, (&self.device, DType::F32)).cast(dtype)
    }
}
