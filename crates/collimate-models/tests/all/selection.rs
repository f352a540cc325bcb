//! Choosing models by name.

use collimate_models::{Catalog, Kind, MatchRule, ScanConfig, SelectionError};

use crate::tree::{self, adapter, model, scan};

fn catalog(names: &[&str]) -> (tempfile::TempDir, Catalog) {
    let root = tempfile::tempdir().unwrap();
    for name in names {
        model(root.path().join(name));
    }
    let catalog = scan(&root);
    (root, catalog)
}

#[track_caller]
fn one(catalog: &Catalog, query: &str) -> (String, MatchRule) {
    let selected = catalog.select(query).unwrap();
    assert_eq!(selected.len(), 1);
    (selected[0].entry.name.to_string(), selected[0].rule)
}

#[test]
fn the_rules_in_their_order() {
    let (_root, catalog) =
        catalog(&["KB-Llama-3.1-8B-Swedish", "Qwen2.5-7B", "Qwen2.5-7B-Instruct", "phi-3"]);
    let exact = MatchRule::Exact;
    let kb = "kb-llama-3-1-8b-swedish".to_owned();
    assert_eq!(one(&catalog, "KB-Llama-3.1-8B-Swedish"), (kb.clone(), exact));
    assert_eq!(one(&catalog, "qwen2_5 7B"), ("qwen2-5-7b".to_owned(), exact));
    assert_eq!(one(&catalog, "Llama-3.1"), (kb.clone(), MatchRule::Contained));
    assert_eq!(one(&catalog, "Qwen-2.5-7B"), ("qwen2-5-7b".to_owned(), MatchRule::Compact));
    assert_eq!(one(&catalog, "Llama3.1"), (kb, MatchRule::CompactContained));
}

#[test]
fn several_in_one_list() {
    let (_root, catalog) = catalog(&["KB-Llama-3.1-8B-Swedish", "Qwen2.5-7B"]);
    let selected = catalog.select("KB-Llama-3.1-8B-Swedish, Qwen-2.5-7B").unwrap();
    let found: Vec<_> = selected.iter().map(|s| (s.query.as_str(), s.rule)).collect();
    assert_eq!(
        found,
        [("KB-Llama-3.1-8B-Swedish", MatchRule::Exact), ("Qwen-2.5-7B", MatchRule::Compact)]
    );
}

#[test]
fn several_candidates_are_an_error_that_lists_them() {
    let (_root, catalog) = catalog(&["Qwen2.5-7B", "Qwen2.5-7B-Instruct", "Qwen2.5-1.5B"]);
    let error = catalog.select("qwen2.5").unwrap_err();
    let SelectionError::Ambiguous { rule, candidates, .. } = &error else { panic!("{error}") };
    assert_eq!((*rule, candidates.len()), (MatchRule::Contained, 3));
    let text = error.to_string();
    for name in ["qwen2-5-7b (", "qwen2-5-7b-instruct (", "qwen2-5-1-5b ("] {
        assert!(text.contains(name), "{text}");
    }
    // A later rule would have found one.
    assert!(catalog.select("7b").is_err());
}

#[test]
fn no_candidate_is_an_error_with_the_nearest_names() {
    let (_root, catalog) = catalog(&["Mistral-7B-Instruct", "Mistral-7B", "gemma-2"]);
    let error = catalog.select("Mistrall-7B").unwrap_err();
    let SelectionError::NotFound { nearest, .. } = &error else { panic!("{error}") };
    assert_eq!(nearest[0].as_str(), "mistral-7b");
    assert!(nearest.iter().all(|name| name.as_str() != "gemma-2"));
    let error = catalog.select("zzz").unwrap_err();
    assert_eq!(error.to_string(), "no model matches \"zzz\"; none has a similar name");
}

#[test]
fn what_names_nothing_is_an_error() {
    let (_root, catalog) = catalog(&["gpt2"]);
    for query in ["", " ", "gpt2,", ",gpt2", "--", "@"] {
        assert!(matches!(catalog.select(query), Err(SelectionError::Empty { .. })), "{query:?}");
    }
}

#[test]
fn one_model_is_selected_once() {
    let (_root, catalog) = catalog(&["Qwen2.5-7B"]);
    let error = catalog.select("Qwen2.5-7B,qwen").unwrap_err();
    assert!(matches!(error, SelectionError::Repeated { .. }), "{error}");
}

#[test]
fn one_name_in_two_places_is_told_apart_by_path() {
    let root = tempfile::tempdir().unwrap();
    let first = model(root.path().join("Llama-3"));
    model(root.path().join("base/llama_3"));
    let catalog = scan(&root);
    let error = catalog.select("llama-3").unwrap_err();
    assert!(matches!(error, SelectionError::Ambiguous { rule: MatchRule::Exact, .. }), "{error}");
    let selected = catalog.select(first.to_str().unwrap()).unwrap();
    assert_eq!((selected[0].rule, &selected[0].entry.path), (MatchRule::Path, &first));
}

#[test]
fn a_caller_can_narrow_what_is_eligible() {
    let root = tempfile::tempdir().unwrap();
    model(root.path().join("llama"));
    adapter(root.path().join("llama-adapter"), "llama");
    let catalog = scan(&root);
    let only_adapters = catalog.select_where("llama", |entry| entry.kind == Kind::Adapter).unwrap();
    assert_eq!(only_adapters[0].entry.name.as_str(), "llama-adapter");
}

#[cfg(unix)]
#[test]
fn owners_and_revisions_tell_repositories_apart() {
    const OLD: &str = "1111111111111111111111111111111111111111";
    const NEW: &str = "2222222222222222222222222222222222222222";
    let cache = tempfile::tempdir().unwrap();
    let weights = tree::safetensors(&[("w", &[3])]);
    let files: [(&str, &[u8]); 3] = [
        ("config.json", tree::CONFIG.as_bytes()),
        ("tokenizer.json", b"{}"),
        ("model.safetensors", &weights),
    ];
    let repository = tree::cached(cache.path(), "one/llama", OLD, &files);
    tree::cached(cache.path(), "one/llama", NEW, &files);
    tree::write(repository.join("refs/main"), NEW);
    tree::cached(cache.path(), "two/llama", OLD, &files);
    let catalog = Catalog::scan(&ScanConfig::new().with_hub_cache(cache.path()));
    let revision = |query: &str| {
        let selected = catalog.select(query);
        selected.map(|s| s[0].entry.revision().unwrap().to_owned()).map_err(|e| e.to_string())
    };
    assert_eq!(catalog.select("two/llama").unwrap().len(), 1);
    assert_eq!(revision("one/llama@main").unwrap(), NEW);
    assert_eq!(revision("one/llama@1111111").unwrap(), OLD);
    assert!(revision("one/llama").unwrap_err().contains("matches 2 models exactly"));
    assert!(revision("one/llama@222").unwrap_err().contains("no model matches"));
    assert!(revision("three/llama").unwrap_err().contains("no model matches"));
    // Folders don't say whose they are.
    let root = tempfile::tempdir().unwrap();
    model(root.path().join("Llama"));
    let config = ScanConfig::new().with_hub_cache(cache.path()).with_root(root.path());
    let both = Catalog::scan(&config);
    assert!(both.select("two/llama").unwrap()[0].entry.repository().is_some());
    assert!(both.select("three/llama").unwrap()[0].entry.repository().is_none());
}
