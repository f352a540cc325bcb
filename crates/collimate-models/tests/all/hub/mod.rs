//! Repositories of a Hub that runs on the loopback interface.

mod cache;
mod errors;
mod hostile;
mod secrets;
mod server;
mod transfer;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use collimate_models::{
    Fetched, FileSelection, Hub, HubConfig, HubError, HubEvent, RepoId, RepoKind,
};
use server::{Repo, Server};

fn repo() -> RepoId {
    "org/model".parse().unwrap()
}

/// Bytes that no part of which repeats.
fn weights(length: usize) -> Vec<u8> {
    (0..length as u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(length)
        .collect()
}

fn model() -> Repo {
    Repo::new("models/org/model")
        .file(".gitattributes", "*.safetensors filter=lfs\n")
        .file("README.md", "# A model\n")
        .file("config.json", "{}\n")
        .file("empty.txt", "")
        .file("tokenizer.json", "{\"model\": {}}")
        .large("model.safetensors", weights(3_000_000))
        .large("pytorch_model.bin", weights(1_000))
}

/// The files of [`model`] that are needed.
const NEEDED: [&str; 4] = ["README.md", "config.json", "model.safetensors", "tokenizer.json"];

fn config(server: &Server, cache: &Path) -> HubConfig {
    HubConfig::new(cache)
        .with_endpoint(&server.endpoint)
        .with_delay(Duration::from_millis(1))
        .with_timeout(Duration::from_secs(20))
}

fn fetch_with(
    config: HubConfig,
    selection: &FileSelection,
) -> (Result<Fetched, HubError>, Vec<HubEvent>) {
    fetch_at(config, RepoKind::Model, "main", selection)
}

fn fetch_at(
    config: HubConfig,
    kind: RepoKind,
    revision: &str,
    selection: &FileSelection,
) -> (Result<Fetched, HubError>, Vec<HubEvent>) {
    let mut events = Vec::new();
    let hub = Hub::new(config).unwrap();
    let cancelled = AtomicBool::new(false);
    let observer = &mut |event| events.push(event);
    let fetched = hub.fetch(&repo(), kind, revision, selection, observer, &cancelled);
    (fetched, events)
}

fn fetch(server: &Server, cache: &Path) -> Result<Fetched, HubError> {
    fetch_with(config(server, cache), &FileSelection::needed()).0
}

/// Where the content of a file lies.
fn blob(cache: &Path, etag: &str) -> std::path::PathBuf {
    cache.join("models--org--model/blobs").join(etag)
}
