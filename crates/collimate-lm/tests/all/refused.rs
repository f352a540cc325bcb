//! What can't be loaded, run or attached is a named error, before memory is taken for it.

use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device, Tensor};
use collimate_lm::{Batch, Decoder, HiddenSource, LmError, LowRank, Pooling};
use collimate_tensors::{Checkpoint, Dtype, write_safetensors};
use serde_json::{Value, json};

use crate::fixture::{Fixture, fixture};

/// The parent of what is damaged.
fn llama() -> Fixture {
    fixture("llama2")
}

fn load(folder: &Path) -> Result<Decoder, LmError> {
    Decoder::load(folder, &Device::flex(), DType::F32)
}

/// A copy of the model whose tensors were changed: name, shape, bytes.
fn with_tensors(change: impl FnOnce(&mut Vec<(String, Dtype, Vec<u64>, Vec<u8>)>)) -> LmError {
    let (scratch, parent) = (tempfile::tempdir().unwrap(), llama());
    fs::copy(parent.folder.join("config.json"), scratch.path().join("config.json")).unwrap();
    let checkpoint = Checkpoint::open(&parent.folder).unwrap();
    let tensor = |name: &str| {
        let tensor = checkpoint.get(name).unwrap();
        let bytes = tensor.bytes().unwrap().into_owned();
        (name.to_owned(), tensor.dtype(), tensor.shape().to_vec(), bytes)
    };
    let mut tensors = checkpoint.names().map(tensor).collect();
    change(&mut tensors);
    let path = scratch.path().join("model.safetensors");
    write_safetensors(path, &Default::default(), tensors).unwrap();
    load(scratch.path()).unwrap_err()
}

#[test]
fn a_missing_tensor_is_named() {
    let error =
        with_tensors(|tensors| tensors.retain(|(name, ..)| !name.ends_with("q_proj.weight")));
    let LmError::MissingTensor { tensor, shape, count, .. } = error else { panic!("{error}") };
    assert_eq!(tensor, "model.layers.0.self_attn.q_proj.weight");
    assert_eq!((shape.as_slice(), count), ([32, 32].as_slice(), 2));
}

