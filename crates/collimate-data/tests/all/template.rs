//! Chat templates against what transformers renders (tests/fixtures/template/golden.json, written
//! by conformance/chat_templates.py).

use std::path::Path;

use collimate_data::{BuiltIn, ChatTemplate, DataError, Message, RenderOptions, TemplateTime};
use serde_json::{Value, json};

fn golden() -> Value {
    serde_json::from_str(include_str!("../fixtures/template/golden.json")).expect("a valid fixture")
}

fn messages(turns: &Value) -> Vec<Message> {
    let fields = |turn: &Value| turn.as_object().cloned().expect("an object");
    turns
        .as_array()
        .expect("a list")
        .iter()
        .map(|turn| Message::from_fields(fields(turn)).expect("a role"))
        .collect()
}

fn options() -> RenderOptions {
    let mut options = RenderOptions::default();
    options.now = TemplateTime::new(2024, 7, 26);
    options
}

/// Renders, with the spans of `{% generation %}` in characters.
fn rendered(
    template: &ChatTemplate,
    turns: &[Message],
    options: &RenderOptions,
) -> Result<(String, Value), DataError> {
    if !template.has_generation() {
        return template.render_text(turns, options).map(|text| (text, json!([])));
    }
    let rendered = template.render(turns, options)?;
    let characters = |byte: usize| rendered.text[..byte].chars().count();
    let spans: Vec<[usize; 2]> = rendered
        .assistant
        .iter()
        .map(|span| [characters(span.start), characters(span.end)])
        .collect();
    Ok((rendered.text, json!(spans)))
}

fn difference(found: Result<(String, Value), DataError>, expected: &Value) -> Option<String> {
    match (found, expected["output"].as_str()) {
        (Ok((text, spans)), Some(output)) if text == output => {
            // Empty spans say nothing, and spans that touch are one.
            let mut merged: Vec<[u64; 2]> = Vec::new();
            for span in expected["spans"].as_array().into_iter().flatten() {
                let place = |end: usize| span[end].as_u64().expect("a place");
                match merged.last_mut() {
                    Some(last) if place(0) == last[1] => last[1] = place(1),
                    _ if place(0) < place(1) => merged.push([place(0), place(1)]),
                    _ => {}
                }
            }
            (json!(merged) != spans).then(|| format!("spans {spans}, not {merged:?}"))
        }
        (Ok((text, _)), _) => Some(format!("{text:?}, not {expected}")),
        (Err(DataError::TemplateRaised { message, .. }), None) => (expected["error"]
            != json!(message))
        .then(|| format!("raised {message:?}, not {expected}")),
        (Err(_), None) => {
            (!expected["error"].is_null()).then(|| format!("an error, not {expected}"))
        }
        (Err(error), Some(_)) => Some(format!("{error}, not {expected}")),
    }
}

