//! Folders that appear whole or not at all.

mod full_disk;
mod killed;
mod process;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use collimate_artifact::{ArtifactError, ArtifactEvent, Replace, Staging};

use process::Process;

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn begin(target: &Path, replace: Replace) -> Result<Staging, ArtifactError> {
    Staging::begin(target, replace, &mut ())
}

/// What `begin` says that it has found.
fn begin_with_events(target: &Path) -> (Result<Staging, ArtifactError>, Vec<ArtifactEvent>) {
    let mut events = Vec::new();
    let mut observer = |event: &ArtifactEvent| events.push(event.clone());
    let staging = Staging::begin(target, Replace::Existing, &mut observer);
    (staging, events)
}

fn write(target: &Path, replace: Replace, content: &str) -> Result<(), ArtifactError> {
    let staging = begin(target, replace)?;
    staging.write("config.json", content.as_bytes())?;
    staging.publish().map(|_| ())
}

#[test]
fn it_appears_when_it_is_published_and_looks_like_any_folder() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("trained/an-organization/model");
    let staging = begin(&target, Replace::Never).unwrap();
    staging.write("a/b/c", b"content").unwrap();
    fs::write(staging.file("d").unwrap(), "more").unwrap();
    assert_eq!(names(target.parent().unwrap()), [".model.partial"]);
    assert_eq!(staging.publish().unwrap(), target);
    assert_eq!(names(target.parent().unwrap()), ["model"]);
    assert_eq!(names(&target), ["a", "d"]);
    assert_eq!(fs::read(target.join("a/b/c")).unwrap(), b"content");

    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    let permissions = |path: &Path| fs::metadata(path).unwrap().permissions();
    assert_eq!(permissions(&target), permissions(&other));
}

#[cfg(unix)]
#[test]
fn nobody_else_looks_into_what_is_not_finished() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let staging = begin(&folder.path().join("model"), Replace::Never).unwrap();
    let hidden = staging.path().parent().unwrap();
    assert_eq!(fs::metadata(hidden).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn what_is_not_published_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let staging = begin(&folder.path().join("model"), Replace::Never).unwrap();
    staging.write("a/b", b"content").unwrap();
    drop(staging);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_folder_is_replaced_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    write(&target, Replace::Never, "one").unwrap();
    let error = write(&target, Replace::Never, "two").unwrap_err();
    assert!(matches!(&error, ArtifactError::Exists { path } if *path == target), "{error}");
    assert_eq!(fs::read(target.join("config.json")).unwrap(), b"one");
    fs::write(target.join("more"), "of one").unwrap();
    write(&target, Replace::Existing, "two").unwrap();
    assert_eq!(fs::read(target.join("config.json")).unwrap(), b"two");
    assert_eq!(names(&target), ["config.json"]);
    assert_eq!(names(folder.path()), ["model"]);
}

#[test]
fn an_empty_folder_and_a_file_are_in_the_way_too() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, file) = (folder.path().join("empty"), folder.path().join("file"));
    fs::create_dir(&empty).unwrap();
    fs::write(&file, "content").unwrap();
    for target in [&empty, &file] {
        let error = write(target, Replace::Never, "two").unwrap_err();
        assert!(matches!(error, ArtifactError::Exists { .. }), "{error}");
    }
    let error = write(&file, Replace::Existing, "two").unwrap_err();
    assert!(matches!(error, ArtifactError::Invalid { .. }), "{error}");
    assert_eq!(fs::read(&file).unwrap(), b"content");
    write(&empty, Replace::Existing, "two").unwrap();
    assert_eq!(names(folder.path()), ["empty", "file"]);
}

#[cfg(unix)]
#[test]
fn a_link_is_neither_followed_nor_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    write(&elsewhere, Replace::Never, "one").unwrap();
    for to in ["elsewhere", "nowhere"] {
        let link = folder.path().join(format!("to-{to}"));
        std::os::unix::fs::symlink(to, &link).unwrap();
        let error = write(&link, Replace::Never, "two").unwrap_err();
        assert!(matches!(error, ArtifactError::Exists { .. }), "{error}");
        let error = write(&link, Replace::Existing, "two").unwrap_err();
        assert!(matches!(error, ArtifactError::Invalid { .. }), "{error}");
        assert_eq!(fs::read_link(&link).unwrap(), Path::new(to));
    }
    assert_eq!(fs::read(elsewhere.join("config.json")).unwrap(), b"one");
    assert_eq!(names(folder.path()), ["elsewhere", "to-elsewhere", "to-nowhere"]);
}

