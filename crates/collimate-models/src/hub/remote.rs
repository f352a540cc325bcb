//! Requests to the Hub.

use std::error::Error as StdError;
use std::fmt;
use std::io::Read;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::header::{AUTHORIZATION, CONTENT_RANGE, LINK, LOCATION, RANGE, RETRY_AFTER};
use ureq::http::{HeaderMap, Response, StatusCode, Uri};
use ureq::tls::TlsConfig;
use ureq::{Agent, Body, BodyReader};

use super::address::{self, push};
use super::config::HubConfig;
use super::error::HubError;
use super::listing::{MAX_FILES, RepoKind, RepoListing, TreeItem, is_hex};
use super::stop::Stop;
use super::trust;
use crate::name::RepoId;
use crate::printable::printable;

const USER_AGENT: &str = concat!("collimate-models/", env!("CARGO_PKG_VERSION"));
const MAX_REDIRECTS: usize = 10;
const MAX_PAGES: usize = 2_000;
const MAX_PAGE_BYTES: u64 = 64 << 20;
const MAX_ERROR_BYTES: u64 = 16 << 10;

/// One repository, for any number of threads.
pub(super) struct Remote<'a> {
    config: &'a HubConfig,
    repo: &'a RepoId,
    kind: RepoKind,
    revision: &'a str,
    stop: &'a Stop<'a>,
    agent: &'a Agent,
}

/// Content that is arriving.
pub(super) struct Download {
    body: BodyReader<'static>,
    buffer: Vec<u8>,
    /// Where in the file it begins.
    pub(super) start: u64,
    pub(super) url: String,
}

/// The connections of one call. Shutting it down ends what waits for a server.
pub(super) fn agent(config: &HubConfig) -> Result<Agent, HubError> {
    let silence = Some(config.timeout);
    let settings = Agent::config_builder()
        .user_agent(USER_AGENT)
        // Else a server may compress, and what arrives is not what it has hashed.
        .accept_encoding("identity")
        .http_status_as_error(false)
        // Whoever is redirected to must not get the token.
        .max_redirects(0)
        // Without this, the environment would be asked for one.
        .proxy(config.proxy()?)
        .tls_config(TlsConfig::builder().root_certs(trust::root_certificates()).build())
        .max_idle_connections_per_host(config.transfers)
        .timeout_resolve(silence)
        .timeout_connect(silence)
        .timeout_recv_response(silence)
        .timeout_per_read(silence)
        .timeout_per_write(silence)
        .build();
    Ok(settings.new_agent())
}

impl<'a> Remote<'a> {
    pub(super) fn new(
        config: &'a HubConfig,
        repo: &'a RepoId,
        kind: RepoKind,
        revision: &'a str,
        stop: &'a Stop<'a>,
        agent: &'a Agent,
    ) -> Self {
        Self { config, repo, kind, revision, stop, agent }
    }

    /// The commit that the revision names.
    pub(super) fn commit(&self) -> Result<String, HubError> {
        #[derive(Deserialize)]
        struct Info {
            sha: String,
        }
        let url = self.api("revision", self.revision);
        let (_, Info { sha }) = self.get_json(&url)?;
        if !is_hex(&sha, 40) {
            return Err(self.malformed(&url, format!("the commit is {:?}", shortened(&sha))));
        }
        Ok(sha)
    }

    /// Fills in the files of a commit.
    pub(super) fn list(&self, listing: &mut RepoListing) -> Result<(), HubError> {
        let mut url = self.api("tree", &listing.commit);
        url.push_str("?recursive=true&expand=false");
        listing.files.clear();
        let mut items = 0;
        for _ in 0..MAX_PAGES {
            let (headers, page): (_, Vec<TreeItem>) = self.get_json(&url)?;
            items += page.len();
            if items > 2 * MAX_FILES {
                break;
            }
            listing.add(page, &url)?;
            let Some(next) = next_page(&headers) else { return Ok(()) };
            let from = self.parse(&url)?;
            url = match address::follow(&from, next) {
                Some(next) if address::is_same_server(&from, &next) => next.to_string(),
                _ => return Err(self.malformed(&url, "the next page is elsewhere")),
            };
        }
        Err(self.malformed(&url, format!("it lists more than {} entries", 2 * MAX_FILES)))
    }

