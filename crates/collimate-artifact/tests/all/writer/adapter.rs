//! Adapters alone.

use collimate_artifact::{ArtifactError, ArtifactWriter, Form, Parent, inspect};

use super::place::{self, Place, alignment, errors, go_on, query_adapter, read_json};

#[test]
fn an_adapter_alone_names_its_parent() {
    let place = Place::new();
    let (alignment, adapter) = (alignment(), query_adapter());
    let absent = Parent::absent("garden/Fern-1B").unwrap();
    let writer = ArtifactWriter::new(&absent, &alignment).with_adapter(&adapter, 1.0);
    let error = writer.write_standalone(place.out(), &go_on(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("never made up"), "{error}");
    assert_eq!(place.others(), Vec::<String>::new());

    let writer = writer.with_tokenizer(place.base());
    let written = writer.write_adapter(place.out(), &go_on(), &mut ()).unwrap();
    assert_eq!(written.form, Form::Adapter);
    assert!(written.tokenizer && !place.out().join("config.json").exists());
    let record = read_json(place.out().join("alignment_info.json"));
    assert_eq!(record["standalone"], false);
    let config = read_json(place.out().join("adapter_config.json"));
    assert_eq!(config["base_model_name_or_path"], "garden/Fern-1B");
    assert_eq!(errors(&place.out()), Vec::<String>::new());
    let about = inspect(place.out()).unwrap();
    assert_eq!(about.parent_id.as_deref(), Some("garden/Fern-1B"));
    assert!(about.origin.starts_with("Fern: tamed, an adapter for Fern-1B (garden/Fern-1B)"));

    // With the parent at hand, an adapter of another model is refused.
    let parent = place.parent();
    let other = place::adapter(&["model.layers.5.self_attn.q_proj"], 3);
    let writer = ArtifactWriter::new(&parent, &alignment).with_adapter(&other, 1.0);
    let error = writer.write_adapter(place.path("x"), &go_on(), &mut ()).unwrap_err();
    assert!(matches!(error, ArtifactError::Peft(_)), "{error}");
}
