//! Copies that cost nothing: both files share their blocks until one is written to.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes a new, empty file at `to` a clone; `false`, and still empty, where the file system can't.
#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    not(any(target_arch = "sparc", target_arch = "sparc64"))
))]
pub(super) fn clone(source: &File, copy: &mut File, _to: &Path) -> io::Result<bool> {
    // Whatever is wrong, copying says it better, or goes well.
    Ok(rustix::fs::ioctl_ficlone(copy, source).is_ok())
}

/// There a clone is a new file, with the permissions of its original.
#[cfg(target_vendor = "apple")]
pub(super) fn clone(source: &File, copy: &mut File, to: &Path) -> io::Result<bool> {
    use rustix::fs::{CWD, CloneFlags, fclonefileat};

    let permissions = copy.metadata()?.permissions();
    std::fs::remove_file(to)?;
    if fclonefileat(source, CWD, to, CloneFlags::NOOWNERCOPY).is_err() {
        *copy = File::create_new(to)?;
        return Ok(false);
    }
    std::fs::set_permissions(to, permissions)?;
    *copy = File::open(to)?;
    Ok(true)
}

#[cfg(not(any(
    all(
        any(target_os = "linux", target_os = "android"),
        not(any(target_arch = "sparc", target_arch = "sparc64"))
    ),
    target_vendor = "apple"
)))]
pub(super) fn clone(_: &File, _: &mut File, _: &Path) -> io::Result<bool> {
    Ok(false)
}
