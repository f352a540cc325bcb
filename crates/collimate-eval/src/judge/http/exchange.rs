//! One request and its answer.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use ureq::http::{HeaderMap, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::config::HttpJudgeConfig;

/// How soon a cancellation is seen while a server is silent.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// The most bytes that are read of an error.
const MOST_OF_ERROR: u64 = 16 << 10;

/// What came back.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: String,
    /// How long the server asks to wait.
    pub(super) retry_after: Option<Duration>,
    /// Where it redirects to, without a query.
    pub(super) location: Option<String>,
    /// None if it is too long.
    pub(super) body: Option<Vec<u8>>,
}

pub(super) fn settings(config: &HttpJudgeConfig, roots: RootCerts) -> Config {
    Agent::config_builder()
        .user_agent(concat!("collimate-eval/", env!("CARGO_PKG_VERSION")))
        .accept("application/json")
        .accept_encoding("identity")
        .http_status_as_error(false)
        // Whoever is redirected to must not get the key.
        .max_redirects(0)
        // Without this, the environment would be asked for one.
        .proxy(None)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .timeout_connect(Some(Duration::from_millis(config.connect_timeout_ms)))
        .timeout_global(Some(Duration::from_millis(config.timeout_ms)))
        .build()
}

/// Sends a request on a thread of its own, so that it ends when it is cancelled.
pub(super) fn exchange(
    agent: &Agent,
    url: &str,
    config: &HttpJudgeConfig,
    body: &[u8],
    cancelled: &AtomicBool,
) -> Result<Reply, ureq::Error> {
    let (done, received) = mpsc::channel();
    thread::scope(|scope| {
        let send = move || drop(done.send(post(agent, url, config, body)));
        thread::Builder::new().name("judge".to_owned()).spawn_scoped(scope, send)?;
        loop {
            match received.recv_timeout(TICK) {
                Ok(reply) => return reply,
                Err(RecvTimeoutError::Timeout) if cancelled.load(Ordering::Relaxed) => {
                    agent.clone().shutdown();
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Only after a panic, which the end of the scope hands on.
                Err(RecvTimeoutError::Disconnected) => return Err(ureq::Error::ConnectionFailed),
            }
        }
    })
}

/// Whether another try may succeed.
pub(super) fn is_passing(error: &ureq::Error) -> bool {
    match error {
        // As certificates that are not trusted.
        ureq::Error::Io(error) => error.kind() != std::io::ErrorKind::InvalidData,
        ureq::Error::Timeout(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Protocol(_) => true,
        _ => false,
    }
}

fn post(
    agent: &Agent,
    url: &str,
    config: &HttpJudgeConfig,
    body: &[u8],
) -> Result<Reply, ureq::Error> {
    let mut request = agent.post(url).content_type("application/json");
    for (name, value) in config.secret_headers() {
        request = request.header(name, value);
    }
    let (parts, mut body) = request.send(body)?.into_parts();
    let status = parts.status.as_u16();
    let body = match status {
        200 => read(&mut body, config.most_bytes)?,
        // What it says is welcome; that it can't be had is no further error.
        _ => read(&mut body, MOST_OF_ERROR).ok().flatten(),
    };
    let text = |name| header(&parts.headers, name).unwrap_or_default().to_owned();
    Ok(Reply {
        status,
        content_type: text(CONTENT_TYPE.as_str()),
        retry_after: retry_after(&parts.headers),
        location: header(&parts.headers, LOCATION.as_str()).map(without_query),
        body,
    })
}

/// The whole body, if it has at most `limit` bytes.
fn read(body: &mut Body, limit: u64) -> Result<Option<Vec<u8>>, ureq::Error> {
    let mut bytes = Vec::new();
    body.as_reader().take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// `retry-after-ms`, else `Retry-After` in seconds; a date is as good as none.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name| header(headers, name)?.trim().parse::<f64>().ok();
    let milliseconds = number("retry-after-ms").map(|number| number / 1e3);
    let seconds = milliseconds.or_else(|| number(RETRY_AFTER.as_str()))?;
    let long = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    (seconds >= 0.0).then_some(long)
}

/// An address without what may be secret in it.
fn without_query(address: &str) -> String {
    let uri: Option<Uri> = address.parse().ok();
    uri.map_or_else(String::new, |uri| match (uri.scheme_str(), uri.host()) {
        (Some(scheme), Some(host)) => {
            let port = uri.port().map_or_else(String::new, |port| format!(":{port}"));
            format!("{scheme}://{host}{port}{}", uri.path())
        }
        _ => uri.path().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use ureq::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn how_long_to_wait() {
        for (name, value, expected) in [
            ("retry-after", "7", Some(Duration::from_secs(7))),
            ("retry-after", " 0.5 ", Some(Duration::from_millis(500))),
            ("retry-after", "0", Some(Duration::ZERO)),
            ("retry-after", "99999999999999999999999999", Some(Duration::MAX)),
            ("retry-after", "-1", None),
            ("retry-after", "NaN", None),
            ("retry-after", "soon", None),
            ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("retry-after-ms", "250", Some(Duration::from_millis(250))),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            assert_eq!(retry_after(&headers), expected, "{value}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("1"));
        headers.insert("retry-after-ms", HeaderValue::from_static("1500"));
        assert_eq!(retry_after(&headers), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn addresses_without_secrets() {
        for (address, expected) in [
            ("https://me:secret@h:8/a?key=secret#secret", "https://h:8/a"),
            ("/a?key=secret", "/a"),
            ("not an address", ""),
        ] {
            assert_eq!(without_query(address), expected);
        }
    }
}
