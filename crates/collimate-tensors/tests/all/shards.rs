//! Files and indices as transformers makes them.

use std::collections::BTreeMap;

use collimate_tensors::{Dtype, Layout, shards};

/// A state dictionary and what it was saved as.
#[derive(serde::Deserialize)]
struct Case {
    max_bytes: u64,
    tensors: Vec<(String, Dtype, Vec<u64>)>,
    index: Option<String>,
    headers: BTreeMap<String, String>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../fixtures/shards.json")).unwrap()
}

#[test]
fn files_headers_and_index_are_those_of_transformers() {
    for case in cases() {
        let mut layout = Layout::new().with_metadata("format", "pt");
        for (name, dtype, shape) in case.tensors {
            layout.push(name, dtype, shape).unwrap();
        }
        let shards = shards(&layout, case.max_bytes);
        let headers: BTreeMap<_, _> = shards
            .files
            .iter()
            .map(|shard| {
                let header = shard.layout.header().unwrap();
                (shard.file.clone(), String::from_utf8(header[8..].to_vec()).unwrap())
            })
            .collect();
        assert_eq!(headers, case.headers, "{}", case.max_bytes);
        assert_eq!(shards.index.map(|index| index.to_json()), case.index, "{}", case.max_bytes);
    }
}

#[test]
fn no_tensors_make_one_empty_file() {
    let shards = shards(&Layout::new().with_metadata("format", "pt"), 0);
    assert_eq!(shards.files.len(), 1);
    assert_eq!(shards.files[0].file, "model.safetensors");
    assert_eq!(shards.files[0].layout.metadata()["format"], "pt");
    assert_eq!(shards.index, None);
}

#[test]
fn tensors_without_elements_fit_anywhere() {
    let mut layout = Layout::new();
    layout.push("a", Dtype::F32, [0, u64::MAX]).unwrap();
    layout.push("b", Dtype::F32, [1]).unwrap();
    assert_eq!(shards(&layout, 4).files.len(), 1);
    assert_eq!(shards(&layout, 3).files.len(), 2);
}
