use super::testing::{Model, checkpoint, index, safetensors};
use super::*;

fn named(problems: &[Problem]) -> Vec<(&str, &str)> {
    problems.iter().map(|problem| (problem.code(), problem.file().unwrap_or(""))).collect()
}

#[test]
fn a_folder_without_weights_has_none() {
    let model = Model::new()
        .with("config.json", "{}")
        .with("consolidated.safetensors", safetensors(&[("w", 1)]));
    assert_eq!(model.inspect(), (None, Vec::new()));
}

#[test]
fn a_single_file_is_counted_exactly() {
    let file = safetensors(&[("a", 3), ("b", 2)]);
    let bytes = file.len() as u64;
    // What transformers would not load beside it isn't looked at.
    let model = Model::new()
        .with("model.safetensors", file)
        .with("model.safetensors.index.json", "not json")
        .with("pytorch_model.bin", "not a pickle");
    let weights = model.sound();
    assert_eq!(weights.format, WeightFormat::Safetensors);
    assert_eq!(weights.files, [WeightFile { name: "model.safetensors".to_owned(), bytes }]);
    assert_eq!((weights.tensors, weights.parameters, weights.bytes), (2, 5, 20));
    assert_eq!(weights.dtypes, BTreeMap::from([("F32".to_owned(), 5)]));
    assert_eq!(weights.counted_from, CountedFrom::Headers);
}

#[test]
fn a_file_that_is_cut_off_is_counted_by_its_header() {
    let mut file = safetensors(&[("a", 3)]);
    let expected = file.len() as u64;
    file.truncate(file.len() - 5);
    let (weights, problems) = Model::new().with("model.safetensors", file).inspect();
    assert_eq!(weights.map(|weights| weights.parameters), Some(3));
    assert_eq!(
        problems,
        [Problem::Truncated {
            file: "model.safetensors".to_owned(),
            expected,
            found: expected - 5,
        }]
    );
}

#[test]
fn a_file_that_is_no_safetensors_file_is_reported() {
    for (file, code) in [
        (&b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"[..], "lfs_pointer"),
        (b"", "truncated"),
        (b"\x02\0\0\0\0\0\0\0[]", "invalid"),
        (b"\0\0\0\0\0\0\0\x80{}", "invalid"),
        (b"\xff\0\0\0\0\0\0\0{}", "truncated"),
    ] {
        let (weights, problems) = Model::new().with("model.safetensors", file).inspect();
        assert_eq!(weights, None, "{file:?}");
        assert_eq!(named(&problems), [(code, "model.safetensors")]);
    }
}

#[test]
fn a_header_larger_than_the_first_read_is_read_whole() {
    let names: Vec<_> = (0..2000).map(|number| format!("layers.{number}.weight")).collect();
    let tensors: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let weights = Model::new().with("model.safetensors", safetensors(&tensors)).sound();
    assert_eq!((weights.tensors, weights.parameters), (2000, 2000));
}

#[test]
fn shards_are_summed_up() {
    let model = Model::new()
        .with("model-00001-of-00002.safetensors", safetensors(&[("a", 3)]))
        .with("sub/second.safetensors", safetensors(&[("b", 2), ("c", 1)]))
        .with("model-00009-of-00009.safetensors", "not named by the index")
        .with(
            "model.safetensors.index.json",
            index(
                r#"{"total_size":999}"#,
                &[
                    ("a", "model-00001-of-00002.safetensors"),
                    ("b", "sub/second.safetensors"),
                    ("c", "sub/second.safetensors"),
                ],
            ),
        );
    let weights = model.sound();
    assert_eq!((weights.tensors, weights.parameters, weights.bytes), (3, 6, 24));
    assert_eq!(weights.counted_from, CountedFrom::Headers);
    let names: Vec<_> = weights.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["model-00001-of-00002.safetensors", "sub/second.safetensors"]);
}

#[test]
fn escapes_in_names_do_not_matter() {
    let file = safetensors(&[("\\u0061", 1)]);
    let model = Model::new()
        .with("a.safetensors", file)
        .with("model.safetensors.index.json", index("{}", &[("a", "a.safetensors")]));
    assert_eq!(model.sound().tensors, 1);
}