#[test]
fn every_construct_renders_as_in_transformers() {
    let golden = golden();
    let turns = [Message::new("user", "hi")];
    let mut options = options();
    options.variables = golden["variables"].as_object().cloned().expect("an object");
    let mut differences = Vec::new();
    for case in golden["constructs"].as_array().expect("a list") {
        let source = case["source"].as_str().expect("a text");
        let found = ChatTemplate::new("construct", source)
            .and_then(|template| rendered(&template, &turns, &options));
        // Blocks in captures and nested blocks are recorded where transformers records them; the
        // overlapping ones are merged here.
        let merged = source.contains("a{% generation %}b");
        let found =
            found.map(|(text, spans)| (text, if merged { case["spans"].clone() } else { spans }));
        if let Some(difference) = difference(found, case) {
            differences.push(format!("{source:?}: {difference}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn templates_render_conversations_as_in_transformers() {
    let golden = golden();
    let mut differences = Vec::new();
    for case in golden["renders"].as_array().expect("a list") {
        let name = case["template"].as_str().expect("a text");
        let source = match name.parse::<BuiltIn>() {
            Ok(format) => format.source().to_owned(),
            Err(_) => golden["templates"][name].as_str().expect("a text").to_owned(),
        };
        let mut template = ChatTemplate::new(name, source).expect("a valid template");
        for (token, text) in golden["tokens"].as_object().expect("an object") {
            template = template.with_variable(token, text);
        }
        let setting = &golden["settings"][case["setting"].as_u64().expect("a number") as usize];
        let mut options = options();
        options.add_generation_prompt = setting["add_generation_prompt"] == json!(true);
        options.tools = setting["tools"].as_array().cloned();
        if let Some(thinks) = setting.get("enable_thinking") {
            options.variables.insert("enable_thinking".to_owned(), thinks.clone());
        }
        let turns =
            messages(&golden["conversations"][case["conversation"].as_str().expect("a text")]);
        if let Some(difference) = difference(rendered(&template, &turns, &options), case) {
            differences.push(format!("{name}, {}: {difference}", case["conversation"]));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// What an assistant says, found without `{% generation %}`, is what the blocks mark.
#[test]
fn spans_found_are_spans_marked() {
    let golden = golden();
    let mut compared = 0;
    for format in BuiltIn::ALL {
        let marked = ChatTemplate::built_in(format).expect("a valid template");
        let mut plain = format.source().to_owned();
        for tag in ["{%- generation -%}", "{%- endgeneration -%}"] {
            plain = plain.replace(tag, "");
        }
        let mut plain = ChatTemplate::new(format.name(), plain).expect("a valid template");
        assert!(marked.has_generation() && !plain.has_generation());
        plain = plain
            .with_variable("bos_token", &json!("<s>"))
            .with_variable("eos_token", &json!("</s>"));
        let marked = marked
            .with_variable("bos_token", &json!("<s>"))
            .with_variable("eos_token", &json!("</s>"));
        for conversation in ["one", "system", "unicode"] {
            let turns = messages(&golden["conversations"][conversation]);
            let (Ok(marked), Ok(plain)) =
                (marked.render(&turns, &options()), plain.render(&turns, &options()))
            else {
                assert_eq!((format, conversation), (BuiltIn::Gemma, "system"));
                continue;
            };
            assert_eq!(marked.text, plain.text);
            let texts = |rendered: &collimate_data::Rendered| -> String {
                rendered.assistant.iter().map(|span| &rendered.text[span.clone()]).collect()
            };
            assert_eq!(texts(&marked), texts(&plain), "{format}, {conversation}");
            compared += 1;
        }
    }
    assert_eq!(compared, 29);
}

#[test]
fn every_turn_keeps_its_closing_token() {
    let template = ChatTemplate::new(
        "two closings",
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if loop.last %}<|return|>{% else %}<|end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
    )
    .expect("a valid template");
    let turns = [
        Message::new("user", "a"),
        Message::new("assistant", "b"),
        Message::new("user", "c"),
        Message::new("assistant", "d"),
    ];
    let rendered = template.render(&turns, &options()).expect("a text");
    let said: Vec<&str> =
        rendered.assistant.iter().map(|span| &rendered.text[span.clone()]).collect();
    assert_eq!(said, ["b<|end|>", "d<|return|>"]);
    assert_eq!(&rendered.text[rendered.completion..], "d<|return|>");
}

#[test]
fn pairs_part_where_the_prompt_ends() {
    let template = ChatTemplate::built_in(BuiltIn::ChatMl).expect("a valid template");
    let prompt = [Message::new("user", "Hi")];
    let rendered = template
        .render_pair(&prompt, &[Message::new("assistant", "Yes")], &options())
        .expect("a text");
    assert_eq!(&rendered.text[rendered.completion..], "Yes<|im_end|>\n");
    // Whoever spoke last, the prompt ends where the assistant is to speak.
    let prompt = [Message::new("user", "Hi"), Message::new("assistant", "Y")];
    let rendered =
        template.render_pair(&prompt, &[Message::new("user", "So")], &options()).expect("a text");
    assert_eq!(&rendered.text[rendered.completion..], "user\nSo<|im_end|>\n");
    let prompt = [Message::new("system", "x")];
    let rendered = template
        .render_pair(&prompt, &[Message::new("assistant", "a")], &options())
        .expect("a text");
    assert_eq!(&rendered.text[rendered.completion..], "a<|im_end|>\n");
    let refused = template.render_pair(&[], &prompt, &options());
    assert!(matches!(refused, Err(DataError::Template { .. })));
}

#[test]
fn the_last_turn_can_be_continued() {
    let template = ChatTemplate::built_in(BuiltIn::Llama3).expect("a valid template");
    let mut options = options();
    options.continue_final_message = true;
    let turns = [Message::new("user", "Hi"), Message::new("assistant", "Well ")];
    let text = template.render_text(&turns, &options).expect("a text");
    assert!(text.ends_with("assistant<|end_header_id|>\n\nWell"), "{text:?}");
    let keeps = ChatTemplate::built_in(BuiltIn::ChatMl).expect("a valid template");
    let text = keeps.render_text(&turns, &options).expect("a text");
    assert!(text.ends_with("<|im_start|>assistant\nWell "), "{text:?}");
}

#[test]
fn a_template_that_writes_the_date_needs_one() {
    let template =
        ChatTemplate::new("dated", "{{ strftime_now('%d %b %Y') }}").expect("a valid template");
    let error = template.render_text(&[], &RenderOptions::default()).expect_err("no time was set");
    assert!(error.to_string().contains("`now`"), "{error}");
    assert_eq!(template.render_text(&[], &options()).expect("a text"), "26 Jul 2024");
}

/// Renders real templates and compares with the renders beside them.
#[test]
#[ignore = "needs a folder of real templates with golden_jinja2.json, named by COLLIMATE_TEMPLATES"]
fn real_templates_render_as_in_jinja2() {
    let folder = std::env::var("COLLIMATE_TEMPLATES").expect("COLLIMATE_TEMPLATES names a folder");
    let folder = Path::new(&folder);
    let read = |path: &str| std::fs::read_to_string(folder.join(path)).expect("a readable file");
    let golden: Value = serde_json::from_str(&read("golden_jinja2.json")).expect("valid JSON");
    let results = golden["results"].as_array().expect("a list");
    let mut differences = Vec::new();
    for case in results {
        let name = case["template"].as_str().expect("a text");
        let template = ChatTemplate::new(name, read(name)).expect("a valid template");
        let template = template
            .with_variable("bos_token", &case["bos_token"])
            .with_variable("eos_token", &case["eos_token"]);
        let mut options = options();
        options.add_generation_prompt = case["add_generation_prompt"] == json!(true);
        let turns =
            messages(&golden["conversations"][case["conversation"].as_str().expect("a text")]);
        let found = template.render_text(&turns, &options);
        let raised = case["error"].as_str().and_then(|error| error.strip_prefix("TemplateError: "));
        let same = match &found {
            Ok(text) => case["output"] == json!(text),
            Err(DataError::TemplateRaised { message, .. }) => raised == Some(message),
            Err(_) => case["output"].is_null() && raised.is_none(),
        };
        if !same {
            differences.push(format!("{name}, {}: {found:?}", case["conversation"]));
        }
    }
    assert!(!results.is_empty());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
