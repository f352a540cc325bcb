//! Rotary position embeddings and their scaling rules.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// A rotary embedding: pairs `(x[i], x[i + dim/2])` are turned by `position · frequency[i]`.
///
/// Su et al., "RoFormer", arXiv:2104.09864, in the order of halves that transformers uses.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RotaryConfig {
    /// How many of a head's numbers are turned, from the first; even.
    pub dim: usize,
    /// The base of the frequencies.
    pub theta: f64,
    /// How frequencies follow from it.
    pub scaling: RopeScaling,
}

/// How frequencies are scaled for texts longer than those of the pretraining.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "rope_type")]
#[non_exhaustive]
pub enum RopeScaling {
    /// Not at all: `theta^(−2i/dim)`.
    #[default]
    None,
    /// All of them divided.
    Linear {
        /// By what.
        factor: f64,
    },
    /// A base that grows with the text ("NTK-aware"), once it is longer than those of the
    /// pretraining.
    Dynamic {
        /// How fast it grows.
        factor: f64,
        /// Longest text of the pretraining.
        max_position_embeddings: usize,
    },
    /// Low frequencies divided, high ones kept, those between interpolated (Llama 3.1).
    Llama3 {
        /// What low frequencies are divided by.
        factor: f64,
        /// Turns over the pretraining's longest text below which a frequency is low.
        low_freq_factor: f64,
        /// Turns above which it is high.
        high_freq_factor: f64,
        /// Longest text of the pretraining.
        original_max_position_embeddings: usize,
    },
    /// As [`RopeScaling::Llama3`] by a ramp over the dimensions, with a factor on the attention.
    ///
    /// Peng et al., "YaRN", arXiv:2309.00071.
    Yarn {
        /// What low frequencies are divided by.
        factor: f64,
        /// Longest text of the pretraining.
        original_max_position_embeddings: usize,
        /// Turns over that text above which a frequency is kept.
        beta_fast: f64,
        /// Turns below which it is divided.
        beta_slow: f64,
        /// Whether the ends of the ramp are whole numbers.
        truncate: bool,
        /// What cosines and sines are multiplied by.
        attention_factor: f64,
    },
    /// Each frequency divided by a number of its own; another set of them for long texts.
    ///
    /// Ding et al., "LongRoPE", arXiv:2402.13753.
    Longrope {
        /// For texts as long as those of the pretraining, `[dim/2]`.
        short_factor: Vec<f64>,
        /// For longer texts, `[dim/2]`.
        long_factor: Vec<f64>,
        /// Longest text of the pretraining.
        original_max_position_embeddings: usize,
        /// What cosines and sines are multiplied by.
        attention_factor: f64,
    },
}

/// The frequencies of a rotary embedding for texts of some length.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Frequencies {
    /// Radians per position, `[dim/2]`.
    pub inverse: Vec<f32>,
    /// What cosines and sines are multiplied by.
    pub attention_factor: f32,
}

impl RotaryConfig {
    /// Whether a text that grows from some tokens to others turns all of its positions differently from
    /// then on, those before included.
    pub(crate) fn turns_all(&self, from: usize, to: usize) -> bool {
        match &self.scaling {
            RopeScaling::Longrope { original_max_position_embeddings: switch, .. } => {
                (1..=*switch).contains(&from) && to > *switch
            }
            _ => false,
        }
    }

