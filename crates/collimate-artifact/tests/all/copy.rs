//! Copies of files, and where they may come from.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use collimate_artifact::{ArtifactError, CopiedFile, SourceFolder, copy_file};

static GO_ON: AtomicBool = AtomicBool::new(false);

fn copy(from: &Path, to: &Path) -> Result<CopiedFile, ArtifactError> {
    copy_file(from, to, &AtomicBool::new(false))
}

#[test]
fn every_byte_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    // More than one chunk, and none.
    for bytes in [(64 << 20) + 12_345, 1, 0] {
        let content: Vec<u8> = (0..bytes).map(|at: u32| (at ^ (at >> 8)) as u8).collect();
        fs::write(&from, &content).unwrap();
        assert_eq!(copy(&from, &to).unwrap().bytes, u64::from(bytes));
        assert!(fs::read(&to).unwrap() == content);
        fs::remove_file(&to).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_copy_belongs_to_itself() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("from"), "content").unwrap();
    fs::set_permissions(path("from"), fs::Permissions::from_mode(0o400)).unwrap();
    copy(&path("from"), &path("to")).unwrap();
    let (from, to) = (fs::metadata(path("from")).unwrap(), fs::metadata(path("to")).unwrap());
    assert_ne!(from.ino(), to.ino());
    fs::write(path("new"), "content").unwrap();
    assert_eq!(to.permissions(), fs::metadata(path("new")).unwrap().permissions());
    fs::write(path("to"), "other").unwrap();
    assert_eq!(fs::read(path("from")).unwrap(), b"content");
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::write(&from, "content").unwrap();
    fs::write(&to, "other").unwrap();
    let error = copy(&from, &to).unwrap_err();
    assert!(matches!(&error, ArtifactError::Exists { path } if *path == to), "{error}");
    assert_eq!(fs::read(&to).unwrap(), b"other");
}

#[test]
fn only_regular_files_are_copied() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("folder")).unwrap();
    #[cfg(unix)]
    {
        fs::write(path("file"), "content").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    }
    let others: &[&str] = if cfg!(unix) { &["link", "pipe"] } else { &[] };
    for name in others.iter().chain(&["folder"]) {
        let error = copy(&path(name), &path("to")).unwrap_err();
        assert!(
            matches!(&error, ArtifactError::Invalid { path: at, .. } if *at == path(name)),
            "{error}"
        );
        assert!(!path("to").exists());
    }
    let error = copy(&path("missing"), &path("to")).unwrap_err();
    assert!(matches!(error, ArtifactError::Io { .. }), "{error}");
}

#[test]
fn what_is_cancelled_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::File::create(&from).unwrap().set_len(4 << 30).unwrap();
    let error = copy_file(&from, &to, &AtomicBool::new(true)).unwrap_err();
    assert!(matches!(error, ArtifactError::Cancelled), "{error}");
    // In the middle, where the file system can't clone.
    let cancelled = AtomicBool::new(false);
    let copied = thread::scope(|scope| {
        let copying = scope.spawn(|| copy_file(&from, &to, &cancelled));
        while fs::metadata(&to).map_or(0, |metadata| metadata.len()) == 0 && !copying.is_finished()
        {
            thread::yield_now();
        }
        cancelled.store(true, Ordering::Relaxed);
        copying.join().unwrap()
    });
    match copied {
        Ok(copied) => assert!(copied.cloned),
        Err(error) => {
            assert!(matches!(error, ArtifactError::Cancelled), "{error}");
            assert!(!to.exists());
        }
    }
}

#[test]
fn no_path_leads_out_of_the_source() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("model/folder")).unwrap();
    fs::write(folder.path().join("secret"), "content").unwrap();
    fs::write(folder.path().join("model/folder/file"), "content").unwrap();
    let source = SourceFolder::open(folder.path().join("model")).unwrap();
    let absolute = folder.path().join("secret");
    for path in ["../secret", "folder/../../secret", "", absolute.to_str().unwrap()] {
        let error = source.file(path).unwrap_err();
        assert!(matches!(&error, ArtifactError::Outside { found, .. } if found == path), "{error}");
    }
    let error = source.file("folder").unwrap_err();
    assert!(matches!(error, ArtifactError::Invalid { .. }), "{error}");
    let error = source.file("missing").unwrap_err();
    assert!(matches!(error, ArtifactError::Io { .. }), "{error}");
    let to = folder.path().join("to");
    assert_eq!(source.copy("folder/file", &to, &GO_ON).unwrap().bytes, 7);
    assert!(SourceFolder::open(&to).is_err() && SourceFolder::open("missing").is_err());
}

#[cfg(unix)]
#[test]
fn a_link_may_lead_into_the_folder_and_into_its_blobs() {
    use std::os::unix::fs::symlink;

    let cache = tempfile::tempdir().unwrap();
    let path = |name: &str| cache.path().join(name);
    for repo in ["models--a--b", "models--a--c"] {
        fs::create_dir_all(path(repo).join("blobs")).unwrap();
        fs::write(path(repo).join("blobs/hash"), repo).unwrap();
    }
    let snapshot = path("models--a--b/snapshots/commit");
    fs::create_dir_all(&snapshot).unwrap();
    fs::write(snapshot.join("file"), "content").unwrap();
    for (link, to) in [
        ("inside", "file"),
        ("blob", "../../blobs/hash"),
        ("other", "../../../models--a--c/blobs/hash"),
        ("passwd", "/etc/passwd"),
        ("twice", "other"),
        ("nowhere", "missing"),
    ] {
        symlink(to, snapshot.join(link)).unwrap();
    }
    let source = SourceFolder::open(&snapshot).unwrap();
    assert_eq!(fs::read(source.file("inside").unwrap()).unwrap(), b"content");
    source.copy("blob", &path("to"), &GO_ON).unwrap();
    assert_eq!(fs::read(path("to")).unwrap(), b"models--a--b");
    assert!(!fs::symlink_metadata(path("to")).unwrap().is_symlink());
    for link in ["other", "passwd", "twice"] {
        let error = source.file(link).unwrap_err();
        assert!(
            matches!(&error, ArtifactError::Outside { path, .. } if path.ends_with(link)),
            "{error}"
        );
    }
    assert!(matches!(source.file("nowhere").unwrap_err(), ArtifactError::Io { .. }));
}
