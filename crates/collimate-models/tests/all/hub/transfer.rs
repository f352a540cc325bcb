//! Whole, cut, continued, corrupted and cancelled transfers.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use collimate_models::{FileSelection, Hub, HubError, HubEvent, RepoKind, Verification};

use super::server::{COMMIT, Reply, Repo, Request, Server};
use super::{NEEDED, blob, config, fetch, fetch_at, fetch_with, model, repo, weights};

const MODEL: &str = "model.safetensors";

fn is_content(request: &Request) -> bool {
    request.target.starts_with("/cdn/")
}

fn contents(requests: &[Request]) -> Vec<&Request> {
    requests.iter().filter(|request| is_content(request)).collect()
}

#[test]
fn everything_that_is_needed_arrives_and_is_verified() {
    let (server, cache) = (Server::start(model()), tempfile::tempdir().unwrap());
    let (fetched, events) = fetch_with(config(&server, cache.path()), &FileSelection::needed());
    let fetched = fetched.unwrap();
    assert_eq!(fetched.commit, COMMIT);
    assert_eq!(fetched.files.iter().map(|file| &file.path).collect::<Vec<_>>(), NEEDED);
    assert_eq!(fetched.unverified().count(), 0);
    assert_eq!(fetched.files[1].verification, Verification::GitSha1);
    assert_eq!(fetched.files[2].verification, Verification::Sha256);
    assert!(fetched.files.iter().all(|file| !file.reused));
    assert_eq!(fs::read(fetched.path.join(MODEL)).unwrap(), weights(3_000_000));
    assert_eq!(fs::read(fetched.path.join("config.json")).unwrap(), b"{}\n");
    assert!(!fetched.path.join("pytorch_model.bin").exists());

    let bytes = fetched.bytes();
    assert_eq!(events[0], HubEvent::Listed { files: 4, bytes });
    let file = MODEL.to_owned();
    let of_model: Vec<_> = events.iter().filter(|event| mentions(event, MODEL)).collect();
    let started = HubEvent::Started { file: file.clone(), bytes: 3_000_000, resumed_from: 0 };
    assert_eq!(*of_model[0], started);
    let finished = HubEvent::Finished { file, verified: Verification::Sha256 };
    assert_eq!(**of_model.last().unwrap(), finished);
    let between = &of_model[1..of_model.len() - 1];
    assert!(!between.is_empty() && between.len() <= 12, "{between:?}");
    assert!(between.iter().all(|event| matches!(event, HubEvent::Progress { .. })));
}

fn mentions(event: &HubEvent, name: &str) -> bool {
    match event {
        HubEvent::Started { file, .. }
        | HubEvent::Progress { file, .. }
        | HubEvent::Finished { file, .. }
        | HubEvent::Reused { file } => file == name,
        _ => false,
    }
}

#[test]
fn the_second_time_nothing_is_transferred() {
    let (server, cache) = (Server::start(model()), tempfile::tempdir().unwrap());
    fetch(&server, cache.path()).unwrap();
    server.requests();
    let config = config(&server, cache.path());
    let (again, events) = fetch_with(config.clone(), &FileSelection::needed());
    assert!(again.unwrap().files.iter().all(|file| file.reused));
    assert_eq!(events.len(), 1 + NEEDED.len(), "{events:?}");
    let requests = server.requests();
    assert_eq!(requests.len(), 1, "only what `main` names now is asked for: {requests:?}");

    let (pinned, _) = fetch_at(config, RepoKind::Model, COMMIT, &FileSelection::needed());
    pinned.unwrap();
    assert_eq!(server.requests().len(), 0, "a commit never changes");
}

#[test]
fn a_cut_connection_is_continued_where_it_ended() {
    let mut cuts = 0;
    let server = Server::with_hook(model(), move |request| {
        cuts += usize::from(is_content(request));
        let cut = is_content(request) && cuts == 1;
        cut.then(|| Reply::new(200, weights(3_000_000)).cut_at(1_000_000))
    });
    let cache = tempfile::tempdir().unwrap();
    let (fetched, events) = fetch_with(config(&server, cache.path()), &FileSelection::needed());
    assert_eq!(fs::read(fetched.unwrap().path.join(MODEL)).unwrap(), weights(3_000_000));
    let requests = server.requests();
    let contents = contents(&requests);
    assert_eq!(contents.len(), 2);
    assert_eq!(contents[0].header("range"), None);
    assert_eq!(contents[1].header("range"), Some("bytes=1000000-"));
    assert_eq!(contents.iter().map(|request| request.sent).sum::<usize>(), 3_000_000);
    let retries: Vec<_> =
        events.iter().filter(|event| matches!(event, HubEvent::Retrying { .. })).collect();
    assert!(
        matches!(retries[..], [HubEvent::Retrying { file: Some(file), attempt: 2, .. }] if file == MODEL),
        "{retries:?}"
    );
}