#[test]
fn a_tensor_without_a_place_is_named() {
    let error = with_tensors(|tensors| {
        let extra = |name: &str| (name.to_owned(), Dtype::F32, vec![1], vec![0; 4]);
        tensors.extend(["vision.weight", "model.layers.2.mlp.up_proj.weight"].map(extra));
    });
    let LmError::UnexpectedTensor { tensor, count, .. } = error else { panic!("{error}") };
    assert_eq!((tensor.as_str(), count), ("model.layers.2.mlp.up_proj.weight", 2));
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both() {
    let error = with_tensors(|tensors| {
        let tensor = tensors.iter_mut().find(|(name, ..)| name == "model.norm.weight").unwrap();
        (tensor.2, tensor.3) = (vec![31], vec![0; 4 * 31]);
    });
    let LmError::Shape { tensor, expected, found, .. } = error else { panic!("{error}") };
    assert_eq!((tensor.as_str(), expected, found), ("model.norm.weight", vec![32], vec![31]));
}

#[test]
fn integers_are_no_weights() {
    let error = with_tensors(|tensors| {
        let tensor = tensors.iter_mut().find(|(name, ..)| name == "model.norm.weight").unwrap();
        tensor.1 = Dtype::I32;
    });
    assert!(
        matches!(&error, LmError::Convert { tensor, .. } if tensor == "model.norm.weight"),
        "{error}"
    );
}

#[test]
fn sizes_that_no_machine_has_are_refused_before_anything_is_allocated() {
    let scratch = tempfile::tempdir().unwrap();
    let parent = llama();
    fs::copy(parent.folder.join("model.safetensors"), scratch.path().join("model.safetensors"))
        .unwrap();
    let text = fs::read_to_string(parent.folder.join("config.json")).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    for (field, value) in [
        ("vocab_size", json!(1_u64 << 60)),
        ("vocab_size", json!(1_u64 << 30)),
        ("hidden_size", json!(1_u64 << 30)),
        ("intermediate_size", json!(1_u64 << 30)),
        ("num_hidden_layers", json!(9_999)),
    ] {
        let mut config = config.clone();
        config[field] = value.clone();
        fs::write(scratch.path().join("config.json"), config.to_string()).unwrap();
        let error = load(scratch.path()).unwrap_err();
        let named = matches!(
            error,
            LmError::Config { .. } | LmError::Shape { .. } | LmError::MissingTensor { .. }
        );
        assert!(named, "{field} {value}: {error}");
    }
}

#[test]
fn tokens_and_positions_that_the_model_lacks_are_refused() {
    let decoder = load(&llama().folder).unwrap();
    let batch = Batch::padded(&[vec![1, 2, 3], vec![4, 96]]).unwrap();
    let error = decoder.forward(&batch).unwrap_err();
    assert!(
        matches!(error, LmError::TokenId { row: 1, position: 1, id: 96, vocabulary: 96 }),
        "{error}"
    );
    let learned = load(&fixture("gpt2").folder).unwrap();
    let limit = learned.config().max_position_embeddings;
    assert!(learned.forward(&Batch::padded(&[vec![1; limit]]).unwrap()).is_ok());
    let error = learned.forward(&Batch::padded(&[vec![1; limit + 1]]).unwrap()).unwrap_err();
    assert!(matches!(error, LmError::TooLong { .. }), "{error}");
    // Turned positions have no end.
    assert!(decoder.forward(&Batch::padded(&[vec![1; 200]]).unwrap()).is_ok());
}

#[test]
fn batches_of_nothing_are_refused() {
    assert!(Batch::padded::<Vec<u32>>(&[]).is_err());
    assert!(Batch::padded(&[vec![1], vec![]]).is_err());
    assert!(Batch::packed(&[vec![vec![1], vec![]]]).is_err());
    assert!(Batch::aligned(&[Vec::<u32>::new()]).is_err());
}

#[test]
fn layers_and_spans_that_are_not_there_are_refused() {
    let decoder = load(&llama().folder).unwrap();
    let batch = Batch::padded(&[vec![1, 2, 3], vec![4, 5]]).unwrap();
    let pooled =
        |layers: &[usize], source, pooling| decoder.pooled(&batch, layers, source, &pooling);
    for (layers, source) in [(&[3], HiddenSource::Residual), (&[0], HiddenSource::Mlp)] {
        let error = pooled(layers, source, Pooling::Last).unwrap_err();
        assert!(matches!(error, LmError::Layer { .. }), "{error}");
    }
    let whole = || Pooling::Spans(vec![0..3, 0..2]);
    assert!(pooled(&[1], HiddenSource::Residual, whole()).is_ok());
    for spans in [std::iter::once(0..3).collect(), vec![0..3, 0..3], vec![1..1, 0..2]] {
        let error = pooled(&[1], HiddenSource::Residual, Pooling::Spans(spans)).unwrap_err();
        assert!(matches!(error, LmError::Batch { .. }), "{error}");
    }
    assert!(decoder.logits_at(&batch, &[(1, 2)]).is_err());
    assert!(decoder.logits_at(&batch, &[(2, 0)]).is_err());
}

#[test]
fn branches_that_do_not_fit_are_refused_and_nothing_is_attached() {
    let mut decoder = load(&llama().folder).unwrap();
    let zeros = |shape: [usize; 2]| Tensor::<2>::zeros(shape, &Device::flex());
    let branch =
        |module: &str, a: [usize; 2], b: [usize; 2]| LowRank::new(module, zeros(a), zeros(b), 1.0);
    let q = "model.layers.0.self_attn.q_proj";
    let fits = || branch(q, [4, 32], [32, 4]);
    let refused = [
        (
            "model.layers.7.self_attn.q_proj",
            vec![branch("model.layers.7.self_attn.q_proj", [4, 32], [32, 4])],
        ),
        ("is there twice", vec![fits(), fits()]),
        ("A [4, 31]", vec![branch(q, [4, 31], [32, 4])]),
        ("B [31, 4]", vec![branch(q, [4, 32], [31, 4])]),
        ("B [32, 3]", vec![branch(q, [4, 32], [32, 3])]),
        ("dropout of 1", vec![fits().with_dropout(1.0)]),
    ];
    for (said, branches) in refused {
        let error = decoder.clone().attach("one", branches).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    assert!(decoder.detach("one").is_err() && decoder.activate(&["one"]).is_err());
    decoder.attach("one", vec![fits()]).unwrap();
    assert_eq!(decoder.adapters(), ["one"]);
    assert!(decoder.activate(&["one", "two"]).is_err());
    decoder.detach("one").unwrap();
    assert!(decoder.adapters().is_empty());
}
