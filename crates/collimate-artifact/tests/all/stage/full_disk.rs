//! Disks, and limits of the system, that are full before all is written.

#![cfg(unix)]

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use collimate_artifact::{ArtifactError, Replace, Staging, copy_file};

use super::names;
use super::process::{self, Process};

/// In bytes.
const LIMIT: usize = 1 << 20;

#[test]
fn a_file_that_may_not_grow_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::write(&source, vec![1; 2 * LIMIT]).unwrap();
    // In units of 512 bytes; without the trap the process would be killed instead.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", LIMIT / 512);
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(env::current_exe().unwrap());
    assert!(Process::spawn(command, "stage::full_disk::limited", folder.path(), &[]).succeeds());
    assert_eq!(names(folder.path()), ["source"]);
}

#[test]
#[ignore = "the process that another test starts"]
fn limited() {
    let Some(folder) = process::folder() else { return };
    does_not_fit(&folder, &folder.join("source"), io::ErrorKind::FileTooLarge);
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "it mounts a file system: needs root"]
fn a_full_disk_leaves_nothing() {
    use collimate_artifact::{check_space, free_space};

    let folder = tempfile::tempdir().unwrap();
    let (disk, source) = (folder.path().join("disk"), folder.path().join("source"));
    fs::create_dir(&disk).unwrap();
    fs::write(&source, vec![1; 2 * LIMIT]).unwrap();
    let mount = ["-t", "tmpfs", "-o", &format!("size={LIMIT}"), "tmpfs"];
    assert!(Command::new("mount").args(mount).arg(&disk).status().unwrap().success());
    let outcome = std::panic::catch_unwind(|| {
        let free = free_space(&disk.join("model")).unwrap().unwrap();
        assert_eq!(free, LIMIT as u64);
        check_space(&disk, free).unwrap();
        let error = check_space(&disk, free + 1).unwrap_err();
        assert!(matches!(error, ArtifactError::NoSpace { .. }), "{error}");
        does_not_fit(&disk, &source, io::ErrorKind::StorageFull);
        assert!(names(&disk).is_empty());
        assert_eq!(free_space(&disk).unwrap(), Some(free));
    });
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    outcome.unwrap();
}

fn does_not_fit(folder: &Path, source: &Path, expected: io::ErrorKind) {
    let failed = |error: &ArtifactError| {
        assert!(
            matches!(error, ArtifactError::Io { source, .. } if source.kind() == expected),
            "{error:?}"
        );
    };
    let begin = || Staging::begin(&folder.join("model"), Replace::Never, &mut ()).unwrap();
    let staging = begin();
    let copy = staging.file("copy").unwrap();
    failed(&copy_file(source, &copy, &AtomicBool::new(false)).unwrap_err());
    assert!(!copy.exists());
    staging.write("small", &[1; 1_000]).unwrap();
    failed(&staging.write("large", &vec![1; 2 * LIMIT]).unwrap_err());
    drop(staging);
    drop(begin());
}