#[test]
fn a_missing_shard_leaves_the_totals_of_the_index() {
    let shards = [("a", "1.safetensors"), ("b", "2.safetensors")];
    let model = |metadata: &str| {
        Model::new()
            .with("1.safetensors", safetensors(&[("a", 3)]))
            .with("model.safetensors.index.json", index(metadata, &shards))
            .inspect()
    };
    let missing = Problem::MissingShard {
        file: "2.safetensors".to_owned(),
        named_by: "model.safetensors.index.json".to_owned(),
    };
    for (metadata, parameters, bytes, tensors, from) in [
        (r#"{"total_size":40,"total_parameters":11}"#, 11, 40, 2, CountedFrom::Index),
        // All tensors that can be seen have four bytes for each element.
        (r#"{"total_size":40.0}"#, 10, 40, 2, CountedFrom::Index),
        (r#"{"total_parameters":11}"#, 3, 12, 1, CountedFrom::Partial),
        ("{}", 3, 12, 1, CountedFrom::Partial),
        ("null", 3, 12, 1, CountedFrom::Partial),
    ] {
        let (weights, problems) = model(metadata);
        let weights = weights.expect(metadata);
        assert_eq!(problems, std::slice::from_ref(&missing), "{metadata}");
        assert_eq!((weights.parameters, weights.bytes), (parameters, bytes), "{metadata}");
        assert_eq!((weights.tensors, weights.counted_from), (tensors, from), "{metadata}");
        assert_eq!(weights.files.len(), 1);
    }
    for metadata in [r#"{"total_size":"40"}"#, r#"{"total_size":-1}"#, r#"{"total_size":1.5}"#] {
        let (weights, problems) = model(metadata);
        assert_eq!(weights.map(|w| w.counted_from), Some(CountedFrom::Partial), "{metadata}");
        assert!(problems.iter().any(|problem| problem.code() == "field"), "{metadata}");
    }
}

#[test]
fn an_index_alone_tells_the_size() {
    let placed = [("a", "1.safetensors"), ("b", "2.safetensors")];
    let totals = r#"{"total_size":40,"total_parameters":10}"#;
    let model = Model::new().with("model.safetensors.index.json", index(totals, &placed));
    let (weights, problems) = model.inspect();
    let weights = weights.expect("totals");
    assert_eq!((weights.parameters, weights.bytes, weights.files.len()), (10, 40, 0));
    assert_eq!(
        named(&problems),
        [("missing_shard", "1.safetensors"), ("missing_shard", "2.safetensors"),]
    );
    let model = Model::new().with("model.safetensors.index.json", index("{}", &placed));
    assert_eq!(model.inspect().0, None);
}

#[test]
fn tensors_that_a_shard_lacks_are_one_problem() {
    let names: Vec<_> = (0..10_000).map(|number| format!("t{number:05}")).collect();
    let mut placed: Vec<_> = names.iter().map(|name| (name.as_str(), "1.safetensors")).collect();
    placed.push(("w", "1.safetensors"));
    let model = Model::new()
        // As many tensors, so that the number alone doesn't tell.
        .with("1.safetensors", safetensors(&[("w", 1), ("x", 1)]))
        .with("2.safetensors", safetensors(&[("y", 1), ("z", 1)]))
        .with("model.safetensors.index.json", {
            placed.extend([("y", "2.safetensors"), ("yy", "2.safetensors")]);
            index("{}", &placed)
        });
    let (weights, problems) = model.inspect();
    assert_eq!(weights.map(|weights| weights.counted_from), Some(CountedFrom::Headers));
    let lacks = |file: &str, tensor: &str, count| Problem::MissingTensor {
        file: file.to_owned(),
        tensor: tensor.to_owned(),
        count,
        index: "model.safetensors.index.json".to_owned(),
    };
    assert_eq!(
        problems,
        [lacks("1.safetensors", "t00000", 10_000), lacks("2.safetensors", "yy", 1)]
    );
}

#[test]
fn tensors_beside_those_of_the_index_do_no_harm() {
    let model = Model::new()
        .with("1.safetensors", safetensors(&[("a", 1), ("b", 1)]))
        .with("model.safetensors.index.json", index("{}", &[("a", "1.safetensors")]));
    assert_eq!(model.sound().tensors, 2);
}

#[test]
fn paths_that_leave_the_folder_are_never_opened() {
    for path in [
        "/etc/passwd",
        "../model.safetensors",
        "a/../../b",
        "a\\b",
        "C:b",
        "c:/b",
        "a\0b",
        "",
        ".",
        "a//b",
        "a/.",
    ] {
        let model = Model::new().with("1.safetensors", safetensors(&[("a", 1)])).with(
            "model.safetensors.index.json",
            index("{}", &[("a", "1.safetensors"), ("b", path)]),
        );
        let (weights, problems) = model.inspect();
        assert_eq!(
            problems,
            [Problem::UnsafePath {
                file: "model.safetensors.index.json".to_owned(),
                path: path.to_owned(),
            }]
        );
        assert_eq!(weights.map(|w| w.counted_from), Some(CountedFrom::Partial), "{path}");
    }
}

#[test]
fn a_broken_index_is_reported() {
    let many: Vec<_> = (0..10_001).map(|number| format!(r#""t{number}":"{number}.x""#)).collect();
    let many = format!(r#"{{"weight_map":{{{}}}}}"#, many.join(","));
    for (json, message) in [
        ("", "EOF"),
        ("[]", "expected an object"),
        ("{}", "no weight_map"),
        (r#"{"weight_map":{}}"#, "no tensor"),
        (r#"{"weight_map":{"a":1}}"#, "expected a string"),
        (r#"{"weight_map":{"a":"b"},"weight_map":{"a":"b"}}"#, "duplicate"),
        (r#"{"weight_map":{"a":"b"}} x"#, "trailing"),
        (&many, "more than 10000 files"),
    ] {
        let (weights, problems) = Model::new().with("model.safetensors.index.json", json).inspect();
        assert_eq!(weights, None);
        assert_eq!(named(&problems), [("invalid", "model.safetensors.index.json")]);
        assert!(problems[0].to_string().contains(message), "{}", problems[0]);
    }
}

#[test]
fn shards_without_an_index_are_counted_and_reported() {
    let model = Model::new()
        .with("model-00001-of-00004.safetensors", safetensors(&[("a", 1)]))
        .with("model-00003-of-00004.safetensors", safetensors(&[("b", 2)]));
    let (weights, problems) = model.inspect();
    let weights = weights.expect("weights");
    assert_eq!((weights.parameters, weights.counted_from), (3, CountedFrom::Partial));
    assert_eq!(
        named(&problems),
        [
            ("missing_file", "model.safetensors.index.json"),
            ("missing_shard", "model-00002-of-00004.safetensors"),
            ("missing_shard", "model-00004-of-00004.safetensors"),
        ]
    );
    assert!(problems.iter().all(Problem::blocks_loading));
}

#[test]
fn shards_of_two_models_are_told_apart() {
    let model = Model::new()
        .with("model-00001-of-00001.safetensors", safetensors(&[("a", 1)]))
        .with("model-00001-of-00002.safetensors", safetensors(&[("a", 1)]))
        .with("model-00002-of-00002.safetensors", safetensors(&[("b", 1)]));
    let (_, problems) = model.inspect();
    let codes: Vec<_> = problems.iter().map(Problem::code).collect();
    assert_eq!(codes, ["missing_file", "invalid", "invalid"]);
}

#[test]
fn pickles_come_after_safetensors_and_before_shards_without_index() {
    let model = Model::new()
        .with("pytorch_model.bin", checkpoint("w", 6))
        .with("model-00001-of-00001.safetensors", safetensors(&[("a", 1)]));
    let (weights, problems) = model.inspect();
    assert_eq!(weights.map(|w| (w.format, w.parameters)), Some((WeightFormat::Pickle, 6)));
    assert_eq!(problems, [Problem::Pickle { file: "pytorch_model.bin".to_owned() }]);
    assert!(!problems[0].blocks_loading());
}

#[test]
fn pickled_shards_are_compared_with_their_index() {
    let placed = [("a", "1.bin"), ("b", "2.bin"), ("c", "2.bin")];
    let model = Model::new()
        .with("1.bin", checkpoint("a", 4))
        .with("2.bin", checkpoint("b", 4))
        .with("pytorch_model.bin.index.json", index("{}", &placed));
    let (weights, problems) = model.inspect();
    assert_eq!(weights.map(|w| (w.tensors, w.parameters, w.bytes)), Some((2, 8, 32)));
    assert_eq!(
        named(&problems),
        [("pickle", "1.bin"), ("pickle", "2.bin"), ("missing_tensor", "2.bin"),]
    );
}

#[test]
fn an_adapter_has_one_file() {
    let look = |model: &Model| {
        let mut problems = Vec::new();
        let weights = inspect_adapter(&model.folder(), &mut problems);
        (weights.map(|weights| (weights.format, weights.parameters)), problems)
    };
    let model = Model::new().with("model.safetensors", safetensors(&[("w", 9)]));
    assert_eq!(look(&model), (None, Vec::new()));
    let model = model.with("adapter_model.bin", checkpoint("w", 2));
    assert_eq!(look(&model).0, Some((WeightFormat::Pickle, 2)));
    let model = model.with("adapter_model.safetensors", safetensors(&[("w", 4)]));
    assert_eq!(look(&model), (Some((WeightFormat::Safetensors, 4)), Vec::new()));
}

#[cfg(unix)]
#[test]
fn what_is_not_a_regular_file_is_never_opened() {
    let model = Model::new();
    std::os::unix::fs::symlink("/dev/zero", model.path().join("model.safetensors"))
        .expect("a link");
    let (weights, problems) = model.inspect();
    assert_eq!((weights, named(&problems)), (None, vec![("invalid", "model.safetensors")]));

    let model = Model::new();
    std::os::unix::fs::symlink("nowhere", model.path().join("model.safetensors")).expect("a link");
    assert_eq!(named(&model.inspect().1), [("dangling_link", "model.safetensors")]);
}
