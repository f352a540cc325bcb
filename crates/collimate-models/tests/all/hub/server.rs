//! A Hub on the loopback interface, which speaks as much of the protocol as is used, and can be told
//! to misbehave.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use sha1::Digest;

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Bytes of the body that were sent in answer.
    pub sent: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn range_start(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The connection is closed after this many bytes of the body.
    pub cut_at: Option<usize>,
    /// After which nothing comes until the client goes away.
    pub hang: bool,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut_at: None, hang: false }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::new(status, "").with("X-Error-Code", code).with("X-Error-Message", message)
    }

    pub fn cut_at(mut self, bytes: usize) -> Self {
        self.cut_at = Some(bytes);
        self
    }
}

/// Answers a request instead of the server, or leaves it to it.
type Hook = Box<dyn FnMut(&Request) -> Option<Reply> + Send>;

struct Content {
    bytes: Vec<u8>,
    large: bool,
}

impl Content {
    fn git_sha1(&self) -> String {
        let mut hash = sha1::Sha1::new();
        hash.update(format!("blob {}\0", self.bytes.len()));
        hash.update(&self.bytes);
        hex(&hash.finalize())
    }

    fn sha256(&self) -> String {
        hex(&sha2::Sha256::digest(&self.bytes))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One repository.
pub struct Repo {
    /// `models/org/name` or `datasets/org/name`.
    pub id: &'static str,
    files: BTreeMap<String, Content>,
    page: usize,
    /// Where large files are redirected to; else to the same server.
    cdn: Option<String>,
}

impl Repo {
    pub fn new(id: &'static str) -> Self {
        Self { id, files: BTreeMap::new(), page: 1000, cdn: None }
    }

    pub fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), Content { bytes: bytes.into(), large: false });
        self
    }

    /// A file that lies elsewhere and is known by its SHA-256.
    pub fn large(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), Content { bytes: bytes.into(), large: true });
        self
    }

    pub fn page(mut self, entries: usize) -> Self {
        self.page = entries;
        self
    }

    pub fn cdn(mut self, address: String) -> Self {
        self.cdn = Some(address);
        self
    }

    pub fn etag(&self, path: &str) -> String {
        let content = &self.files[path];
        if content.large { content.sha256() } else { content.git_sha1() }
    }

    fn answer(&self, request: &Request) -> Reply {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        if let Some(sha256) = path.strip_prefix("/cdn/") {
            return match self.files.values().find(|content| content.sha256() == sha256) {
                Some(content) => ranged(content, request).with("ETag", "\"of-the-cdn\""),
                None => Reply::new(404, "no such content"),
            };
        }
        let api = format!("/api/{}/", self.id);
        if let Some(rest) = path.strip_prefix(&api) {
            return match rest.split_once('/') {
                Some(("revision", "main" | "refs%2Fpr%2F1" | COMMIT)) => {
                    let id = self.id.split_once('/').unwrap().1;
                    let sha = format!(r#"{{"id": "{id}", "_id": "1", "sha": "{COMMIT}"}}"#);
                    Reply::new(200, sha)
                }
                Some(("revision", _)) => Reply::error(404, "RevisionNotFound", "Invalid rev id"),
                Some(("tree", COMMIT)) => self.tree(path, query),
                _ => Reply::new(404, ""),
            };
        }
        let prefix = format!("/{}/resolve/", self.id.strip_prefix("models/").unwrap_or(self.id));
        if let Some(rest) = path.strip_prefix(&prefix) {
            let (_, file) = rest.split_once('/').unwrap();
            let Some(content) = self.files.get(&file.replace("%20", " ")) else {
                return Reply::error(404, "EntryNotFound", "Entry not found");
            };
            if !content.large {
                return ranged(content, request)
                    .with("X-Repo-Commit", COMMIT)
                    .with("ETag", format!("\"{}\"", content.git_sha1()));
            }
            let here = format!("http://{}", request.header("host").unwrap());
            let cdn = self.cdn.as_ref().unwrap_or(&here);
            return Reply::new(302, "")
                .with("X-Repo-Commit", COMMIT)
                .with("X-Linked-Size", content.bytes.len().to_string())
                .with("X-Linked-ETag", format!("\"{}\"", content.sha256()))
                .with("Location", format!("{cdn}/cdn/{}", content.sha256()));
        }
        Reply::error(401, "RepoNotFound", "Repository not found")
    }

    fn tree(&self, path: &str, query: &str) -> Reply {
        let cursor = query.split('&').find_map(|pair| pair.strip_prefix("cursor="));
        let from: usize = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        let entry = |(path, content): (&String, &Content)| {
            let mut entry = serde_json::json!({
                "type": "file", "path": path, "size": content.bytes.len(),
                "oid": content.git_sha1(),
            });
            if content.large {
                let lfs = serde_json::json!({
                    "oid": content.sha256(), "size": content.bytes.len(), "pointerSize": 130,
                });
                entry["lfs"] = lfs;
            }
            entry
        };
        let mut entries: Vec<_> = self.files.iter().skip(from).take(self.page).map(entry).collect();
        if from == 0 {
            entries.push(serde_json::json!({"type": "directory", "path": "d", "oid": "0"}));
        }
        let reply = Reply::new(200, serde_json::to_vec(&entries).unwrap());
        if from + self.page < self.files.len() {
            let next = from + self.page;
            return reply
                .with("Link", format!("<{path}?recursive=true&cursor={next}>; rel=\"next\""));
        }
        reply
    }
}

