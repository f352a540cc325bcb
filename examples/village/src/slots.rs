//! Templates with slots.

use std::collections::BTreeMap;

/// What the slots of templates stand for.
#[derive(Clone, Debug, Default)]
pub struct Slots(BTreeMap<&'static str, String>);

impl Slots {
    /// Lets a slot stand for this.
    pub fn with(mut self, slot: &'static str, value: impl Into<String>) -> Self {
        self.0.insert(slot, value.into());
        self
    }

    /// Takes over the slots of others.
    pub fn with_all(mut self, others: &Self) -> Self {
        self.0.extend(others.0.clone());
        self
    }

    /// A template with its slots filled in: `{who}` as it is, `{Who}` with a capital.
    pub fn fill(&self, template: &str) -> Result<String, String> {
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (slot, after) =
                after.split_once('}').ok_or_else(|| format!("{template:?} has an open slot"))?;
            let value = self.0.get(slot.to_lowercase().as_str());
            let value =
                value.ok_or_else(|| format!("nothing stands for {{{slot}}} of {template:?}"))?;
            text.push_str(before);
            match slot.starts_with(char::is_uppercase) {
                true => text.push_str(&capitalized(value)),
                false => text.push_str(value),
            }
            rest = after;
        }
        text.push_str(rest);
        Ok(text)
    }
}

/// A text with a capital at its beginning.
fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_filled_or_named() {
        let slots = Slots::default().with("who", "the miller").with("ware", "flour");
        assert_eq!(slots.fill("{Who} sells {ware}.").unwrap(), "The miller sells flour.");
        assert_eq!(slots.fill("So {who} said.").unwrap(), "So the miller said.");
        assert!(slots.fill("{Whom}").unwrap_err().contains("{Whom}"));
        assert!(slots.fill("{who").unwrap_err().contains("open"));
    }
}
