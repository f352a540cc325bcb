//! Text against references: BLEU, chrF, ROUGE, exact match and token F1.

mod answers;
mod bleu;
mod chrf;
mod lcs;
mod ngrams;
mod python;
mod rouge;
mod segments;
mod tokenizer;

pub use answers::{AnswerScore, AnswerScores, normalize_answer, score_answer, score_answers};
pub use bleu::{Bleu, BleuConfig, BleuScore, Smoothing};
pub use chrf::{Chrf, ChrfConfig, ChrfScore};
pub use rouge::{Rouge, RougeConfig, RougeReport, RougeScore, RougeScores, RougeTokenizer};
pub use tokenizer::BleuTokenizer;

/// What signatures give as the version of the program that scored.
const VERSION: &str = concat!(env!("CARGO_PKG_NAME"), "-", env!("CARGO_PKG_VERSION"));
