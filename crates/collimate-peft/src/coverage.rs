use std::fmt;

use serde::Serialize;

/// How much of a model an adapter changes and trains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Coverage {
    /// Number of modules that get an adapter.
    pub modules: u64,
    /// Number of modules that could: linear ones and embeddings, the head among them.
    pub of_modules: u64,
    /// Number of parameters that are trained: of adapters, of modules that are saved whole, and
    /// biases.
    pub parameters: u64,
    /// Number of parameters of the model with its adapters and copies of what is saved whole.
    pub of_parameters: u64,
    /// `parameters` in percent of `of_parameters`, as PEFT prints it.
    pub percent: f64,
    /// Number of the model's own weights to which an adapter adds.
    pub adapted_parameters: u64,
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} modules with {} weights adapted, {} of {} parameters trained ({:.4}%)",
            self.modules,
            self.of_modules,
            self.adapted_parameters,
            self.parameters,
            self.of_parameters,
            self.percent,
        )
    }
}
