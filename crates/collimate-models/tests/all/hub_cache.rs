//! Repositories in the layout of the Hugging Face cache.

use std::fs;
use std::path::Path;

use collimate_models::{Catalog, Kind, ScanConfig, Source, State};

use crate::tree::{self, CONFIG, cached, codes, entry, names, reason, safetensors, write};

const OLD: &str = "0000000000000000000000000000000000000001";
const NEW: &str = "0000000000000000000000000000000000000002";

fn scan(cache: &Path) -> Catalog {
    Catalog::scan(&ScanConfig::new().with_hub_cache(cache))
}

fn files(weights: &[u8]) -> [(&str, &[u8]); 3] {
    [
        ("config.json", CONFIG.as_bytes()),
        ("tokenizer.json", b"{}".as_slice()),
        ("model.safetensors", weights),
    ]
}

#[test]
fn every_revision_is_listed_with_its_refs() {
    let cache = tempfile::tempdir().unwrap();
    let (small, large) = (safetensors(&[("w", &[3])]), safetensors(&[("w", &[4])]));
    let repository = cached(cache.path(), "Qwen/Qwen2.5-7B", OLD, &files(&small));
    cached(cache.path(), "Qwen/Qwen2.5-7B", NEW, &files(&large));
    write(repository.join("refs/main"), NEW);
    write(repository.join("refs/refs/pr/1"), OLD);
    write(repository.join("refs/v1"), format!("{OLD}\n"));
    write(cache.path().join("datasets--a--b/refs/main"), OLD);
    fs::create_dir(cache.path().join(".locks")).unwrap();
    let catalog = scan(cache.path());
    assert_eq!(names(&catalog), ["qwen2-5-7b", "qwen2-5-7b"]);
    let [old, new] = catalog.entries() else { unreachable!() };
    assert_eq!((old.parameters(), new.parameters()), (Some(3), Some(4)));
    assert_eq!((old.revision(), new.revision()), (Some(OLD), Some(NEW)));
    assert_eq!(old.repository().unwrap().to_string(), "Qwen/Qwen2.5-7B");
    assert_eq!(old.display_name, "Qwen2.5-7B");
    let Source::HubCache { refs, .. } = &old.source else { panic!("{:?}", old.source) };
    assert_eq!(refs, &["refs/pr/1", "v1"]);
    assert!(new.is_at("main") && new.is_at(NEW) && !old.is_at("main") && !old.is_at("000000"));
    assert_eq!(catalog.collisions(), []);
    assert!(reason(&catalog, cache.path().join("datasets--a--b")).contains("models--"));
    assert_eq!(catalog.skipped().len(), 1);
}

#[test]
fn a_cache_is_known_below_a_root_too() {
    let root = tempfile::tempdir().unwrap();
    cached(root.path(), "gpt2", OLD, &files(&safetensors(&[("w", &[3])])));
    let catalog = tree::scan(&root);
    let found = entry(&catalog, "gpt2");
    assert_eq!(found.repository().unwrap().owner(), None);
    assert_eq!(found.revision(), Some(OLD));
}

#[test]
fn an_unfinished_download_is_no_model() {
    let cache = tempfile::tempdir().unwrap();
    let weights = safetensors(&[("w", &[3])]);
    let begun = cached(cache.path(), "a/begun", OLD, &files(&weights)[..2]);
    write(begun.join("blobs/abc.incomplete"), "half");
    let nothing = cache.path().join("models--a--nothing");
    write(nothing.join("blobs/abc.incomplete"), "half");
    write(nothing.join("refs/main"), OLD);
    let dangling = cached(cache.path(), "a/dangling", OLD, &files(&weights));
    fs::remove_file(dangling.join(format!("blobs/{OLD}-model.safetensors"))).unwrap();
    fs::create_dir_all(cache.path().join("models--a--empty/blobs")).unwrap();
    let catalog = scan(cache.path());

    let begun = entry(&catalog, "begun");
    assert_eq!((begun.kind, begun.state()), (Kind::Base, State::Unfinished));
    assert_eq!(codes(begun), ["missing_file", "unfinished"]);
    assert!(begun.loadable().is_err());

    let nothing = entry(&catalog, "nothing");
    assert_eq!((nothing.kind, nothing.state()), (Kind::Unfinished, State::Unfinished));
    assert_eq!(nothing.revision(), Some(OLD));

    let dangling = entry(&catalog, "dangling");
    assert_eq!((codes(dangling), dangling.state()), (vec!["dangling_link"], State::Broken));
    assert!(reason(&catalog, cache.path().join("models--a--empty")).contains("no revision"));
}

#[test]
fn the_list_of_a_commit_says_what_is_missing_and_what_is_cut() {
    let cache = tempfile::tempdir().unwrap();
    let weights = safetensors(&[("w", &[3])]);
    let repository = cached(cache.path(), "a/b", OLD, &files(&weights));
    let list = |config: usize| {
        format!(
            r#"{{"format_version": 1, "files": {{
                "config.json": {{"size": {config}, "blob_id": "x"}},
                "model.safetensors": {{"size": 1, "blob_id": "y", "lfs_sha256": "feed",
                    "lfs_size": {}}},
                "tokenizer_config.json": {{"size": 1, "blob_id": "z"}},
                "../../../escape": {{"size": 1, "blob_id": "z"}},
                "flax_model.msgpack": {{"size": 1, "blob_id": "z"}}}}}}"#,
            weights.len()
        )
    };
    write(repository.join(format!("trees/{OLD}.json")), list(CONFIG.len()));
    assert_eq!(codes(entry(&scan(cache.path()), "b")), ["missing_file"]);
    write(repository.join(format!("trees/{OLD}.json")), list(CONFIG.len() + 1));
    assert_eq!(codes(entry(&scan(cache.path()), "b")), ["missing_file", "truncated"]);
}

#[test]
fn a_partial_blob_belongs_to_the_revision_that_lists_it() {
    let cache = tempfile::tempdir().unwrap();
    let weights = safetensors(&[("w", &[3])]);
    let repository = cached(cache.path(), "a/b", OLD, &files(&weights));
    cached(cache.path(), "a/b", NEW, &files(&weights)[..2]);
    write(repository.join("blobs/feed.incomplete"), "half");
    let by_state = scan(cache.path());
    let states: Vec<_> = by_state.entries().iter().map(|entry| entry.state()).collect();
    assert_eq!(states, [State::Complete, State::Unfinished]);

    let list = r#"{"format_version": 1, "files": {"other.bin": {"size": 4, "blob_id": "feed"}}}"#;
    write(repository.join(format!("trees/{OLD}.json")), list);
    let by_list = scan(cache.path());
    assert_eq!(by_list.entries()[0].state(), State::Unfinished);
}

#[test]
fn names_that_are_no_repositories_are_passed_over() {
    let cache = tempfile::tempdir().unwrap();
    for name in ["models--", "models--a--b--c--", "models--..--x", "models--a b"] {
        fs::create_dir_all(cache.path().join(name).join("snapshots").join(OLD)).unwrap();
    }
    let catalog = scan(cache.path());
    assert_eq!(names(&catalog), [""; 0]);
    assert_eq!(catalog.skipped().len(), 4);
}
