//! What a scan finds, what it passes over, and what it says of each.

use std::fs;

use collimate_models::{Catalog, Kind, ModelsError, ScanConfig, Source, State};

use crate::tree::{
    adapter, aligned, codes, entry, index, model, names, reason, safetensors, scan, write,
};

#[test]
fn models_stand_in_a_root_and_in_its_groups() {
    let root = tempfile::tempdir().unwrap();
    for place in ["One", "base_models/Two", "base/Three", "pretrained/Four", "deeper/still/Five"] {
        model(root.path().join(place));
    }
    let catalog = scan(&root);
    assert_eq!(names(&catalog), ["four", "one", "three", "two"]);
    assert!(reason(&catalog, root.path().join("deeper")).starts_with("not a model"));
    let one = entry(&catalog, "one");
    assert_eq!((one.kind, one.state()), (Kind::Base, State::Complete));
    assert_eq!((one.parameters(), one.bytes()), (Some(12), Some(48)));
    assert_eq!(one.display_name, "One");
    assert_eq!(one.loadable().unwrap(), root.path().join("One"));
    assert_eq!(one.source, Source::Folder { root: root.path().to_owned() });
}

#[test]
fn a_root_can_be_a_model_and_a_group_can_be_one_too() {
    let root = tempfile::tempdir().unwrap();
    let single = model(root.path().join("Single-Model"));
    fs::create_dir(single.join("onnx")).unwrap();
    let catalog = scan(&single);
    assert_eq!(names(&catalog), ["single-model"]);
    assert_eq!(catalog.skipped(), []);

    model(root.path().join("base"));
    assert_eq!(names(&scan(&root)), ["base", "single-model"]);
}

#[test]
fn kinds_are_told_apart() {
    let root = tempfile::tempdir().unwrap();
    model(root.path().join("plain"));
    adapter(root.path().join("low-rank"), "plain");
    aligned(root.path().join("kind"), "plain");
    write(root.path().join("begun/model.safetensors.incomplete"), "half");
    write(root.path().join("fetched/.cache/huggingface/download/x.incomplete"), "half");
    write(root.path().join("notes/README.md"), "# nothing");
    write(root.path().join("pipeline/model_index.json"), "{}");
    write(root.path().join("app/config.json"), r#"{"port": 80}"#);
    let catalog = scan(&root);
    let kinds: Vec<_> = catalog.entries().iter().map(|e| (e.name.as_str(), e.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("begun", Kind::Unfinished),
            ("fetched", Kind::Unfinished),
            ("kind", Kind::Aligned),
            ("low-rank", Kind::Adapter),
            ("plain", Kind::Base),
        ]
    );
    assert_eq!(entry(&catalog, "begun").state(), State::Unfinished);
    assert_eq!(entry(&catalog, "low-rank").parameters(), Some(64));
    assert!(entry(&catalog, "low-rank").is_complete());
    assert!(reason(&catalog, root.path().join("pipeline")).contains("diffusion"));
    assert!(reason(&catalog, root.path().join("app")).contains("architectures"));
    assert!(reason(&catalog, root.path().join("notes")).contains("no config.json"));
}

#[test]
fn folders_of_a_training_tree_are_passed_over_unless_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let special = [
        "lora_adapters",
        "weights",
        "trained",
        "checkpoints",
        "checkpoint-10",
        "Run-CURRENT",
        ".x",
    ];
    for name in special {
        model(root.path().join(name));
    }
    model(root.path().join("drafts-1"));
    let catalog = scan(&root);
    assert_eq!(names(&catalog), ["drafts-1"]);
    assert_eq!(catalog.skipped().len(), special.len());
    let current = reason(&catalog, root.path().join("Run-CURRENT"));
    assert_eq!(current, "folders named *-CURRENT are skipped");

    let own = ScanConfig::new().with_root(root.path()).without_skipped().with_skipped("DRAFTS-*");
    assert_eq!(Catalog::scan(&own).entries().len(), special.len());
    assert_eq!(names(&scan(root.path().join("weights"))), ["weights"]);
}

#[test]
fn folders_with_one_name_are_both_kept_and_reported() {
    let root = tempfile::tempdir().unwrap();
    let first = model(root.path().join("Llama-3.1"));
    let second = model(root.path().join("base/llama_3_1"));
    let catalog = scan(&root);
    assert_eq!(names(&catalog), ["llama-3-1", "llama-3-1"]);
    let [collision] = catalog.collisions() else { panic!("{:?}", catalog.collisions()) };
    assert_eq!(collision.name.as_str(), "llama-3-1");
    assert_eq!(collision.paths, [first, second]);
}

