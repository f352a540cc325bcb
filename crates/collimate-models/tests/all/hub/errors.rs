//! Repositories, revisions and files that aren't there or may not be read.

use std::collections::BTreeSet;
use std::time::Duration;

use collimate_models::{FileSelection, Hub, HubError, RepoKind};

use super::server::{Reply, Server};
use super::{config, fetch, fetch_at, fetch_with, model, repo};

/// The error when everything is answered in this way.
fn refused(reply: fn() -> Reply, token: Option<&str>) -> HubError {
    let server = Server::with_hook(model(), move |_| Some(reply()));
    let cache = tempfile::tempdir().unwrap();
    let mut config = config(&server, cache.path()).with_attempts(2);
    if let Some(token) = token {
        config = config.with_token(token);
    }
    let error = fetch_with(config, &FileSelection::needed()).0.unwrap_err();
    let left: Vec<_> = std::fs::read_dir(cache.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    error
}

#[test]
fn gated_repositories() {
    for (status, token) in [(401, None), (403, Some("t"))] {
        let server = Server::with_hook(model(), move |_| {
            Some(Reply::error(status, "GatedRepo", "Access to model org/model is restricted"))
        });
        let cache = tempfile::tempdir().unwrap();
        let mut settings = config(&server, cache.path());
        if let Some(token) = token {
            settings = settings.with_token(token);
        }
        let error = fetch_with(settings, &FileSelection::needed()).0.unwrap_err();
        let page = format!("{}/org/model", server.endpoint);
        assert!(
            matches!(&error, HubError::Gated { accept_at, with_token, .. }
                if *accept_at == page && *with_token == token.is_some()),
            "{error}"
        );
    }
}

/// Metadata of gated repositories is public: only their contents are refused.
#[test]
fn gated_contents() {
    let server = Server::with_hook(model(), |request| {
        let gated = || Reply::error(401, "GatedRepo", "restricted");
        request.target.contains("/resolve/").then(gated)
    });
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&server, cache.path()).unwrap_err();
    assert!(matches!(error, HubError::Gated { .. }), "{error}");
}

#[test]
fn missing_and_private_repositories() {
    for reply in [
        (|| Reply::error(401, "RepoNotFound", "Repository not found")) as fn() -> Reply,
        || Reply::error(404, "RepoNotFound", "Repository not found"),
        || Reply::new(401, "{\"error\": \"Invalid username or password.\"}"),
        || Reply::new(404, ""),
    ] {
        let error = refused(reply, None);
        assert!(matches!(error, HubError::RepoNotFound { with_token: false, .. }), "{error}");
        assert!(error.to_string().contains("private"), "{error}");
    }
}

#[test]
fn tokens_that_are_rejected_and_access_that_is_refused() {
    let invalid = || Reply::error(401, "", "Invalid credentials in Authorization header");
    let error = refused(invalid, Some("hf_wrong"));
    assert!(matches!(error, HubError::Unauthorized { .. }), "{error}");
    let error = refused(|| Reply::error(403, "", "no inference"), Some("t"));
    assert!(matches!(error, HubError::Forbidden { .. }), "{error}");
}

#[test]
fn texts_of_the_server_are_escaped_and_cut() {
    let noisy = || {
        let message = format!("\\u001b[31mred {}", "x".repeat(5_000));
        Reply::new(500, format!("{{\"error\": \"{message}\"}}"))
    };
    let error = refused(noisy, None).to_string();
    assert!(error.contains("\\u{1b}[31mred") && error.len() < 700, "{error}");
}