#[test]
fn what_appears_in_the_place_meanwhile_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let staging = begin(&target, Replace::Never).unwrap();
    fs::create_dir(&target).unwrap();
    let error = staging.publish().unwrap_err();
    assert!(matches!(error, ArtifactError::Exists { .. }), "{error}");
    assert!(names(&target).is_empty());
    fs::remove_dir(&target).unwrap();

    let staging = begin(&target, Replace::Existing).unwrap();
    fs::write(&target, "content").unwrap();
    let error = staging.publish().unwrap_err();
    assert!(matches!(error, ArtifactError::Invalid { .. }), "{error}");
    assert_eq!(fs::read(&target).unwrap(), b"content");
    assert_eq!(names(folder.path()), ["model"]);
}

#[test]
fn a_folder_that_is_to_be_replaced_may_appear_and_vanish_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let staging = begin(&target, Replace::Existing).unwrap();
    fs::create_dir(&target).unwrap();
    staging.write("one", b"").unwrap();
    staging.publish().unwrap();
    assert_eq!(names(&target), ["one"]);
    let staging = begin(&target, Replace::Existing).unwrap();
    fs::remove_dir_all(&target).unwrap();
    staging.write("two", b"").unwrap();
    staging.publish().unwrap();
    assert_eq!(names(&target), ["two"]);
    assert_eq!(names(folder.path()), ["model"]);
}

#[test]
fn no_path_leads_out_and_none_is_written_twice() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let staging = begin(&target, Replace::Never).unwrap();
    for path in ["../a", "/a", "a/../b", "", "a//b", "C:/a", "a\\b", "a\0b"] {
        let error = staging.write(path, b"").unwrap_err();
        assert!(
            matches!(&error, ArtifactError::Outside { path: at, found }
                if *at == target && found == path),
            "{error}"
        );
    }
    staging.write("a", b"one").unwrap();
    let error = staging.write("a", b"two").unwrap_err();
    assert!(matches!(error, ArtifactError::Exists { .. }), "{error}");
    staging.publish().unwrap();
    assert_eq!(fs::read(target.join("a")).unwrap(), b"one");
}

#[cfg(unix)]
#[test]
fn a_link_is_not_published() {
    let folder = tempfile::tempdir().unwrap();
    let staging = begin(&folder.path().join("model"), Replace::Never).unwrap();
    std::os::unix::fs::symlink("/", staging.file("a/link").unwrap()).unwrap();
    let error = staging.publish().unwrap_err();
    assert!(
        matches!(&error, ArtifactError::Invalid { path, .. } if path.ends_with("new/a/link")),
        "{error}"
    );
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_path_without_a_name_and_one_below_a_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for target in [Path::new("/"), Path::new(""), &folder.path().join("..")] {
        let error = begin(target, Replace::Existing).unwrap_err();
        assert!(matches!(error, ArtifactError::Invalid { .. }), "{error}");
    }
    fs::write(folder.path().join("file"), "content").unwrap();
    for target in ["file/model".to_owned(), "n".repeat(250)] {
        let error = begin(&folder.path().join(target), Replace::Never).unwrap_err();
        assert!(matches!(error, ArtifactError::Io { .. }), "{error}");
    }
    assert_eq!(names(folder.path()), ["file"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_need_not_be_unicode() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join(OsStr::from_bytes(b"mod\xffel"));
    write(&target, Replace::Never, "one").unwrap();
    write(&target, Replace::Existing, "two").unwrap();
    assert_eq!(fs::read(target.join("config.json")).unwrap(), b"two");
    assert_eq!(names(folder.path()).len(), 1);
}

#[cfg(unix)]
#[test]
fn removing_a_leftover_follows_no_link() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    write(&elsewhere, Replace::Never, "content").unwrap();
    let hidden = folder.path().join(".model.partial");
    fs::create_dir_all(hidden.join("new/deep")).unwrap();
    symlink(&elsewhere, hidden.join("new/deep/folder")).unwrap();
    symlink(elsewhere.join("config.json"), hidden.join("new/file")).unwrap();
    symlink(&elsewhere, hidden.join("old")).unwrap();
    let target = folder.path().join("model");
    fs::create_dir(&target).unwrap();
    let (staging, events) = begin_with_events(&target);
    assert_eq!(names(staging.unwrap().path()), [""; 0]);
    assert!(
        matches!(&events[..], [ArtifactEvent::LeftoverRemoved { path }] if *path == hidden),
        "{events:?}"
    );
    assert_eq!(fs::read(elsewhere.join("config.json")).unwrap(), b"content");
    assert_eq!(names(folder.path()), ["elsewhere", "model"]);
}

#[test]
fn what_was_moved_aside_is_put_back_unless_its_place_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (target, hidden) = (folder.path().join("model"), folder.path().join(".model.partial"));
    let leave = || {
        fs::create_dir_all(hidden.join("new")).unwrap();
        fs::create_dir(hidden.join("old")).unwrap();
        fs::write(hidden.join("old/config.json"), "old").unwrap();
    };
    leave();
    let (staging, events) = begin_with_events(&target);
    drop(staging.unwrap());
    assert!(
        matches!(&events[..], [ArtifactEvent::PutBack { path }, ArtifactEvent::LeftoverRemoved { .. }]
            if *path == target),
        "{events:?}"
    );
    assert_eq!(fs::read(target.join("config.json")).unwrap(), b"old");

    leave();
    fs::write(target.join("config.json"), "new").unwrap();
    // It was there all the time.
    let error = begin(&target, Replace::Never).unwrap_err();
    assert!(matches!(error, ArtifactError::Exists { .. }), "{error}");
    assert_eq!(fs::read(target.join("config.json")).unwrap(), b"new");
    assert_eq!(names(folder.path()), ["model"]);
}