#[test]
fn what_a_crash_left_is_continued() {
    let (server, cache) = (Server::start(model()), tempfile::tempdir().unwrap());
    let blob = blob(cache.path(), &server.etag(MODEL));
    let partial = blob.with_extension("incomplete");
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    fs::write(&partial, &weights(3_000_000)[..2_500_000]).unwrap();
    let (fetched, events) = fetch_with(config(&server, cache.path()), &FileSelection::needed());
    assert_eq!(fetched.unwrap().files[2].verification, Verification::Sha256);
    assert_eq!(fs::read(&blob).unwrap(), weights(3_000_000));
    assert!(!partial.exists());
    let requests = server.requests();
    assert_eq!(contents(&requests)[0].header("range"), Some("bytes=2500000-"));
    assert_eq!(contents(&requests)[0].sent, 500_000);
    let file = MODEL.to_owned();
    assert!(events.contains(&HubEvent::Started {
        file,
        bytes: 3_000_000,
        resumed_from: 2_500_000
    }));
}

#[test]
fn what_a_crash_left_may_be_all_or_too_much() {
    for (left, transfers) in [(weights(3_000_000), 0), (weights(3_000_001), 1)] {
        let (server, cache) = (Server::start(model()), tempfile::tempdir().unwrap());
        let blob = blob(cache.path(), &server.etag(MODEL));
        fs::create_dir_all(blob.parent().unwrap()).unwrap();
        fs::write(blob.with_extension("incomplete"), left).unwrap();
        fetch(&server, cache.path()).unwrap();
        assert_eq!(fs::read(&blob).unwrap(), weights(3_000_000));
        assert_eq!(contents(&server.requests()).len(), transfers);
    }
}

/// Servers which answer a range by the whole file, by another range, or by an error.
#[test]
fn ranges_that_are_not_honoured_start_again() {
    let all = || weights(3_000_000);
    let whole = move || Reply::new(200, all());
    let shifted =
        move || Reply::new(206, &all()[5..]).with("Content-Range", "bytes 5-2999999/3000000");
    let unstated = move || Reply::new(206, all());
    let refused = || Reply::new(416, "");
    let replies: [Box<dyn Fn() -> Reply + Send + Sync>; 4] =
        [Box::new(whole), Box::new(shifted), Box::new(unstated), Box::new(refused)];
    for reply in replies {
        let server = Server::with_hook(model(), move |request| {
            (is_content(request) && request.header("range").is_some()).then(&reply)
        });
        let cache = tempfile::tempdir().unwrap();
        let blob = blob(cache.path(), &server.etag(MODEL));
        fs::create_dir_all(blob.parent().unwrap()).unwrap();
        fs::write(blob.with_extension("incomplete"), &weights(3_000_000)[..1000]).unwrap();
        fetch(&server, cache.path()).unwrap();
        assert_eq!(fs::read(&blob).unwrap(), weights(3_000_000));
    }
}

