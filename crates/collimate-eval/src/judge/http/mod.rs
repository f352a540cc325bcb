//! A judge on a server.

mod answer;
mod config;
mod exchange;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use ureq::config::Config;
use ureq::http::StatusCode;
use ureq::tls::RootCerts;
use ureq::{Agent, Error};

use super::Judge;
use crate::error::{EvalError, Result};
use answer::{Answer, error_message};
use exchange::{Reply, TICK, exchange, is_passing};

use config::Secret;
pub use config::{HttpJudgeConfig, TokenLimit};

/// A model that rates behind an OpenAI-compatible interface, made by [`HttpJudgeConfig::check`].
///
/// What may pass is tried again: no connection, no answer in time, an answer that breaks off, and the
/// statuses 408, 409, 429 and 5xx. The wait doubles from try to try, and is at least what the server asks
/// for in seconds (`Retry-After`) or milliseconds (`retry-after-ms`); a date there is not understood.
/// Redirects are not followed.
#[derive(Debug)]
pub struct HttpJudge<'a> {
    config: HttpJudgeConfig,
    url: String,
    settings: Config,
    agent: Agent,
    cancelled: &'a AtomicBool,
    tells_probabilities: bool,
    usage: HttpJudgeUsage,
}

/// What a judge has cost so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HttpJudgeUsage {
    /// Requests that were sent, retries among them.
    pub requests: u64,
    /// How many of them were tries after one that failed.
    pub retries: u64,
    /// Tokens of prompts, as the server counts them.
    pub prompt_tokens: u64,
    /// Tokens of answers, as the server counts them.
    pub completion_tokens: u64,
    /// Answers whose tokens the server didn't count; they are not among the tokens here.
    pub uncounted_answers: u64,
}

/// Why a try failed.
struct Failure {
    /// What happened, with words of the server.
    said: String,
    may_pass: bool,
    retry_after: Option<Duration>,
}

impl<'a> HttpJudge<'a> {
    fn new(config: HttpJudgeConfig, roots: RootCerts, cancelled: &'a AtomicBool) -> Self {
        let settings = exchange::settings(&config, roots);
        Self {
            url: format!("{}/chat/completions", config.base_url.trim_end_matches('/')),
            agent: settings.new_agent(),
            settings,
            tells_probabilities: config.top_logprobs > 0,
            usage: HttpJudgeUsage::default(),
            config,
            cancelled,
        }
    }

    /// What it has cost so far.
    pub fn usage(&self) -> HttpJudgeUsage {
        self.usage
    }

    /// Asks until there is an answer, or no hope of one.
    fn ask(&mut self, prompt: &str, most_tokens: usize, options: Value) -> Result<Answer> {
        let mut request = json!({
            "model": self.config.model,
            "messages": [{"role": "user", "content": prompt}],
        });
        if let (Some(request), Value::Object(options)) = (request.as_object_mut(), options) {
            request.insert(self.config.token_limit.name().to_owned(), most_tokens.into());
            request.extend(options);
        }
        let request = request.to_string();
        let most_waiting = Duration::from_millis(self.config.most_waiting_ms);
        let mut delay = Duration::from_millis(self.config.delay_ms);
        let mut waited = Duration::ZERO;
        let mut tries: u32 = 1;
        loop {
            let Failure { said, may_pass, retry_after } = match self.once(request.as_bytes())? {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !may_pass {
                return Err(self.failed(&said, ""));
            }
            let left = most_waiting.saturating_sub(waited);
            if tries > self.config.retries || (left.is_zero() && !delay.is_zero()) {
                return Err(self.failed(&said, &format!("; given up after {tries} tries")));
            }
            let asked = retry_after.unwrap_or_default();
            if asked > left {
                let advice = format!(
                    "; it asks to wait {} s, and of the {} s that may be waited (`most_waiting_ms`) {} s are left",
                    asked.as_secs_f64(),
                    most_waiting.as_secs_f64(),
                    left.as_secs_f64()
                );
                return Err(self.failed(&said, &advice));
            }
            let wait = delay.min(left).max(asked);
            self.wait(wait)?;
            waited = waited.saturating_add(wait);
            delay = delay.saturating_mul(2);
            tries = tries.saturating_add(1);
            self.usage.retries = self.usage.retries.saturating_add(1);
        }
    }

    /// One try.
    fn once(&mut self, request: &[u8]) -> Result<std::result::Result<Answer, Failure>> {
        self.check_cancelled()?;
        self.usage.requests = self.usage.requests.saturating_add(1);
        let reply = exchange(&self.agent, &self.url, &self.config, request, self.cancelled);
        if self.cancelled.load(Ordering::Relaxed) {
            // The connections of the other one are shut.
            self.agent = self.settings.new_agent();
            return Err(EvalError::Cancelled);
        }
        let answer =
            reply.map_err(|error| self.unreached(&error)).and_then(|reply| self.read(reply));
        if let Ok(answer) = &answer {
            let (prompt, completion) = answer.usage();
            let usage = &mut self.usage;
            usage.prompt_tokens = usage.prompt_tokens.saturating_add(prompt.unwrap_or(0));
            usage.completion_tokens =
                usage.completion_tokens.saturating_add(completion.unwrap_or(0));
            if prompt.is_none() || completion.is_none() {
                usage.uncounted_answers = usage.uncounted_answers.saturating_add(1);
            }
        }
        Ok(answer)
    }

    fn read(&self, reply: Reply) -> std::result::Result<Answer, Failure> {
        let Reply { status, content_type, retry_after, location, body } = reply;
        let failure = |said| Failure { said, may_pass: false, retry_after: None };
        if status == 200 {
            let most = self.config.most_bytes;
            let body = body.ok_or_else(|| {
                failure(format!("the answer has more than {most} bytes (`most_bytes`)"))
            })?;
            return Answer::parse(&body, &content_type).map_err(failure);
        }
        if let (300..400, Some(location)) = (status, location) {
            return Err(failure(format!(
                "the server redirects ({status}), which is not followed, to {location:?}"
            )));
        }
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let mut said = format!("the server answers {status} ({})", reason.unwrap_or("unknown"));
        let message = body.map(|body| error_message(&body)).unwrap_or_default();
        if !message.is_empty() {
            said = format!("{said}: {message}");
        }
        let may_pass = matches!(status, 408 | 409 | 429 | 500..=599);
        Err(Failure { said, may_pass, retry_after })
    }

    fn unreached(&self, error: &Error) -> Failure {
        let said = match error {
            Error::Timeout(_) => format!("there is no answer within {} ms", self.config.timeout_ms),
            Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                "the answer breaks off".to_owned()
            }
            error => format!("the server can't be asked: {error}"),
        };
        Failure { said, may_pass: is_passing(error), retry_after: None }
    }

