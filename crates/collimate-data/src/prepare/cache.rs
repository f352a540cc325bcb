use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::file::{PARTIAL, PreparedRows, PreparedWriter};
use super::report::PrepareReport;
use crate::error::{DataError, Result};
use crate::event::{DataEvent, Observer};

/// A partial file that is younger may be about to be locked by the process that made it.
const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// The prepared rows of a fingerprint in a folder: those of an earlier run, or those that `produce`
/// writes now.
///
/// The file has its name only once it is complete. What a process that was killed left behind is
/// removed by the next one that writes into the folder.
///
/// # Errors
///
/// What `produce` returns; [`DataError::Io`] and [`DataError::File`] where the folder can't be
/// written, or holds another file under the name.
pub fn prepare_cached(
    folder: &Path,
    fingerprint: &str,
    observer: &mut dyn Observer,
    produce: impl FnOnce(&mut PreparedWriter, &mut dyn Observer) -> Result<PrepareReport>,
) -> Result<PreparedRows> {
    if fingerprint.is_empty() || !fingerprint.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(DataError::Setting {
            setting: "fingerprint",
            message: "has to consist of letters and digits".to_owned(),
        });
    }
    let path = folder.join(format!("{fingerprint}.safetensors"));
    if path.try_exists().map_err(|source| DataError::Io { path: path.clone(), source })? {
        let rows = PreparedRows::open(&path)?;
        if rows.fingerprint() != fingerprint {
            return Err(DataError::File {
                path,
                message: format!(
                    "it was prepared from other inputs or settings ({}); remove it",
                    rows.fingerprint()
                ),
            });
        }
        observer.on_event(&DataEvent::CacheHit { path });
        return Ok(rows);
    }
    std::fs::create_dir_all(folder)
        .map_err(|source| DataError::Io { path: folder.to_owned(), source })?;
    remove_left_behind(folder)?;
    let mut writer = PreparedWriter::create(&path, fingerprint)?;
    let report = produce(&mut writer, observer)?;
    let bytes = writer.finish(&report)?;
    observer.on_event(&DataEvent::CacheWritten { path: path.clone(), bytes });
    PreparedRows::open(&path)
}

/// Removes partial files that no process is writing.
fn remove_left_behind(folder: &Path) -> Result<()> {
    let io = |source| DataError::Io { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let partial = entry.file_name().to_str().is_some_and(|name| name.starts_with(PARTIAL));
        if partial && is_left_behind(&entry.path()) {
            let path = entry.path();
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(DataError::Io { path, source });
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn is_left_behind(path: &Path) -> bool {
    let age = |file: &File| {
        let modified = file.metadata().and_then(|metadata| metadata.modified()).ok()?;
        SystemTime::now().duration_since(modified).ok()
    };
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
        && File::open(path).is_ok_and(|file| {
            age(&file).is_some_and(|age| age > LEFT_BEHIND) && file.try_lock().is_ok()
        })
}
