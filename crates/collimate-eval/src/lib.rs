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
mod paired;
mod proportion;
mod refusal;
#[cfg(feature = "model")]
mod responses;
#[cfg(feature = "model")]
mod speed;
#[cfg(feature = "model")]
mod states;
mod text;

#[cfg(feature = "model")]
pub use alignment::{
    Alignment, AlignmentChange, AlignmentComparison, AlignmentConfig, Computed, Controls,
    LayerChange, LayerRule, Probed, alignment, compare_alignment,
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
pub use held_out::{HeldOut, compare_held_out, held_out};
#[cfg(feature = "model")]
pub use judge::LocalJudge;
#[cfg(feature = "http")]
pub use judge::{HttpJudge, HttpJudgeConfig, HttpJudgeUsage, TokenLimit};
pub use judge::{
    Judge, JudgeCase, JudgeConfig, JudgeOutcome, JudgeReport, JudgeScore, Rubric, ScoreSource,
    compare_ratings, rate, rate_all,
};
pub use paired::MeanChange;
pub use proportion::{PairedChange, Proportion};
pub use refusal::{
    PromptLabel, Refusal, RefusalCase, RefusalChange, RefusalChanges, RefusalConfig,
    RefusalOutcome, RefusalRate, RefusalRates, RefusalRules, compare_refusals, refusal_rates,
};
#[cfg(feature = "model")]
pub use responses::{Response, prompt_ids, responses};
#[cfg(feature = "model")]
pub use speed::{PeakMemory, Percentiles, Speed, SpeedConfig, speed};
#[cfg(feature = "model")]
pub use states::{
    Cached, HiddenStates, Pool, StatesConfig, StatesReport, hidden_states, random_twin,
    states_of_rows,
};
pub use text::{
    AnswerScore, AnswerScores, Bleu, BleuConfig, BleuScore, BleuTokenizer, Chrf, ChrfConfig,
    ChrfScore, Rouge, RougeConfig, RougeReport, RougeScore, RougeScores, RougeTokenizer, Smoothing,
    normalize_answer, score_answer, score_answers,
};
