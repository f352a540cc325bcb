//! Names, versions, metadata and checksums of a project.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use collimate_artifact::{
    ArtifactError, Bump, Checksum, Checksums, FolderName, ModelFolders, ModelWeights, Project,
    ProjectMetadata, RealName, Version, adapter_folder, organization_folder, standalone_folder,
    verify_checksums,
};
use serde_json::{Value, json};
use tempfile::tempdir;

static GO_ON: AtomicBool = AtomicBool::new(false);

fn project(root: &Path) -> Project {
    Project::new(root, FolderName::new("tutor").unwrap())
}

fn release(root: &Path, name: &str) {
    fs::create_dir(root.join(name)).unwrap();
}

#[test]
fn the_next_version_follows_the_highest_that_is_taken() {
    let root = tempdir().unwrap();
    let project = project(root.path());
    assert_eq!(project.next_version(Bump::Major).unwrap(), Version::new(1, 0, 0));
    for name in ["tutor-v1.9.0-small", "tutor-v1.10.2-small", "tutor-v1.10.2-large"] {
        release(root.path(), name);
    }
    // Of other projects, or of none.
    for name in ["tutor-v9-small", "tutors-v9.0.0-small", "tutor-v9.0.0-", "tutor-v9.0.0-Small.bak"]
    {
        release(root.path(), name);
    }
    assert_eq!(project.next_version(Bump::Patch).unwrap(), Version::new(1, 10, 3));
    assert_eq!(project.next_version(Bump::Minor).unwrap(), Version::new(1, 11, 0));
    assert_eq!(project.next_version(Bump::Major).unwrap(), Version::new(2, 0, 0));
    let releases = project.releases().unwrap();
    let models: Vec<_> = releases.iter().map(|release| release.model.as_str()).collect();
    assert_eq!(models, ["small", "large", "small"]);

    // Taken, though no model.
    fs::write(root.path().join("tutor-v3.0.0-small"), "").unwrap();
    assert_eq!(project.next_version(Bump::Patch).unwrap(), Version::new(3, 0, 1));
    assert_eq!(project.releases().unwrap().len(), 3);
    release(root.path(), &format!("tutor-v{0}.{0}.{0}-small", u32::MAX));
    assert!(project.next_version(Bump::Major).is_err());
}

#[test]
fn a_project_without_a_folder_has_no_models() {
    let root = tempdir().unwrap();
    let project =
        project(&organization_folder(root.path(), &FolderName::new("Night School").unwrap()));
    assert!(project.root().ends_with("trained/Night School"));
    assert!(project.releases().unwrap().is_empty());
    assert_eq!(project.current().unwrap(), None);
}

#[test]
fn current_is_switched_and_never_points_at_nothing() {
    let root = tempdir().unwrap();
    let project = project(root.path());
    for name in ["tutor-v1.0.0-small", "tutor-v1.0.1-small"] {
        release(root.path(), name);
    }
    let [first, second] = project.releases().unwrap().try_into().unwrap();
    for release in [&first, &second, &first] {
        project.set_current(release).unwrap();
        assert_eq!(project.current().unwrap().as_ref(), Some(release));
    }
    // A relative link: the folder can be moved.
    #[cfg(unix)]
    assert_eq!(
        fs::read_link(root.path().join("tutor-CURRENT")).unwrap(),
        Path::new("tutor-v1.0.0-small")
    );

    fs::remove_dir(&second.path).unwrap();
    assert!(project.set_current(&second).is_err());
    assert_eq!(project.current().unwrap(), Some(first.clone()));
    fs::remove_dir(&first.path).unwrap();
    let error = project.current().unwrap_err().to_string();
    assert!(error.contains("\"tutor-v1.0.0-small\", which is not there"), "{error}");
}

#[test]
fn a_model_of_another_folder_can_not_be_current() {
    let (root, other) = (tempdir().unwrap(), tempdir().unwrap());
    release(other.path(), "tutor-v1.0.0-small");
    release(root.path(), "tutor-v1.0.0-small");
    let elsewhere = project(other.path()).releases().unwrap().remove(0);
    assert!(project(root.path()).set_current(&elsewhere).is_err());
    fs::create_dir(root.path().join("tutor-CURRENT")).unwrap();
    let own = project(root.path()).releases().unwrap().remove(0);
    let error = project(root.path()).set_current(&own).unwrap_err();
    assert!(matches!(error, ArtifactError::Exists { .. }), "{error}");
}

