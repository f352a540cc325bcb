//! Recognition of every form, and what its records become.

use std::path::Path;
use std::sync::Arc;

use collimate_data::{
    Column, ColumnMapping, Content, DataError, Example, Message, Origin, Position, Recognition,
    Recognizer, Record, RecordForm, RecordKind, Turns,
};
use serde_json::{Value, json};

fn record(fields: Value) -> Record {
    let origin = Origin { file: Arc::from(Path::new("x.jsonl")), position: Position::Line(7) };
    Record::new(fields.as_object().unwrap().clone(), origin)
}

fn recognize(fields: Value) -> Result<(Recognition, Example), DataError> {
    recognize_with(fields, ColumnMapping::default())
}

fn recognize_with(
    fields: Value,
    mapping: ColumnMapping,
) -> Result<(Recognition, Example), DataError> {
    let record = record(fields);
    let recognition = Recognizer::new(mapping).recognize(std::slice::from_ref(&record))?;
    let example = recognition.example(&record)?;
    Ok((recognition, example))
}

/// Turns in short: `u:` user, `a:` assistant, `s:` system.
fn short(messages: &[Message]) -> String {
    let turn = |message: &Message| {
        format!("{}:{}", &message.role()[..1], message.content().unwrap_or("-"))
    };
    messages.iter().map(turn).collect::<Vec<_>>().join("|")
}

fn shown(turns: &Turns) -> String {
    match turns {
        Turns::Text(text) => format!("\"{text}\""),
        Turns::Messages(messages) => short(messages),
    }
}

fn content(content: &Content) -> String {
    match content {
        Content::Text(text) => format!("\"{text}\""),
        Content::Conversation(messages) => short(messages),
        Content::PromptCompletion { prompt, completion } => {
            format!("{} -> {}", shown(prompt), shown(completion))
        }
        Content::Preference { prompt, chosen, rejected } => {
            let prompt = prompt.as_ref().map_or("none".to_owned(), shown);
            format!("{prompt} -> {} > {}", shown(chosen), shown(rejected))
        }
        Content::Unpaired { prompt, completion, label } => {
            format!("{} -> {} {label}", shown(prompt), shown(completion))
        }
        _ => unreachable!(),
    }
}