    /// The frequencies for texts of `sequence` tokens, those before a cache included.
    ///
    /// They are computed in float32 in the order of transformers' `ROPE_INIT_FUNCTIONS`; where
    /// those depend on the texts that came before, this doesn't.
    ///
    /// ```
    /// # use collimate_lm::DecoderConfig;
    /// let config = r#"{"model_type": "llama", "head_dim": 4, "rope_theta": 100.0}"#;
    /// let config = DecoderConfig::from_json(config, "config.json")?;
    /// assert_eq!(config.rotaries[0].frequencies(7).inverse, [1.0, 0.1]);
    /// # Ok::<_, collimate_lm::LmError>(())
    /// ```
    pub fn frequencies(&self, sequence: usize) -> Frequencies {
        let plain = || self.powers(self.theta as f32).map(|power| 1.0 / power);
        let (inverse, attention_factor) = match &self.scaling {
            RopeScaling::None => (plain().collect(), 1.0),
            RopeScaling::Linear { factor } => (plain().map(|f| f / *factor as f32).collect(), 1.0),
            RopeScaling::Dynamic { factor, max_position_embeddings } => {
                let theta = self.grown(*factor, *max_position_embeddings, sequence);
                (self.powers(theta).map(|power| 1.0 / power).collect(), 1.0)
            }
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings: original,
            } => {
                let between =
                    |f| llama3(f, *factor, *low_freq_factor, *high_freq_factor, *original as f64);
                (plain().map(between).collect(), 1.0)
            }
            RopeScaling::Yarn { factor, attention_factor, .. } => {
                let kept = self.yarn_ramp().into_iter().map(|ramp| 1.0 - ramp);
                let mixed = self.powers(self.theta as f32).zip(kept).map(|(power, kept)| {
                    let divided = 1.0 / (*factor as f32 * power);
                    divided * (1.0 - kept) + 1.0 / power * kept
                });
                (mixed.collect(), *attention_factor)
            }
            RopeScaling::Longrope {
                short_factor,
                long_factor,
                original_max_position_embeddings,
                attention_factor,
            } => {
                let long = sequence > *original_max_position_embeddings;
                let factors = if long { long_factor } else { short_factor };
                let powers = self.powers(self.theta as f32).zip(factors);
                let divided = powers.map(|(power, &factor)| 1.0 / (factor as f32 * power));
                (divided.collect(), *attention_factor)
            }
        };
        Frequencies { inverse, attention_factor: attention_factor as f32 }
    }

    /// `theta^(2i/dim)`, correctly rounded.
    fn powers(&self, theta: f32) -> impl Iterator<Item = f32> {
        let dim = self.dim as f32;
        (0..self.dim / 2).map(move |i| {
            let exponent = (2 * i) as f32 / dim;
            f64::from(theta).powf(f64::from(exponent)) as f32
        })
    }

    /// The base of [`RopeScaling::Dynamic`].
    fn grown(&self, factor: f64, longest: usize, sequence: usize) -> f32 {
        if sequence <= longest {
            return self.theta as f32;
        }
        let exponent = self.dim as f64 / (self.dim as f64 - 2.0);
        let ratio = factor as f32 * sequence as f32 / longest as f32 - (factor - 1.0) as f32;
        let grown = f64::from(ratio).powf(f64::from(exponent as f32)) as f32;
        self.theta as f32 * grown
    }

    /// How far each frequency of [`RopeScaling::Yarn`] is divided, from 0 to 1.
    fn yarn_ramp(&self) -> Vec<f32> {
        let RopeScaling::Yarn {
            original_max_position_embeddings: original,
            beta_fast,
            beta_slow,
            truncate,
            ..
        } = self.scaling
        else {
            return Vec::new();
        };
        let dim = self.dim as f64;
        // The dimension whose frequency turns so often over the longest text of the pretraining.
        let dimension = |turns: f64| {
            dim * (original as f64 / (turns * 2.0 * PI)).ln() / (2.0 * self.theta.ln())
        };
        let (low, high) = (dimension(beta_fast), dimension(beta_slow));
        let (low, high) = if truncate { (low.floor(), high.ceil()) } else { (low, high) };
        let (low, mut high) = (low.max(0.0), high.min(dim - 1.0));
        if low == high {
            high += 0.001;
        }
        let ramp = |i| ((i as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
        (0..self.dim / 2).map(ramp).collect()
    }
}

/// One frequency of [`RopeScaling::Llama3`].
fn llama3(frequency: f32, factor: f64, low: f64, high: f64, original: f64) -> f32 {
    let length = (2.0 * PI) as f32 / frequency;
    if length < (original / high) as f32 {
        return frequency;
    }
    if length > (original / low) as f32 {
        return frequency / factor as f32;
    }
    let smooth = (original as f32 / length - low as f32) / (high - low) as f32;
    (1.0 - smooth) * frequency / factor as f32 + smooth * frequency
}
