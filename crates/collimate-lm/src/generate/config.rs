use serde::{Deserialize, Serialize};

use super::choose::Sampling;
use super::{GenerateError, Generator};

/// How tokens are chosen, and when a text ends.
///
/// The defaults are those of transformers' `GenerationConfig`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GenerationConfig {
    /// Most tokens that are generated.
    ///
    /// If none, `max_length` counts, and without that 20.
    pub max_new_tokens: Option<usize>,
    /// Most tokens of a row, its prompt included; only counts without `max_new_tokens`.
    pub max_length: Option<usize>,
    /// Whether tokens are drawn by their probabilities; if not, which is the default, the most probable
    /// is taken, and only the repetition penalty changes logits.
    pub do_sample: bool,
    /// What logits are divided by, above 0; 1 by default.
    pub temperature: f64,
    /// How many of the most probable tokens are kept; 50 by default, 0 keeps all.
    pub top_k: usize,
    /// The most probable tokens are kept until their probabilities add up to this, in `(0, 1]`; 1 by
    /// default, which keeps all.
    pub top_p: f64,
    /// Tokens less probable than this times the most probable one are dropped, in `[0, 1]`; 0 by default.
    pub min_p: f64,
    /// What the logits of tokens that the row has are divided by, or multiplied with if negative;
    /// above 0, 1 by default.
    pub repetition_penalty: f64,
    /// Seed of what is drawn; 0 by default.
    pub seed: u64,
    /// The number of the first row; 0 by default.
    ///
    /// Row `i` draws from stream `first_row + i` of the seed: where a list is generated batch by batch,
    /// its texts don't depend on how it is divided.
    pub first_row: u64,
    /// The tokens that end a text; none by default.
    pub eos_token_ids: Vec<u32>,
    /// The strings that end a text, which then stops before them; none by default.
    pub stop_strings: Vec<String>,
}

impl Default for GenerationConfig {
    fn default() -> Self {
        Self {
            max_new_tokens: None,
            max_length: None,
            do_sample: false,
            temperature: 1.0,
            top_k: 50,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            seed: 0,
            first_row: 0,
            eos_token_ids: Vec::new(),
            stop_strings: Vec::new(),
        }
    }
}

impl GenerationConfig {
    /// Sets how many tokens are generated at most.
    #[must_use]
    pub fn with_max_new_tokens(mut self, max_new_tokens: usize) -> Self {
        self.max_new_tokens = Some(max_new_tokens);
        self
    }

    /// Sets how many tokens a row has at most, its prompt included.
    #[must_use]
    pub fn with_max_length(mut self, max_length: usize) -> Self {
        self.max_length = Some(max_length);
        self
    }

    /// Sets whether tokens are drawn.
    #[must_use]
    pub fn with_do_sample(mut self, do_sample: bool) -> Self {
        self.do_sample = do_sample;
        self
    }

    /// Sets the temperature.
    #[must_use]
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// Sets how many of the most probable tokens are kept.
    #[must_use]
    pub fn with_top_k(mut self, top_k: usize) -> Self {
        self.top_k = top_k;
        self
    }

    /// Sets the probability that the tokens that are kept add up to.
    #[must_use]
    pub fn with_top_p(mut self, top_p: f64) -> Self {
        self.top_p = top_p;
        self
    }

    /// Sets the smallest probability that is kept, as a fraction of the largest.
    #[must_use]
    pub fn with_min_p(mut self, min_p: f64) -> Self {
        self.min_p = min_p;
        self
    }

