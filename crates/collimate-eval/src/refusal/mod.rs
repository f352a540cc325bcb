//! Whether a response refuses, by rules, and how often responses do.

mod normalize;
mod phrases;
mod rates;
mod rules;

pub use rates::{
    PromptLabel, RefusalCase, RefusalChange, RefusalChanges, RefusalRate, RefusalRates,
    compare_refusals, refusal_rates,
};
pub use rules::{Refusal, RefusalConfig, RefusalOutcome, RefusalRules};