    /// Begins to receive a file, from `offset` on where the server can do that.
    pub(super) fn open(
        &self,
        commit: &str,
        file: &str,
        offset: u64,
        size: u64,
    ) -> Result<Download, HubError> {
        let before = self.kind.prefix().trim_end_matches('/');
        let after: Vec<_> = ["resolve", commit].into_iter().chain(file.split('/')).collect();
        let url = self.url(&[before], &after);
        let asked = Asked::File(file);
        let download = |response: Response<Body>, start| Download {
            body: response.into_body().into_reader(),
            buffer: vec![0; 128 << 10],
            start,
            url: url.clone(),
        };
        if offset > 0 {
            match self.get(&url, &asked, Some(offset)) {
                Ok(response) if response.status() != StatusCode::PARTIAL_CONTENT => {
                    return Ok(download(response, 0));
                }
                Ok(response) if is_range(response.headers(), offset, size) => {
                    return Ok(download(response, offset));
                }
                // A range that can't be had, or another one than was asked for.
                Ok(_) | Err(HubError::Server { status: 416, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(download(self.get(&url, &asked, None)?, 0))
    }

    /// Hands on the next piece of a file; `false` at its end.
    pub(super) fn next(
        &self,
        download: &mut Download,
        take: impl FnOnce(&[u8]) -> Result<(), HubError>,
    ) -> Result<bool, HubError> {
        self.stop.check()?;
        let read = download.body.read(&mut download.buffer);
        let read = read.map_err(|error| self.failed(&download.url, error.into()))?;
        match download.buffer.get(..read) {
            Some(piece) if !piece.is_empty() => take(piece).map(|()| true),
            _ => Ok(false),
        }
    }

    fn get_json<T: for<'de> Deserialize<'de>>(
        &self,
        url: &str,
    ) -> Result<(HeaderMap, T), HubError> {
        let (parts, mut body) = self.get(url, &Asked::Revision, None)?.into_parts();
        let text = read(&mut body, MAX_PAGE_BYTES).map_err(|error| self.failed(url, error))?;
        let text = text.ok_or_else(|| {
            self.malformed(url, format!("it has more than {MAX_PAGE_BYTES} bytes"))
        })?;
        let value = serde_json::from_slice(&text);
        Ok((parts.headers, value.map_err(|error| self.malformed(url, error.to_string()))?))
    }

    /// Asks, and follows where the answer leads.
    fn get(
        &self,
        url: &str,
        asked: &Asked<'_>,
        from: Option<u64>,
    ) -> Result<Response<Body>, HubError> {
        let endpoint = self.parse(self.config.base())?;
        let mut at = self.parse(url)?;
        for _ in 0..=MAX_REDIRECTS {
            self.stop.check()?;
            let mut request = self.agent.get(&at);
            if let Some(token) = &self.config.token
                && address::is_same_server(&at, &endpoint)
            {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            if let Some(from) = from {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            let mut response = request.call().map_err(|error| self.failed(url, error))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return self.accept(url, asked, from, response);
            }
            let to = header(response.headers(), LOCATION.as_str());
            at = to.and_then(|to| address::follow(&at, to)).ok_or_else(|| {
                self.malformed(url, "it redirects to no address, or to one without encryption")
            })?;
            // Only a connection that was read to its end is used again.
            let _ = read(response.body_mut(), MAX_ERROR_BYTES);
        }
        Err(self.malformed(url, format!("it redirects more than {MAX_REDIRECTS} times")))
    }

    /// The response, if it is what was asked for.
    fn accept(
        &self,
        url: &str,
        asked: &Asked<'_>,
        from: Option<u64>,
        mut response: Response<Body>,
    ) -> Result<Response<Body>, HubError> {
        let status = response.status();
        if status == StatusCode::OK || (from.is_some() && status == StatusCode::PARTIAL_CONTENT) {
            return Ok(response);
        }
        let text = |name| header(response.headers(), name).unwrap_or_default().to_owned();
        let code = text("x-error-code");
        let mut message = text("x-error-message");
        let retry_after = text(RETRY_AFTER.as_str()).trim().parse().ok();
        if message.is_empty() {
            // What the body says is welcome; that it can't be had is no further error.
            let body = read(response.body_mut(), MAX_ERROR_BYTES).ok().flatten();
            message = body.and_then(|body| error_of_body(&body)).unwrap_or_default();
        }
        let retry_after = retry_after.map(Duration::from_secs);
        let refusal = Refusal { status, code: &code, message: &message, retry_after };
        Err(self.refused(url, asked, &refusal))
    }

    fn refused(&self, url: &str, asked: &Asked<'_>, refusal: &Refusal<'_>) -> HubError {
        let (repo, url) = (Box::new(self.repo.clone()), url.to_owned());
        let (revision, message) = (self.revision.to_owned(), shortened(refusal.message));
        let with_token = self.config.token.is_some();
        let file = match asked {
            Asked::File(file) => (*file).to_owned(),
            Asked::Revision => String::new(),
        };
        let retry_after = refusal.retry_after;
        match (refusal.status.as_u16(), refusal.code) {
            (_, "GatedRepo") => {
                let base = self.config.base();
                let accept_at = format!("{base}/{}{repo}", self.kind.prefix());
                HubError::Gated { repo, accept_at, with_token }
            }
            (_, "RepoNotFound") => HubError::RepoNotFound { repo, url, with_token },
            (_, "RevisionNotFound") => HubError::RevisionNotFound { repo, revision, url },
            (404, "EntryNotFound") if !file.is_empty() => {
                HubError::FileNotFound { repo, revision, file }
            }
            (401, _) if with_token => HubError::Unauthorized { repo, url },
            // To who doesn't say who he is, the Hub doesn't tell private from missing.
            (401, _) => HubError::RepoNotFound { repo, url, with_token },
            (403, _) => HubError::Forbidden { repo, url, message },
            (404, _) if file.is_empty() => HubError::RepoNotFound { repo, url, with_token },
            (404, _) => HubError::FileNotFound { repo, revision, file },
            (429, _) => HubError::RateLimited { repo, url, retry_after },
            (status, _) => HubError::Server { repo, url, status, message },
        }
    }

    fn failed(&self, url: &str, error: ureq::Error) -> HubError {
        let source: Box<dyn StdError + Send + Sync> = match error {
            ureq::Error::Timeout(_) => Box::new(Silence(self.config.timeout)),
            ureq::Error::Io(error) => Box::new(error),
            other => Box::new(other),
        };
        let (repo, revision) = (Box::new(self.repo.clone()), self.revision.to_owned());
        HubError::Network { repo, revision, url: url.to_owned(), cached: false, source }
    }

    fn malformed(&self, url: &str, message: impl AsRef<str>) -> HubError {
        let message = printable(message.as_ref()).into_owned();
        HubError::Malformed { repo: Box::new(self.repo.clone()), url: url.to_owned(), message }
    }

    fn parse(&self, url: &str) -> Result<Uri, HubError> {
        address::parse(url).ok_or_else(|| self.malformed(url, "it is not an address"))
    }

    fn api(&self, question: &str, revision: &str) -> String {
        self.url(&["api", self.kind.plural()], &[question, revision])
    }

    /// An address with the id of the repository in it.
    fn url(&self, before: &[&str], after: &[&str]) -> String {
        let mut url = self.config.base().to_owned();
        let id = self.repo.owner().into_iter().chain([self.repo.name()]);
        let parts = before.iter().copied().chain(id).chain(after.iter().copied());
        parts.filter(|part| !part.is_empty()).for_each(|part| push(&mut url, part));
        url
    }
}

/// What a request was for.
enum Asked<'a> {
    Revision,
    File(&'a str),
}

struct Refusal<'a> {
    status: StatusCode,
    code: &'a str,
    message: &'a str,
    retry_after: Option<Duration>,
}

#[derive(Debug)]
struct Silence(Duration);

impl fmt::Display for Silence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "nothing came for {} s", self.0.as_secs_f32())
    }
}

impl StdError for Silence {}

/// The whole body, if it has at most `limit` bytes.
fn read(body: &mut Body, limit: u64) -> Result<Option<Vec<u8>>, ureq::Error> {
    let mut bytes = Vec::new();
    body.as_reader().take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The address in `<…>; rel="next"`.
fn next_page(headers: &HeaderMap) -> Option<&str> {
    let links = header(headers, LINK.as_str())?;
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    let (_, rest) = next.split_once('<')?;
    rest.split_once('>').map(|(address, _)| address)
}

/// Whether the server sends the part that begins at `offset`, of a file of `size` bytes.
fn is_range(headers: &HeaderMap, offset: u64, size: u64) -> bool {
    let range = header(headers, CONTENT_RANGE.as_str()).unwrap_or_default();
    let Some((range, total)) = range.trim().strip_prefix("bytes ").and_then(|r| r.split_once('/'))
    else {
        return false;
    };
    let start = range.split_once('-').and_then(|(start, _)| start.trim().parse::<u64>().ok());
    start == Some(offset) && (total == "*" || total.parse() == Ok(size))
}

fn error_of_body(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    value.get("error")?.as_str().map(str::to_owned)
}

/// The start of a server's text, safe to print.
fn shortened(text: &str) -> String {
    const MOST: usize = 300;
    let mut start: String = text.chars().take(MOST).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    printable(&start).into_owned()
}

#[cfg(test)]
mod tests {
    use ureq::http::HeaderValue;

    use super::*;

    #[test]
    fn ranges_that_answer_the_question() {
        let mut headers = HeaderMap::new();
        assert!(!is_range(&headers, 5, 10));
        for (value, expected) in [
            ("bytes 5-9/10", true),
            ("bytes 5-9/*", true),
            ("bytes 0-9/10", false),
            ("bytes 5-9/11", false),
            ("bytes */10", false),
            ("items 5-9/10", false),
            ("", false),
        ] {
            headers.insert(CONTENT_RANGE, HeaderValue::from_static(value));
            assert_eq!(is_range(&headers, 5, 10), expected, "{value}");
        }
    }

    #[test]
    fn the_next_page() {
        let mut headers = HeaderMap::new();
        assert_eq!(next_page(&headers), None);
        for (value, expected) in [
            ("<http://h/a?p=2>; rel=\"next\"", Some("http://h/a?p=2")),
            ("<http://h/1>; rel=\"first\", </a?p=2>; rel=\"next\"", Some("/a?p=2")),
            ("<http://h/1>; rel=\"first\"", None),
            ("rel=\"next\"", None),
        ] {
            headers.insert(LINK, HeaderValue::from_static(value));
            assert_eq!(next_page(&headers), expected, "{value}");
        }
    }
}
