use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::{Proxy, ProxyProtocol};

use super::address;
use super::error::HubError;

/// How to reach the Hub, and where its files are kept.
///
/// Nothing is taken from the environment or from files in the home folder: a token, another
/// endpoint, the cache directory and a proxy are used only if they are given here.
///
/// # Examples
///
/// ```
/// use collimate_models::{Hub, HubConfig};
///
/// let config = HubConfig::new("cache").with_offline(true);
/// let hub = Hub::new(config)?;
/// # Ok::<(), collimate_models::HubError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct HubConfig {
    pub(super) cache: PathBuf,
    pub(super) endpoint: String,
    pub(super) token: Option<String>,
    pub(super) proxy: Option<String>,
    pub(super) offline: bool,
    pub(super) verify_cached: bool,
    pub(super) attempts: u32,
    pub(super) delay: Duration,
    pub(super) timeout: Duration,
    pub(super) transfers: usize,
}

impl HubConfig {
    /// The public Hub, without a token, with its files below `cache`: the folder that holds
    /// `models--owner--name`, shared with any other program which uses the Hugging Face layout.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            cache: cache.into(),
            endpoint: "https://huggingface.co".to_owned(),
            token: None,
            proxy: None,
            offline: false,
            verify_cached: false,
            attempts: 5,
            delay: Duration::from_millis(500),
            timeout: Duration::from_secs(30),
            transfers: 4,
        }
    }

    /// The address of another Hub; without it `https://huggingface.co`.
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// The access token; without it nothing is sent. It goes to the endpoint only, never to where
    /// the endpoint redirects, and is never printed.
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// A proxy for all requests, such as `http://proxy:3128`; without it none is used. It is asked to
    /// connect (`CONNECT`), and sees what is sent to endpoints without encryption only.
    pub fn with_proxy(mut self, proxy: impl Into<String>) -> Self {
        self.proxy = Some(proxy.into());
        self
    }

    /// Whether only the cache is used and no connection is made; without it `false`.
    pub fn with_offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// Whether the hashes of files that are in the cache already are computed again; without it
    /// their size is trusted.
    pub fn with_verify_cached(mut self, verify: bool) -> Self {
        self.verify_cached = verify;
        self
    }

    /// How often a request is tried, at least once; without it 5. What arrived of a file is kept,
    /// and a try that came at least a mebibyte further than those before starts the count again.
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The wait before the second try, doubled for each further one up to a minute; without it half
    /// a second.
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// How long the server may be silent before a try is given up; without it 30 seconds.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many files are transferred at a time, 1 to 64; without it 4.
    pub fn with_transfers(mut self, transfers: usize) -> Self {
        self.transfers = transfers;
        self
    }

    /// The folder in which the files are kept.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    pub(super) fn check(&self) -> Result<(), HubError> {
        let error =
            |field, message: &str| Err(HubError::Config { field, message: message.to_owned() });
        if self.cache.as_os_str().is_empty() {
            return error("cache", "it is empty: name the folder for the files");
        }
        if address::parse(&self.endpoint).is_none() || self.endpoint.contains(['?', '#']) {
            return error("endpoint", "expected an address such as https://huggingface.co");
        }
        let is_header = |token: &str| token.bytes().all(|byte| byte.is_ascii_graphic());
        if self.token.as_deref().is_some_and(|token| token.is_empty() || !is_header(token)) {
            return error("token", "expected visible ASCII characters; leave it out for none");
        }
        if self.attempts == 0 {
            return error("attempts", "expected at least 1");
        }
        if !(1..=64).contains(&self.transfers) {
            return error("transfers", "expected 1 to 64");
        }
        if self.timeout.is_zero() {
            return error("timeout", "expected more than zero");
        }
        self.proxy().map(drop)
    }

    /// The proxy in the form that the client takes.
    pub(super) fn proxy(&self) -> Result<Option<Proxy>, HubError> {
        let Some(proxy) = &self.proxy else { return Ok(None) };
        match Proxy::new(proxy) {
            Ok(proxy) if matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https) => {
                Ok(Some(proxy))
            }
            // Without the text, which may hold a password.
            _ => Err(HubError::Config {
                field: "proxy",
                message: "expected an address such as http://proxy:3128".to_owned(),
            }),
        }
    }

    /// The endpoint without a slash at its end.
    pub(super) fn base(&self) -> &str {
        self.endpoint.trim_end_matches('/')
    }
}

/// Without the token and the proxy, which may hold a password.
impl fmt::Debug for HubConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HubConfig")
            .field("cache", &self.cache)
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("proxy", &self.proxy.as_ref().map(|_| "…"))
            .field("offline", &self.offline)
            .field("verify_cached", &self.verify_cached)
            .field("attempts", &self.attempts)
            .field("delay", &self.delay)
            .field("timeout", &self.timeout)
            .field("transfers", &self.transfers)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let config = HubConfig::new("c").with_token("hf_secret").with_proxy("http://u:secret@p");
        let text = format!("{config:?} {config:#?}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn what_is_refused() {
        let config = HubConfig::new("c");
        assert!(config.check().is_ok());
        for (bad, expected) in [
            (HubConfig::new(""), "cache"),
            (config.clone().with_endpoint("huggingface.co"), "endpoint"),
            (config.clone().with_endpoint("file:///etc"), "endpoint"),
            (config.clone().with_endpoint("https://me:pw@hub"), "endpoint"),
            (config.clone().with_token(""), "token"),
            (config.clone().with_token("a\nb"), "token"),
            (config.clone().with_attempts(0), "attempts"),
            (config.clone().with_transfers(0), "transfers"),
            (config.clone().with_endpoint("https://hub?a"), "endpoint"),
            (config.clone().with_endpoint("https://hub#a"), "endpoint"),
            (config.clone().with_proxy("http://"), "proxy"),
            (config.clone().with_proxy("socks5://proxy:1080"), "proxy"),
            (config.with_timeout(Duration::ZERO), "timeout"),
        ] {
            let error = bad.check().unwrap_err();
            assert!(
                matches!(error, HubError::Config { field, .. } if field == expected),
                "{error}"
            );
        }
    }
}