    /// An error whose text is short, safe to print, and without secrets.
    fn failed(&self, said: &str, advice: &str) -> EvalError {
        const MOST: usize = 400;
        let secrets = self.config.key.iter().chain(self.config.headers.values());
        let said = secrets.fold(said.to_owned(), |said, Secret(secret)| {
            let quoted = format!("{secret:?}");
            said.replace(secret, "…").replace(quoted.trim_matches('"'), "…")
        });
        let mut start: String = said.chars().take(MOST).collect();
        if start.len() < said.len() {
            start.push('…');
        }
        let said: String = start.chars().map(printable).collect();
        let message = format!("{}: {said}{advice}", self.url);
        EvalError::Judge { judge: self.config.model.clone(), message }
    }

    fn check_cancelled(&self) -> Result<()> {
        match self.cancelled.load(Ordering::Relaxed) {
            true => Err(EvalError::Cancelled),
            false => Ok(()),
        }
    }

    fn wait(&self, mut left: Duration) -> Result<()> {
        while !left.is_zero() {
            self.check_cancelled()?;
            let part = left.min(TICK);
            thread::sleep(part);
            left = left.saturating_sub(part);
        }
        Ok(())
    }
}

impl Judge for HttpJudge<'_> {
    fn name(&self) -> &str {
        &self.config.model
    }

    fn say(&mut self, prompt: &str, most_tokens: usize, seed: Option<u64>) -> Result<String> {
        let options = match seed {
            None => json!({"temperature": 0.0}),
            // Servers take what a signed number can hold.
            Some(seed) => json!({"temperature": 1.0, "seed": seed & i64::MAX.cast_unsigned()}),
        };
        let answer = self.ask(prompt, most_tokens, options)?;
        answer.text().map(str::to_owned).map_err(|said| self.failed(&said, ""))
    }

    /// From the likely tokens that the server tells: an answer that is none of them has probability 0. Only
    /// answers of one ASCII character, each a token in every vocabulary, can be weighed so. A server that
    /// doesn't tell any is not asked again.
    fn probabilities(&mut self, prompt: &str, answers: &[String]) -> Result<Option<Vec<f64>>> {
        self.check_cancelled()?;
        let can_be_weighed = answers.iter().all(|answer| answer.len() == 1);
        if !self.tells_probabilities || !can_be_weighed {
            return Ok(None);
        }
        let options = json!({
            "temperature": 1.0,
            "logprobs": true,
            "top_logprobs": self.config.top_logprobs,
        });
        let answer = self.ask(prompt, 1, options).map_err(without_logprobs)?;
        let found = answer.probabilities(answers).map_err(|said| self.failed(&said, ""))?;
        self.tells_probabilities = found.is_some();
        Ok(found)
    }
}

/// Says what to do where a server refuses to tell probabilities.
fn without_logprobs(error: EvalError) -> EvalError {
    match error {
        EvalError::Judge { judge, message } if message.contains("logprobs") => {
            let message = format!("{message}; with `top_logprobs` 0 answers are drawn instead");
            EvalError::Judge { judge, message }
        }
        other => other,
    }
}

/// A character as it may stand in one line of a terminal: else escaped.
fn printable(character: char) -> String {
    let turns = matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    match character.is_control() || turns {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    }
}
