//! What is learned of conversations, beside TRL (`conformance/masks.py`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use collimate_data::{
    BuiltIn, ChatTemplate, Mask, Message, Origin, Position, PrepareSettings, RenderOptions,
    Rendered, Row, RowBuilder, TemplateTime, Tokenizer,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

type Turns = Vec<Map<String, Value>>;

#[derive(Deserialize)]
struct Reference {
    calls: String,
    tools: Vec<Value>,
    conversations: BTreeMap<String, Turns>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    tokenizer: String,
    template: String,
    conversation: String,
    ids: Vec<u32>,
    assistant_mask: Vec<u8>,
    completion_mask: Option<Vec<u8>>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn reference() -> Reference {
    let text = std::fs::read_to_string(fixtures().join("masks_of_templates.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn messages(turns: &Turns) -> Vec<Message> {
    turns.iter().map(|turn| Message::from_fields(turn.clone()).unwrap()).collect()
}

fn row(tokenizer: &Tokenizer, mask: Mask, rendered: &Rendered) -> Row {
    let origin = Origin { file: Path::new("data.jsonl").into(), position: Position::Line(1) };
    let settings = PrepareSettings::default().with_mask(mask);
    RowBuilder::new(tokenizer, settings).unwrap().row(rendered, &origin).unwrap()
}

/// A mask without its first token, which nothing predicts.
fn predicted(mask: &[u8]) -> Vec<bool> {
    mask.iter().enumerate().map(|(i, trained)| i > 0 && *trained == 1).collect()
}

/// Ids and masks of every case but those left out, for the templates as `changed` makes them.
fn compare(changed: impl Fn(&str) -> String, left_out: &[(&str, &str)]) {
    let reference = reference();
    let tokenizers: BTreeMap<&str, Tokenizer> = ["byte_level", "sentencepiece"]
        .map(|name| {
            let folder = fixtures().join("tokenizers").join(name);
            (name, Tokenizer::from_folder(folder).unwrap())
        })
        .into();
    let (mut compared, mut pairs) = (0, 0);
    for case in &reference.cases {
        let context = format!("{}, {}", case.template, case.conversation);
        if left_out.contains(&(case.template.as_str(), case.conversation.as_str())) {
            continue;
        }
        let tokenizer = &tokenizers[case.tokenizer.as_str()];
        let mut options = RenderOptions::default();
        let source = if case.template == "calls" {
            options.tools = Some(reference.tools.clone());
            &reference.calls
        } else {
            case.template.parse::<BuiltIn>().unwrap().source()
        };
        let mut template = ChatTemplate::new(&case.template, changed(source)).unwrap();
        let special = tokenizer.special_tokens();
        for (name, token) in [("bos_token", &special.bos), ("eos_token", &special.eos)] {
            if let Some(token) = token {
                template = template.with_variable(name, &json!(token.text));
            }
        }
        let turns = messages(&reference.conversations[&case.conversation]);
        let rendered = template.render(&turns, &options).unwrap();
        let found = row(tokenizer, Mask::Assistant, &rendered);
        assert_eq!(found.ids, case.ids, "{context}");
        assert_eq!(found.trained, predicted(&case.assistant_mask), "{context}");

        compared += 1;
        let Some(mask) = &case.completion_mask else { continue };
        let (completion, prompt) = turns.split_last().unwrap();
        let completion = std::slice::from_ref(completion);
        let rendered = template.render_pair(prompt, completion, &options).unwrap();
        let found = row(tokenizer, Mask::Completion, &rendered);
        assert_eq!(found.ids, case.ids, "{context}");
        assert_eq!(found.trained, predicted(mask), "{context}");
        pairs += 1;
    }
    assert_eq!((compared, pairs), (97 - left_out.len(), 87 - left_out.len()));
}

#[test]
fn rows_of_templates_are_those_of_the_reference() {
    compare(str::to_owned, &[]);
}

/// Turns that are found are those that the reference has from the template's own marks.
#[test]
fn rows_of_templates_without_marks_are_those_of_the_reference() {
    // What stands between two turns of the assistant has no turn, where no header begins one.
    let left_out = [("plain", "assistant twice"), ("alpaca", "assistant twice")];
    let unmarked = |source: &str| {
        let tags = ["{%- generation -%}", "{%- endgeneration -%}"];
        let source = tags.iter().fold(source.to_owned(), |source, tag| source.replace(tag, ""));
        let source = source.replace("{% generation %}", "").replace("{% endgeneration %}", "");
        assert!(!source.contains("generation %") && !source.contains("generation -"));
        source
    };
    compare(unmarked, &left_out);
}

/// Turns that call tools, and turns that are written otherwise when others follow.
#[test]
fn turns_that_call_tools_are_found() {
    let calls =
        "{% for call in m.tool_calls or [] %}<call>{{ call.function.name }}</call>{% endfor %}";
    let closed = "{{ m.content }}CALLS<|end|>\n";
    let thought =
        "{% if loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m.content }}CALLS<|end|>\n";
    let thought_call = "{% if loop.last and m.tool_calls %}<think>\n\n</think>\n\n{% endif %}CALLS{{ m.content }}<|end|>\n";
    let open = "{{ m.content }}CALLS";
    for (turn, expected) in [
        (closed, ["<call>look</call><|end|>\n", "A tree.<|end|>\n"]),
        (thought, ["<call>look</call><|end|>\n", "<think>\n\n</think>\n\nA tree.<|end|>\n"]),
        (thought_call, ["<call>look</call><|end|>\n", "A tree.<|end|>\n"]),
        // What opens the next turn closes this one.
        (open, ["<call>look</call><|tool|>", "A tree."]),
    ] {
        let turn = turn.replace("CALLS", calls);
        let source = format!(
            "{{% for m in messages %}}<|{{{{ m.role }}}}|>{{% if m.role == 'assistant' %}}{turn}\
             {{% else %}}{{{{ m.content }}}}{{% endif %}}{{% endfor %}}\
             {{% if add_generation_prompt %}}<|assistant|>{{% endif %}}"
        );
        let template = ChatTemplate::new("calls", source).unwrap();
        for content in [json!(""), Value::Null] {
            let mut call = serde_json::to_value(&reference().conversations["calls"]).unwrap();
            call[1]["content"] = content.clone();
            let turns: Turns = serde_json::from_value(call).unwrap();
            let rendered = template.render(&messages(&turns), &RenderOptions::default()).unwrap();
            let said: Vec<String> = rendered
                .assistant
                .iter()
                .map(|span| rendered.text[span.clone()].replace("None", ""))
                .collect();
            assert_eq!(said, expected, "{content} {turn}");
        }
    }
}

/// A model's own template says whether there is a BOS; with a built-in one there is, once.
#[test]
fn built_in_templates_give_one_bos() {
    let tokenizer =
        Tokenizer::from_folder(fixtures().join("tokenizers").join("sentencepiece")).unwrap();
    let bos = tokenizer.special_tokens().bos.clone().unwrap();
    let turns = [Message::new("user", "Hi"), Message::new("assistant", "Hello.")];
    for format in BuiltIn::ALL {
        let template = ChatTemplate::built_in(format).unwrap();
        let template = template.with_variable("bos_token", &json!(bos.text));
        let rendered = template.render(&turns, &RenderOptions::default()).unwrap();
        let row = row(&tokenizer, Mask::Assistant, &rendered);
        let count = row.ids.iter().filter(|id| **id == bos.id).count();
        assert_eq!((row.ids[0], count), (bos.id, 1), "{format}");
    }
}

/// Templates of whose turns TRL's training templates make another text, at least of some.
const REWRITTEN: [&str; 5] = ["glm4moe", "qwen3", "qwen3_5_nothink", "qwen3_5_think", "qwen3_6"];

fn conversations() -> BTreeMap<&'static str, Value> {
    let user = |content: &str| json!({"role": "user", "content": content});
    let assistant = |content: &str| json!({"role": "assistant", "content": content});
    let call = json!({"role": "assistant", "content": "", "tool_calls": [
        {"type": "function", "function": {"name": "weather", "arguments": {"city": "Köln"}}}]});
    let tool = json!({"role": "tool", "name": "weather", "content": "sun"});
    let system = json!({"role": "system", "content": "Be brief."});
    [
        ("one", json!([user("Hi"), assistant("Hello there.")])),
        (
            "several",
            json!([system, user("Hi"), assistant("Hello."), user("?"), assistant("日本 é🙂")]),
        ),
        ("no system", json!([user("Hi"), assistant("Hello."), user("Größe 🙂?"), assistant("é")])),
        ("open", json!([user("Hi"), assistant("Hello."), user("And?")])),
        ("same", json!([user("Hi"), assistant("Hi"), user("Hi"), assistant("Hi")])),
        ("empty", json!([user(""), assistant("")])),
        ("empty first", json!([user(""), assistant(""), user("x"), assistant("y")])),
        ("spaces", json!([user("  a "), assistant("  x\n "), user(" \n"), assistant(" y  ")])),
        ("calls", json!([user("Weather?"), call, tool, assistant("Sun.")])),
    ]
    .into()
}

/// Spans that are found, beside those that TRL's training templates mark.
#[test]
#[ignore = "needs TRL's chat templates in the folder trl of the one that COLLIMATE_TEMPLATES names"]
fn spans_found_are_those_of_training_templates() {
    let folder = std::env::var("COLLIMATE_TEMPLATES").expect("COLLIMATE_TEMPLATES names a folder");
    let folder = Path::new(&folder).join("trl");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix("_training.jinja")?.to_owned()))
        .collect();
    names.sort();
    let template = |name: String| {
        let source = std::fs::read_to_string(folder.join(&name)).unwrap();
        ChatTemplate::new(name, source)
            .unwrap()
            .with_variable("bos_token", &json!("<s>"))
            .with_variable("eos_token", &json!("</s>"))
    };
    let mut options = RenderOptions::default();
    options.now = TemplateTime::new(2024, 7, 26);
    let mut compared = 0;
    let mut differences = Vec::new();
    for name in names {
        let plain = template(format!("{name}.jinja"));
        let training = template(format!("{name}_training.jinja"));
        assert!(training.has_generation() && !plain.has_generation());
        for (conversation, turns) in conversations() {
            let turns: Turns = serde_json::from_value(turns).unwrap();
            let turns = messages(&turns);
            let (text, marked) =
                (plain.render_text(&turns, &options), training.render(&turns, &options));
            // Not every template takes every conversation.
            let (Ok(text), Ok(marked)) = (text, marked) else { continue };
            if text != marked.text {
                assert!(REWRITTEN.contains(&name.as_str()), "{name}, {conversation}: {text:?}");
                continue;
            }
            // Behind a tool's answer its generation prompt leaves the header to the model.
            if (name.as_str(), conversation) == ("diffusion_gemma", "calls") {
                continue;
            }
            match plain.render(&turns, &options) {
                Ok(found) if found.assistant == marked.assistant => compared += 1,
                found => differences.push(format!(
                    "{name}, {conversation}: {found:?}\n  not {:?} of {text:?}",
                    marked.assistant
                )),
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(compared > 150, "only {compared} were compared");
}