#[test]
fn revisions_that_are_not_there() {
    let (server, cache) = (Server::start(model()), tempfile::tempdir().unwrap());
    let settings = || config(&server, cache.path());
    let needed = FileSelection::needed();
    let error = fetch_at(settings(), RepoKind::Model, "v9", &needed).0.unwrap_err();
    assert!(
        matches!(&error, HubError::RevisionNotFound { revision, .. } if revision == "v9"),
        "{error}"
    );
    server.requests();
    for revision in ["", "../main", "/main", "a\\b", "a\0", "a//b"] {
        let error = fetch_at(settings(), RepoKind::Model, revision, &needed).0.unwrap_err();
        assert!(matches!(error, HubError::InvalidRevision { .. }), "{error}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn files_that_are_not_there() {
    let (server, cache) = (Server::start(model()), tempfile::tempdir().unwrap());
    let selection = FileSelection::files(["config.json", "missing.json"]);
    let error = fetch_with(config(&server, cache.path()), &selection).0.unwrap_err();
    assert!(
        matches!(&error, HubError::FileNotFound { file, .. } if file == "missing.json"),
        "{error}"
    );
    // Listed, but gone.
    server.hook(|request| {
        let gone = || Reply::error(404, "EntryNotFound", "Entry not found");
        request.target.ends_with("/config.json").then(gone)
    });
    let error = fetch(&server, cache.path()).unwrap_err();
    assert!(
        matches!(&error, HubError::FileNotFound { file, .. } if file == "config.json"),
        "{error}"
    );
}

#[test]
fn servers_that_are_busy_are_asked_again() {
    for (status, asked_again) in [(503, true), (500, true), (429, true), (400, false)] {
        let mut seen = BTreeSet::new();
        let server = Server::with_hook(model(), move |request| {
            let first = seen.insert(request.target.clone());
            first.then(|| Reply::new(status, "").with("Retry-After", "0"))
        });
        let cache = tempfile::tempdir().unwrap();
        let result = fetch(&server, cache.path());
        assert_eq!(result.is_ok(), asked_again, "{status}: {result:?}");
    }
}

#[test]
fn requests_that_are_too_many() {
    let server =
        Server::with_hook(model(), |_| Some(Reply::new(429, "").with("Retry-After", "3600")));
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&server, cache.path()).unwrap_err();
    assert!(
        matches!(error, HubError::RateLimited { retry_after: Some(wait), .. }
            if wait == Duration::from_secs(3600)),
        "{error}"
    );
    assert_eq!(server.requests().len(), 1, "an hour is not waited for");
    let error = refused(|| Reply::new(429, ""), None);
    assert!(matches!(error, HubError::RateLimited { retry_after: None, .. }), "{error}");
}

#[test]
fn redirects_without_end_or_to_nowhere() {
    for (location, expected) in [(Some("/again"), 11), (Some("ftp://else/where"), 1), (None, 1)] {
        let server = Server::with_hook(model(), move |_| {
            let reply = Reply::new(302, "moved");
            Some(location.map_or(Reply::new(302, ""), |location| reply.with("Location", location)))
        });
        let cache = tempfile::tempdir().unwrap();
        let error = fetch(&server, cache.path()).unwrap_err();
        assert!(matches!(error, HubError::Malformed { .. }), "{error}");
        assert_eq!(server.requests().len(), expected, "{location:?}");
    }
}

#[test]
fn a_silent_server_is_given_up() {
    let server = Server::with_hook(model(), |_| {
        let mut reply = Reply::new(200, "12345").cut_at(2);
        reply.hang = true;
        Some(reply)
    });
    let cache = tempfile::tempdir().unwrap();
    let settings = config(&server, cache.path()).with_attempts(2);
    let settings = settings.with_timeout(Duration::from_millis(100));
    let error = fetch_with(settings, &FileSelection::needed()).0.unwrap_err();
    assert!(matches!(error, HubError::Network { .. }), "{error}");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_listing_without_fetching() {
    let (server, cache) = (Server::start(model().page(2)), tempfile::tempdir().unwrap());
    let hub = Hub::new(config(&server, cache.path())).unwrap();
    let listing = hub.resolve(&repo(), RepoKind::Model, "main").unwrap();
    assert_eq!(listing.files.len(), 7);
    let weights = &listing.files["model.safetensors"];
    assert_eq!(weights.sha256.as_deref(), Some(server.etag("model.safetensors").as_str()));
    assert_eq!(weights.size, 3_000_000);
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
    let error = hub.resolve(&repo(), RepoKind::Dataset, "main").unwrap_err();
    assert!(matches!(error, HubError::RepoNotFound { .. }), "{error}");
}