#[test]
fn every_form_is_recognized_and_converted() {
    use RecordForm as F;
    use RecordKind as K;
    let user = json!({"role": "user", "content": "q"});
    let good = json!({"role": "assistant", "content": "g"});
    let bad = json!({"role": "assistant", "content": "b"});
    for (fields, form, kind, expected) in [
        (json!({"text": "t", "id": 1}), F::Text, K::Text, "\"t\""),
        (json!({"messages": [user, good]}), F::Messages, K::Conversation, "u:q|a:g"),
        (
            json!({"messages": "[{\"role\": \"user\", \"content\": \"q\"}]"}),
            F::Messages,
            K::Conversation,
            "u:q",
        ),
        (
            json!({"messages": [user, good], "label": false}),
            F::Messages,
            K::Unpaired,
            "u:q -> a:g false",
        ),
        (
            json!({"messages": [user, good], "label": "spam"}),
            F::Messages,
            K::Conversation,
            "u:q|a:g",
        ),
        (
            json!({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "g"}], "system": "s"}),
            F::ShareGpt,
            K::Conversation,
            "s:s|u:q|a:g",
        ),
        (
            json!({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "g"}], "kto_tag": true}),
            F::ShareGpt,
            K::Unpaired,
            "u:q -> a:g true",
        ),
        (
            json!({"prompt": "q", "completion": " g"}),
            F::PromptCompletion,
            K::PromptCompletion,
            "\"q\" -> \" g\"",
        ),
        (
            json!({"prompt": [user], "completion": [good]}),
            F::PromptCompletion,
            K::PromptCompletion,
            "u:q -> a:g",
        ),
        (
            json!({"prompt": "q", "completion": [good]}),
            F::PromptCompletion,
            K::PromptCompletion,
            "u:q -> a:g",
        ),
        (
            json!({"prompt": "q", "completion": "g", "label": true}),
            F::Unpaired,
            K::Unpaired,
            "\"q\" -> \"g\" true",
        ),
        (
            json!({"prompt": "q", "completion": "g", "label": "False"}),
            F::Unpaired,
            K::Unpaired,
            "\"q\" -> \"g\" false",
        ),
        (
            json!({"prompt": "q", "completion": "g", "label": 1}),
            F::Unpaired,
            K::Unpaired,
            "\"q\" -> \"g\" true",
        ),
        (
            json!({"prompt": "q", "completion": "g", "label": "safe"}),
            F::PromptCompletion,
            K::PromptCompletion,
            "\"q\" -> \"g\"",
        ),
        (
            json!({"prompt": "q", "chosen": "g", "rejected": "b"}),
            F::Preference,
            K::Preference,
            "\"q\" -> \"g\" > \"b\"",
        ),
        (
            json!({"chosen": "q g", "rejected": "q b"}),
            F::Preference,
            K::Preference,
            "none -> \"q g\" > \"q b\"",
        ),
        (
            json!({"chosen": [user, good], "rejected": [user, bad]}),
            F::Preference,
            K::Preference,
            "u:q -> a:g > a:b",
        ),
        (
            json!({"prompt": "q", "chosen": [user, good], "rejected": [user, bad]}),
            F::Preference,
            K::Preference,
            "u:q -> a:g > a:b",
        ),
        (
            json!({"prompt": "q", "chosen": [good], "rejected": [bad]}),
            F::Preference,
            K::Preference,
            "u:q -> a:g > a:b",
        ),
        (
            json!({"chosen": [user, good], "rejected": [user, good]}),
            F::Preference,
            K::Preference,
            "u:q -> a:g > a:g",
        ),
        (
            json!({"chosen": "\n\nHuman: q\n\nAssistant: g", "rejected": "\n\nHuman: q\n\nAssistant: b"}),
            F::Transcripts,
            K::Preference,
            "u:q -> a:g > a:b",
        ),
        (
            json!({"chosen": "\n\nHuman: q\n\nAssistant: g\n\nHuman: r\n\nAssistant: h", "rejected": "\n\nHuman: q\n\nAssistant: b"}),
            F::Transcripts,
            K::Preference,
            "u:q -> a:g|u:r|a:h > a:b",
        ),
        (
            json!({"instruction": "q", "input": "", "output": "g", "text": "q g"}),
            F::Instruction,
            K::PromptCompletion,
            "u:q -> a:g",
        ),
        (
            json!({"instruction": "q", "input": "i", "output": "g"}),
            F::Instruction,
            K::PromptCompletion,
            "u:q\n\ni -> a:g",
        ),
        (
            json!({"instruction": "q", "context": null, "response": "g"}),
            F::Instruction,
            K::PromptCompletion,
            "u:q -> a:g",
        ),
        (
            json!({"instruction": "q", "output": "g", "system": "s", "history": [["x", "y"]]}),
            F::Instruction,
            K::PromptCompletion,
            "s:s|u:x|a:y|u:q -> a:g",
        ),
        (
            json!({"instruction": "q", "output": "g", "kto_tag": false}),
            F::Instruction,
            K::Unpaired,
            "u:q -> a:g false",
        ),
        (
            json!({"question": "q", "answer": "g"}),
            F::QuestionAnswer,
            K::PromptCompletion,
            "u:q -> a:g",
        ),
        (
            json!({"query": "q", "response": "g"}),
            F::QuestionAnswer,
            K::PromptCompletion,
            "u:q -> a:g",
        ),
        (
            json!({"prompt": "q", "response": "g"}),
            F::QuestionAnswer,
            K::PromptCompletion,
            "u:q -> a:g",
        ),
        (
            json!({"instruction": "q", "input": "", "chosen": "g", "rejected": "b"}),
            F::InstructionPreference,
            K::Preference,
            "u:q -> a:g > a:b",
        ),
        (
            json!({"question": "q", "response_j": "g", "response_k": "b"}),
            F::InstructionPreference,
            K::Preference,
            "u:q -> a:g > a:b",
        ),
        (
            json!({"conversations": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "g"}, "rejected": {"from": "gpt", "value": "b"}}),
            F::ConversationPreference,
            K::Preference,
            "u:q -> a:g > a:b",
        ),
        (
            json!({"prompt": "q", "instruction": "s", "accepted": "g", "rejected": "b"}),
            F::AlignmentInstruction,
            K::Preference,
            "s:s|u:q -> a:g > a:b",
        ),
        (
            json!({"Instruction": "q", "Accepted": "g", "Rejected": "b"}),
            F::AlignmentInstruction,
            K::Preference,
            "u:q -> a:g > a:b",
        ),
        (
            json!({"Accepted Response": "\n\nHuman: q\n\nAssistant: g", "Rejected Response": "\n\nHuman: q\n\nAssistant: b", "Instruction generated": "s", "Prompt": "p"}),
            F::AlignmentInstruction,
            K::Preference,
            "s:s|u:q -> a:g > a:b",
        ),
    ] {
        let shown = fields.to_string();
        let (recognition, example) =
            recognize(fields).unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!((recognition.form, recognition.kind), (form, kind), "{shown}");
        assert_eq!(content(&example.content), expected, "{shown}");
    }
}

