//! Servers that lie.

use std::fs;
use std::path::Path;

use collimate_models::{FileSelection, HubError, Verification};

use super::server::{COMMIT, Reply, Server};
use super::{config, fetch, fetch_with, model, weights};

fn with_tree(tree: String) -> Server {
    Server::with_hook(model(), move |request| {
        request.target.contains("/tree/").then(|| Reply::new(200, tree.clone()))
    })
}

/// Every file and folder below, without the tag and the list of files.
fn everything_in(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        found.push(entry.unwrap().path().display().to_string());
    }
    found
}

#[test]
fn paths_that_lead_elsewhere() {
    for path in
        ["../x", "a/../../x", "/etc/x", "..", ".", "a//b", "a\\\\..\\\\x", "a\\u0000b", "a\\nb", ""]
    {
        let oid = "0".repeat(40);
        let entry =
            |path| format!(r#"{{"type": "file", "path": "{path}", "size": 1, "oid": "{oid}"}}"#);
        let server = with_tree(format!("[{}, {}]", entry("config.json"), entry(path)));
        let outer = tempfile::tempdir().unwrap();
        let cache = outer.path().join("a/cache");
        let error = fetch(&server, &cache).unwrap_err();
        assert!(matches!(error, HubError::UnsafePath { .. }), "{path}: {error}");
        assert!(!error.to_string().contains(['\n', '\0']), "{error}");
        assert_eq!(everything_in(outer.path()), [""; 0], "{path}");
    }
}

#[test]
fn hashes_that_lead_elsewhere() {
    for etag in ["../../x", "a/b", "..", ".x", "", "a\\\\b"] {
        for entry in [
            format!(r#""oid": "{etag}""#),
            format!(r#""oid": "0", "lfs": {{"oid": "{etag}", "size": 1, "pointerSize": 1}}"#),
        ] {
            let file = r#""type": "file", "path": "config.json", "size": 1"#;
            let server = with_tree(format!("[{{{file}, {entry}}}]"));
            let outer = tempfile::tempdir().unwrap();
            let error = fetch(&server, &outer.path().join("cache")).unwrap_err();
            assert!(matches!(error, HubError::Malformed { .. }), "{etag}: {error}");
            assert_eq!(everything_in(outer.path()), [""; 0], "{etag}");
        }
    }
}

#[test]
fn a_commit_that_is_none() {
    for sha in ["../../../x", "main", "0123", "", "0123456789ABCDEF0123456789ABCDEF01234567"] {
        let server = Server::with_hook(model(), move |request| {
            let body = format!(r#"{{"id": "org/model", "sha": "{sha}"}}"#);
            request.target.contains("/revision/").then(|| Reply::new(200, body))
        });
        let outer = tempfile::tempdir().unwrap();
        let error = fetch(&server, &outer.path().join("cache")).unwrap_err();
        assert!(matches!(error, HubError::Malformed { .. }), "{sha}: {error}");
        assert_eq!(everything_in(outer.path()), [""; 0]);
    }
}

#[test]
fn answers_that_are_no_json() {
    for part in ["/revision/", "/tree/"] {
        for body in ["", "<html>", "{}", "[1]", "null"] {
            let server = Server::with_hook(model(), move |request| {
                request.target.contains(part).then(|| Reply::new(200, body))
            });
            let cache = tempfile::tempdir().unwrap();
            let error = fetch(&server, cache.path()).unwrap_err();
            assert!(matches!(error, HubError::Malformed { .. }), "{part} {body}: {error}");
        }
    }
}

#[test]
fn more_bytes_than_promised() {
    let server = Server::with_hook(model(), |request| {
        request.target.starts_with("/cdn/").then(|| Reply::new(200, weights(9_000_000)))
    });
    let cache = tempfile::tempdir().unwrap();
    let selection = FileSelection::files(["model.safetensors"]);
    let error = fetch_with(config(&server, cache.path()), &selection).0.unwrap_err();
    assert!(matches!(error, HubError::Oversized { expected: 3_000_000, .. }), "{error}");
    assert_eq!(everything_in(&cache.path().join("models--org--model/blobs")), [""; 0]);
}

#[test]
fn pages_without_end() {
    let mut page = 0;
    let server = Server::with_hook(model(), move |request| {
        let path = request.target.split('?').next().unwrap_or_default();
        page += 1;
        let oid = "0".repeat(40);
        let entries: Vec<_> = (0..2_000)
            .map(|n| format!(r#"{{"type":"file","path":"{page}/{n}","size":1,"oid":"{oid}"}}"#))
            .collect();
        let reply = || {
            Reply::new(200, format!("[{}]", entries.join(",")))
                .with("Link", format!("<{path}?page={page}>; rel=\"next\""))
        };
        request.target.contains("/tree/").then(reply)
    });
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&server, cache.path()).unwrap_err();
    assert!(matches!(error, HubError::Malformed { .. }), "{error}");
    assert!(server.requests().len() < 150);
}

#[test]
fn a_next_page_on_another_server() {
    let other = Server::start(model());
    let elsewhere =
        format!("<{}/api/models/org/model/tree/{COMMIT}>; rel=\"next\"", other.endpoint);
    let server = Server::with_hook(model(), move |request| {
        let reply = || Reply::new(200, "[]").with("Link", elsewhere.clone());
        request.target.contains("/tree/").then(reply)
    });
    let cache = tempfile::tempdir().unwrap();
    let error =
        fetch_with(config(&server, cache.path()).with_token("hf_secret"), &FileSelection::needed());
    let error = error.0.unwrap_err();
    assert!(matches!(error, HubError::Malformed { .. }), "{error}");
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn a_file_that_is_listed_twice_or_is_also_a_folder() {
    let oid = "ce013625030ba8dba906f756967f9e9ca394464a";
    let entry =
        |path: &str| format!(r#"{{"type": "file", "path": "{path}", "size": 6, "oid": "{oid}"}}"#);
    let cache = tempfile::tempdir().unwrap();
    let server = with_tree(format!("[{}, {}]", entry("a"), entry("a")));
    let error = fetch(&server, cache.path()).unwrap_err();
    assert!(matches!(error, HubError::Malformed { .. }), "{error}");

    let tree = format!("[{}, {}]", entry("a"), entry("a/b"));
    let server = Server::with_hook(model(), move |request| {
        let target = &request.target;
        let content = target.contains("/resolve/").then(|| Reply::new(200, "hello\n"));
        content.or_else(|| target.contains("/tree/").then(|| Reply::new(200, tree.clone())))
    });
    let selection = FileSelection::files(["a", "a/b"]);
    let error = fetch_with(config(&server, cache.path()), &selection).0.unwrap_err();
    assert!(matches!(error, HubError::Io { .. }), "{error}");
}

#[test]
fn a_hash_of_no_known_kind_is_reported() {
    let tree = r#"[{"type": "file", "path": "a", "size": 6, "oid": "v1-of-something"}]"#;
    let server = Server::with_hook(model(), move |request| {
        let target = &request.target;
        let content = target.contains("/resolve/").then(|| Reply::new(200, "hello\n"));
        content.or_else(|| target.contains("/tree/").then(|| Reply::new(200, tree)))
    });
    let cache = tempfile::tempdir().unwrap();
    let selection = FileSelection::files(["a"]);
    let fetched = fetch_with(config(&server, cache.path()), &selection).0.unwrap();
    assert_eq!(fetched.files[0].verification, Verification::SizeOnly);
    assert_eq!(fetched.unverified().count(), 1);
}
