//! Folders of weights.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use collimate_tensors::{Checkpoint, Dtype, TensorsError, stays_inside, write_safetensors};
use tempfile::TempDir;

const INDEX: &str = "model.safetensors.index.json";

/// A folder that goes away with the test.
struct Model(TempDir);

impl Model {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file of bytes, each tensor a vector of its own number.
    fn weights(self, file: &str, tensors: &[(&str, u8)]) -> Self {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let tensors = tensors
            .iter()
            .map(|&(name, len)| (name, Dtype::U8, [u64::from(len)], vec![len; len.into()]));
        write_safetensors(path, &BTreeMap::new(), tensors).unwrap();
        self
    }

    fn text(self, file: &str, text: &str) -> Self {
        fs::write(self.path().join(file), text).unwrap();
        self
    }

    fn index(self, tensors: &[(&str, &str)]) -> Self {
        let map: BTreeMap<_, _> = tensors.iter().copied().collect();
        let json = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map});
        self.text(INDEX, &json.to_string())
    }

    fn open(&self) -> Result<Checkpoint, TensorsError> {
        Checkpoint::open(self.path())
    }

    #[track_caller]
    fn error(&self) -> TensorsError {
        self.open().unwrap_err()
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn the_order_is_that_of_transformers() {
    let model = Model::new();
    assert!(matches!(model.error(), TensorsError::NoWeights { .. }));
    let model = model.text("pytorch_model.bin.index.json", r#"{"weight_map":{"x":"x.bin"}}"#);
    assert!(matches!(model.error(), TensorsError::MissingFile { file, .. } if file == "x.bin"));
    fs::copy(fixture("archive.bin"), model.path().join("pytorch_model.bin")).unwrap();
    assert!(model.open().unwrap().files()[0].is_pickle());
    let model = model.weights("1.safetensors", &[("a", 1)]).index(&[("a", "1.safetensors")]);
    let checkpoint = model.open().unwrap();
    assert_eq!(checkpoint.index(), Some(&*model.path().join(INDEX)));
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a"]);
    let checkpoint = model.weights("model.safetensors", &[("b", 1)]).open().unwrap();
    assert_eq!(checkpoint.index(), None);
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn several_files_are_one_name_space() {
    let model = Model::new()
        .weights("2.safetensors", &[("a", 3)])
        .weights("sub/1.safetensors", &[("c", 2), ("b", 4), ("not in the index", 1)])
        .index(&[("a", "2.safetensors"), ("b", "sub/1.safetensors"), ("c", "sub/1.safetensors")]);
    let checkpoint = model.open().unwrap();
    assert_eq!((checkpoint.parameters(), checkpoint.bytes()), (10, 10));
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b", "c", "not in the index"]);
    assert_eq!(checkpoint.get("b").unwrap().bytes().unwrap(), [4; 4].as_slice());
    assert_eq!(checkpoint.get("a").unwrap().file().path(), model.path().join("2.safetensors"));
    let order: Vec<_> = checkpoint.tensors().map(|tensor| tensor.name()).collect();
    assert_eq!(order, ["a", "b", "c", "not in the index"]);
    assert!(checkpoint.get("d").is_none());
    checkpoint.unchanged().unwrap();
    let _model = model.text("2.safetensors", "");
    assert!(matches!(checkpoint.unchanged(), Err(TensorsError::Changed { .. })));
}

#[test]
fn pickled_shards_are_opened() {
    let model = Model::new().text(
        "pytorch_model.bin.index.json",
        r#"{"weight_map":{"scalar":"1.bin","long":"1.bin"}}"#,
    );
    fs::copy(fixture("legacy.bin"), model.path().join("1.bin")).unwrap();
    let checkpoint = model.open().unwrap();
    assert_eq!(checkpoint.get("scalar").unwrap().to_f32().unwrap(), [2.5]);
}

#[test]
fn what_the_index_names_must_be_there() {
    let model = Model::new().weights("1.safetensors", &[("a", 1), ("b", 1)]);
    let model =
        model.index(&[("a", "1.safetensors"), ("d", "1.safetensors"), ("c", "1.safetensors")]);
    let message = model.error().to_string();
    assert!(message.starts_with("1.safetensors lacks 2 of the tensors"), "{message}");
    assert!(message.ends_with("the first is \"c\""), "{message}");
    let model = model.index(&[("a", "1.safetensors"), ("c", "2.safetensors")]);
    let TensorsError::MissingFile { file, index } = model.error() else { panic!() };
    assert_eq!((file.as_str(), index), ("2.safetensors", model.path().join(INDEX)));
}

#[test]
fn a_tensor_in_two_files_is_an_error() {
    let model = Model::new()
        .weights("1.safetensors", &[("a", 1)])
        .weights("2.safetensors", &[("a", 1), ("b", 1)])
        .index(&[("a", "1.safetensors"), ("b", "2.safetensors")]);
    assert!(matches!(model.error(), TensorsError::Twice { tensor, .. } if tensor == "a"));
}

#[test]
fn paths_that_leave_the_folder_are_never_opened() {
    for path in
        ["/etc/passwd", "../1.safetensors", "a/../../b", "a\\b", "C:b", "a\0b", "", ".", "a//b"]
    {
        assert!(!stays_inside(path), "{path}");
        let model = Model::new().weights("1.safetensors", &[("a", 1)]);
        let model = model.index(&[("a", "1.safetensors"), ("b", path)]);
        assert!(matches!(model.error(), TensorsError::UnsafePath { file, .. } if file == path));
    }
    assert!(stays_inside("a/b..c/.d") && stays_inside("å"));
}

#[test]
fn a_broken_index_is_an_error_that_says_what_is_wrong() {
    let many: Vec<_> = (0..10_001).map(|number| format!(r#""t{number}":"{number}.x""#)).collect();
    let many = format!(r#"{{"weight_map":{{{}}}}}"#, many.join(","));
    for (json, message) in [
        ("", "EOF"),
        ("[]", "expected an object with a weight_map"),
        ("{}", "missing field `weight_map`"),
        (r#"{"weight_map":{}}"#, "names no tensor"),
        (r#"{"weight_map":{"a":1}}"#, "expected a string"),
        (r#"{"weight_map":{"a":"b","a":"c"}}"#, "places tensor \"a\" twice"),
        (r#"{"weight_map":{"a":"b"}} x"#, "trailing"),
        (&many, "more than 10000 files"),
    ] {
        let error = Model::new().text(INDEX, json).error();
        assert!(matches!(error, TensorsError::Index { .. }));
        assert!(error.to_string().contains(message), "{error}");
    }
    let model = Model::new();
    let index = fs::File::create(model.path().join(INDEX)).unwrap();
    index.set_len((64 << 20) + 1).unwrap();
    assert!(matches!(model.error(), TensorsError::IndexTooLarge { .. }));
}

#[test]
fn a_folder_that_is_none_is_an_error() {
    let model = Model::new().text("file", "");
    for name in ["file", "absent"] {
        let error = Checkpoint::open(model.path().join(name)).unwrap_err();
        assert!(matches!(error, TensorsError::Io { .. }), "{error:?}");
    }
}

#[cfg(unix)]
mod links {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_within_the_folder_and_to_it_are_followed() {
        let model = Model::new().weights("sub/w", &[("a", 1)]);
        symlink("sub/w", model.path().join("model.safetensors")).unwrap();
        model.open().unwrap();
        let other = Model::new();
        symlink(model.path(), other.path().join("link")).unwrap();
        Checkpoint::open(other.path().join("link")).unwrap();
    }

    #[test]
    fn links_out_of_the_folder_are_errors() {
        let outside = Model::new().weights("w", &[("a", 1)]).weights("blobs/w", &[("a", 1)]);
        for target in ["w", "blobs/w"] {
            let target = outside.path().join(target);
            let model = Model::new();
            symlink(&target, model.path().join("model.safetensors")).unwrap();
            assert!(matches!(model.error(), TensorsError::LinkOut { .. }));
            let model = Model::new().index(&[("a", "1.safetensors")]);
            symlink(&target, model.path().join("1.safetensors")).unwrap();
            assert!(matches!(model.error(), TensorsError::LinkOut { .. }));
        }
        let model = Model::new().index(&[("a", "sub/w")]);
        symlink(outside.path(), model.path().join("sub")).unwrap();
        assert!(matches!(model.error(), TensorsError::LinkOut { .. }));
        let model = Model::new();
        symlink(outside.path().join("w"), model.path().join(INDEX)).unwrap();
        assert!(matches!(model.error(), TensorsError::LinkOut { .. }));
        let model = Model::new();
        symlink("nowhere", model.path().join("model.safetensors")).unwrap();
        assert!(matches!(model.error(), TensorsError::Io { .. }));
    }

    #[test]
    fn blobs_of_the_cache_are_followed() {
        let cache = Model::new()
            .weights("models--o--n/blobs/abc", &[("a", 1)])
            .weights("models--o--n/snapshots/1/other", &[])
            .weights("models--o--other/blobs/abc", &[("a", 1)]);
        let snapshot = cache.path().join("models--o--n/snapshots/1");
        symlink("../../blobs/abc", snapshot.join("model.safetensors")).unwrap();
        Checkpoint::open(&snapshot).unwrap();
        fs::create_dir(snapshot.join("sub")).unwrap();
        symlink("../../../blobs/abc", snapshot.join("sub/model.safetensors")).unwrap();
        Checkpoint::open(snapshot.join("sub")).unwrap();
        fs::remove_file(snapshot.join("model.safetensors")).unwrap();
        let other = "../../../models--o--other/blobs/abc";
        symlink(other, snapshot.join("model.safetensors")).unwrap();
        assert!(matches!(Checkpoint::open(&snapshot), Err(TensorsError::LinkOut { .. })));
    }
}