#[test]
fn a_file_that_names_what_is_outside_is_refused() {
    let root = tempdir().unwrap();
    release(root.path(), "tutor-v1.0.0-small");
    let pointer = root.path().join("tutor-CURRENT");
    for text in [
        "",
        "..",
        "../x/tutor-v1.0.0-small",
        "/",
        "tutor-v1.0.0-small/..",
        "tutor-v1.0.0-small\n\n",
    ] {
        fs::write(&pointer, text).unwrap();
        assert!(project(root.path()).current().is_err(), "{text:?}");
    }
    fs::write(&pointer, "tutor-v1.0.0-small\n").unwrap();
    assert!(project(root.path()).current().unwrap().is_some());
    fs::write(&pointer, "x".repeat(5000)).unwrap();
    assert!(project(root.path()).current().is_err());
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_outside_is_refused() {
    use std::os::unix::fs::symlink;

    let (root, other) = (tempdir().unwrap(), tempdir().unwrap());
    release(other.path(), "tutor-v1.0.0-small");
    let outside = other.path().join("tutor-v1.0.0-small");
    symlink(&outside, root.path().join("tutor-CURRENT")).unwrap();
    assert!(project(root.path()).current().is_err());
    // Through a link that looks like a model of the project.
    fs::remove_file(root.path().join("tutor-CURRENT")).unwrap();
    symlink(&outside, root.path().join("tutor-v1.0.0-small")).unwrap();
    symlink("tutor-v1.0.0-small", root.path().join("tutor-CURRENT")).unwrap();
    assert!(project(root.path()).current().is_err());
    assert!(project(root.path()).releases().unwrap().is_empty());
}

/// Readers see one of the two models at every moment, whoever switches.
#[test]
fn switching_is_atomic() {
    let root = tempdir().unwrap();
    let project = project(root.path());
    for name in ["tutor-v1.0.0-small", "tutor-v1.0.1-small"] {
        release(root.path(), name);
    }
    let releases = project.releases().unwrap();
    project.set_current(&releases[0]).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = releases
            .iter()
            .map(|release| {
                scope.spawn(|| (0..50).for_each(|_| project.set_current(release).unwrap()))
            })
            .collect();
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert!(project.current().unwrap().is_some());
            }
        });
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
        ended.into_iter().for_each(|writer| writer.unwrap());
    });
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3);
}

#[test]
fn each_base_model_has_an_entry_of_its_own() {
    let root = tempdir().unwrap();
    let (project, version) = (FolderName::new("tutor").unwrap(), Version::new(1, 2, 0));
    let mut folders = ModelFolders::new();
    let mut metadata = ProjectMetadata::new(
        project.clone(),
        version,
        "2026-01-31T12:00:00Z".parse().unwrap(),
        "dpo",
    );
    for text in ["one-org/Small-1B", "other-org/small.1b"] {
        let model = RealName::new(text).unwrap();
        let folder = folders.add(&model).unwrap();
        let weights = ModelWeights::new(&folder)
            .with_adapter(adapter_folder(&folder))
            .with_standalone(standalone_folder(&project, version, &folder))
            .with_weights("model.safetensors", Checksum::of_bytes(text.as_bytes()));
        metadata = metadata.with_model(model, weights);
    }
    metadata.write(root.path()).unwrap();

    let json: Value =
        serde_json::from_slice(&fs::read(root.path().join(ProjectMetadata::FILE)).unwrap())
            .unwrap();
    assert_eq!(json["baseModels"], json!(["one-org/Small-1B", "other-org/small.1b"]));
    let first = &json["modelSpecificWeights"]["one-org/Small-1B"];
    let second = &json["modelSpecificWeights"]["other-org/small.1b"];
    assert_eq!(first["adapterPath"], "small-1b-adapter");
    assert_eq!(first["standalonePath"], "tutor-v1.2.0-small-1b");
    assert_ne!(first["adapterPath"], second["adapterPath"]);
    assert_ne!(first["weightsSha256"], second["weightsSha256"]);

    let read = ProjectMetadata::read(root.path()).unwrap();
    assert_eq!(read, metadata);
    assert_eq!(read.model_folders().unwrap(), folders);
}

#[test]
fn older_metadata_is_read_and_what_is_unknown_is_written_back() {
    let root = tempdir().unwrap();
    let path = root.path().join(ProjectMetadata::FILE);
    let older = json!({
        "project_name": "tutor", "version": "v1.0.0", "base_model": "one-org/Small-1B",
        "trained_models": {"one-org/Small-1B": {"adapter_path": "small-1b-adapter", "loss": 0.25}},
        "timestamp": "2024-01-31T12:00:00Z", "notes": {"z": 1, "a": [1.5, null]}
    });
    fs::write(&path, older.to_string()).unwrap();
    let read = ProjectMetadata::read(root.path()).unwrap();
    read.write(root.path()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let expected = r#"{
  "baseModels": [
    "one-org/Small-1B"
  ],
  "created": "2024-01-31T12:00:00Z",
  "modelSpecificWeights": {
    "one-org/Small-1B": {
      "adapterPath": "small-1b-adapter",
      "loss": 0.25
    }
  },
  "notes": {
    "a": [
      1.5,
      null
    ],
    "z": 1
  },
  "project": "tutor",
  "version": "1.0.0"
}
"#;
    assert_eq!(text, expected);
    assert_eq!(ProjectMetadata::read(root.path()).unwrap(), read);

    // Its adapter's folder is not given to another model.
    let mut folders = read.model_folders().unwrap();
    let other = folders.add(&RealName::new("other-org/small.1b").unwrap()).unwrap();
    assert_ne!(other.as_str(), "small-1b");
}