#[test]
fn shards_are_checked_against_the_index() {
    let root = tempfile::tempdir().unwrap();
    let folder = model(root.path().join("Sharded"));
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    write(folder.join("model.safetensors.index.json"), index(&shards));
    write(folder.join(shards[0]), safetensors(&[("t1", &[5])]));
    let incomplete = scan(&root);
    let broken = entry(&incomplete, "sharded");
    assert_eq!(codes(broken), ["missing_shard"]);
    assert_eq!(broken.state(), State::Broken);
    match broken.loadable() {
        Err(ModelsError::Incomplete { problems, .. }) => assert_eq!(problems, broken.problems),
        other => panic!("{other:?}"),
    }

    write(folder.join(shards[1]), safetensors(&[("t2", &[7])]));
    let complete = scan(&root);
    assert_eq!(codes(entry(&complete, "sharded")), [""; 0]);
    assert_eq!(entry(&complete, "sharded").parameters(), Some(12));
}

#[test]
fn what_is_missing_is_said() {
    let root = tempfile::tempdir().unwrap();
    let folder = model(root.path().join("no-weights"));
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    let folder = model(root.path().join("no-config"));
    fs::remove_file(folder.join("config.json")).unwrap();
    let folder = model(root.path().join("no-tokenizer"));
    fs::remove_file(folder.join("tokenizer.json")).unwrap();
    let folder = adapter(root.path().join("empty-adapter"), "x");
    fs::remove_file(folder.join("adapter_model.safetensors")).unwrap();
    let folder = model(root.path().join("cut"));
    let whole = fs::read(folder.join("model.safetensors")).unwrap();
    write(folder.join("model.safetensors"), &whole[..whole.len() - 1]);
    let folder = model(root.path().join("pointer"));
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    write(folder.join("model.safetensors"), pointer);
    let catalog = scan(&root);
    for (name, code, complete) in [
        ("no-weights", "missing_file", false),
        ("no-config", "missing_file", false),
        ("no-tokenizer", "no_tokenizer", true),
        ("empty-adapter", "missing_file", false),
        ("cut", "truncated", false),
        ("pointer", "lfs_pointer", false),
    ] {
        let found = entry(&catalog, name);
        assert_eq!((codes(found), found.is_complete()), (vec![code], complete), "{name}");
    }
}

#[test]
fn roots_that_overlap_list_a_folder_once() {
    let root = tempfile::tempdir().unwrap();
    model(root.path().join("base_models/Only"));
    let config = ScanConfig::new()
        .with_root(root.path())
        .with_root(root.path().join("base_models"))
        .with_root(root.path());
    let catalog = Catalog::scan(&config);
    assert_eq!(names(&catalog), ["only"]);
    assert_eq!(catalog.collisions(), []);
}

#[test]
fn a_root_that_is_not_there_is_reported() {
    let root = tempfile::tempdir().unwrap();
    let absent = root.path().join("absent");
    assert_eq!(reason(&scan(&absent), &absent), "there is nothing here");
}

#[test]
fn the_order_does_not_depend_on_threads() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..50 {
        model(root.path().join(format!("model-{number}")));
    }
    let config = ScanConfig::new().with_root(root.path());
    let scan_with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        serde_json::to_string(&pool.install(|| Catalog::scan(&config))).unwrap()
    };
    assert_eq!(scan_with(1), scan_with(4));
}

#[test]
fn an_entry_serializes_with_its_stable_keys() {
    let root = tempfile::tempdir().unwrap();
    model(root.path().join("One"));
    let catalog = scan(&root);
    let json = serde_json::to_value(entry(&catalog, "one")).unwrap();
    assert_eq!(json["name"], "one");
    assert_eq!(json["kind"], "base");
    assert_eq!(json["architecture"], "LlamaForCausalLM");
    assert_eq!((&json["parameters"], &json["bytes"]), (&12.into(), &48.into()));
    assert_eq!((&json["complete"], &json["state"]), (&true.into(), &"complete".into()));
    assert_eq!(json["problems"], serde_json::json!([]));
    assert_eq!(json["source"]["from"], "folder");
    assert!(json["revision"].is_null());
    assert!(json["path"].as_str().unwrap().ends_with("One"));
    assert_eq!(json["description"]["architecture"]["layers"], 2);
}
