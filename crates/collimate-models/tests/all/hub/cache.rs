//! What the cache holds, and offline mode.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use collimate_models::{Fetched, FileSelection, Hub, HubConfig, HubError, RepoKind, Verification};

use super::server::{COMMIT, Server};
use super::{NEEDED, blob, config, fetch, fetch_at, fetch_with, model, repo};

/// The listener would show a connection.
fn offline(cache: &Path, revision: &str, selection: &FileSelection) -> Result<Fetched, HubError> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let config = HubConfig::new(cache).with_endpoint(endpoint).with_offline(true);
    let result = fetch_at(config, RepoKind::Model, revision, selection).0;
    assert!(listener.accept().is_err(), "a connection was made");
    result
}

fn missing(result: Result<Fetched, HubError>) -> Vec<String> {
    match result {
        Err(HubError::NotCached { files, .. }) => files,
        other => panic!("{other:?}"),
    }
}

#[cfg(unix)]
#[test]
fn the_layout_is_that_of_the_hugging_face_cache() {
    let (server, cache) = (Server::start(model()), tempfile::tempdir().unwrap());
    let fetched = fetch(&server, cache.path()).unwrap();
    let folder = cache.path().join("models--org--model");
    assert_eq!(fetched.path, folder.join("snapshots").join(COMMIT));
    assert_eq!(fs::read_to_string(folder.join("refs/main")).unwrap(), COMMIT);
    for file in NEEDED {
        let etag = server.etag(file);
        let target = fs::read_link(fetched.path.join(file)).unwrap();
        assert_eq!(target, Path::new("../../blobs").join(&etag));
        assert!(folder.join("blobs").join(&etag).is_file());
        let lock = format!(".locks/models--org--model/{etag}.lock");
        assert!(cache.path().join(lock).is_file());
    }
    assert_eq!(fs::read_dir(folder.join("blobs")).unwrap().count(), NEEDED.len());
    let tag = fs::read_to_string(cache.path().join("CACHEDIR.TAG")).unwrap();
    assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));

    // All files of the commit are listed, whether they were fetched or not.
    let tree = fs::read(folder.join(format!("trees/{COMMIT}.json"))).unwrap();
    let tree: serde_json::Value = serde_json::from_slice(&tree).unwrap();
    assert_eq!(tree["format_version"], 1);
    assert_eq!(tree["files"].as_object().unwrap().len(), 7);
    let config = serde_json::json!({"size": 3, "blob_id": server.etag("config.json")});
    assert_eq!(tree["files"]["config.json"], config);
    let weights = &tree["files"]["model.safetensors"];
    assert_eq!(weights["lfs_sha256"], server.etag("model.safetensors"));
    assert_eq!((&weights["size"], &weights["lfs_size"]), (&3_000_000.into(), &3_000_000.into()));
}

#[test]
fn offline_finds_what_was_fetched() {
    let (server, cache) = (Server::start(model()), tempfile::tempdir().unwrap());
    let online = fetch(&server, cache.path()).unwrap();
    for revision in ["main", COMMIT] {
        let found = offline(cache.path(), revision, &FileSelection::needed()).unwrap();
        assert_eq!((found.path, found.commit), (online.path.clone(), online.commit.clone()));
        assert_eq!(found.files.len(), NEEDED.len());
        assert!(found.files.iter().all(|file| file.reused));
    }
    let hub = Hub::new(HubConfig::new(cache.path()).with_offline(true)).unwrap();
    assert_eq!(hub.resolve(&repo(), RepoKind::Model, "main").unwrap().files.len(), 7);
}

#[test]
fn offline_names_what_is_missing() {
    let (server, cache) = (Server::start(model()), tempfile::tempdir().unwrap());
    let needed = FileSelection::needed();
    assert_eq!(missing(offline(cache.path(), "main", &needed)), [""; 0]);
    fetch_with(config(&server, cache.path()), &FileSelection::files(["config.json"])).0.unwrap();
    assert_eq!(
        missing(offline(cache.path(), "main", &needed)),
        ["README.md", "model.safetensors", "tokenizer.json"]
    );
    assert_eq!(missing(offline(cache.path(), "other", &needed)), [""; 0]);
    fetch(&server, cache.path()).unwrap();
    fs::remove_file(blob(cache.path(), &server.etag("tokenizer.json"))).unwrap();
    fs::write(blob(cache.path(), &server.etag("config.json")), "cut").unwrap();
    fs::write(blob(cache.path(), &server.etag("README.md")), "short").unwrap();
    assert_eq!(missing(offline(cache.path(), "main", &needed)), ["README.md", "tokenizer.json"]);
}

