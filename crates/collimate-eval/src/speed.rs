//! How fast a model answers, and how much memory that takes.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use collimate_lm::{Decoder, GenerationConfig, GenerationEvent, LmError};
use serde::{Deserialize, Serialize};

use crate::error::{EvalError, Result};

/// How speed is measured.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SpeedConfig {
    /// How many prompts are answered, the first ones, one after the other. Default 20.
    pub prompts: usize,
    /// Tokens of each answer; none ends it earlier. Default 32.
    pub new_tokens: usize,
}

impl Default for SpeedConfig {
    fn default() -> Self {
        Self { prompts: 20, new_tokens: 32 }
    }
}

impl SpeedConfig {
    /// Sets how many prompts are answered.
    #[must_use]
    pub fn with_prompts(mut self, prompts: usize) -> Self {
        self.prompts = prompts;
        self
    }

    /// Sets how many tokens each answer has.
    #[must_use]
    pub fn with_new_tokens(mut self, tokens: usize) -> Self {
        self.new_tokens = tokens;
        self
    }
}

/// How fast a model answers one prompt at a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Speed {
    /// Answers that were timed.
    pub answers: usize,
    /// Tokens of each.
    pub new_tokens: usize,
    /// Milliseconds until the first token.
    pub first_token_ms: Percentiles,
    /// Milliseconds until the last token.
    pub latency_ms: Percentiles,
    /// Tokens of prompts per second, up to the first token of the answer.
    pub prompt_tokens_per_second: f64,
    /// Tokens of answers per second, after the first one; none if there was only one.
    pub tokens_per_second: Option<f64>,
}

/// Percentiles of some durations: the least duration that at least so many per cent don't exceed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// Nine of ten take no longer.
    pub p90: f64,
    /// Ninety-nine of a hundred take no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Percentiles {
    /// Those of durations, if there are any.
    pub fn of(durations: &[f64]) -> Option<Self> {
        let mut sorted = durations.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
        };
        Some(Self { p50: at(50)?, p90: at(90)?, p99: at(99)?, max: at(100)? })
    }
}

/// Times a model while it answers prompts, given as tokens, one at a time, after one answer that isn't
/// timed.
///
/// # Errors
///
/// [`EvalError::Setting`]: there is nothing to time; [`EvalError::EmptyText`]; [`EvalError::Cancelled`];
/// [`EvalError::Lm`].
pub fn speed(
    decoder: &Decoder,
    prompts: &[Vec<u32>],
    config: &SpeedConfig,
    cancelled: &AtomicBool,
) -> Result<Speed> {
    let prompts = prompts.get(..config.prompts).unwrap_or(prompts);
    if let Some(text) = prompts.iter().position(Vec::is_empty) {
        return Err(EvalError::EmptyText { text });
    }
    let nothing = |setting| EvalError::Setting { setting, message: "is 0".to_owned() };
    if config.new_tokens == 0 {
        return Err(nothing("new_tokens"));
    }
    let generator = GenerationConfig::default()
        .with_max_new_tokens(config.new_tokens)
        .check()
        .map_err(LmError::from)?;
    let decode = |_: &[u32]| Ok(String::new());
    let (mut first, mut all) = (Vec::new(), Vec::new());
    for prompt in prompts.first().into_iter().chain(prompts) {
        let start = Instant::now();
        let mut until_first = None;
        let mut model = decoder.continuation();
        generator.generate(&mut model, &[prompt], &decode, cancelled, &mut |event| {
            if let GenerationEvent::Token { .. } = event {
                until_first.get_or_insert_with(|| start.elapsed());
            }
        })?;
        if cancelled.load(Ordering::Relaxed) {
            return Err(EvalError::Cancelled);
        }
        let milliseconds = |duration: std::time::Duration| 1e3 * duration.as_secs_f64();
        first.push(milliseconds(until_first.unwrap_or_default()));
        all.push(milliseconds(start.elapsed()));
    }
    let (first, all) = (first.get(1..).unwrap_or(&[]), all.get(1..).unwrap_or(&[]));
    let percentiles = |durations| Percentiles::of(durations).ok_or_else(|| nothing("prompts"));
    let until_first = first.iter().sum::<f64>() / 1e3;
    let rest = all.iter().sum::<f64>() / 1e3 - until_first;
    let tokens = prompts.iter().map(Vec::len).sum::<usize>();
    let after_first = prompts.len() * (config.new_tokens - 1);
    Ok(Speed {
        answers: prompts.len(),
        new_tokens: config.new_tokens,
        first_token_ms: percentiles(first)?,
        latency_ms: percentiles(all)?,
        prompt_tokens_per_second: tokens as f64 / until_first,
        tokens_per_second: (after_first > 0).then(|| after_first as f64 / rest),
    })
}

/// The most memory that this process has held since a moment, in RAM; known on Linux only. Memory of
/// graphics cards is not in it.
#[derive(Debug)]
pub struct PeakMemory(());

impl PeakMemory {
    /// Forgets what was held before; none where that can't be done.
    pub fn start() -> Option<Self> {
        // Resets VmHWM: man 5 proc_pid_clear_refs.
        fs::write("/proc/self/clear_refs", "5").ok().map(|()| Self(()))
    }

    /// Bytes, weights that are mapped from files included as far as they were touched.
    pub fn bytes(&self) -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kibibytes.checked_mul(1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_durations_that_were_measured() {
        let durations: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        let found = Percentiles::of(&durations).unwrap();
        assert_eq!((found.p50, found.p90, found.p99, found.max), (100.0, 180.0, 198.0, 200.0));
        let one = Percentiles::of(&[3.5]).unwrap();
        assert_eq!((one.p50, one.p99, one.max), (3.5, 3.5, 3.5));
        assert_eq!(Percentiles::of(&[]), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_is_of_what_was_held_since() {
        let held = |bytes: usize| std::hint::black_box(vec![1_u8; bytes]).len() as u64;
        const LARGE: usize = 64 << 20;
        held(LARGE);
        let Some(peak) = PeakMemory::start() else { return };
        let before = peak.bytes().unwrap();
        let large = held(LARGE);
        assert!(peak.bytes().unwrap() >= before + large / 2);
    }
}
