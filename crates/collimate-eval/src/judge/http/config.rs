use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use ureq::http::header::{self, HeaderName};
use ureq::http::{HeaderValue, Uri};
use ureq::tls::{PemItem, RootCerts};

use super::HttpJudge;
use crate::error::{EvalError, Result};

/// A server that rates, through the chat completions of an OpenAI-compatible interface, and how it is
/// asked.
///
/// Nothing is taken from the environment: neither a key nor a proxy. Serialized settings hold neither the
/// key nor the values of headers, and none are read from there.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::AtomicBool;
///
/// use collimate_eval::{HttpJudgeConfig, Judge};
///
/// let cancelled = AtomicBool::new(false);
/// let config = HttpJudgeConfig::new("http://127.0.0.1:8080/v1", "qwen-7b");
/// assert_eq!(config.clone().check(&cancelled)?.name(), "qwen-7b");
///
/// let elsewhere = HttpJudgeConfig::new("http://rates.example/v1", "qwen-7b").with_key("secret");
/// let error = elsewhere.check(&cancelled).unwrap_err().to_string();
/// assert!(error.contains("without encryption") && !error.contains("secret"), "{error}");
/// # Ok::<(), collimate_eval::EvalError>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default = "HttpJudgeConfig::unnamed", deny_unknown_fields)]
#[must_use]
#[non_exhaustive]
pub struct HttpJudgeConfig {
    /// The address that `/chat/completions` follows, such as `http://127.0.0.1:8080/v1`.
    pub base_url: String,
    /// What the server calls the model; reports do so too.
    pub model: String,
    /// How many likely tokens are asked for, with their probabilities. A rating that isn't among them
    /// has none. Default 20, the most that many servers give; 0 for one that doesn't know the option:
    /// then answers are drawn.
    pub top_logprobs: u32,
    /// What the server calls the most tokens of an answer. Default [`TokenLimit::MaxTokens`].
    pub token_limit: TokenLimit,
    /// How long connecting may take, in milliseconds. Default 10,000.
    pub connect_timeout_ms: u64,
    /// How long a try may take, from connecting to the last byte, in milliseconds. Default 120,000.
    pub timeout_ms: u64,
    /// How often a request is tried again that failed for a reason that may pass. Default 4.
    pub retries: u32,
    /// The wait before the first of these tries, doubled for each further one, in milliseconds. A server
    /// that asks for a longer wait gets it. Default 500.
    pub delay_ms: u64,
    /// The most that all waits of one request may add up to, in milliseconds. Default 60,000.
    pub most_waiting_ms: u64,
    /// The most bytes of an answer. Default 4 MiB.
    pub most_bytes: u64,
    /// Whether key and headers may go unencrypted to another machine. Default `false`.
    pub allow_unencrypted: bool,
    /// A PEM file with the certificates to be trusted instead of those that Mozilla trusted when this
    /// was built.
    pub root_certificates: Option<PathBuf>,
    #[serde(skip)]
    pub(super) key: Option<Secret>,
    #[serde(skip)]
    pub(super) headers: BTreeMap<String, Secret>,
}

/// What a server calls the most tokens of an answer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenLimit {
    /// `max_tokens`: most servers.
    MaxTokens,
    /// `max_completion_tokens`: those that count what a model thinks, too.
    MaxCompletionTokens,
}

impl TokenLimit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// What is sent, and shown to nobody else.
#[derive(Clone, PartialEq)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

