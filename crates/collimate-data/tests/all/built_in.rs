//! Built-in templates beside what their formats are documented to be, and beside published ones.

use std::path::Path;

use collimate_data::{BuiltIn, ChatTemplate, DataError, Message, RenderOptions};
use serde_json::{Value, json};

fn options(add_generation_prompt: bool) -> RenderOptions {
    let mut options = RenderOptions::default();
    options.add_generation_prompt = add_generation_prompt;
    options
}

fn turns(turns: &[(&str, &str)]) -> Vec<Message> {
    turns.iter().map(|(role, content)| Message::new(*role, *content)).collect()
}

const SYSTEM: [(&str, &str); 1] = [("system", "S")];
const TURNS: [(&str, &str); 3] = [("user", "u1"), ("assistant", "a1"), ("user", "u2")];

#[test]
fn every_format_is_written_as_documented() {
    let expected = [
        (
            BuiltIn::Llama2,
            "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nu1 [/INST] a1 </s><s>[INST] u2 [/INST]",
        ),
        (
            BuiltIn::Llama3,
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nu1<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\na1<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nu2<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        (BuiltIn::Mistral, "<s> [INST] S\n\nu1 [/INST] a1</s> [INST] u2 [/INST]"),
        (
            BuiltIn::ChatMl,
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nu1<|im_end|>\n\
             <|im_start|>assistant\na1<|im_end|>\n<|im_start|>user\nu2<|im_end|>\n\
             <|im_start|>assistant\n",
        ),
        (
            BuiltIn::Phi3,
            "<|system|>\nS<|end|>\n<|user|>\nu1<|end|>\n<|assistant|>\na1<|end|>\n\
             <|user|>\nu2<|end|>\n<|assistant|>\n",
        ),
        (
            BuiltIn::Zephyr,
            "<|system|>\nS</s>\n<|user|>\nu1</s>\n<|assistant|>\na1</s>\n<|user|>\nu2</s>\n\
             <|assistant|>\n",
        ),
        (
            BuiltIn::Alpaca,
            "S\n\n### Instruction:\nu1\n\n### Response:\na1</s>\n\n### Instruction:\nu2\n\n\
             ### Response:\n",
        ),
        (BuiltIn::Vicuna, "<s>S USER: u1 ASSISTANT: a1</s>USER: u2 ASSISTANT:"),
        (BuiltIn::Plain, "S\nu1\na1</s>\nu2\n"),
    ];
    let conversation = turns(&[&SYSTEM[..], &TURNS[..]].concat());
    for (format, expected) in expected {
        let template = ChatTemplate::built_in(format).unwrap();
        let text = template.render_text(&conversation, &options(true)).unwrap();
        assert_eq!(text, expected, "{format}");
    }
    assert_eq!(expected.len() + 1, BuiltIn::ALL.len());
    let gemma = ChatTemplate::built_in(BuiltIn::Gemma).unwrap();
    assert_eq!(
        gemma.render_text(&turns(&TURNS), &options(true)).unwrap(),
        "<bos><start_of_turn>user\nu1<end_of_turn>\n<start_of_turn>model\na1<end_of_turn>\n\
         <start_of_turn>user\nu2<end_of_turn>\n<start_of_turn>model\n"
    );
}

#[test]
fn formats_refuse_what_the_published_templates_refuse() {
    let alternate = "Conversation roles must alternate user/assistant/user/assistant/...";
    let optional_system = "After the optional system message, conversation roles must alternate \
                           user/assistant/user/assistant/...";
    let twice = [("user", "a"), ("user", "b")];
    let tool = [("user", "a"), ("tool", "b")];
    let no_user = [("assistant", "a")];
    for (format, conversation, expected) in [
        (BuiltIn::Gemma, &SYSTEM[..], "System role not supported"),
        (BuiltIn::Gemma, &twice, alternate),
        (BuiltIn::Llama2, &twice, alternate),
        (BuiltIn::Llama2, &no_user, alternate),
        (BuiltIn::Mistral, &twice, optional_system),
        (
            BuiltIn::Mistral,
            &tool,
            "Only user and assistant roles are supported, with the exception of an initial \
             optional system message!",
        ),
    ] {
        let template = ChatTemplate::built_in(format).unwrap();
        match template.render_text(&turns(conversation), &options(false)) {
            Err(DataError::TemplateRaised { message, .. }) => assert_eq!(message, expected),
            other => panic!("{format}, {conversation:?}: {other:?}"),
        }
    }
}

/// The answer of a built-in template begins behind its header, with all that closes it.
#[test]
fn all_of_the_answer_is_the_completion() {
    for format in BuiltIn::ALL {
        let template = ChatTemplate::built_in(format).unwrap();
        let prompt = turns(&[("user", "question")]);
        let answer = turns(&[("assistant", "answer")]);
        let whole = [prompt.clone(), answer.clone()].concat();
        let rendered = template.render(&whole, &options(false)).unwrap();
        let completion = &rendered.text[rendered.completion..];
        assert!(completion.trim_start().starts_with("answer"), "{format}: {completion:?}");
        assert_eq!(rendered.assistant.len(), 1, "{format}");
        let pair = template.render_pair(&prompt, &answer, &options(false)).unwrap();
        assert_eq!(pair, rendered, "{format}");
    }
}

/// Published templates beside the built-in ones: files of the folder, or cases of llama.cpp's tests
/// in `llama_cpp_cases.json`.
const PUBLISHED: [(BuiltIn, &str); 8] = [
    (BuiltIn::Llama3, "trl/llama3.jinja"),
    (BuiltIn::Gemma, "trl/gemma.jinja"),
    (BuiltIn::Gemma, "from_tokenizer_config/gemma-2.jinja"),
    (BuiltIn::Phi3, "trl/phi3.jinja"),
    (BuiltIn::Phi3, "from_tokenizer_config/phi-3-mini.jinja"),
    (BuiltIn::Zephyr, "from_tokenizer_config/tinyllama-1.1b-chat.jinja"),
    (BuiltIn::ChatMl, "teknium/OpenHermes-2.5-Mistral-7B"),
    (
        BuiltIn::Mistral,
        "mistralai/Mistral-7B-Instruct-v0.2 (mistralai 'v1' template with a system prompt)",
    ),
];

#[test]
#[ignore = "needs a folder of published templates, named by COLLIMATE_TEMPLATES"]
fn built_in_templates_render_as_published_ones() {
    let folder = std::env::var("COLLIMATE_TEMPLATES").expect("COLLIMATE_TEMPLATES names a folder");
    let folder = Path::new(&folder);
    let read = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap();
    let published: Value = serde_json::from_str(&read("llama_cpp_cases.json")).unwrap();
    let conversations = [
        turns(&[&SYSTEM[..], &TURNS[..]].concat()),
        turns(&TURNS),
        turns(&[("system", " s \n"), ("user", " a\n"), ("assistant", "\t b ")]),
        turns(&[("user", "Größe 🙂\u{2003}"), ("assistant", "日本 e\u{301} <|im_end|> </s>")]),
        turns(&[("user", ""), ("assistant", "")]),
        turns(&[("user", " \n"), ("assistant", " \u{a0}")]),
        turns(&[("user", "a"), ("user", "b")]),
        turns(&[("assistant", "a")]),
        turns(&SYSTEM),
    ];
    for (format, name) in PUBLISHED {
        let source = match published["cases"].as_array().unwrap().iter().find(|c| c["name"] == name)
        {
            Some(case) => case["template_str"].as_str().unwrap().to_owned(),
            None => read(name),
        };
        let tokens = [("bos_token", json!("<s>")), ("eos_token", json!("</s>"))];
        let with_tokens = |template: ChatTemplate| {
            tokens
                .iter()
                .fold(template, |template, (name, text)| template.with_variable(name, text))
        };
        let stock = with_tokens(ChatTemplate::new(name, source).unwrap());
        let ours = with_tokens(ChatTemplate::built_in(format).unwrap());
        for conversation in &conversations {
            for asked in [false, true] {
                let render = |template: &ChatTemplate| {
                    template.render_text(conversation, &options(asked)).map_err(|e| match e {
                        DataError::TemplateRaised { message, .. } => message,
                        other => other.to_string(),
                    })
                };
                assert_eq!(render(&ours), render(&stock), "{format}, {name}, {conversation:?}");
            }
        }
    }
}
