use serde::Serialize;

use super::fields::{Fields, Report, Value};

/// What a standalone aligned folder says of how it was made, in its `config.json`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AlignmentInfo {
    /// How it was aligned (`alignment_technique`).
    pub technique: Option<String>,
    /// The model it was made from: a repository id, a path or a name (`parent_model`).
    pub parent: Option<String>,
    /// The parent's name for people (`parent_model_name`).
    pub parent_name: Option<String>,
    /// When, as written (`alignment_timestamp`).
    pub timestamp: Option<String>,
}

impl AlignmentInfo {
    /// From the fields of `config.json`, if `aligned_model` is true or a `parent_model` is named.
    pub(super) fn from_fields(fields: &Fields, report: &mut Report<'_>) -> Option<Self> {
        let aligned = fields.flag("aligned_model", report) == Some(true);
        let parent = fields.text("parent_model", report).map(str::to_owned);
        if !aligned && parent.is_none() {
            return None;
        }
        let mut text = |key| fields.text(key, report).map(str::to_owned);
        let (technique, parent_name) = (text("alignment_technique"), text("parent_model_name"));
        let timestamp = match fields.get("alignment_timestamp") {
            number @ (Value::Integer(_) | Value::Number(_)) => Some(number.to_string()),
            _ => text("alignment_timestamp"),
        };
        Some(Self { technique, parent, parent_name, timestamp })
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Config;
    use super::*;

    fn read(config: &str) -> (Option<AlignmentInfo>, usize) {
        let mut problems = Vec::new();
        let found = Config::parse(config.as_bytes()).unwrap().alignment(&mut problems);
        (found, problems.len())
    }

    #[test]
    fn a_flag_or_a_parent_makes_an_aligned_model() {
        let (found, problems) = read(
            r#"{"aligned_model": true, "alignment_technique": "DPO", "parent_model": " org/base ",
                "parent_model_name": "Base", "alignment_timestamp": 1735689600}"#,
        );
        let expected = AlignmentInfo {
            technique: Some("DPO".to_owned()),
            parent: Some("org/base".to_owned()),
            parent_name: Some("Base".to_owned()),
            timestamp: Some("1735689600".to_owned()),
        };
        assert_eq!((found, problems), (Some(expected), 0));
        assert_eq!(read(r#"{"aligned_model": true}"#), (Some(AlignmentInfo::default()), 0));
        assert!(read(r#"{"parent_model": "base"}"#).0.is_some());
    }

    #[test]
    fn else_there_is_nothing_to_say() {
        for config in [
            "{}",
            r#"{"aligned_model": false, "alignment_technique": "DPO"}"#,
            r#"{"aligned_model": null, "parent_model": " "}"#,
        ] {
            assert_eq!(read(config), (None, 0));
        }
        assert_eq!(read(r#"{"aligned_model": "true", "parent_model": 3}"#), (None, 2));
    }
}