fn ranged(content: &Content, request: &Request) -> Reply {
    let (bytes, all) = (&content.bytes, content.bytes.len());
    match request.range_start() {
        Some(start) if start < all => Reply::new(206, &bytes[start..])
            .with("Content-Range", format!("bytes {start}-{}/{all}", all - 1)),
        Some(_) => Reply::new(416, ""),
        None => Reply::new(200, bytes.as_slice()),
    }
}

struct State {
    repo: Repo,
    hook: Hook,
    log: Vec<Request>,
}

pub struct Server {
    state: Arc<Mutex<State>>,
    pub endpoint: String,
}

impl Server {
    pub fn start(repo: Repo) -> Self {
        Self::with_hook(repo, |_| None)
    }

    pub fn with_hook(
        repo: Repo,
        hook: impl FnMut(&Request) -> Option<Reply> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = State { repo, hook: Box::new(hook), log: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let served = Arc::clone(&state);
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&served);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { state, endpoint }
    }

    /// From now on this answers first.
    pub fn hook(&self, hook: impl FnMut(&Request) -> Option<Reply> + Send + 'static) {
        self.state.lock().unwrap().hook = Box::new(hook);
    }

    pub fn etag(&self, path: &str) -> String {
        self.state.lock().unwrap().repo.etag(path)
    }

    /// The requests since the last call.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let Some(mut request) = read_request(&stream) else { return };
    let reply = {
        let mut state = state.lock().unwrap();
        let reply = (state.hook)(&request);
        let reply = reply.unwrap_or_else(|| state.repo.answer(&request));
        let length = reply.cut_at.unwrap_or(reply.body.len()).min(reply.body.len());
        request.sent = if request.method == "HEAD" { 0 } else { length };
        state.log.push(request.clone());
        reply
    };
    let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", reply.status);
    if !reply.headers.iter().any(|(name, _)| name == "Content-Length") {
        head.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    // A client that has gone away is none of the server's business.
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    let _ = stream.write_all(&reply.body[..request.sent]);
    let _ = stream.flush();
    if reply.hang {
        let _ = std::io::Read::read(&mut stream, &mut [0]);
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = lines.take_while(|line| !line.is_empty()).filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_lowercase(), value.trim().to_owned()))
    });
    Some(Request { method, target, headers: headers.collect(), sent: 0 })
}
