//! Which template of a model folder is used, and with which tokens.

use std::fs;
use std::path::Path;

use collimate_data::{ChatTemplate, DataError, Message, RenderOptions, TemplateFolder};

fn text(template: &ChatTemplate) -> String {
    template.render_text(&[Message::new("user", "hi")], &RenderOptions::default()).expect("a text")
}

fn write(folder: &Path, file: &str, content: &str) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, content).expect("a file");
}

#[test]
fn files_win_over_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    assert!(matches!(ChatTemplate::from_folder(path), Err(DataError::File { .. })));
    write(
        path,
        "tokenizer_config.json",
        r#"{"bos_token": {"content": "<s>"}, "eos_token": "</s>", "pad_token": null, "add_bos_token": true,
            "chat_template": "{{ bos_token }}config{{ eos_token }}{{ pad_token is defined }}{{ unk_token }}"}"#,
    );
    write(
        path,
        "special_tokens_map.json",
        r#"{"unk_token": {"content": "<unk>"}, "eos_token": "older"}"#,
    );
    assert_eq!(
        text(&ChatTemplate::from_folder(path).expect("a template")),
        "<s>config</s>False<unk>"
    );
    write(path, "chat_template.json", r#"{"chat_template": "processor"}"#);
    assert_eq!(text(&ChatTemplate::from_folder(path).expect("a template")), "processor");
    write(path, "chat_template.jinja", "file {{ bos_token }}\n");
    write(path, "additional_chat_templates/tool_use.jinja", "tools");
    write(path, "additional_chat_templates/rag.jinja", "rag");
    let found = TemplateFolder::read(path).expect("a folder");
    assert_eq!(found.templates.keys().collect::<Vec<_>>(), ["default", "rag", "tool_use"]);
    assert_eq!(text(&found.choose(None, false).expect("a template")), "file <s>");
    assert_eq!(text(&found.choose(None, true).expect("a template")), "tools");
    assert_eq!(text(&found.choose(Some("rag"), true).expect("a template")), "rag");
    let error = found.choose(Some("none"), false).expect_err("no such template");
    assert!(error.to_string().contains("default, rag, tool_use"), "{error}");
}

#[test]
fn lists_of_named_templates_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = r#"{"chat_template": [{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}]}"#;
    write(folder.path(), "tokenizer_config.json", list);
    let found = TemplateFolder::read(folder.path()).expect("a folder");
    assert_eq!(text(&found.choose(None, false).expect("a template")), "a");
    assert_eq!(text(&found.choose(None, true).expect("a template")), "b");
    for wrong in [r#"{"chat_template": 1}"#, r#"{"chat_template": [{"name": "x"}]}"#, "[]", "{"] {
        write(folder.path(), "tokenizer_config.json", wrong);
        assert!(
            matches!(TemplateFolder::read(folder.path()), Err(DataError::File { .. })),
            "{wrong}"
        );
    }
}

#[test]
fn a_folder_in_a_files_place_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("chat_template.jinja")).expect("a folder");
    assert!(matches!(TemplateFolder::read(folder.path()), Err(DataError::File { .. })));
    write(folder.path(), "long.jinja", &"x".repeat((1 << 20) + 1));
    assert!(matches!(
        ChatTemplate::from_file(folder.path().join("long.jinja")),
        Err(DataError::File { .. })
    ));
    assert!(matches!(
        ChatTemplate::from_file(folder.path().join("none")),
        Err(DataError::Io { .. })
    ));
}
