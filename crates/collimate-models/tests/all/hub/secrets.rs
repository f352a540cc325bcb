//! Tokens go where they belong, and nothing is taken from the environment.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use collimate_models::{FileSelection, HubConfig};

use super::server::{COMMIT, Reply, Server};
use super::{config, fetch_with, model};

#[test]
fn a_token_goes_to_the_endpoint_and_not_to_where_it_redirects() {
    let cdn = Server::start(model());
    let server = Server::start(model().cdn(cdn.endpoint.clone()));
    let cache = tempfile::tempdir().unwrap();
    let settings = config(&server, cache.path()).with_token("hf_secret");
    fetch_with(settings, &FileSelection::needed()).0.unwrap();
    let requests = server.requests();
    assert!(requests.len() >= 6);
    for request in requests {
        assert_eq!(request.header("authorization"), Some("Bearer hf_secret"), "{request:?}");
    }
    let elsewhere = cdn.requests();
    assert_eq!(elsewhere.len(), 1);
    for request in elsewhere {
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.header("referer"), None);
        assert!(!format!("{request:?}").contains("hf_secret"));
    }
}

/// As for a repository that was given another name.
#[test]
fn a_token_goes_to_another_path_of_the_endpoint() {
    let server = Server::with_hook(model(), |request| {
        let (moved, renamed) = ("/api/models/org/model/revision/main", "/api/models/renamed?a=b");
        let authorized = request.header("authorization") == Some("Bearer hf_secret");
        match &request.target {
            target if target == moved => Some(Reply::new(307, "").with("Location", renamed)),
            target if target == renamed && authorized => {
                Some(Reply::new(200, format!("{{\"sha\": \"{COMMIT}\"}}")))
            }
            target if target == renamed => Some(Reply::new(401, "")),
            _ => None,
        }
    });
    let cache = tempfile::tempdir().unwrap();
    let settings = config(&server, cache.path()).with_token("hf_secret");
    fetch_with(settings, &FileSelection::needed()).0.unwrap();
}

/// A proxy that leads to one server, whatever it is asked for, and keeps what it is asked.
fn proxy(server: &Server) -> (String, Arc<Mutex<Vec<String>>>) {
    let target = server.endpoint.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let log = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&log);
    // Ends with the test's process.
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let lines = BufReader::new(&client).lines().map_while(Result::ok);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            kept.lock().unwrap().push(head.join("\n"));
            let mut server = TcpStream::connect(&target).unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            thread::spawn(move || {
                let _ = std::io::copy(&mut server, &mut client);
                client.shutdown(Shutdown::Both)
            });
        }
    });
    (address, log)
}

#[test]
fn a_proxy_is_used_for_everything_and_sees_no_token_in_what_it_is_asked() {
    let server = Server::start(model());
    let (address, log) = proxy(&server);
    let cache = tempfile::tempdir().unwrap();
    // The name is known to nobody: only the proxy can lead there.
    let settings = config(&server, cache.path())
        .with_endpoint("http://hub.invalid")
        .with_proxy(format!("http://me:p%40ss@{address}"))
        .with_token("hf_secret");
    fetch_with(settings, &FileSelection::needed()).0.unwrap();
    let requests = server.requests();
    let asked = log.lock().unwrap();
    assert_eq!(asked.len(), requests.len());
    for head in asked.iter() {
        assert!(head.starts_with("CONNECT hub.invalid:80 HTTP/1.1\n"), "{head}");
        // From `printf me:p@ss | base64`.
        assert!(head.contains("Proxy-Authorization: Basic bWU6cEBzcw=="), "{head}");
        assert!(!head.contains("hf_secret"), "{head}");
    }
    for request in requests {
        assert_eq!(request.header("proxy-authorization"), None);
    }
}

#[test]
fn a_token_is_in_no_error() {
    let server = Server::with_hook(model(), |request| {
        let echo = request.header("authorization").unwrap_or_default();
        (!echo.is_empty()).then(|| Reply::new(500, ""))
    });
    let cache = tempfile::tempdir().unwrap();
    let settings = config(&server, cache.path()).with_token("hf_secret").with_attempts(2);
    let (result, events) = fetch_with(settings, &FileSelection::needed());
    let error = result.unwrap_err();
    let text = format!("{error} {error:?} {events:?}");
    assert!(!text.contains("hf_secret"), "{text}");
}

const ENDPOINT: &str = "COLLIMATE_TEST_ENDPOINT";
const CACHE: &str = "COLLIMATE_TEST_CACHE";

#[test]
#[ignore = "the other half of the next test, run by it in a process with another environment"]
fn fetch_without_a_token() {
    let (Ok(endpoint), Ok(cache)) = (std::env::var(ENDPOINT), std::env::var(CACHE)) else {
        return;
    };
    let settings = HubConfig::new(cache).with_endpoint(endpoint);
    fetch_with(settings, &FileSelection::needed()).0.unwrap();
}

#[test]
fn the_environment_changes_nothing() {
    let server = Server::start(model());
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("token"), "hf_from_file").unwrap();
    let cache = home.path().join("mine");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hub::secrets::fetch_without_a_token", "--ignored"])
        .env(ENDPOINT, &server.endpoint)
        .env(CACHE, &cache)
        .env("HOME", home.path())
        .env("HF_HOME", home.path())
        .env("HF_TOKEN", "hf_from_environment")
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .env("HF_HUB_CACHE", home.path().join("other"))
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HUB_USER_AGENT_ORIGIN", "leaked")
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .env("http_proxy", "http://127.0.0.1:9")
        .env("ALL_PROXY", "http://127.0.0.1:9")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    let requests = server.requests();
    assert!(requests.len() >= 6);
    for request in requests {
        assert_eq!(request.header("authorization"), None);
        assert!(request.header("user-agent").unwrap().starts_with("collimate-models/"));
        assert!(!format!("{request:?}").contains("leaked"));
    }
    let mut left: Vec<_> = std::fs::read_dir(home.path()).unwrap().flatten().collect();
    left.sort_by_key(std::fs::DirEntry::file_name);
    let names: Vec<_> = left.iter().map(std::fs::DirEntry::file_name).collect();
    assert_eq!(names, ["mine", "token"]);
}
