//! The name for people. The first of these that is a name counts:
//!
//! 1. `display_name`, then `model_name`, in `config.json`;
//! 2. `display_name`, `model_name` or `name` in the YAML front matter of `MODEL_INFO.md`;
//! 3. a line of `MODEL_INFO.md` such as `Name: …`, `Model name: …` or `- **Display name:** …`;
//! 4. its first level-one heading (`# …`).
//!
//! Else the caller takes the name of the folder. `_name_or_path` is no source: in a fine-tuned model
//! it names the parent, or a path on the machine that it was made on.
//!
//! A name has at most [`MAX_CHARACTERS`] characters; a longer text is reported and passed over.

use super::config::{self, Config};
use super::fields::{Report, Schema};
use super::front_matter::Head;
use crate::folder::Folder;
use crate::problem::Problem;

/// Most characters of a name.
const MAX_CHARACTERS: usize = 200;
/// The file that says more about a model than its configuration.
const INFO: &str = "MODEL_INFO.md";
/// What stands before the colon of a line that states the name.
const LABELS: [&str; 4] = ["name", "model name", "display name", "model"];

static SCHEMA: Schema = Schema(&[("display_name", None), ("model_name", None), ("name", None)]);

/// The name that the files of a folder state.
pub(super) fn find(
    folder: &Folder,
    config: Option<&Config>,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let stated = config.map(|config| config.names(problems)).unwrap_or_default();
    for name in stated.into_iter().flatten() {
        if let Some(name) = checked(name, config::FILE, problems) {
            return Some(name);
        }
    }
    if !folder.has(INFO) {
        return None;
    }
    match Head::of_text(folder, INFO) {
        Ok(head) => in_info(&head, problems),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

fn in_info(head: &Head, problems: &mut Vec<Problem>) -> Option<String> {
    match head.front_matter(&SCHEMA) {
        Ok(Some(fields)) => {
            for key in ["display_name", "model_name", "name"] {
                let name = fields.text(key, &mut Report { file: INFO, problems });
                if let Some(name) = name.and_then(|name| checked(name, INFO, problems)) {
                    return Some(name);
                }
            }
        }
        Ok(None) => {}
        Err(problem) => problems.push(problem),
    }
    let body = match head.body() {
        Ok(body) => body,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    let labelled = body.lines().find_map(labelled);
    let heading = || body.lines().find_map(heading);
    checked(labelled.or_else(heading)?, INFO, problems)
}

/// The value of a line that states a name.
fn labelled(line: &str) -> Option<&str> {
    let line = line.trim().trim_start_matches(['-', '*', '>', '+', ' ', '_']);
    let (label, value) = line.split_once(':')?;
    let label = label.trim_end_matches(['*', '_', ' ']);
    let is_label = LABELS.iter().any(|known| label.eq_ignore_ascii_case(known));
    let value = value.trim_matches(['*', '_', '`', '"', ' ', '\t']);
    (is_label && !value.is_empty()).then_some(value)
}

/// The text of a level-one heading.
fn heading(line: &str) -> Option<&str> {
    let text = line.strip_prefix("# ")?.trim().trim_matches(['*', '`']).trim();
    (!text.is_empty()).then_some(text)
}

fn checked(name: &str, file: &str, problems: &mut Vec<Problem>) -> Option<String> {
    let characters = name.chars().count();
    if characters <= MAX_CHARACTERS {
        return Some(name.to_owned());
    }
    let message = format!("has {characters} characters, a name at most {MAX_CHARACTERS}");
    let field = "display name".to_owned();
    problems.push(Problem::Field { file: file.to_owned(), field, message });
    None
}

#[cfg(test)]
mod tests {
    use super::super::testing::Model;
    use super::*;

    fn name(config: &str, info: &str) -> (Option<String>, usize) {
        let model = Model::new(&[(config::FILE, config), (INFO, info)]);
        let (folder, mut problems) = (model.folder(), Vec::new());
        let config = Config::read(&folder).unwrap();
        let found = find(&folder, Some(&config), &mut problems);
        (found, problems.len())
    }

    fn in_info(info: &str) -> Option<String> {
        let (found, problems) = name("{}", info);
        assert_eq!(problems, 0);
        found
    }

    #[test]
    fn the_configuration_comes_first() {
        let is = |name: &str| (Some(name.to_owned()), 0);
        let info = "---\nname: C\n---\n";
        assert_eq!(name(r#"{"model_name": "B", "display_name": " A "}"#, info), is("A"));
        assert_eq!(name(r#"{"model_name": "B", "display_name": ""}"#, info), is("B"));
        assert_eq!(name(r#"{"_name_or_path": "/home/x/parent"}"#, info), is("C"));
        assert_eq!(name(r#"{"display_name": 3}"#, info), (Some("C".to_owned()), 1));
    }

    #[test]
    fn a_line_comes_before_a_heading() {
        let is = |name: &str| Some(name.to_owned());
        assert_eq!(in_info("# Title\n\nName: Llama 3: Swedish\r\n"), is("Llama 3: Swedish"));
        assert_eq!(in_info("# Title\n- **Model name:** `Llama`\n"), is("Llama"));
        assert_eq!(in_info("# Title\n**Display Name**: Llama\n"), is("Llama"));
        assert_eq!(in_info("---\nother: x\n---\n\n## Sub\n# **Title** \n"), is("Title"));
        assert_eq!(in_info("Filename: x\n#hashtag\n# Title\n"), is("Title"));
        assert_eq!(in_info("Name:\nNo heading"), None);
    }

    #[test]
    fn a_text_that_is_too_long_is_reported_and_passed_over() {
        let long = "å".repeat(MAX_CHARACTERS + 1);
        let (found, problems) = name(&format!("{{\"display_name\": \"{long}\"}}"), "# Title\n");
        assert_eq!((found.as_deref(), problems), (Some("Title"), 1));
        assert_eq!(name("{}", &format!("# {long}\n")), (None, 1));
        let longest = "å".repeat(MAX_CHARACTERS);
        assert_eq!(in_info(&format!("# {longest}\n")), Some(longest));
    }

    #[test]
    fn a_broken_front_matter_is_reported_and_the_text_is_read() {
        let (found, problems) = name("{}", "---\na: [\n---\n# Title\n");
        assert_eq!((found.as_deref(), problems), (Some("Title"), 1));
    }
}