#[test]
fn corrupted_content_is_fetched_again_once_and_then_refused() {
    let corrupt = || {
        let mut bytes = weights(3_000_000);
        bytes[1_234_567] ^= 1;
        Reply::new(200, bytes)
    };
    for (bad, is_ok) in [(1, true), (2, false)] {
        let mut served = 0;
        let server = Server::with_hook(model(), move |request| {
            served += usize::from(is_content(request));
            (is_content(request) && served <= bad).then(corrupt)
        });
        let cache = tempfile::tempdir().unwrap();
        let etag = server.etag(MODEL);
        let result = fetch(&server, cache.path());
        let blob = blob(cache.path(), &etag);
        assert!(!blob.with_extension("incomplete").exists());
        assert_eq!(contents(&server.requests()).len(), 2);
        if is_ok {
            assert_eq!(fs::read(result.unwrap().path.join(MODEL)).unwrap(), weights(3_000_000));
            continue;
        }
        let error = result.unwrap_err();
        assert!(!blob.exists());
        assert!(!cache.path().join("models--org--model/refs/main").exists());
        match error {
            HubError::Corrupted { file, expected, found, .. } => {
                assert_eq!((file.as_str(), &expected), (MODEL, &etag));
                assert!(found != etag && found.len() == 64);
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn small_files_are_verified_too() {
    let server = Server::with_hook(model(), |request| {
        request.target.ends_with("config.json").then(|| Reply::new(200, "[]\n"))
    });
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&server, cache.path()).unwrap_err();
    assert!(
        matches!(error, HubError::Corrupted { ref file, .. } if file == "config.json"),
        "{error}"
    );
}

#[test]
fn a_file_that_always_ends_early_is_kept_and_reported() {
    let server = Server::with_hook(model(), |request| {
        let start = request.header("range").map_or(0, |_| 500_000);
        is_content(request).then(|| {
            let bytes = weights(500_000)[start..].to_vec();
            let status = if start > 0 { 206 } else { 200 };
            Reply::new(status, bytes).with("Content-Range", "bytes 500000-2999999/3000000")
        })
    });
    let cache = tempfile::tempdir().unwrap();
    let error =
        fetch_with(config(&server, cache.path()).with_attempts(3), &FileSelection::files([MODEL]));
    let error = error.0.unwrap_err();
    assert!(
        matches!(error, HubError::Truncated { found: 500_000, expected: 3_000_000, .. }),
        "{error}"
    );
    assert_eq!(contents(&server.requests()).len(), 3);
    let partial = blob(cache.path(), &server.etag(MODEL)).with_extension("incomplete");
    assert_eq!(fs::metadata(partial).unwrap().len(), 500_000);
}

/// A try that comes much further than those before starts the count again.
#[test]
fn cuts_without_end_are_given_up_and_slow_progress_is_not() {
    for (step, is_ok, expected) in [(1_100_000, true, 3), (0, false, 3)] {
        let server = Server::with_hook(model(), move |request| {
            let range = request.header("range").and_then(|range| range.strip_prefix("bytes="));
            let start: usize =
                range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
            let reply = || {
                if step == 0 {
                    return Reply::new(200, weights(3_000_000)).cut_at(2_500_000);
                }
                let status = if start > 0 { 206 } else { 200 };
                Reply::new(status, &weights(3_000_000)[start..])
                    .with("Content-Range", format!("bytes {start}-2999999/3000000"))
                    .cut_at(step)
            };
            is_content(request).then(reply)
        });
        let cache = tempfile::tempdir().unwrap();
        let attempts = if step == 0 { 3 } else { 2 };
        let settings = config(&server, cache.path()).with_attempts(attempts);
        let (result, _) = fetch_with(settings, &FileSelection::files([MODEL]));
        assert_eq!(result.is_ok(), is_ok, "{result:?}");
        assert_eq!(contents(&server.requests()).len(), expected);
    }
}

#[test]
fn cancelling_keeps_what_arrived() {
    let server = Server::with_hook(model(), |request| {
        is_content(request).then(|| {
            let mut reply = Reply::new(200, weights(3_000_000)).cut_at(2_000_000);
            reply.hang = true;
            reply
        })
    });
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::new(config(&server, cache.path())).unwrap();
    let cancelled = AtomicBool::new(false);
    let observer = &mut |event: HubEvent| {
        if matches!(event, HubEvent::Progress { done: 1_500_000.., .. }) {
            cancelled.store(true, Ordering::Relaxed);
        }
    };
    let selection = FileSelection::files([MODEL]);
    let result = hub.fetch(&repo(), RepoKind::Model, "main", &selection, observer, &cancelled);
    assert!(matches!(result, Err(HubError::Cancelled)), "{result:?}");
    let partial = blob(cache.path(), &server.etag(MODEL)).with_extension("incomplete");
    let kept = fs::metadata(partial).unwrap().len();
    assert!((1_500_000..=2_000_000).contains(&kept), "{kept}");

    server.hook(|_| None);
    server.requests();
    fetch(&server, cache.path()).unwrap();
    assert_eq!(contents(&server.requests())[0].sent as u64, 3_000_000 - kept);
}

/// A reply that never comes to its end. What waits for it must be woken: the test's timeout is an
/// hour.
fn silence() -> Reply {
    let mut reply = Reply::new(200, "12345").cut_at(2);
    reply.hang = true;
    reply
}

#[test]
fn cancelling_while_the_server_is_silent() {
    for part in ["/revision/", "/tree/", "/cdn/"] {
        let cancelled = Arc::new(AtomicBool::new(false));
        let cancel = Arc::clone(&cancelled);
        let server = Server::with_hook(model(), move |request| {
            let is_silent = request.target.contains(part);
            cancel.fetch_or(is_silent, Ordering::Relaxed);
            is_silent.then(silence)
        });
        let cache = tempfile::tempdir().unwrap();
        let settings = config(&server, cache.path()).with_timeout(Duration::from_secs(3_600));
        let hub = Hub::new(settings).unwrap();
        let needed = FileSelection::needed();
        let result = hub.fetch(&repo(), RepoKind::Model, "main", &needed, &mut |_| {}, &cancelled);
        assert!(matches!(result, Err(HubError::Cancelled)), "{part} {result:?}");
    }
}

#[test]
fn an_error_ends_the_other_transfers() {
    let server = Server::with_hook(model(), |request| {
        let gone = || Reply::error(404, "EntryNotFound", "Entry not found");
        let silent = || request.target.ends_with("/README.md").then(silence);
        request.target.ends_with("/tokenizer.json").then(gone).or_else(silent)
    });
    let cache = tempfile::tempdir().unwrap();
    let settings = config(&server, cache.path()).with_timeout(Duration::from_secs(3_600));
    let error = fetch_with(settings, &FileSelection::needed()).0.unwrap_err();
    assert!(
        matches!(&error, HubError::FileNotFound { file, .. } if file == "tokenizer.json"),
        "{error}"
    );
}

#[test]
fn an_observer_that_panics_leaves_no_thread_behind() {
    let server = Server::with_hook(model(), |request| is_content(request).then(silence));
    let cache = tempfile::tempdir().unwrap();
    let settings = config(&server, cache.path()).with_timeout(Duration::from_secs(3_600));
    let hub = Hub::new(settings).unwrap();
    let cancelled = AtomicBool::new(false);
    let observer = &mut |event: HubEvent| assert!(!mentions(&event, MODEL), "the observer's own");
    let selection = FileSelection::files([MODEL]);
    let result = catch_unwind(AssertUnwindSafe(|| {
        hub.fetch(&repo(), RepoKind::Model, "main", &selection, observer, &cancelled)
    }));
    let panic = result.unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the observer's own"));
}

#[test]
fn many_files_at_a_time_and_some_with_the_same_content() {
    let mut repository = Repo::new("datasets/org/model").page(7).file("README.md", "card");
    for number in 0..40 {
        let content = weights(10_000 + number % 20);
        repository = repository.large(&format!("data/train-{number}.parquet"), content);
    }
    let (server, cache) = (Server::start(repository), tempfile::tempdir().unwrap());
    let (fetched, events) = fetch_at(
        config(&server, cache.path()).with_transfers(8),
        RepoKind::Dataset,
        "refs/pr/1",
        &FileSelection::needed(),
    );
    let fetched = fetched.unwrap();
    assert_eq!(fetched.files.len(), 41);
    for number in 0..40 {
        let bytes = fs::read(fetched.path.join(format!("data/train-{number}.parquet"))).unwrap();
        assert_eq!(bytes, weights(10_000 + number % 20));
    }
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|r| r.target.contains("/tree/")).count(), 6);
    assert_eq!(contents(&requests).len(), 20, "the same content is transferred once");
    assert_eq!(events.iter().filter(|e| matches!(e, HubEvent::Reused { .. })).count(), 20);
    let folder = cache.path().join("datasets--org--model");
    assert_eq!(fs::read_to_string(folder.join("refs/refs/pr/1")).unwrap(), COMMIT);
}

#[test]
fn shards_that_the_index_names_and_no_others() {
    let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors",
        "b": "model-00002-of-00002.safetensors"}}"#;
    let repository = Repo::new("models/org/model")
        .file("model.safetensors.index.json", index)
        .large("model-00001-of-00002.safetensors", weights(100))
        .large("model-00002-of-00002.safetensors", weights(200))
        .large("model-00001-of-00009.safetensors", weights(300));
    let (server, cache) = (Server::start(repository), tempfile::tempdir().unwrap());
    let fetched = fetch(&server, cache.path()).unwrap();
    assert_eq!(fetched.files.len(), 3);
    assert!(fetched.files.iter().all(|file| !file.reused));
    assert!(!fetched.path.join("model-00001-of-00009.safetensors").exists());
}

#[test]
fn an_empty_file_and_a_name_with_a_space() {
    let repository = Repo::new("models/org/model").file("empty", "").file("a b", "x");
    let (server, cache) = (Server::start(repository), tempfile::tempdir().unwrap());
    let selection = FileSelection::files(["empty", "a b"]);
    let fetched = fetch_with(config(&server, cache.path()), &selection).0.unwrap();
    assert_eq!(fs::read(fetched.path.join("empty")).unwrap(), b"");
    assert_eq!(fs::read(fetched.path.join("a b")).unwrap(), b"x");
    assert_eq!(fetched.unverified().count(), 0);
}