/// Caches of older programs have no list of the commit's files.
#[test]
fn offline_without_a_list_of_files() {
    let (server, cache) = (Server::start(model()), tempfile::tempdir().unwrap());
    let online = fetch(&server, cache.path()).unwrap();
    let needed = FileSelection::needed();
    fs::remove_dir_all(cache.path().join("models--org--model/trees")).unwrap();
    assert_eq!(offline(cache.path(), "main", &needed).unwrap().files.len(), NEEDED.len());
    fs::remove_file(online.path.join("model.safetensors")).unwrap();
    assert_eq!(missing(offline(cache.path(), "main", &needed)), ["model.safetensors"]);
    let index = r#"{"weight_map": {"a": "model-00001-of-00001.safetensors"}}"#;
    fs::write(online.path.join("model.safetensors.index.json"), index).unwrap();
    let absent = missing(offline(cache.path(), "main", &needed));
    assert_eq!(absent, ["model-00001-of-00001.safetensors"]);
}

#[test]
fn a_hub_that_is_gone_is_an_error_that_names_the_cache() {
    let (server, cache) = (Server::start(model()), tempfile::tempdir().unwrap());
    // A port on which nobody listens.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = config(&server, cache.path()).with_attempts(2);
    let config = config.with_endpoint(format!("http://{gone}"));
    let selection = FileSelection::needed();
    let (empty, events) = fetch_with(config.clone(), &selection);
    let error = empty.unwrap_err();
    assert!(matches!(error, HubError::Network { cached: false, .. }), "{error}");
    assert_eq!(events.len(), 1, "{events:?}");
    fetch(&server, cache.path()).unwrap();
    let error = fetch_with(config, &selection).0.unwrap_err();
    assert!(matches!(error, HubError::Network { cached: true, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("offline option") && text.contains("refused"), "{text}");
}

#[test]
fn files_in_the_cache_are_verified_on_request() {
    let (server, cache) = (Server::start(model()), tempfile::tempdir().unwrap());
    let fetched = fetch(&server, cache.path()).unwrap();
    let strict = || config(&server, cache.path()).with_verify_cached(true);
    let needed = FileSelection::needed();
    let again = fetch_with(strict(), &needed).0.unwrap();
    assert!(again.files.iter().all(|file| file.reused));
    assert_eq!(again.files[2].verification, Verification::Sha256);
    fs::write(blob(cache.path(), &server.etag("config.json")), "[]\n").unwrap();
    fetch(&server, cache.path()).unwrap();
    for config in [strict(), strict().with_offline(true)] {
        let error = fetch_with(config, &needed).0.unwrap_err();
        let expected = fetched.path.join("config.json");
        assert!(matches!(&error, HubError::CorruptedCache { path, .. } if *path == expected));
    }
}

/// As where links can't be made, and other programs put files into snapshots.
#[test]
fn plain_files_in_a_snapshot_are_used() {
    let (server, cache) = (Server::start(model()), tempfile::tempdir().unwrap());
    let fetched = fetch(&server, cache.path()).unwrap();
    for file in NEEDED {
        let content = fs::read(fetched.path.join(file)).unwrap();
        fs::remove_file(fetched.path.join(file)).unwrap();
        fs::write(fetched.path.join(file), content).unwrap();
    }
    fs::remove_dir_all(cache.path().join("models--org--model/blobs")).unwrap();
    assert!(fetch(&server, cache.path()).unwrap().files.iter().all(|file| file.reused));
    assert!(offline(cache.path(), "main", &FileSelection::needed()).is_ok());
}

#[test]
fn a_blob_of_another_size_is_replaced() {
    let (server, cache) = (Server::start(model()), tempfile::tempdir().unwrap());
    let blob = blob(cache.path(), &server.etag("config.json"));
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    fs::write(&blob, "something else").unwrap();
    fetch(&server, cache.path()).unwrap();
    assert_eq!(fs::read(&blob).unwrap(), b"{}\n");
}