#[test]
fn what_was_recognized_is_told() {
    let (recognition, _) =
        recognize(json!({"id": 1, "instruction": "q", "output": "g", "text": "q g"})).unwrap();
    assert_eq!(
        recognition.why,
        "instructions with outputs (Alpaca) (`instruction` as prompt, `output` as completion); \
         not used: `id`, `text`"
    );
    assert_eq!(recognition.columns[&Column::Completion], "output");
}

#[test]
fn what_fits_nothing_or_several_forms_is_refused() {
    for (fields, words) in [
        (
            json!({"goal": "q", "target": "g"}),
            ["found `goal` (a text), `target`", "`question` + `answer`"],
        ),
        (json!({"instruction": "q", "category": null}), ["fit no known form", "`category` (null)"]),
        (json!({"prompt": "q", "label": "safe"}), ["fit no known form", "`prompt`"]),
        (
            json!({"prompt": "q", "chosen": "g", "rejected": "b", "messages": [{"role": "user", "content": "q"}]}),
            ["conversations (role, content) (`messages`), and preferences", "say which form"],
        ),
        (json!({}), ["found no column", "map the columns"]),
    ] {
        let error = recognize(fields).unwrap_err();
        assert!(matches!(error, DataError::Unrecognized { .. }));
        let message = error.to_string();
        for word in words {
            assert!(message.contains(word), "{message}");
        }
    }
    assert!(Recognizer::default().recognize(&[]).is_err());
}

#[test]
fn a_mapping_says_what_columns_cannot() {
    let mapping = || {
        ColumnMapping::default()
            .with_column(Column::Prompt, "goal")
            .with_column(Column::Completion, "target")
    };
    let fields = json!({"goal": "q", "target": "g"});
    let (recognition, example) = recognize_with(fields.clone(), mapping()).unwrap();
    assert_eq!(recognition.form, RecordForm::PromptCompletion);
    assert_eq!(content(&example.content), "\"q\" -> \"g\"");
    let as_question = mapping().with_form(RecordForm::QuestionAnswer);
    let (_, example) = recognize_with(fields.clone(), as_question).unwrap();
    assert_eq!(content(&example.content), "u:q -> a:g");

    let typo = ColumnMapping::default().with_column(Column::Prompt, "gaol");
    let message = recognize_with(fields, typo).unwrap_err().to_string();
    assert!(message.contains("no column `gaol` for prompt; found `goal`"), "{message}");

    let both = json!({"prompt": "q", "chosen": "g", "rejected": "b", "messages": [{"role": "user", "content": "q"}]});
    let mapping = ColumnMapping::default().with_form(RecordForm::Messages);
    assert_eq!(content(&recognize_with(both, mapping).unwrap().1.content), "u:q");

    let turns = json!({"messages": [{"who": "teacher", "says": "x"}]});
    let mapping =
        ColumnMapping::default().with_turn_keys("who", "says").with_role("teacher", "assistant");
    assert_eq!(content(&recognize_with(turns, mapping).unwrap().1.content), "a:x");
}

