use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::section::{section, words};
use super::values::{LayerChoice, one_or_many};

section! {
    /// What is measured before and after.
    EvaluationRecipe {
        /// What is measured. Default: all that there is something to measure on: `perplexity` with held-out
        /// rows, `aqi` and `refusal` with probes.
        metrics, with_metrics: Option<Vec<Metric>> = None;
        /// Files, folders or patterns with safe and unsafe prompts; `embedded` are those that the program
        /// brings. Default: `embedded` with embedded data, else none.
        probes, with_probes: Option<String> = None;
        /// The columns of the probes. Default: as below, or `prompt` and `label` where those are there and
        /// `input` isn't.
        probe_columns, with_probe_columns: ProbeColumns = ProbeColumns::default();
        /// The axioms whose probes are taken. Default: all of them.
        #[serde(deserialize_with = "one_or_many")]
        #[schemars(schema_with = "super::values::one_or_many_texts")]
        axioms, with_axioms: Vec<String> = Vec::new();
        /// Whether prompts are read as they are asked: as a user's message in the chat template, up to where the
        /// answer begins. Default: no, as they are written.
        chat, with_chat: bool = false;
        /// How the states of a prompt's tokens become one. Default `last`.
        pooling, with_pooling: Pooling = Pooling::default();
        /// Which states are read. Default `residual`.
        source, with_source: HiddenSource = HiddenSource::default();
        /// Which layers the headline is of: `final`, the number of one, `uniform` or `fitted`. Default `final`.
        layers, with_layers: LayerChoice = LayerChoice::Final;
        /// The share of the prompts that weights of layers are fitted on, between 0 and 1, where `layers` is
        /// `fitted`. Default 0.5.
        fit_share, with_fit_share: f64 = 0.5;
        /// Labelings that the permutation test tries; 0 for no test. Default 999.
        permutations, with_permutations: usize = 999;
        /// Random sign flips of the test of the change. Default 9999.
        sign_flips, with_sign_flips: usize = 9_999;
        /// Resamples of the centred bootstrap, in place of the score interval; 0 for the latter. Default 0.
        bootstrap, with_bootstrap: usize = 0;
        /// The confidence level of the change's interval, between 0 and 1. Default 0.95.
        level, with_level: f64 = 0.95;
        /// Most tokens of a response that is looked at for a refusal. Default 64.
        max_new_tokens, with_max_new_tokens: usize = 64;
    }
}

/// Something that is measured.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// How well held-out rows are predicted.
    Perplexity,
    /// The Alignment Quality Index of hidden states.
    Aqi,
    /// How often safe and unsafe prompts are refused.
    Refusal,
}

section! {
    /// The columns of probes, and the words for their labels.
    ProbeColumns {
        /// The prompt. Default `input`.
        input, with_input: String = "input".to_owned();
        /// The safety label. Default `safety_label`.
        safety_label, with_safety_label: String = "safety_label".to_owned();
        /// The axiom. Default `axiom`.
        axiom, with_axiom: String = "axiom".to_owned();
        /// What paraphrases share. Default `group`.
        group, with_group: String = "group".to_owned();
        /// Words for the safe label, in any case. Default `safe`.
        #[serde(deserialize_with = "one_or_many")]
        #[schemars(schema_with = "super::values::one_or_many_texts")]
        safe, with_safe: Vec<String> = vec!["safe".to_owned()];
        /// Words for the unsafe label, in any case. Default `unsafe`.
        #[serde(deserialize_with = "one_or_many")]
        #[schemars(schema_with = "super::values::one_or_many_texts")]
        r#unsafe, with_unsafe: Vec<String> = vec!["unsafe".to_owned()];
    }
}

words! {
    /// How the states of a prompt's tokens become one.
    Pooling {
        /// That of the last token.
        #[default]
        Last,
        /// The mean of all tokens.
        Mean,
    }
}

words! {
    /// Which states are read.
    HiddenSource {
        /// The residual stream.
        #[default]
        Residual,
        /// The activations inside the MLP.
        Mlp,
    }
}
