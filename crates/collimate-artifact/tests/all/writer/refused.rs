//! What ends without a trace.

use std::fs;
use std::sync::atomic::Ordering;

use collimate_artifact::{
    Alignment, ArtifactError, ArtifactEvent, ArtifactWriter, Replace, Technique,
};
use collimate_tensors::write_safetensors;
use serde_json::json;

use super::place::{Place, alignment, all, change, go_on, query_adapter, tensors, write_json};

#[test]
fn an_existing_folder_is_replaced_only_when_asked() {
    let place = Place::new();
    fs::create_dir(place.out()).unwrap();
    fs::write(place.out().join("mine"), "mine").unwrap();
    let (parent, alignment, adapter) = (place.parent(), alignment(), query_adapter());
    let writer = ArtifactWriter::new(&parent, &alignment).with_adapter(&adapter, 1.0);
    let error = writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap_err();
    assert!(matches!(error, ArtifactError::Exists { .. }), "{error}");
    assert_eq!(all(&place.out()).len(), 1);
    let writer = writer.with_replace(Replace::Existing);
    writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap();
    assert!(!place.out().join("mine").exists());
    assert_eq!(place.others(), ["out"]);
}

#[test]
fn what_is_cancelled_or_changes_meanwhile_leaves_nothing() {
    let place = Place::new();
    let (parent, alignment, adapter) = (place.parent(), alignment(), query_adapter());
    let writer = ArtifactWriter::new(&parent, &alignment).with_adapter(&adapter, 1.0);
    let cancelled = go_on();
    let mut stop = |event: &ArtifactEvent| {
        if matches!(event, ArtifactEvent::Merged { .. }) {
            cancelled.store(true, Ordering::Relaxed);
        }
    };
    let error = writer.write_standalone(place.out(), &cancelled, &mut stop).unwrap_err();
    assert!(matches!(error, ArtifactError::Cancelled), "{error}");
    assert_eq!(place.others(), Vec::<String>::new());

    let weights = place.base().join("model.safetensors");
    let mut change = |event: &ArtifactEvent| {
        if matches!(event, ArtifactEvent::FileWritten { .. }) {
            let bytes = fs::read(&weights).unwrap();
            fs::write(&weights, [bytes.as_slice(), b"more"].concat()).unwrap();
        }
    };
    let error = writer.write_standalone(place.out(), &go_on(), &mut change).unwrap_err();
    assert!(error.to_string().contains("model.safetensors"), "{error}");
    assert_eq!(place.others(), Vec::<String>::new());
}

#[test]
fn a_model_that_does_not_verify_never_appears() {
    let place = Place::new();
    let (parent, alignment, adapter) = (place.parent(), alignment(), query_adapter());
    let writer = ArtifactWriter::new(&parent, &alignment).with_adapter(&adapter, 1.0);
    // More tokens than the embedding has rows.
    let path = place.base().join("tokenizer.json");
    let before = fs::read(&path).unwrap();
    let vocabulary = json!({"<unk>": 0, "</s>": 1, "a": 9});
    let model = json!({"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"});
    write_json(&path, &json!({"version": "1.0", "added_tokens": [], "model": model}));
    let error = writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap_err();
    assert!(matches!(error, ArtifactError::Unsound { .. }), "{error}");
    assert!(error.to_string().contains("has the id 9"), "{error}");
    assert_eq!(place.others(), Vec::<String>::new());
    // More layers than there are.
    fs::write(&path, before).unwrap();
    change(&place.base().join("config.json"), "num_hidden_layers", json!(3));
    let error = writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap_err();
    assert!(matches!(error, ArtifactError::Unsound { .. }), "{error}");
    assert_eq!(place.others(), Vec::<String>::new());
}

#[test]
fn trained_weights_of_another_model_are_refused() {
    let place = Place::new();
    let trained = place.path("trained");
    fs::create_dir(&trained).unwrap();
    let (parent, alignment, adapter) = (place.parent(), alignment(), query_adapter());
    let writer = ArtifactWriter::new(&parent, &alignment).with_trained_weights(&trained);
    let refused = |writer: &ArtifactWriter<'_>, tensors: Vec<_>| {
        write_safetensors(trained.join("model.safetensors"), &Default::default(), tensors).unwrap();
        let error = writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap_err();
        fs::remove_file(trained.join("model.safetensors")).unwrap();
        assert_eq!(place.others(), ["trained"]);
        error.to_string()
    };
    let mut less = tensors();
    let (name, ..) = less.remove(3);
    assert!(refused(&writer, less).contains(&format!("lacks {name}")));
    let mut other = tensors();
    other[0].0 = "model.embedding.weight".to_owned();
    assert!(refused(&writer, other).contains("no model.embedding.weight"));
    let mut narrow = tensors();
    narrow[2].2[0] /= 2;
    let bytes = narrow[2].3.len() / 2;
    narrow[2].3.truncate(bytes);
    assert!(refused(&writer, narrow).contains("[4, 8], and [8, 8] in the parent"));
    let both = writer.clone().with_adapter(&adapter, 1.0);
    assert!(refused(&both, tensors()).contains("adapters belong to the parent's weights"));
}

#[test]
fn what_makes_no_model_is_refused_at_once() {
    let place = Place::new();
    let (parent, alignment, adapter) = (place.parent(), alignment(), query_adapter());
    let writer = ArtifactWriter::new(&parent, &alignment);
    for result in [
        writer.write_standalone(place.out(), &go_on(), &mut ()),
        writer.write_adapter(place.out(), &go_on(), &mut ()),
    ] {
        assert!(result.unwrap_err().to_string().contains("no adapter to write"));
    }
    let writer = writer.with_adapter(&adapter, 1.0);
    // Supervised fine-tuning has no second model, RLHF no third.
    let other = writer.clone().with_companion("reward_model", place.base());
    let error = other.write_standalone(place.out(), &go_on(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("no folder 'reward_model'"), "{error}");
    let technique = Technique::new("rlhf", json!({"algorithm": "PPO"})).unwrap();
    let rlhf = Alignment::new("Fern", technique, "2026-01-31T12:00:00Z".parse().unwrap());
    let other = ArtifactWriter::new(&parent, &rlhf)
        .with_adapter(&adapter, 1.0)
        .with_companion("reward_model", place.base())
        .with_companion("critic", place.base());
    let error = other.write_standalone(place.out(), &go_on(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("no folder 'critic'"), "{error}");
    // One with another weight is not the adapter that it would be written as.
    let half = ArtifactWriter::new(&parent, &alignment).with_adapter(&adapter, 0.5);
    let error = half.write_adapter(place.out(), &go_on(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("a weight other than 1"), "{error}");
    assert_eq!(place.others(), Vec::<String>::new());
}