#[test]
fn turns_keep_what_templates_use() {
    let (_, example) = recognize(json!({
        "conversations": [
            {"from": "human", "value": "q"},
            {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": \"{\\\"x\\\": null}\"}"},
            {"from": "observation", "value": "1"},
            {"from": "gpt", "value": "g", "weight": 0, "name": null},
        ],
        "tools": "[{\"name\": \"f\", \"parameters\": {}}]",
    }))
    .unwrap();
    let Content::Conversation(turns) = &example.content else { panic!() };
    let roles: Vec<&str> = turns.iter().map(Message::role).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "assistant"]);
    assert_eq!(
        turns[1].fields()["tool_calls"],
        json!([{"type": "function", "function": {"name": "f", "arguments": {"x": null}}}])
    );
    assert_eq!(
        Value::Object(turns[3].fields().clone()),
        json!({"role": "assistant", "content": "g", "weight": 0})
    );
    assert_eq!(
        example.tools.unwrap(),
        [json!({"type": "function", "function": {"name": "f", "parameters": {}}})]
    );

    let (_, example) = recognize(json!({"messages": [
        {"role": "user", "content": [{"type": "text", "value": "a"}, {"type": "text", "value": "b"}]},
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": null, "tool_calls": [{"x": null}]},
    ]}))
    .unwrap();
    let Content::Conversation(turns) = &example.content else { panic!() };
    assert_eq!(turns[0].content(), Some("ab"));
    assert_eq!(turns[1].fields()["content"], json!([{"type": "text", "text": "a"}]));
    assert_eq!(turns[2].fields()["tool_calls"], json!([{"x": null}]));
}

#[test]
fn errors_name_the_record_and_the_field() {
    let good = json!({"messages": [{"role": "user", "content": "q"}], "tools": [{}]});
    let labelled = json!({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "g"}], "label": true});
    for (known, fields, expected) in [
        (&good, json!({"messages": []}), "`messages` is an empty conversation"),
        (&good, json!({"messages": null}), "`messages` is null"),
        (&good, json!({}), "`messages` is missing"),
        (&good, json!({"messages": 3}), "`messages` is a number, not a list of turns"),
        (&good, json!({"messages": ["x"]}), "`messages[0]` is a text, not a turn"),
        (
            &good,
            json!({"messages": [{"role": "user", "content": "q"}, {"role": "wizard", "content": "x"}]}),
            "`messages[1].role` is `wizard`, an unknown role; known are system",
        ),
        (&good, json!({"messages": [{"content": "q"}]}), "`messages[0].role` is missing"),
        (&good, json!({"messages": [{"role": "user"}]}), "`messages[0].content` is missing"),
        (
            &good,
            json!({"messages": [{"role": "user", "content": null}]}),
            "`messages[0].content` is null",
        ),
        (
            &good,
            json!({"messages": [{"role": "user", "content": 3}]}),
            "`messages[0].content` is a number",
        ),
        (
            &good,
            json!({"messages": "[{]"}),
            "`messages` is no JSON text of a list: line 1, column 3",
        ),
        (
            &good,
            json!({"messages": [{"role": "user", "content": "q"}], "tools": 3}),
            "`tools` is a number, not a list of tools",
        ),
        (
            &labelled,
            json!({"messages": [{"role": "user", "content": "q"}], "label": true}),
            "`messages` does not end with a turn of the assistant",
        ),
        (
            &labelled,
            json!({"messages": [{"role": "assistant", "content": "q"}], "label": true}),
            "`messages` has no turn before",
        ),
        (
            &labelled,
            json!({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "g"}], "label": 2}),
            "`label` is a number, neither true nor false",
        ),
        (
            &json!({"question": "q", "answer": "a"}),
            json!({"question": "q", "answer": 4}),
            "`answer` is a number, not a text",
        ),
        (
            &json!({"chosen": "\n\nHuman: q\n\nAssistant: g", "rejected": "\n\nHuman: q\n\nAssistant: b"}),
            json!({"chosen": "\n\nHuman: q", "rejected": "\n\nHuman: q\n\nAssistant: b"}),
            "`chosen` does not end with a turn of the assistant",
        ),
        (
            &json!({"conversations": [{"from": "function_call", "value": "{\"name\": \"f\"}"}]}),
            json!({"conversations": [{"from": "function_call", "value": "f()"}]}),
            "`conversations[0].value` is not JSON text of a call",
        ),
    ] {
        let recognition = Recognizer::default().recognize(&[record(known.clone())]).unwrap();
        let message = recognition.example(&record(fields)).unwrap_err().to_string();
        assert!(message.starts_with("x.jsonl, line 7: field `"), "{message}");
        assert!(message.contains(expected), "{expected}: {message}");
    }
}