#[test]
fn paths_of_metadata_stay_inside() {
    let weights = |path: &str| ModelWeights::default().with_adapter(path).with_standalone(path);
    for path in ["/etc", "../x", "a/../../x", "C:/x", ""] {
        let weights = weights(path);
        let root = Path::new("root");
        assert!(
            matches!(weights.adapter_folder(root), Err(ArtifactError::Outside { .. })),
            "{path}"
        );
        assert!(weights.standalone_folder(root).is_err());
    }
    let inside = weights("a/b/").adapter_folder(Path::new("root")).unwrap();
    assert_eq!(inside.unwrap(), Path::new("root/a/b"));
}

#[test]
fn metadata_without_a_model_is_not_written() {
    let root = tempdir().unwrap();
    let metadata = ProjectMetadata::new(
        FolderName::new("tutor").unwrap(),
        Version::FIRST,
        "2026-01-31T12:00:00Z".parse().unwrap(),
        "lora",
    );
    let error = metadata.write(root.path()).unwrap_err().to_string();
    assert!(error.contains("`baseModels` is missing"), "{error}");
    let mut metadata = metadata;
    metadata.base_models.push(RealName::new("one-org/Small-1B").unwrap());
    let error = metadata.write(root.path()).unwrap_err().to_string();
    assert!(error.contains("no entry for the base model one-org/Small-1B"), "{error}");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

fn folder_with_checksums() -> tempfile::TempDir {
    let folder = tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    for (file, bytes) in
        [("config.json", "{}"), ("a/b/weights", "w"), ("a.txt", ""), ("a/größe 1", "abc")]
    {
        fs::write(folder.path().join(file), bytes).unwrap();
    }
    let checksums = Checksums::of_folder(folder.path(), &GO_ON).unwrap();
    fs::write(folder.path().join(Checksums::FILE), checksums.to_string()).unwrap();
    folder
}

#[test]
fn files_that_changed_went_and_came_are_named() {
    let folder = folder_with_checksums();
    let at = |file: &str| folder.path().join(file);
    let report = verify_checksums(folder.path(), &GO_ON).unwrap();
    assert!(report.is_intact() && report.intact == 4, "{report:?}");
    fs::write(at("config.json"), "[]").unwrap();
    fs::remove_file(at("a/b/weights")).unwrap();
    fs::write(at("a/b/more"), "").unwrap();
    // Only the one of the folder itself is its own.
    fs::write(at("a/SHA256SUMS"), "").unwrap();
    let report = verify_checksums(folder.path(), &GO_ON).unwrap();
    assert!(!report.is_intact());
    assert_eq!(report.changed, ["config.json"]);
    assert_eq!(report.missing, ["a/b/weights"]);
    assert_eq!(report.unexpected, ["a/SHA256SUMS", "a/b/more"]);
    assert_eq!(report.intact, 2);
}

#[cfg(unix)]
#[test]
fn links_are_no_files() {
    use std::os::unix::fs::symlink;

    let folder = folder_with_checksums();
    fs::rename(folder.path().join("config.json"), folder.path().join("other.json")).unwrap();
    symlink("other.json", folder.path().join("config.json")).unwrap();
    let report = verify_checksums(folder.path(), &GO_ON).unwrap();
    assert_eq!(
        (report.changed, report.unexpected),
        (vec!["config.json".into()], vec!["other.json".into()])
    );
    let error = Checksums::of_folder(folder.path(), &GO_ON).unwrap_err().to_string();
    assert!(error.contains("config.json: it is neither a file nor a folder"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_would_break_a_line_are_refused() {
    for name in ["a\nb", "a\\b", "a\rb"] {
        let folder = tempdir().unwrap();
        fs::write(folder.path().join(name), "").unwrap();
        assert!(Checksums::of_folder(folder.path(), &GO_ON).is_err(), "{name:?}");
    }
}

#[test]
fn hashing_is_cancelled() {
    let folder = folder_with_checksums();
    let cancelled = AtomicBool::new(true);
    let error = verify_checksums(folder.path(), &cancelled).unwrap_err();
    assert!(matches!(error, ArtifactError::Cancelled), "{error}");
}

/// What `sha256sum` itself says, where it is installed.
#[cfg(target_os = "linux")]
#[test]
fn sha256sum_understands_the_file() {
    let folder = folder_with_checksums();
    let check = || {
        std::process::Command::new("sha256sum")
            .args(["--check", "--strict", "--quiet", Checksums::FILE])
            .current_dir(folder.path())
            .output()
            .map(|output| output.status.success())
    };
    let Ok(understood) = check() else { return };
    assert!(understood);
    fs::write(folder.path().join("config.json"), "[]").unwrap();
    assert!(!check().unwrap());
}