#[test]
fn nothing_of_others_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (target, hidden) = (folder.path().join("model"), folder.path().join(".model.partial"));
    fs::write(&hidden, "content").unwrap();
    let error = begin(&target, Replace::Never).unwrap_err();
    assert!(matches!(&error, ArtifactError::Invalid { path, .. } if *path == hidden), "{error}");
    fs::remove_file(&hidden).unwrap();
    fs::create_dir(&hidden).unwrap();
    fs::write(hidden.join("notes"), "content").unwrap();
    write(&target, Replace::Never, "one").unwrap();
    assert_eq!(fs::read(hidden.join("notes")).unwrap(), b"content");
    assert_eq!(names(&hidden), ["notes"]);
}

#[test]
fn one_run_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let staging = begin(&target, Replace::Never).unwrap();
    let error = begin(&target, Replace::Existing).unwrap_err();
    assert!(matches!(&error, ArtifactError::Busy { path } if *path == target), "{error}");
    begin(&folder.path().join("other"), Replace::Never).unwrap().publish().unwrap();
    staging.write("a", b"content").unwrap();
    staging.publish().unwrap();
    assert_eq!(names(folder.path()), ["model", "other"]);
}

#[test]
fn another_process_is_kept_out_until_this_one_dies() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let mut holder = Process::start("stage::holder", folder.path(), &[]);
    holder.wait_for("ready");
    let error = begin(&target, Replace::Never).unwrap_err();
    assert!(matches!(error, ArtifactError::Busy { .. }), "{error}");
    assert_eq!(names(&folder.path().join(".model.partial/new")), ["held"]);
    holder.kill();
    let (staging, events) = begin_with_events(&target);
    assert!(names(staging.unwrap().path()).is_empty());
    assert!(matches!(events[..], [ArtifactEvent::LeftoverRemoved { .. }]), "{events:?}");
    assert!(names(folder.path()).is_empty());
}

#[test]
#[ignore = "the process that another test starts and kills"]
fn holder() {
    let Some(folder) = process::folder() else { return };
    let staging = begin(&folder.join("model"), Replace::Never).unwrap();
    staging.write("held", b"").unwrap();
    println!("ready");
    loop {
        thread::park();
    }
}

#[test]
fn runs_that_come_and_go_never_meet() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let (inside, published) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..250 {
                    let staging = match begin(&target, Replace::Existing) {
                        Ok(staging) => staging,
                        Err(ArtifactError::Busy { .. }) => continue,
                        Err(error) => panic!("{error:?}"),
                    };
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    staging.write("a", b"").unwrap();
                    thread::yield_now();
                    assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                    if round % 50 == 0 {
                        staging.publish().unwrap();
                        published.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(target.exists(), published.into_inner() > 0);
    drop(begin(&target, Replace::Existing).unwrap());
    assert!(names(folder.path()).iter().all(|name| name == "model"));
}
