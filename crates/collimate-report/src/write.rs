//! Files that appear whole or not at all.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::Builder;

use crate::check::CheckedReport;
use crate::error::{ReportError, Result};

pub(crate) fn write(report: &CheckedReport, folder: &Path) -> Result<Vec<PathBuf>> {
    let figures = folder.join("figures");
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for figure in report.figures() {
        files.push((figures.join(format!("{}.svg", figure.name())), figure.svg().into_bytes()));
        #[cfg(feature = "png")]
        files.push((figures.join(format!("{}.png", figure.name())), figure.png()?));
    }
    files.push((folder.join("summary.md"), report.markdown().into_bytes()));
    files.push((folder.join("report.html"), report.html().into_bytes()));
    fs::create_dir_all(&figures).map_err(ReportError::io(&figures))?;
    files.into_iter().map(|(path, bytes)| write_file(path, &bytes)).collect()
}

/// Written beside its place, brought to the disk, renamed.
fn write_file(path: PathBuf, bytes: &[u8]) -> Result<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || {
        let mut builder = Builder::new();
        builder.prefix(".report-");
        #[cfg(unix)]
        {
            // As a new file has them, less what the process's mask takes away.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        #[cfg(unix)]
        fs::File::open(folder)?.sync_all()?;
        Ok(())
    };
    write().map_err(ReportError::io(&path))?;
    Ok(path)
}
