#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(feature = "model")]
mod alignment;
#[cfg(feature = "model")]
mod batches;
#[cfg(feature = "model")]
mod cache;
mod classification;
mod error;
#[cfg(feature = "model")]
mod held_out;
mod judge;
mod proportion;
mod refusal;
#[cfg(feature = "model")]
mod states;
mod text;

#[cfg(feature = "model")]
pub use alignment::{
    Alignment, AlignmentChange, AlignmentComparison, AlignmentConfig, Computed, Controls,
    LayerChange, LayerRule, alignment, compare_alignment,
};
#[cfg(feature = "model")]
pub use batches::rows_together;
#[cfg(feature = "model")]
pub use cache::{StatesCache, model_fingerprint};
pub use classification::{
    ClassAverage, ClassScore, ClassificationReport, ZeroDivisions, classification,
};
pub use error::{EvalError, Result};
#[cfg(feature = "model")]
pub use held_out::{HeldOut, held_out};
#[cfg(feature = "model")]
pub use judge::LocalJudge;
pub use judge::{
    Judge, JudgeCase, JudgeConfig, JudgeOutcome, JudgeReport, JudgeScore, Rubric, ScoreSource,
    rate, rate_all,
};
pub use proportion::{PairedChange, Proportion};
pub use refusal::{
    PromptLabel, Refusal, RefusalCase, RefusalChange, RefusalChanges, RefusalConfig,
    RefusalOutcome, RefusalRate, RefusalRates, RefusalRules, compare_refusals, refusal_rates,
};
#[cfg(feature = "model")]
pub use states::{
    Cached, HiddenStates, Pool, StatesConfig, StatesReport, hidden_states, states_of_rows,
};
pub use text::{
    AnswerScore, AnswerScores, Bleu, BleuConfig, BleuScore, BleuTokenizer, Chrf, ChrfConfig,
    ChrfScore, Rouge, RougeConfig, RougeReport, RougeScore, RougeScores, RougeTokenizer, Smoothing,
    normalize_answer, score_answer, score_answers,
};
