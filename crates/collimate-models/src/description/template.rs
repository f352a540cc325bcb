use serde::Serialize;

use super::fields::{Fields, Report, Schema, Value};
use super::json;
use super::tokenizer;
use crate::folder::{Folder, unreadable};
use crate::problem::Problem;

const FILE: &str = "chat_template.jinja";
const MORE: &str = "additional_chat_templates";
const JSON: &str = "chat_template.json";
const KEY: &str = "chat_template";

static SCHEMA: Schema = Schema(&[(KEY, Some(&NAMED))]);
static NAMED: Schema = Schema(&[("name", None)]);

/// Where a chat template stands. The order is the one in which transformers prefers them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "in", content = "names")]
#[non_exhaustive]
pub enum ChatTemplate {
    /// `chat_template.jinja`, with the names of those in `additional_chat_templates/`, sorted; or
    /// only these.
    File(Vec<String>),
    /// `chat_template.json`, as processors write it.
    Json,
    /// `tokenizer_config.json`, as one string.
    TokenizerConfig,
    /// `tokenizer_config.json`, as a list of named templates.
    TokenizerConfigNamed(Vec<String>),
    /// A key of a GGUF file.
    Gguf,
}

impl ChatTemplate {
    /// Looks for it. All of `tokenizer_config.json` must be readable, whatever stands elsewhere:
    /// the tokenizer does not load without.
    pub(super) fn find(folder: &Folder, problems: &mut Vec<Problem>) -> Option<Self> {
        let in_config = read(folder, tokenizer::CONFIG, problems);
        let has_file = folder.has(FILE) && reachable(folder, FILE, problems);
        let more = more(folder, problems);
        if has_file || !more.is_empty() {
            return Some(Self::File(more));
        }
        let in_json = read(folder, JSON, problems);
        let report = &mut Report { file: JSON, problems };
        if in_json.is_some_and(|fields| from_fields(&fields, report).is_some()) {
            return Some(Self::Json);
        }
        from_fields(&in_config?, &mut Report { file: tokenizer::CONFIG, problems })
    }
}

fn read(folder: &Folder, file: &str, problems: &mut Vec<Problem>) -> Option<Fields> {
    let fields = folder.has(file).then(|| json::read(folder, file, &SCHEMA))?;
    fields.map_err(|problem| problems.push(problem)).ok()
}

fn reachable(folder: &Folder, name: &str, problems: &mut Vec<Problem>) -> bool {
    folder.size(name).map_err(|problem| problems.push(problem)).is_ok()
}

/// Names of the templates beside the default one.
fn more(folder: &Folder, problems: &mut Vec<Problem>) -> Vec<String> {
    if !folder.folders().iter().any(|name| name == MORE) {
        return Vec::new();
    }
    match Folder::list(&folder.path().join(MORE)) {
        Ok(listed) => {
            let names = listed.files().iter().filter_map(|name| name.strip_suffix(".jinja"));
            names.map(str::to_owned).collect()
        }
        Err(error) => {
            problems.push(unreadable(MORE, &error));
            Vec::new()
        }
    }
}

fn from_fields(fields: &Fields, report: &mut Report<'_>) -> Option<ChatTemplate> {
    match fields.get(KEY) {
        Value::Absent | Value::Null => None,
        Value::Text(_) => Some(ChatTemplate::TokenizerConfig),
        Value::List(templates) => {
            let mut names = Vec::with_capacity(templates.len());
            for template in templates {
                let name = match template {
                    Value::Object(template) => template.text("name", report),
                    _ => None,
                };
                let Some(name) = name else {
                    let message = "holds a template without a name".to_owned();
                    report.field(fields, KEY, message);
                    return None;
                };
                names.push(name.to_owned());
            }
            (!names.is_empty()).then_some(ChatTemplate::TokenizerConfigNamed(names))
        }
        other => report.wrong(fields, KEY, other, "a text or a list of named templates"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Model;
    use super::*;

    fn find(files: &[(&str, &str)]) -> (Option<ChatTemplate>, Vec<String>) {
        let (model, mut problems) = (Model::new(files), Vec::new());
        let found = ChatTemplate::find(&model.folder(), &mut problems);
        (found, problems.iter().map(ToString::to_string).collect())
    }

    const CONFIG: (&str, &str) =
        ("tokenizer_config.json", r#"{"x": {}, "chat_template": "{{ x }}"}"#);
    const PROCESSOR: (&str, &str) = (JSON, r#"{"chat_template": "{{ x }}"}"#);

    #[test]
    fn a_file_of_its_own_wins() {
        let is = |found| (Some(found), Vec::new());
        assert_eq!(find(&[(FILE, "x"), PROCESSOR, CONFIG]), is(ChatTemplate::File(vec![])));
        assert_eq!(find(&[PROCESSOR, CONFIG]), is(ChatTemplate::Json));
        assert_eq!(find(&[CONFIG]), is(ChatTemplate::TokenizerConfig));
        let more = [(FILE, "x"), ("additional_chat_templates/tool_use.jinja", "x"), CONFIG];
        assert_eq!(find(&more), is(ChatTemplate::File(vec!["tool_use".to_owned()])));
        let only =
            [("additional_chat_templates/a.jinja", "x"), ("additional_chat_templates/b", "x")];
        assert_eq!(find(&only), is(ChatTemplate::File(vec!["a".to_owned()])));
        assert_eq!(find(&[("tokenizer_config.json", "{}")]), (None, vec![]));
        assert_eq!(find(&[]), (None, vec![]));
    }

    #[test]
    fn named_templates() {
        let named = |list: &str| {
            find(&[("tokenizer_config.json", &format!("{{\"chat_template\": {list}}}"))])
        };
        let (found, problems) =
            named(r#"[{"name": "default", "template": "x"}, {"template": "y", "name": "rag"}]"#);
        let names = vec!["default".to_owned(), "rag".to_owned()];
        assert_eq!(found, Some(ChatTemplate::TokenizerConfigNamed(names)));
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(named("[]"), (None, vec![]));
        for list in ["[3]", "[{}]"] {
            let message = "tokenizer_config.json: chat_template holds a template without a name";
            assert_eq!(named(list), (None, vec![message.to_owned()]));
        }
        assert_eq!(named("3").1.len(), 1);
    }

    #[test]
    fn a_broken_tokenizer_configuration_blocks_loading_whatever_stands_elsewhere() {
        let model = Model::new(&[(FILE, "x"), ("tokenizer_config.json", "{\"a\": ]}")]);
        let mut problems = Vec::new();
        let found = ChatTemplate::find(&model.folder(), &mut problems);
        assert_eq!(found, Some(ChatTemplate::File(vec![])));
        assert!(matches!(problems.as_slice(), [problem] if problem.blocks_loading()));
    }
}