impl HttpJudgeConfig {
    /// A model of a server, asked without a key.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            model: model.into(),
            top_logprobs: 20,
            token_limit: TokenLimit::MaxTokens,
            connect_timeout_ms: 10_000,
            timeout_ms: 120_000,
            retries: 4,
            delay_ms: 500,
            most_waiting_ms: 60_000,
            most_bytes: 4 << 20,
            allow_unencrypted: false,
            root_certificates: None,
            key: None,
            headers: BTreeMap::new(),
        }
    }

    fn unnamed() -> Self {
        Self::new("", "")
    }

    /// Sets the key, sent as `Authorization: Bearer …` to the server and to nobody else, and never
    /// printed, serialized or part of an error.
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(Secret(key.into()));
        self
    }

    /// Adds a header to each request. Its value is kept as secret as the key.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), Secret(value.into()));
        self
    }

    /// Sets how many likely tokens are asked for; 0 for none.
    pub fn with_top_logprobs(mut self, tokens: u32) -> Self {
        self.top_logprobs = tokens;
        self
    }

    /// Sets what the server calls the most tokens of an answer.
    pub fn with_token_limit(mut self, token_limit: TokenLimit) -> Self {
        self.token_limit = token_limit;
        self
    }

    /// Sets how long connecting may take, in milliseconds.
    pub fn with_connect_timeout_ms(mut self, milliseconds: u64) -> Self {
        self.connect_timeout_ms = milliseconds;
        self
    }

    /// Sets how long a try may take, in milliseconds.
    pub fn with_timeout_ms(mut self, milliseconds: u64) -> Self {
        self.timeout_ms = milliseconds;
        self
    }

    /// Sets how often a request is tried again.
    pub fn with_retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Sets the wait before the first further try, in milliseconds.
    pub fn with_delay_ms(mut self, milliseconds: u64) -> Self {
        self.delay_ms = milliseconds;
        self
    }

    /// Sets the most that the waits of a request may add up to, in milliseconds.
    pub fn with_most_waiting_ms(mut self, milliseconds: u64) -> Self {
        self.most_waiting_ms = milliseconds;
        self
    }

    /// Sets the most bytes of an answer.
    pub fn with_most_bytes(mut self, bytes: u64) -> Self {
        self.most_bytes = bytes;
        self
    }

    /// Sets whether key and headers may go unencrypted to another machine.
    pub fn with_allow_unencrypted(mut self, allow: bool) -> Self {
        self.allow_unencrypted = allow;
        self
    }

    /// Sets the PEM file with the certificates to be trusted.
    pub fn with_root_certificates(mut self, path: impl Into<PathBuf>) -> Self {
        self.root_certificates = Some(path.into());
        self
    }

    /// The judge; no connection is made yet. When `cancelled` becomes true, it stops soon: at once, except
    /// that reaching a server that doesn't answer ends with the timeout.
    ///
    /// # Errors
    ///
    /// [`EvalError::Setting`]: the setting that can't be used.
    pub fn check(self, cancelled: &AtomicBool) -> Result<HttpJudge<'_>> {
        let uri = parse(&self.base_url).filter(|_| !self.base_url.contains(['?', '#']));
        let Some(uri) = uri else {
            // Without the text, which may hold a password.
            return refuse(
                "the base URL of a judge",
                "is no address such as http://127.0.0.1:8080/v1, without name, password and query",
            );
        };
        if self.model.trim().is_empty() {
            return refuse("the model of a judge", "has no name");
        }
        let is_visible = |byte: u8| byte.is_ascii_graphic();
        if self.key.as_ref().is_some_and(|key| key.0.is_empty() || !key.0.bytes().all(is_visible)) {
            return refuse(
                "the key of a judge",
                "is not of visible ASCII characters; leave it out for none",
            );
        }
        for (name, value) in &self.headers {
            let is_text = |byte: u8| byte == b' ' || is_visible(byte);
            let is_free = HeaderName::try_from(name).is_ok_and(|name| !TAKEN.contains(&name));
            if !is_free || value.0.trim().is_empty() || !value.0.bytes().all(is_text) {
                let message = format!(
                    "{name:?} can't be sent: its name is none or taken, or its value is not of visible ASCII characters"
                );
                return refuse("the header of a judge", message);
            }
        }
        let has_secrets = self.key.is_some() || !self.headers.is_empty();
        let is_open = uri.scheme_str() != Some("https") && !uri.host().is_some_and(is_loopback);
        if has_secrets && is_open && !self.allow_unencrypted {
            return refuse(
                "the base URL of a judge",
                "leads to another machine without encryption, where everybody on the way can read the key: use https, or set `allow_unencrypted`",
            );
        }
        for (setting, number) in [
            ("the timeout of a judge", self.timeout_ms),
            ("the timeout for connecting to a judge", self.connect_timeout_ms),
            ("the most bytes of a judge's answer", self.most_bytes),
        ] {
            if number == 0 {
                return refuse(setting, "is 0: nothing could be answered");
            }
        }
        let roots = match &self.root_certificates {
            Some(path) => certificates(path)?,
            None => RootCerts::WebPki,
        };
        Ok(HttpJudge::new(self, roots, cancelled))
    }

    /// All headers that are sent, marked as not to be logged.
    pub(super) fn secret_headers(&self) -> impl Iterator<Item = (&str, HeaderValue)> {
        let key = self.key.iter().map(|key| ("authorization", format!("Bearer {}", key.0)));
        let others = self.headers.iter().map(|(name, value)| (name.as_str(), value.0.clone()));
        key.chain(others).filter_map(|(name, value)| {
            let mut value = HeaderValue::try_from(value).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        })
    }
}

/// Headers that belong to the request itself, or to its key.
const TAKEN: [HeaderName; 8] = [
    header::AUTHORIZATION,
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
    header::ACCEPT_ENCODING,
    header::EXPECT,
];