    /// Sets the repetition penalty.
    #[must_use]
    pub fn with_repetition_penalty(mut self, repetition_penalty: f64) -> Self {
        self.repetition_penalty = repetition_penalty;
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the number of the first row.
    #[must_use]
    pub fn with_first_row(mut self, first_row: u64) -> Self {
        self.first_row = first_row;
        self
    }

    /// Sets the tokens that end a text.
    #[must_use]
    pub fn with_eos_token_ids(mut self, eos_token_ids: impl Into<Vec<u32>>) -> Self {
        self.eos_token_ids = eos_token_ids.into();
        self
    }

    /// Sets the strings that end a text.
    #[must_use]
    pub fn with_stop_strings(mut self, stop_strings: impl Into<Vec<String>>) -> Self {
        self.stop_strings = stop_strings.into();
        self
    }

    /// Checks the settings; what only counts in sampling is not looked at without it.
    ///
    /// ```
    /// use collimate_lm::GenerationConfig;
    ///
    /// assert!(GenerationConfig::default().with_do_sample(true).with_temperature(0.7).check().is_ok());
    /// assert!(GenerationConfig::default().with_do_sample(true).with_temperature(0.0).check().is_err());
    /// ```
    ///
    /// # Errors
    /// [`GenerateError::Setting`] for a value outside its range.
    pub fn check(self) -> Result<Generator, GenerateError> {
        let refuse = |setting, message| Err(GenerateError::Setting { setting, message });
        for (setting, value) in
            [("max_new_tokens", self.max_new_tokens), ("max_length", self.max_length)]
        {
            if value == Some(0) {
                return refuse(setting, "is 0; at least one token is generated".to_owned());
            }
        }
        let penalty = single(self.repetition_penalty);
        if !positive(penalty) {
            let message = format!("is {}; it is a number above 0", self.repetition_penalty);
            return refuse("repetition_penalty", message);
        }
        if self.stop_strings.iter().any(String::is_empty) {
            return refuse("stop_strings", "has an empty string, which ends every text".to_owned());
        }
        let mut eos_token_ids = self.eos_token_ids;
        eos_token_ids.sort_unstable();
        let sampling = if self.do_sample {
            let temperature = single(self.temperature);
            if !positive(temperature) {
                let message = format!(
                    "is {}; it is a number above 0; for the most probable token turn do_sample off",
                    self.temperature
                );
                return refuse("temperature", message);
            }
            if !(self.top_p > 0.0 && self.top_p <= 1.0) {
                let message = format!("is {}; it is a number above 0, at most 1", self.top_p);
                return refuse("top_p", message);
            }
            if !(0.0..=1.0).contains(&self.min_p) {
                let message = format!("is {}; it is a number from 0 to 1", self.min_p);
                return refuse("min_p", message);
            }
            let (top_k, top_p, min_p) = (self.top_k, self.top_p, self.min_p);
            Some(Sampling { temperature, top_k, top_p, min_p })
        } else {
            None
        };
        Ok(Generator {
            max_new_tokens: self.max_new_tokens,
            max_length: self.max_length,
            penalty,
            sampling,
            seed: self.seed,
            first_row: self.first_row,
            eos_token_ids,
            stop_strings: self.stop_strings,
        })
    }
}

/// As torch turns a number of Python's into one that float32 is computed with.
#[allow(clippy::cast_possible_truncation, reason = "it is rounded on purpose")]
fn single(value: f64) -> f32 {
    value as f32
}

fn positive(value: f32) -> bool {
    value > 0.0 && value.is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: GenerationConfig) -> &'static str {
        match config.check() {
            Err(GenerateError::Setting { setting, .. }) => setting,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let plain = GenerationConfig::default;
        let sampled = || plain().with_do_sample(true);
        assert_eq!(refused(plain().with_max_new_tokens(0)), "max_new_tokens");
        assert_eq!(refused(plain().with_max_length(0)), "max_length");
        assert_eq!(refused(plain().with_stop_strings([String::new()])), "stop_strings");
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-60, 1e60] {
            assert_eq!(refused(plain().with_repetition_penalty(value)), "repetition_penalty");
            assert_eq!(refused(sampled().with_temperature(value)), "temperature");
        }
        for value in [0.0, -0.1, 1.1, f64::NAN] {
            assert_eq!(refused(sampled().with_top_p(value)), "top_p");
        }
        for value in [-0.1, 1.1, f64::NAN] {
            assert_eq!(refused(sampled().with_min_p(value)), "min_p");
        }
    }

    #[test]
    fn bounds_that_belong_to_a_range_are_taken() {
        let sampled = GenerationConfig::default().with_do_sample(true).with_top_k(0);
        assert!(sampled.clone().with_top_p(1.0).with_min_p(0.0).check().is_ok());
        assert!(sampled.with_top_p(1e-9).with_min_p(1.0).check().is_ok());
    }

    #[test]
    fn greedy_search_looks_at_no_sampling_setting() {
        assert!(GenerationConfig::default().with_temperature(0.0).with_top_p(0.0).check().is_ok());
    }

    #[test]
    fn unknown_settings_are_refused() {
        let config: GenerationConfig = serde_json::from_str(r#"{"top_k": 3}"#).unwrap();
        assert_eq!(config, GenerationConfig::default().with_top_k(3));
        assert!(serde_json::from_str::<GenerationConfig>(r#"{"topk": 3}"#).is_err());
    }
}
