//! Texts with slots.

/// A text with slots, `{name}`; `{{` and `}}` stand for braces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Template {
    parts: Vec<Part>,
    /// The slots, each once, in the order of their first use.
    pub(super) slots: Vec<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(String),
    Slot(usize),
}

impl Template {
    /// Reads a template; the error says what is wrong, and at which character, counted from 1.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let mut template = Self { parts: Vec::new(), slots: Vec::new() };
        let mut plain = String::new();
        let mut chars = text.chars().zip(1..).peekable();
        while let Some((c, at)) = chars.next() {
            let is_brace = matches!(c, '{' | '}');
            if !is_brace || chars.next_if(|(next, _)| *next == c).is_some() {
                plain.push(c);
            } else if c == '}' {
                return Err(format!(
                    "character {at}: `}}` closes nothing; write `}}}}` for a brace"
                ));
            } else {
                let mut name = String::new();
                loop {
                    match chars.next() {
                        Some(('}', _)) => break,
                        Some((c, _)) if c.is_alphanumeric() || c == '_' || c == '-' => name.push(c),
                        Some((c, at)) if c != '{' => {
                            return Err(format!(
                                "character {at}: a slot's name can't have {c:?}; write `{{{{` for a \
                                 brace"
                            ));
                        }
                        _ => {
                            return Err(format!(
                                "character {at}: `{{` is not closed; write `{{{{` for a brace"
                            ));
                        }
                    }
                }
                if name.is_empty() {
                    return Err(format!("character {at}: a slot has no name"));
                }
                if !plain.is_empty() {
                    template.parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                let known = template.slots.iter().position(|slot| *slot == name);
                template.parts.push(Part::Slot(known.unwrap_or(template.slots.len())));
                if known.is_none() {
                    template.slots.push(name);
                }
            }
        }
        if !plain.is_empty() {
            template.parts.push(Part::Text(plain));
        }
        Ok(template)
    }

    /// The text with a value for each of [`slots`](Self::slots).
    pub(super) fn fill(&self, values: &[&str]) -> String {
        let text = |part: &'_ Part| match part {
            Part::Text(text) => text.clone(),
            Part::Slot(slot) => values.get(*slot).copied().unwrap_or_default().to_owned(),
        };
        self.parts.iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_filled_wherever_they_stand() {
        let template = Template::new("{a} and {b}, {{so}} {a}!").unwrap();
        assert_eq!(template.slots, ["a", "b"]);
        assert_eq!(template.fill(&["x", "y"]), "x and y, {so} x!");
        assert_eq!(Template::new("").unwrap().fill(&[]), "");
    }

    #[test]
    fn errors_say_where() {
        for (text, message) in [
            ("äb {c", "character 4: `{` is not closed"),
            ("a } b", "character 3: `}` closes nothing"),
            ("{a{b}}", "character 1: `{` is not closed"),
            ("{}", "character 1: a slot has no name"),
            ("{a b}", "character 3: a slot's name can't have ' '"),
        ] {
            let error = Template::new(text).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