/// An address of the web; not one with a name and a password in it.
fn parse(address: &str) -> Option<Uri> {
    let uri: Uri = address.parse().ok()?;
    let authority = uri.authority()?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    (is_web && !authority.host().is_empty() && !authority.as_str().contains('@')).then_some(uri)
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn certificates(path: &Path) -> Result<RootCerts> {
    const MOST_BYTES: u64 = 16 << 20;
    let refused = |message: String| EvalError::Setting {
        setting: "the file of root certificates of a judge",
        message: format!("({}) {message}", path.display()),
    };
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut text));
    read.map_err(|error| refused(format!("can't be read: {error}")))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(refused(format!("has more than {MOST_BYTES} bytes")));
    }
    let mut found = Vec::new();
    for item in ureq::tls::parse_pem(&text) {
        match item.map_err(|error| refused(format!("is malformed: {error}")))? {
            PemItem::Certificate(certificate) => found.push(certificate),
            _ => return Err(refused("holds something else than certificates".to_owned())),
        }
    }
    if found.is_empty() {
        return Err(refused("has no certificate".to_owned()));
    }
    Ok(found.into())
}

fn refuse<T>(setting: &'static str, message: impl Into<String>) -> Result<T> {
    Err(EvalError::Setting { setting, message: message.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    static NEVER: AtomicBool = AtomicBool::new(false);

    fn config() -> HttpJudgeConfig {
        HttpJudgeConfig::new("https://rates.example/v1", "m").with_key("sk-secret")
    }

    #[test]
    fn secrets_are_neither_printed_nor_written_nor_read() {
        let config = config().with_header("x-key", "secret");
        let text = serde_json::to_string(&config).unwrap();
        let judge = config.clone().check(&NEVER).unwrap();
        for text in [format!("{config:?} {config:#?}"), format!("{judge:?} {judge:#?}"), text] {
            assert!(text.contains("rates.example") && !text.contains("secret"), "{text}");
        }
        let read = r#"{"base_url": "http://127.0.0.1/v1", "model": "m", "retries": 1}"#;
        let read: HttpJudgeConfig = serde_json::from_str(read).unwrap();
        assert_eq!(read, HttpJudgeConfig::new("http://127.0.0.1/v1", "m").with_retries(1));
        let keyed = r#"{"base_url": "http://127.0.0.1/v1", "model": "m", "key": "sk-secret"}"#;
        assert!(serde_json::from_str::<HttpJudgeConfig>(keyed).is_err());
    }

    #[test]
    fn what_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "# none\n").unwrap();
        let at = |url: &str| HttpJudgeConfig { base_url: url.to_owned(), ..config() };
        for (bad, expected) in [
            (at(""), "base URL"),
            (at("rates.example/v1"), "base URL"),
            (at("file:///etc"), "base URL"),
            (at("https://me:secret@rates.example/v1"), "base URL"),
            (at("https://rates.example/v1?key=secret"), "base URL"),
            (at("https://rates.example/v1#secret"), "base URL"),
            (at("http://rates.example/v1"), "without encryption"),
            (at("http://127.0.0.1.rates.example/v1"), "without encryption"),
            (at("http://10.0.0.1/v1"), "without encryption"),
            (HttpJudgeConfig { model: " ".to_owned(), ..config() }, "model"),
            (config().with_key(""), "key"),
            (config().with_key("secret\r\nx: y"), "key"),
            (config().with_header("a b", "secret"), "header"),
            (config().with_header("Authorization", "secret"), "header"),
            (config().with_header("x-key", "secret\n"), "header"),
            (config().with_header("x-key", ""), "header"),
            (config().with_timeout_ms(0), "timeout"),
            (config().with_connect_timeout_ms(0), "connecting"),
            (config().with_most_bytes(0), "most bytes"),
            (config().with_root_certificates(folder.path().join("none")), "none) can't be read"),
            (config().with_root_certificates(&empty), "no certificate"),
        ] {
            let error = bad.check(&NEVER).unwrap_err();
            assert!(matches!(error, EvalError::Setting { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains(expected) && !text.contains("secret"), "{text}");
        }
        let unkeyed = HttpJudgeConfig::new("http://rates.example/v1", "m");
        for good in [
            unkeyed.clone(),
            unkeyed.with_key("k").with_allow_unencrypted(true),
            at("http://127.8.0.1:80/v1"),
            at("http://LOCALHOST/v1"),
            at("http://[::1]:8080"),
        ] {
            assert!(good.clone().check(&NEVER).is_ok(), "{good:?}");
        }
        let header = HttpJudgeConfig::new("http://rates.example/v1", "m").with_header("x-key", "k");
        assert!(header.check(&NEVER).is_err());
    }

    #[test]
    fn certificates_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roots.pem");
        let one = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, format!("# two\n{one}# text\n{one}")).unwrap();
        match certificates(&path) {
            Ok(RootCerts::Specific(found)) => assert_eq!(found.len(), 2),
            other => panic!("{other:?}"),
        }
    }
}
