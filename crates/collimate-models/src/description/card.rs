//! The model card, `README.md`: its front matter states licence and base models.

use super::fields::{Report, Schema};
use super::front_matter::Head;
use crate::folder::Folder;
use crate::problem::Problem;

/// Its name.
pub(super) const FILE: &str = "README.md";

static SCHEMA: Schema = Schema(&[("base_model", None), ("license", None), ("license_name", None)]);

/// What the card states.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Card {
    /// `license`, several joined by commas; `license_name` where that only says `other`.
    pub(super) licence: Option<String>,
    pub(super) base_models: Vec<String>,
}

impl Card {
    /// Reads the front matter, if there is one.
    ///
    /// # Errors
    ///
    /// The problem, where it can't be read; it does not block loading.
    pub(super) fn read(folder: &Folder, problems: &mut Vec<Problem>) -> Result<Self, Problem> {
        let head = Head::of_front_matter(folder, FILE)?;
        let Some(fields) = head.front_matter(&SCHEMA)? else { return Ok(Self::default()) };
        let report = &mut Report { file: FILE, problems };
        let name = fields.text("license_name", report).map(str::to_owned);
        let mut licences = fields.texts("license", report);
        if let ([only], Some(name)) = (licences.as_mut_slice(), name)
            && only == "other"
        {
            *only = name;
        }
        let licence = (!licences.is_empty()).then(|| licences.join(", "));
        Ok(Self { licence, base_models: fields.texts("base_model", report) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Model;
    use super::*;

    fn read(front_matter: &str) -> (Card, Vec<String>) {
        let model = Model::new(&[(FILE, format!("---\n{front_matter}---\n# Model\n"))]);
        let mut problems = Vec::new();
        let card = Card::read(&model.folder(), &mut problems).unwrap();
        (card, problems.iter().map(ToString::to_string).collect())
    }

    fn card(licence: Option<&str>, base_models: &[&str]) -> (Card, Vec<String>) {
        let base_models = base_models.iter().map(ToString::to_string).collect();
        (Card { licence: licence.map(str::to_owned), base_models }, Vec::new())
    }

    #[test]
    fn licence_and_base_models_may_be_lists() {
        assert_eq!(read("license: mit\nbase_model: org/a\n"), card(Some("mit"), &["org/a"]));
        let lists = "license:\n- mit\n- apache-2.0\nbase_model: [org/a, \"b\"]\n";
        assert_eq!(read(lists), card(Some("mit, apache-2.0"), &["org/a", "b"]));
        assert_eq!(read("license:\ntags: [x]\n"), card(None, &[]));
    }

    #[test]
    fn another_licence_goes_by_its_name() {
        let other = "license: other\nlicense_name: llama3.1\nlicense_link: x\n";
        assert_eq!(read(other), card(Some("llama3.1"), &[]));
        assert_eq!(read("license: other\n"), card(Some("other"), &[]));
        assert_eq!(read("license: mit\nlicense_name: x\n"), card(Some("mit"), &[]));
    }

    #[test]
    fn wrong_kinds_are_reported() {
        let (found, problems) = read("license: {a: b}\nbase_model: 3\n");
        assert_eq!(found, Card::default());
        let expected = [
            "README.md: license is an object; a text or a list of texts is expected",
            "README.md: base_model is 3; a text or a list of texts is expected",
        ];
        assert_eq!(problems, expected);
    }
}
