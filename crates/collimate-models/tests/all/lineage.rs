//! From an adapter or an aligned folder to what it was made from.

use collimate_models::{Catalog, Parent, ScanConfig};

use crate::tree::{self, adapter, aligned, entry, model, scan, write};

#[test]
fn a_parent_is_found_by_path_by_name_and_along_a_line() {
    let root = tempfile::tempdir().unwrap();
    let base = model(root.path().join("Base-Model"));
    adapter(root.path().join("by-path"), base.to_str().unwrap());
    adapter(root.path().join("by-relative-path"), "../Base-Model");
    adapter(root.path().join("by-name"), "someone/Base.Model");
    adapter(root.path().join("from-elsewhere"), "/home/someone/models/Base-Model");
    aligned(root.path().join("first"), "Base-Model");
    aligned(root.path().join("second"), "first");
    let catalog = scan(&root);
    for name in ["by-path", "by-relative-path", "by-name", "from-elsewhere", "first"] {
        let parent = catalog.parent(entry(&catalog, name)).found().map(|p| p.name.to_string());
        assert_eq!(parent.as_deref(), Some("base-model"), "{name}");
    }
    let line: Vec<_> =
        catalog.ancestors(entry(&catalog, "second")).iter().map(|e| e.name.as_str()).collect();
    assert_eq!(line, ["first", "base-model"]);
    let base = entry(&catalog, "base-model");
    assert!(matches!(catalog.parent(base), Parent::Unstated));
}

#[test]
fn a_parent_that_is_not_there_or_not_clear_is_said() {
    let root = tempfile::tempdir().unwrap();
    adapter(root.path().join("orphan"), "meta/unknown-7b");
    adapter(root.path().join("torn"), "twin");
    model(root.path().join("twin"));
    model(root.path().join("base/Twin"));
    let catalog = scan(&root);
    match catalog.parent(entry(&catalog, "orphan")) {
        Parent::Missing { reference } => assert_eq!(reference, "meta/unknown-7b"),
        other => panic!("{other:?}"),
    }
    match catalog.parent(entry(&catalog, "torn")) {
        Parent::Ambiguous { candidates, .. } => assert_eq!(candidates.len(), 2),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_circle_ends() {
    let root = tempfile::tempdir().unwrap();
    aligned(root.path().join("hen"), "egg");
    aligned(root.path().join("egg"), "hen");
    aligned(root.path().join("self"), "self");
    let catalog = scan(&root);
    assert_eq!(catalog.ancestors(entry(&catalog, "hen")).len(), 1);
    assert_eq!(catalog.ancestors(entry(&catalog, "self")).len(), 0);
}

#[test]
fn the_card_names_a_parent_if_it_names_one() {
    let root = tempfile::tempdir().unwrap();
    model(root.path().join("ancestor"));
    let child = model(root.path().join("child"));
    write(child.join("README.md"), "---\nbase_model: someone/ancestor\n---\n");
    let merged = model(root.path().join("merged"));
    write(merged.join("README.md"), "---\nbase_model: [ancestor, child]\n---\n");
    let catalog = scan(&root);
    let parent = catalog.parent(entry(&catalog, "child")).found();
    assert_eq!(parent.map(|p| p.name.as_str()), Some("ancestor"));
    assert!(matches!(catalog.parent(entry(&catalog, "merged")), Parent::Unstated));
}

#[cfg(unix)]
#[test]
fn a_parent_in_the_cache_is_taken_at_the_pinned_revision_or_at_main() {
    const OLD: &str = "1111111111111111111111111111111111111111";
    const NEW: &str = "2222222222222222222222222222222222222222";
    let cache = tempfile::tempdir().unwrap();
    let root = tempfile::tempdir().unwrap();
    let weights = tree::safetensors(&[("w", &[3])]);
    let files: [(&str, &[u8]); 2] =
        [("config.json", tree::CONFIG.as_bytes()), ("model.safetensors", &weights)];
    let repository = tree::cached(cache.path(), "Org/base", OLD, &files);
    tree::cached(cache.path(), "Org/base", NEW, &files);
    write(repository.join("refs/main"), NEW);
    adapter(root.path().join("floating"), "org/Base");
    let pinned = adapter(root.path().join("pinned"), "Org/base");
    let config = format!(
        r#"{{"peft_type": "LORA", "base_model_name_or_path": "Org/base", "revision": "{OLD}"}}"#
    );
    write(pinned.join("adapter_config.json"), config);
    let config = ScanConfig::new().with_root(root.path()).with_hub_cache(cache.path());
    let catalog = Catalog::scan(&config);
    let revision = |name| {
        catalog.parent(entry(&catalog, name)).found().and_then(|p| p.revision()).map(str::to_owned)
    };
    assert_eq!(revision("floating").as_deref(), Some(NEW));
    assert_eq!(revision("pinned").as_deref(), Some(OLD));
}
