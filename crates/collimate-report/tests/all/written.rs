//! Files appear whole or not at all.

use std::fs;

use collimate_report::ReportError;

use crate::sample;

#[test]
fn a_report_is_written_whole_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("deep/report");
    let checked = sample::one_point().check().unwrap();
    for _ in 0..2 {
        let written = checked.write(&target).unwrap();
        assert!(written.iter().all(|path| path.is_file()));
        assert_eq!(fs::read_to_string(target.join("report.html")).unwrap(), checked.html());
        assert_eq!(fs::read_to_string(target.join("summary.md")).unwrap(), checked.markdown());
        let figures = fs::read_dir(target.join("figures")).unwrap().count();
        let kinds = if cfg!(feature = "png") { 2 } else { 1 };
        assert_eq!(figures, kinds * checked.figures().len());
        // Nothing else is left.
        assert_eq!(fs::read_dir(&target).unwrap().count(), 3);
        assert_eq!(written.len(), figures + 2);
    }
}

#[test]
fn what_can_t_be_written_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("report.html/in the way")).unwrap();
    let error = sample::no_data().check().unwrap().write(folder.path()).unwrap_err();
    assert!(
        matches!(&error, ReportError::Io { path, .. } if path.ends_with("report.html")),
        "{error}"
    );
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{names:?}");
}
