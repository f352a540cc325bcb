//! Runs that are killed at any moment.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use collimate_artifact::{ArtifactError, Replace, SourceFolder, Staging};

use super::names;
use super::process::{self, Process};

const KILLS: u64 = 300;
const LARGE: usize = 8 << 20;

#[test]
fn killed_at_any_moment() {
    // What is killed loses nothing that was written: a file system in memory shows as much, sooner.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let folder = folder.path();
    let (parent, target) = (folder.join("parent"), folder.join("model"));
    fs::create_dir(&parent).unwrap();
    for (file, bytes) in [("tokenizer.json", 100_000), ("vocab.json", 5_000), ("LICENSE", 1)] {
        fs::write(parent.join(file), b"parent".repeat(bytes)).unwrap();
    }
    let original = contents(&parent);
    let began = Instant::now();
    write_version(folder, Replace::Never, 0).unwrap();
    let one_run = began.elapsed().as_nanos() as u64;

    let mut version = Some(0);
    let (mut absent, mut left) = (0, 0);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for kill in 1..=KILLS {
        let next = kill * 1_000_000;
        let (replace, waits) = match kill % 4 {
            0 => ("never", 0),
            1 => ("existing", 1),
            _ => ("existing", 0),
        };
        if replace == "never" && target.exists() {
            fs::remove_dir_all(&target).unwrap();
            version = None;
        }
        let variables = [("REPLACE", replace), ("VERSION", &next.to_string())];
        let mut writer = Process::start("stage::killed::writer", folder, &variables);
        writer.wait_for("ready");
        for _ in 0..waits {
            writer.wait_for("published");
            version = Some(next);
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        thread::sleep(Duration::from_nanos(random % (2 * one_run)));
        writer.kill();

        let found = target.exists().then(|| version_of(&target));
        assert!(found >= version, "{found:?} after {version:?}");
        version = found;
        absent += usize::from(found.is_none());
        left += usize::from(folder.join(".model.partial").exists());
        assert_eq!(contents(&parent), original);
        assert!(
            names(folder)
                .iter()
                .all(|name| ["model", "parent", ".model.partial"].contains(&name.as_str()))
        );
    }
    // Otherwise all were killed too late.
    assert!(absent > 0 && left > 0, "{absent} absent, {left} left something");
    write_version(folder, Replace::Existing, u64::MAX).unwrap();
    assert_eq!(version_of(&target), u64::MAX);
    assert_eq!(names(folder), ["model", "parent"]);
}

#[test]
#[ignore = "the process that another test starts and kills"]
fn writer() {
    let Some(folder) = process::folder() else { return };
    let replace = match env::var("REPLACE").unwrap().as_str() {
        "never" => Replace::Never,
        _ => Replace::Existing,
    };
    let first: u64 = env::var("VERSION").unwrap().parse().unwrap();
    println!("ready");
    for version in first.. {
        match write_version(&folder, replace, version) {
            Ok(()) => println!("published"),
            Err(ArtifactError::Exists { .. }) => break,
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn write_version(folder: &Path, replace: Replace, version: u64) -> Result<(), ArtifactError> {
    let staging = Staging::begin(&folder.join("model"), replace, &mut ())?;
    let parent = SourceFolder::open(folder.join("parent"))?;
    for file in names(parent.path()) {
        parent.copy(&file, &staging.file(&file)?, &AtomicBool::new(false))?;
    }
    for (file, content) in files_of(version) {
        staging.write(&file, &content)?;
    }
    staging.publish().map(|_| ())
}

/// What a run adds to the files of the parent.
fn files_of(version: u64) -> BTreeMap<String, Vec<u8>> {
    let content = |bytes: usize| version.to_le_bytes().repeat(bytes / 8);
    let small = (0..16).map(|file| (format!("folder-{}/{file}", file % 3), content(file * 1_000)));
    let others =
        [("version".to_owned(), content(8)), ("model.safetensors".to_owned(), content(LARGE))];
    small.chain(others).collect()
}

/// The version of which the folder has every file whole, and no other.
fn version_of(target: &Path) -> u64 {
    let version = fs::read(target.join("version")).unwrap();
    let version = u64::from_le_bytes(version.try_into().unwrap());
    let mut expected = files_of(version);
    let parent = target.with_file_name("parent");
    expected.extend(contents(&parent).into_iter().map(|(file, (content, _))| (file, content)));
    let found = contents(target).into_iter().map(|(file, (content, _))| (file, content));
    assert!(found.collect::<BTreeMap<_, _>>() == expected, "mixed, or a part of {version}");
    version
}

/// Every file below a folder, and when it was changed.
fn contents(root: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let mut contents = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let modified = fs::symlink_metadata(&path).unwrap().modified().unwrap();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            contents.insert(name, (fs::read(&path).unwrap(), modified));
        }
    }
    contents
}
