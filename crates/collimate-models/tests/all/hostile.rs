//! Trees that were made to break a scan. Each trouble is reported for its own folder, and the models
//! beside it are listed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use collimate_models::{Catalog, printable};

use crate::tree::{CONFIG, codes, entry, index, model, names, reason, scan, write};

/// A root with one good model, which every scan has to list.
fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    model(root.path().join("good"));
    root
}

#[track_caller]
fn scan_goes_on(root: &tempfile::TempDir) -> Catalog {
    let catalog = scan(root);
    assert!(entry(&catalog, "good").is_complete());
    catalog
}

fn header(json: &str, data: usize) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn links_in_a_circle() {
    let root = root();
    symlink(root.path(), root.path().join("up")).unwrap();
    symlink("around", root.path().join("around")).unwrap();
    symlink("nowhere", root.path().join("dangling")).unwrap();
    symlink("good", root.path().join("again")).unwrap();
    let folder = model(root.path().join("inner"));
    symlink(".", folder.join("self")).unwrap();
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    symlink("model.safetensors", folder.join("model.safetensors")).unwrap();
    let catalog = scan_goes_on(&root);
    assert_eq!(names(&catalog), ["good", "inner"]);
    assert_eq!(codes(entry(&catalog, "inner")), ["dangling_link"]);
    for (link, expected) in [
        ("up", "leads to a folder that is listed already"),
        ("around", "can't be read"),
        ("dangling", "there is nothing here"),
        ("again", "leads to a folder that is listed already"),
    ] {
        let said = reason(&catalog, root.path().join(link));
        assert!(said.starts_with(expected), "{link}: {said}");
    }
}

#[test]
fn a_configuration_of_one_gibibyte_is_not_read() {
    let root = root();
    let folder = model(root.path().join("huge"));
    File::create(folder.join("config.json")).unwrap().set_len(1 << 30).unwrap();
    let catalog = scan_goes_on(&root);
    assert_eq!(codes(entry(&catalog, "huge")), ["too_large"]);
}

#[test]
fn configurations_that_are_not_json() {
    let root = root();
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep = format!("{{\"architectures\": [\"A\"], \"x\": {deep}}}");
    for (name, bytes) in [
        ("latin", b"{\"model_type\": \"\xe4\"}".as_slice()),
        ("deep", deep.as_bytes()),
        ("cut", &CONFIG.as_bytes()[..40]),
        ("empty", b""),
        ("list", b"[]"),
        ("zeros", b"\0\0\0\0"),
    ] {
        write(model(root.path().join(name)).join("config.json"), bytes);
    }
    let catalog = scan_goes_on(&root);
    for name in ["latin", "deep", "cut", "empty", "list", "zeros"] {
        let found = entry(&catalog, name);
        assert_eq!((codes(found), found.is_complete()), (vec!["invalid"], false), "{name}");
    }
}

#[test]
fn safetensors_headers_that_lie() {
    let root = root();
    let giant = u64::MAX / 2 + 1;
    let overlap = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
        "b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    let product = format!(r#"{{"a":{{"dtype":"F32","shape":[{giant},4],"data_offsets":[0,8]}}}}"#);
    let beyond = r#"{"a":{"dtype":"F32","shape":[2000],"data_offsets":[0,8000]}}"#;
    for (name, bytes) in [
        ("claims-2-63", giant.to_le_bytes().to_vec()),
        ("overlap", header(overlap, 12)),
        ("product", header(&product, 8)),
        ("beyond", header(beyond, 8)),
        ("short", vec![1, 2, 3]),
        ("nothing", Vec::new()),
    ] {
        write(model(root.path().join(name)).join("model.safetensors"), bytes);
    }
    let catalog = scan_goes_on(&root);
    for name in ["claims-2-63", "overlap", "product", "beyond", "short", "nothing"] {
        let found = entry(&catalog, name);
        assert!(!found.is_complete(), "{name}");
        assert!(["invalid", "truncated"].contains(&codes(found)[0]), "{name}: {:?}", codes(found));
    }
    assert_eq!(codes(entry(&catalog, "beyond")), ["truncated"]);
}

#[test]
fn an_index_that_leads_out_of_the_folder() {
    let root = root();
    for (name, shard) in [
        ("up", "../good/model.safetensors"),
        ("absolute", "/etc/passwd"),
        ("windows", "C:\\\\weights.safetensors"),
    ] {
        let folder = model(root.path().join(name));
        fs::remove_file(folder.join("model.safetensors")).unwrap();
        write(folder.join("model.safetensors.index.json"), index(&[shard]));
    }
    let catalog = scan_goes_on(&root);
    for name in ["up", "absolute", "windows"] {
        let found = entry(&catalog, name);
        assert!(codes(found).contains(&"unsafe_path") && !found.is_complete(), "{name}");
    }
}

#[test]
fn what_is_no_regular_file_is_not_opened() {
    let root = root();
    let pipe = model(root.path().join("pipe"));
    fs::remove_file(pipe.join("config.json")).unwrap();
    let status = std::process::Command::new("mkfifo").arg(pipe.join("config.json")).status();
    assert!(status.unwrap().success());
    let device = model(root.path().join("device"));
    fs::remove_file(device.join("model.safetensors")).unwrap();
    symlink("/dev/zero", device.join("model.safetensors")).unwrap();
    let folder = model(root.path().join("folder"));
    fs::remove_file(folder.join("config.json")).unwrap();
    fs::create_dir(folder.join("config.json")).unwrap();
    let catalog = scan_goes_on(&root);
    for name in ["pipe", "device", "folder"] {
        assert!(!entry(&catalog, name).is_complete(), "{name}");
    }
}

/// Where the tests run as a user who may read everything, the folder is listed like any other.
#[test]
fn a_folder_that_may_not_be_read() {
    let root = root();
    let folder = model(root.path().join("secret"));
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o000)).unwrap();
    let may_read_all = fs::read_dir(&folder).is_ok();
    let catalog = scan_goes_on(&root);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    if may_read_all {
        assert!(entry(&catalog, "secret").is_complete());
    } else {
        assert!(reason(&catalog, &folder).starts_with("can't be read"));
    }
}

#[test]
fn names_that_were_made_for_a_terminal() {
    let root = root();
    for name in ["a..b", "line\nbreak", "red\u{1b}[31m", "\u{202e}txt", "--", " "] {
        model(root.path().join(name));
    }
    model(root.path().join(OsStr::from_bytes(b"bytes-\xff\xfe")));
    let catalog = scan_goes_on(&root);
    assert_eq!(names(&catalog), ["a-b", "bytes", "good", "line-break", "red-31m", "txt"]);
    for name in ["--", " "] {
        assert_eq!(reason(&catalog, root.path().join(name)), "its name has no letter and no digit");
    }
    let shown = printable(&entry(&catalog, "red-31m").display_name).into_owned();
    assert_eq!(shown, "red\\u{1b}[31m");
    let json = serde_json::to_string(&catalog).unwrap();
    assert!(!json.contains('\u{1b}') && !json.contains('\n'));
}

#[test]
fn a_pickle_is_not_executed() {
    let root = root();
    let folder = model(root.path().join("pickled"));
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    let witness = root.path().join("witness");
    let pickle = format!("cposix\nsystem\n(S'touch {}'\ntR.", witness.display());
    write(folder.join("pytorch_model.bin"), pickle);
    let catalog = scan_goes_on(&root);
    let found = entry(&catalog, "pickled");
    assert!(codes(found).contains(&"invalid") && !found.is_complete(), "{:?}", found.problems);
    assert!(!Path::new(&witness).exists());
}
